"""FCDB: one true crop a photo, drawn by crowd workers; 1 369 photos for training, 345 for testing.

Layout: `cropping_training_set.json` and `cropping_testing_set.json`, lists of
`{"url": …, "crop": [x, y, width, height]}`, and the photos, named like the last part of their
Flickr address, in `photos/` or `images/`. Many are gone from Flickr, so the number of test photos
differs from paper to paper.
"""

import os

from cropnb.datasets import base, checked
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
    photos = checked.photo_files(folder / "photos", folder / "images")
    listed = checked.fcdb_list(path)
    sizes = [base.read_size(photos.get(photo.name)) for photo in listed]
    boxes = base.all_true_boxes(
        [[[x, y, x + width, y + height]] for _, _, (x, y, width, height) in listed],
        lambda index: f"{path}, entry {index + 1} ({listed[index].name})",
        sizes,
    )
    samples = [
        Sample(photo.name, *size, box, load_photo=base.photo_loader(photos.get(photo.name)))
        for photo, size, box in zip(listed, sizes, boxes, strict=True)
    ]
    return CropDataset("fcdb", split, "fcdb", folder, samples)
