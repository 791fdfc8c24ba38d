"""Photos decoded and scaled once, and kept: reading one is a copy from a mapped file instead of a
JPEG's decoding.

`prepare` writes the pixels of a split's photos, one after the other, into
`prepared/SIDE/SPLIT.pixels` in the dataset's folder, and where each begins into `SPLIT.json`.
`resized` gives the split with photos and boxes at that size: from the prepared file where it fits
the photos that are there, else scaled on the spot. Both give the same bits.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from cropnb.datasets import load
from cropnb.datasets.base import CropDataset, Sample
from cropnb.datasets.checked import LARGEST_SIDE
from cropnb.datasets.fetch import storage
from cropnb.errors import CropnbError
from cropnb.images import resize_short_side, short_side_size

FOLDER = "prepared"


@dataclass(frozen=True)
class _Place:
    """Where a photo's pixels are in the file, and its size there."""

    start: int
    width: int
    height: int


def prepare(
    name: str,
    split: str,
    short_side: int = 256,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> tuple[int, int]:
    """Decode and scale a split's photos once. Returns how many photos there are, and the file's
    size in bytes.

    The file is written under another name and then takes its own, so a reader finds a whole one or
    none. A prepared split that still fits its photos is left as it is.

    Raises:
        DatasetMissing: without the dataset, or without a photo.
        ImageError: for a damaged photo.
        StorageError: when it can't be written.
    """
    dataset = load(name, split, root=root).with_photos()
    pixels, index = _files(dataset, short_side)
    if _places(dataset, short_side) is not None:
        return len(dataset), pixels.stat().st_size
    sizes = [short_side_size(*sample.size, short_side) for sample in dataset]
    starts = np.cumsum([0, *(3 * width * height for width, height in sizes)]).tolist()
    with storage.disk_errors(pixels.parent):
        pixels.parent.mkdir(parents=True, exist_ok=True)
        storage.need_room(pixels.parent, starts[-1], f"the prepared photos of {name}")
        temporary = pixels.with_name(f"{pixels.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as stream:
                for sample in tqdm(
                    dataset, desc=f"preparing {name} {split}", unit="photo", disable=not progress
                ):
                    stream.write(resize_short_side(sample.photo(), short_side).tobytes())
            index.unlink(missing_ok=True)  # an old index must never meet new pixels
            os.replace(temporary, pixels)
        finally:
            temporary.unlink(missing_ok=True)
        places = {
            sample.name: [start, *size]
            for sample, start, size in zip(dataset, starts[:-1], sizes, strict=True)
        }
        temporary = index.with_name(f"{index.name}.{os.getpid()}")
        temporary.write_text(
            json.dumps({"photos": _fingerprint(dataset), "places": places}), encoding="utf-8"
        )
        os.replace(temporary, index)
    return len(dataset), starts[-1]


def resized(dataset: CropDataset, short_side: int = 256) -> CropDataset:
    """The same samples with photos scaled to `short_side` on the shorter side, and their boxes in
    pixels of that.

    Samples whose size isn't known keep their boxes as they are, and have no photo either.

    Raises:
        ImageError: a photo with one side more than 40 times the other.
    """
    places = _places(dataset, short_side)
    pixels, _ = _files(dataset, short_side)
    samples = [
        _scaled(sample, short_side, places and places.get(sample.name), pixels)
        for sample in dataset
    ]
    return CropDataset(dataset.name, dataset.split, dataset.form, dataset.root, samples)


def is_prepared(dataset: CropDataset, short_side: int = 256) -> bool:
    """Whether the photos of a dataset are prepared at that size, and still the same photos."""
    return _places(dataset, short_side) is not None


def _scaled(sample: Sample, short_side: int, place: _Place | None, pixels: Path) -> Sample:
    if sample.width is None or sample.height is None:
        return sample
    width, height = short_side_size(sample.width, sample.height, short_side)
    factors = torch.tensor([width / sample.width, height / sample.height] * 2)
    reader = None
    if place is not None:
        reader = partial(_read, pixels, place)
    elif sample.load_photo is not None:
        reader = partial(_scale, sample.load_photo, short_side)
    objects = None if sample.objects is None else sample.objects * factors
    return replace(
        sample,
        width=width,
        height=height,
        boxes=sample.boxes * factors,
        objects=objects,
        load_photo=reader,
    )


def _scale(load_photo: Callable[[], Image.Image], short_side: int) -> Image.Image:
    return resize_short_side(load_photo(), short_side)


@lru_cache(maxsize=8)
def _mapped(path: Path, changed: int) -> np.memmap:
    return np.memmap(path, dtype=np.uint8, mode="r")


def _read(path: Path, place: _Place) -> Image.Image:
    try:
        whole = _mapped(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise CropnbError(
            f"{path} was there a moment ago and is gone; load the dataset again"
        ) from error
    end = place.start + 3 * place.width * place.height
    return Image.frombytes("RGB", (place.width, place.height), whole[place.start : end].tobytes())


def _files(dataset: CropDataset, short_side: int) -> tuple[Path, Path]:
    folder = (dataset.root or Path()) / FOLDER / str(short_side)
    return folder / f"{dataset.split}.pixels", folder / f"{dataset.split}.json"


def _places(dataset: CropDataset, short_side: int) -> dict[str, _Place] | None:
    """Where each photo's pixels are; None where nothing was prepared, or for other photos."""
    pixels, index = _files(dataset, short_side)
    if dataset.root is None or not index.exists() or not pixels.exists():
        return None
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        places = {name: _Place(*place) for name, place in content["places"].items()}
        known = dict(content["photos"])
        if not all(_is_place(place) for place in places.values()):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    ends = max(
        (place.start + 3 * place.width * place.height for place in places.values()), default=0
    )
    fits = pixels.stat().st_size == ends and all(
        known.get(name) == fingerprint
        for name, fingerprint in _fingerprint([s for s in dataset if s.has_photo])
    )
    return places if fits else None


def _is_place(place: _Place) -> bool:
    sides = (place.width, place.height)
    return (
        all(type(number) is int for number in (place.start, *sides))
        and place.start >= 0
        and all(0 < side <= LARGEST_SIDE for side in sides)
    )


def _fingerprint(samples: Sequence[Sample]) -> list[list]:
    """Name, bytes and time of change of each photo file: cheap, and a replaced one is noticed."""
    marks = []
    for sample in samples:
        path = sample.load_photo.args[0] if isinstance(sample.load_photo, partial) else None
        state = Path(path).stat() if isinstance(path, (str, os.PathLike)) else None
        marks.append([sample.name, [state.st_size, state.st_mtime_ns] if state else []])
    return marks
