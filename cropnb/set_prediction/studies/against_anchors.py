"""Sets against anchors, both with the same last stages of the backbone trained on the same photos:
`python -m cropnb.set_prediction.studies.against_anchors --dataset gaicd_layouts --profile trained
--seeds 0 1 2 --record`.

The paper's first claim is that a set of predicted crops reaches more of the good ones than anchors
that are scored one by one. Its tables compare with networks trained elsewhere. Here GAIC's anchors,
best first, are measured as sets, beside those of the set predictor; both runs have to be finished.

In GAICD's forms every true crop is an anchor, so that anchors can't miss one and a set can only
lose by aiming. Two ways lead off the grid. With `--truths off-grid` the same networks are measured
against windows of any place, size and ratio that the same people rated (`scenes.off_grid`); both
learned from anchors alone, so this tests what the answers are worth, not what sets could learn.
With `--form cpc` both learn from CPC's windows, which lie on no grid either, and are measured
against such windows: GAIC still ranks its grid anchors, the set may lie anywhere. A row says how
many true crops have an anchor near at all: more than that no ranking of anchors can reach.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from cropnb import candidates, datasets, ledger
from cropnb.boxes import pairwise_iou
from cropnb.datasets.scenes import off_grid
from cropnb.errors import CropnbError
from cropnb.gaic.recipe import METHOD as GAIC
from cropnb.ledger import Row
from cropnb.runs import Experiment, Place, blind, program, validation
from cropnb.runs.claims import claim
from cropnb.runs.context import Context
from cropnb.runs.maps import from_photos
from cropnb.runs.rows import measured, number
from cropnb.set_prediction.cropper import CropPredictions
from cropnb.set_prediction.labels import CropPhotos
from cropnb.set_prediction.recipe import METHOD
from cropnb.set_prediction.studies.tables import DETECTIONS, THRESHOLDS

MODULE = f"{METHOD.name}.studies.against_anchors"
ANCHORS, SETS, TABLE = "GAIC's anchors", "set of crops", "sets against anchors"
CLAIM, NEAREST, NEAR = "sets beat anchors", "any anchor", "good crops with an anchor near"
WITHIN, DIFFERENT = f"ε = {{:.2f}}, {NEAR}", "different first crops, seed {}"  # columns
GRID_FORMS = ("gaicd", "gaicd_v2")
OFF_GRID = "off-grid"  # truths


@torch.inference_mode()
def anchors(experiment: Experiment, seed: int, names: Sequence[str]) -> list[CropPredictions]:
    """The grid anchors of the test photos with these names, the best-scored first, as many as AP
    looks at.

    Raises:
        CropnbError: GAIC's test photos don't begin with these.
        CheckpointError: the run isn't finished.
    """
    model, photos = experiment.trained(GAIC.main, seed), experiment.photos("test")
    samples = experiment.parts["test"].samples[: len(names)]
    if [sample.name for sample in samples] != list(names):
        raise CropnbError("GAIC and the set predictor were measured on other photos")
    features = from_photos(model.features, photos)
    predictions = []
    for index, sample in enumerate(samples):
        sides = torch.tensor([*sample.size, *sample.size])
        if experiment.form in GRID_FORMS:
            grid, views = sample.boxes, photos.boxes(index)  # (N, 4), as people rated them
        else:
            grid = candidates.grid_anchors(*sample.size)  # (N, 4)
            height, width = photos.photo(index).shape[-2:]
            views = grid / sides * torch.tensor([width, height, width, height])
            views = views.to(experiment.device)
        scores = model.view_scores(features([index], [False])[0], [views]).float().cpu()  # (N,)
        best = scores.argsort(descending=True, stable=True)[: max(DETECTIONS)]
        # AP ranks the crops of all photos together, by how sure the network is of each.
        predictions.append(CropPredictions(grid[best] / sides, scores[best]))
    return predictions


def first_crops(predictions: Sequence[CropPredictions]) -> int:
    """How many different crops come first over all photos, rounded to thousandths of the sides: one
    where the same crop is given everywhere.
    """
    firsts = torch.stack([one.xyxy[0] for one in predictions])  # (photos, 4)
    return len(firsts.mul(1000).round().unique(dim=0))


def near_anchors(test: CropPhotos, eps: float) -> list[float]:
    """The share of each photo's good crops to which some anchor of the grid comes near, in per
    cent, (photos,).
    """
    shares = []
    for sample, true in zip(test.dataset, test.truths, strict=True):
        sides = torch.tensor([*sample.size, *sample.size])
        nearest = pairwise_iou(true, candidates.grid_anchors(*sample.size) / sides).amax(1)  # (M,)
        shares.append(float(100 * (nearest >= eps).double().mean()))
    return shares


def claim_names(arguments: Sequence[str]) -> list[str]:
    """What a call with these arguments decides, for the card of its power."""
    return [f"{CLAIM}, truths off the grid" if OFF_GRID in arguments else CLAIM]


def places(arguments: Sequence[str]) -> list[Place]:
    """Where the rows of a call stand, beside its claim."""
    chosen = _options().parse_args(list(arguments))
    sets, _ = program.chosen_experiment(METHOD, chosen)
    table, columns = table_of(sets, chosen.truths), tuple(METHOD.columns)
    columns += tuple(map(DIFFERENT.format, chosen.seeds))
    near = Place(table, NEAREST, tuple(map(WITHIN.format, THRESHOLDS)))
    return [*(Place(table, arm, columns) for arm in (SETS, ANCHORS)), near]


def table_of(sets: Experiment, truths: str | None) -> str:
    """The table of a form of the photos, and of truths off the grid."""
    off = ", truths off the grid" if truths == OFF_GRID else ""
    return TABLE + METHOD.tables(sets)[2] + off


def rows(
    context: Context, sets: Experiment, seeds: Sequence[int], truths: str | None = None
) -> list[Row]:
    """What both reach, and the verdict on the claim, by column.

    Args:
        truths: `OFF_GRID` for windows of any place in place of the annotated ones.

    Raises:
        CheckpointError: a run that isn't finished.
        CropnbError: truths off the grid of what are no scenes in GAICD's form.
    """
    grid = Experiment(
        GAIC,
        sets.dataset,
        sets.form if datasets.takes_form(sets.dataset) else None,
        profile=sets.profile_name,
        init=sets.init,
        device=str(sets.device),
        test_photos=sets.test_photos,
        out=sets.out,
        progress=sets.progress,
    )
    test, form = METHOD.photos(sets, "test", METHOD.main), METHOD.tables(sets)[2]
    table, (name,) = table_of(sets, truths), claim_names([truths or ""])
    if truths == OFF_GRID:
        test = off_grid_photos(sets)
    names = [sample.name for sample in sets.parts["test"].samples]
    runs = {
        SETS: [METHOD.predictions(sets, METHOD.main, seed) for seed in seeds],
        ANCHORS: [anchors(grid, seed, names) for seed in seeds],
    }
    ends = validation.still_rising(
        {
            SETS: [sets.validation(METHOD.main, seed) for seed in seeds],
            ANCHORS: [grid.validation(GAIC.main, seed) for seed in seeds],
        }
    )
    by_photo = {
        arm: [METHOD.columns_of(one, test) for one in predictions]
        for arm, predictions in runs.items()
    }
    written = [
        number(
            replace(context, seeds=(seed,)),
            table,
            arm,
            DIFFERENT.format(seed),
            ours=first_crops(one),
            images=len(test),
        )
        for arm, per_seed in runs.items()
        for seed, one in zip(seeds, per_seed, strict=True)
    ]
    written += [
        measured(context, table, NEAREST, WITHIN.format(eps), near_anchors(test, eps))
        for eps in THRESHOLDS
    ]
    blind_columns = METHOD.blind_columns(sets, test)
    for column, column_spec in METHOD.columns.items():
        values = {
            arm: [[column_spec.unit * value for value in seed[column]] for seed in per_seed]
            for arm, per_seed in by_photo.items()
        }
        written += [measured(context, table, arm, column, of) for arm, of in values.items()]
        floor = [column_spec.unit * value for value in blind_columns[column]]
        written.append(
            claim(
                context,
                name,
                column,
                values[SETS],
                values[ANCHORS],
                table=f"claim{form}",
                worth_having=column_spec.worth_having,
                void=blind.void(values, floor, column_spec.higher_is_better, METHOD.blind_answer),
                note=f"{SETS} less {ANCHORS}, the last stages of both trained alike{ends}",
            )
        )
    return written


def off_grid_photos(sets: Experiment) -> CropPhotos:
    """The test photos with windows off the grid, and those of them that are good.

    Raises:
        CropnbError: data without such windows: all but scenes in GAICD's form.
    """
    if sets.dataset != ledger.SCENES or sets.form != "gaicd":
        raise CropnbError("only scenes in GAICD's form have windows off the grid that people rated")
    windows = off_grid.load("test", len(sets.parts["test"]))
    return CropPhotos(windows, sets.profile.test_side, sets.device)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""

    def measure(chosen: argparse.Namespace, shared: Context) -> Iterator[list[Row]]:
        experiment, _ = program.chosen_experiment(METHOD, chosen)
        here = program.of_experiment(shared, experiment, chosen.seeds)
        yield rows(here, experiment, chosen.seeds, chosen.truths)

    context = Context(METHOD.name, ledger.SCENES, arguments=(), module=f"cropnb.{MODULE}")
    return program.study(measure, _options(), context, arguments)


def _options() -> argparse.ArgumentParser:
    """What a call may say."""
    options = program.parser(MODULE, __doc__)
    program.experiment_options(options, METHOD)
    options.add_argument(
        "--truths", choices=[OFF_GRID], help="windows off the grid in place of the annotated ones"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
