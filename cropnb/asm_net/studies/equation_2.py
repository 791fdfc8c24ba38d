"""How far (Eq. 2) lies from (Eq. 1), of which it is called an efficient form.

`python -m cropnb.asm_net.studies.equation_2 --record` pools the windows of test scenes by each rule
of `pooling.RULES`, from maps that the shipped network draws in the photo's resolution: a minute on
one core.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cropnb import candidates, croppers, datasets, files
from cropnb.asm_net.cropper import AsmCropper, load_cropper
from cropnb.asm_net.model import prepare
from cropnb.asm_net.pooling import composition_pool
from cropnb.ledger import SCENES, Row
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.rows import measured

TABLE = "equation 2"
ROWS = {
    "cells": "cells of whole pixels, each counted the same",
    "area": "cells of equal area",
}
COLUMNS = (
    "mean gap, % of the deviation",
    "largest gap, % of the deviation",
    "pairs in another order, %",
    "same best, %",
)


def compare(cropper: AsmCropper, image: Tensor) -> dict[str, tuple[float, ...]]:
    """A value for each of `COLUMNS`, for each of `ROWS`, over the windows of one photo (3, H, W).

    Gaps are between a crop's scores by the rule and by (Eq. 1), in per cent of the deviation of the
    latter over the photo's windows.
    """
    photo = prepare(image)[None]
    height, width = photo.shape[-2:]
    with torch.inference_mode():
        levels = cropper.model.levels(photo.contiguous(memory_format=torch.channels_last))
        score_map = cropper.model.head(levels, (height, width))[0].contiguous()  # (L, H, W)
    windows = candidates.sliding_windows(width, height).round()  # (N, 4)
    exact = composition_pool(score_map, windows, cropper.pattern, rule="pixels").double()  # (N,)
    order = (exact[:, None] > exact).int()  # (N, N)
    pairs = len(windows) * (len(windows) - 1)
    values = {}
    for rule in ROWS:
        other = composition_pool(score_map, windows, cropper.pattern, rule=rule).double()  # (N,)
        gap = 100 * (other - exact).abs() / exact.std(correction=0)
        reordered = 100 * ((other[:, None] > other).int() - order).abs().sum() / pairs
        same_best = 100.0 * float(other.argmax() == exact.argmax())
        values[rule] = (float(gap.mean()), float(gap.max()), float(reordered), same_best)
    return values


def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[Row]]:
    """The rows of both rules."""
    cropper = load_cropper()
    samples = datasets.load(SCENES, "test", form="cpc", size=chosen.photos).samples
    photos = [compare(cropper, sample.image()) for sample in samples]
    fields = {
        "note": f"899 windows a photo of 3:2, {cropper.pattern.name}, map in the photo's "
        "resolution, against equation 1",
        "checkpoint_hash": files.file_hash(croppers.shipped("asm_net", "scenes")),
    }
    yield [
        measured(context, TABLE, name, column, [photo[rule][i] for photo in photos], **fields)
        for rule, name in ROWS.items()
        for i, column in enumerate(COLUMNS)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("asm_net.studies.equation_2", __doc__)
    options.add_argument(
        "--photos", type=int, default=100, help="test scenes (default: %(default)s)"
    )
    module = "cropnb.asm_net.studies.equation_2"
    context = Context("asm_net", SCENES, arguments=(), module=module)
    return program.study(measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
