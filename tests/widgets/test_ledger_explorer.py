"""The ledger's table in Python; what it does in the page is tested with the rendered book."""

import json
import subprocess
from pathlib import Path

import pytest

from cropnb import ledger
from cropnb.errors import LedgerError
from cropnb.widgets import LedgerExplorer


def row(**changed: object) -> ledger.Row:
    common = {
        "paper": "vrn",
        "table": "Table 1",
        "row": "VRN",
        "column": "Acc 5",
        "dataset": "gaicd",
        "split": "test",
    }
    return ledger.Row(**{**common, "verdict": "pending", "note": "needs photos", **changed})


def shown(node: str, explorer: LedgerExplorer) -> list[dict]:
    """The rows as the page unpacks them."""
    given = json.dumps([explorer.fields, explorer.texts, explorer.packed])
    program = f"{explorer._esm}\nconsole.log(JSON.stringify(unpackRows(...{given})));"
    command = [node, "--input-type=module", "-e", program]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_rows_are_told_apart_by_what_they_were_measured_on(node: str) -> None:
    measured = {
        "verdict": "measured",
        "ours": 61.5,
        "images": 200,
        "command": "python -m cropnb.vrn",
        "note": "",
    }
    explorer = LedgerExplorer([row(), row(dataset="scenes", **measured)])
    rows = shown(node, explorer)
    assert [line["data"] for line in rows] == ["photographs", "scenes"]
    assert rows[1]["ours"] == 61.5
    assert rows[1]["command"] == "python -m cropnb.vrn"
    assert rows[0]["ours"] is None
    assert rows[0] == {
        **rows[0],
        "paper": "vrn",
        "column": "Acc 5",
        "verdict": "pending",
        "note": "needs photos",
    }
    assert repr(explorer) == "LedgerExplorer: 2 rows"


CLAIM = {
    "verdict": "unsettled",
    "ours": 0.01,
    "low": -0.01,
    "high": 0.03,
    "detectable": 0.03,
    "images": 200,
    "command": "python -m cropnb.vrn",
}


def test_an_open_claim_says_how_many_photos_would_settle_it(node: str) -> None:
    (line,) = shown(node, LedgerExplorer([row(**CLAIM)]))
    assert line["verdict"] == "unsettled"  # which the page filters by
    assert line["verdict_text"] == "unsettled: needs about 1\N{NO-BREAK SPACE}800 photos"


def test_a_void_comparison_is_filtered_as_one_that_says_nothing(node: str) -> None:
    void = row(**CLAIM, void="FS learned nothing")
    line, other = shown(node, LedgerExplorer([void, row(**{**CLAIM, "row": "another"})]))
    assert line["verdict"] == void.says == "says nothing"
    assert line["verdict_text"] == "says nothing: FS learned nothing"
    assert other["verdict"] == "unsettled"


def test_a_text_is_kept_once() -> None:
    explorer = LedgerExplorer([row(column=f"Acc {number}") for number in range(50)])
    assert explorer.texts.count("needs photos") == 1
    assert len(json.loads(explorer.packed)) == 50


def test_all_files_are_shown_unless_rows_are_given(
    node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    ledger.record("vrn", row())
    ledger.record("gaic", row(paper="gaic"))
    assert [line["paper"] for line in shown(node, LedgerExplorer())] == ["gaic", "vrn"]


def test_an_empty_ledger_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    with pytest.raises(LedgerError, match="no row to show"):
        LedgerExplorer()
