"""What the plan would measure and nobody has run is pending, with its minutes."""

from dataclasses import replace

from cropnb import ledger
from cropnb.runs import plan

ENTRIES = """
[[run]]
name = "vrn/one"
why = "a row for this test"
method = "vrn"
frozen = true
variants = ["RGL, mean"]
seeds = [0, 1]
minutes = 6
"""


def test_an_entry_that_was_never_run_is_pending_until_its_rows_are_recorded(tmp_path, monkeypatch):
    path = tmp_path / "plan.toml"
    path.write_text(ENTRIES, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(path))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.read()
    rows = plan.planned("vrn")
    assert {row.row for row in rows} == {"RGL, mean, frozen backbone"}
    assert {row.column for row in rows} == set(entry.experiment.method.columns)
    assert all(entry.command in row.note and "about 12 minutes" in row.note for row in rows)
    ledger.record("vrn", rows)
    assert plan.planned("vrn") == rows  # a pending row is no measurement
    first = {"verdict": "measured", "ours": 1.0, "low": 0.5, "high": 1.5, "images": 200}
    where = {name: getattr(rows[0], name) for name in ("table", "row", "column", "dataset")}
    measured = ledger.Row("vrn", split="test", profile="cpu", command="python", **where, **first)
    ledger.record("vrn", [measured])
    assert plan.planned("vrn") == rows[1:]


def test_the_rows_that_table_2_lacks_wait_in_the_ledger():
    waiting = {row.row for row in ledger.read("vrn") if "not run yet" in row.note}
    ran = {row.row for row in ledger.read("vrn") if row.verdict == "measured"}
    for name in ("RGL, mean", "FS + RGL, mean", "mean-subtracted targets"):
        assert name in waiting | ran


def test_the_variants_that_a_run_left_out_wait_on_with_their_minutes(tmp_path, monkeypatch):
    path = tmp_path / "plan.toml"
    two = ENTRIES.replace('["RGL, mean"]', '["RGL, mean", "FS + RGL, mean"]')
    assert two != ENTRIES
    path.write_text(two, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(path))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.read()
    rows = plan.planned("vrn")
    assert all("about 24 minutes" in row.note for row in rows)
    first = {"ours": 1.0, "low": 0.5, "high": 1.5, "images": 200, "note": ""}
    done = replace(rows[0], verdict="measured", command=entry.command, **first)
    earlier = replace(rows[0], row="a row of an earlier plan")
    ledger.record("vrn", [done, earlier])
    waiting = plan.planned("vrn")
    assert {row.row for row in waiting} == {"FS + RGL, mean, frozen backbone"}
    assert all("about 12 minutes" in row.note for row in waiting)
    ledger.record("vrn", waiting, instead_of=plan.is_planned)
    assert [row.row for row in ledger.read("vrn")] == [done.row, *(row.row for row in waiting)]
