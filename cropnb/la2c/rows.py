"""Ledger rows from runs of LA2C: Tables 1 to 3, the claims, and what only composed scenes can tell."""

from collections.abc import Mapping, Sequence

import numpy as np

from cropnb import ledger, metrics, paper, reproduction
from cropnb.la2c.recipe import LSTM, MAIN, VARIANTS
from cropnb.reproduction import Context

MISSING = (
    "the photos of {dataset} can't be redistributed and are not here; with them: "
    "python -m cropnb.la2c --dataset {dataset} --profile full --variants LA2C LA2C-LSTM --record"
)
STEP_LIMITS = {MAIN: "step limits", LSTM: "step limits, LSTM"}  # tables of the ledger
Runs = Sequence[Mapping]  # results of one variant, a seed each


def average_steps(steps: Sequence[float]) -> float:
    """Equation 7: the mean number of actions a photo, the stop among them."""
    return sum(steps) / len(steps)


def share_of_gap(
    found: Sequence, start: Sequence, ceiling: Sequence, samples: int = 2000
) -> metrics.Interval:
    """The share, per cent, of the way from `start` to `ceiling` that `found` has gone; (photos,) or
    (seeds, photos).

    The interval is a bootstrap over photos, of the ratio of the means.
    """
    found = np.atleast_2d(np.asarray(found, dtype=float)).mean(0)
    start, ceiling = np.asarray(start, dtype=float), np.asarray(ceiling, dtype=float)
    draws = np.random.default_rng(0).multinomial(
        len(found), np.full(len(found), 1 / len(found)), size=samples
    )
    shares = 100 * (draws @ (found - start)) / (draws @ (ceiling - start))
    whole = 100 * (found - start).sum() / (ceiling - start).sum()
    return metrics.Interval(
        float(whole), *(float(end) for end in np.quantile(shares, (0.025, 0.975)))
    )


def one_line(result: Mapping) -> str:
    """One run, for a log."""
    means = {name: sum(values) / len(values) for name, values in result["test"].items()}
    wanted = {name: means[name] for name in ("IoU", "BDE", "best box") if name in means}
    steps = average_steps(result["steps"])
    return (
        ", ".join(f"{k} {v:.3f}" for k, v in wanted.items())
        + f", {steps:.1f} steps ({result['minutes']} min)"
    )


def card(result: Mapping) -> dict[str, object]:
    """What the shipped checkpoint says about itself, and what is needed to build the agent again."""
    means = {name: sum(values) / len(values) for name, values in result["test"].items()}
    scores = {name: means[name] for name in ("IoU", "BDE") if name in means}
    return reproduction.card(result, scores) | {"agent": result["agent"], **result["rules"]}


def record(results: Mapping[str, Runs], context: Context, main: bool) -> list[ledger.Row]:
    """Every row that these runs decide. main: the agents of the tables, not the short runs of a
    comparison.
    """
    found = []
    for name, runs in results.items():
        about = _about(runs)
        if name in (MAIN, LSTM):
            found += tables(context, name, runs, about) + step_limits(context, name, runs, about)
        if not main or len(results) > 1:
            found += comparison(context, name, runs, about)
    found += claims(context, results) + savings(context, results)
    if context.dataset == "scenes":
        found += reproduction.pending("la2c", MISSING)
    ledger.record("la2c", found)
    return found


def _about(runs: Runs) -> dict[str, object]:
    return {
        "minutes": round(sum(run["minutes"] for run in runs), 1),
        "config_hash": runs[0]["config_hash"],
        "checkpoint_hash": runs[0]["checkpoint_hash"],
        "commit": runs[0]["commit"],
    }


def _values(runs: Runs, column: str) -> list[list[float]]:
    if column in ("steps", "seconds"):
        return [run[column] for run in runs]
    if column == "stopped":
        return [[100.0 * value for value in run["stopped"]] for run in runs]
    return [run["test"][column] for run in runs]


def tables(context: Context, name: str, runs: Runs, about: Mapping) -> list[ledger.Row]:
    """One row of each of the paper's tables, and the way from the whole photo to the oracle."""
    printed = paper.read("la2c").tables
    note = f"{len(runs)} seed(s), one agent for all tables, that of the best validation score"
    found = []
    for table in ("Table 1", "Table 2", "Table 3"):
        for column in printed[table].columns:
            if column not in ("steps", "seconds") and column not in runs[0]["test"]:
                continue
            more = dict(about, note=note)
            if column == "seconds":
                more["note"] = f"{len(runs[0]['seconds'])} photos, one at a time on this device"
            found.append(
                reproduction.measured(context, table, name, column, _values(runs, column), **more)
            )
    return found + scenes_only(context, "noise-free best box", name, runs, about)


def scenes_only(
    context: Context, table: str, name: str, runs: Runs, about: Mapping
) -> list[ledger.Row]:
    """IoU with the noise-free best box, and the share of the oracle's gain: what only composed
    scenes can tell.
    """
    if "best box" not in runs[0]["test"]:
        return []
    first = runs[0]["test"]
    found = [reproduction.measured(context, table, name, "IoU", _values(runs, "best box"), **about)]
    for row in ("whole photo", "oracle"):
        found.append(reproduction.measured(context, table, row, "IoU", first[f"best box, {row}"]))
    gap = share_of_gap(
        _values(runs, "best box"), first["best box, whole photo"], first["best box, oracle"]
    )
    text = "from the whole photo to where greedy steps of 1/30 end"
    shared = {
        "verdict": "measured",
        "images": len(first["best box"]),
        "note": text,
        **about,
        **reproduction.rounded(gap),
    }
    found.append(
        ledger.Row(
            **context.fields() | shared,
            table=table,
            row=name,
            column="per cent of the oracle's gain",
        )
    )
    return found


def comparison(context: Context, name: str, runs: Runs, about: Mapping) -> list[ledger.Row]:
    """One variant of a comparison over seeds."""
    chosen = VARIANTS[name]
    note = f"{len(runs)} seeds; reward {chosen.reward}, actions {chosen.actions}, {chosen.environments} environments"
    if chosen.updates != 1:
        note += f"; {chosen.updates:g} times the updates, which take about as long"
    if runs[0].get("calibrated"):
        note += f"; random backbone with the batch statistics of {runs[0]['calibrated']} training photos"
    columns = ["IoU", "BDE", "steps", "stopped", "seconds"]
    columns += [name for name in ("best box", "aesthetic score") if name in runs[0]["test"]]
    return [
        reproduction.measured(
            context, "variants", name, column, _values(runs, column), **dict(about, note=note)
        )
        for column in columns
    ]


def step_limits(context: Context, name: str, runs: Runs, about: Mapping) -> list[ledger.Row]:
    """Where the same agent is when it is cut off earlier."""
    table, found = STEP_LIMITS[name], []
    for limit in runs[0]["limits"]:
        for column in ("IoU", "steps"):
            values = [run["limits"][limit][column] for run in runs]
            found.append(
                reproduction.measured(context, table, f"{limit} steps", column, values, **about)
            )
    return found


def claims(context: Context, results: Mapping[str, Runs]) -> list[ledger.Row]:
    """The verdict on what the paper says in words, where both sides were run with the same seeds."""
    found = []
    for entry in paper.read("la2c").claims:
        if not {entry["better"], entry["worse"]} <= set(results):
            continue
        better, worse = results[entry["better"]], results[entry["worse"]]
        if len(better) != len(worse):
            continue
        values = (_values(better, entry["column"]), _values(worse, entry["column"]))
        found.append(
            reproduction.claim(
                context,
                entry["name"],
                entry["column"],
                *values,
                **reproduction.bounds(entry, entry["column"]),
                higher_is_better=entry["column"] != "steps",
                commit=worse[0]["commit"],
                note=f"{entry['better']} against {entry['worse']}, {len(better)} seeds",
            )
        )
    return found


def savings(context: Context, results: Mapping[str, Runs]) -> list[ledger.Row]:
    """What Section 4.4 says that LA2C saves against A2-RL, here against its actions and reward with
    our network.
    """
    row, rival = "LA2C against A2-RL", "A2-RL actions, aesthetic score"
    if not {MAIN, rival} <= set(results) or len(results[MAIN]) != len(results[rival]):
        return []
    found = []
    for column in ("steps", "seconds"):
        ours, theirs = (
            np.asarray(_values(results[name], column), dtype=float) for name in (MAIN, rival)
        )
        note = f"{rival}, less {MAIN}; negative where LA2C takes more"
        found.append(
            reproduction.measured(
                context, "text", row, f"fewer {column}", (theirs - ours).tolist(), note=note
            )
        )
        share = round(100 * float(1 - ours.mean() / theirs.mean()), 2)
        images = ours.shape[1]
        found.append(
            reproduction.number(
                context, "text", row, f"fewer {column}, per cent", share, images, note=note
            )
        )
    return found
