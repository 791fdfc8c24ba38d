"""What the search loses to windows smaller than the crops that were compared in training:
`python -m cropnb.asm_net.studies.least_area --record`.

The windows of our first stage (the paper prints none) go down to a quarter of the largest one of
each ratio. Among those smaller than nearly all training crops the network's order is a guess, and
of hundreds of guesses the best-scored one wins. So quantiles of the training crops' areas are tried
as the least area, and one is chosen on validation scenes; test scenes are looked at without a limit
and with the one that was chosen.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cropnb import boxes as box_math
from cropnb import croppers, datasets, ledger, metrics
from cropnb.asm_net.cropper import AsmCropper, search
from cropnb.asm_net.recipe import METHOD
from cropnb.datasets.base import CropDataset
from cropnb.runs import program
from cropnb.runs.claims import claim
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured

FORMS = ("fcdb", "flms")
COLUMNS = ("IoU", "Disp")  # as Tables 2 and 3 call them
TRAINED_FORM = "cpc"  # of the scenes that the network learned from
# Of the training crops' areas, as shares of the photo: the limits that are tried, beside none.
QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
WORTH_HAVING = 0.01  # of IoU
TABLE, CLAIM = "search windows", "small windows are better left out"


def limits_of(dataset: CropDataset) -> dict[str, float]:
    """No limit, and quantiles of the areas of a dataset's crops as shares of the photo, by what a
    note calls them, the smallest first.
    """
    shares = [box_math.area(sample.boxes.double()) / _pixels(sample.size) for sample in dataset]
    areas = torch.cat(shares)  # (crops,)
    values = areas.quantile(areas.new_tensor(QUANTILES)).tolist()
    named = {
        f"{value:.3f} of the photo at least, the {quantile:g} quantile of {len(areas)} training "
        "crops' areas": value
        for quantile, value in zip(QUANTILES, values, strict=True)
    }
    return {"no limit": 0.0, **named}


def _pixels(size: tuple[int, int]) -> int:
    width, height = size
    return width * height


@torch.inference_mode()
def measures(
    network: AsmCropper, dataset: CropDataset, limits: Sequence[float]
) -> dict[str, Tensor]:
    """`COLUMNS` of the best crop under each limit against the best-matching true box,
    (limits, photos) each.
    """
    by_photo = []
    for sample in tqdm(dataset, desc=f"{dataset.split}, {dataset.form}", unit="photo"):
        score_map = network.score_map(sample.image())  # (L, h, w)
        crops = [
            search(score_map, *sample.size, network.pattern, least_area=limit)[0][0].cpu()
            for limit in limits
        ]
        compared = metrics.iou_and_bde(torch.stack(crops), sample.boxes, *sample.size)
        by_photo.append(torch.stack(compared))  # (2, limits)
    return dict(zip(COLUMNS, torch.stack(by_photo, -1), strict=True))


def choose(overlap: Tensor, limits: Mapping[str, float]) -> str:
    """The name of the limit with the largest mean IoU; of equal ones the first.

    Args:
        overlap: (limits, photos).
    """
    return list(limits)[int(overlap.mean(1).argmax())]


def rows(
    context: Context, network: AsmCropper, limit: float, why: str, test: CropDataset
) -> list[ledger.Row]:
    """The rows of one form without a limit and with it, and the verdict.

    Args:
        why: how the limit was chosen.
    """
    here = replace(context, split=test.split)
    note = f"{test.name} in the form of {test.form}"
    sides = {"any size": note, "none small": f"{note}; {why}"}
    by_column = {
        column: dict(zip(sides, values.tolist(), strict=True))
        for column, values in measures(network, test, (0.0, limit)).items()
    }
    cells = [
        measured(here, TABLE, f"{test.form}, {side}", column, values[side], note=explained)
        for side, explained in sides.items()
        for column, values in by_column.items()
    ]
    overlap = by_column["IoU"]
    verdict = claim(
        here,
        f"{CLAIM}, {test.form}",
        "IoU",
        overlap["none small"],
        overlap["any size"],
        table=TABLE,
        worth_having=WORTH_HAVING,
        note=f"{why}, less a search among all sizes",
    )
    return [*cells, verdict]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    module = "asm_net.studies.least_area"
    options = program.parser(module, __doc__)
    options.set_defaults(device="cpu")
    options.add_argument("--validation", type=int, default=100, help="scenes to choose on")
    options.add_argument("--photos", type=int, default=500, help="test scenes of each form")
    options.add_argument(
        "--training", type=int, help="training scenes whose crops set the limits (default: all)"
    )

    def parts(chosen: argparse.Namespace) -> Iterator[CropDataset]:
        yield datasets.load(ledger.SCENES, "train", form=TRAINED_FORM, size=chosen.training)
        yield datasets.load(ledger.SCENES, "val", form=FORMS[0], size=chosen.validation)
        for form in FORMS:
            yield datasets.load(ledger.SCENES, "test", form=form, size=chosen.photos)

    def measure(chosen: argparse.Namespace, shared: Context) -> Iterator[list[ledger.Row]]:
        network = croppers.load("asm_net", "scenes", chosen.device).method
        training, held_out, *tests = parts(chosen)
        limits = limits_of(training)
        overlap = measures(network, held_out, list(limits.values()))["IoU"]
        name = choose(overlap, limits)
        for tried, mean in zip(limits, overlap.mean(1).tolist(), strict=True):
            print(f"{tried}: IoU {mean:.4f} on {len(held_out)} validation scenes")
        why = f"{name}, of {len(limits)} limits the best on {len(held_out)} validation scenes"
        here = replace(
            shared, profile=network.card.get("profile", ""), device=device_name(chosen.device)
        )
        for test in tests:
            yield rows(here, network, limits[name], why, test)

    context = Context(METHOD.name, ledger.SCENES, arguments=(), module=f"cropnb.{module}")
    return program.study(measure, options, context, arguments, parts)


if __name__ == "__main__":
    sys.exit(main())
