"""FLMS, which other papers call HCDB: 500 photos with up to ten true crops each, by ten people; for
testing only.

Layout: `500_image_dataset.mat` with `img_gt`, a structure of `filename` and `bbox` (10, 4), rows
    first: `y1 x1 y2 x2`.
    Negative numbers mark a crop that is missing. The photos are in `image/`, `images/` or
    `photos/`.
"""

import os

from cropnb.datasets import base, checked
from cropnb.datasets.base import CropDataset, Sample

FILE = "500_image_dataset.mat"


def load(split: str = "test", root: str | os.PathLike | None = None) -> CropDataset:
    """Load FLMS. The size of a photo is known only where the photo is there.

    Two of the crops were drawn from the wrong corner (y1 > y2); their corners are sorted.

    Raises:
        DatasetMissing: when the annotations aren't there, or aren't of this form.
        BoxError: when a crop is empty, or lies outside of its photo.
        ImageError: when a photo's header is damaged.
    """
    base.check_split("flms", split, ("test",))
    folder = base.dataset_root("flms", root)
    path = base.require(folder, FILE)
    records = checked.matlab_records(path)
    if not records:
        raise base.broken(path, "it lists no photo")
    photos = checked.photo_files(folder / "image", folder / "images", folder / "photos")
    tables = []
    for name, rows in records:
        checked.photo_name(name, path, "img_gt")
        try:
            table = base.table(rows, 4)
        except ValueError as error:
            raise base.broken(path, f"{name} has boxes that aren't (crops, 4): {error}") from error
        table = table[(table >= 0).all(dim=1)]  # (crops, 4), y1 x1 y2 x2
        if not len(table):
            raise base.broken(path, f"{name} has no crop")
        corners = table.view(-1, 2, 2).sort(dim=1).values  # (crops, corner, y x)
        tables.append(corners.flip(2).reshape(-1, 4).tolist())  # x1 y1 x2 y2
    names = [name for name, _ in records]
    checked.distinct_names(names, path)
    sizes = [base.read_size(photos.get(name)) for name in names]
    boxes = base.all_true_boxes(tables, lambda index: f"{path}, {names[index]}", sizes)
    samples = [
        Sample(name, *size, own, load_photo=base.photo_loader(photos.get(name)))
        for name, size, own in zip(names, sizes, boxes, strict=True)
    ]
    return CropDataset("flms", split, "flms", folder, samples)
