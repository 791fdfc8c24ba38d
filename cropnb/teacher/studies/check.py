"""How good the teacher's labels are, where people's own are at hand:
`python -m cropnb.teacher.studies.check --record`.

On held-out layouts its sharpness is chosen. On the five photos of GAICD that are at hand its scores
meet people's. On FCDB's photos its crop meets the one that somebody drew.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import datasets, evaluation, ledger, metrics
from cropnb.croppers import Cropper, preference
from cropnb.datasets import unlabelled
from cropnb.datasets.base import Sample
from cropnb.layout.maps import object_maps
from cropnb.layout.recipe import Layouts
from cropnb.methods import difference_note
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured
from cropnb.teacher.__main__ import trained
from cropnb.teacher.cropper import TeacherCropper
from cropnb.teacher.teacher import Teacher

NAME = "teacher"
SHARPNESSES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
CHOICE = "IoU with people's best crop, held-out layouts"
FIVE = "five photos of GAICD"
LOOKS = "looks at FCDB's photos"


@torch.inference_mode()
def sharpness_rows(context: Context, teacher: Teacher) -> list[ledger.Row]:
    """The overlap of the chosen crop with the best-rated one, for each sharpness, on the layouts
    that no layout network was trained on.
    """
    _, held_out, _ = datasets.splits("gaicd_layouts", "gaicd", None, 100, None)
    layouts = Layouts(held_out, torch.device("cpu"))
    maps = object_maps(layouts.objects)
    scores = torch.stack([net(maps, layouts.sizes, layouts.crops) for net in teacher.layouts])
    pixels = layouts.crops * layouts.sizes.repeat(1, 2)[:, None]  # (P, N, 4)
    context = replace(context, dataset=held_out.name, split=f"{held_out.split}, held out")
    rows = []
    for sharpness in (None, *SHARPNESSES):
        overlaps = []
        for photo, own in enumerate(layouts.mask(slice(None))):
            boxes, liked = pixels[photo][own], scores.mean(0)[photo][own]
            place = preference(boxes, liked, sharpness).argmax()
            overlaps.append(box_math.iou(boxes[place], boxes[layouts.mos[photo][own].argmax()]))
        name = "highest score" if sharpness is None else f"sharpness {sharpness:g}"
        rows.append(measured(context, CHOICE, name, "IoU", torch.stack(overlaps).tolist()))
    return rows


def five_rows(context: Context, teacher: Teacher, masks: "Masks") -> list[ledger.Row]:
    """Rank correlation of the teacher's scores with people's, on real photos."""
    parts = [datasets.load("gaicd", split).samples for split in ("train", "test")]
    samples = [sample for part in parts for sample in part if sample.has_photo]
    context, rows = replace(context, dataset="gaicd", split="train and test"), []
    looks = {
        "gaze and salient mask": lambda sample: masks.of("gaicd", sample),
        "gaze and guessed mask": lambda sample: None,
    }
    for row, mask in looks.items():
        values = []
        for sample in samples:
            attention = teacher.attention(sample.image(), mask(sample))
            scores = teacher.scores(attention, sample.size, sample.boxes)
            values.append(float(metrics.srcc(scores, sample.scores)))
        rows.append(measured(context, FIVE, row, "SRCC", values))
    return rows


def photo_rows(context: Context, teacher: Teacher, masks: "Masks") -> list[ledger.Row]:
    """IoU on FCDB's photos, beside the centred window."""
    listed = datasets.load("fcdb", "test")
    photos = listed.with_photos()
    known = {sample.name: masks.of("fcdb", sample) for sample in photos.samples}
    rows = []
    for table, reference in evaluation.REFERENCES.items():
        required = table == evaluation.REQUIRED
        base = evaluation.measure(evaluation.load(reference), photos, required, progress=False)
        columns = _measure(teacher, photos.samples, known, required)
        gap = metrics.paired_bootstrap(columns, base["IoU"])
        note = difference_note(reference, gap)
        place = replace(context, dataset="fcdb", split="test")
        row = measured(place, table, NAME, "IoU", columns.tolist(), note=note, listed=len(listed))
        rows.append(row)
    return rows


def _measure(
    teacher: Teacher,
    samples: Sequence[Sample],
    masks: dict[str, Tensor | None],
    required: bool,
) -> Tensor:
    """IoU (P,) of the teacher's best crop with the true one."""
    overlaps = []
    for sample in samples:
        cropper = Cropper(TeacherCropper(teacher, lambda image, name=sample.name: masks[name]))
        x1, y1, x2, y2 = sample.boxes[0].tolist()
        (crop,) = cropper(sample.photo(), aspect=(x2 - x1) / (y2 - y1) if required else None)
        overlaps.append(box_math.iou(crop.box, sample.boxes[0]))
    return torch.stack(overlaps).double()


def look_rows(context: Context) -> list[ledger.Row]:
    """How often FCDB's photos were looked at while the teacher was made."""
    looks = tomllib.loads(Path(__file__).with_name("looks.toml").read_text("utf-8"))["look"]
    photos = len(datasets.load("fcdb", "test").with_photos())
    context = replace(context, dataset="fcdb", split="test")
    return [
        measured(
            context,
            LOOKS,
            look["what"],
            "settings",
            [look["settings"]],
            images=photos,
            note=f"seen: {look['seen']}; {look['after']}",
        )
        for look in looks
    ]


class Masks:
    """Salient masks of photos, by the folder's name in theirs."""

    def __init__(self, folders: Sequence[str]) -> None:
        data = unlabelled.base.dataset_root("")
        self._files = unlabelled.checked.photo_files(data / unlabelled.MASKS, *map(Path, folders))

    def of(self, name: str, sample: Sample) -> Tensor | None:
        """(h, w) in 0…1, or None where there is none."""
        path = self._files.get(f"{name}__{Path(sample.name).stem}.png")
        return None if path is None else unlabelled.read_mask(path)


def _rows(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    teacher, _ = trained(chosen.out)
    masks = Masks(chosen.masks)
    context = replace(context, device=device_name("cpu"))
    yield sharpness_rows(context, teacher)
    yield five_rows(context, teacher, masks)
    yield photo_rows(context, teacher, masks)
    yield look_rows(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("teacher.studies.check", __doc__)
    options.add_argument("--out", default="runs", help="where the teacher's parts were trained")
    options.add_argument("--masks", nargs="+", default=["runs/masks"], help="folders with masks")
    context = Context(NAME, "gaicd", arguments=(), module="cropnb.teacher.studies.check")
    return program.study(_rows, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
