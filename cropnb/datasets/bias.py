"""Where people's preferred crops lie in the photo, whatever is on it:
`python -m cropnb.datasets.bias --record`.

For each dataset whose annotations are on this disk the four edges of the preferred crops, as shares
of the photo's width and height, and what share of it they keep: quartiles, in
`book/results/position_bias.json`. ASM-Net calls it spatial bias.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cropnb import datasets, ledger
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.rows import number

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
    """The crops (N, 4) that people chose: all true boxes, or the candidates of highest score."""
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
    sized = [(sample, size) for sample in dataset if (size := extent(sample)) is not None]
    if not sized:
        return torch.zeros(0, 5), 0
    boxes = torch.cat(
        [preferred(sample) / torch.tensor([*size, *size]) for sample, size in sized]
    )  # (crops, 4)
    share = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1, keepdim=True)  # (crops, 1)
    return torch.cat([boxes, share], dim=1), len(sized)


def rows(context: Context, dataset: CropDataset) -> list[ledger.Row]:
    """The quartiles of each edge as rows; none where no photo's size is known."""
    table, photos = edges(dataset)
    if not photos:
        return []
    note = f"{len(table)} crops"
    return [
        number(
            context.on(dataset),
            TABLE,
            row,
            column,
            ours=round(values.quantile(level).item(), 4),
            images=photos,
            note=note,
        )
        for column, values in zip(EDGES, table.double().unbind(dim=1), strict=True)
        for row, level in QUARTILES.items()
    ]


def load(name: str) -> CropDataset:
    """A dataset's part of `SPLITS`; of FCDB, which says no sizes, the photos that are on this disk.

    Raises:
        CropnbError: it isn't on this disk.
    """
    if name != "fcdb":
        return datasets.load(name, SPLITS[name])
    try:
        return datasets.load(name, SPLITS[name]).with_photos()
    except CropnbError:
        return datasets.load(name, "test").with_photos()


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    for name in SPLITS:
        try:
            dataset = load(name)
        except CropnbError as missing:
            print(f"without {name}: {missing}")
            continue
        yield rows(context, dataset)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("datasets.bias", __doc__)
    context = Context(NAME, ledger.SCENES, arguments=(), module="cropnb.datasets.bias")
    return program.study(_measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
