"""How well croppers find boxes that people drew on photographs:
`python -m cropnb.evaluation --record`.

Every cropper is asked for its best crop of the same photos, once freely and once at the aspect
ratio of the true crop, and compared by IoU and boundary displacement. Rows go to
`book/results/photographs.json`.
"""

import argparse
import shlex
import sys
import time
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from cropnb import candidates, croppers, datasets, ledger, metrics
from cropnb.croppers import Cropper
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError
from cropnb.images import to_image

NAME = "photographs"
FREE, REQUIRED = "no required aspect ratio", "aspect ratio of the true crop"
REFERENCE = "center"  # what every row is compared with, photo by photo, where no ratio is required
REFERENCE_REQUIRED = "center_window"


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
        across, down = croppers.largest_window(picture.width, picture.height, aspect)
        width, height = max(int(across), 1), max(int(down), 1)
        cropped = pyvips.Image.new_from_array(np.asarray(picture)).smartcrop(
            width, height, interesting="attention"
        )
        # libvips tells where the photo's corner lies from the crop
        x, y = -cropped.xoffset, -cropped.yoffset
        return torch.tensor([[x, y, x + width, y + height]], dtype=torch.float32), None


class ManyWindows:
    """A method that rates candidates, asked as Mars' section 4.3 asks it: among 1140 windows of the
    required ratio.
    """

    suffix = ", 1140 windows"

    def __init__(self, method: croppers.ScoringMethod) -> None:
        self.name, self.score_boxes = method.name + self.suffix, method.score_boxes
        self._method = method

    def candidates(self, width: int, height: int, aspect: float | None = None) -> Tensor:
        """1140 windows of the ratio or a few less, (N, 4); without one the method's own candidates."""
        if aspect is None:
            return self._method.candidates(width, height)
        return candidates.aspect_windows(width, height, aspect, count=1140)


OUTSIDE = {method.name: method for method in (SmartCrop, VipsCrop)}


def load(name: str, device: str = "cpu") -> Cropper:
    """A cropper by name: of `croppers.load`, `smartcrop`, `libvips`, or such as «gaic, 1140
    windows».
    """
    if name in OUTSIDE:
        return Cropper(OUTSIDE[name]())
    if name.endswith(ManyWindows.suffix):
        return Cropper(
            ManyWindows(croppers.load(name.removesuffix(ManyWindows.suffix), device=device).method)
        )
    return croppers.load(name, device=device)


def measure(
    cropper: Cropper, dataset: CropDataset, required: bool, progress: bool = True
) -> dict[str, Tensor]:
    """IoU and BDE of the best crop against the best-matching true box, (photos,) each.

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
    names: Sequence[str],
    dataset: CropDataset,
    command: str,
    device: str = "cpu",
    listed: int | None = None,
) -> list[ledger.Row]:
    """Rows of every cropper, for both ways of asking; each notes its paired difference from the
    centred window.

    listed: photos that the dataset's list has; where some of them are gone, the intervals are
        widened for them.
    """
    found, listed = [], listed or len(dataset)
    gone = f"; {len(dataset)} of {listed} listed photos, and the interval is widened for the rest"
    for table, reference in ((FREE, REFERENCE), (REQUIRED, REFERENCE_REQUIRED)):
        values, minutes = {}, {}
        for name in dict.fromkeys((reference, *names)):
            start = time.perf_counter()
            values[name] = measure(load(name, device), dataset, table == REQUIRED)
            minutes[name] = round((time.perf_counter() - start) / 60, 2)
        for name, columns in values.items():
            for column, photos in columns.items():
                interval = [round(value, 4) for value in metrics.with_missing(photos, listed)]
                note = "what the others are compared with"
                if name != reference:
                    gap = metrics.paired_bootstrap(photos, values[reference][column])
                    note = f"less {reference}: {gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], paired by photo"
                found.append(
                    ledger.Row(
                        paper=NAME,
                        table=table,
                        row=name,
                        column=column,
                        dataset=dataset.name,
                        split=dataset.split,
                        verdict="measured",
                        ours=interval[0],
                        low=interval[1],
                        high=interval[2],
                        images=len(dataset),
                        device=device.upper(),
                        minutes=minutes[name],
                        command=command,
                        commit=ledger.current_commit(),
                        note=note + (gone if listed > len(dataset) else ""),
                    )
                )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m cropnb.evaluation", description=__doc__)
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
    options.add_argument("--device", default="cpu")
    options.add_argument("--record", action="store_true", help="write the rows into the ledger")
    chosen = options.parse_args(arguments)
    command = shlex.join(
        ["python", "-m", "cropnb.evaluation", *(sys.argv[1:] if arguments is None else arguments)]
    )
    try:
        whole = datasets.load(chosen.dataset, "test")
        measured = rows(
            chosen.methods, whole.with_photos(), command, chosen.device, listed=len(whole)
        )
        if chosen.record:
            ledger.record(NAME, measured)
    except CropnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row in measured:
        print(
            f"{row.table:32}{row.row:16}{row.column:5}{row.ours:7.3f} [{row.low:.3f}, "
            f"{row.high:.3f}]  {row.note}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
