"""Which rows of Tables 1 to 5 and of Figure 6 a run fills. AP ranks the crops of all photos
together, so it is no mean over photos; a jackknife says what each photo adds to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cropnb import datasets, metrics
from cropnb.ledger import Row
from cropnb.runs import Experiment, Place, Result, record
from cropnb.runs.context import Context
from cropnb.runs.rows import measured, resampled
from cropnb.set_prediction.cropper import (
    COUNTS,
    DETECTIONS,
    THRESHOLDS,
    CropPredictions,
    set_accuracy,
)
from cropnb.set_prediction.labels import CropPhotos
from cropnb.set_prediction.studies.measures import blind_set

# By the dataset or, for scenes, the form: the tables of ACC 1/N and of AP, and what is added to the
# names of Tables 4 and 5 and of the claims. The paper has none of all numbers on CPC, only its
# Table 4. On scenes every variant was run in the form of GAICD v1, so what was run in v2's stands
# in tables of its own.
TABLES = {
    "gaicd": ("Table 1", "Table 2", ""),
    "gaicd_v2": ("Table 1, v2", "Table 2", ""),
    "cpc": ("ACC 1/N, CPC", "AP, CPC", ", CPC"),
}
TABLES_OF_ANY_FORM = TABLES | {"gaicd_v2": ("Table 1, v2", "Table 2, v2", ", v2")}
# What Tables 4 and 5 and Figure 6 call the variants.
TABLE_4 = {
    "w/o smoothing": "w/o SD",
    "w/o smoothing, as long as SD": "w/o SD, as long",
    "w/o smoothing, twice as long": "w/o SD, twice as long",
    "SD": "w/ SD",
}
TABLE_5 = ("QG", "SD")
FIGURE_6 = {"w/o smoothing": "μ = 0", "QG": "μ = 0.5"}


def blind_columns(experiment: Experiment, test: CropPhotos) -> dict[str, Sequence[float]]:
    """What the content-blind set of each ε reaches on the test photos, or on other truths of
    theirs.
    """
    columns = {}
    for eps, predictions in blind_predictions(experiment):
        reached = experiment.method.columns_of(predictions, test)
        columns |= {n: v for n, v in reached.items() if n.startswith(f"ε = {eps:.2f}")}
    return columns


def blind_predictions(experiment: Experiment) -> Iterator[tuple[float, list[CropPredictions]]]:
    """For each ε the set that never looks at a photo, for every test photo: chosen to reach the
    good crops of the training photos.
    """
    method = experiment.method
    good = torch.cat(method.photos(experiment, "train", method.main).truths)  # (N, 4)
    photos = len(method.photos(experiment, "test", method.main))
    for eps in THRESHOLDS:
        yield eps, [blind_set(good, max(DETECTIONS), eps)] * photos


def names(experiment: Experiment) -> tuple[str, str, str]:
    """The tables of ACC 1/N and of AP, and what is added to the names of all others."""
    tables = TABLES_OF_ANY_FORM if datasets.takes_form(experiment.dataset) else TABLES
    return tables.get(experiment.form, ("ACC 1/N", "AP", ""))


def places(experiment: Experiment, variant: str) -> list[Place]:
    """Of ACC 1/N; those of AP are `precision_places`."""
    table = names(experiment)[0]
    return [
        Place(
            table,
            _row(experiment, variant, eps),
            {f"ACC 1/{count}": f"ε = {eps:.2f}, ACC 1/{count}" for count in COUNTS},
        )
        for eps in THRESHOLDS
    ]


def precision_places(
    experiment: Experiment, variant: str, eps: float, most: int
) -> list[tuple[str, str, str]]:
    """The table, row and column of every place where the same AP is printed."""
    _, table, added = names(experiment)
    short, column = f"K = {most}", f"ε = {eps:.2f}, K = {most}"
    cells = [(table, _row(experiment, variant, eps), short)]
    if variant in TABLE_4 and eps == 0.85 and most != 5:
        cells.append((f"Table 4{added}", TABLE_4[variant], short))
    if variant in TABLE_5 and most != 5 and added != ", CPC":
        cells.append((f"Table 5{added}", variant, column))
    mu = FIGURE_6.get(variant, variant.removeprefix("QG, "))
    if column == "ε = 0.90, K = 40" and added != ", CPC" and mu.startswith("μ"):
        cells.append((f"Figure 6{added}", mu, column))
    return cells


def further(
    context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
) -> list[Row]:
    """AP of every variant, and what a set that never looks at a photo reaches."""
    rows, method = [], experiment.method
    for variant, runs in results.items():
        truths = method.photos(experiment, "test", variant).truths
        predictions = [method.predictions(experiment, variant, run.seed) for run in runs]
        fields = record.row_fields(runs, record.run_note(method, runs))
        for eps in THRESHOLDS:
            for most in DETECTIONS:
                for table, row, column in precision_places(experiment, variant, eps, most):
                    place = (table, row + method.suffix(experiment), column)
                    rows.append(
                        precision_row(
                            context, place, predictions, truths, eps=eps, most=most, **fields
                        )
                    )
    if method.main in results:
        rows += _blind_rows(replace(context, seeds=()), experiment)
    return rows


def _blind_rows(context: Context, experiment: Experiment) -> list[Row]:
    """The numbers of `blind_predictions`."""
    accuracy_table, precision_table, _ = names(experiment)
    test = experiment.method.photos(experiment, "test", experiment.method.main)
    note = "the same boxes for every photo, chosen to reach the good crops of the training photos"
    rows = []
    for eps, predictions in blind_predictions(experiment):
        row = f"content-blind set (ε = {eps:.2f})"
        for count in COUNTS:
            hits = 100 * set_accuracy(predictions, test, count, eps)  # (photos,)
            place = (accuracy_table, row, f"ACC 1/{count}")
            rows.append(measured(context, *place, hits.tolist(), note=note))
        for most in DETECTIONS:
            place = (precision_table, row, f"K = {most}")
            rows.append(
                precision_row(
                    context, place, [predictions], test.truths, eps=eps, most=most, note=note
                )
            )
    return rows


def _row(experiment: Experiment, variant: str, eps: float) -> str:
    """What Tables 1 and 2 call a variant."""
    return f"{'Ours' if variant == experiment.method.main else variant} (ε = {eps:.2f})"


def precision_row(
    context: Context,
    place: tuple[str, str, str],
    runs: Sequence[Sequence[CropPredictions]],
    truths: Sequence[Tensor],
    *,
    eps: float,
    most: int,
    **fields: object,
) -> Row:
    """The row of AP in per cent. One run has the interval of resampled photos; of several it is
    Student's, over what each photo adds to each.
    """
    if len(runs) == 1:
        interval, resamples = metrics.average_precision_interval(
            runs[0], truths, iou_threshold=eps, max_detections=most
        )
        values = {"value": 100 * interval.mean, "resamples": 100 * resamples}
        return resampled(context, *place, **values, images=len(truths), **fields)
    added = [
        metrics.average_precision_by_photo(run, truths, iou_threshold=eps, max_detections=most)
        for run in runs
    ]  # (seeds, photos)
    return measured(context, *place, (100 * np.stack(added)).tolist(), **fields)
