"""FLMS, which other papers call HCDB: 500 photos with up to ten true crops each, by ten people; for
testing only.

Layout: `500_image_dataset.mat` with `img_gt`, a structure of `filename` and `bbox` (10, 4), rows
    first: `y1 x1 y2 x2`.
    Negative numbers mark a crop that is missing. The photos are in `image/`, `images/` or
    `photos/`.
"""

import os

import numpy as np
import scipy.io

from cropnb.datasets import base
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
    try:
        records = scipy.io.loadmat(path)["img_gt"].ravel()
        rows = [
            (str(np.ravel(record["filename"])[0]), np.asarray(record["bbox"], dtype=float))
            for record in records
        ]
    # SciPy raises many types on a file that is damaged or none of MATLAB's
    except Exception as error:
        raise base.broken(
            path, f"no MATLAB file with `img_gt` of `filename` and `bbox` ({error})"
        ) from error
    samples = []
    for name, table in rows:
        if table.ndim != 2 or table.shape[1] != 4:
            raise base.broken(path, f"{name} has boxes of shape {table.shape}, not (crops, 4)")
        table = table[(table >= 0).all(axis=1)]  # [crops, 4], y1 x1 y2 x2
        corners = np.sort(table.reshape(-1, 2, 2), axis=1)  # [crops, corner, y x]
        if not len(corners):
            raise base.broken(path, f"{name} has no crop")
        photo = base.find_photo([folder / "image", folder / "images", folder / "photos"], name)
        width, height = base.read_size(photo)
        boxes = base.true_boxes(
            corners[:, :, ::-1].reshape(-1, 4).copy(), f"{path}, {name}", width, height
        )
        samples.append(Sample(name, width, height, boxes, load_photo=base.photo_loader(photo)))
    if not samples:
        raise base.broken(path, "it lists no photo")
    return CropDataset("flms", split, "flms", folder, samples)
