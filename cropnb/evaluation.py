"""How well croppers find boxes that people drew on photographs:
`python -m cropnb.evaluation --record`.

Every cropper is asked for its best crop of the same photos, once freely and once at the aspect
ratio of the true crop, and compared by IoU and boundary displacement. Rows go to
`book/results/photographs.json`.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from cropnb import candidates, croppers, datasets, ledger, metrics
from cropnb.croppers import Cropper
from cropnb.datasets.base import CropDataset
from cropnb.images import to_image
from cropnb.methods import QUESTIONS, SCENES_ONLY, difference_note
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured

NAME = "photographs"
FREE, REQUIRED = QUESTIONS
# what every row of a table is compared with, photo by photo
REFERENCES = {FREE: "center", REQUIRED: "center_window"}


class SmartCrop:
    """The `smartcrop` package from PyPI: skin, edges and saturation, no training. A baseline from
    outside.
    """

    name = "smartcrop"

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, None]:
        """(3, H, W) in 0…1 → its best box (1, 4); without a required ratio, that of the photo."""
        import smartcrop

        picture: Image.Image = to_image(image)
        ratio = aspect or picture.width / picture.height
        best = smartcrop.SmartCrop().crop(picture, width=round(1000 * ratio), height=1000)[
            "top_crop"
        ]
        x, y, width, height = (best[key] for key in ("x", "y", "width", "height"))
        return torch.tensor([[x, y, x + width, y + height]], dtype=torch.float32), None


class VipsCrop:
    """libvips' `smartcrop` by attention, the thumbnailer behind many image services. Another
    baseline from outside.
    """

    name = "libvips"

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, None]:
        """(3, H, W) in 0…1 → a largest window of the ratio (1, 4), in whole pixels; without one,
        the whole photo.
        """
        import pyvips

        picture = to_image(image)
        sides = croppers.largest_window(picture.width, picture.height, aspect)
        width, height = (max(int(side), 1) for side in sides)
        cropped = pyvips.Image.new_from_array(np.asarray(picture)).smartcrop(
            width, height, interesting="attention"
        )
        # libvips tells where the photo's corner lies from the crop
        x, y = -cropped.xoffset, -cropped.yoffset
        return torch.tensor([[x, y, x + width, y + height]], dtype=torch.float32), None


class ManyWindows:
    """A method that rates candidates, asked as Mars asks it (Sec. 4.3): among 1140 windows of the
    required ratio.

    Args:
        other_sizes: windows of sizes halfway between: the scenes' true crops in FAT's form are
            drawn with the sizes of the usual ones.
    """

    suffix = ", 1140 windows"
    other_suffix = f"{suffix} of other sizes"

    def __init__(self, method: croppers.ScoringMethod, other_sizes: bool = False) -> None:
        self.name = method.name + (self.other_suffix if other_sizes else self.suffix)
        self.scales = candidates.OTHER_SCALES if other_sizes else candidates.ASPECT_SCALES
        self._method, self.score_boxes = method, method.score_boxes

    def candidates(self, width: int, height: int, aspect: float | None = None) -> Tensor:
        """1140 windows of the ratio or a few less, (N, 4); without one the method's own."""
        if aspect is None:
            return self._method.candidates(width, height)
        return candidates.aspect_windows(width, height, aspect, count=1140, scales=self.scales)


OUTSIDE = {method.name: method for method in (SmartCrop, VipsCrop)}


def load(name: str, device: str = "cpu") -> Cropper:
    """A cropper by name: of `croppers.load`, `smartcrop`, `libvips`, or such as «gaic, 1140
    windows», «gaic, 1140 windows of other sizes» and «vrn, scenes only».

    Raises:
        WeightsUnavailable: a method that ships no weights of its own for scenes alone.
    """
    if name in OUTSIDE:
        return Cropper(OUTSIDE[name]())
    if name.endswith(SCENES_ONLY):
        method = name.removesuffix(SCENES_ONLY)
        return croppers.load(method, croppers.weights_path(method, "scenes"), device)
    for suffix in (ManyWindows.suffix, ManyWindows.other_suffix):
        if name.endswith(suffix):
            method = croppers.load(name.removesuffix(suffix), device=device).method
            return Cropper(ManyWindows(method, other_sizes=suffix == ManyWindows.other_suffix))
    return croppers.load(name, device=device)


def measure(
    cropper: Cropper, dataset: CropDataset, required: bool, progress: bool = True
) -> dict[str, Tensor]:
    """IoU and BDE of the best crop against the best-matching true box, (photos,) each.

    Args:
        required: ask for the aspect ratio of the (first) true box, as Mars is compared on FCDB.
    """
    overlaps = []
    for sample in tqdm(dataset, desc=cropper.name, unit="photo", disable=not progress):
        x1, y1, x2, y2 = sample.boxes[0].tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (crop,) = cropper(sample.photo(), aspect=(x2 - x1) / (y2 - y1) if required else None)
        overlaps.append(torch.stack(metrics.iou_and_bde(crop.box, sample.boxes, *sample.size)))
    iou, bde = torch.stack(overlaps).double().unbind(dim=1)
    return {"IoU": iou, "BDE": bde}


def rows(
    table: str,
    names: Sequence[str],
    dataset: CropDataset,
    context: Context,
    device: str = "cpu",
    listed: int | None = None,
) -> list[ledger.Row]:
    """Rows of every cropper for one way of asking; each notes its paired difference from the
    centred window.

    Args:
        table: `FREE` or `REQUIRED`.
        names: of the croppers, as `load` takes them.
        dataset: the photos.
        context: what the rows share.
        device: of the croppers.
        listed: photos that the dataset's list has; where some of them are gone, the intervals are
            widened for them.
    """
    reference = REFERENCES[table]
    values, minutes = {}, {}
    for name in dict.fromkeys((reference, *names)):
        start = time.perf_counter()
        values[name] = measure(load(name, device), dataset, table == REQUIRED)
        minutes[name] = round((time.perf_counter() - start) / 60, 2)
    cells = []
    for name, columns in values.items():
        for column, photos in columns.items():
            note = "what the others are compared with"
            if name != reference:
                gap = metrics.paired_bootstrap(photos, values[reference][column])
                note = difference_note(reference, gap)
            fields = {"listed": listed, "minutes": minutes[name], "note": note}
            cells.append(measured(context.on(dataset), table, name, column, photos, **fields))
    return cells


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    whole = datasets.load(chosen.dataset, "test")
    photos, context = whole.with_photos(), replace(context, device=device_name(chosen.device))
    for table in REFERENCES:
        yield rows(table, chosen.methods, photos, context, chosen.device, listed=len(whole))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("evaluation", __doc__)
    options.add_argument(
        "--dataset", default="fcdb", help="fcdb, flms or cuhk_icd (default: %(default)s)"
    )
    options.add_argument(
        "--methods",
        nargs="+",
        default=["full", *OUTSIDE, *croppers.METHODS],
        metavar="NAME",
        help="what to compare",
    )
    context = Context(NAME, "fcdb", arguments=(), module="cropnb.evaluation")
    return program.study(_measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
