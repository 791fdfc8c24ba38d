"""What was measured to choose γ and the step limit, on training scenes:
`python -m cropnb.la2c.studies.perfect_play --record`. With `--boxes fcdb` only how long the greedy
oracle of each action set climbs to the boxes of FCDB's photos.
"""

import argparse
import sys
from collections.abc import Sequence

import torch

from cropnb import datasets, ledger
from cropnb.datasets.base import Sample
from cropnb.la2c import rules
from cropnb.la2c.envs import planning
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import measured

MODULE = "cropnb.la2c.studies.perfect_play"
GAMMAS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
HORIZON = planning.HORIZON


def stops(truth: torch.Tensor, size: tuple[int, int], gamma: float) -> bool:
    """Whether perfect play under the reward of the paper (Eq. 1) ever stops on a photo with this
    true box (4,).
    """
    return planning.plan(truth.reshape(1, 4), size, gamma, horizon=HORIZON).stops(HORIZON)


def rows(context: Context, photos: int, climbed: int) -> list[ledger.Row]:
    """How many photos perfect play stops on, for each γ; and how long the greedy oracle climbs."""
    dataset = datasets.load("scenes", "train", form="fcdb", size=max(photos, climbed))
    note = "per cent of photos on which perfect play under Equation 1 ever stops"
    written = []
    for gamma in GAMMAS:
        values = [100.0 * stops(one.boxes[0], one.size, gamma) for one in dataset.samples[:photos]]
        written.append(measured(context, "farming", f"γ = {gamma}", "stops", values, note=note))
    return [*written, *oracle_rows(context, dataset.samples[:climbed])]


def oracle_rows(context: Context, samples: Sequence[Sample]) -> list[ledger.Row]:
    """IoU and steps of the greedy oracle on each lattice."""
    written = []
    truths = torch.stack([sample.boxes[:1] for sample in samples]).double()
    sizes = torch.tensor([sample.size for sample in samples])
    valid = torch.ones(len(samples), 1, dtype=torch.bool)
    for name in rules.ACTIONS:
        ends = planning.oracle(truths, sizes, actions=name)
        steps, reached = ends.steps.double(), rules.overlap(ends.boxes, truths, valid, "best")
        most = f"95 % of the photos need at most {float(steps.quantile(0.95)):.0f}"
        written.append(measured(context, "oracle", name, "IoU", reached.tolist()))
        written.append(measured(context, "oracle", name, "steps", steps.tolist(), note=most))
    return written


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
            print(
                f"{row.table:10}{row.row:12}{row.column:8}{row.ours:8.3f}  {row.images} photos  "
                f"{row.note}"
            )
        return 0

    return program.run(measure, options, arguments)


if __name__ == "__main__":
    sys.exit(main())
