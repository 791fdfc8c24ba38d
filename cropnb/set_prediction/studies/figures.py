"""`python -m cropnb.set_prediction.studies.figures --profile cpu --seeds 0 1 2 --record`: rows of
the paper's figures.

They are read from finished runs of `python -m cropnb.set_prediction`; see `measures` for what is
measured.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cropnb import datasets, ledger, metrics
from cropnb.datasets.base import CropDataset
from cropnb.ledger import Row
from cropnb.runs import Experiment, Place, program
from cropnb.runs.context import Context
from cropnb.runs.rows import measured, number
from cropnb.set_prediction.cropper import CropPredictions, predict
from cropnb.set_prediction.labels import CropPhotos
from cropnb.set_prediction.recipe import METHOD
from cropnb.set_prediction.studies import measures, scatter

# quality and validity of the crops of every photo, a list of photos for each seed
Panel = list[list[tuple[Tensor, Tensor]]]
GOOD_QUALITY = 3.5  # s_u: from here on a soft label is as high as it gets
MODULE = f"{METHOD.name}.studies.figures"
# Columns, and what of a figure's rows is no variant's name.
UNMATCHED = (
    "per cent with a scored neighbour",
    "mean estimated quality",
    "per cent of these of 3.5 or more",
)
OFF_GRID = (
    "a corner outside of the grid's regions",
    "no anchor within ε = 0.85",
    "no anchor within ε = 0.90",
)
APART, SRCC = "mean of 1 − IoU between two crops", "SRCC with quality"
BIAS, REACHED = "area less the good crops'", "per cent reached within ε = 0.85 by 40"
WHEN, THIRDS = ("before training", "after training"), ("smallest", "middle", "largest")
PANELS = ("all anchors", "unmatched anchors of training photos")


@dataclass(frozen=True)
class Study:
    """The finished runs of one variant, and where their rows stand.

    Attributes:
        runs: the predictions of each seed for the test photos.
        on: what is added to names of rows: all forms stand in one table.
    """

    context: Context
    experiment: Experiment
    variant: str
    seeds: Sequence[int]
    test: CropPhotos
    runs: Sequence[Sequence[CropPredictions]]
    on: str

    def measured(self, table: str, row: str, column: str, runs: list, **fields: object) -> Row:
        """A mean over photos and seeds."""
        return measured(self.context, table, row, column, runs, **fields)

    def number(self, table: str, row: str, column: str, value: float, **fields: object) -> Row:
        """A number over all photos at once."""
        photos = len(self.test)
        return number(
            self.context, table, row, column, ours=round(float(value), 4), images=photos, **fields
        )

    @property
    def name(self) -> str:
        """Of its rows."""
        return self.variant + self.on


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    context = Context(METHOD.name, ledger.SCENES, arguments=(), module=f"cropnb.{MODULE}")
    return program.study(_measure, _options(), context, arguments, read)


def _options() -> argparse.ArgumentParser:
    """What a call may say."""
    options = program.parser(MODULE, __doc__)
    program.experiment_options(options, METHOD)
    return options


def places(arguments: Sequence[str]) -> list[Place]:
    """Where the rows of a call stand."""
    experiment, variants = program.chosen_experiment(METHOD, _options().parse_args(list(arguments)))
    on, cpc = _on(experiment), experiment.form == "cpc"
    found = []
    for variant in variants:
        name = variant + on
        found += [
            Place("Figure 4", f"{name}, ten most valid crops", OFF_GRID),
            Place("Figure 5", f"{name}, five most valid crops", (APART,)),
            Place("Figure 5", f"annotated good crops{on}", (APART,)),
            Place("Section 5", f"{name}, ten most valid crops", (BIAS,)),
            *(
                Place("Section 5", f"{name}, {third} third of the good crops", (REACHED,))
                for third in THIRDS
            ),
        ]
        if cpc:
            found.append(Place("Table 3", _row_of_table_3(variant), ("IoU",)))
            continue
        rows_of_3 = (f"{name}, unmatched anchors, {when}" for when in WHEN)
        found += [Place("Figure 3", row, UNMATCHED) for row in rows_of_3]
        found += [Place("Figure 7", f"{name}, {panel}", (SRCC,)) for panel in PANELS]
    return found


def _on(experiment: Experiment) -> str:
    """What is added to names of rows: all forms stand in one table."""
    return {", CPC": " on CPC", ", v2": " on v2"}.get(METHOD.tables(experiment)[2], "")


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[Row]]:
    experiment, variants = program.chosen_experiment(METHOD, chosen)
    context = program.of_experiment(context, experiment, chosen.seeds)
    for variant in variants:
        yield rows(context, experiment, variant, chosen.seeds, keep_points=chosen.record)


def rows(
    context: Context,
    experiment: Experiment,
    variant: str,
    seeds: Sequence[int],
    keep_points: bool = False,
) -> list[Row]:
    """The rows of every figure for one variant; of CPC's form also Table 3.

    Args:
        keep_points: keep those of Figure 7 for the chapter, of GAICD v1's form and the first seed.

    Raises:
        CheckpointError: a run that isn't finished.
    """
    study = Study(
        context=context,
        experiment=experiment,
        variant=variant,
        seeds=seeds,
        test=METHOD.photos(experiment, "test", variant),
        runs=[METHOD.predictions(experiment, variant, seed) for seed in seeds],
        on=_on(experiment),
    )
    shared = [*globality(study), *diversity(study), *bias(study)]
    if experiment.form == "cpc":  # whose scores are on another scale than (Eq. 4)'s
        return [*shared, table_3(study)]
    by_panel = panels(study)
    if keep_points and experiment.form == "gaicd":
        first = {panel: by_run[0] for panel, by_run in by_panel.items()}
        scatter.write(variant, context.dataset, seeds[0], first)
    return [*shared, *invalid_anchors(study), *correlations(study, by_panel)]


def invalid_anchors(study: Study) -> list[Row]:
    """Figure 3: crops of unmatched anchors, before and after training."""
    early = []
    for seed in study.seeds:
        model = study.experiment.model(study.experiment.run(study.variant, seed)).eval()
        features = METHOD.features(study.experiment, "test", model)
        early.append(predict(model, study.test, features))
    cells = []
    for when, runs in zip(WHEN, (early, study.runs), strict=True):
        quality = torch.cat([measures.unmatched(run, study.test) for run in runs])
        known = quality[~quality.isnan()]
        values = (
            100 * len(known) / len(quality),
            known.mean(),
            100 * (known >= GOOD_QUALITY).double().mean(),
        )
        row = f"{study.name}, unmatched anchors, {when}"
        pairs = zip(UNMATCHED, values, strict=True)
        cells += [study.number("Figure 3", row, *cell) for cell in pairs]
    return cells


def globality(study: Study) -> list[Row]:
    """Figure 4: the share of the ten most valid crops that no grid anchor can give."""
    far = partial(measures.far_from_grid, photos=study.test)
    kinds = (measures.off_grid, partial(far, eps=0.85), partial(far, eps=0.90))
    row = f"{study.name}, ten most valid crops"
    return [
        study.measured("Figure 4", row, column, [(100 * kind(run)).tolist() for run in study.runs])
        for column, kind in zip(OFF_GRID, kinds, strict=True)
    ]


def diversity(study: Study) -> list[Row]:
    """Figure 5: how far apart the five most valid crops are, and the annotated good ones."""
    runs = [measures.diversity([one.xyxy[:5] for one in run]).tolist() for run in study.runs]
    annotated = measures.diversity(study.test.truths)
    annotated = annotated[~annotated.isnan()].tolist()
    return [
        study.measured("Figure 5", f"{study.name}, five most valid crops", APART, runs),
        study.measured("Figure 5", f"annotated good crops{study.on}", APART, annotated),
    ]


def correlations(study: Study, by_panel: Mapping[str, Panel]) -> list[Row]:
    """Figure 7: the rank correlation of validity and estimated quality, photo by photo where it has
    enough crops.
    """
    splits = (study.context.split, study.experiment.parts["train"].split)
    note = "0 where fewer than five crops have a scored neighbour"
    cells = []
    for (panel, by_run), split in zip(by_panel.items(), splits, strict=True):
        values = [[_rank_correlation(*pair) for pair in run] for run in by_run]
        place = ("Figure 7", f"{study.name}, {panel}", SRCC)
        cells.append(study.measured(*place, values, note=note, split=split))
    return cells


def panels(study: Study) -> dict[str, Panel]:
    """Figure 7: panel a has all crops of the test photos, panel b those of unmatched anchors on the
    training photos.
    """
    photos = METHOD.photos(study.experiment, "train", study.variant)
    learned = []
    for seed in study.seeds:
        model = study.experiment.trained(study.variant, seed)
        learned.append(predict(model, photos, METHOD.features(study.experiment, "train", model)))
    pairs = partial(measures.quality_and_validity, photos=photos, unmatched_only=True)
    return {
        PANELS[0]: [measures.quality_and_validity(run, study.test) for run in study.runs],
        PANELS[1]: [pairs(run) for run in learned],
    }


def bias(study: Study) -> list[Row]:
    """(Sec. 5) Are small good crops ignored?"""
    areas = [(100 * measures.area_bias(run, study.test)).tolist() for run in study.runs]
    row = f"{study.name}, ten most valid crops"
    cells = [study.measured("Section 5", row, BIAS, areas)]
    by_run = [measures.recall_by_area(run, study.test) for run in study.runs]
    thirds = zip(*by_run, strict=True)  # a tuple of runs for each
    for third, parts in zip(THIRDS, thirds, strict=True):
        reached = torch.stack([part[1] for part in parts]).mean(0)  # (M,)
        row = f"{study.name}, {third} third of the good crops"
        note = f"mean area {100 * parts[0][0]:.1f} % of the photo; {len(reached)} good crops"
        cells.append(study.number("Section 5", row, REACHED, 100 * reached.mean(), note=note))
    return cells


def table_3(study: Study) -> Row:
    """Table 3: trained on CPC's form, tested on FLMS's, against the true box that the most valid
    crop overlaps best.
    """
    experiment = study.experiment
    photos = CropPhotos(flms_photos(experiment), experiment.profile.test_side, experiment.device)
    models = [experiment.trained(study.variant, seed) for seed in study.seeds]
    runs = [measures.best_iou(predict(model, photos), photos).tolist() for model in models]
    note = "trained on CPC's form, tested on FLMS's"
    return study.measured("Table 3", _row_of_table_3(study.variant), "IoU", runs, note=note)


def _row_of_table_3(variant: str) -> str:
    """The paper's own row is that of the self-distilled network."""
    return "Ours" if variant == "SD" else f"Ours, {variant}"


def flms_photos(experiment: Experiment) -> CropDataset:
    """The photos of Table 3, or scenes in their form; `DatasetMissing` without them."""
    tested = datasets.tested(experiment.dataset)
    any_form = datasets.takes_form(tested)
    name, options = (tested, {"form": "flms"}) if any_form else ("flms", {})
    return datasets.load(name, "test", **options).with_photos()


def read(chosen: argparse.Namespace) -> Iterator[CropDataset]:
    """What is measured on."""
    experiment, _ = program.chosen_experiment(METHOD, chosen)
    yield experiment.parts["test"]
    if experiment.form == "cpc":
        yield flms_photos(experiment)


def _rank_correlation(quality: Tensor, validity: Tensor) -> float:
    enough = len(quality) >= 5 and bool(quality.std() > 0)
    return float(metrics.srcc(validity, quality)) if enough else 0.0


if __name__ == "__main__":
    sys.exit(main())
