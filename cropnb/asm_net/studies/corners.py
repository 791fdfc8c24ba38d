"""Do the best crops reach further into the corners? What Figure 7 says, measured on annotations
alone.

`python -m cropnb.asm_net.studies.corners --record` measures scenes and, where its annotations are
on this disk, GAICD: half a minute on one core. No photo is needed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cropnb import candidates, datasets
from cropnb.datasets.base import Sample
from cropnb.errors import DatasetMissing
from cropnb.ledger import SCENES, Row
from cropnb.runs import program
from cropnb.runs.claims import claim
from cropnb.runs.context import Context
from cropnb.runs.rows import measured

QUARTER = 0.25
WORTH_HAVING = 1.0  # points between the best and the worst quarter, as for every other share
Measure = Callable[[Tensor, int, int], Tensor]


def corners_reached(boxes: Tensor, width: int, height: int, bins: int = 12) -> Tensor:
    """The share of the photo's four corners that a crop reaches: (N, 4) → (N,), each 0, 1/4 … 1.

    A crop reaches a corner when its own corner lies in the outermost cell of a bins × bins grid.
    GAICD's crops begin at the cells' centres, so that none of them covers a corner, and this is as
    near as one can come.
    """
    left, top, right, bottom = candidates.cells_of(boxes, width, height, bins=bins).unbind(-1)
    beside = torch.stack([left == 0, right == bins - 1])  # (2, N)
    over = torch.stack([top == 0, bottom == bins - 1])  # (2, N)
    return (beside[:, None] & over[None]).flatten(0, 1).float().mean(0)


def area_share(boxes: Tensor, width: int, height: int) -> Tensor:
    """The share of the photo that a crop keeps: (N, 4) → (N,)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (width * height)


def off_centre(boxes: Tensor, width: int, height: int) -> Tensor:
    """How far a crop's centre lies from the photo's, as a share of the photo's diagonal: (N, 4) →
    (N,).
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - boxes.new_tensor([width / 2, height / 2])
    return centre.norm(dim=-1) / (width**2 + height**2) ** 0.5


MEASURES: dict[str, Measure] = {
    "corners reached, %": corners_reached,
    "area kept, %": area_share,
    "centre off the photo's, % of the diagonal": off_centre,
}


def best_and_worst(
    sample: Sample, measure: Measure, same_size: bool = False
) -> tuple[float, float] | None:
    """The mean of a measure over the best and over the worst scored quarter of a photo's crops, in
    per cent.

    Args:
        same_size: look only at the third of the crops that is neither large nor small, so that size
            explains less.

    Returns:
        Both, or None where a quarter would hold no crop.
    """
    width, height = sample.size
    boxes, scores = sample.boxes, sample.scores
    if same_size:
        areas = area_share(boxes, width, height)
        low, high = areas.quantile(1 / 3), areas.quantile(2 / 3)
        middling = (areas >= low) & (areas <= high)
        boxes, scores = boxes[middling], scores[middling]
    count = int(QUARTER * len(scores))
    if count == 0:
        return None
    order = scores.argsort(descending=True, stable=True)
    values = 100 * measure(boxes, width, height)[order]
    return float(values[:count].mean()), float(values[-count:].mean())


def rows(context: Context, samples: Sequence[Sample]) -> list[Row]:
    """The rows of Figure 7 on one dataset: best and worst quarter of each photo's crops, and their
    difference.
    """
    rows = []
    for same_size in (False, True):
        suffix = ", crops of middling size" if same_size else ""
        for name, measure in MEASURES.items():
            pairs = [best_and_worst(sample, measure, same_size) for sample in samples]
            best, worst = zip(*(pair for pair in pairs if pair is not None), strict=True)
            rows += [
                measured(context, "Figure 7", f"{which}{suffix}", name, list(values))
                for which, values in (("best quarter", best), ("worst quarter", worst))
            ]
            if measure is corners_reached:
                rows.append(
                    claim(
                        context,
                        f"high scores reach the corners{suffix}",
                        name,
                        best,
                        worst,
                        table="Figure 7",
                        worth_having=WORTH_HAVING,
                        note="best less worst quarter of a photo's crops, in points; "
                        f"{context.dataset}",
                    )
                )
    return rows


def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[Row]]:
    """The rows of each dataset whose annotations are on this disk."""
    for dataset in (SCENES, "gaicd"):
        try:
            form = {"form": "gaicd"} if dataset == SCENES else {}
            samples = list(datasets.load(dataset, "train", **form).samples)
        except DatasetMissing as missing:
            print(f"without {dataset}: {missing}")
            continue
        yield rows(replace(context, dataset=dataset), samples)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("asm_net.studies.corners", __doc__)
    module = "cropnb.asm_net.studies.corners"
    context = Context("asm_net", SCENES, arguments=(), module=module, split="train")
    return program.study(measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
