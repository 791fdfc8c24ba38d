"""How well a set of candidates covers the crops that a person might want.

`python -m cropnb.coverage --record` measures it on GAICD's annotations and on the FCDB photos that
are on this disk, and writes the rows of `book/results/candidates.json`. Taught in
`book/foundations/crops.ipynb`.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import candidates, datasets, ledger
from cropnb.datasets.base import CropDataset
from cropnb.errors import BoxError
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.rows import measured, number

NAME = "candidates"
FAMILIES: dict[str, Callable[[int, int], Tensor]] = {
    "grid anchors": candidates.grid_anchors,
    "sliding windows": candidates.sliding_windows,
}


def random_boxes(
    count: int,
    width: int,
    height: int,
    *,
    min_area: float = 0.5,
    max_area: float = 1.0,
    min_aspect: float = 0.5,
    max_aspect: float = 2.2,
    seed: int = 0,
) -> Tensor:
    """Boxes drawn evenly from all boxes of a class, by rejection.

    Args:
        count: how many boxes.
        width: of the photo, in pixels.
        height: of the photo, in pixels.
        min_area: smallest share of the photo's area.
        max_area: largest share of the photo's area.
        min_aspect: smallest w / h.
        max_aspect: largest w / h.
        seed: the same seed gives the same boxes.

    Returns:
        (count, 4) in pixels.

    Raises:
        BoxError: no box, or hardly any, belongs to the class.
    """
    rng = torch.Generator().manual_seed(seed)
    accepted, total = [], 0
    for _ in range(1000):
        corners = (
            torch.rand(20_000, 2, 2, generator=rng, dtype=torch.double)
            .sort(dim=1)
            .values.flatten(1)
        )  # (20 000, 4)
        sides = corners[:, 2:] - corners[:, :2]
        share, ratio = sides.prod(1), sides[:, 0] * width / (sides[:, 1] * height)
        inside = (
            (share >= min_area)
            & (share <= max_area)
            & (ratio >= min_aspect)
            & (ratio <= max_aspect)
        )
        accepted.append(corners[inside])
        total += int(inside.sum())
        if total >= count:
            return box_math.denormalize(torch.cat(accepted)[:count], width, height)
    raise BoxError(f"only {total} of {20_000_000} random boxes are of this class: widen its limits")


def nearest_iou(boxes: Tensor, choice: Tensor) -> Tensor:
    """The IoU (N,) of each box (N, 4) with the one of `choice` (M, 4) that overlaps it best."""
    return box_math.pairwise_iou(boxes.double(), choice.double()).amax(1)


def files_that_follow(dataset: CropDataset, **limits: float | Fraction) -> Tensor:
    """Whether (photos,) the annotated boxes of each photo are just those of `grid_anchors` with
    these limits.
    """
    return torch.tensor(
        [
            {tuple(box) for box in candidates.grid_anchors(*sample.size, **limits).tolist()}
            == {tuple(box) for box in sample.boxes.tolist()}
            for sample in dataset.samples
        ]
    )


def rule_rows(context: Context, splits: Sequence[CropDataset]) -> list[ledger.Row]:
    """For each reading of the grid-anchor rule, how many of the annotated photos follow it to the
    pixel.
    """
    # So little that nothing but the limits themselves drops out.
    inside = Fraction(1, 10**7)
    readings: dict[str, dict[str, float | Fraction]] = {
        "0.5 ≤ w/h ≤ 2.2, the limits kept": {},
        "0.5 < w/h < 2, as in the published code": {
            "min_aspect": Fraction(1, 2) + inside,
            "max_aspect": 2 - inside,
        },
        "no limit on w/h": {"min_aspect": 0.01, "max_aspect": 100},
    }
    context = replace(
        context, dataset=splits[0].name, split=" and ".join(split.split for split in splits)
    )
    return [
        number(
            context,
            "grid-anchor rule",
            reading,
            "photos whose boxes follow",
            float(torch.cat([files_that_follow(split, **limits) for split in splits]).sum()),
            images=sum(map(len, splits)),
            note="annotations only; the photos' sizes are read from the boxes",
        )
        for reading, limits in readings.items()
    ]


def coverage_rows(
    context: Context, dataset: CropDataset, listed: int | None = None
) -> list[ledger.Row]:
    """How near the nearest candidate comes to the true box of a photo, the best that a method could
    choose, and by how much the families differ, photo by photo.

    Args:
        context: what the rows share.
        dataset: the photos.
        listed: photos that the dataset's list has; where some of them are gone, the intervals are
            widened for them.
    """
    columns: dict[str, dict[str, Tensor]] = {"IoU of the nearest": {}, "share with IoU ≥ 0.85": {}}
    for family, make in FAMILIES.items():
        best = torch.stack([nearest_iou(s.boxes, make(*s.size)).max() for s in dataset.samples])
        for column, values in zip(columns, (best, (best >= 0.85).double()), strict=True):
            columns[column][family] = values  # (photos,)
    anchors, windows = FAMILIES
    for of in columns.values():
        of[f"{windows} less {anchors}"] = of[windows] - of[anchors]
    return [
        measured(context.on(dataset), "coverage", row, column, of[row], listed=listed)
        for row in (*FAMILIES, f"{windows} less {anchors}")
        for column, of in columns.items()
    ]


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    yield rule_rows(context, [datasets.load("gaicd", split=split) for split in ("train", "test")])
    whole = datasets.load("fcdb", split="test")
    yield coverage_rows(context, whole.with_photos(), len(whole))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    context = Context(NAME, "gaicd", arguments=(), module="cropnb.coverage", device="CPU")
    return program.study(_measure, program.parser("coverage", __doc__), context, arguments)


if __name__ == "__main__":
    sys.exit(main())
