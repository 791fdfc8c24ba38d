"""What was measured to choose γ and the step limit, on training scenes:
`python -m cropnb.la2c.studies.perfect_play --record`. With `--boxes fcdb` only how near the greedy
oracle of each action set comes to the boxes of FCDB's photos, how long it climbs, and what a larger
stride costs it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from cropnb import datasets, ledger, paper
from cropnb.datasets.base import Sample
from cropnb.la2c import rules
from cropnb.la2c.envs import planning
from cropnb.la2c.recipe import METHOD
from cropnb.runs import program, record
from cropnb.runs.claims import claim
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured

MODULE = "cropnb.la2c.studies.perfect_play"
GAMMAS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
HORIZON = planning.HORIZON
LARGER = (20, 15, 10)  # strides of 1/20, 1/15 and 1/10 of a side beside the paper's 1/30
STRIDE_CLAIM = "a stride of 1/30 is more accurate"


def stops(truth: torch.Tensor, size: tuple[int, int], gamma: float) -> bool:
    """Whether perfect play under the reward of the paper (Eq. 1) ever stops on a photo with this
    true box (4,).
    """
    return planning.plan(truth.reshape(1, 4), size, gamma, horizon=HORIZON).stops(HORIZON)


def rows(context: Context, photos: int, climbed: int) -> list[ledger.Row]:
    """How many photos perfect play stops on, for each γ; and how long the greedy oracle climbs."""
    dataset = datasets.load("scenes", "train", form="fcdb", size=max(photos, climbed))
    note = "per cent of photos on which perfect play under (Eq. 1) ever stops"
    written = []
    for gamma in GAMMAS:
        values = [100.0 * stops(one.boxes[0], one.size, gamma) for one in dataset.samples[:photos]]
        written.append(measured(context, "farming", f"γ = {gamma}", "stops", values, note=note))
    return [*written, *oracle_rows(context, dataset.samples[:climbed])]


def oracle_rows(context: Context, samples: Sequence[Sample]) -> list[ledger.Row]:
    """IoU and steps of the greedy oracle on each lattice, and what a larger stride costs the nine
    actions (Sec. 3.1): no policy that climbs greedily gets nearer.
    """
    nine = rules.ACTIONS["la2c"]
    coarser = [with_stride(nine, divisions) for divisions in LARGER]
    ends = {one.name: climb(samples, one) for one in (*rules.ACTIONS.values(), *coarser)}
    written = []
    for name, (reached, steps) in ends.items():
        most = f"95 % of the photos need at most {np.quantile(steps, 0.95):.0f}"
        written.append(measured(context, "oracle", name, "IoU", reached))
        written.append(measured(context, "oracle", name, "steps", steps, note=most))
    entry = next(one for one in paper.read("la2c").claims if one["name"] == STRIDE_CLAIM)
    for one in coarser:
        written.append(
            claim(
                context,
                STRIDE_CLAIM,
                f"IoU of the oracle, 1/{one.divisions}",
                ends[nine.name][0],
                ends[one.name][0],
                **record.claim_bounds(entry, "IoU", METHOD.columns),
                note=f"greedy steps of 1/30 less those of 1/{one.divisions}, nine actions each",
            )
        )
    return written


def with_stride(actions: rules.ActionSet, divisions: int) -> rules.ActionSet:
    """The same actions with a stride of 1 / divisions of a side; the smallest crop stays as large,
    to the nearest cell.
    """
    least = round(actions.least * divisions / actions.divisions)
    return replace(actions, name=f"{actions.name}, 1/{divisions}", divisions=divisions, least=least)


def climb(samples: Sequence[Sample], actions: rules.ActionSet) -> tuple[list[float], list[float]]:
    """Where the greedy oracle ends, (photos,) IoU with the first true box, and after how many
    steps.
    """
    truths = torch.stack([sample.boxes[:1] for sample in samples]).double()
    sizes = torch.tensor([sample.size for sample in samples])
    ends = planning.oracle(truths, sizes, actions=actions)
    valid = torch.ones(len(samples), 1, dtype=torch.bool)
    reached = rules.overlap(ends.boxes, truths, valid, "best")
    return reached.tolist(), ends.steps.double().tolist()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    options.add_argument("--photos", type=int, default=12, help="scenes for perfect play")
    options.add_argument("--climbed", type=int, default=500, help="scenes for the oracle")
    options.add_argument("--boxes", choices=["fcdb"], help="of a dataset's photos, for the oracle")
    options.add_argument("--threads", type=int, help="CPU threads")
    options.add_argument("--record", action="store_true", help="write the rows into the ledger")

    def measure(chosen: argparse.Namespace, given: list[str]) -> int:
        context = Context(
            "la2c", "scenes", given, module=MODULE, split="train", device=device_name("cpu")
        )
        if chosen.boxes:
            dataset = datasets.load(chosen.boxes, "test").with_photos()
            written = oracle_rows(context.on(dataset), dataset.samples)
        else:
            written = rows(context, chosen.photos, chosen.climbed)
        if chosen.record:
            ledger.record("la2c", written)
        for row in written:
            print(program.row_line(row))
        return 0

    return program.run(measure, options, arguments)


if __name__ == "__main__":
    sys.exit(main())
