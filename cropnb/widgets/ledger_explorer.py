"""The rows of the ledger as a table that the page filters."""

from collections.abc import Iterable
from pathlib import Path

import anywidget
import traitlets

from cropnb import ledger
from cropnb.errors import LedgerError

_FOLDER = Path(__file__).parent


class LedgerExplorer(anywidget.AnyWidget):
    """The ledger's rows, chosen by file, by what they were measured on, and by verdict.

    Args:
        rows: what `cropnb.ledger.read` returns; by default the rows of all files.

    Raises:
        LedgerError: when the ledger is empty or one of its files can't be read.
    """

    _esm = (_FOLDER / "ledger_explorer.js").read_text("utf-8")
    _css = (_FOLDER / "ledger_explorer.css").read_text("utf-8")
    rows = traitlets.List().tag(sync=True)

    def __init__(self, rows: Iterable[ledger.Row] | None = None) -> None:
        if rows is None:
            rows = (row for name in ledger.names() for row in ledger.read(name))
        shown = [_shown(row) for row in rows]
        if not shown:
            raise LedgerError("the ledger has no row to show; run a method, or restore book/results from git")
        super().__init__(rows=shown)

    def __repr__(self) -> str:
        return f"LedgerExplorer: {len(self.rows)} rows"


def _shown(row: ledger.Row) -> dict[str, object]:
    fields = (
        "paper",
        "table",
        "row",
        "column",
        "paper_value",
        "ours",
        "low",
        "high",
        "images",
        "verdict",
        "command",
        "note",
    )
    data = "scenes" if row.dataset == "scenes" else "photographs"
    return {**{field: getattr(row, field) for field in fields}, "data": data}
