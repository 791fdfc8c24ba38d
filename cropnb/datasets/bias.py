"""Where people's preferred crops lie in the photo, whatever is on it:
`python -m cropnb.datasets.bias --record`.

For each dataset whose annotations are on this disk the four edges of the preferred crops, as shares
of the photo's width and height, and what share of it they keep: quartiles, in
`book/results/position_bias.json`. ASM-Net calls it spatial bias.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from cropnb import datasets, ledger, program, reproduction
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError

NAME = "position_bias"
TABLE = "edges of preferred crops"
EDGES = ("left", "top", "right", "bottom", "share kept")
QUARTILES = {"lower quarter": 0.25, "median": 0.5, "upper quarter": 0.75}
SPLITS = {
    "gaicd": "train",
    "gaicd_v2": "train",
    "cpc": "all",
    "fcdb": "train",
    "flms": "test",
    "fat": "train",
}


def preferred(sample: Sample) -> Tensor:
    """The crops (N, 4) that people chose: all true boxes, or the candidates of the highest score."""
    return (
        sample.boxes
        if sample.scores is None
        else sample.boxes[sample.scores == sample.scores.max()]
    )


def extent(sample: Sample) -> tuple[float, float] | None:
    """Width and height of a photo: known, or taken from ten people's boxes; None where neither can
    be had.

    Where many people crop a photo, some go up to its border, so the farthest edges are its size or
    a little less.
    """
    if sample.width is not None and sample.height is not None:
        return sample.width, sample.height
    if len(sample.boxes) < 8:
        return None
    right, bottom = sample.boxes[:, 2:].amax(dim=0).tolist()
    return right, bottom


def edges(dataset: CropDataset) -> tuple[Tensor, int]:
    """Edges and kept share (crops, 5) of all preferred crops, and how many photos they are on."""
    found, photos = [], 0
    for sample in dataset:
        size = extent(sample)
        if size is None:
            continue
        photos += 1
        boxes = preferred(sample) / torch.tensor([*size, *size])
        kept = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1, keepdim=True)
        found.append(torch.cat([boxes, kept], dim=1))
    return (torch.cat(found), photos) if found else (torch.zeros(0, 5), 0)


def rows(dataset: CropDataset, arguments: Sequence[str]) -> list[ledger.Row]:
    """The quartiles of each edge as rows; none where no photo's size is known."""
    table, photos = edges(dataset)
    if not photos:
        return []
    context = reproduction.Context(
        NAME, dataset.name, arguments, module="cropnb.datasets.bias", split=dataset.split
    )
    found = []
    for column, values in zip(EDGES, table.double().unbind(dim=1), strict=True):
        for row, level in QUARTILES.items():
            value = round(values.quantile(level).item(), 4)
            found.append(
                reproduction.number(
                    context, TABLE, row, column, value, photos, note=f"{len(table)} crops"
                )
            )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.datasets.bias", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the rows into the ledger")

    def measure(chosen: argparse.Namespace, told: list[str]) -> int:
        for name, split in SPLITS.items():
            try:
                dataset = datasets.load(name, split)
                dataset = dataset.with_photos() if name == "fcdb" else dataset
            except CropnbError:
                if name != "fcdb":
                    continue
                try:
                    dataset = datasets.load(name, "test").with_photos()
                except CropnbError:
                    continue
            found = rows(dataset, told)
            for row in found:
                print(
                    f"{row.dataset:9} {row.column:11} {row.row:14} {row.ours:.3f}  ({row.images} "
                    "photos)"
                )
            if chosen.record and found:
                ledger.record(NAME, found)
        return 0

    return program.run(measure, parser, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
