"""CUHK-ICD: 950 photos, each cropped by three photographers; 150 of them are the test set.

Layout, once `cuhk_cropping.zip` and the `All_Images.zip` in it are unpacked: `All_Images/NAME` and
`Cropping parameters.txt`, in which every photo has four lines: `category\\name`, then `y1 y2 x1 x2`
from each of the three photographers.
"""

import os
from pathlib import Path

import torch

from cropnb.datasets import base, checked
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError

FILE = "Cropping parameters.txt"
SPLITS = ("train", "test", "all")
TEST = 150, 950


def load(
    split: str = "test", root: str | os.PathLike | None = None, photographer: int | None = None
) -> CropDataset:
    """Load CUHK-ICD. A sample has one box of each photographer, in their order.

    A file `test.txt` beside the annotations, with a photo's name a line, says which photos are the
    test set. Without it the test set is 150 of the 950 (of fewer photos, that share) chosen by a
    hash of the name, as the published 150 are listed nowhere: a number measured on it is not the
    papers' number.

    Args:
        photographer: 1, 2 or 3 to have the boxes of that one alone, as LA2C's Table 1 has a column
            for each.

    Raises:
        DatasetMissing: when the annotations aren't there, or a line isn't of this form.
        BoxError: when a crop is inverted, or lies outside of its photo.
        ImageError: when a photo's header is damaged.
        CropnbError: when there is no such split or photographer.
    """
    base.check_split("cuhk_icd", split, SPLITS)
    if photographer not in (None, 1, 2, 3):
        raise CropnbError(f"the photographers are 1, 2 and 3, not {photographer!r}")
    folder = base.dataset_root("cuhk_icd", root)
    path = base.require(folder, FILE)
    lines = [
        (number, text.strip())
        for number, text in enumerate(base.read_text(path).splitlines(), 1)
        if text.strip()
    ]
    if not lines or len(lines) % 4:
        raise base.broken(
            path,
            f"expected four lines a photo and found {len(lines)} lines",
            lines[-1][0] if lines else 1,
        )
    records = [lines[start : start + 4] for start in range(0, len(lines), 4)]
    names = [
        checked.photo_name(_name(text), path, f"line {number}") for (number, text), *_ in records
    ]
    checked.distinct_names(names, path)
    test = _test_names(folder, names)
    chosen = [
        (name, record[1:])
        for name, record in zip(names, records, strict=True)
        if split == "all" or (name in test) == (split == "test")
    ]
    photos = checked.photo_files(*(folder / name for name in ("All_Images", "images", "photos")))
    sizes = [base.read_size(photos.get(name)) for name, _ in chosen]
    # a list for each line, so that a wrong box is told with its line
    boxes = base.all_true_boxes(
        [[_box(path, number, text)] for _, lines in chosen for number, text in lines],
        lambda index: (
            f"{path}, line {chosen[index // 3][1][index % 3][0]} ({chosen[index // 3][0]})"
        ),
        [size for size in sizes for _ in range(3)],
    )
    drawn = range(3) if photographer is None else [photographer - 1]
    samples = [
        Sample(
            name,
            *size,
            torch.cat([boxes[3 * index + number] for number in drawn]),
            load_photo=base.photo_loader(photos.get(name)),
        )
        for index, ((name, _), size) in enumerate(zip(chosen, sizes, strict=True))
    ]
    return CropDataset("cuhk_icd", split, "cuhk_icd", folder, samples)


def _box(path: Path, number: int, text: str) -> list[float]:
    """x1, y1, x2, y2 of a line of `y1 y2 x1 x2`."""
    try:
        y1, y2, x1, x2 = checked.numbers([float(word) for word in text.split()], 4)
    except ValueError as error:
        raise base.broken(
            path, f"expected `y1 y2 x1 x2` and found {checked.short(text)}", number
        ) from error
    return [x1, y1, x2, y2]


def _name(text: str) -> str:
    return text.replace("\\", "/").rpartition("/")[2]


def _test_names(folder: Path, names: list[str]) -> set[str]:
    listing = folder / "test.txt"
    if not listing.exists():
        return base.held_out(names, round(len(names) * TEST[0] / TEST[1]))
    chosen = {_name(line.strip()) for line in base.read_text(listing).splitlines() if line.strip()}
    unknown = chosen - set(names)
    if unknown or not chosen:
        raise base.broken(
            listing,
            f"it must name photos of {FILE}; unknown: {', '.join(sorted(unknown)[:3]) or 'none'}",
        )
    return chosen
