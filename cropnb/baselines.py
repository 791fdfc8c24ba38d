"""Content-blind baselines: scores of candidates that never look at the photo.

Run `python -m cropnb.baselines` to measure them on GAICD's annotations (no photo is needed) and to write the rows of
`book/results/gaicd_baselines.json`. A method that doesn't beat them has learned nothing from the pictures.
Taught in `book/foundations/metrics.ipynb`.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import candidates, datasets, ledger, metrics
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import MetricError

NAME = "gaicd_baselines"
# The GAICD paper's own baseline row, for GAICD v1: always take the largest candidate.
PRINTED = {("largest crop", "Acc 1/5"): 24.5, ("largest crop", "Acc 1/10"): 41.0}
PRINTED_IN = "GAICD paper, baseline row"


def largest_crop(sample: Sample) -> Tensor:
    """Scores (N,) of a sample's candidates: their areas."""
    return box_math.area(sample.boxes)


class PositionPrior:
    """Scores a candidate by the mean training MOS of its position on the 12 x 12 grid."""

    def __init__(self, training: CropDataset, bins: int = 12):
        """Raises MetricError where `training` has no scored candidates."""
        scored = [sample for sample in training.samples if sample.scores is not None]
        if not scored:
            raise MetricError(f"{training.name} ({training.split}) has no scored candidates to take a mean of")
        self.bins = bins
        places = torch.cat([self._places(sample) for sample in scored])
        scores = torch.cat([sample.scores for sample in scored]).double()
        total = torch.zeros(bins**4, dtype=torch.double).index_add_(0, places, scores)
        count = torch.bincount(places, minlength=bins**4)
        # A position that no training photo has gets the mean of all.
        self.table = torch.where(count > 0, total / count.clamp(min=1), scores.mean())  # [bins ** 4]

    def _places(self, sample: Sample) -> Tensor:
        cells = candidates.cells_of(sample.boxes, *sample.size, bins=self.bins)
        return (cells * self.bins ** torch.arange(3, -1, -1)).sum(-1)

    def __call__(self, sample: Sample) -> Tensor:
        """Scores (N,) of a sample's candidates."""
        return self.table[self._places(sample)]


def evaluate(dataset: CropDataset, score: Callable[[Sample], Tensor]) -> dict[str, Tensor]:
    """`metrics.ranking_table` of a scoring function on a scored dataset: name -> (photos,)."""
    return metrics.ranking_table([score(sample) for sample in dataset.samples], [s.scores for s in dataset.samples])


def rows(training: CropDataset, test: CropDataset, command: str, seed: int = 0) -> list[ledger.Row]:
    """The ledger rows of both baselines: per cent (SRCC: -1…1), with the bootstrap interval over photos."""
    found = []
    for name, score in (("largest crop", largest_crop), ("mean MOS of the position", PositionPrior(training))):
        start = time.perf_counter()
        for column, values in evaluate(test, score).items():
            unit = 1 if column == "SRCC" else 100
            interval = [unit * value for value in metrics.bootstrap_interval(values, seed=seed)]
            printed = PRINTED.get((name, column)) if test.name == "gaicd" else None
            found.append(
                ledger.Row(
                    paper=NAME,
                    table=PRINTED_IN if printed is not None else "content-blind baselines",
                    row=name,
                    column=column,
                    dataset=test.name,
                    split=test.split,
                    paper_value=printed,
                    ours=round(interval[0], 4),
                    low=round(interval[1], 4),
                    high=round(interval[2], 4),
                    images=len(test),
                    device="CPU",
                    minutes=round((time.perf_counter() - start) / 60, 3),
                    command=command,
                    commit=ledger.current_commit(),
                    verdict="measured" if printed is None else ledger.verdict(printed, *interval),
                    note="annotations only; no photo is looked at",
                )
            )
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure both baselines, write their rows and print them."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.baselines", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="gaicd", help="gaicd, gaicd_v2 or scenes (default: gaicd)")
    parser.add_argument("--root", default=None, help="the dataset's folder (default: below $CROPNB_DATA)")
    options = parser.parse_args(arguments)
    splits = [datasets.load(options.dataset, split=split, root=options.root) for split in ("train", "test")]
    command = "python -m cropnb.baselines" + (f" --dataset {options.dataset}" if options.dataset != "gaicd" else "")
    measured = rows(*splits, command)
    ledger.record(NAME, measured)
    for row in measured:
        printed = "" if row.paper_value is None else f"   printed {row.paper_value}: {row.verdict}"
        print(f"{row.row:26}{row.column:24}{row.ours:9.3f}  [{row.low:.3f}, {row.high:.3f}]{printed}")


if __name__ == "__main__":
    main()
