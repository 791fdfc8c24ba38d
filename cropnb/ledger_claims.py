"""Claims in the ledger: the four verdicts, what would settle an open one, and the differences that
each one stands on.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cropnb.errors import LedgerError

VERDICTS = {
    "holds": "a claim made in words; the whole interval lies on its side of the boundary",
    "contradicted": "a claim made in words; the whole interval lies on the wrong side",
    "unsettled": "a claim made in words; the interval holds the boundary, so the runs don't tell",
    "trivial": (
        "a claim made in words, which holds by less than the difference worth having that was "
        "named beforehand"
    ),
}
LITTLE = "contradicted by less than is worth having"  # on a page: the mirror image of `trivial`
DETECTABLE = 1.959964 + 0.841621  # standard errors: 5 % two-sided, 80 % power
Differences = dict[str, dict[str, Any]]  # a row's key → its `ours`, seeds, and values


def claim_verdict(
    low: float,
    high: float,
    margin: float = 0.0,
    worth_having: float | None = None,
    below: bool = False,
) -> str:
    """The verdict on «this beats that» from the ends of the gain's interval.

    A claim is trivial only when the interval rules a difference worth having out, not when its
    middle happens to be small.

    Args:
        low: the lower end of the 95 % interval.
        high: its upper end.
        margin: the boundary.
        worth_having: the difference worth having, named beforehand; above the margin.
        below: the claim is that the number stays below the margin.

    Returns:
        `unsettled` where the ends hold `margin`, `contradicted` where both lie on its wrong side,
        which is below it as a rule; on the right side, `trivial` where both lie below
        `worth_having`, and `holds` otherwise.

    Raises:
        LedgerError: for a `worth_having` that is not above the margin, or of a claim that stays
            below one: nothing could be trivial.
    """
    if worth_having is not None and (below or worth_having <= margin):
        raise LedgerError(f"worth_having is {worth_having}: name one above the margin {margin}")
    if below:
        low, high, margin = -high, -low, -margin
    if low <= margin <= high:
        return "unsettled"
    if high < margin:
        return "contradicted"
    return "trivial" if worth_having is not None and high < worth_having else "holds"


def detectable_of(low: float, high: float) -> float:
    """The `detectable` of a number whose interval is all that is known, four digits of it: half of
    a 95 % interval is 1.96 standard errors, and 80 % power at 5 % two-sided takes 2.8 of them.
    """
    return float(f"{DETECTABLE * (high - low) / 2 / 1.96:.4g}")


def photos_to_settle(row: Any) -> int | None:
    """How many photos would settle the difference that a claim's row measured, with 80 % power.

    What photos do to `detectable` shrinks with the root of their number; what the seeds do stays.

    Args:
        row: a claim's `ledger.Row`.

    Returns:
        Their number; None where more photos can't help: the seeds alone leave more open than was
        measured, or nothing was measured between the two.

    Raises:
        LedgerError: the row has no `detectable`.
    """
    if row.detectable is None or row.ours is None or not row.images:
        raise LedgerError(f"row {row.key} is no claim with photos and a detectable difference")
    distance, seeds = abs(row.ours - (row.margin or 0.0)), row.detectable_seeds or 0.0
    if distance <= seeds:
        return None
    return math.ceil(row.images * (row.detectable**2 - seeds**2) / (distance**2 - seeds**2))


def verdict_of(row: Any) -> str:
    """A claim's verdict; empty where it says nothing, and `LITTLE` where it is contradicted and the
    whole interval lies nearer to the boundary than the difference worth having.
    """
    if row.void:
        return ""
    if row.verdict == "contradicted" and row.worth_having is not None:
        # The ledger has no such verdict: it knows what is worth having of gains alone.
        boundary = row.margin or 0.0
        if boundary - row.low < row.worth_having - boundary:
            return LITTLE
    return row.verdict


def verdict_text(row: Any) -> str:
    """A row's verdict as a page says it, such as «unsettled: needs about 1 900 photos»."""
    if row.void:
        return f"says nothing: {row.void}"
    text = verdict_of(row).replace("_", " ")
    if row.verdict != "unsettled" or row.detectable is None:
        return text
    if row.detectable_seeds is None and len(row.seeds) > 1:
        return f"{text}: how much its seeds differ is not on record"
    if row.ours == (row.margin or 0.0):
        return f"{text}: no difference was measured"
    photos = photos_to_settle(row)
    if photos is None:
        return f"{text}: no number of photos settles it with these seeds"
    digits = min(2 - len(str(photos)), 0)  # two significant digits: it is an estimate
    grouped = f"{round(photos, digits):,}".replace(",", "\N{NO-BREAK SPACE}")
    return f"{text}: needs about {grouped} photos"


def problems(row: Any) -> list[str]:
    """What a claim's verdict says that its interval doesn't; an end may be rounded."""
    wrong = []
    if row.void and row.verdict not in VERDICTS:
        wrong.append(f"verdict {row.verdict!r} is no claim's, so nothing makes it void")
    for name in ("detectable", "detectable_seeds"):
        value = getattr(row, name)
        if value is not None and value < 0:
            wrong.append(f"{name} is {value}, below zero")
    if row.verdict in VERDICTS and row.detectable is None:
        wrong.append(f"verdict {row.verdict!r} is a claim's, which says what is detectable")
    if row.verdict not in VERDICTS or None in (row.low, row.high):
        return wrong
    boundary, ends = row.margin or 0.0, f"{row.low} … {row.high}"
    if row.verdict == "unsettled" and not row.low <= boundary <= row.high:
        wrong.append(f"verdict 'unsettled', but {ends} does not hold {boundary}")
    if row.verdict != "unsettled" and row.low < boundary < row.high:
        wrong.append(f"verdict {row.verdict!r}, but {ends} holds {boundary}")
    # A recorded end may be rounded onto the boundary, so only what lies beyond it is wrong.
    stays_below = (row.verdict == "contradicted") != row.below
    beyond = row.low >= boundary if stays_below else row.high <= boundary
    if row.verdict != "unsettled" and beyond:
        side = f"{boundary} instead of {'below' if stays_below else 'above'}"
        wrong.append(f"verdict {row.verdict!r}, but {ends} lies on the other side of {side}")
    if row.below and row.verdict == "trivial":
        wrong.append("verdict 'trivial', but no claim that stays below a boundary is")
    if row.verdict == "trivial" and (row.worth_having is None or row.high > row.worth_having):
        wrong.append(f"verdict 'trivial', but {ends} is not below worth_having, {row.worth_having}")
    return wrong


def _are_numbers(values: Iterable[object]) -> bool:
    """JSON's NaN, infinities, texts and truths are none. Files have hundreds of thousands of them,
    so no step here is Python's own.
    """
    values = list(values)
    return {*map(type, values)} <= {int, float} and all(map(math.isfinite, values))


def read_differences(path: Path) -> Differences:
    """The differences of one ledger file; nothing where none were recorded.

    Raises:
        LedgerError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        for key, entry in entries.items():
            if {"ours", "values"} - entry.keys():
                raise ValueError(f"{key} lacks ours or values")
            if not all(map(_are_numbers, entry["values"])):
                raise ValueError(f"a difference of {key} is no number")
    except (
        ValueError,
        ArithmeticError,
        OSError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:
        raise LedgerError(
            f"{path} is no file of differences ({error}); restore it from git"
        ) from error
    return entries


def merged_differences(
    recorded: Differences, written: Iterable[Any], current: Iterable[Any]
) -> Differences:
    """The recorded ones with those of the rows that are written now.

    Those of a row that was measured anew without them, or that is gone, belong to nothing any more.

    Args:
        recorded: what the file holds.
        written: the rows of this call.
        current: all rows of the ledger file, those of this call among them.

    Returns:
        What the file holds from now on.
    """
    entries = dict(recorded)
    for row in written:
        if row.differences is not None:
            values = [[float(f"{value:.4g}") + 0.0 for value in one] for one in row.differences]
            entries[_key(row)] = {"ours": row.ours, "seeds": list(row.seeds), "values": values}
    measured = {_key(row): row.ours for row in current}
    return {key: entry for key, entry in entries.items() if entry["ours"] == measured.get(key)}


def differences_of(row: Any, entries: Differences) -> list[list[float]] | None:
    """A row's values among the entries, if they are of the run that it stands on."""
    entry = entries.get(_key(row))
    return entry["values"] if entry and entry["ours"] == row.ours else None


def differences_text(entries: Differences) -> str:
    """One line a row, so that measuring one anew changes one line; whole numbers without a point,
    for a difference of hits is one, and there are many.
    """
    lines = []
    for key, entry in entries.items():
        values = [
            [int(value) if value == int(value) else value for value in one]
            for one in entry["values"]
        ]
        text = json.dumps({**entry, "values": values}, separators=(",", ":"))
        lines.append(f"{json.dumps(key, ensure_ascii=False)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _key(row: Any) -> str:
    """A row's key as JSON can have one."""
    return " | ".join(row.key)
