"""How the tolerance ε lifts methods that we trained ourselves, on scenes in GAICD's form."""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cropnb import metrics
from cropnb.audit.blind import COUNTS, EPSILONS, reaches, tied_best
from cropnb.boxes import pairwise_iou
from cropnb.datasets.base import CropDataset, Sample


def anchor_scores(score: Callable[[Sample], Tensor], dataset: CropDataset, progress: bool = True) -> list[Tensor]:
    """A method's scores of each photo's own candidates, (N,) a photo."""
    return [score(sample).double() for sample in tqdm(dataset, unit="photo", disable=not progress)]


def columns(scores: list[Tensor], dataset: CropDataset) -> dict[str, Tensor]:
    """The same predictions by both metrics, (photos,) each, 0…1.

    `Acc 1/N`: the first prediction is one of the N best annotated (GAICD). `ACC 1/N, ε`: one of the first N
    predictions reaches ε with the best annotated, the first of those tied (set prediction).
    """
    found: dict[str, list[Tensor]] = {}
    for one, sample in zip(scores, dataset, strict=True):
        ranked = sample.boxes[one.argsort(descending=True, stable=True)].double()
        overlap = pairwise_iou(ranked, tied_best(sample)[:1])[:, 0]  # (N,)
        for count in COUNTS:
            found.setdefault(f"Acc 1/{count}", []).append(metrics.acc_kn(one, sample.scores, 1, count))
            for eps in EPSILONS:
                near = reaches(overlap[:count], eps).any().double()
                found.setdefault(f"ACC 1/{count}, ε = {eps:.2f}", []).append(near)
    return {name: torch.stack(values) for name, values in found.items()}
