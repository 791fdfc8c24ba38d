"""What the middle of the photo reaches, which looks at nothing: an arm of a comparison that does no
better has learned nothing that the comparison could be about.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from cropnb import boxes, metrics
from cropnb.croppers.windows import CentredWindow
from cropnb.datasets.base import Sample
from cropnb.methods import BASELINES


def middle(width: float, height: float) -> Tensor:
    """The middle 90 % of each side, (4,) in pixels."""
    return CentredWindow("center", BASELINES["center"]).window((width, height))[0]


def scores(sample: Sample) -> Tensor:
    """A score for each box of a sample, (N,): its IoU with the middle of the photo."""
    window = middle(*sample.size).expand(len(sample.boxes), 4)
    return boxes.iou(sample.boxes.float(), window)


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


def no_better(
    arms: Mapping[str, Sequence[Sequence[float]]],
    blind: Sequence[float] | None,
    higher_is_better: bool,
) -> list[str]:
    """The arms whose mean is no better than the middle's on the same photos.

    Args:
        arms: name → (seeds, photos).
        blind: (photos,) in the same unit; None where the column asks nothing of a crop.
    """
    if blind is None:
        return []
    sign = 1 if higher_is_better else -1
    floor = sign * torch.as_tensor(blind, dtype=torch.float64).nanmean()
    means = {
        name: sign * torch.as_tensor(values, dtype=torch.float64).nanmean()
        for name, values in arms.items()
    }
    return [name for name, mean in means.items() if mean <= floor]
