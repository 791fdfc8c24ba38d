"""Fetch the boxes of GAICD v2's objects: `python data_scripts/gaicd_v2_layouts.py`."""

import sys

from cropnb.datasets.fetch.program import main

if __name__ == "__main__":
    sys.exit(main("gaicd_v2_layouts"))
