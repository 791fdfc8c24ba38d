"""ACC 1/N within a tolerance ε, set prediction's (Eq. 7), for sets of crops that never look
at the photo.

A photo counts as a hit when one of N crops reaches IoU ε with its best-scored crop. On 77 of
GAICD's 200 test photos several crops tie for best, so each number is a bracket: the first of them
in the file's order, whichever is easiest to hit, whichever is hardest.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cropnb import baselines, candidates, coverage
from cropnb import boxes as box_math
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import MetricError

EPSILONS = (0.85, 0.90, 1.0)
COUNTS = (5, 10)
AMONG_TIED = ("first", "any", "worst")


class TieBracket(NamedTuple):
    """0 or 1, or a chance between them, for each photo (photos,): which of the tied best crops has
    to be hit.
    """

    first: Tensor
    any: Tensor
    worst: Tensor


def _bracket(by_photo: Iterable[Sequence[Tensor]]) -> TieBracket:
    """From three numbers for each photo."""
    values = torch.stack([torch.stack(list(three)) for three in by_photo]).double()  # (photos, 3)
    return TieBracket(*values.unbind(1))


def tied_best(sample: Sample) -> Tensor:
    """All crops (T, 4) of a photo's highest score, in the order of the file.

    Raises:
        MetricError: the photo has no scores.
    """
    if sample.scores is None or not len(sample.scores):
        raise MetricError(f"{sample.name} has no scored crops, so none is best")
    return sample.boxes[sample.scores == sample.scores.max()].double()


def reaches(overlap: Tensor, eps: float) -> Tensor:
    """IoU ≥ ε, where rounding in the last bit doesn't count: two equal boxes reach 1.0."""
    return overlap >= eps - 1e-9


def hits(dataset: CropDataset, crops: Callable[[Sample], Tensor], eps: float) -> TieBracket:
    """Whether the crops (N, 4) that `crops` gives for each photo reach its best one within ε."""

    def read(sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
        overlap = box_math.pairwise_iou(tied_best(sample), crops(sample).double())  # (T, N)
        near = reaches(overlap, eps).any(1)  # (T,)
        return near[0], near.any(), near.all()

    return _bracket(map(read, dataset.samples))


def fixed_anchors(cells: Tensor) -> Callable[[Sample], Tensor]:
    """The anchors at the same cells (N, 4) for every photo."""
    return lambda sample: candidates.anchors_at(cells, *sample.size)


def best_ranked(score: Callable[[Sample], Tensor], count: int) -> Callable[[Sample], Tensor]:
    """The `count` candidates of a photo that a score, such as a `baselines.PositionPrior`, puts
    first.
    """
    return lambda sample: sample.boxes[score(sample).argsort(descending=True, stable=True)[:count]]


def grid(sample: Sample) -> Tensor:
    """All candidates of the photo: as many as an oracle may choose from."""
    return sample.boxes


def random_anchor_hits(dataset: CropDataset, count: int, eps: float) -> TieBracket:
    """The chance that `count` different anchors of the photo, drawn at random, reach the best crop
    within ε: exact.
    """

    def chances(sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
        overlap = box_math.pairwise_iou(tied_best(sample), sample.boxes.double())  # (T, N)
        near, total = reaches(overlap, eps), len(sample.boxes)
        # Two tied crops can share an anchor, so "any" takes the union; "worst" the tied crop that
        # is hit least.
        helpful = torch.cat([near.sum(1), near.any(0).sum()[None]]).double()[:, None]  # (T + 1, 1)
        draws = torch.arange(min(count, total), dtype=torch.double)
        # None of the draws is helpful: one factor a draw, without putting back.
        missed = ((total - helpful - draws) / (total - draws)).clamp(min=0).prod(1)  # (T + 1,)
        hit = 1 - missed
        return hit[0], hit[-1], hit[:-1].min()

    return _bracket(map(chances, dataset.samples))


def random_box_hits(
    dataset: CropDataset, count: int, eps: float, draws: int = 4000, seed: int = 0
) -> TieBracket:
    """The same for boxes drawn evenly from all that keep half of the photo, with sides of 1 : 2 to
    2.2 : 1.
    """

    def chances(overlap: Tensor) -> Tensor:
        near = reaches(overlap, eps).double()  # (T, draws)
        one = torch.stack([near[0].mean(), near.amax(0).mean(), near.mean(1).min()])  # (3,)
        return 1 - (1 - one) ** count

    return _bracket(map(chances, _random_overlaps(dataset, draws, seed)))


@functools.lru_cache(maxsize=2)
def _random_overlaps(dataset: CropDataset, draws: int, seed: int) -> list[Tensor]:
    """IoU (T, draws) of each photo's best crops with random boxes, the same for every ε and N."""
    return [
        box_math.pairwise_iou(
            tied_best(sample),
            coverage.random_boxes(draws, *sample.size, seed=seed + index).double(),
        )
        for index, sample in enumerate(dataset.samples)
    ]


def reachable(dataset: CropDataset, eps: float) -> tuple[Tensor, Tensor]:
    """An oracle limited to grid anchors, on boxes that people drew freely: what it reaches of them
    within ε.

    Returns:
        For each photo whether it reaches one of the true boxes, and the share of them that it
        reaches, (photos,).
    """
    near = []
    for sample in dataset.samples:
        anchors = candidates.grid_anchors(*sample.size).double()  # (N, 4)
        near.append(reaches(coverage.nearest_iou(sample.boxes.double(), anchors), eps).double())
    return torch.stack([one.amax() for one in near]), torch.stack([one.mean() for one in near])


def covering_cells(training: CropDataset, count: int, eps: float) -> Tensor:
    """`baselines.covering_anchors`, whose overlaps with the training crops are computed once for
    all ε and N.
    """
    cells, overlaps = _training_overlaps(training)
    return cells[baselines.greedy_cover(overlaps >= eps, count)]


@functools.lru_cache(maxsize=2)
def _training_overlaps(training: CropDataset) -> tuple[Tensor, Tensor]:
    cells = candidates.grid_cells(1200, 900)
    return cells, baselines.best_overlaps(training, cells)


def cover_curve(training: CropDataset, test: CropDataset, eps: float, most: int = 20) -> Tensor:
    """ACC 1/N within ε of the content-blind greedy set for N = 1 … `most`, 0…1, (most,); of tied
    crops the first.
    """
    near = reaches(baselines.best_overlaps(test, covering_cells(training, most, eps)), eps)
    return near.cummax(1).values.double().mean(0)


def neighbours(dataset: CropDataset, eps: float) -> Tensor:
    """How many of a photo's anchors lie within ε of its best one, itself among them, (photos,)."""
    overlaps = (
        box_math.pairwise_iou(tied_best(sample)[:1], sample.boxes.double())
        for sample in dataset.samples
    )
    return torch.stack([reaches(overlap, eps).sum().double() for overlap in overlaps])
