"""Photographs with the places at which people looked: OSIE and «saliency in crowd».

Layout: `SET/NAME.jpg` and `SET/fixations.json`, for each photo a list of viewers, for each viewer a
list of `[x, y, milliseconds]`; x and y are shares of the photo's width and height. Nobody drew a
crop here, so these are samples of a kind of their own.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from cropnb.datasets import base, checked
from cropnb.errors import CropnbError, DatasetMissing
from cropnb.images import to_tensor

SETS = ("osie", "crowd")
SPLITS = ("train", "val", "test")
HELD_OUT = 50  # photos of each set for validation, and as many again for the test


@dataclass(frozen=True, eq=False)
class GazeSample:
    """A photo and where people looked.

    Attributes:
        name: "SET/NAME".
        width, height: of the photo in pixels.
        fixations: (F, 3) of all viewers: x and y as shares of width and height, and milliseconds.
        viewers: (F,) the number of the viewer that each fixation belongs to.
    """

    name: str
    width: int
    height: int
    fixations: Tensor
    viewers: Tensor
    load_photo: Callable[[], Image.Image]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    def photo(self) -> Image.Image:
        """The photo as an RGB image. ImageError when it is damaged."""
        return self.load_photo()

    def image(self) -> Tensor:
        """The photo as a (3, H, W) float tensor in 0…1. Raises as `photo`."""
        return to_tensor(self.photo())


@dataclass(frozen=True, eq=False)
class GazePhotos:
    """A split of both sets together; `samples` as in `CropDataset`."""

    name: str
    split: str
    root: Path
    samples: Sequence[GazeSample]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> GazeSample:
        return self.samples[index]


def load(split: str = "test", root: str | os.PathLike | None = None) -> GazePhotos:
    """Load both sets, or the one that is there.

    Neither set has splits. Of each 50 photos are held out for validation and 50 for the test, those
    whose names have the smallest SHA-256.

    Args:
        split: "train", "val", "test", or "all" of them.
        root: the folder that holds the sets; by default `$CROPNB_DATA/gaze`.

    Raises:
        DatasetMissing: no set is there, or one is damaged. A photo without fixations isn't missing:
            it is left out, for nobody looked at it.
        ImageError: a photo's header is damaged.
        CropnbError: there is no such split.
    """
    if split not in (*SPLITS, "all"):
        raise CropnbError(f"gaze has the splits {', '.join(SPLITS)} and all, not {split!r}")
    folder = base.dataset_root("gaze", root)
    listed = [name for name in SETS if (folder / name / "fixations.json").is_file()]
    if not listed:
        raise DatasetMissing(
            f"no fixations.json in {folder / SETS[0]} or {folder / SETS[1]}: photos alone don't "
            "tell where people looked. data_scripts/README.md says where they come from"
        )
    samples = []
    for name in listed:
        samples += _of_split(_read(folder / name, name), split)
    return GazePhotos("gaze", split, folder, samples)


def _of_split(samples: list[GazeSample], split: str) -> list[GazeSample]:
    """The samples of one set that belong to a split."""
    names = [sample.name for sample in samples]
    test = base.held_out(names, HELD_OUT)
    val = base.held_out(names, 2 * HELD_OUT) - test
    parts = {"test": test, "val": val, "train": set(names) - test - val, "all": set(names)}
    return [sample for sample in samples if sample.name in parts[split]]


def _read(folder: Path, name: str) -> list[GazeSample]:
    """The photos of one set that people looked at."""
    path = folder / "fixations.json"
    content = checked.read_json(path)
    if not isinstance(content, dict) or not content:
        raise checked.broken(path, "expected photos with their viewers")
    if len(content) > checked.MOST_ENTRIES:
        raise checked.broken(path, f"{len(content):,} photos, and no set has that many")
    checked.distinct_names(content, path)
    files = checked.photo_files(folder)
    samples = []
    for photo, people in content.items():
        stem = Path(checked.photo_name(photo, path, f"photo {photo!r:.60}")).stem
        fixations, viewers = _fixations(people, path, photo)
        file = files.get(f"{stem}.jpg")
        if file is None or not len(fixations):
            continue
        width, height = base.read_size(file)
        loader = base.photo_loader(file)
        samples.append(
            GazeSample(
                name=f"{name}/{stem}",
                width=width,
                height=height,
                fixations=fixations,
                viewers=viewers,
                load_photo=loader,
            )
        )
    if not samples:
        raise DatasetMissing(f"{folder} holds no photo that {path.name} speaks of")
    return sorted(samples, key=lambda sample: sample.name)


def _fixations(people: object, path: Path, photo: str) -> tuple[Tensor, Tensor]:
    """(F, 3) fixations inside of the photo and (F,) whose they are."""
    if not isinstance(people, list):
        raise checked.broken(path, f"{photo}: expected a list of viewers")
    rows, viewers = [], []
    for viewer, places in enumerate(people):
        try:
            table = [checked.numbers(place, 3) for place in places]
        except (ValueError, TypeError) as error:
            raise checked.broken(path, f"{photo}, viewer {viewer + 1}: {error}") from error
        # The eye also looks beyond the photo's border; that says nothing about the photo.
        inside = [row for row in table if 0 <= row[0] <= 1 and 0 <= row[1] <= 1 and row[2] >= 0]
        rows += inside
        viewers += [viewer] * len(inside)
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 3), torch.tensor(viewers)
