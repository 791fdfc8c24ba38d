"""Fetch GAICD v2: `python data_scripts/gaicd_v2.py`, and `--help` for more."""

import sys

from cropnb.datasets.fetch.program import main

if __name__ == "__main__":
    sys.exit(main("gaicd_v2"))
