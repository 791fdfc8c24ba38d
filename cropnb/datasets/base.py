"""What every dataset gives: samples of a photo with its boxes, in one form for all of them."""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cropnb.datasets import checked

# what the readers ask for here
from cropnb.datasets.checked import broken as broken
from cropnb.datasets.checked import read_json as read_json
from cropnb.datasets.checked import read_text as read_text
from cropnb.datasets.folders import dataset_root as dataset_root
from cropnb.errors import BoxError, CropnbError, DatasetMissing
from cropnb.images import photo_size, read_photo, to_tensor


@dataclass(frozen=True, eq=False)
class Sample:
    """One photo and what people said about its crops.

    Attributes:
        name: the photo's name in the dataset.
        width, height: of the photo in pixels; None where the annotations don't tell and the photo
            isn't there.
        boxes: (N, 4) in pixels: candidates with `scores`, or true boxes without.
        scores: (N,) mean opinion score of each candidate; None where the boxes are true boxes.
        raters: (R, N) the score that each rater gave to each candidate, where the dataset tells.
        aspects: (N,) the aspect ratio (width / height) that was asked for when each true box was
            drawn (FAT).
        objects: (M, 4) in pixels: the boxes of the objects in the photo, where the dataset tells.
        load_photo: reads the photo; None where only the annotations are there.
    """

    name: str
    width: int | None
    height: int | None
    boxes: Tensor
    scores: Tensor | None = None
    raters: Tensor | None = None
    aspects: Tensor | None = None
    objects: Tensor | None = None
    load_photo: Callable[[], Image.Image] | None = None

    def __repr__(self) -> str:
        kind = "true boxes" if self.scores is None else "scored boxes"
        size = f"{self.width or '?'} × {self.height or '?'}"
        photo = "photo" if self.has_photo else "no photo"
        return f"Sample({self.name!r}, {size}, {len(self.boxes)} {kind}, {photo})"

    @property
    def has_photo(self) -> bool:
        """Whether the photo itself is there, not only its annotations."""
        return self.load_photo is not None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels.

        Raises:
            DatasetMissing: when only the photo would tell them and it isn't there.
        """
        if self.width is None or self.height is None:
            raise DatasetMissing(
                f"the size of {self.name} is known only from its photo, which isn't on this disk"
            )
        return self.width, self.height

    def photo(self) -> Image.Image:
        """The photo as an RGB image.

        Raises:
            DatasetMissing: when only the annotations are there; `CropDataset.with_photos` leaves
                such samples out.
            ImageError: when the photo is damaged.
        """
        if self.load_photo is None:
            raise DatasetMissing(
                f"the photo of {self.name} isn't on this disk, only its annotations; "
                "fetch the photos, or use dataset.with_photos()"
            )
        return self.load_photo()

    def image(self) -> Tensor:
        """The photo as a (3, H, W) float tensor in 0…1. Raises as `photo`."""
        return to_tensor(self.photo())


class CropDataset(torch.utils.data.Dataset):
    """Samples of one split of one dataset.

    Attributes:
        name: of the dataset, for instance "gaicd".
        split: "train", "val" or "test".
        form: the name of the real dataset whose form the samples have; the same as `name` but for
            scenes.
        root: the folder it was read from; None where the photos are drawn.
        samples: the samples, in the dataset's order.
    """

    def __init__(
        self, name: str, split: str, form: str, root: Path | None, samples: Sequence[Sample]
    ):
        self.name, self.split, self.form, self.root, self.samples = name, split, form, root, samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    @property
    def photo_count(self) -> int:
        """How many of the samples have their photo on this disk. Print it beside every number
        measured on them.
        """
        return sum(sample.has_photo for sample in self.samples)

    def with_photos(self) -> "CropDataset":
        """The samples whose photo is there, as a dataset of its own.

        Raises:
            DatasetMissing: when there is none.
        """
        samples = [sample for sample in self.samples if sample.has_photo]
        if not samples:
            raise DatasetMissing(
                f"{self.name} ({self.split}): none of the {len(self)} photos is below "
                f"{self.root}, only annotations; "
                "see data_scripts/README.md for where they come from"
            )
        return CropDataset(self.name, self.split, self.form, self.root, samples)

    def __repr__(self) -> str:
        counts = f"{len(self)} samples, {self.photo_count} with photos"
        return f"CropDataset({self.name!r}, {self.split!r}, {counts})"


class Chained(Sequence):
    """Several lists of samples as one; each is asked when its own are."""

    def __init__(self, parts: Sequence[Sequence[Sample]]) -> None:
        self._parts = parts
        self._places = [
            (number, place) for number, part in enumerate(parts) for place in range(len(part))
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        number, place = self._places[index]
        return self._parts[number][place]


def require(root: Path, *relative: str) -> Path:
    """The first of some paths below `root` that exists.

    Raises:
        DatasetMissing: when none does, naming them.
    """
    for path in relative:
        if (root / path).exists():
            return root / path
    raise DatasetMissing(
        f"{root / relative[0]} isn't there. `python data_scripts/status.py` shows which datasets "
        "are on this disk, and "
        "data_scripts/README.md where each comes from; set CROPNB_DATA to the folder that holds "
        "them, or give root="
    )


def check_split(name: str, split: str, splits: Sequence[str]) -> str:
    """`split` if the dataset has it; CropnbError naming those it has otherwise."""
    if split not in splits:
        raise CropnbError(f"{name} has the splits {', '.join(splits)}, not {split!r}")
    return split


def held_out(names: Iterable[str], count: int) -> set[str]:
    """`count` of the names, the same on every machine and whatever the order: those of the smallest
    SHA-256.

    For splits whose authors give a number of photos and no list.
    """
    return set(sorted(names, key=hashed)[:count])


def hashed(name: str) -> bytes:
    """What names are put in an order by that is as good as chance, and always the same."""
    return hashlib.sha256(name.encode()).digest()


def find_photo(folders: Sequence[Path], name: str) -> Path | None:
    """The first `folder / name` that is a file."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def read_size(path: Path | None) -> tuple[int | None, int | None]:
    """Width and height of the photo at `path`; two Nones without one. ImageError when it is
    damaged.
    """
    return photo_size(path) if path else (None, None)


def photo_loader(path: Path | None) -> Callable[[], Image.Image] | None:
    """A function that reads the photo and that can be sent to the workers of a `DataLoader`."""
    return partial(read_photo, path) if path else None


def true_boxes(
    boxes: Sequence[Sequence[float]] | Tensor,
    place: str,
    width: int | None = None,
    height: int | None = None,
) -> Tensor:
    """Annotated boxes as an (N, 4) float tensor, clipped to the photo where its size is known.

    People draw up to and across the border, so an overhang of up to 2 % of a side is cut off. More
    means that the photo isn't the one that was annotated, for instance another size of it.

    Raises:
        BoxError: naming `place` (a file, with a line or a photo), when a box is inverted, empty, or
            outside.
    """
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    if not (boxes.abs() <= checked.LARGEST_SIDE).all():  # NaN fails here too
        raise BoxError(
            f"{place}: a box holds NaN, infinity or more than a million; fetch the dataset again"
        )
    sides = boxes[:, 2:] - boxes[:, :2]
    if (sides <= 0).any():
        raise BoxError(
            f"{place}: the box {_first(boxes, (sides <= 0).any(dim=1))} is inverted or empty (x1 "
            "y1 x2 y2)"
        )
    if width is None or height is None:
        return boxes
    limit = torch.tensor([width, height, width, height], dtype=torch.float32)
    over = torch.maximum(-boxes, boxes - limit) / limit
    if (over > 0.02).any():
        raise BoxError(
            f"{place}: the box {_first(boxes, (over > 0.02).any(dim=1))} (x1 y1 x2 y2) lies "
            "outside of its photo of "
            f"{width} × {height}; the photo may be another size than the one that was annotated"
        )
    return boxes.clamp(min=torch.zeros(4), max=limit)


def table(rows: Any, columns: int | None = None) -> Tensor:
    """A list of equally long lists of numbers as (rows, columns); ValueError for anything else."""
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{checked.short(rows)} is no table of numbers")
    numbers = [checked.numbers(row, columns) for row in rows]
    if len({len(row) for row in numbers}) != 1:
        raise ValueError("its rows differ in length")
    return torch.tensor(numbers, dtype=torch.float32)


def all_true_boxes(
    tables: Sequence[Sequence[Sequence[float]]],
    place: Callable[[int], str],
    sizes: Sequence[tuple[int | None, int | None]],
) -> list[Tensor]:
    """`true_boxes` of every photo of a list: one (N, 4) tensor a photo.

    All at once, so that a list of 300 000 photos takes seconds.

    Args:
        tables: the boxes of each photo, one at least.
        place: number of a photo → where its boxes stand, for the error.
        sizes: width and height of each photo, None where they aren't known.

    Raises:
        BoxError: as `true_boxes`, for the first photo that has a wrong box.
    """
    counts = [len(table) for table in tables]
    flat = torch.tensor([row for table in tables for row in table], dtype=torch.float32)  # (M, 4)
    limits = torch.tensor(
        [[width or math.inf, height or math.inf] for width, height in sizes], dtype=torch.float32
    )
    limits = limits.repeat(1, 2).repeat_interleave(torch.tensor(counts), dim=0)  # (M, 4)
    known = limits.isfinite().all(dim=1)
    over = torch.maximum(-flat, flat - limits) > 0.02 * limits
    wrong = ~flat.isfinite().all(dim=1) | (flat[:, 2:] <= flat[:, :2]).any(dim=1)
    wrong |= (flat.abs() > checked.LARGEST_SIDE).any(dim=1) | known & over.any(dim=1)
    for index in torch.arange(len(tables)).repeat_interleave(torch.tensor(counts))[wrong].tolist():
        true_boxes(tables[index], place(index), *sizes[index])
    clipped = flat.clamp(min=torch.zeros(4), max=limits)
    return list(torch.where(known[:, None], clipped, flat).split(counts))


def _first(boxes: Tensor, mask: Tensor) -> list[float]:
    return boxes[mask][0].tolist()
