"""The ledger's table as a Python object; what it does in the page is tested with the rendered book."""

from pathlib import Path

import pytest

from cropnb import ledger
from cropnb.errors import LedgerError
from cropnb.widgets import LedgerExplorer


def row(**changed: object) -> ledger.Row:
    common = {"paper": "vrn", "table": "Table 1", "row": "VRN", "column": "Acc 5", "dataset": "gaicd", "split": "test"}
    return ledger.Row(**{**common, "verdict": "pending", "note": "needs photos", **changed})


def test_rows_are_told_apart_by_what_they_were_measured_on() -> None:
    measured = {"verdict": "measured", "ours": 61.5, "images": 200, "command": "python -m cropnb.vrn", "note": ""}
    explorer = LedgerExplorer([row(), row(dataset="scenes", **measured)])
    assert [line["data"] for line in explorer.rows] == ["photographs", "scenes"]
    assert explorer.rows[1]["ours"] == 61.5
    assert explorer.rows[1]["command"] == "python -m cropnb.vrn"
    assert explorer.rows[0]["ours"] is None
    assert repr(explorer) == "LedgerExplorer: 2 rows"


def test_all_files_are_shown_unless_rows_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    ledger.record("vrn", row())
    ledger.record("gaic", row(paper="gaic"))
    assert [line["paper"] for line in LedgerExplorer().rows] == ["gaic", "vrn"]


def test_an_empty_ledger_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    with pytest.raises(LedgerError, match="no row to show"):
        LedgerExplorer()
