"""What weights for photographs are worth on drawn scenes, beside those of the same method that saw
scenes alone: `python -m cropnb.runs.on_scenes --record`.

A network that learned to crop photographs ought not to forget what its chapter teaches it on.
Both checkpoints that ship are measured on the test scenes of the method's first form, as its own
tables are. Rows go to `book/results/shipped.json`, and onto the cards of the weights for
photographs.
"""

import argparse
import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from cropnb import checkpoints, croppers, ledger, metrics
from cropnb.methods import PHOTOGRAPHS, QUESTIONS, SCENES_ONLY, on_photographs
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.experiment import Experiment
from cropnb.runs.method import Measurement, Method
from cropnb.runs.rows import measured

NAME, TABLE = "shipped", "scenes of a method's own form"
TABLES = "cpu"  # the profile that the tables on scenes stand on
DIFFERENCE = "less the weights for scenes alone: {span}, paired by photo"


def names() -> list[str]:
    """The methods that ship weights for photographs."""
    return [name for name in croppers.METHODS if croppers.weights_path(name, PHOTOGRAPHS).exists()]


def measure(method: Method, trained_on: str, test_photos: int | None = None) -> Measurement:
    """What shipped weights reach on test scenes.

    Args:
        method: as its recipe has it.
        trained_on: "photographs" or "scenes". Where no weights for scenes alone ship, because those
            for photographs serve both, the run of the tables is made first, or read.
        test_photos: how many scenes; by default as many as the tables stand on.

    Raises:
        CheckpointError: the weights are damaged, or another method's.
    """
    path, profile = croppers.weights_path(method.name, trained_on), method.profiles[TABLES]
    profile = replace(profile, test_photos=test_photos or profile.test_photos)
    if not path.exists():
        experiment = Experiment(method, profile=TABLES)
        model, variant = experiment.train(method.main, 0)[0], method.main
        experiment = Experiment(method, profile=profile, out=None, progress=False)
        return method.measure(experiment, experiment.run(variant, 0), model.eval())
    state, card = checkpoints.load_weights(path, method.name)
    # The weights are about to be replaced, so the backbone needs no start of its own.
    experiment = Experiment(method, profile=profile, init="random", out=None, progress=False)
    run = experiment.run(str(card["variant"]), 0)
    model = experiment.model(run)
    # What only training needs is not among the weights that ship, and nothing here reads it.
    checkpoints.load_into(model, {**model.state_dict(), **state}, path)
    return method.measure(experiment, run, model.eval())


def rows(name: str, context: Context, test_photos: int | None = None) -> Iterator[ledger.Row]:
    """The rows of one method: each column of its claims for either kind of weights."""
    method: Method = importlib.import_module(f"cropnb.{name}.recipe").METHOD
    labels = {ledger.SCENES: name + SCENES_ONLY, PHOTOGRAPHS: name}
    both = {kind: measure(method, kind, test_photos) for kind in labels}
    columns = both[PHOTOGRAPHS].columns
    for column in [one for one in method.claim_columns if one in columns] or columns:
        unit = method.columns[column].unit if column in method.columns else 1.0
        values = {
            kind: unit * torch.as_tensor(measurement.columns[column], dtype=torch.double)
            for kind, measurement in both.items()
        }
        gap = metrics.paired_bootstrap(values[PHOTOGRAPHS], values[ledger.SCENES])
        span = f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
        for kind, label in labels.items():
            note = DIFFERENCE.format(span=span) if kind == PHOTOGRAPHS else ""
            yield measured(context, TABLE, label, column, values[kind], note=note)


def write_card(name: str, measured_rows: Iterable[ledger.Row]) -> None:
    """Write onto the card of a method's weights for photographs what they reach on scenes, how
    they compare with the centred window on photographs, and the method's own remark.

    The tensors stay as they are.
    """
    path = croppers.weights_path(name, PHOTOGRAPHS)
    state, card = checkpoints.load_weights(path, name)
    method: Method = importlib.import_module(f"cropnb.{name}.recipe").METHOD
    card["on_scenes"] = {
        row.column: f"{row.ours:.3f}; {row.note}" for row in measured_rows if row.row == name
    }
    card["on_photographs"] = {
        QUESTIONS[row.table]: f"IoU {row.ours:.3f}; {row.note}" for row in on_photographs(name)
    }
    if method.remark:
        card["remark"] = method.remark
    checkpoints.save_weights(path, state, card, half=True, without_frozen=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("runs.on_scenes", __doc__)
    options.add_argument("--methods", nargs="+", choices=names(), default=names(), metavar="NAME")
    options.add_argument("--photos", type=int, help="how many scenes (default: as in the tables)")

    def start(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
        for name in chosen.methods:
            measured_rows = list(rows(name, context, chosen.photos))
            yield measured_rows
            if chosen.record:
                write_card(name, measured_rows)

    device = device_name("cpu")
    context = Context(
        NAME, ledger.SCENES, arguments=(), module="cropnb.runs.on_scenes", device=device
    )
    return program.study(start, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
