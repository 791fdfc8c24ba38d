"""Ledger rows from runs of the set predictor: Tables 1 to 5, Figure 6, and the claims that they
decide.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cropnb import ledger, metrics, paper, reproduction
from cropnb.set_prediction.data import CropPhotos
from cropnb.set_prediction.fitting import (
    COUNTS,
    DETECTIONS,
    THRESHOLDS,
    Found,
    detections,
    set_accuracy,
    truths,
)
from cropnb.set_prediction.study import blind_set

METHOD = "set_prediction"
# Where a run's rows stand, by the dataset or, for scenes, the form: ACC 1/N, AP, and what is added
# to the names of Tables 4 and 5 and of the claims. The paper has none of all numbers on CPC, only
# its Table 4.
TABLES = {
    "gaicd": ("Table 1", "Table 2", ""),
    "gaicd_v2": ("Table 1, v2", "Table 2", ""),
    "cpc": ("ACC 1/N, CPC", "AP, CPC", ", CPC"),
}
# On scenes every variant was run in the form of GAICD v1, so what was run in v2's stands in tables
# of its own.
TABLES_OF_SCENES = TABLES | {"gaicd_v2": ("Table 1, v2", "Table 2, v2", ", v2")}
MISSING = (
    "the photos of {dataset} can't be redistributed and are not here; with them and a GPU: "
    "python -m cropnb.set_prediction --dataset {dataset} --profile full --variants all --seeds 0 "
    "1 2 --record"
)
SAMPLES = 1000  # of the bootstrap of AP, which has to be ranked anew for each
CLAIM_COLUMNS = (
    ("ε = 0.85, K = 10", 0.85, 10),
    ("ε = 0.85, K = 40", 0.85, 40),
    ("ε = 0.90, K = 40", 0.90, 40),
)

# variant → one (result, predictions) a seed
Runs = Mapping[str, Sequence[tuple[dict, list[Found]]]]


def precision(
    runs: Sequence[list[Found]], true: Sequence[Tensor], eps: float, most: int
) -> tuple[float, np.ndarray]:
    """AP of several seeds in per cent: the mean, and the mean of each resample (samples,), drawn
    alike for every run.

    Photos are drawn alike for all seeds; so are the seeds themselves, with replacement.
    """
    found = [
        metrics.average_precision_interval(detections(run), true, eps, most, samples=SAMPLES)
        for run in runs
    ]
    means, resampled = (
        np.array([one.mean for one, _ in found]),
        np.stack([values for _, values in found]),
    )
    drawn = np.random.default_rng(1).multinomial(
        len(runs), np.full(len(runs), 1 / len(runs)), size=SAMPLES
    ) / len(runs)
    return 100 * float(means.mean()), 100 * (drawn * resampled.T).sum(1)


def interval(mean: float, resampled: np.ndarray) -> dict[str, float]:
    """Mean and 95 % interval as fields of a row."""
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return {
        "ours": round(mean, 4),
        "low": round(min(low, mean), 4),
        "high": round(max(high, mean), 4),
    }


def table_rows(
    context: reproduction.Context, runs: Runs, photos: Mapping[str, CropPhotos], form: str
) -> list[ledger.Row]:
    """ACC 1/N (equation 7) and AP of every variant.

    photos: the test photos for each variant; which of their crops are good depends on it.
    """
    accuracy_table, precision_table, added = _tables(context, form)
    rows = []
    for name, done in runs.items():
        results, found = [one for one, _ in done], [one for _, one in done]
        test, common = photos[name], _common(results)
        for eps in THRESHOLDS:
            row = f"Ours (ε = {eps:.2f})" if name == "QG" else f"{name} (ε = {eps:.2f})"
            for count in COUNTS if test.scores else ():
                values = [(100 * set_accuracy(one, test, count, eps)).tolist() for one in found]
                rows.append(
                    reproduction.measured(
                        context, accuracy_table, row, f"ACC 1/{count}", values, **common
                    )
                )
            for most in DETECTIONS:
                measured = precision(found, truths(test), eps, most)
                where = [
                    (precision_table, row, f"K = {most}"),
                    *_more_places(name, eps, most, added),
                ]
                rows += [
                    _precision_row(context, *place, *measured, len(test), common) for place in where
                ]
    return rows


def blind_rows(
    context: reproduction.Context, training: CropPhotos, test: CropPhotos, form: str
) -> list[ledger.Row]:
    """The same numbers of a set that never looks at a photo, chosen on the training photos for each
    ε.
    """
    accuracy_table, precision_table, _ = _tables(context, form)
    rows, good = [], torch.cat(truths(training))
    common = {
        "note": "the same boxes for every photo, chosen to reach the good crops of the training photos"
    }
    for eps in THRESHOLDS:
        found = [blind_set(good, max(DETECTIONS), eps)] * len(test)
        row = f"content-blind set (ε = {eps:.2f})"
        for count in COUNTS if test.scores else ():
            values = (100 * set_accuracy(found, test, count, eps)).tolist()
            rows.append(
                reproduction.measured(
                    context, accuracy_table, row, f"ACC 1/{count}", values, **common
                )
            )
        for most in DETECTIONS:
            measured = precision([found], truths(test), eps, most)
            rows.append(
                _precision_row(
                    context, precision_table, row, f"K = {most}", *measured, len(test), common
                )
            )
    return rows


def _tables(context: reproduction.Context, form: str) -> tuple[str, str, str]:
    tables = TABLES_OF_SCENES if context.dataset == "scenes" else TABLES
    return tables.get(form, ("ACC 1/N", "AP", ""))


def _more_places(name: str, eps: float, most: int, added: str) -> list[tuple[str, str, str]]:
    """Where else in the paper the same AP is printed; `added` to the names of these tables."""
    column, places = f"ε = {eps:.2f}, K = {most}", []
    if name in ("w/o smoothing", "SD") and eps == 0.85 and most != 5:
        places.append((f"Table 4{added}", "w/ SD" if name == "SD" else "w/o SD", f"K = {most}"))
    if name in ("QG", "SD") and most != 5 and added != ", CPC":
        places.append((f"Table 5{added}", name, column))
    if column == "ε = 0.90, K = 40" and not added:
        mu = {"QG": "0.5", "w/o smoothing": "0"}.get(
            name, name.removeprefix("QG, μ = ") if "μ" in name else ""
        )
        places += [("Figure 6", f"μ = {mu}", column)] if mu else []
    return places


def _precision_row(
    context: reproduction.Context,
    table: str,
    row: str,
    column: str,
    mean: float,
    resampled: np.ndarray,
    images: int,
    common: dict,
) -> ledger.Row:
    printed, ends = (
        reproduction.printed_value(METHOD, context.dataset, table, row, column),
        interval(mean, resampled),
    )
    verdict = (
        "measured"
        if printed is None
        else ledger.verdict(printed, ends["ours"], ends["low"], ends["high"])
    )
    content = {**context.fields(), **common, **ends, "images": images, "paper_value": printed}
    return ledger.Row(table=table, row=row, column=column, verdict=verdict, **content)


def claim_rows(
    context: reproduction.Context, runs: Runs, photos: Mapping[str, CropPhotos], form: str
) -> list[ledger.Row]:
    """A verdict on each claim in words that these runs decide: the difference in AP, by what each
    photo adds to it.
    """
    rows, table = [], "claim" + _tables(context, form)[2]
    for claim in paper.read(METHOD).claims:
        names = (claim["better"], claim["worse"])
        if not set(names) <= set(runs):
            continue
        for column, eps, most in CLAIM_COLUMNS:
            better, worse = (
                [
                    100
                    * metrics.average_precision_by_photo(
                        detections(found), truths(photos[name]), eps, most
                    )
                    for _, found in runs[name]
                ]
                for name in names
            )
            rows.append(
                reproduction.claim(
                    context,
                    claim["name"],
                    column,
                    better,
                    worse,
                    table=table,
                    note=f"{claim['better']} less {claim['worse']}, AP in points",
                    **reproduction.bounds(claim, column),
                )
            )
    return rows


def _common(results: Sequence[Mapping]) -> dict[str, object]:
    start = "" if results[0]["init"] == "imagenet" else "; random start"
    return {
        "minutes": round(sum(one["minutes"] for one in results), 1),
        "config_hash": results[0]["config_hash"],
        "checkpoint_hash": results[0].get("checkpoint_hash", ""),
        "note": f"last epoch; of tied best crops the first{start}",
    }
