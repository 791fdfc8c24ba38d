"""Tables of the ledger's rows, as Markdown: ours beside the paper's, with intervals."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cropnb import methods
from cropnb.errors import LedgerError
from cropnb.ledger import Row
from cropnb.notebook.source import Markdown, escaped

if TYPE_CHECKING:
    from cropnb.metrics import Interval

_LEDGER_HEADS: dict[str, str] = {
    "table": "Table",
    "row": "Row",
    "column": "Number",
    "paper_value": "Paper",
    "dataset": "Measured on",
    "ours": "Ours [95 %]",
    "ours_photographs": "Ours, photographs [95 %]",
    "ours_scenes": "Ours, Composed Scenes [95 %]",
    "ours_layouts": "Ours, layouts [95 %]",
    "ours_taught": "Ours, taught photographs [95 %]",
    "images": "Photos",
    "verdict": "Verdict",
}
_LEDGER_COLUMNS = ("row", "column", "paper_value", "ours", "images", "verdict")
_OURS = "ours_"  # before a kind of dataset, see `ledger.kind`
_NUMBERS = {"paper_value", "ours", "low", "high", "images", "minutes"}
_RULES = {"l": ":--", "r": "--:"}
_CLAIMS = "claim"  # how the names of tables of claims begin
_WIDE = 4  # columns of intervals that fit into the page side by side


def markdown_table(
    heads: Sequence[object], rows: Iterable[Sequence[object]], align: str | None = None
) -> Markdown:
    """A table of what `str` makes of each cell, shown letter by letter; None becomes a dash.

    A cell that is `Markdown` stays as it is.

    Args:
        heads: one a column.
        rows: one cell a column each.
        align: a letter a column, `l` or `r`; by default the first column to the left, the others
            to the right.

    Raises:
        ValueError: when a row, or `align`, has another number of columns than `heads`.
    """
    align = align or "l" + "r" * (len(heads) - 1)
    lines = [[_text(head) for head in heads], [_RULES[letter] for letter in align]]
    lines += [[_text(value) for value in row] for row in rows]
    for line in lines:
        if len(line) != len(heads):
            raise ValueError(f"{len(heads)} heads, but {len(line)} cells in {line}.")
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def with_interval(value: "Row | Interval", spec: str = ".3f", ends: str | None = None) -> str:
    """A number with its 95 % interval, such as `0.512 [0.481, 0.540]`.

    Args:
        value: a row of the ledger, or what `cropnb.metrics.bootstrap_interval` returns.
        spec: how the number is written, as in an f-string.
        ends: how the interval's ends are written; by default as the number.

    Returns:
        The number alone where no interval was measured, a dash where there is no number.
    """
    mean = value.ours if isinstance(value, Row) else value.mean
    if mean is None:
        return "–"
    if value.low is None or value.high is None:
        return f"{mean:{spec}}"
    ends = spec if ends is None else ends
    return f"{mean:{spec}} [{value.low:{ends}}, {value.high:{ends}}]"


def measured_rows(name: str, **wanted: object) -> list[Row]:
    """The rows of `ledger.find` that have a number of ours.

    Args:
        name: the ledger's file in `book/results`, such as `vrn`.
        wanted: fields of `cropnb.ledger.Row` and their values.
    """
    from cropnb import ledger

    return [row for row in ledger.find(name, **wanted) if row.ours is not None]


def measured_speeds(*beginnings: str) -> list[Row]:
    """The measured speeds whose names begin so, in the order of the ledger."""
    return [row for row in measured_rows("speed") if row.row.startswith(beginnings)]


def speed_table(rows: Iterable[Row]) -> Markdown:
    """Speeds of the ledger, each with its unit and the device that it was measured on.

    Args:
        rows: such as those of `measured_speeds`.
    """
    lines = [
        [row.row, f"{with_interval(row, '.3g')} {_in_seconds(row.column)}", row.device]
        for row in rows
    ]
    return markdown_table(["", "measured [95 % of the rounds]", "on"], lines, "lrl")


def _in_seconds(column: str) -> str:
    """A ratio of seconds says so; one of speeds («times as fast as …») does already."""
    if column.startswith("times ") and not column.startswith("times as fast"):
        return f"times the seconds of {column.removeprefix('times ')}"
    return column


def measured_row(name: str, **wanted: object) -> Row | None:
    """The first of `measured_rows`, or None where nothing was measured yet."""
    return next(iter(measured_rows(name, **wanted)), None)


def count_verdicts(rows: Sequence[Row]) -> str:
    """How many claims have which verdict, in one line."""
    from cropnb import ledger

    verdicts = [row.says for row in rows]
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in ledger.CLAIM_VERDICTS)
    nothing = verdicts.count("says nothing")
    return f"of {len(rows)} differences: {counts}" + f", {nothing} that say nothing" * bool(nothing)


def ledger_grid(
    rows: Sequence[Row],
    head: str,
    columns: Sequence[str] | None = None,
    spec: str = ".1f",
    ends: str | None = None,
    heads: Sequence[str] | None = None,
    photos: str | None = None,
) -> Markdown:
    """Ledger rows as the papers print them: one line for each `row`, one column for each `column`.

    Args:
        rows: of one table and one dataset; those without a number of ours are left out.
        head: what stands above the lines' names.
        columns: which columns, in this order; by default all of them.
        spec: how the numbers are written, as in `with_interval`.
        ends: how their intervals' ends are written; by default as the numbers.
        heads: what stands above the columns; by default their names.
        photos: the head of two last columns, how many photos and how many seeds a line stands on;
            by default there are none, and none for seeds where no line has any.

    Raises:
        LedgerError: two rows for one cell, such as those of two profiles.
    """
    rows = [row for row in rows if row.ours is not None]
    _one_a_cell(rows)
    if columns is None:
        columns = list(dict.fromkeys(row.column for row in rows))
    lines = []
    seeds = any(row.seeds for row in rows if row.column in columns)
    for name in dict.fromkeys(row.row for row in rows if row.column in columns):
        cells = {row.column: row for row in rows if row.row == name and row.column in columns}
        numbers = [_cell_of(cells.get(column), spec, ends) for column in columns]
        if len(columns) <= _WIDE:  # more would push the last ones out of the page
            numbers = [cell and cell.replace(" ", "\N{NO-BREAK SPACE}") for cell in numbers]
        line = [methods.title(name), *numbers]
        if photos is not None:
            first = next(iter(cells.values()))
            line += [first.images, *([len(first.seeds) or None] if seeds else [])]
        lines.append(line)
    counts = [] if photos is None else [photos, *(["seeds"] if seeds else [])]
    return markdown_table([head, *(heads or columns), *counts], lines)


def _one_a_cell(rows: Sequence[Row]) -> None:
    """Refuse rows of two runs for one cell, of which one would be shown without a word."""
    profiles: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        profiles.setdefault((row.row, row.column), []).append(row.profile or row.command)
    for (name, column), those in profiles.items():
        if len(those) > 1:
            raise LedgerError(
                f"{' and '.join(those)} have a number each for {name}, {column}: choose by profile"
            )


def ledger_table(
    name: str, table: str | None = None, columns: Iterable[str] | None = None
) -> Markdown:
    """The rows of a paper's ledger as a table: the paper's value beside ours with its interval and
    verdict. In a table of claims those that the plan would decide and nobody has run come last.

    Where the rows mix photographs, Composed Scenes, layouts and taught photographs, ours is printed
    in a column for each.

    Args:
        name: the ledger's file in `book/results`, such as `vrn`.
        table: only the rows of this table of the paper.
        columns: fields of `cropnb.ledger.Row`, by default row, column, paper_value, ours, images
            and verdict.

    Raises:
        LedgerError: for an unknown field, or when no row is left to print.
    """
    from cropnb import ledger

    rows = [row for row in ledger.read(name) if table is None or str(row.table) == str(table)]
    if not rows:
        wanted = f"rows of table {table!r}" if table is not None else "rows"
        raise LedgerError(
            f"The ledger {name!r} has no {wanted}; run the method, or check the name."
        )
    if str(table).startswith(_CLAIMS):
        from cropnb.runs import waiting

        rows += waiting.claims(name, str(table))
    columns = list(columns) if columns is not None else list(_LEDGER_COLUMNS)
    if table is None and "table" not in columns:
        columns = ["table", *columns]
    known = [field.name for field in dataclasses.fields(Row)]
    for column in columns:
        if column not in known:
            raise LedgerError(
                f"A ledger row has no field {column!r}; choose from {', '.join(known)}."
            )
    columns = _split_ours(columns, rows)
    if len({row.profile for row in rows if row.profile}) > 1:  # the same row, trained in two ways
        rows = [
            dataclasses.replace(row, row=f"{row.row} ({row.profile})") if row.profile else row
            for row in rows
        ]
    heads = [_head(column) for column in columns]
    right = [column in _NUMBERS or column.startswith(_OURS) for column in columns]
    align = "".join("r" if number else "l" for number in right)
    return markdown_table(heads, ([_field(row, name) for name in columns] for row in rows), align)


def settings_table(head: str, settings: Mapping[str, Any], by_line: bool = False) -> Markdown:
    """Settings side by side, such as a method's profiles: one column each, one line for every
    field in which they differ.

    Args:
        head: what stands above the fields' names.
        settings: by their names: dataclasses, of which some may have more fields than others.
        by_line: one line each instead, where there are many.
    """
    fields = dict.fromkeys(
        field.name for one in settings.values() for field in dataclasses.fields(one)
    )
    words = {True: "yes", False: None}
    lines = [[head, *settings]]
    for name in fields:
        values = [getattr(one, name, None) for one in settings.values()]
        cells = [words[value] if isinstance(value, bool) else value for value in values]
        if any(cell != cells[0] for cell in cells):
            lines.append([name.replace("_", " "), *cells])
    if by_line:
        lines = list(zip(*lines, strict=True))
    return markdown_table(lines[0], lines[1:])


def _text(value: object) -> str:
    """A cell's text; a bar in it is no new cell."""
    if value is None:
        return "–"
    text = str(value) if isinstance(value, Markdown) else escaped(value)
    return text.replace("|", "\\|")


def _number(value: float | str | None) -> str | None:
    """A number with at most four significant digits."""
    # adding zero turns −0.0 into 0
    return value if value is None or isinstance(value, str) else f"{value + 0.0:.4g}"


def _cell_of(row: Row | None, spec: str, ends: str | None) -> str | None:
    """A number and its interval."""
    return row and with_interval(row, spec, ends)


def _head(column: str) -> str:
    """What stands above a column."""
    if column.startswith(_OURS) and column not in _LEDGER_HEADS:
        return f"Ours, {column.removeprefix(_OURS).replace('+', ' + ')} [95 %]"
    return _LEDGER_HEADS.get(column, column.replace("_", " ").capitalize())


def _field(row: Row, column: str) -> str | None:
    """One field of a row as `ledger_table` prints it."""
    if column.startswith(_OURS):
        from cropnb import ledger

        own = ledger.kind(row.dataset) == column.removeprefix(_OURS)
        return _field(row, "ours") if own else ""
    if column == "ours":
        interval = (
            ""
            if row.low is None or row.high is None
            else f" [{_number(row.low)}, {_number(row.high)}]"
        )
        return (_number(row.ours) or "–") + interval
    value = getattr(row, column)
    if column in ("paper_value", "low", "high", "minutes", "detectable", "worth_having"):
        return _number(value)
    if column == "verdict":
        from cropnb import ledger

        return ledger.verdict_text(row)
    return None if value is None or value == "" else str(value)


def _split_ours(columns: Iterable[str], rows: Sequence[Row]) -> list[str]:
    """Photographs, scenes, layouts, taught photographs and mixes of them never share a column."""
    from cropnb import ledger

    kinds = {f"{_OURS}{ledger.kind(row.dataset)}": None for row in rows}
    order = list(_LEDGER_HEADS)
    places = {name: order.index(name) if name in order else len(order) for name in kinds}
    ours = sorted(kinds, key=places.__getitem__) if len(kinds) > 1 else ["ours"]
    return [part for name in columns for part in (ours if name == "ours" else (name,))]
