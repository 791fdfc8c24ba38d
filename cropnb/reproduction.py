"""Ledger rows from measurements: the numbers of a table, the claims that two rows decide, and what
still waits.

A method measures; this module gives what it measured an interval, a verdict and a place beside the
printed number.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from cropnb import ledger, metrics, paper

if TYPE_CHECKING:
    from cropnb.datasets.base import CropDataset

# (photos,), or (seeds, photos) for several runs
Values = ArrayLike


@dataclass(frozen=True)
class Context:
    """What the rows of one program share. `arguments` are those of the command line, as the program
    got them.
    """

    method: str
    dataset: str
    arguments: Sequence[str]
    module: str = ""  # by default `cropnb.METHOD`
    split: str = "test"
    profile: str = ""
    seeds: tuple[int, ...] = ()
    device: str = ""
    commit: str = field(default_factory=ledger.current_commit)

    def on(self, dataset: "CropDataset") -> "Context":
        """The same on a part of a dataset."""
        return replace(self, dataset=dataset.name, split=dataset.split)

    def fields(self) -> dict[str, object]:
        """As fields of a row."""
        return {
            "paper": self.method,
            "dataset": self.dataset,
            "split": self.split,
            "profile": self.profile,
            "seeds": self.seeds,
            "device": self.device,
            "commit": self.commit,
            "command": shlex.join(
                ["python", "-m", self.module or f"cropnb.{self.method}", *self.arguments]
            ),
        }


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
    """The row of one cell: mean and 95 % interval over photos (and seeds), beside the printed value
    where there is one.

    The verdict compares with print only on the dataset of the paper's table; on another one the
    number is `measured`.

    Args:
        values: one number a photo, (photos,), or a list of these for each seed, in the unit of the
            column.
        listed: how many photos the dataset's list has, where some of them are gone: the interval
            is widened for them.
        fields: further fields of `ledger.Row`, such as note, minutes, config_hash or
            checkpoint_hash; a `paper_value` stands for that of `paper.toml`.
    """
    interval = metrics.with_missing(values, listed or photos(values))
    fields = {"images": photos(values), **fields}
    return _beside_print(context, (table, row, column), interval, fields)


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
    printed = fields.get("paper_value", printed_value(context.method, context.dataset, *place))
    verdict = "measured" if printed is None else ledger.verdict(printed, *interval)
    where = dict(zip(("table", "row", "column"), place, strict=True))
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
    return ledger.Row(table=table, row=row, column=column, verdict=verdict, ours=ours, **content)


def claim(
    context: Context,
    name: str,
    column: str,
    better: Values,
    worse: Values,
    *,
    table: str = "claim",
    margin: float = 0.0,
    worth_having: float | None = None,
    higher_is_better: bool = True,
    **columns: object,
) -> ledger.Row:
    """The verdict on «this beats that»: the paired difference, photo by photo and seed by seed.

    Args:
        context: What the rows of the program share.
        name: The claim's, from `paper.toml`.
        column: What is compared.
        better: (photos,) or (seeds, photos) of the side that the paper calls better.
        worse: The same photos and seeds of the other side.
        table: Where the row stands.
        margin: The boundary, in the unit of the column: the claim holds when the whole 95 %
            interval of the gain lies above it.
        worth_having: The difference worth having, named beforehand; with the whole interval below
            it the claim is trivial. `bounds` reads both from a claim of `paper.toml`.
        higher_is_better: Whether a higher number is the better one.
        columns: Further fields of `ledger.Row`, such as note or seeds.

    The row carries the differences themselves, and the smallest one that these photos and seeds
    could have settled.
    """
    first, second = (better, worse) if higher_is_better else (worse, better)
    gain = metrics.compare(first, second)
    content = {**context.fields(), "images": photos(better), **columns}
    return ledger.Row(
        table=table,
        row=name,
        column=column,
        verdict=ledger.claim_verdict(gain.low, gain.high, margin, worth_having),
        margin=margin or None,
        worth_having=worth_having,
        detectable=_four_digits(gain.detectable),
        detectable_seeds=_four_digits(gain.detectable_seeds),
        differences=np.atleast_2d(np.asarray(first) - np.asarray(second)).tolist(),
        **rounded(gain),
        **content,
    )


def bounds(entry: Mapping[str, object], column: str) -> dict[str, float | None]:
    """`margin` and `worth_having` of a claim in `paper.toml` for one column, as `claim` takes them.

    Each is one number for all columns, or a table of them by column; a claim may have neither.
    """
    given = {
        name: value.get(column) if isinstance(value := entry.get(name), Mapping) else value
        for name in ("margin", "worth_having")
    }
    return {"margin": given["margin"] or 0.0, "worth_having": given["worth_having"]}


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


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def rounded(
    interval: metrics.Interval | metrics.Difference | metrics.Comparison,
) -> dict[str, float]:
    """Four decimals are finer than any interval here, and keep the file readable."""
    # Adding zero turns a rounded −0.0 into 0.0.
    return {
        name: round(value, 4) + 0.0
        for name, value in zip(("ours", "low", "high"), interval, strict=False)
    }
