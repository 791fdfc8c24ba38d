"""Content-blind baselines: scores and sets of candidates that never look at the photo.

`python -m cropnb.baselines --record` measures them on GAICD's annotations (no photo is needed) and
writes the rows of `book/results/gaicd_baselines.json`. A method that doesn't beat them has learned
nothing from the pictures. Taught in `book/foundations/metrics.ipynb`.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import candidates, datasets, ledger, metrics
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import MetricError
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.rows import measured

NAME = "gaicd_baselines"
# The GAICD paper's own baseline row, for GAICD v1: always take the largest candidate.
PRINTED = {("largest crop", "Acc 1/5"): 24.5, ("largest crop", "Acc 1/10"): 41.0}
PRINTED_IN = "GAICD paper, baseline row"
BLIND, BLIND_SET = "content-blind baselines", "content-blind set"


def largest_crop(sample: Sample) -> Tensor:
    """Scores (N,) of a sample's candidates: their areas."""
    return box_math.area(sample.boxes)


class PositionPrior:
    """Scores a candidate by the mean training MOS of its position on the 12 x 12 grid."""

    def __init__(self, training: CropDataset, bins: int = 12):
        """Raises MetricError where `training` has no scored candidates."""
        scored = [sample for sample in training.samples if sample.scores is not None]
        if not scored:
            raise MetricError(
                f"{training.name} ({training.split}) has no scored candidates to take a mean of"
            )
        self.bins = bins
        places = torch.cat([self._places(sample) for sample in scored])
        scores = torch.cat([sample.scores for sample in scored]).double()
        total = torch.zeros(bins**4, dtype=torch.double).index_add_(0, places, scores)
        count = torch.bincount(places, minlength=bins**4)
        # A position that no training photo has gets the mean of all.
        # [bins ** 4]
        self.table = torch.where(count > 0, total / count.clamp(min=1), scores.mean())

    def _places(self, sample: Sample) -> Tensor:
        cells = candidates.cells_of(sample.boxes, *sample.size, bins=self.bins)
        return (cells * self.bins ** torch.arange(3, -1, -1)).sum(-1)

    def __call__(self, sample: Sample) -> Tensor:
        """Scores (N,) of a sample's candidates."""
        return self.table[self._places(sample)]


def best_overlaps(dataset: CropDataset, cells: Tensor) -> Tensor:
    """IoU (photos, N) of each photo's best-scored crop (of several, the first) with its anchors at
    `cells` (N, 4).

    In whole pixels, as the crops were annotated. That matters at the printed thresholds: anchors of
    10 and of 9 cells side by side have an IoU of 0.9 exactly, and the rounding to pixels decides on
    which side of it a photo falls.
    """
    overlaps = []
    for sample in dataset.samples:
        anchors = candidates.anchors_at(cells, *sample.size).double()
        overlaps.append(box_math.iou(sample.boxes[sample.scores.argmax()].double(), anchors))
    return torch.stack(overlaps)


def covering_anchors(training: CropDataset, count: int = 10, eps: float = 0.85) -> Tensor:
    """The cells (count, 4) of anchors for every photo, chosen from training scores alone.

    Greedily, each next one comes within IoU `eps` of the most training photos' best crops not yet
    reached. They are the content-blind answer to set prediction's ACC 1/N (its Table 1).
    """
    cells = candidates.grid_cells(1200, 900)
    return cells[greedy_cover(best_overlaps(training, cells) >= eps, count)]


def greedy_cover(near: Tensor, count: int) -> list[int]:
    """Which `count` columns of near (photos, N), booleans, reach the most rows; the next, of those
    left.
    """
    unreached, picked = torch.ones(len(near), dtype=torch.bool), []
    for _ in range(count):
        picked.append(int(near[unreached].sum(0).argmax()))
        unreached &= ~near[:, picked[-1]]
    return picked


def evaluate(dataset: CropDataset, score: Callable[[Sample], Tensor]) -> dict[str, Tensor]:
    """`metrics.ranking_table` of a scoring function on a scored dataset: name -> (photos,)."""
    return metrics.ranking_table(
        [score(sample) for sample in dataset.samples], [s.scores for s in dataset.samples]
    )


def rows(context: Context, training: CropDataset, test: CropDataset) -> list[ledger.Row]:
    """The ledger rows of all baselines: per cent (SRCC: -1…1), with the bootstrap interval over
    photos.
    """
    cells = []
    for name, score in (
        ("largest crop", largest_crop),
        ("mean MOS of the position", PositionPrior(training)),
    ):
        for column, values in evaluate(test, score).items():
            unit = 1 if column == "SRCC" else 100
            cells.append((BLIND, name, column, unit * values))
    for eps in (0.85, 0.9):
        chosen = covering_anchors(training, 10, eps)
        for count in (5, 10):
            values = 100 * (best_overlaps(test, chosen[:count]) >= eps).any(1).double()
            column = f"ACC 1/{count}, within IoU {eps:.2f}"
            cells.append((BLIND_SET, "ten fixed anchors", column, values))
    return [_row(context.on(test), *cell) for cell in cells]


def _row(context: Context, table: str, name: str, column: str, values: Tensor) -> ledger.Row:
    """Beside the printed number where GAICD's paper has one."""
    printed = PRINTED.get((name, column)) if context.dataset == "gaicd" else None
    table = table if printed is None else PRINTED_IN
    note = "annotations only; no photo is looked at"
    return measured(context, table, name, column, values, paper_value=printed, note=note)


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    splits = (datasets.load(chosen.dataset, part, chosen.root) for part in ("train", "test"))
    yield rows(context, *splits)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("baselines", __doc__)
    options.add_argument(
        "--dataset", default="gaicd", help="gaicd, gaicd_v2 or scenes (default: %(default)s)"
    )
    options.add_argument("--root", help="the dataset's folder (default: below $CROPNB_DATA)")
    context = Context(NAME, "gaicd", arguments=(), module="cropnb.baselines", device="CPU")
    return program.study(_measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
