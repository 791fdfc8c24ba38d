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
from typing import Any

import torch

from cropnb.datasets import base
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
    entries = base.read_json(path)
    if not isinstance(entries, list) or not entries:
        raise base.broken(path, "expected a list of photos")
    samples = [
        _read(path, number, entry, folder / "images")
        for number, entry in enumerate(entries, start=1)
    ]
    return CropDataset("fat", split, "fat", folder, samples)


def _read(path: Path, number: int, entry: Any, photos: Path) -> Sample:
    place = f"entry {number}"
    try:
        name, width, height = str(entry["name"]), int(entry["width"]), int(entry["height"])
        place = f"{place} ({name})"
        boxes = torch.tensor(entry["boxes"], dtype=torch.float32).reshape(-1, 4)
        aspects = torch.tensor(entry["aspects"], dtype=torch.float32)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise base.broken(
            path, f"{place}: expected name, width, height, boxes and aspects ({error!r})"
        ) from error
    if aspects.shape != (len(boxes),) or not len(boxes):
        raise base.broken(
            path, f"{place}: {len(boxes)} boxes and aspects of shape {tuple(aspects.shape)}"
        )
    if not ((aspects > 0.49) & (aspects < 2.01)).all():  # NaN fails here too
        raise base.broken(
            path, f"{place}: a required aspect ratio lies outside of 0.5…2: {aspects.tolist()}"
        )
    photo = base.find_photo([photos], name)
    if photo is not None and base.read_size(photo) != (width, height):
        true_width, true_height = base.read_size(photo)
        raise BoxError(
            f"{photo} is {true_width} × {true_height}, but {path} says {width} × {height}: fetch "
            "it again"
        )
    boxes = base.true_boxes(boxes, f"{path}, {place}", width, height)
    return Sample(name, width, height, boxes, aspects=aspects, load_photo=base.photo_loader(photo))
