"""Taught photographs: real photos whose labels are a teacher's guesses, in the form of every real
dataset. What the teacher is stands in the file's card, and in `cropnb.teacher`.

Layout: `labels.json`, written by `python -m cropnb.teacher labels`, and the photos where it found
them, below `$CROPNB_DATA`.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cropnb.datasets import base, checked
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, CropnbError, DatasetMissing
from cropnb.files import file_hash

LABELS, FORMAT = "labels.json", 1
SPLITS = ("train", "val", "test")
HELD_OUT = 150  # photos for validation, and as many again for the test
FORMS = ("gaicd", "gaicd_v2", "cpc", "fcdb", "flms", "fat", "cuhk_icd")
RUNS = Path("runs/taught")  # where the teacher writes if it isn't told otherwise


def load(
    split: str = "test",
    root: str | os.PathLike | None = None,
    form: str = "gaicd",
    size: int | None = None,
) -> CropDataset:
    """Load taught photographs.

    Photos are held out by their names, the same whatever the form, so that no test photo of one
    form is a training photo of another.

    Args:
        split: "train", "val" or "test".
        root: the folder that holds `labels.json`; by default `$CROPNB_DATA/taught`, else
            `runs/taught`.
        form: of a real dataset.
        size: how many photos, at most; by default all.

    Raises:
        DatasetMissing: there are no labels, they are damaged, or their photos are gone.
        BoxError: a box that can't be one of its photo.
        CropnbError: for an unknown split or form, or a size below 1.
    """
    base.check_split("taught", split, SPLITS)
    if form not in FORMS:
        raise CropnbError(f"taught photographs have the forms {', '.join(FORMS)}, not {form!r}")
    if size is not None and size < 1:
        raise CropnbError(f"size is {size}; give a number of photos from 1 on")
    folder = find(root)
    path = folder / LABELS
    photos = _read(path, path.stat().st_mtime_ns)["photos"]
    test = base.held_out(photos, HELD_OUT)
    held_out = base.held_out(photos, 2 * HELD_OUT)
    names = {"test": test, "val": held_out - test, "train": set(photos) - held_out}[split]
    data = base.dataset_root("")
    chosen = sorted(names, key=lambda name: base.hashed(name))[:size]
    samples = [_sample(name, photos[name], form, data, path) for name in chosen]
    if not samples:
        raise DatasetMissing(f"{path} has too few photos for a {split} split")
    return CropDataset("taught", split, form, folder, samples)


def find(root: str | os.PathLike | None = None) -> Path:
    """The folder that holds the labels. DatasetMissing when there is none."""
    folders = [Path(root)] if root is not None else [base.dataset_root("taught"), RUNS]
    for folder in folders:
        if (folder / LABELS).is_file():
            return folder
    raise DatasetMissing(
        f"no {LABELS} in {' or '.join(map(str, folders))}; `python -m cropnb.teacher labels` "
        "writes it from the photographs below $CROPNB_DATA"
    )


def card(root: str | os.PathLike | None = None) -> Mapping[str, Any]:
    """What the teacher was made of. Raises as `load`."""
    path = find(root) / LABELS
    return _read(path, path.stat().st_mtime_ns)["card"]


def labels_hash(root: str | os.PathLike | None = None) -> str:
    """A fingerprint of the labels.

    Raises:
        DatasetMissing: there are none.
    """
    path = find(root) / LABELS
    return _hash(path, path.stat().st_mtime_ns)


def likely(scores: Tensor, root: str | os.PathLike | None = None) -> Tensor:
    """How likely someone draws each rated crop of a photo, as its teacher has it: scores (N,) →
    probabilities (N,). Raises as `load`.
    """
    teacher = card(root)
    return (scores * (teacher["sharpness"] / teacher["stretch"])).softmax(0)


@lru_cache(maxsize=2)
def _hash(path: Path, written: int) -> str:
    return file_hash(path)


@lru_cache(maxsize=2)
def _read(path: Path, written: int) -> dict[str, Any]:
    """The file's content, as it was `written`."""
    content = checked.read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise checked.broken(path, f"expected labels of format {FORMAT}")
    photos = content.get("photos")
    if not isinstance(photos, dict) or not isinstance(content.get("card"), dict):
        raise checked.broken(path, "expected `photos` and a `card`")
    if not 0 < len(photos) <= checked.MOST_ENTRIES:
        raise checked.broken(path, f"{len(photos):,} photos")
    return content


def _sample(name: str, entry: Any, form: str, data: Path, labels: Path) -> Sample:
    """One photo with its labels in a form."""
    try:
        width, height = checked.whole(entry["width"]), checked.whole(entry["height"])
        own = entry[form.removesuffix("_v2")]
        boxes = base.table(own["boxes"], 4)
        tensors = {key: torch.tensor(checked.numbers(own[key])) for key in own if key in _ONE_EACH}
        if "raters" in own:
            tensors["raters"] = base.table(own["raters"])
        relative = Path(entry["path"])
    except (KeyError, TypeError, ValueError) as error:
        raise checked.broken(labels, f"{name[:60]!r} has no {form} labels ({error!r})") from error
    if relative.is_absolute() or ".." in relative.parts:
        raise checked.broken(labels, f"{name[:60]!r}: its photo lies outside of the data folder")
    if any(values.shape[-1] != len(boxes) for values in tensors.values()):
        raise BoxError(f"{labels}, {name}: {len(boxes)} boxes, and other numbers of labels")
    photo = data / relative
    if not photo.is_file():
        raise DatasetMissing(f"{photo} is gone, and {labels} has labels for it; write them again")
    boxes = base.true_boxes(boxes, f"{labels}, {name}", width, height)
    return Sample(name, width, height, boxes, load_photo=base.photo_loader(photo), **tensors)


_ONE_EACH = ("scores", "aspects")
