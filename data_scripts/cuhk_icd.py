"""Fetch CUHK-ICD: `python data_scripts/cuhk_icd.py`, and `--help` for more."""

import sys

from cropnb.datasets.fetch.program import main

if __name__ == "__main__":
    sys.exit(main("cuhk_icd"))
