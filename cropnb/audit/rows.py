"""The audit's ledger rows, one function for each question."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from cropnb import baselines, metrics
from cropnb.audit import blind, epochs, shares, tolerance
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError
from cropnb.ledger import SCENES, Row
from cropnb.runs import Experiment, Result, plan, results
from cropnb.runs.context import Context
from cropnb.runs.rows import difference, measured, number, resampled

GOOD = 4.0
SAMPLES = 400  # of the bootstrap of AP
COVER = "fixed anchors that cover the training crops"
LESS_FIXED = "the same predictions, less fixed anchors"


def content_blind(
    training: CropDataset, test: CropDataset, prior: baselines.PositionPrior, count: int, eps: float
) -> dict[str, Callable[[], blind.TieBracket]]:
    """Name → the bracket of each set of `count` crops that never looks at a photo, within ε."""

    def of(crops: Callable[[Sample], Tensor]) -> Callable[[], blind.TieBracket]:
        return lambda: blind.hits(test, crops, eps)

    return {
        COVER: of(blind.fixed_anchors(blind.covering_cells(training, count, eps))),
        "anchors of the highest mean score": of(blind.best_ranked(prior, count)),
        "largest anchors": of(blind.best_ranked(baselines.largest_crop, count)),
        "anchors drawn at random": lambda: blind.random_anchor_hits(test, count, eps),
        "boxes drawn at random": lambda: blind.random_box_hits(test, count, eps),
    }


def blind_rows(context: Context, training: CropDataset, test: CropDataset) -> list[Row]:
    """What sets that never look at a photo score, for every ε and N, and for every reading of a
    tie.
    """
    rows, prior = [], baselines.PositionPrior(training)
    for eps in blind.EPSILONS:
        for count in blind.COUNTS:
            for name, measure in content_blind(training, test, prior, count, eps).items():
                rows += _bracket(context, name, f"ACC 1/{count}, ε = {eps:.2f}", measure())
        grid = blind.hits(test, blind.grid, eps)
        rows += _bracket(context, "all anchors of the grid", f"all, ε = {eps:.2f}", grid)
        near = blind.neighbours(test, eps)  # (photos,)
        column = f"anchors within ε = {eps:.2f} of the best"
        rows.append(measured(context, "the grid", "best crop", column, near.tolist()))
        for count, value in enumerate(blind.cover_curve(training, test, eps).tolist(), start=1):
            place = ("cover curve", COVER, f"ACC 1/{count}, ε = {eps:.2f}")
            rows.append(number(context, *place, round(100 * value, 4), len(test)))
    ties = [100.0 * (len(blind.tied_best(sample)) > 1) for sample in test.samples]
    rows.append(measured(context, "ties", "photos", "several crops tie for best", ties))
    return rows


def covering_rows(context: Context, training: CropDataset, test: CropDataset) -> list[Row]:
    """ACC 1/N of the covering anchors on scenes in GAICD v2's form; of tied crops the first."""
    rows = []
    for eps in blind.EPSILONS[:2]:
        for count in blind.COUNTS:
            crops = blind.fixed_anchors(blind.covering_cells(training, count, eps))
            values = _per_cent(blind.hits(test, crops, eps).first)
            place = ("content-blind, first of the tied, v2", COVER, f"ACC 1/{count}, ε = {eps:.2f}")
            rows.append(measured(context, *place, values))
    return rows


def _bracket(context: Context, row: str, column: str, bracket: blind.TieBracket) -> list[Row]:
    return [
        measured(context, f"content-blind, {among} of the tied", row, column, _per_cent(values))
        for among, values in zip(blind.AMONG_TIED, bracket, strict=True)
    ]


def _per_cent(values: Tensor) -> list[float]:
    return (100 * values).tolist()


def reach_rows(context: Context, dataset: CropDataset) -> list[Row]:
    """An oracle limited to grid anchors, on boxes that were drawn freely."""
    columns = ("one of the true boxes", "share of the true boxes")
    table = "oracle limited to grid anchors"
    return [
        measured(context, table, f"{dataset.form} form, ε = {eps:.2f}", column, _per_cent(values))
        for eps in blind.EPSILONS
        for column, values in zip(columns, blind.reachable(dataset, eps), strict=True)
    ]


def matching_rows(context: Context, training: CropDataset, test: CropDataset) -> list[Row]:
    """How AP by the authors' matching differs from COCO's, on predictions that need no photo.

    Predictions: the candidates that the mean training score of their position puts first, and the
    candidates in the order of their true scores, each a few hundredths of a side off.
    """
    truths = [sample.boxes[sample.scores > GOOD].double() for sample in test.samples]
    prior = baselines.PositionPrior(training)
    sets = {
        "candidates by mean score of their position": [
            (sample.boxes.double(), prior(sample).double()) for sample in test.samples
        ],
        "candidates by true score, moved a little": [
            _moved(sample, index) for index, sample in enumerate(test.samples)
        ],
    }
    rows = []
    for (name, predictions), eps, most in itertools.product(
        sets.items(), (0.85, 0.90), (5, 10, 40)
    ):
        (best, samples), (last, others) = (
            metrics.average_precision_interval(
                predictions,
                truths,
                iou_threshold=eps,
                max_detections=most,
                samples=SAMPLES,
                take=take,
            )
            for take in ("best", "last")
        )
        for kind, value, resamples in (
            ("COCO's", best.mean, samples),
            ("the last free true box", last.mean, others),
            ("difference", last.mean - best.mean, others - samples),
        ):
            place = (f"AP, {kind}", name, f"ε = {eps:.2f}, K = {most}")
            rows.append(resampled(context, *place, 100 * value, 100 * resamples, len(test)))
    return rows


def _moved(sample: Sample, index: int) -> tuple[Tensor, Tensor]:
    """The candidates, each a few hundredths of a side off, and their scores."""
    rng = torch.Generator().manual_seed(index)
    shift = 0.02 * torch.randn(len(sample.boxes), 4, generator=rng)  # (N, 4)
    boxes = sample.boxes + shift * torch.tensor([*sample.size] * 2)
    return boxes.double(), sample.scores.double()


def share_rows(context: Context) -> list[Row]:
    """Printed counts of photos that no number of photos gives."""
    rows = []
    for one in shares.impossible_shares():
        near = " or ".join(f"{value:g}" for value in one.nearest)
        rows.append(
            number(
                context,
                table=f"no share of {one.photos} photos",
                row=f"{one.method}, {one.table}, {one.row}",
                column=one.column,
                ours=round(min(abs(one.printed - value) for value in one.nearest), 4),
                images=one.photos,
                paper_value=one.printed,
                note=f"printed {one.printed:g}; {one.photos} photos give {near}",
            )
        )
    return rows


def trained_rows(
    context: Context,
    training: CropDataset,
    test: CropDataset,
    predictions: Mapping[str, tolerance.Prediction],
) -> list[Row]:
    """The same predictions of the methods that we ship, by GAICD's Acc 1/N and by ACC 1/N within ε,
    and by how much more of the photos they reach than anchors that look at none, photo by photo.

    Acc 1/N needs a choice among the annotated crops. A method that finds its crops itself has none.
    """
    rows = []
    fixed = {
        (count, eps): blind.hits(
            test, blind.fixed_anchors(blind.covering_cells(training, count, eps)), eps
        ).first
        for count in blind.COUNTS
        for eps in blind.EPSILONS[:2]
    }
    for name, prediction in predictions.items():
        hits = tolerance.columns(prediction, test)
        for column, values in hits.items():
            place = ("the same predictions", name, column)
            rows.append(measured(context, *place, _per_cent(values), note=prediction.note))
        for (count, eps), reached in fixed.items():
            column = f"ACC 1/{count}, ε = {eps:.2f}"
            both = (_per_cent(hits[column]), _per_cent(reached))
            rows.append(difference(context, LESS_FIXED, name, column, *both))
        pairs = itertools.product(blind.COUNTS, blind.EPSILONS)
        for count, eps in pairs if prediction.scores is not None else ():
            within, without = f"ACC 1/{count}, ε = {eps:.2f}", f"Acc 1/{count}"
            lift = _per_cent(hits[within] - hits[without])
            place = ("the lift of the tolerance", name, f"{within}, less {without}")
            rows.append(measured(context, *place, lift))
    return rows


def epoch_rows(context: Context, folder: Path) -> list[Row]:
    """What each way of choosing an epoch reports, over all finished runs that kept a score for
    every epoch.
    """
    groups: dict[tuple[str, str, str], list[tuple[Result, epochs.Selection]]] = {}
    for run in sorted({path.parent for path in folder.glob(f"*/*/*/{results.RESULT_FILES}")}):
        result = _finished(run)
        if result is None or "epochs" not in result.details or result.dataset != SCENES:
            continue
        scores = torch.tensor(result.details["epochs"])  # (epochs, 2, columns)
        for index, column in enumerate(result.details["epoch_columns"]):
            chosen = epochs.selection(*scores[:, :, index].unbind(1))
            place = (result.method, run.parent.name, column)
            groups.setdefault(place, []).append((result, chosen))
    rows = []
    for (method, kind, column), runs in groups.items():
        last, on_validation, on_test = 100 * torch.tensor([one for _, one in runs]).double().T
        for name, values in {
            "last epoch": last,
            "best on validation": on_validation,
            "best on test": on_test,
            "best on validation less last": on_validation - last,
            "best on test less last": on_test - last,
            "best on test less best on validation": on_test - on_validation,
        }.items():
            span = f"from {values.min():.2f} to {values.max():.2f}"
            rows.append(
                measured(
                    context,
                    table="choice of the epoch",
                    row=f"{method}, {kind}, {name}",
                    column=column,
                    values=values.tolist(),
                    images=runs[0][0].photos,
                    seeds=tuple(sorted({result.seed for result, _ in runs})),
                    note=f"mean of {len(values)} runs, {span}; interval over runs",
                )
            )
    return rows


def _finished(folder: Path) -> Result | None:
    """The result of a run with the settings of today; a line says what is left out."""
    try:
        result = results.any_of(folder)
        experiment = Experiment(
            plan.method_named(result.method),
            result.dataset,
            result.form,
            result.profile,
            init=result.init,
            frozen=result.frozen,
            out=None,
        )
        run = experiment.run(result.variant, result.seed)
    except CropnbError as error:
        print(f"without {folder}: {error}")
        return None
    if run.config_hash != result.config_hash:
        print(f"without {folder}: it was trained with other settings than today's")
        return None
    return result
