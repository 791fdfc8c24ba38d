"""FAT: true crops for a required aspect ratio: 63 043 on 24 154 photos for training, 7 005 on 3 910
for testing.

The dataset's own site has moved, so the form read here is ours. Layout: `train.json` and
`test.json`, photos in `images/`. A JSON file is a list with one entry a photo:

    {"name": "a.jpg", "width": 800, "height": 600, "boxes": [[x1, y1, x2, y2], …], "aspects":
    [1.333, …]}

Boxes are in pixels; `aspects` has one number a box, the width divided by the height that was asked
for, within 0.5…2.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cropnb.datasets import base, checked
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError

SPLITS = ("train", "test")


def load(split: str = "test", root: str | os.PathLike | None = None) -> CropDataset:
    """Load FAT from the JSON described above; the required ratios are in `Sample.aspects`.

    Raises:
        DatasetMissing: when the list isn't there, or an entry isn't of this form.
        BoxError: when a crop is inverted or outside of its photo, or the photo has another size
            than listed.
        ImageError: when a photo's header is damaged.
    """
    base.check_split("fat", split, SPLITS)
    folder = base.dataset_root("fat", root)
    path = base.require(folder, f"{split}.json")
    photos = checked.photo_files(folder / "images")
    records = [
        _read(path, number, entry, photos)
        for number, entry in enumerate(checked.entries(path, "photos"), start=1)
    ]
    checked.distinct_names((record.name for record in records), path)
    boxes = base.all_true_boxes(
        [record.boxes for record in records],
        lambda index: f"{path}, entry {index + 1} ({records[index].name})",
        [(record.width, record.height) for record in records],
    )
    aspects = torch.tensor([aspect for record in records for aspect in record.aspects])
    samples = [
        Sample(
            record.name,
            record.width,
            record.height,
            own,
            aspects=ratios,
            load_photo=base.photo_loader(photos.get(record.name)),
        )
        for record, own, ratios in zip(
            records, boxes, aspects.split([len(own) for own in boxes]), strict=True
        )
    ]
    return CropDataset("fat", split, "fat", folder, samples)


class _Record(NamedTuple):
    """An entry of the list."""

    name: str
    width: int
    height: int
    boxes: list[list[float]]
    aspects: list[float]


def _read(path: Path, number: int, entry: Any, photos: dict[str, Path]) -> _Record:
    place = f"entry {number}"
    try:
        name = checked.photo_name(entry["name"], path, place)
        place = f"{place} ({name})"
        width, height = checked.whole(entry["width"]), checked.whole(entry["height"])
        boxes = [checked.numbers(box, 4) for box in entry["boxes"]]
        aspects = checked.numbers(entry["aspects"])
    except (KeyError, TypeError, ValueError) as error:
        raise base.broken(
            path, f"{place}: expected name, width, height, boxes and aspects ({error!r})"
        ) from error
    if len(aspects) != len(boxes) or not boxes:
        raise base.broken(path, f"{place}: {len(boxes)} boxes and {len(aspects)} aspects")
    if not all(0.49 < aspect < 2.01 for aspect in aspects):
        raise base.broken(
            path, f"{place}: a required aspect ratio lies outside of 0.5…2: {aspects[:10]}"
        )
    if name in photos:
        true_width, true_height = base.read_size(photos[name])
        if (true_width, true_height) != (width, height):
            raise BoxError(
                f"{photos[name]} is {true_width} × {true_height}, but {path} says "
                f"{width} × {height}: fetch it again"
            )
    return _Record(name, width, height, boxes, aspects)
