"""The audit's ledger rows, one function for each question."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cropnb import baselines, ledger, metrics, reproduction
from cropnb.audit import blind, epochs, shares, tolerance
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError

GOOD = 4.0
SAMPLES = 400  # of the bootstrap of AP


def content_blind(
    training: CropDataset, test: CropDataset, prior: baselines.PositionPrior, count: int, eps: float
) -> dict[str, Callable[[], blind.TieBracket]]:
    """Name → the bracket of each set of `count` crops that never looks at a photo, within ε."""

    def of(crops: Callable[[Sample], Tensor]) -> Callable[[], blind.TieBracket]:
        return lambda: blind.hits(test, crops, eps)

    return {
        "fixed anchors that cover the training crops": of(
            blind.fixed_anchors(blind.covering_cells(training, count, eps))
        ),
        "anchors of the highest mean score": of(blind.best_ranked(prior, count)),
        "largest anchors": of(blind.best_ranked(baselines.largest_crop, count)),
        "anchors drawn at random": lambda: blind.random_anchor_hits(test, count, eps),
        "boxes drawn at random": lambda: blind.random_box_hits(test, count, eps),
    }


def blind_rows(
    context: reproduction.Context, training: CropDataset, test: CropDataset
) -> list[ledger.Row]:
    """What sets that never look at a photo score, for every ε and N, and for every reading of a
    tie.
    """
    rows, prior = [], baselines.PositionPrior(training)
    for eps in blind.EPSILONS:
        for count in blind.COUNTS:
            for name, measure in content_blind(training, test, prior, count, eps).items():
                rows += _bracket(context, name, f"ACC 1/{count}, ε = {eps:.2f}", measure())
        rows += _bracket(
            context,
            "all anchors of the grid",
            f"all, ε = {eps:.2f}",
            blind.hits(test, blind.grid, eps),
        )
        near = blind.neighbours(test, eps)
        column = f"anchors within ε = {eps:.2f} of the best"
        rows.append(reproduction.measured(context, "the grid", "best crop", column, near.tolist()))
        for count, value in enumerate(blind.cover_curve(training, test, eps).tolist(), start=1):
            where = (
                "cover curve",
                "fixed anchors that cover the training crops",
                f"ACC 1/{count}, ε = {eps:.2f}",
            )
            rows.append(reproduction.number(context, *where, round(100 * value, 4), len(test)))
    tied = torch.tensor([float(len(blind.tied_best(sample)) > 1) for sample in test.samples])
    rows.append(
        reproduction.measured(
            context, "ties", "photos", "several crops tie for best", (100 * tied).tolist()
        )
    )
    return rows


def _bracket(
    context: reproduction.Context, row: str, column: str, bracket: blind.TieBracket
) -> list[ledger.Row]:
    return [
        reproduction.measured(
            context, f"content-blind, {among} of the tied", row, column, (100 * values).tolist()
        )
        for among, values in zip(blind.AMONG_TIED, bracket, strict=True)
    ]


def reach_rows(context: reproduction.Context, dataset: CropDataset) -> list[ledger.Row]:
    """An oracle limited to grid anchors, on boxes that were drawn freely."""
    rows = []
    for eps in blind.EPSILONS:
        one, share = blind.reachable(dataset, eps)
        for column, values in (("one of the true boxes", one), ("share of the true boxes", share)):
            where = (
                "oracle limited to grid anchors",
                f"{dataset.form} form, ε = {eps:.2f}",
                column,
            )
            rows.append(reproduction.measured(context, *where, (100 * values).tolist()))
    return rows


def matching_rows(
    context: reproduction.Context, training: CropDataset, test: CropDataset
) -> list[ledger.Row]:
    """How AP by the authors' matching differs from COCO's, on predictions that need no photo.

    Predictions: the candidates that the mean training score of their position puts first, and the
        candidates in the
        order of their true scores, each a few hundredths of a side off.
    """
    truths = [sample.boxes[sample.scores > GOOD].double() for sample in test.samples]
    prior = baselines.PositionPrior(training)
    sets = {
        "candidates by mean score of their position": [
            (s.boxes.double(), prior(s).double()) for s in test.samples
        ],
        "candidates by true score, moved a little": [
            _moved(s, index) for index, s in enumerate(test.samples)
        ],
    }
    rows = []
    for name, predictions in sets.items():
        for eps in (0.85, 0.90):
            for most in (5, 10, 40):
                (best, samples), (last, other) = (
                    metrics.average_precision_interval(
                        predictions, truths, eps, most, samples=SAMPLES, take=take
                    )
                    for take in ("best", "last")
                )
                gap = metrics.Interval(
                    last.mean - best.mean, *np.quantile(other - samples, [0.025, 0.975]).tolist()
                )
                for kind, found in (
                    ("COCO's", best),
                    ("the last free true box", last),
                    ("difference", gap),
                ):
                    mean, low, high = (round(100 * value, 4) for value in found)
                    ends = {"low": min(low, mean), "high": max(high, mean)}
                    where = (f"AP, {kind}", name, f"ε = {eps:.2f}, K = {most}")
                    rows.append(reproduction.number(context, *where, mean, len(test), **ends))
    return rows


def _moved(sample: Sample, index: int) -> tuple[Tensor, Tensor]:
    width, height = sample.size
    draw = torch.Generator().manual_seed(index)
    shift = (
        0.02
        * torch.randn(len(sample.boxes), 4, generator=draw)
        * torch.tensor([width, height, width, height])
    )
    boxes = sample.boxes + shift
    return boxes.double(), sample.scores.double()


def share_rows(context: reproduction.Context) -> list[ledger.Row]:
    """Printed counts of photos that no number of photos gives."""
    rows = []
    for one in shares.impossible_shares():
        near = " or ".join(f"{value:g}" for value in one.nearest)
        note = f"printed {one.printed:g}; {one.photos} photos give {near}"
        where = (
            f"no share of {one.photos} photos",
            f"{one.method}, {one.table}, {one.row}",
            one.column,
        )
        gap = min(abs(one.printed - value) for value in one.nearest)
        rows.append(
            reproduction.number(
                context, *where, round(gap, 4), one.photos, paper_value=one.printed, note=note
            )
        )
    return rows


def trained_rows(
    context: reproduction.Context,
    test: CropDataset,
    predictions: Mapping[str, tolerance.Prediction],
) -> list[ledger.Row]:
    """The same predictions of the methods that we ship, by GAICD's Acc 1/N and by ACC 1/N within ε.

    Acc 1/N needs a choice among the annotated crops. A method that finds its crops itself has none.
    """
    rows = []
    for name, prediction in predictions.items():
        measured = tolerance.columns(prediction, test)
        for column, values in measured.items():
            where = ("the same predictions", name, column)
            rows.append(
                reproduction.measured(
                    context, *where, (100 * values).tolist(), note=prediction.note
                )
            )
        for count in blind.COUNTS if prediction.scores is not None else ():
            for eps in blind.EPSILONS:
                gap = (
                    100 * (measured[f"ACC 1/{count}, ε = {eps:.2f}"] - measured[f"Acc 1/{count}"])
                ).tolist()
                column = f"ACC 1/{count}, ε = {eps:.2f}, less Acc 1/{count}"
                rows.append(
                    reproduction.measured(context, "the lift of the tolerance", name, column, gap)
                )
    return rows


def epoch_rows(context: reproduction.Context, folder: Path) -> list[ledger.Row]:
    """What each way of choosing an epoch reports, over all finished runs that kept a score for
    every epoch.
    """
    runs: dict[tuple[str, str, str], list[epochs.Selection]] = {}
    seeds: dict[tuple[str, str, str], list[int]] = {}
    photos: dict[tuple[str, str, str], int] = {}
    for path in sorted(folder.glob("*/*/*/result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "epochs" not in result or result["dataset"] != "scenes":
            continue
        table = torch.tensor(result["epochs"])  # (epochs, 2, columns)
        for index, column in enumerate(result["epoch_columns"]):
            try:
                found = epochs.selection(table[:, 0, index], table[:, 1, index])
            except CropnbError:
                continue
            key = (result["method"], path.parent.parent.name, column)
            runs.setdefault(key, []).append(found)
            seeds.setdefault(key, []).append(result["seed"])
            photos[key] = result["photos"]
    rows = []
    for (method, kind, column), found in runs.items():
        values = 100 * torch.tensor(found).double()  # (runs, 3)
        last, on_validation, on_test = values.unbind(1)
        columns = {
            "last epoch": last,
            "best on validation": on_validation,
            "best on test": on_test,
            "best on validation less last": on_validation - last,
            "best on test less last": on_test - last,
            "best on test less best on validation": on_test - on_validation,
        }
        for name, of_runs in columns.items():
            where = ("choice of the epoch", f"{method}, {kind}, {name}", column)
            more, images = (
                {"seeds": tuple(sorted(set(seeds[method, kind, column])))},
                photos[method, kind, column],
            )
            note = f"mean of {len(of_runs)} runs, from {of_runs.min():.2f} to {of_runs.max():.2f}; interval over runs"
            ends = reproduction.rounded(metrics.bootstrap_interval(of_runs.tolist()))
            rows.append(
                reproduction.number(
                    context, *where, ends.pop("ours"), images, note=note, **ends, **more
                )
            )
    return rows
