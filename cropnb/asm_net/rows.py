"""Ledger rows from runs of ASM-Net."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from cropnb import ledger, metrics, paper, reproduction
from cropnb.asm_net.recipe import FIGURE_5, MAIN, PER_PAIR, SAME_RUN, TABLE_1, VARIANTS

ACCURACY = "Accuracy"
RANKING = ("SRCC", "Acc 5", "Acc 10")
BOX_TABLES = {"Table 2": "fcdb", "Table 3": "flms"}
OF_PHOTOS = "{dataset}'s photos can't be redistributed and are not here; with them: python -m cropnb.asm_net"
MISSING = {
    "Table 1": f"{OF_PHOTOS} --profile full --dataset cpc --variants table --seeds 0 1 2 --record",
    "Figure 5": (
        f"{OF_PHOTOS} --profile full --dataset cpc --variants figure --seeds 0 1 2 --record"
    ),
    "Table 2": f"{OF_PHOTOS} --profile full --dataset cpc --boxes fcdb --seeds 0 1 2 --record",
    "Table 3": f"{OF_PHOTOS} --profile full --dataset cpc --boxes flms --seeds 0 1 2 --record",
    "Table 4": f"{OF_PHOTOS} --profile full --dataset gaicd --seeds 0 1 2 --record",
}
Runs = Mapping[str, Sequence[Mapping]]


def accuracies(run: Mapping) -> list[float]:
    """One number a photo, in per cent, whose mean is the share of all pairs of the dataset that is
    ranked rightly.

    A photo with more pairs counts more. What is resampled is the ratio's linear part, as the delta
    method has it.
    """
    right, pairs = (torch.tensor(run[name], dtype=torch.double) for name in ("right", "pairs"))
    share = right.sum() / pairs.sum()
    return (100 * (share + (right - share * pairs) / pairs.mean())).tolist()


def column(run: Mapping, name: str) -> list[float]:
    """The values of a column, one a photo: accuracies in per cent, SRCC as it is."""
    if name == ACCURACY:
        return accuracies(run)
    return [(1 if name == "SRCC" else 100) * value for value in run[name]]


def scores(run: Mapping) -> dict[str, float]:
    """The means of all columns of one run, for logs and cards."""
    return {
        name: metrics.bootstrap_interval(column(run, name), samples=1).mean
        for name in (ACCURACY, *RANKING)
    }


def of(context: reproduction.Context, results: Runs, form: str, frozen: bool) -> list[ledger.Row]:
    """Every row that these runs decide: Table 1 and Figure 5 or Table 4, the claims, and Tables 2
    and 3.
    """
    suffix = ", frozen backbone" if frozen else ""
    results = {
        **results,
        **{point: results[name] for point, name in SAME_RUN.items() if name in results},
    }
    if form.startswith("gaicd"):
        found = []
        for name, runs in results.items():
            if name in TABLE_1:  # Table 4 has the paper's own pattern; others stand beside it
                row = "ASM-Net" if name == MAIN else f"ASM-Net, {name}"
                found += _rows(context, "Table 4", f"{row}{suffix}", runs, RANKING)
    else:
        found = []
        for name, runs in results.items():
            point = name in FIGURE_5 or name in PER_PAIR
            table, columns = (
                ("Figure 5", (ACCURACY,)) if point else ("Table 1", (ACCURACY, *RANKING))
            )
            found += _rows(context, table, f"{name}{suffix}", runs, columns)
        found += _difference(context, results, suffix) + claims(context, results, frozen)
    return found + _boxes(context, results.get(MAIN, ()), suffix)


def _rows(
    context: reproduction.Context,
    table: str,
    row: str,
    runs: Sequence[Mapping],
    columns: Sequence[str],
) -> list[ledger.Row]:
    return [
        reproduction.measured(
            context, table, row, name, [column(run, name) for run in runs], **_about(runs)
        )
        for name in columns
    ]


def _difference(context: reproduction.Context, results: Runs, suffix: str) -> list[ledger.Row]:
    """What λ = 0.1 gains over λ = 0 in points, photo by photo: the 3.22 % of Section 4.3."""
    found = []
    for ending in ("", ", mean over pairs"):
        with_it, without = results.get(f"λ=0.1{ending}"), results.get("λ=0")
        if with_it and without:
            values = [
                [a - b for a, b in zip(accuracies(one), accuracies(other), strict=True)]
                for one, other in zip(with_it, without, strict=True)
            ]
            row = f"λ=0.1 less λ=0{ending}{suffix}"
            found.append(
                reproduction.measured(context, "Figure 5", row, ACCURACY, values, note="in points")
            )
    return found


def claims(context: reproduction.Context, results: Runs, frozen: bool) -> list[ledger.Row]:
    """A row for each claim in words that these runs decide."""
    return [
        reproduction.claim(
            context,
            claim["name"],
            ACCURACY,
            [accuracies(run) for run in results[claim["better"]]],
            [accuracies(run) for run in results[claim["worse"]]],
            table="claim" + (", frozen backbone" if frozen else ""),
            **reproduction.bounds(claim, ACCURACY),
            note=f"{claim['better']} less {claim['worse']}, in points",
        )
        for claim in paper.read("asm_net").claims
        if {claim["better"], claim["worse"]} <= set(results)
    ]


def _boxes(context: reproduction.Context, runs: Sequence[Mapping], suffix: str) -> list[ledger.Row]:
    found = []
    for table, dataset in BOX_TABLES.items():
        if not runs or any(dataset not in run["boxes"] for run in runs):
            continue
        scenes = context.dataset == "scenes"
        place = replace(context, dataset="scenes" if scenes else dataset, split="test")
        note = f"scenes in the form of {dataset}; " if scenes else ""
        for name in ("IoU", "Disp"):
            values = [run["boxes"][dataset][name] for run in runs]
            about = _about(runs, note + "two-stage search")
            found.append(
                reproduction.measured(place, table, f"ASM-Net{suffix}", name, values, **about)
            )
    return found


def _about(runs: Sequence[Mapping], note: str = "") -> dict[str, object]:
    first = runs[0]
    settings = VARIANTS[first["variant"]]
    details = [note] if note else []
    details.append(f"last epoch, {first['settings']['backbone']}, λ = {settings.weight:g}")
    if settings.per_pair:
        details.append("ranking loss divided by its pairs")
    if first["init"] != "imagenet":
        details.append("random start")
    return {
        "minutes": round(sum(run["minutes"] for run in runs), 1),
        "config_hash": first["config_hash"],
        "checkpoint_hash": first.get("checkpoint_hash", ""),
        "note": "; ".join(details),
    }


def pending() -> list[ledger.Row]:
    """The printed numbers that wait for photos."""
    return [
        row
        for table, missing in MISSING.items()
        for row in reproduction.pending("asm_net", missing, [table])
    ]
