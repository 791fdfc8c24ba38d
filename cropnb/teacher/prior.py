"""Which boxes people draw whatever the photo shows, learned from annotations alone."""

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from cropnb import datasets

# Bandwidth of the kernels, as a share of the photo's sides: chosen by the likelihood of FLMS photos
# that were left out, among 0.02, 0.03, 0.05 and 0.08 (`python -m cropnb.teacher bandwidth`).
BANDWIDTH = 0.02
RATIOS = tuple(Fraction(w, h) for w, h in ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1), (3, 1)))
SLACK = 0.985  # people's boxes overhang a photo by a pixel or two


def photo_size(boxes: Tensor) -> tuple[float, float]:
    """Width and height of a photo of which only people's boxes (N, 4) are known.

    Some of some nine boxes reach the border, so the longer extent is the longer side; the shorter
    side is the smallest that holds all boxes and gives the photo a common ratio.
    """
    width, height = boxes[:, 2:].amax(dim=0).tolist()
    long, short = max(width, height), min(width, height)
    sides = [float(long / ratio) for ratio in RATIOS]
    fitting = min(side for side in sides if side >= SLACK * short)
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
        if len(sample.boxes) < fewest:
            continue
        width, height = photo_size(sample.boxes)
        size = torch.tensor([width, height, width, height])
        photos.append((sample.boxes / size).clamp(0, 1))
    return photos


class BoxPrior:
    """A density over boxes: a Gaussian kernel on the edges of every box that somebody drew, and of
    its mirror image.

    Args:
        photos: normalised boxes of each photo, (N, 4).
        bandwidth: standard deviation of a kernel, as a share of the photo's sides.
    """

    def __init__(self, photos: Sequence[Tensor], bandwidth: float = BANDWIDTH) -> None:
        boxes = torch.cat(list(photos))  # (M, 4)
        flipped = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], dim=1)
        self.boxes, self.bandwidth = torch.cat([boxes, flipped]), bandwidth  # (2 M, 4)

    def log_density(self, boxes_norm: Tensor) -> Tensor:
        """(N, 4) normalised → (N,), up to a constant."""
        distances = torch.cdist(boxes_norm.float(), self.boxes).square()  # (N, 2 M)
        return torch.logsumexp(-distances / (2 * self.bandwidth**2), dim=1)


@lru_cache(maxsize=1)
def default_prior() -> BoxPrior:
    """The prior of all FLMS photos. Raises as `people_boxes`."""
    return BoxPrior(people_boxes())


def held_out_likelihood(photos: Sequence[Tensor], bandwidth: float, folds: int = 5) -> float:
    """Mean log density of people's boxes on photos that the prior hasn't seen, with the kernels'
    normalisation, in nats a box.
    """
    total, count = 0.0, 0
    for fold in range(folds):
        train = [boxes for number, boxes in enumerate(photos) if number % folds != fold]
        test = torch.cat([boxes for number, boxes in enumerate(photos) if number % folds == fold])
        prior = BoxPrior(train, bandwidth)
        scale = len(prior.boxes) * (2 * torch.pi * bandwidth**2) ** 2
        total += float((prior.log_density(test) - torch.log(torch.tensor(scale))).sum())
        count += len(test)
    return total / count
