"""Tables of the chapter on LA2C: its variants, also at equal steps, and what batching gains."""

import re
from collections.abc import Sequence

from cropnb.la2c.recipe.variants import LSTM, MAIN, VARIANTS
from cropnb.la2c.studies.rows import leads_table, limits_table
from cropnb.ledger import Row
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table, measured_row, measured_rows, with_interval

_DECIMALS = {"IoU": ".3f", "steps": ".1f", "stopped": ".0f", "aesthetic score": ".3f"}
# What stands above the variants' names at step limits.
_HEADS = {"IoU": "IoU, cut off after", "steps": "steps, cut off after"}
_HEADS["stopped"] = "stopped by itself, per cent, within"
_ORDER = tuple(dict.fromkeys((MAIN, LSTM, "A2-RL", *VARIANTS)))  # the claim's agents come first


def rows_of(table: str, column: str, profile: str) -> dict[str, Row]:
    """The measured rows of one column of a table, by name."""
    rows = measured_rows("la2c", table=table, column=column, profile=profile)
    return {row.row: row for row in rows}


def at_limit(variant: str, column: str, profile: str) -> dict[str, Row]:
    """The rows of a variant that is cut off earlier, by the limit, such as «15 steps»."""
    return rows_of(limits_table(variant), column, profile)


def centred_crop() -> Row | None:
    """The IoU on scenes of the crop that looks at nothing."""
    return measured_row("scenes", table="fcdb", row="centred crop", column="IoU")


def at_limits(column: str, profile: str) -> Markdown:
    """Each variant at each step limit: its means, and for the IoU the centred crop beside them.

    Args:
        column: "IoU", "steps" or "stopped". An IoU whose whole interval lies above the centred
            crop's bears a star.
    """
    reached = {name: at_limit(name, column, profile) for name in _ORDER}
    measured = {name: rows for name, rows in reached.items() if rows}
    limits = list(dict.fromkeys(limit for rows in measured.values() for limit in rows))
    middle = centred_crop() if column == "IoU" else None
    lines = []
    for name, rows in measured.items():
        seeds = len(next(iter(rows.values())).seeds)
        cells = [
            _starred(rows[limit], column, middle) if limit in rows else None for limit in limits
        ]
        lines.append([name, *cells, seeds])
    if middle:
        lines.append([middle.row, *[f"{middle.ours:{_DECIMALS[column]}}"] * len(limits), None])
    return markdown_table([_HEADS[column], *limits, "seeds"], lines)


def leads(profile: str) -> Markdown:
    """The IoU of LA2C less that of each other variant at each step limit, with its interval; bold
    where the whole interval lies on one side of zero.
    """
    rows = {name: rows_of(leads_table(name), "IoU", profile) for name in _ORDER}
    measured = {name: leads for name, leads in rows.items() if leads}
    limits = list(dict.fromkeys(limit for leads in measured.values() for limit in leads))
    lines = [
        [name, *(_lead(leads[limit]) if limit in leads else None for limit in limits)]
        for name, leads in measured.items()
    ]
    return markdown_table([f"{MAIN} less", *limits], lines)


def _starred(row: Row, column: str, middle: Row | None) -> str:
    """A mean, with a star where its whole interval lies above the centred crop's."""
    return f"{row.ours:{_DECIMALS[column]}}" + " ★" * (middle is not None and row.low > middle.high)


def _lead(row: Row) -> Markdown:
    """A difference and its interval, bold where zero lies outside of it."""
    text = re.sub(r"[+-](0\.0+)\b", r"\1", with_interval(row, "+.3f")).replace("-", "−")
    return Markdown(f"**{text}**" if row.low > 0 or row.high < 0 else text)


def variants(profile: str) -> Markdown:
    """Variants and centred crop by their IoU, and whose whole interval lies above the crop's."""
    columns = {column: rows_of("variants", column, profile) for column in _DECIMALS}
    centred = centred_crop()
    rows = [centred, *columns["IoU"].values()]
    lines = []
    for row in sorted(rows, key=lambda row: -row.ours):
        values = {"IoU": row} | {name: of[row.row] for name, of in columns.items() if row.row in of}
        cells = [
            with_interval(values[name], spec) if name in values else None
            for name, spec in _DECIMALS.items()
        ]
        above = None if row is centred else "yes" if row.low > centred.high else "no"
        lines.append([row.row, *cells, None if row is centred else len(row.seeds), above])
    return markdown_table(["variant", *_DECIMALS, "seeds", "above the centred crop"], lines)


def compared(pairs: Sequence[tuple[str, str, str]], profile: str) -> Markdown:
    """Whether the intervals of (first, second, column) are apart, a pair of variants a line."""
    lines = []
    for first, second, column in pairs:
        rows = rows_of("variants", column, profile)
        a, b = rows[first], rows[second]
        apart = a.low > b.high or b.low > a.high
        numbers = [f"{name} {rows[name].ours:.3f}" for name in (first, second)]
        lines.append([column, *numbers, "are apart" if apart else "overlap"])
    return markdown_table(["column", "first", "second", "the intervals"], lines, "llll")
