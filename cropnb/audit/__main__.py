"""`python -m cropnb.audit --record`: measure the audit and write the ledger file `audit`."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from cropnb import datasets, ledger, program, reproduction
from cropnb.audit import curves, rows, tolerance
from cropnb.datasets.base import CropDataset
from cropnb.errors import DatasetMissing

NAME = "audit"
PARTS = ("blind", "matching", "shares", "trained", "epochs", "curves")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit status; a typed error is printed in one line."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.audit", description=__doc__)
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help="; ".join(PARTS),
    )
    parser.add_argument(
        "--datasets", nargs="+", default=["gaicd", "scenes"], help="scored datasets (%(default)s)"
    )
    parser.add_argument(
        "--runs", default="runs", help="folder of training runs, for best-epoch selection"
    )
    parser.add_argument("--record", action="store_true", help="write the rows into the ledger")
    return program.run(_main, parser, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    for part in options.parts:
        for found in _measure(part, options, arguments):
            for row in found:
                span = "" if row.low is None else f" [{row.low:.3f}, {row.high:.3f}]"
                value = row.verdict if row.ours is None else f"{row.ours:.3f}{span}"
                print(
                    f"{row.dataset:9} {row.table} · {row.row} · {row.column}: {value}", flush=True
                )
            if options.record:
                ledger.record(NAME, found)
    return 0


def _measure(
    part: str, options: argparse.Namespace, arguments: list[str]
) -> Iterable[list[ledger.Row]]:
    if part == "shares":
        yield rows.share_rows(_context("printed tables", arguments))
        return
    if part == "epochs":
        yield rows.epoch_rows(_context("scenes", arguments), Path(options.runs))
        return
    if part == "trained":
        test = _load("scenes", "test")
        yield rows.trained_rows(_context("scenes", arguments), test, tolerance.predictions(test))
        return
    for name in options.datasets:
        try:
            training, test = (_load(name, split) for split in ("train", "test"))
        except DatasetMissing as missing:
            print(f"without {name}: {missing}")
            continue
        context = _context(name, arguments)
        if part == "curves":
            found = curves.measure(
                training, test, tolerance.predictions(test) if name == "scenes" else {}
            )
            print(f"{name:9} {len(found)} curves", flush=True)
            if options.record:
                curves.write(name, found, context, len(test))
            continue
        measure = {"blind": rows.blind_rows, "matching": rows.matching_rows}[part]
        yield measure(context, training, test)
    if part == "blind":
        yield rows.reach_rows(
            _context("scenes", arguments), datasets.load("scenes", "test", form="flms")
        )


def _load(name: str, split: str) -> CropDataset:
    return (
        datasets.load(name, split, form="gaicd") if name == "scenes" else datasets.load(name, split)
    )


def _context(dataset: str, arguments: Sequence[str], split: str = "test") -> reproduction.Context:
    return reproduction.Context(
        NAME, dataset, arguments, split=split, device=program.device_name("cpu")
    )


if __name__ == "__main__":
    sys.exit(main())
