"""Mars against a search among windows of the required ratio, on the same scenes:
`python -m cropnb.mars.studies.against_windows --photos 500 --record`.

Methods before Mars rate windows that slide over the photo; asked for a ratio, they rate windows of
it (Sec. 4.3). The paper's Table 7 sets the two in rows side by side. Here GAIC chooses among 1140
windows and Mars answers for the same true boxes, and the claim rests on the difference of each
photo. Measured are the two networks that ship, which learned from the same scenes and taught
photographs, with the backbone trained from c3_3 on; or, with `--profile`, finished runs of both on
scenes, seed by seed.

The scenes' true crops in FAT's form are drawn with the sizes that such windows usually have, so
GAIC chooses among windows of the sizes between them: see `table7`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cropnb import checkpoints, croppers, datasets, ledger, paper
from cropnb.croppers import Cropper, shipped
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError, WeightsUnavailable
from cropnb.evaluation import ManyWindows
from cropnb.gaic.recipe import METHOD as GAIC
from cropnb.mars.recipe import METHOD
from cropnb.mars.studies import table7
from cropnb.runs import Experiment, Place, blind, program, record, validation
from cropnb.runs.claims import claim, difference_of
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.experiment import WEIGHTS_FILE
from cropnb.runs.rows import measured

STUDY = "mars.studies.against_windows"
(CLAIM,) = (one for one in paper.read("mars").claims if one.get("study") == STUDY)
TABLE, WINDOWS = "Mars against windows", f"gaic{ManyWindows.other_suffix}"
Values = dict[str, list[list[float]]]  # column → (seeds, photos)


def claim_names(arguments: Sequence[str]) -> list[str]:
    """What a call decides, for the card of its power."""
    return [CLAIM["name"]]


def places(arguments: Sequence[str]) -> list[Place]:
    """Where the rows of a call stand, beside its claim."""
    chosen = _options().parse_args(list(arguments))
    return [
        Place(table_of(form), name, CLAIM["columns"])
        for form in chosen.forms
        for name in (METHOD.main, WINDOWS, table7.NAMES[table7.CENTRED])
    ]


def table_of(form: str) -> str:
    """The table of a form of the scenes."""
    return f"{TABLE}, {table7.FORMS[form].removeprefix('Table 7, ')}"


def networks(chosen: argparse.Namespace) -> dict[str, list[Path]]:
    """The weights of both sides, by method, one file a seed.

    Raises:
        WeightsUnavailable: a run that isn't finished.
    """
    if not chosen.profile:
        return {method.name: [shipped(method.name)] for method in (METHOD, GAIC)}
    files = {}
    for method in (METHOD, GAIC):
        experiment = Experiment(method, profile=chosen.profile, out=chosen.out)
        missing = [s for s in chosen.seeds if experiment.validation(method.main, s) is None]
        if missing:
            raise WeightsUnavailable(
                f"{method.main} isn't finished with seeds {', '.join(map(str, missing))}; first: "
                f"python -m cropnb.{method.name} --profile {chosen.profile} --seeds "
                f"{' '.join(map(str, missing))}"
            )
        folders = (experiment.run(method.main, seed).folder for seed in chosen.seeds)
        files[method.name] = [folder / WEIGHTS_FILE for folder in folders]
    return files


def curves(chosen: argparse.Namespace) -> dict[str, validation.Scores]:
    """The validation scores of the networks, by side: of finished runs, or as they are on record
    where the weights ship.
    """
    scores: dict[str, validation.Scores] = {}
    for method, side in ((METHOD, METHOD.main), (GAIC, WINDOWS)):
        if chosen.profile:
            experiment = Experiment(method, profile=chosen.profile, out=chosen.out)
            scores[side] = [experiment.validation(method.main, seed) for seed in chosen.seeds]
        else:
            card = checkpoints.load_weights(shipped(method.name), method.name)[1]
            names = ("variant", "dataset", "form", "profile", "init")
            scores[side] = validation.recorded(method.name, {name: card[name] for name in names})
    return scores


def asked(files: dict[str, list[Path]], device: str) -> dict[str, list[Cropper]]:
    """Both sides' croppers, one a seed: Mars, and GAIC among windows of the required ratio."""
    mars, gaic = (
        [croppers.load(name, file, device) for file in files[name]]
        for name in (METHOD.name, GAIC.name)
    )
    return {
        METHOD.main: mars,
        WINDOWS: [Cropper(ManyWindows(one.method, other_sizes=True)) for one in gaic],
    }


def rows(
    context: Context, sides: dict[str, list[Cropper]], dataset: CropDataset, ends: str = ""
) -> list[ledger.Row]:
    """What each side and the largest centred window reach, and the verdict, by column.

    Args:
        sides: the croppers of Mars and of the search, in this order, one a seed.
        dataset: scenes in a form with true boxes.
        ends: what the claim's note adds on how the trainings of both ended.
    """
    by_side: dict[str, Values] = {}
    for name, by_seed in sides.items():
        tables = [table7.measure(cropper, dataset) for cropper in by_seed]
        by_side[name] = {column: [one[column] for one in tables] for column in CLAIM["columns"]}
    middle = table7.measure(croppers.load(table7.CENTRED), dataset, progress=False)
    form = table7.FORMS[dataset.form].removeprefix("Table 7, ")
    boxes, written = f"{sum(len(sample.boxes) for sample in dataset)} boxes", []
    ours, theirs = by_side
    for column in CLAIM["columns"]:
        arms = {name: values[column] for name, values in by_side.items()}
        column_spec = METHOD.columns[column]
        written += [
            measured(context, table_of(dataset.form), name, column, values, note=boxes)
            for name, values in arms.items()
        ]
        written += [
            measured(
                replace(context, seeds=()),
                table_of(dataset.form),
                table7.NAMES[table7.CENTRED],
                column,
                middle[column],
                note=boxes,
            ),
            claim(
                context,
                CLAIM["name"],
                column,
                arms[ours],
                arms[theirs],
                table="claim" if dataset.form == METHOD.forms[0] else f"claim, {form}",
                **record.claim_bounds(CLAIM, column, METHOD.columns),
                higher_is_better=column_spec.higher_is_better,
                void=blind.void(
                    arms, middle[column], column_spec.higher_is_better, "the largest centred window"
                ),
                note=f"{difference_of(ours, theirs, column_spec.higher_is_better)}; "
                f"{boxes}, paired by photo{ends}",
            ),
        ]
    return written


def photos(chosen: argparse.Namespace) -> Iterator[CropDataset]:
    """The test scenes, in each form that is asked for.

    Raises:
        CropnbError: no photo is asked for.
    """
    if chosen.photos is not None and chosen.photos < 1:
        raise CropnbError(f"--photos is {chosen.photos}; one at least is needed")
    for form in chosen.forms:
        yield datasets.load(ledger.SCENES, "test", form=form, size=chosen.photos)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""

    def measure(chosen: argparse.Namespace, shared: Context) -> Iterator[list[ledger.Row]]:
        files = networks(chosen)
        cards: list[dict[str, Any]] = [
            checkpoints.load_weights(file, METHOD.name)[1] for file in files[METHOD.name]
        ]
        here = replace(
            shared,
            profile=cards[0]["profile"],
            seeds=tuple(card["seed"] for card in cards),
            device=device_name(chosen.device),
        )
        sides, ends = asked(files, chosen.device), validation.still_rising(curves(chosen))
        for dataset in photos(chosen):
            yield rows(here, sides, dataset, ends)

    context = Context(METHOD.name, ledger.SCENES, arguments=(), module=f"cropnb.{STUDY}")
    return program.study(measure, _options(), context, arguments, photos)


def _options() -> argparse.ArgumentParser:
    """What a call may say."""
    options = program.parser(STUDY, __doc__)
    options.set_defaults(device="cpu")
    options.add_argument(
        "--forms", nargs="+", default=["fat"], choices=list(table7.FORMS), help="of the scenes"
    )
    options.add_argument("--photos", type=int, help="of each form; by default all there are")
    options.add_argument("--profile", help="of finished runs of both; by default those that ship")
    options.add_argument("--seeds", nargs="+", type=int, default=[0], help="of these runs")
    options.add_argument("--out", default="runs", help="where they lie")
    return options


if __name__ == "__main__":
    sys.exit(main())
