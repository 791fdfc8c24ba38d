"""Ledger rows of claims: the verdict on «this beats that», which two rows decide."""

from collections.abc import Mapping

import numpy as np

from cropnb import ledger, metrics
from cropnb.runs.context import Context
from cropnb.runs.rows import Values, photos, rounded


def difference_of(better: str, worse: str, higher_is_better: bool = True) -> str:
    """What a claim's row subtracts from what, for its note: a gain, so where less is better, the
    better side's number from the worse side's.
    """
    first, second = (better, worse) if higher_is_better else (worse, better)
    return f"{first} less {second}"


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
    below: bool = False,
    higher_is_better: bool = True,
    **columns: object,
) -> ledger.Row:
    """The verdict on «this beats that»: the paired difference, photo by photo and seed by seed.

    Args:
        context: what the rows of the program share.
        name: the claim's, from `paper.toml`.
        column: what is compared.
        better: (photos,) or (seeds, photos) of the side that the paper calls better.
        worse: the same photos and seeds of the other side.
        table: where the row stands.
        margin: the boundary, in the unit of the column: the claim holds when the whole 95 %
            interval of the gain lies above it.
        worth_having: the difference worth having, named beforehand; with the whole interval below
            it the claim is trivial. `bounds` reads both from a claim of `paper.toml`.
        below: the claim is that the gain stays below the margin, so no gain is worth having.
        higher_is_better: whether a higher number is the better one.
        columns: further fields of `ledger.Row`, such as note or seeds.

    The row carries the differences themselves, and the smallest one that these photos and seeds
    could have settled.
    """
    first, second = (better, worse) if higher_is_better else (worse, better)
    gain = metrics.compare(first, second)
    ends = rounded(gain)  # the verdict follows from the row: an end that rounds to zero is zero
    content = {**context.fields(), "images": photos(better), **columns}
    return ledger.Row(
        table=context.table(table),
        row=name,
        column=column,
        verdict=ledger.claim_verdict(ends["low"], ends["high"], margin, worth_having, below),
        margin=margin or None,
        below=below,
        worth_having=worth_having,
        detectable=_four_digits(gain.detectable),
        detectable_seeds=_four_digits(gain.detectable_seeds),
        differences=np.atleast_2d(np.asarray(first) - np.asarray(second)).tolist(),
        **ends,
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


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")
