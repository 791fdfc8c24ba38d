"""Composed Scenes from the shell: reference rows and contact sheets."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from cropnb import ledger
from cropnb.datasets.scenes import SIZES, describe, draw
from cropnb.datasets.scenes.reference import NAME, ledger_rows, reference
from cropnb.errors import CropnbError
from cropnb.runs import program
from cropnb.runs.context import Context


def contact_sheet(
    split: str = "train", seed: int = 0, first: int = 0, columns: int = 6, rows: int = 4
) -> Image.Image:
    """The photographs of `columns` × `rows` scenes side by side, in cells of 240 × 180 pixels.

    `first` is the number of the first scene.
    """
    sheet = Image.new("RGB", (columns * 240, rows * 180), "white")
    for place in range(columns * rows):
        photo = Image.fromarray(draw(describe(seed, first + place, split)))
        photo.thumbnail((232, 172))
        x, y = (
            place % columns * 240 + (240 - photo.width) // 2,
            place // columns * 180 + (180 - photo.height) // 2,
        )
        sheet.paste(photo, (x, y))
    return sheet


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    """Write the contact sheet, and give the rows of each form."""
    if not chosen.reference and chosen.sheet is None:
        raise CropnbError("nothing to do: give --reference or --sheet OUT.png")
    if chosen.record and (chosen.train or chosen.test or chosen.seed):
        raise CropnbError("only the standard sizes with seed 0 are recorded: leave out --record")
    if chosen.sheet is not None:
        contact_sheet(chosen.split, chosen.seed, chosen.first).save(chosen.sheet)
        print(f"wrote {chosen.sheet}")
    for form in chosen.form or SIZES if chosen.reference else ():
        start = time.perf_counter()
        values = reference(form, chosen.train, chosen.test, chosen.seed)
        yield ledger_rows(context, form, values, round((time.perf_counter() - start) / 60, 2))


def main(arguments: Sequence[str] | None = None) -> int:
    """See `python -m cropnb.datasets.scenes --help`. Returns the exit status."""
    options = program.parser("datasets.scenes", __doc__)
    options.add_argument("--reference", action="store_true", help="measure the reference rows")
    options.add_argument(
        "--form", choices=list(SIZES), action="append", help="only this form; may be repeated"
    )
    for split in ("train", "test"):
        options.add_argument(
            f"--{split}", type=int, help=f"{split} photos (default: the standard size)"
        )
    options.add_argument("--sheet", type=Path, metavar="OUT.png", help="write a contact sheet")
    options.add_argument(
        "--split", default="train", choices=("train", "val", "test"), help="of the contact sheet"
    )
    options.add_argument("--first", type=int, default=0, help="first scene of the contact sheet")
    options.add_argument("--seed", type=int, default=0)
    context = Context(
        NAME, ledger.SCENES, arguments=(), module="cropnb.datasets.scenes", device="CPU"
    )
    return program.study(_measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
