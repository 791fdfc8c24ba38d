"""Claims of the ledger, one line a claim: the differences, and where a printed gap lies to them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cropnb.ledger import Row
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table

if TYPE_CHECKING:
    from cropnb.paper import Table


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
            decided = "" if row.says == "unsettled" else f" {row.says}"
            cells.append(f"{mean:{spec}} {ends}".replace("-", "−") + decided)
        lines.append([name, *cells])
    return markdown_table([head, *columns], lines, "l" * (1 + len(columns)))


def printed_gaps(printed: "Table", rows: Sequence[Row], head: str) -> Markdown:
    """Each printed gap between two rows of a table, and whether it lies inside, above or below the
    interval of our difference.

    Args:
        printed: a table of a paper.
        rows: of claims; those on rows that the table doesn't have are left out.
        head: what stands above the claims' names.
    """
    columns = printed.columns
    lines: dict[str, list[str | None]] = {}
    for row in rows:
        better, worse = row.note.partition(";")[0].split(" less ")
        if row.column not in columns or not {better, worse} <= set(printed.rows):
            continue
        gap = printed.value(better, row.column) - printed.value(worse, row.column)
        place = "below" if gap < row.low else "above" if gap > row.high else "inside"
        cells = lines.setdefault(row.row, [None] * len(columns))
        cells[columns.index(row.column)] = f"{gap:+.1f} {place}".replace("-", "−")
    return markdown_table([head, *columns], ([name, *cells] for name, cells in lines.items()))
