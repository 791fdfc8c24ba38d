"""How large people draw boxes, whatever the photo shows: learned from annotations alone."""

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from cropnb import datasets
from cropnb.croppers.sizes import STEPS, relative_size, size_steps

RATIOS = tuple(Fraction(w, h) for w, h in ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1), (3, 1)))
SLACK = 0.985  # people's boxes overhang a photo by a pixel or two


def photo_size(boxes: Tensor) -> tuple[float, float]:
    """Width and height of a photo of which only people's boxes (N, 4) are known.

    Of nine boxes or so some reach the border, so the longer extent is the longer side; the shorter
    side is the smallest that holds all boxes and gives the photo a common ratio.
    """
    width, height = boxes[:, 2:].amax(dim=0).tolist()
    long, short = max(width, height), min(width, height)
    fitting = min(float(long / ratio) for ratio in RATIOS if long / ratio >= SLACK * short)
    short = max(short, fitting)
    return (long, short) if width >= height else (short, long)


def people_boxes(root: str | os.PathLike | None = None, fewest: int = 6) -> list[Tensor]:
    """The boxes of each FLMS photo, normalised, (N, 4) a photo.

    FCDB's training boxes are left out: a single box doesn't tell how large its photo is.

    Args:
        root: FLMS's folder.
        fewest: photos with fewer boxes are left out: their size can't be told.

    Raises:
        DatasetMissing: FLMS isn't there.
    """
    photos = []
    for sample in datasets.load("flms", "test", root=root).samples:
        if len(sample.boxes) >= fewest:
            width, height = photo_size(sample.boxes)
            photos.append((sample.boxes / torch.tensor([width, height] * 2)).clamp(0, 1))
    return photos


def size_shares(photos: Sequence[Tensor]) -> tuple[float, ...]:
    """How often people draw boxes of each of the sizes of `croppers.sizes`, nine shares.

    Args:
        photos: normalised boxes of each photo, (N, 4).
    """
    steps = size_steps(relative_size(torch.cat(list(photos))))
    counts = steps[steps >= 0].bincount(minlength=STEPS)
    return tuple((counts / counts.sum()).tolist())


@lru_cache(maxsize=1)
def default_shares() -> tuple[float, ...]:
    """Those of all FLMS photos. Raises as `people_boxes`."""
    return size_shares(people_boxes())
