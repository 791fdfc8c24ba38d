"""Claims of the ledger, one line a claim: the differences, and where a printed gap lies to them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cropnb.ledger import Row, verdict_of
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table

if TYPE_CHECKING:
    from cropnb.paper import Paper, Table


def claims_grid(rows: Sequence[Row], head: str) -> Markdown:
    """Paired differences, one line a claim, with their verdicts; what is unsettled bears none."""
    columns = list(dict.fromkeys(row.column for row in rows))
    by_place = {(row.row, row.column): row for row in rows}
    lines = []
    for name in dict.fromkeys(row.row for row in rows):
        cells = []
        for column in columns:
            row = by_place.get((name, column))
            spec = "+.3f" if column.startswith(("SRCC", "IoU")) else "+.1f"
            if row is None:
                cells.append(None)
                continue
            mean, low, high = (value + 0.0 for value in (row.ours, row.low, row.high))
            ends = f"[{low:{spec}},\N{NO-BREAK SPACE}{high:{spec}}]"
            decided = "" if row.says == "unsettled" else f" {verdict_of(row) or row.says}"
            cells.append(f"{mean:{spec}} {ends}".replace("-", "−") + decided)
        lines.append([name, *cells])
    return markdown_table([head, *columns], lines, "l" * (1 + len(columns)))


def printed_gaps(printed: "Paper", table: str, rows: Sequence[Row], head: str) -> Markdown:
    """Each gap that a paper prints, and whether it lies inside, above or below the interval of our
    difference.

    Args:
        table: of the paper, whose rows are the sides of claims; a claim may name other cells.
        rows: of claims; those whose gap isn't printed are left out.
        head: what stands above the claims' names.
    """
    columns = printed.tables[table].columns
    lines: dict[str, list[str | None]] = {}
    for row in rows:
        gap = _printed_gap(printed, printed.tables[table], row)
        if gap is None:
            continue
        place = "below" if gap < row.low else "above" if gap > row.high else "inside"
        cells = lines.setdefault(row.row, [None] * len(columns))
        cells[columns.index(row.column)] = f"{gap:+.1f} {place}".replace("-", "−")
    return markdown_table([head, *columns], ([name, *cells] for name, cells in lines.items()))


def _printed_gap(printed: "Paper", table: "Table", row: Row) -> float | None:
    """What a paper prints for a claim's row; None where it prints nothing."""
    if row.column not in table.columns:
        return None
    if (named := printed.difference(printed.cells(row.row, row.column))) is not None:
        return named
    better, worse = row.note.partition(";")[0].split(" less ")
    if not {better, worse} <= set(table.rows):
        return None
    return table.value(better, row.column) - table.value(worse, row.column)
