"""How near the networks for photographs come to their teacher:
`python -m cropnb.teacher.studies.imitation --record`.

On test photos of taught photographs, whose true boxes the teacher drew: the IoU of each method's
best crop, free and of a required ratio, beside the centred window. What they miss here is their own
fault; what they miss on people's boxes is the teacher's, too.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cropnb import croppers, datasets, evaluation, ledger
from cropnb.datasets.base import CropDataset
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name

NAME = "teacher"
# Boxes of a required ratio are drawn apart.
FORMS = {evaluation.FREE: "fcdb", evaluation.REQUIRED: "fat"}


def one_box_each(table: str, name: str = ledger.TAUGHT) -> CropDataset:
    """The test photos, each with the first of its true boxes: of a required ratio where the table
    asks for one.
    """
    photos = datasets.load(name, "test", form=FORMS[table])
    samples = [replace(each, boxes=each.boxes[:1], aspects=None) for each in photos]
    return CropDataset(photos.name, photos.split, photos.form, photos.root, samples)


def _rows(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    context = replace(context, device=device_name("cpu"))
    for table in FORMS:
        yield evaluation.rows(table, chosen.methods, one_box_each(table), context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("teacher.studies.imitation", __doc__)
    options.add_argument("--methods", nargs="+", default=list(croppers.METHODS), metavar="NAME")
    context = Context(NAME, ledger.TAUGHT, (), module="cropnb.teacher.studies.imitation")
    return program.study(_rows, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
