"""How a set of crops serves a required ratio:
`python -m cropnb.set_prediction.studies.required_ratio --record`.

On validation photos of taught photographs, which no photo of a test is among: the ratio cut out of
the most valid crop, or the window of that ratio which may expect to overlap most with the set, for
several sharpnesses; and that overlap as a score, with sizes as people draw them, for several more.
"""

import sys
from collections.abc import Iterator, Sequence

import torch

import cropnb
from cropnb import boxes as box_math
from cropnb import datasets, ledger
from cropnb.croppers import largest_window
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured
from cropnb.set_prediction.cropper import SetCropper, windows_of_ratio, windows_within

NAME, TABLE = "set_prediction", "a required ratio, held out"
SHARPNESSES = (2.0, 5.0, 10.0, 20.0, 40.0)
RATIO_SHARPNESSES = (2.0, 5.0, 10.0, 20.0)
PEOPLE_SIZES = "sizes as people draw them"
PHOTOS = 150  # those that chose the weights


@torch.inference_mode()
def overlaps(cropper: SetCropper, samples: Sequence[datasets.Sample]) -> dict[str, list[float]]:
    """IoU with the true box whose ratio is asked for, one number a photo, for every rule."""
    columns: dict[str, list[float]] = {}
    for sample in samples:  # in FAT's form the first of three ratios
        truth, (width, height) = sample.boxes[:1].float(), sample.size
        x1, y1, x2, y2 = truth[0].tolist()
        aspect = (x2 - x1) / (y2 - y1)
        boxes, validity = cropper.propose(sample.image())
        sides = torch.tensor(largest_window(width, height, aspect))  # (2,)
        centre = torch.tensor([width, height]) / 2
        best = {
            "largest centred window": torch.cat([centre - sides / 2, centre + sides / 2]),
            "cut out of the most valid crop": windows_within(boxes[:1], aspect)[0],
        }
        for sharpness in SHARPNESSES:
            windows, _ = windows_of_ratio(
                boxes, validity, sample.size, aspect, sharpness=sharpness, ratio_sharpness=None
            )
            best[f"expected overlap, sharpness {sharpness:g}"] = windows[0]
            for scale in RATIO_SHARPNESSES:
                windows, _ = windows_of_ratio(
                    boxes, validity, sample.size, aspect, sharpness=sharpness, ratio_sharpness=scale
                )
                best[f"{PEOPLE_SIZES}, sharpness {sharpness:g} and {scale:g}"] = windows[0]
        for name, box in best.items():
            columns.setdefault(name, []).append(float(box_math.iou(box[None].float(), truth)[0]))
    return columns


def main() -> int:
    """Run the program. Returns the exit status."""
    options = program.parser("set_prediction.studies.required_ratio", __doc__)

    def measure(chosen: object, context: Context) -> Iterator[list[ledger.Row]]:
        held_out = datasets.load(ledger.TAUGHT, split="val", form="fat", size=PHOTOS)
        cropper = cropnb.load(NAME).method
        rows = overlaps(cropper, held_out.samples)
        context = context.on(held_out)
        yield [measured(context, TABLE, name, "IoU", values) for name, values in rows.items()]

    context = Context(
        NAME,
        ledger.TAUGHT,
        [],
        module="cropnb.set_prediction.studies.required_ratio",
        split="val",
        device=device_name("cpu"),
    )
    return program.study(measure, options, context)


if __name__ == "__main__":
    sys.exit(main())
