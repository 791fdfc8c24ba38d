"""Print what is on this disk of every dataset: where it is looked for, how much is there, and what is missing.

    python data_scripts/status.py [FOLDER]

FOLDER holds one folder a dataset, as `$CROPNB_DATA` does, which is used without it.
"""

import argparse
from pathlib import Path

from cropnb import datasets
from cropnb.datasets.base import dataset_root
from cropnb.errors import CropnbError

# Photos in each split, as published (or as its list counts, for FCDB).
PUBLISHED = {
    "gaicd": {"train": 1036, "test": 200},
    "gaicd_v2": {"train": 2636, "val": 200, "test": 500},
    "cpc": {"all": 10797},
    "fcdb": {"train": 1369, "test": 345},
    "flms": {"test": 500},
    "fat": {"train": 24154, "test": 3910},
    "cuhk_icd": {"all": 950},
}


def describe(name: str, root: Path) -> list[str]:
    """The lines to print about one dataset in its folder."""
    lines = [f"{name}: {root}"]
    if not root.is_dir():
        return [*lines, "  missing: there is no such folder"]
    for split, published in PUBLISHED[name].items():
        try:
            dataset = datasets.load(name, split, root=root)
        except CropnbError as error:
            lines.append(f"  {split}: can't be used: {error}")
            continue
        boxes = sum(len(sample.boxes) for sample in dataset)
        line = f"  {split}: {len(dataset)} of {published} annotations with {boxes} boxes, {dataset.photo_count} photos"
        lost = [f"{published - len(dataset)} annotations"] if len(dataset) < published else []
        lost += [f"{len(dataset) - dataset.photo_count} photos"] if dataset.photo_count < len(dataset) else []
        lines.append(f"{line}; missing: {', '.join(lost)}" if lost else f"{line}; complete")
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Print what is on this disk of every dataset.")
    parser.add_argument("folder", nargs="?", type=Path, help="holds one folder a dataset (default: $CROPNB_DATA)")
    folder = parser.parse_args(arguments).folder
    for name in PUBLISHED:
        print("\n".join(describe(name, folder / name if folder else dataset_root(name))))
    print("scenes: drawn by cropnb.datasets.scenes, nothing to fetch; complete")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
