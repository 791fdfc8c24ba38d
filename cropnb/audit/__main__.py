"""`python -m cropnb.audit --record`: measure the audit and write the ledger file `audit`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cropnb import datasets, ledger
from cropnb.audit import curves, pixels, rows, tolerance
from cropnb.datasets.base import CropDataset
from cropnb.errors import DatasetMissing
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name

NAME = "audit"
PARTS = ("blind", "matching", "pixels", "shares", "trained", "epochs", "curves")
V2 = "v2"  # the covering anchors alone, on scenes in GAICD v2's form
ROWS = {
    "blind": rows.blind_rows,
    "matching": rows.matching_rows,
    "pixels": lambda context, training, test: pixels.random_rows(context, test),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit status; a typed error is printed in one line."""
    options = program.parser(NAME, __doc__)
    options.add_argument(
        "--parts",
        nargs="+",
        choices=(*PARTS, V2),
        default=PARTS,
        metavar="PART",
        help="; ".join((*PARTS, V2)),
    )
    options.add_argument(
        "--datasets", nargs="+", default=["gaicd", ledger.SCENES], help="scored datasets"
    )
    options.add_argument(
        "--runs", default="runs", help="folder of training runs, for best-epoch selection"
    )
    context = Context(NAME, ledger.SCENES, arguments=(), device=device_name("cpu"))
    return program.study(_measure, options, context, arguments)


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    """The rows of each part and dataset; the curves go into a file of their own."""
    for part in chosen.parts:
        if part == "shares":
            yield rows.share_rows(replace(context, dataset="printed tables"))
        elif part == V2:
            splits = (
                datasets.load(ledger.SCENES, name, form="gaicd_v2") for name in ("train", "test")
            )
            yield rows.covering_rows(context, *splits)
        elif part == "epochs":
            yield rows.epoch_rows(context, Path(chosen.runs))
        elif part == "trained":
            training, test = (_load(ledger.SCENES, split) for split in ("train", "test"))
            yield rows.trained_rows(context, training, test, tolerance.predictions(test))
        else:
            yield from _scored(part, chosen, context)


def _scored(part: str, chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    """A part that measures every scored dataset that is on this disk."""
    for name in chosen.datasets:
        try:
            training, test = (_load(name, split) for split in ("train", "test"))
        except DatasetMissing as missing:
            print(f"without {name}: {missing}")
            continue
        here = replace(context, dataset=name)
        if part in ROWS:
            yield ROWS[part](here, training, test)
            continue
        predictions = tolerance.predictions(test) if name == ledger.SCENES else {}
        measured = curves.measure(training, test, predictions)
        print(f"{name}: {len(measured)} curves", flush=True)
        if chosen.record:
            curves.write(name, measured, here, len(test))
    if part == "blind":
        drawn = datasets.load(ledger.SCENES, "test", form="flms")
        yield rows.reach_rows(context, drawn)


def _load(name: str, split: str) -> CropDataset:
    options = {"form": "gaicd"} if name == ledger.SCENES else {}
    return datasets.load(name, split, **options)


if __name__ == "__main__":
    sys.exit(main())
