"""What the search loses to windows smaller than the crops that were compared in training:
`python -m cropnb.asm_net.studies.least_area --record`.

The windows of our first stage (the paper prints none) go down to a quarter of the largest one of
each ratio. Among those smaller than nearly all training crops the network's order is a guess, and
of hundreds of guesses the best-scored one wins. The least area is chosen on validation scenes; test
scenes are looked at without a limit and with the one that was chosen.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cropnb import boxes as box_math
from cropnb import croppers, datasets, ledger
from cropnb.asm_net.cropper import AsmCropper, search
from cropnb.asm_net.recipe import METHOD
from cropnb.datasets.base import CropDataset
from cropnb.runs import program
from cropnb.runs.claims import claim
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured

FORMS = ("fcdb", "flms")
LIMITS = (0.0, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)  # least parts of the photo that are tried
WORTH_HAVING = 0.01  # of IoU
TABLE, CLAIM = "search windows", "small windows are better left out"


@torch.inference_mode()
def overlaps(network: AsmCropper, dataset: CropDataset, limits: Sequence[float]) -> Tensor:
    """IoU of the best crop under each limit with the best-matching true box, (limits, photos)."""
    columns = []
    for sample in tqdm(dataset, desc=f"{dataset.split}, {dataset.form}", unit="photo"):
        score_map = network.score_map(sample.image())  # (L, h, w)
        crops = [
            search(score_map, *sample.size, network.pattern, least_area=limit)[0][0].cpu()
            for limit in limits
        ]
        pairs = box_math.pairwise_iou(torch.stack(crops).double(), sample.boxes.double())
        columns.append(pairs.amax(1))  # (limits,)
    return torch.stack(columns, 1)


def choose(overlap: Tensor, limits: Sequence[float] = LIMITS) -> float:
    """The limit with the largest mean IoU; of equal ones the smallest.

    Args:
        overlap: (limits, photos).
    """
    return limits[int(overlap.mean(1).argmax())]


def rows(
    context: Context, network: AsmCropper, chosen: float, photos: int, test: CropDataset
) -> list[ledger.Row]:
    """Both rows of one form, and the verdict.

    Args:
        photos: how many validation scenes the limit was chosen on.
    """
    here = replace(context, split=test.split)
    without, limited = overlaps(network, test, (0.0, chosen)).tolist()
    note = f"{test.name} in the form of {test.form}"
    why = f"{chosen:g} of the photo at least, of {len(LIMITS)} limits the best on {photos}"
    return [
        measured(here, TABLE, f"{test.form}, any size", "IoU", without, note=note),
        measured(
            here,
            TABLE,
            f"{test.form}, none small",
            "IoU",
            limited,
            note=f"{note}; {why} validation scenes",
        ),
        claim(
            here,
            f"{CLAIM}, {test.form}",
            "IoU",
            limited,
            without,
            table=TABLE,
            worth_having=WORTH_HAVING,
            note=f"{why} validation scenes, less a search among all sizes",
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    module = "asm_net.studies.least_area"
    options = program.parser(module, __doc__)
    options.set_defaults(device="cpu")
    options.add_argument("--validation", type=int, default=100, help="scenes to choose on")
    options.add_argument("--photos", type=int, default=500, help="test scenes of each form")

    def parts(chosen: argparse.Namespace) -> Iterator[CropDataset]:
        yield datasets.load(ledger.SCENES, "val", form=FORMS[0], size=chosen.validation)
        for form in FORMS:
            yield datasets.load(ledger.SCENES, "test", form=form, size=chosen.photos)

    def measure(chosen: argparse.Namespace, shared: Context) -> Iterator[list[ledger.Row]]:
        network = croppers.load("asm_net", "scenes", chosen.device).method
        held_out, *tests = parts(chosen)
        limit = choose(overlaps(network, held_out, LIMITS))
        here = replace(
            shared, profile=network.card.get("profile", ""), device=device_name(chosen.device)
        )
        for test in tests:
            yield rows(here, network, limit, len(held_out), test)

    context = Context(METHOD.name, ledger.SCENES, arguments=(), module=f"cropnb.{module}")
    return program.study(measure, options, context, arguments, parts)


if __name__ == "__main__":
    sys.exit(main())
