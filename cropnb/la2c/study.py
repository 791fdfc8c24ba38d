"""What was measured to choose γ and the step limit, on training scenes:
`python -m cropnb.la2c.study --record`.
"""

import argparse
import sys
from collections.abc import Sequence

import torch

from cropnb import datasets, ledger, program
from cropnb.la2c import planning, rules
from cropnb.la2c.analysis import oracle
from cropnb.reproduction import Context, measured

GAMMAS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
HORIZON = 150  # steps that value iteration looks ahead; an episode has at most 40


def stops(truth: torch.Tensor, size: tuple[int, int], gamma: float) -> bool:
    """Whether perfect play under Equation 1 ever stops on a photo with this true box (4,)."""
    found = planning.plan(truth.reshape(1, 4), size, gamma, horizon=HORIZON)
    return found.actions.stop in found.follow(HORIZON)[1]


def rows(context: Context, photos: int, climbed: int) -> list[ledger.Row]:
    """How many photos perfect play stops on, for each γ; and how long the greedy oracle climbs."""
    dataset = datasets.load("scenes", "train", form="fcdb", size=max(photos, climbed))
    samples = dataset.samples[:photos]
    found = []
    for gamma in GAMMAS:
        values = [100.0 * stops(sample.boxes[0], sample.size, gamma) for sample in samples]
        note = "per cent of photos on which perfect play under Equation 1 ever stops"
        found.append(measured(context, "farming", f"γ = {gamma}", "stops", values, note=note))
    many = dataset.samples[:climbed]
    truths = torch.stack([sample.boxes[:1] for sample in many]).double()
    for name in rules.ACTIONS:
        ends = oracle(truths, torch.tensor([sample.size for sample in many]), actions=name)
        reached = rules.overlap(ends.boxes, truths, torch.ones(len(many), 1).bool(), "best")
        steps = ends.steps.double()
        found.append(measured(context, "oracle", name, "IoU", reached.tolist()))
        found.append(
            measured(
                context,
                "oracle",
                name,
                "steps",
                steps.tolist(),
                note=f"95 % of the photos need at most {float(steps.quantile(0.95)):.0f}",
            )
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.la2c.study", description=__doc__)
    parser.add_argument(
        "--photos", type=int, default=12, help="scenes for perfect play (default: %(default)s)"
    )
    parser.add_argument(
        "--climbed", type=int, default=500, help="scenes for the oracle (default: %(default)s)"
    )
    parser.add_argument("--record", action="store_true", help="write the rows into the ledger")

    def measure(chosen: argparse.Namespace, arguments: list[str]) -> int:
        context = Context(
            "la2c",
            "scenes",
            arguments,
            module="cropnb.la2c.study",
            split="train",
            device=program.device_name("cpu"),
        )
        found = rows(context, chosen.photos, chosen.climbed)
        if chosen.record:
            ledger.record("la2c", found)
        for row in found:
            print(
                f"{row.table:10}{row.row:12}{row.column:8}{row.ours:8.3f}  {row.images} photos  "
                f"{row.note}"
            )
        return 0

    return program.run(measure, parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
