"""Where a search for people's boxes ought to begin:
`python -m cropnb.asm_net.studies.first_stage --record`.

On validation photos of taught photographs, which no photo of a test is among: the crop that is
found from sliding windows, as the paper's first stage has them (they are ours: it prints none), and
from the anchors that people rate, by its expected overlap with what the teacher says is drawn. Both
leave out what is smaller than half of the photo. The teacher's labels are scores of the anchors, so
the measure is nearer to these from the start.
"""

import sys
from collections.abc import Iterator, Sequence

import torch

import cropnb
from cropnb import datasets, ledger, metrics
from cropnb.asm_net.cropper import AsmCropper, search
from cropnb.datasets import taught
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured

NAME, TABLE, COLUMN = "asm_net", "where the search begins, held out", "expected IoU"
STAGES = {"the paper's windows": False, "the anchors that people rate": True}
PHOTOS = 150  # those that chose the weights


@torch.inference_mode()
def overlaps(cropper: AsmCropper, samples: Sequence[datasets.Sample]) -> dict[str, list[float]]:
    """Expected IoU of the best crop, one number a photo, for both beginnings."""
    columns: dict[str, list[float]] = {}
    centre = cropnb.load("center").method
    for sample in samples:
        score_map = cropper.score_map(sample.image())  # (L, h, w)
        centred, _ = centre.propose(sample.image())
        crops = {"the middle 90 %": centred}
        for name, rated in STAGES.items():
            boxes, _ = search(
                score_map,
                *sample.size,
                cropper.pattern,
                sharpness=cropper.sharpness,
                least_area=cropper.least_area,
                rated=rated,
            )
            crops[name] = boxes[:1].cpu()  # (1, 4)
        chances = taught.likely(sample.scores)  # (N,)
        for name, crop in crops.items():
            expected = metrics.expected_iou(crop, chances, sample.boxes)  # (1,)
            columns.setdefault(name, []).append(float(expected))
    return columns


def main() -> int:
    """Run the program. Returns the exit status."""
    options = program.parser("asm_net.studies.first_stage", __doc__)

    def measure(chosen: object, context: Context) -> Iterator[list[ledger.Row]]:
        held_out = datasets.load(ledger.TAUGHT, split="val", form="gaicd", size=PHOTOS)
        rows = overlaps(cropnb.load(NAME).method, held_out.samples)
        context = context.on(held_out)
        yield [measured(context, TABLE, name, COLUMN, values) for name, values in rows.items()]

    context = Context(
        NAME,
        ledger.TAUGHT,
        [],
        module="cropnb.asm_net.studies.first_stage",
        split="val",
        device=device_name("cpu"),
    )
    return program.study(measure, options, context)


if __name__ == "__main__":
    sys.exit(main())
