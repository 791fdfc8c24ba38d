"""Fetch FLMS: `python data_scripts/flms.py`, and `--help` for more."""

import sys

from cropnb.datasets.fetch.program import main

if __name__ == "__main__":
    sys.exit(main("flms"))
