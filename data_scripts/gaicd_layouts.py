"""Fetch the boxes of GAICD v1's objects: `python data_scripts/gaicd_layouts.py`."""

import sys

from cropnb.datasets.fetch.program import main

if __name__ == "__main__":
    sys.exit(main("gaicd_layouts"))
