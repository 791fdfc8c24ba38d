"""CPC: 10 797 photos, each with 24 crops in four aspect ratios that six people scored.

Layout: `images/NAME.jpg`, `CollectedAnnotationsRaw/NAME.jpg.txt`. A text file holds a JSON string
    that holds JSON once
more: `scores`, a row for each rater (raters × 24), and `bboxes`, 24 times `x1 y1 x2 y2`.
"""

import os
from pathlib import Path

from cropnb.datasets import base, checked
from cropnb.datasets.base import CropDataset, Sample

SPLITS = ("train", "val", "all")
PHOTOS = 10797
# ASM-Net keeps 2 000 of them for validation, set prediction 1 000; neither says which.
HELD_OUT = 2000


def load(
    split: str = "train", root: str | os.PathLike | None = None, held_out: int = HELD_OUT
) -> CropDataset:
    """Load CPC. Scores are the mean over raters; the raters' own are in `Sample.raters`.

    There is no official split. "val" are `held_out` of the 10 797 photos (of fewer photos, that
    share), chosen by a hash of the name, as nobody published a list; "train" are the others, "all"
    are both.

    Raises:
        DatasetMissing: when the annotations aren't there, or a file isn't of this form.
        BoxError: when a box is inverted, or lies outside of its photo.
        ImageError: when a photo's header is damaged.
    """
    base.check_split("cpc", split, SPLITS)
    folder = base.dataset_root("cpc", root)
    texts = base.require(folder, "CollectedAnnotationsRaw", "annotations")
    photos = [folder / "images", folder / "photos"]
    names = sorted(path.name.removesuffix(".txt") for path in texts.glob("*.txt"))
    if not names:
        raise base.broken(texts, "the folder holds no annotations (NAME.jpg.txt)")
    lost = {photo.name for place in photos for photo in place.glob("*.jpg")} - set(names)
    if lost:
        raise base.broken(texts, f"{len(lost)} photos have no annotations, among them {min(lost)}")
    validation = base.held_out(names, round(len(names) * held_out / PHOTOS))
    chosen = [name for name in names if split == "all" or (name in validation) == (split == "val")]
    checked.distinct_names(names, texts)
    files = checked.photo_files(*photos)
    samples = [_read(texts / f"{name}.txt", name, files.get(name)) for name in chosen]
    return CropDataset("cpc", split, "cpc", folder, samples)


def _read(path: Path, name: str, photo: Path | None) -> Sample:
    content = base.read_json(path)
    if isinstance(content, str):
        content = checked.parse_json(content, path)
    try:
        boxes, raters = base.table(content["bboxes"], 4), base.table(content["scores"])
    except (KeyError, TypeError, ValueError) as error:
        raise base.broken(
            path, f"expected `scores` and `bboxes`, tables of numbers ({error})"
        ) from error
    if raters.shape[1] != len(boxes):
        shapes = f"{tuple(raters.shape)} and {tuple(boxes.shape)}"
        raise base.broken(
            path, f"expected scores (raters, crops) and boxes (crops, 4), and found {shapes}"
        )
    width, height = base.read_size(photo)
    return Sample(
        name,
        width,
        height,
        base.true_boxes(boxes, str(path), width, height),
        scores=raters.mean(dim=0),
        raters=raters,
        load_photo=base.photo_loader(photo),
    )
