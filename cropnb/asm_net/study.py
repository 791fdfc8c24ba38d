"""Do the best crops reach further into the corners? What Figure 7 says, measured on annotations
alone.

`python -m cropnb.asm_net.study --record` measures scenes and, where its annotations are on this
disk, GAICD: half a minute on one core. No photo is needed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cropnb import candidates, datasets, ledger, program, reproduction
from cropnb.datasets.base import Sample
from cropnb.errors import DatasetMissing

QUARTER = 0.25
Measure = Callable[[Tensor, int, int], Tensor]


def corners_reached(boxes: Tensor, width: int, height: int, bins: int = 12) -> Tensor:
    """The share of the photo's four corners that a crop reaches: (N, 4) → (N,), each 0, 1/4 … 1.

    A crop reaches a corner when its own corner lies in the outermost cell of a bins × bins grid.
    GAICD's crops begin at the cells' centres, so that none of them covers a corner, and this is as
    near as one can come.
    """
    left, top, right, bottom = candidates.cells_of(boxes, width, height, bins=bins).unbind(-1)
    beside, over = (
        torch.stack([left == 0, right == bins - 1]),
        torch.stack([top == 0, bottom == bins - 1]),
    )
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

    same_size: look only at the third of the crops that is neither large nor small, so that size
        explains less. None
        where a quarter would hold no crop.
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


def rows(
    dataset: str, samples: Sequence[Sample], context: reproduction.Context
) -> list[ledger.Row]:
    """The rows of Figure 7 on one dataset: best and worst quarter of each photo's crops, and their
    difference.
    """
    found = []
    for same_size in (False, True):
        suffix = ", crops of middling size" if same_size else ""
        for name, measure in MEASURES.items():
            pairs = [best_and_worst(sample, measure, same_size) for sample in samples]
            best, worst = zip(*(pair for pair in pairs if pair is not None), strict=True)
            found += [
                reproduction.measured(context, "Figure 7", f"{which}{suffix}", name, list(values))
                for which, values in (("best quarter", best), ("worst quarter", worst))
            ]
            if measure is corners_reached:
                note = f"best less worst quarter of a photo's crops, in points; {dataset}"
                claim = f"high scores reach the corners{suffix}"
                found.append(
                    reproduction.claim(
                        context, claim, name, best, worst, table="Figure 7", note=note
                    )
                )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is here, and record it when asked to. Returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m cropnb.asm_net.study", description=__doc__)
    options.add_argument("--record", action="store_true", help="write the rows into the ledger")
    return program.run(_main, options, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    for dataset in ("scenes", "gaicd"):
        try:
            form = {"form": "gaicd"} if dataset == "scenes" else {}
            samples = list(datasets.load(dataset, "train", **form).samples)
        except DatasetMissing as missing:
            print(f"without {dataset}: {missing}")
            continue
        context = reproduction.Context(
            "asm_net", dataset, arguments, "cropnb.asm_net.study", split="train"
        )
        found = rows(dataset, samples, context)
        for row in found:
            print(
                f"{dataset}, {row.row}, {row.column}: {row.ours:.3g} [{row.low:.3g}, "
                f"{row.high:.3g}] {row.verdict}"
            )
        if options.record:
            ledger.record("asm_net", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
