"""Tables 2 and 3: the best crop of the two-stage search, by finished runs of ASM-Net.

`python -m cropnb.asm_net.studies.best_crops --profile cpu --record` reads the runs of
`python -m cropnb.asm_net --profile cpu` and measures them on photos with true boxes: on scenes in
the form of FCDB and FLMS, or on these datasets. A minute for a network and a dataset on one core.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cropnb import datasets, evaluation, ledger
from cropnb.asm_net.cropper import AsmCropper
from cropnb.asm_net.recipe import METHOD
from cropnb.croppers import Cropper
from cropnb.datasets.base import CropDataset
from cropnb.runs import Experiment, program, record
from cropnb.runs.context import Context
from cropnb.runs.rows import measured

TABLES = {"fcdb": "Table 2", "flms": "Table 3"}
COLUMNS = {"IoU": "IoU", "Disp": "BDE"}  # the paper's name → ours


def photos(experiment: Experiment, name: str) -> CropDataset:
    """The photos of a dataset with true boxes, or as many scenes in its form as the profile tests.

    Raises:
        DatasetMissing: its photos are not on this disk.
    """
    dataset = datasets.tested(experiment.dataset)
    if datasets.takes_form(dataset):
        return datasets.load(dataset, "test", form=name, size=experiment.profile.test_photos)
    return datasets.load(name, "test").with_photos()


def rows(
    context: Context, experiment: Experiment, variant: str, seeds: Sequence[int], name: str
) -> list[ledger.Row]:
    """The row of one dataset, a mean over photos and seeds.

    Raises:
        WeightsUnavailable: no run is finished.
    """
    (runs,) = program.measure(experiment, [variant], seeds, finished=True).values()
    data = photos(experiment, name)
    by_seed = []
    for run in runs:
        model = experiment.trained(variant, run.seed)
        cropper = Cropper(AsmCropper(model, {}, experiment.device))
        by_seed.append(evaluation.measure(cropper, data, required=False, progress=False))
    in_form = f"{data.name} in the form of {name}; " if data.name != name else ""
    fields = record.row_fields(runs, f"{in_form}two-stage search; {record.run_note(METHOD, runs)}")
    row = "ASM-Net" if variant == METHOD.main else f"ASM-Net, {variant}"
    # Rows bear the name of what was trained on, so that those of a mix stand apart.
    own = experiment.dataset if datasets.takes_form(experiment.dataset) else data.name
    where = replace(context, dataset=own, split=data.split)
    return [
        measured(
            where,
            TABLES[name],
            row + METHOD.suffix(experiment),
            column,
            [values[ours].tolist() for values in by_seed],
            **fields,
        )
        for column, ours in COLUMNS.items()
    ]


def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    """The rows of each variant and dataset."""
    experiment, variants = program.chosen_experiment(METHOD, chosen)
    context = program.of_experiment(context, experiment, chosen.seeds)
    for variant in variants:
        for name in chosen.boxes:
            yield rows(context, experiment, variant, chosen.seeds, name)


def read(chosen: argparse.Namespace) -> Iterator[CropDataset]:
    """What is measured on."""
    experiment, _ = program.chosen_experiment(METHOD, chosen)
    return (photos(experiment, name) for name in chosen.boxes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("asm_net.studies.best_crops", __doc__)
    program.experiment_options(options, METHOD)
    options.add_argument(
        "--boxes", nargs="+", choices=TABLES, default=list(TABLES), help="both by default"
    )
    module = "cropnb.asm_net.studies.best_crops"
    context = Context("asm_net", ledger.SCENES, arguments=(), module=module)
    return program.study(measure, options, context, arguments, read)


if __name__ == "__main__":
    sys.exit(main())
