"""The rows of the ledger as a table that the page filters."""

import json
from collections.abc import Iterable
from pathlib import Path

import anywidget
import traitlets

from cropnb import ledger
from cropnb.errors import LedgerError

_FOLDER = Path(__file__).parent
FIELDS = (
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
    "data",
    "verdict_text",
)


class LedgerExplorer(anywidget.AnyWidget):
    """The ledger's rows, chosen by file, by what they were measured on, and by verdict.

    Args:
        rows: what `cropnb.ledger.read` returns; by default the rows of all files.

    Raises:
        LedgerError: when the ledger is empty or one of its files can't be read.
    """

    _esm = (_FOLDER / "ledger_explorer.js").read_text("utf-8")
    _css = (_FOLDER / "ledger_explorer.css").read_text("utf-8")
    fields = traitlets.List(list(FIELDS)).tag(sync=True)
    # As JSON in one string, because a notebook gives each value of a list a line of its own. Texts,
    # which come again and again, stand in `texts` once; in a row, [n] is the n-th of them.
    texts = traitlets.List().tag(sync=True)
    packed = traitlets.Unicode().tag(sync=True)

    def __init__(self, rows: Iterable[ledger.Row] | None = None) -> None:
        if rows is None:
            rows = (row for name in ledger.names() for row in ledger.read(name))
        shown = [_shown(row) for row in rows]
        if not shown:
            raise LedgerError(
                "the ledger has no row to show; run a method, or restore book/results from git"
            )
        texts = {text: place for place, text in enumerate(dict.fromkeys(_texts(shown)))}
        packed = [
            [[texts[value]] if isinstance(value, str) else value for value in line]
            for line in shown
        ]
        self._number = len(packed)
        super().__init__(texts=list(texts), packed=json.dumps(packed, separators=(",", ":")))

    def __repr__(self) -> str:
        return f"LedgerExplorer: {self._number} rows"


def _shown(row: ledger.Row) -> list[object]:
    """The values of `FIELDS`; a claim says nothing where its comparison is void."""
    changed = {
        "verdict": row.says,
        "data": ledger.kind(row.dataset),
        "verdict_text": ledger.verdict_text(row),
    }
    return [changed[field] if field in changed else getattr(row, field) for field in FIELDS]


def _texts(lines: Iterable[list[object]]) -> Iterable[str]:
    return (value for line in lines for value in line if isinstance(value, str))
