"""Print what is on this disk of every dataset: where it is looked for, what is there, what is
missing, what it blocks.

    python data_scripts/status.py [FOLDER]

FOLDER holds one folder a dataset, as `$CROPNB_DATA` does, which is used without it.
"""

import argparse
from pathlib import Path

from cropnb.datasets.fetch import manifest, status
from cropnb.datasets.folders import PART_OF, dataset_root


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Print what is on this disk of every dataset.")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="holds one folder a dataset (default: $CROPNB_DATA)"
    )
    folder = parser.parse_args(arguments).folder
    for name in manifest.entries():
        place = folder / PART_OF.get(name, name) if folder else dataset_root(name)
        print("\n".join(status.describe(name, place)))
    print("scenes: drawn by cropnb.datasets.scenes, nothing to fetch; complete")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
