"""Ledger rows from runs of GAIC and VRN."""

import argparse
from collections.abc import Mapping, Sequence
from types import ModuleType

from cropnb import ledger, metrics, paper, reproduction

COLUMNS = ("Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10", "SRCC")  # what a claim is decided on
MISSING = (
    "GAICD's photos can't be redistributed and are not here; "
    "with them: python -m cropnb.{method} --dataset gaicd --profile full --record"
)


def one_line(result: Mapping) -> str:
    """The protocol's metrics of one run, for a log."""
    return (
        ", ".join(f"{name} {value:.3g}" for name, value in _means(result).items())
        + f" ({result['minutes']} min)"
    )


def card(result: Mapping) -> dict:
    """What a shipped checkpoint says about itself: data, recipe, commit and score."""
    return reproduction.card(result, _means(result))


def record(
    method: str,
    recipe: ModuleType,
    results: Mapping[str, Sequence[Mapping]],
    options: argparse.Namespace,
    arguments: Sequence[str],
) -> None:
    """Write what was measured, the claims that it decides, and what is still pending."""
    context = reproduction.Context(
        method,
        options.dataset,
        arguments,
        profile=options.profile,
        seeds=tuple(options.seeds),
        device=next(iter(results.values()))[0]["device"],
        commit=next(iter(results.values()))[0]["commit"],
    )
    suffix = ", frozen backbone" if options.frozen else ""
    table = "Table 2" if paper.known(method) else "baseline"
    found = [
        _measured(context, table, f"{variant}{suffix}", column, runs)
        for variant, runs in results.items()
        for column in runs[0]["last"]
        if variant in recipe.VARIANTS
    ]
    if paper.known(method):
        found += claims(context, results, options.frozen)
        if options.dataset == "scenes":
            found += reproduction.pending(method, MISSING.format(method=method))
    ledger.record(method, found)
    print(f"recorded {len(found)} rows in {ledger.folder() / (method + '.json')}")


def _measured(
    context: reproduction.Context, table: str, name: str, column: str, runs: Sequence[Mapping]
) -> ledger.Row:
    best = metrics.bootstrap_interval(_per_cent(column, runs, "best")).mean
    start = "" if runs[0]["init"] == "imagenet" else "; random start"
    return reproduction.measured(
        context,
        table,
        name,
        column,
        _per_cent(column, runs),
        minutes=round(sum(run["minutes"] for run in runs), 1),
        config_hash=runs[0]["config_hash"],
        checkpoint_hash=runs[0].get("checkpoint_hash", ""),
        note=f"last epoch; the epoch best on validation gives {best:.3g}{start}",
    )


def claims(
    context: reproduction.Context, results: Mapping[str, Sequence[Mapping]], frozen: bool = False
) -> list[ledger.Row]:
    """A row for each claim in words that these runs decide, in every column."""
    return [
        reproduction.claim(
            context,
            claim["name"],
            column,
            _per_cent(column, results[claim["better"]]),
            _per_cent(column, results[claim["worse"]]),
            table="claim" + (", frozen backbone" if frozen else ""),
            note=f"{claim['better']} less {claim['worse']}",
        )
        for claim in paper.read(context.method).claims
        if {claim["better"], claim["worse"]} <= set(results)
        for column in COLUMNS
    ]


def _means(result: Mapping) -> dict[str, float]:
    return {name: metrics.bootstrap_interval(_per_cent(name, [result])).mean for name in COLUMNS}


def _per_cent(column: str, runs: Sequence[Mapping], epoch: str = "last") -> list[list[float]]:
    """The values of a column, (runs, photos): accuracies in per cent, SRCC as it is."""
    unit = 1 if column == "SRCC" else 100
    return [[unit * value for value in run[epoch][column]] for run in runs]
