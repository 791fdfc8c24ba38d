"""How well a set of candidates covers the crops that a person might want.

Run `python -m cropnb.coverage` to measure it on GAICD's annotations and on the FCDB photos that are
on this disk, and to write the rows of `book/results/candidates.json`. Taught in
`book/foundations/crops.ipynb`.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import candidates, datasets, ledger, metrics
from cropnb.datasets.base import CropDataset
from cropnb.errors import BoxError

NAME = "candidates"
COMMAND = "python -m cropnb.coverage"
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
    """Boxes (count, 4) in pixels, drawn evenly from all boxes of a class.

    The class: `min_area` <= share of the photo's area <= `max_area`, and `min_aspect` <= w / h <=
    `max_aspect`. Drawn by rejection. Raises BoxError where no box, or hardly any, belongs to the
    class.
    """
    generator = torch.Generator().manual_seed(seed)
    kept, found = [], 0
    for _ in range(1000):
        corners = (
            torch.rand(20_000, 2, 2, generator=generator, dtype=torch.double)
            .sort(dim=1)
            .values.flatten(1)
        )
        sides = corners[:, 2:] - corners[:, :2]
        share, ratio = sides.prod(1), sides[:, 0] * width / (sides[:, 1] * height)
        inside = (
            (share >= min_area)
            & (share <= max_area)
            & (ratio >= min_aspect)
            & (ratio <= max_aspect)
        )
        kept.append(corners[inside])
        found += int(inside.sum())
        if found >= count:
            return box_math.denormalize(torch.cat(kept)[:count], width, height)
    raise BoxError(f"only {found} of {20_000_000} random boxes are of this class: widen its limits")


def nearest_iou(boxes: Tensor, choice: Tensor) -> Tensor:
    """The IoU (N,) of each box (N, 4) with the candidate of `choice` (M, 4) that overlaps it best."""
    return box_math.pairwise_iou(boxes.double(), choice.double()).amax(1)


def files_that_follow(dataset: CropDataset, **limits: float) -> Tensor:
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


def rule_rows(splits: list[CropDataset]) -> list[ledger.Row]:
    """For each reading of the grid-anchor rule, how many of the annotated photos follow it to the
    pixel.
    """
    readings = {
        "0.5 ≤ w/h ≤ 2.2, the limits kept": {},
        "0.5 ≤ w/h ≤ 2, as in the published code": {"max_aspect": 2},
        "no limit on w/h": {"min_aspect": 0.01, "max_aspect": 100},
    }
    return [
        _row(
            "grid-anchor rule",
            reading,
            "photos whose boxes follow",
            float(torch.cat([files_that_follow(split, **limits) for split in splits]).sum()),
            dataset=splits[0].name,
            split=" and ".join(split.split for split in splits),
            images=sum(map(len, splits)),
            note="annotations only; the photos' sizes are read from the boxes",
        )
        for reading, limits in readings.items()
    ]


def coverage_rows(dataset: CropDataset, seed: int = 0) -> list[ledger.Row]:
    """How near the nearest candidate comes to the true box of a photo: the best that a method could
    choose.
    """
    rows = []
    for family, make in FAMILIES.items():
        best = torch.stack([nearest_iou(s.boxes, make(*s.size)).max() for s in dataset.samples])
        for column, values in (
            ("IoU of the nearest", best),
            ("share with IoU ≥ 0.85", (best >= 0.85).double()),
        ):
            interval = metrics.bootstrap_interval(values, seed=seed)
            mean, low, high = (round(value, 4) for value in interval)
            where = {"dataset": dataset.name, "split": dataset.split, "images": len(dataset)}
            rows.append(_row("coverage", family, column, mean, low=low, high=high, **where))
    return rows


def _row(table: str, row: str, column: str, ours: float, **more: object) -> ledger.Row:
    base = {
        "device": "CPU",
        "command": COMMAND,
        "commit": ledger.current_commit(),
        "verdict": "measured",
    }
    return ledger.Row(paper=NAME, table=table, row=row, column=column, ours=ours, **base, **more)


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the rows and print them."""
    argparse.ArgumentParser(prog=COMMAND, description=__doc__.splitlines()[0]).parse_args(arguments)
    rows = rule_rows([datasets.load("gaicd", split=split) for split in ("train", "test")])
    rows += coverage_rows(datasets.load("fcdb", split="test").with_photos())
    ledger.record(NAME, rows)
    for row in rows:
        print(f"{row.row:42}{row.column:28}{row.ours:9.3f}   {row.images} photos")


if __name__ == "__main__":
    main()
