"""How near the networks for photographs come to their teacher:
`python -m cropnb.teacher.studies.imitation --record`.

On test photos of taught photographs each method is asked for its best crop, free and of a required
ratio, beside the centred window. Free it is held against every crop that the teacher rates, by how
likely somebody draws that one; of a required ratio against the box that the teacher gives. What
networks miss here is their own fault; what they miss on people's boxes is the teacher's, too.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cropnb import boxes as box_math
from cropnb import croppers, datasets, evaluation, ledger, metrics
from cropnb.croppers import Cropper
from cropnb.datasets import taught
from cropnb.datasets.base import CropDataset
from cropnb.methods import difference_note
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured

NAME = "teacher"
COLUMNS = {evaluation.FREE: "expected IoU", evaluation.REQUIRED: "IoU"}
FORMS = {evaluation.FREE: "gaicd", evaluation.REQUIRED: "fat"}


def overlaps(cropper: Cropper, photos: CropDataset, table: str) -> Tensor:
    """The overlap of the best crop with what the teacher likes, (photos,)."""
    values = []
    for sample in tqdm(photos, desc=cropper.name, unit="photo"):
        if table == evaluation.FREE:
            (crop,) = cropper(sample.photo())
            chances = taught.likely(sample.scores, photos.root)  # (N,)
            values.append(metrics.expected_iou(crop.box[None], chances, sample.boxes)[0])
        else:  # the first of three ratios
            (crop,) = cropper(sample.photo(), aspect=float(sample.aspects[0]))
            values.append(box_math.iou(crop.box, sample.boxes[0]))
    return torch.stack(values).double()


def rows(context: Context, names: Sequence[str], table: str) -> list[ledger.Row]:
    """A row for each cropper, whose note has the paired difference to the centred window."""
    photos = datasets.load(ledger.TAUGHT, "test", form=FORMS[table])
    reference = evaluation.REFERENCES[table]
    values = {
        name: overlaps(evaluation.load(name), photos, table)
        for name in dict.fromkeys((reference, *names))
    }
    lines = []
    for name, own in values.items():
        note = "what the others are compared with"
        if name != reference:
            gap = metrics.paired_bootstrap(own, values[reference])
            note = difference_note(reference, gap)
        place = context.on(photos)
        lines.append(measured(place, table, name, COLUMNS[table], own.tolist(), note=note))
    return lines


def _rows(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    context = replace(context, device=device_name("cpu"))
    for table in COLUMNS:
        yield rows(context, chosen.methods, table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("teacher.studies.imitation", __doc__)
    options.add_argument("--methods", nargs="+", default=list(croppers.METHODS), metavar="NAME")
    context = Context(NAME, ledger.TAUGHT, (), module="cropnb.teacher.studies.imitation")
    return program.study(_rows, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
