"""CUHK-ICD: 950 photos, each cropped by three photographers; 150 of them are the test set.

Layout, once `cuhk_cropping.zip` and the `All_Images.zip` in it are unpacked: `All_Images/NAME` and
`Cropping parameters.txt`, in which every photo has four lines: `category\\name`, then `y1 y2 x1 x2`
from each of the three photographers.
"""

import math
import os
from pathlib import Path

import torch

from cropnb.datasets import base
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
    names = [_name(text) for (_, text), *_ in records]
    test = _test_names(folder, names)
    samples = [
        _read(path, folder, name, record[1:], photographer)
        for name, record in zip(names, records, strict=True)
        if split == "all" or (name in test) == (split == "test")
    ]
    return CropDataset("cuhk_icd", split, "cuhk_icd", folder, samples)


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


def _read(
    path: Path, folder: Path, name: str, lines: list[tuple[int, str]], photographer: int | None
) -> Sample:
    photo = base.find_photo([folder / "All_Images", folder / "images", folder / "photos"], name)
    width, height = base.read_size(photo)
    boxes = []
    for number, text in lines:
        try:
            y1, y2, x1, x2 = map(float, text.split())
        except ValueError:
            y1 = math.nan
        if not math.isfinite(y1):
            raise base.broken(path, f"expected `y1 y2 x1 x2` and found {text!r}", number)
        boxes.append(
            base.true_boxes([[x1, y1, x2, y2]], f"{path}, line {number} ({name})", width, height)
        )
    if photographer is not None:
        boxes = [boxes[photographer - 1]]
    return Sample(name, width, height, torch.cat(boxes), load_photo=base.photo_loader(photo))
