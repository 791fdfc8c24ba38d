"""The ledger rows of LA2C that are no means of a column: seconds, step limits, the share of the
oracle's gain, and what is saved against A2-RL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cropnb import ledger, metrics
from cropnb.la2c import rules
from cropnb.la2c.recipe.variants import LSTM, MAIN, OWN
from cropnb.runs import Experiment, Place, Result, record
from cropnb.runs.context import Context
from cropnb.runs.rows import difference, measured, number, rounded

# The first of them that was run is what LA2C is compared with.
RIVALS = ("A2-RL", "A2-RL actions, aesthetic score")
NOISE_FREE = "noise-free best box"


def places(variant: str, own: bool, profile: str) -> list[Place]:
    """The rows of the tables that a variant fills.

    Args:
        own: whether it is one of the paper's.
    """
    cells = []
    if own:
        pairs = tuple(f"{name} {n}" for n in (1, 2, 3) for name in ("IoU", "BDE"))
        columns = {"Table 1": pairs, "Table 2": ("IoU", "BDE"), "Table 3": ("steps",)}
        cells += [Place(table, variant, names) for table, names in columns.items()]
    if profile in ("trial", "long") or not own:
        compared = ("IoU", "BDE", "steps", "stopped", "best box", "aesthetic score")
        cells.append(Place("variants", variant, compared))
    return cells


def note(results: Sequence[Result], calibrated: int) -> str:
    """What the reader of a row should know of its runs.

    Args:
        calibrated: training photos that give the batch statistics of a random start.
    """
    chosen = results[0].settings["variant"]
    text = (
        f"{len(results)} seed(s), the agent of the best validation score; reward "
        f"{chosen['reward']}, actions {chosen['actions']}, {chosen['environments']} environment(s)"
    )
    if "judge" in chosen:
        text += "; the aesthetic score is that of GAIC's weights for photographs"
    if chosen["updates"] != 1:
        text += f"; {chosen['updates']:g} times the updates"
    if "random" in (chosen["init"], results[0].init):
        text += f"; batch statistics of {calibrated} training photos"
    if other := results[0].settings["profile"].get("backbone_of"):
        text += f"; backbone trained as {other}'s"
    return text + ("; random backbone" if chosen["init"] == "random" else "")


def further(
    context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
) -> list[ledger.Row]:
    """Every such row that these runs decide."""
    rows = []
    for name, runs in results.items():
        rows += seconds(context, experiment, name, runs)
        rows += step_limits(context, name, runs) + leads(context, name, results)
        if name in OWN:
            rows += noise_free(context, name, runs)
    return rows + savings(context, results)


def seconds(
    context: Context, experiment: Experiment, name: str, runs: Sequence[Result]
) -> list[ledger.Row]:
    """Seconds a photo, wherever a variant's steps stand too."""
    values = [run.details["seconds"] for run in runs]
    note = f"{len(values[0])} photos, one at a time on this device"
    fields = record.row_fields(runs, note)
    return [
        measured(context, place.table, place.row, "seconds", values, **fields)
        for place in experiment.method.places(experiment, name)
        if "steps" in place.columns
    ]


def limits_table(name: str) -> str:
    """Where the numbers of a variant under step limits stand."""
    return "step limits" + {MAIN: "", LSTM: ", LSTM"}.get(name, f", {name}")


def step_limits(context: Context, name: str, runs: Sequence[Result]) -> list[ledger.Row]:
    """Where the same agent is when it is cut off earlier, and the share of photos, per cent, on
    which it had stopped by itself.
    """
    fields = record.row_fields(runs)
    rows = []
    for limit in runs[0].details["limits"]:
        ends = [run.details["limits"][limit] for run in runs]
        columns = {column: [end[column] for end in ends] for column in ("IoU", "steps")}
        columns["stopped"] = [stopped_within(run, int(limit)) for run in runs]
        rows += [
            measured(context, limits_table(name), f"{limit} steps", column, values, **fields)
            for column, values in columns.items()
        ]
    return rows


def stopped_within(run: Result, limit: int) -> list[float]:
    """100 for each photo on which the agent stopped by itself within so many steps, else 0."""
    photos = zip(run.columns["stopped"], run.columns["steps"], strict=True)
    return [100.0 * (stopped and steps <= limit) for stopped, steps in photos]


def leads_table(name: str) -> str:
    """Where LA2C's lead on a variant under step limits stands."""
    return f"step limits, {MAIN} less {name}"


def leads(context: Context, name: str, results: Mapping[str, list[Result]]) -> list[ledger.Row]:
    """The IoU of LA2C less that of another variant, photo by photo, both cut off after as many
    steps; over the seeds that both have.
    """
    sides = [{run.seed: run for run in results.get(one, ())} for one in (MAIN, name)]
    seeds = sorted(set(sides[0]) & set(sides[1]))
    if name == MAIN or not seeds:
        return []
    here = replace(context, seeds=tuple(seeds))
    limits = sides[0][seeds[0]].details["limits"]
    ious = {
        limit: [[side[seed].details["limits"][limit]["IoU"] for seed in seeds] for side in sides]
        for limit in limits
    }
    return [
        difference(here, leads_table(name), f"{limit} steps", "IoU", *pair)
        for limit, pair in ious.items()
    ]


def noise_free(context: Context, name: str, runs: Sequence[Result]) -> list[ledger.Row]:
    """IoU with the noise-free best box, and the share of the oracle's gain: what only composed
    scenes can tell.
    """
    first = runs[0].columns
    if "best box" not in first:
        return []
    values = [run.columns["best box"] for run in runs]
    whole, ceiling = (first[f"best box, {end}"] for end in ("whole photo", "oracle"))
    fields = record.row_fields(runs, "from the whole photo to where greedy steps of 1/30 end")
    share = ledger.Row(
        **context.fields()
        | {"verdict": "measured", "images": len(whole)}
        | fields
        | rounded(share_of_gap(values, whole, ceiling)),
        table=NOISE_FREE,
        row=name,
        column="per cent of the oracle's gain",
    )
    fields = record.row_fields(runs)
    return [
        measured(context, NOISE_FREE, name, "IoU", values, **fields),
        measured(context, NOISE_FREE, "whole photo", "IoU", whole),
        measured(context, NOISE_FREE, "oracle", "IoU", ceiling),
        share,
    ]


def share_of_gap(
    reached: Sequence, start: Sequence, ceiling: Sequence, samples: int = 2000
) -> metrics.Interval:
    """The share, per cent, of the way from `start` to `ceiling` that `reached` has gone.

    Args:
        reached: (photos,) or (seeds, photos).
        start: (photos,).
        ceiling: (photos,).

    Returns:
        The ratio of the means, with a bootstrap interval over photos.
    """
    start = np.asarray(start, dtype=float)
    gain = np.atleast_2d(np.asarray(reached, dtype=float)).mean(0) - start
    gap = np.asarray(ceiling, dtype=float) - start
    chances = np.full(len(gap), 1 / len(gap))
    draws = np.random.default_rng(0).multinomial(len(gap), chances, size=samples)
    shares = 100 * (draws @ gain) / (draws @ gap)
    ends = (float(end) for end in np.quantile(shares, (0.025, 0.975)))
    return metrics.Interval(float(100 * gain.sum() / gap.sum()), *ends)


def savings(context: Context, results: Mapping[str, list[Result]]) -> list[ledger.Row]:
    """What LA2C is said to save against A2-RL (Sec. 4.4), here against its actions and reward with
    our network.
    """
    rival = next((name for name in RIVALS if name in results), RIVALS[0])
    ours, theirs = (results.get(name, []) for name in (MAIN, rival))
    if not ours or len(ours) != len(theirs):
        return []
    note = f"{rival}, less {MAIN}; negative where LA2C takes more"
    fields = {"row": "LA2C against A2-RL", "note": note}
    rows = []
    for column, values in {
        "steps": [[run.columns["steps"] for run in runs] for runs in (ours, theirs)],
        "seconds": [[run.details["seconds"] for run in runs] for runs in (ours, theirs)],
    }.items():
        mine, other = (np.asarray(one, dtype=float) for one in values)  # (seeds, photos) each
        means = [float(rules.average_steps(one.ravel())) for one in (mine, other)]
        share, saved = round(100 * (1 - means[0] / means[1]), 2), (other - mine).tolist()
        rows.append(measured(context, "text", column=f"fewer {column}", values=saved, **fields))
        rows.append(
            number(
                context,
                "text",
                column=f"fewer {column}, per cent",
                ours=share,
                images=mine.shape[1],
                **fields,
            )
        )
    return rows
