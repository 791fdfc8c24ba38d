"""FCDB: one true crop a photo, drawn by crowd workers; 1 369 photos for training, 345 for testing.

Layout: `cropping_training_set.json` and `cropping_testing_set.json`, lists of
`{"url": …, "crop": [x, y, width, height]}`, and the photos, named like the last part of their
Flickr address, in `photos/` or `images/`. Many are gone from Flickr, so the number of test photos
differs from paper to paper.
"""

import os
from pathlib import Path
from typing import Any

from cropnb.datasets import base
from cropnb.datasets.base import CropDataset, Sample

FILES = {"train": "cropping_training_set.json", "test": "cropping_testing_set.json"}


def load(split: str = "test", root: str | os.PathLike | None = None) -> CropDataset:
    """Load FCDB. The size of a photo is known only where the photo is there.

    Raises:
        DatasetMissing: when the list isn't there, or an entry isn't of this form.
        BoxError: when a crop is empty, or lies outside of its photo.
        ImageError: when a photo's header is damaged.
    """
    base.check_split("fcdb", split, tuple(FILES))
    folder = base.dataset_root("fcdb", root)
    path = base.require(folder, FILES[split])
    entries = base.read_json(path)
    if not isinstance(entries, list) or not entries:
        raise base.broken(path, "expected a list of crops")
    samples = [_read(path, number, entry, folder) for number, entry in enumerate(entries, start=1)]
    return CropDataset("fcdb", split, "fcdb", folder, samples)


def _read(path: Path, number: int, entry: Any, folder: Path) -> Sample:
    try:
        name = str(entry["url"]).rpartition("/")[2]
        x, y, crop_width, crop_height = map(float, entry["crop"])
    except (KeyError, TypeError, ValueError) as error:
        raise base.broken(
            path, f"entry {number} has no `url` and `crop` of x y width height ({error!r})"
        ) from error
    photo = base.find_photo([folder / "photos", folder / "images"], name)
    width, height = base.read_size(photo)
    place = f"{path}, entry {number} ({name})"
    box = base.true_boxes([[x, y, x + crop_width, y + crop_height]], place, width, height)
    return Sample(name, width, height, box, load_photo=base.photo_loader(photo))
