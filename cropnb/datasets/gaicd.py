"""GAICD: about 86 anchors a photo, each with a mean opinion score of 1…5. Version 1 and version 2.

Layout: `images/SPLIT/NAME.jpg`, `annotations/SPLIT/NAME.txt`. A line of a text file is a crop:
    `y1 x1 y2 x2 score`,
    rows first; a score of −2 means that nobody annotated the crop.
"""

import os
from pathlib import Path

import torch

from cropnb.datasets import base, checked
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError

SPLITS = {"gaicd": ("train", "test"), "gaicd_v2": ("train", "val", "test")}
NOT_ANNOTATED = -2


def load(
    split: str = "test", root: str | os.PathLike | None = None, name: str = "gaicd"
) -> CropDataset:
    """Load GAICD v1 (1036 / 200 photos), or with `name="gaicd_v2"` version 2 (2636 / 200 / 500).

    Crops without annotation are dropped. The size of a photo that isn't there follows from its
    anchors.

    Raises:
        DatasetMissing: when the annotations aren't there, or a line isn't five numbers.
        BoxError: when a box is inverted, or doesn't fit the photo.
        ImageError: when a photo's header is damaged.
    """
    base.check_split(name, split, SPLITS[name])
    folder = base.dataset_root(name, root)
    texts = base.require(folder, f"annotations/{split}")
    photos = folder / "images" / split
    paths = sorted(texts.glob("*.txt"))
    if not paths:
        raise base.broken(texts, "the folder holds no annotations (NAME.txt)")
    lost = {photo.stem for photo in photos.glob("*.jpg")} - {path.stem for path in paths}
    if lost:
        raise base.broken(
            texts, f"{len(lost)} photos have no annotations, among them {min(lost)}.jpg"
        )
    checked.distinct_names((path.stem for path in paths), texts)
    files = checked.photo_files(photos)
    samples = [_read(path, files.get(f"{path.stem}.jpg")) for path in paths]
    return CropDataset(name, split, "gaicd", folder, samples)


def _read(path: Path, photo: Path | None) -> Sample:
    rows = []
    for line, text in enumerate(base.read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = [float(word) for word in text.split()]
        except ValueError:
            row = []
        if len(row) != 5 or not all(abs(value) <= checked.LARGEST_SIDE for value in row):
            raise base.broken(
                path, f"expected `y1 x1 y2 x2 score` and found {checked.short(text)}", line
            )
        y1, x1, y2, x2, score = row
        if x1 >= x2 or y1 >= y2:
            raise BoxError(
                f"{path}, line {line}: the box y1 x1 y2 x2 = {text!r} is inverted or empty"
            )
        if score < 0 and score != NOT_ANNOTATED:
            raise base.broken(
                path, f"a score is at least 0, or −2 for no annotation, not {score:g}", line
            )
        rows.append((x1, y1, x2, y2, score))
    if not rows:
        raise base.broken(path, "no crop in it")
    table = torch.tensor(rows)  # [crops, 5]
    width, height = size_from_anchors(table[:, :4])
    if photo is not None:
        width, height = _checked_size(photo, path, width, height)
    table = table[table[:, 4] != NOT_ANNOTATED]
    boxes = base.true_boxes(table[:, :4], str(path), width, height)
    return Sample(
        path.stem, width, height, boxes, table[:, 4].clone(), load_photo=base.photo_loader(photo)
    )


def size_from_anchors(boxes: torch.Tensor) -> tuple[int, int]:
    """Width and height of the photo that a full set of grid anchors (N, 4) belongs to.

    Anchors lie at (k + 0.5)/12 of each side, rounded to pixels, so the largest x2 is 11.5/12 of the
    width. On version 1 this gives a size from which every coordinate of all photos but one follows
    exactly.
    """
    width, height = (boxes[:, 2:].amax(dim=0) * 12 / 11.5).round().int().tolist()
    return width, height


def _checked_size(photo: Path, path: Path, width: int, height: int) -> tuple[int, int]:
    true_width, true_height = base.read_size(photo)
    if (
        abs(true_width - width) > 0.02 * true_width
        or abs(true_height - height) > 0.02 * true_height
    ):
        raise BoxError(
            f"{photo} is {true_width} × {true_height}, but the boxes in {path} belong to a photo "
            "of "
            f"{width} × {height}: fetch the photo in the size that was annotated"
        )
    return true_width, true_height
