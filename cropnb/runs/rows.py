"""Ledger rows from measurements: a number of a table with its interval, beside the printed one.

A method measures; this module gives what it measured an interval, a verdict and a place.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from cropnb import datasets, ledger, metrics, paper
from cropnb.runs.context import Context

# (photos,), or (seeds, photos) for several runs
Values = ArrayLike


def measured(
    context: Context,
    table: str,
    row: str,
    column: str,
    values: Values,
    *,
    listed: int | None = None,
    **fields: object,
) -> ledger.Row:
    """The row of one cell: mean and 95 % interval over photos and seeds (`metrics.mean_interval`),
    beside the printed value where there is one.

    The verdict compares with print only on the dataset of the paper's table; on another one the
    number is `measured`, and on layouts of that dataset it is `not_comparable`.

    Args:
        values: one number a photo, (photos,), or a list of these for each seed, in the unit of the
            column.
        listed: how many photos the dataset's list has, where some of them are gone: the interval
            is widened for them, and the note ends with how many there are.
        fields: further fields of `ledger.Row`, such as note, minutes, config_hash or
            checkpoint_hash; a `paper_value` stands for that of `paper.toml`.
    """
    count = photos(values)
    interval = metrics.with_missing(values, listed or count)
    fields = {"images": count, **fields}
    if listed and listed > count:
        gone = f"{count} of {listed} listed photos, and the interval is widened for the rest"
        fields["note"] = f"{fields['note']}; {gone}" if fields.get("note") else gone
    return _beside_print(context, (table, row, column), interval, fields)


def difference(
    context: Context,
    table: str,
    row: str,
    column: str,
    first: Values,
    second: Values,
    **fields: object,
) -> ledger.Row:
    """The row of a paired difference that is no claim, with the interval of one, beside the printed
    number where there is one.

    Args:
        first: one number a photo, (photos,), or a list of these for each seed.
        second: what is taken from it: the same photos and seeds.
        fields: further fields of `ledger.Row`.
    """
    gaps = np.subtract(first, second).tolist()
    return measured(context, table, row, column, gaps, **fields)


def resampled(
    context: Context,
    table: str,
    row: str,
    column: str,
    value: float,
    resamples: ArrayLike,
    images: int,
    **fields: object,
) -> ledger.Row:
    """The row of a number that is no mean over photos, such as AP, beside the printed value where
    there is one.

    Args:
        resamples: the number for photos drawn anew, (samples,); its 95 % interval is that of these.
        fields: further fields of `ledger.Row`.
    """
    low, high = np.quantile(resamples, [0.025, 0.975]).tolist()
    interval = metrics.Interval(value, min(low, value), max(high, value))
    return _beside_print(context, (table, row, column), interval, {"images": images, **fields})


def _beside_print(
    context: Context,
    place: tuple[str, str, str],
    interval: metrics.Interval,
    fields: Mapping[str, object],
) -> ledger.Row:
    """The row of a number with its interval; table, row and column say where it stands."""
    # A layout shows nothing of the photo that the printed number was taken on.
    layouts = ledger.kind(context.dataset) == ledger.LAYOUTS
    dataset = datasets.FORMS.get(context.dataset, context.dataset)
    printed = fields.get("paper_value", printed_value(context.method, dataset, *place))
    verdict = "measured" if printed is None else ledger.verdict(printed, *interval)
    if layouts and printed is not None:
        verdict = "not_comparable"
    where = {"table": context.table(place[0]), "row": place[1], "column": place[2]}
    content = {**context.fields(), "paper_value": printed, **fields}
    return ledger.Row(verdict=verdict, **where, **rounded(interval), **content)


def number(
    context: Context,
    table: str,
    row: str,
    column: str,
    ours: float,
    images: int,
    *,
    paper_value: float | None = None,
    verdict: str = "measured",
    **fields: object,
) -> ledger.Row:
    """The row of a number that has no interval, such as a count or a ratio of times."""
    content = {**context.fields(), "images": images, "paper_value": paper_value, **fields}
    where = {"table": context.table(table), "row": row, "column": column}
    return ledger.Row(verdict=verdict, ours=ours, **where, **content)


def printed_value(method: str, dataset: str, table: str, row: str, column: str) -> float | None:
    """What the paper prints in a cell, if it has such a cell and the table is of this dataset."""
    if not paper.known(method):
        return None
    printed = paper.read(method).tables.get(table)
    if (
        printed is None
        or printed.dataset != dataset
        or row not in printed.rows
        or column not in printed.columns
    ):
        return None
    return printed.value(row, column)


def photos(values: Values) -> int:
    """How many photos the values stand on."""
    return np.shape(values)[-1]


def rounded(
    interval: metrics.Interval | metrics.Difference | metrics.Comparison,
) -> dict[str, float]:
    """Four decimals are finer than any interval here, and keep the file readable."""
    # Adding zero turns a rounded −0.0 into 0.0.
    return {
        name: round(value, 4) + 0.0
        for name, value in zip(("ours", "low", "high"), interval, strict=False)
    }
