"""How far equation 2 lies from equation 1, of which it is called an efficient form.

`python -m cropnb.asm_net.rules --record` pools the windows of test scenes by each rule of
`pooling.RULES`, from maps that the shipped network draws in the photo's resolution: a minute on one
core.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from cropnb import candidates, croppers, datasets, files, ledger, program, reproduction
from cropnb.asm_net.cropper import AsmCropper, load_cropper
from cropnb.asm_net.photos import prepare
from cropnb.asm_net.pooling import composition_pool

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

    Gaps are between a crop's scores by the rule and by equation 1, in per cent of the deviation of
    the latter over the photo's windows.
    """
    photo = prepare(image)[None]
    height, width = photo.shape[-2:]
    with torch.inference_mode():
        levels = cropper.model.levels(photo.contiguous(memory_format=torch.channels_last))
        score_map = cropper.model.head(levels, (height, width))[0].contiguous()
    windows = candidates.sliding_windows(width, height).round()
    first = composition_pool(score_map, windows, cropper.pattern, rule="pixels").double()
    order = (first[:, None] > first).int()
    found = {}
    for rule in ROWS:
        other = composition_pool(score_map, windows, cropper.pattern, rule=rule).double()
        gap = 100 * (other - first).abs() / first.std(correction=0)
        turned = ((other[:, None] > other).int() - order).abs().sum() / (
            len(windows) * (len(windows) - 1)
        )
        same = float(other.argmax() == first.argmax())
        found[rule] = (float(gap.mean()), float(gap.max()), 100 * float(turned), 100 * same)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and record when asked to. Returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m cropnb.asm_net.rules", description=__doc__)
    options.add_argument(
        "--photos", type=int, default=100, help="test scenes (default: %(default)s)"
    )
    options.add_argument("--record", action="store_true", help="write the rows into the ledger")
    return program.run(_main, options, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    cropper = load_cropper()
    samples = datasets.load("scenes", "test", form="cpc", size=options.photos).samples
    found = [compare(cropper, sample.image()) for sample in samples]
    context = reproduction.Context("asm_net", "scenes", arguments, "cropnb.asm_net.rules")
    note = f"899 windows a photo of 3:2, {cropper.pattern.name}, map in the photo's resolution, against equation 1"
    hashed = files.file_hash(croppers.shipped("asm_net"))
    rows = [
        reproduction.measured(
            context,
            TABLE,
            name,
            column,
            [photo[rule][i] for photo in found],
            note=note,
            checkpoint_hash=hashed,
        )
        for rule, name in ROWS.items()
        for i, column in enumerate(COLUMNS)
    ]
    for row in rows:
        print(f"{row.row}, {row.column}: {row.ours:.3g} [{row.low:.3g}, {row.high:.3g}]")
    if options.record:
        ledger.record("asm_net", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
