"""Composed Scenes from the shell: reference rows and contact sheets."""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cropnb import ledger
from cropnb.datasets.scenes import SIZES, describe, draw
from cropnb.datasets.scenes.reference import NAME, columns, gap_closed, ledger_rows, reference


def contact_sheet(
    split: str = "train", seed: int = 0, first: int = 0, across: int = 6, down: int = 4
) -> Image.Image:
    """The photographs of `across` × `down` scenes side by side, each in a cell of 240 × 180 pixels."""
    sheet = Image.new("RGB", (across * 240, down * 180), "white")
    for place in range(across * down):
        photo = Image.fromarray(draw(describe(seed, first + place, split)))
        photo.thumbnail((232, 172))
        x, y = (
            place % across * 240 + (240 - photo.width) // 2,
            place // across * 180 + (180 - photo.height) // 2,
        )
        sheet.paste(photo, (x, y))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; see `python -m cropnb.datasets.scenes --help`."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m cropnb.datasets.scenes", description=__doc__)
    parser.add_argument(
        "--reference", action="store_true", help="measure the reference rows and record them"
    )
    parser.add_argument(
        "--form", choices=list(SIZES), action="append", help="only this form; may be repeated"
    )
    parser.add_argument(
        "--train",
        type=int,
        help="training photos (default: the standard size, and only then recorded)",
    )
    parser.add_argument(
        "--test", type=int, help="test photos (default: the standard size, and only then recorded)"
    )
    parser.add_argument("--sheet", type=Path, metavar="OUT.png", help="write a contact sheet")
    parser.add_argument(
        "--split", default="train", choices=("train", "val", "test"), help="of the contact sheet"
    )
    parser.add_argument("--first", type=int, default=0, help="first scene of the contact sheet")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if not options.reference and options.sheet is None:
        parser.error("nothing to do: give --reference or --sheet OUT.png")
    if options.sheet is not None:
        contact_sheet(options.split, options.seed, options.first).save(options.sheet)
        print(f"wrote {options.sheet}")
    if options.reference:
        command = shlex.join(["python", "-m", "cropnb.datasets.scenes", *arguments])
        for form in options.form or SIZES:
            _measure(form, options, command)


def _measure(form: str, options: argparse.Namespace, command: str) -> None:
    start = time.perf_counter()
    rows = reference(form, options.train, options.test, options.seed)
    for name, table in rows.items():
        print(
            f"{form:9} {name:20}",
            "  ".join(f"{column} {values.mean():.3f}" for column, values in table.items()),
        )
    closed = {column: gap_closed(rows, column) for column in columns(rows)}
    print(
        f"{form:9} gap closed by prior ",
        "  ".join(f"{column} {100 * gap.mean:.1f} %" for column, gap in closed.items()),
    )
    if options.train is None and options.test is None and options.seed == 0:
        minutes = round((time.perf_counter() - start) / 60, 2)
        ledger.record(NAME, ledger_rows(form, rows, command, minutes))


if __name__ == "__main__":
    main()
