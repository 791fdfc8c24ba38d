"""From results to ledger rows: the tables' cells, and the claims that two variants decide."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cropnb import ledger, metrics, paper
from cropnb.runs import blind, validation
from cropnb.runs.claims import bounds, claim, difference_of
from cropnb.runs.context import Context
from cropnb.runs.experiment import Experiment
from cropnb.runs.method import Column, Method, Place
from cropnb.runs.results import Result
from cropnb.runs.rows import measured

Results = Mapping[str, list[Result]]  # variant → one result a seed


def rows(context: Context, experiment: Experiment, results: Results) -> list[ledger.Row]:
    """Every row that these runs decide: cells of tables, claims, and what the method adds."""
    return [
        *(row for name, runs in results.items() for row in cells(context, experiment, name, runs)),
        *claims(context, experiment, results),
        *experiment.method.further_rows(context, experiment, results),
    ]


def without_fewer_seeds(rows: Iterable[ledger.Row], name: str) -> list[ledger.Row]:
    """Without the rows in whose place the ledger has one of the same training that stands on these
    seeds and more, or on these seeds and more photos: two entries of the plan may share a variant,
    and ask for unlike seeds.
    """
    there = {row.key: row for row in ledger.read(name)}
    remaining = []
    for row in rows:
        old = there.get(row.key)
        same = old is not None and row.config_hash and old.config_hash == row.config_hash
        if not (same and _stands_on_less(row, old)):
            remaining.append(row)
    return remaining


def _stands_on_less(row: ledger.Row, old: ledger.Row) -> bool:
    """Whether a row has a part of another one's seeds, or the same ones on fewer photos."""
    seeds, others = set(row.seeds), set(old.seeds)
    return seeds < others or (seeds == others and (row.images or 0) < (old.images or 0))


def cells(
    context: Context, experiment: Experiment, variant: str, runs: Sequence[Result]
) -> list[ledger.Row]:
    """The rows of the tables that a variant fills."""
    method = experiment.method
    return [
        measured(
            context,
            place.table,
            place.row + method.suffix(experiment),
            name,
            *_where_all_are_numbers(values(method.columns, column, runs)),
            **row_fields(runs, cell_note(experiment, column, runs)),
        )
        for place in method.places(experiment, variant)
        for name, column in _names(place, runs[0]).items()
        if column in runs[0].columns
    ]


def _names(place: Place, result: Result) -> Mapping[str, str]:
    """The table's column → the measured one."""
    if isinstance(place.columns, Mapping):
        return place.columns
    return {name: name for name in place.columns or result.columns}


def claims(context: Context, experiment: Experiment, results: Results) -> list[ledger.Row]:
    """The verdict on each claim of `paper.toml` whose two variants were run, over the seeds that
    both have.
    """
    method = experiment.method
    entries = paper.read(method.name).claims if paper.known(method.name) else ()
    pairs = [
        (entry, [results.get(entry[side], ()) for side in ("better", "worse")])
        for entry in entries
        if "rival" not in entry  # another method's network; see `rivals`
    ]
    return decide(context, experiment, pairs)


def decide(
    context: Context,
    experiment: Experiment,
    pairs: Iterable[tuple[Mapping[str, Any], Sequence[Sequence[Result]]]],
) -> list[ledger.Row]:
    """The verdict on each claim for which both sides have a seed in common, column by column.

    Args:
        experiment: of the side that the paper calls better; its method says how columns are judged.
        pairs: a claim of `paper.toml` with the runs of its better and its worse side.
    """
    method, written = experiment.method, []
    middle: Mapping[str, Sequence[float]] | None = None  # of the photos; asked for once
    for entry, sides in pairs:
        pair = [{result.seed: result for result in side} for side in sides]
        seeds = sorted(set(pair[0]) & set(pair[1]))
        columns = entry.get("columns") or method.claim_columns
        for column in columns if seeds else ():
            runs = {
                entry[name]: [side[seed] for seed in seeds]
                for name, side in zip(("better", "worse"), pair, strict=True)
            }
            arms = {name: values(method.columns, column, of) for name, of in runs.items()}
            better, worse = _where_all_are_numbers(*arms.values())
            column_spec = column_of(method.columns, column)
            middle = method.blind(experiment) if middle is None else middle
            ends = validation.still_rising({name: _curves(of) for name, of in runs.items()})
            written.append(
                claim(
                    replace(context, seeds=tuple(seeds)),
                    entry["name"],
                    column,
                    better,
                    worse,
                    table=method.claim_table(experiment),
                    **claim_bounds(entry, column, method.columns),
                    higher_is_better=column_spec.higher_is_better,
                    void=_void(method, column, runs, middle),
                    note=difference_of(*arms, column_spec.higher_is_better) + ends,
                )
            )
    return written


def _void(
    method: Method,
    column: str,
    runs: Mapping[str, Sequence[Result]],
    middle: Mapping[str, Sequence[float]],
) -> str:
    """Why a claim says nothing in a column; empty where it does say something."""
    asked = column_of(method.columns, column).asks or column
    column_spec = column_of(method.columns, asked)
    arms = {name: values(method.columns, asked, of) for name, of in runs.items()}
    floor = [column_spec.unit * value for value in middle.get(asked, ())] or None
    text = blind.void(arms, floor, column_spec.higher_is_better, method.blind_answer)
    return f"{text} in {asked}" if text and asked != column else text


def _curves(runs: Sequence[Result]) -> list[list[float]]:
    """The validation scores of runs, (seeds, scores)."""
    return [run.validation for run in runs]


def values(
    columns: Mapping[str, Column], column: str, runs: Sequence[Result], epoch: str = "columns"
) -> list[list[float]]:
    """A column in its printed unit, (seeds, photos)."""
    unit = column_of(columns, column).unit
    return [[unit * value for value in getattr(run, epoch)[column]] for run in runs]


def _where_all_are_numbers(*arms: Sequence[Sequence[float]]) -> list[list[list[float]]]:
    """The photos for which every seed of every arm has a number: (seeds, photos) each."""
    tables = [np.asarray(arm, dtype=float) for arm in arms]
    there = ~np.isnan(np.concatenate(tables)).any(axis=0)  # (photos,)
    return [table[:, there].tolist() for table in tables]


def means(columns: Mapping[str, Column], result: Result) -> dict[str, float]:
    """The mean of each column of one run in its printed unit."""
    return {
        name: column_of(columns, name).unit * value
        for name, value in result.means().items()
        if name in columns
    }


def one_line(columns: Mapping[str, Column], result: Result) -> str:
    """What one run reached, for a log."""
    text = ", ".join(f"{name} {value:.4g}" for name, value in means(columns, result).items())
    return f"{result.variant}, seed {result.seed}: {text} ({result.minutes} min)"


def row_fields(runs: Sequence[Result], note: str = "") -> dict[str, object]:
    """What the rows of these runs say of how they were trained."""
    start = "" if runs[0].init == "imagenet" else f"{runs[0].init} start"
    return {
        "minutes": round(sum(run.minutes for run in runs), 1),
        "config_hash": runs[0].config_hash,
        "checkpoint_hash": runs[0].checkpoint_hash,
        "commit": runs[0].commit,
        "device": runs[0].device,
        "seeds": tuple(run.seed for run in runs),
        "note": "; ".join(part for part in (note, start) if part),
    }


def run_note(method: Method, runs: Sequence[Result]) -> str:
    """The method's note on the runs of a variant, and where their validation wasn't flat at the
    end.
    """
    return "; ".join(filter(None, (method.note(runs), validation.remark(_curves(runs)))))


def cell_note(experiment: Experiment, column: str, runs: Sequence[Result]) -> str:
    """The method's note, and what the epoch best on validation gives where both are known."""
    note = run_note(experiment.method, runs)
    if not all(run.best for run in runs):
        return note
    best = values(experiment.method.columns, column, runs, "best")
    mean = metrics.bootstrap_interval(best, samples=1).mean
    text = f"last epoch; the epoch best on validation gives {mean:.3g}"
    return f"{note}; {text}" if note else text


def claim_bounds(
    entry: Mapping[str, object], name: str, columns: Mapping[str, Column]
) -> dict[str, float | None]:
    """Margin and smallest difference worth having of a claim: its own, or the column's. Below a
    negative margin nothing has to be gained, so no gain is too small.
    """
    own = bounds(entry, name)
    if own["worth_having"] is None and own["margin"] >= 0:
        own["worth_having"] = column_of(columns, name).worth_having
    return own


def column_of(columns: Mapping[str, Column], name: str) -> Column:
    """How a measured column is judged; as any other where the method doesn't say."""
    return columns.get(name, Column())


def card(result: Result, scores: Mapping[str, float]) -> dict[str, object]:
    """What a shipped checkpoint says about itself: data, recipe, commit and score."""
    names = ("method", "variant", "dataset", "form", "profile", "init", "seed", "commit")
    names += ("config_hash", "minutes", "device", "photos")
    rounded = {name: round(value, 4) for name, value in scores.items()}
    return {name: getattr(result, name) for name in names} | {"scores": rounded}
