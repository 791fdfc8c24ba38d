"""Fetch GAICD v1: `python data_scripts/gaicd.py`, and `--help` for more."""

import sys

from cropnb.datasets.fetch.program import main

if __name__ == "__main__":
    sys.exit(main("gaicd"))
