"""Ledger rows from runs of GAIC and VRN."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from types import ModuleType

from cropnb import ledger, metrics, paper

COLUMNS = ("Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10", "SRCC")  # what a claim is decided on
MISSING = (
    "GAICD's photos can't be redistributed and are not here; "
    "with them: python -m cropnb.{} --dataset gaicd --profile full --record"
)


def one_line(result: Mapping) -> str:
    """The protocol's metrics of one run, for a log."""
    means = {name: metrics.bootstrap_interval(_per_cent(name, [result])).mean for name in COLUMNS}
    return ", ".join(f"{name} {value:.3g}" for name, value in means.items()) + f" ({result['minutes']} min)"


def _per_cent(column: str, runs: Sequence[Mapping], epoch: str = "last") -> list[list[float]]:
    """The values of a column, (runs, photos): accuracies in per cent, SRCC as it is."""
    unit = 1 if column == "SRCC" else 100
    return [[unit * value for value in run[epoch][column]] for run in runs]


def card(result: Mapping) -> dict:
    """What a shipped checkpoint says about itself: data, recipe, commit and score."""
    kept = ("method", "variant", "dataset", "profile", "init", "seed", "commit", "config_hash", "minutes", "device")
    scores = {name: round(metrics.bootstrap_interval(_per_cent(name, [result])).mean, 3) for name in COLUMNS}
    return {name: result[name] for name in kept} | {"scores": scores, "photos": result["photos"]}


def record(
    method: str,
    recipe: ModuleType,
    results: Mapping[str, Sequence[Mapping]],
    options: argparse.Namespace,
    arguments: Sequence[str],
) -> None:
    """Write what was measured, the claims that it decides, and what is still pending."""
    common = {
        "paper": method,
        "dataset": "scenes" if options.dataset == "scenes" else options.dataset,
        "split": "test",
        "command": shlex.join(["python", "-m", f"cropnb.{method}", *arguments]),
        "seeds": tuple(options.seeds),
    }
    suffix = ", frozen backbone" if options.frozen else ""
    printed = paper.read(method).tables if method != "gaic" else {}
    found = [
        _measured(f"{variant}{suffix}", column, runs, common, printed)
        for variant, runs in results.items()
        for column in runs[0]["last"]
        if variant in recipe.VARIANTS
    ]
    if method != "gaic":
        found += claims(method, results, common, options.frozen)
        if options.dataset == "scenes":
            found += pending(method)
    ledger.record(method, found)
    print(f"recorded {len(found)} rows in {ledger.folder() / (method + '.json')}")


def _measured(name: str, column: str, runs: Sequence[Mapping], common: Mapping, printed: Mapping) -> ledger.Row:
    found = metrics.bootstrap_interval(_per_cent(column, runs))
    best = metrics.bootstrap_interval(_per_cent(column, runs, "best")).mean
    note = f"last epoch; the epoch best on validation gives {best:.3g}"
    table = next((table for table in printed.values() if name in table.own and column in table.columns), None)
    on_its_data = table is not None and table.dataset == common["dataset"]
    value = table.value(name, column) if on_its_data else None
    verdict = ledger.verdict(value, found.mean, found.low, found.high) if value is not None else "measured"
    return ledger.Row(
        **common,
        table="Table 2" if printed else "baseline",
        row=name,
        column=column,
        verdict=verdict,
        paper_value=value,
        **_rounded(found),
        images=runs[0]["photos"],
        device=runs[0]["device"],
        minutes=round(sum(run["minutes"] for run in runs), 1),
        commit=runs[0]["commit"],
        config_hash=runs[0]["config_hash"],
        checkpoint_hash=runs[0].get("checkpoint_hash", ""),
        note=note + ("" if runs[0]["init"] == "imagenet" else "; random start"),
    )


def claims(method: str, results: Mapping[str, Sequence[Mapping]], common: Mapping, frozen: bool) -> list[ledger.Row]:
    """A row for each claim in words that these runs decide: the paired difference, photo by photo, over all seeds.

    A claim holds when the whole interval of the difference lies above zero.
    """
    found = []
    for claim in paper.read(method).claims:
        if not {claim["better"], claim["worse"]} <= set(results):
            continue
        better, worse = results[claim["better"]], results[claim["worse"]]
        for column in COLUMNS:
            gap = metrics.paired_bootstrap(_per_cent(column, better), _per_cent(column, worse))
            unsettled = gap.low <= 0 <= gap.high
            found.append(
                ledger.Row(
                    **common,
                    table="claim" + (", frozen backbone" if frozen else ""),
                    row=claim["name"],
                    column=column,
                    verdict="holds" if gap.low > 0 else "fails",
                    **_rounded(gap),
                    images=better[0]["photos"],
                    device=better[0]["device"],
                    commit=better[0]["commit"],
                    note=f"{claim['better']} less {claim['worse']}"
                    + ("; the interval holds zero, so these photos and seeds don't settle it" if unsettled else ""),
                )
            )
    return found


def pending(method: str) -> list[ledger.Row]:
    """A row for each printed number of the paper's own rows that waits for photos; measured ones are left alone."""
    measured = {row.key for row in ledger.read(method) if row.verdict != "pending"}
    rows = [
        ledger.Row(
            paper=method,
            table=table.name,
            row=name,
            column=column,
            dataset=table.dataset,
            split=table.split,
            verdict="pending",
            paper_value=table.value(name, column),
            images=table.photos,
            note=MISSING.format(method),
        )
        for table in paper.read(method).tables.values()
        for name in table.own
        for column in table.columns
    ]
    return [row for row in rows if row.key not in measured]


def _rounded(found: metrics.Interval | metrics.Difference) -> dict[str, float]:
    """Four decimals are finer than any interval here, and keep the file readable."""
    return {"ours": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
