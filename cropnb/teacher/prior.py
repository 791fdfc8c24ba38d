"""How large people draw boxes, whatever the photo shows: learned from annotations alone."""

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from cropnb import datasets

RATIOS = tuple(Fraction(w, h) for w, h in ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1), (3, 1)))
SLACK = 0.985  # people's boxes overhang a photo by a pixel or two
# Sizes are counted in steps of a twentieth, from 0.6 on: 0.575…0.625, …, 0.975…1.025.
STEP, FEWEST = 0.05, 12
STEPS = 9


def photo_size(boxes: Tensor) -> tuple[float, float]:
    """Width and height of a photo of which only people's boxes (N, 4) are known.

    Some of some nine boxes reach the border, so the longer extent is the longer side; the shorter
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


def relative_size(boxes_norm: Tensor) -> Tensor:
    """A box's size as a share of the largest window of its ratio in the photo, (N,): the longer of
    its normalised sides.
    """
    return (boxes_norm[..., 2:] - boxes_norm[..., :2]).amax(dim=-1)


class SizePrior:
    """How often people draw boxes of each size.

    Args:
        photos: normalised boxes of each photo, (N, 4).
    """

    def __init__(self, photos: Sequence[Tensor]) -> None:
        steps = self._steps(relative_size(torch.cat(list(photos))))
        counts = steps[steps >= 0].bincount(minlength=STEPS).float()
        self.shares = counts / counts.sum()  # (9,)

    def log_weights(self, sizes: Tensor) -> Tensor:
        """What each window adds to the logarithm of its probability, (N,), so that each size as a
        whole is as likely as people draw it: of small windows there are many.

        Args:
            sizes: (N,) of all windows that may be drawn, 0.575 and more.
        """
        steps = self._steps(sizes)
        counts = steps.bincount(minlength=STEPS).float()
        return (self.shares / counts.clamp(min=1))[steps].clamp(min=1e-12).log()

    @staticmethod
    def _steps(sizes: Tensor) -> Tensor:
        """The number of each size's step (N,), negative below the smallest."""
        return (sizes / STEP + 0.5).floor().long().clamp(max=FEWEST + STEPS - 1) - FEWEST


@lru_cache(maxsize=1)
def default_prior() -> SizePrior:
    """That of all FLMS photos. Raises as `people_boxes`."""
    return SizePrior(people_boxes())
