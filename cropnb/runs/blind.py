"""What the middle of the photo reaches, which looks at nothing: an arm of a comparison that isn't
better, beyond chance, has learned nothing that the comparison could be about.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import metrics
from cropnb.croppers.windows import CentredWindow
from cropnb.datasets.base import Sample
from cropnb.methods import BASELINES


def middle(width: float, height: float) -> Tensor:
    """The middle 90 % of each side, (4,) in pixels."""
    return CentredWindow("center", BASELINES["center"]).window((width, height))[0]


def scores(sample: Sample) -> Tensor:
    """A score for each box of a sample, (N,): its IoU with the middle of the photo."""
    window = middle(*sample.size).expand(len(sample.boxes), 4)
    return box_math.iou(sample.boxes.float(), window)


def ranking(samples: Iterable[Sample]) -> dict[str, list[float]]:
    """The columns of a ranking of rated boxes by `scores`, one number a photo, (photos,) each."""
    rated = [(scores(sample), sample.scores) for sample in samples]
    table = metrics.ranking_table(*(list(part) for part in zip(*rated, strict=True)))
    return {name: values.tolist() for name, values in table.items()}


def overlap(samples: Iterable[Sample]) -> dict[str, list[float]]:
    """IoU and BDE of the middle with the best-matching true box, (photos,) each."""
    pairs = [
        metrics.iou_and_bde(middle(*sample.size).double(), sample.boxes.double(), *sample.size)
        for sample in samples
    ]
    iou, bde = (torch.stack(values) for values in zip(*pairs, strict=True))
    return {"IoU": iou.tolist(), "BDE": bde.tolist()}


def void(
    arms: Mapping[str, Sequence[Sequence[float]]],
    blind: Sequence[float] | None,
    higher_is_better: bool,
    answer: str,
) -> str:
    """Why a comparison says nothing: its arms that aren't better than what looks at nothing.

    An arm is, when the whole 95 % interval of its gain lies above zero, paired photo by photo, and
    over its seeds: see `metrics.compare`. Photos without a number in either are left out.

    Args:
        arms: name → (seeds, photos).
        blind: (photos,) in the same unit; None where the column asks nothing of a crop.
        answer: what `blind` is of, in words.

    Returns:
        Such as «A no better, B not surely better than the photo's middle», where A's mean is no
        higher; empty where every arm is better.
    """
    if blind is None:
        return ""
    floor, sign = np.asarray(blind, dtype=float), 1 if higher_is_better else -1  # (photos,)
    low: dict[str, list[str]] = {"no better": [], "not surely better": []}
    for name, values in arms.items():
        gains = sign * (np.atleast_2d(np.asarray(values, dtype=float)) - floor)  # (seeds, photos)
        gains = gains[:, ~np.isnan(gains).any(axis=0)]
        gain = metrics.compare(gains, np.zeros_like(gains))
        if gain.mean <= 0:
            low["no better"].append(name)
        elif gain.low <= 0:
            low["not surely better"].append(name)
    reasons = [f"{', '.join(names)} {how}" for how, names in low.items() if names]
    return f"{', '.join(reasons)} than {answer}" if reasons else ""
