"""Recorded rows become what the ledger says today, whole files at a time, and only once."""

import json
from pathlib import Path

import numpy as np
import pytest

from cropnb import bench, ledger, metrics
from cropnb.errors import LedgerError
from cropnb.runs import plan
from tools import migrate_ledger

BOOK = Path(__file__).parents[1] / "book"

SENTENCE = "the interval holds zero, so these photos and seeds don't settle it"
ROW = {
    "paper": "vrn",
    "table": "claim",
    "row": "splitter helps",
    "column": "Acc 5",
    "dataset": "scenes",
    "split": "test",
    "verdict": "fails",
    "ours": -1.0,
    "low": -2.96,
    "high": 0.96,
    "images": 200,
    "seeds": [0, 1, 2],
    "command": "python -m cropnb.vrn",
    "note": f"FS less baseline; {SENTENCE}",
}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    return tmp_path


def migrated(**changed: object) -> dict:
    return migrate_ledger.four_verdicts(ROW | changed)


def test_fails_becomes_what_the_interval_says():
    row = migrated()
    assert (row["verdict"], row["note"]) == ("unsettled", "FS less baseline")
    assert row["detectable"] == pytest.approx(2.8016, abs=1e-3)  # a standard error of 1
    assert migrated(note=SENTENCE)["note"] == ""
    wrong = migrated(low=-2.0, high=-0.5, note="FS less baseline")
    assert (wrong["verdict"], wrong["note"]) == ("contradicted", "FS less baseline")
    # Its unrounded end lay below zero, or the sentence would be there.
    assert migrated(high=-0.0, note="")["verdict"] == "contradicted"


def test_a_margin_of_the_papers_claim_is_the_boundary():
    ten = {
        "paper": "asm_net",
        "row": "cross-rectangle beats 1 × 1 by ten points",
        "column": "Accuracy",
    }
    note = "in points; the interval holds 10, so these photos and seeds don't settle it"
    row = migrated(**ten, ours=10.2, low=9.5, high=10.9, note=note)
    assert (row["verdict"], row["margin"], row["note"]) == ("unsettled", 10.0, "in points")
    assert "margin" not in migrated()
    gap = migrated(paper="scenes", row=migrate_ledger.GAP, verdict="holds", note="")
    assert (gap["verdict"], gap["margin"], gap["below"]) == ("holds", 40.0, True)


def test_a_bootstrap_over_three_seeds_is_widened_to_what_students_t_can_reach():
    old = {"verdict": "contradicted", "high": -0.1, "detectable": 1.0, "note": ""}
    wide = migrate_ledger.three_seeds(ROW | old | {"low": -1.9})
    assert (wide["low"], wide["high"]) == pytest.approx((-3.5816, 1.5816), abs=1e-3)  # 4.303 · 0.6
    assert (wide["verdict"], wide["note"]) == ("unsettled", migrate_ledger.WIDENED)
    assert migrate_ledger.three_seeds(wide) == wide
    sure = migrate_ledger.three_seeds(ROW | old | {"low": -1.2, "high": -0.8})
    assert (sure["verdict"], sure["high"] < 0) == ("contradicted", True)
    by_t, nothing = {"detectable_seeds": 0.0}, {"void": "an arm learned nothing"}
    for other in (by_t, nothing, {"seeds": [0]}, {"seeds": [0, 1, 2, 3, 4]}):
        row = ROW | old | other
        assert migrate_ledger.three_seeds(row) == row
    assert migrate_ledger.three_seeds(ROW) == ROW  # no claim of today


@pytest.mark.parametrize("of_seeds", [0.0, 0.2, 3.0])
def test_no_interval_of_students_t_is_longer_than_a_widened_one(of_seeds: float):
    rng = np.random.default_rng(0)
    for _ in range(10):
        values = of_seeds * rng.normal(size=(3, 1)) + rng.normal(size=(3, 60))
        by_t, old = metrics.compare(values, np.zeros(60)), metrics.bootstrap_interval(values)
        ends = {"ours": old.mean, "low": old.low, "high": old.high, "detectable": 1.0}
        wide = migrate_ledger.three_seeds(ROW | ends)
        slack = 0.03 * (by_t.high - by_t.low)  # the bootstrap's own noise
        assert wide["low"] <= by_t.low + slack
        assert wide["high"] >= by_t.high - slack


def test_other_rows_stay_as_they_are():
    for verdict in ("measured", "exact", "within", "contradicts", "pending"):
        assert migrated(verdict=verdict) == ROW | {"verdict": verdict}
    held = migrated(verdict="holds", ours=1.0, low=0.5, high=1.5, note="")
    assert held["verdict"] == "holds"
    assert migrate_ledger.four_verdicts(held) == held


PLAN = plan.plan_file()  # before a test names other results


def test_a_command_becomes_that_of_the_entry_which_repeats_the_row(monkeypatch):
    monkeypatch.setenv("CROPNB_PLAN", str(PLAN))
    trained = migrate_ledger.commands(ROW | {"command": migrate_ledger.ASM_NET_MAIN})
    assert trained["command"].startswith("python -m cropnb.asm_net --profile cpu")
    boxes = {"command": migrate_ledger.ASM_NET_MAIN, "table": "Table 2"}
    measured = migrate_ledger.commands(ROW | boxes)
    assert measured["command"].startswith("python -m cropnb.asm_net.studies.best_crops")
    assert migrate_ledger.commands(measured) == measured
    assert migrate_ledger.commands(ROW) == ROW
    moved = {"command": "python -m cropnb.runs.epoch_shares --threads 1 --record"}
    shares = migrate_ledger.commands(ROW | moved)["command"]
    assert shares == "python -m cropnb.epoch_shares --threads 1 --record"


def test_a_row_that_waits_names_its_entry(monkeypatch):
    monkeypatch.setenv("CROPNB_PLAN", str(PLAN))
    row = ROW | {"paper": "asm_net", "table": "Table 4", "verdict": "pending", "note": "old"}
    assert "asm_net --dataset gaicd --profile full" in migrate_ledger.waiting(row)["note"]
    elsewhere = row | {"table": "no table of the plan"}
    assert migrate_ledger.waiting(elsewhere) == elsewhere
    assert migrate_ledger.waiting(row | {"verdict": "measured"})["note"] == "old"


def test_a_fast_training_step_says_what_it_leaves_out():
    common = {"paper": "speed", "table": bench.TABLE, "verdict": "measured", "note": "median of 8"}
    name = "Mars, training the whole network"
    for kind in ("fast", "fast over plain"):
        row = migrate_ledger.fast_steps(common | {"row": f"{name}, {kind}"})
        assert row["note"].startswith(f"median of 8; {bench.FROM_C3_3}; ")
        assert row["note"].endswith("in bfloat16")
        assert migrate_ledger.fast_steps(row) == row
    for other in ({"row": f"{name}, plain"}, {"row": "no longer measured"}, {"table": "another"}):
        row = common | {"row": f"{name}, fast"} | other
        assert migrate_ledger.fast_steps(row) == row


def test_a_file_is_migrated_once_and_whole(results: Path, capsys: pytest.CaptureFixture):
    path = results / "vrn.json"
    other = ROW | {"verdict": "measured", "column": "Acc 10", "note": ""}
    path.write_text(json.dumps([ROW, other]))
    before = path.read_bytes()
    assert migrate_ledger.main(["--dry-run"]) == 0
    assert path.read_bytes() == before
    assert migrate_ledger.main([]) == 0
    first = path.read_bytes()
    assert migrate_ledger.main([]) == 0
    assert path.read_bytes() == first
    printed = ["vrn: 1 rows would change", "vrn: 1 rows changed", "vrn: 0 rows changed"]
    assert capsys.readouterr().out.splitlines() == printed
    row, _ = ledger.read("vrn")
    assert row.verdict == "unsettled"
    ledger.record("vrn", row)
    assert path.read_bytes() != before
    assert json.loads(path.read_text())[0] == json.loads(first)[0]


def test_a_row_that_keeps_no_rule_stops_its_file(results: Path):
    path = results / "vrn.json"
    path.write_text(json.dumps([ROW, ROW | {"column": "Acc 10", "images": None}]))
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="images"):
        migrate_ledger.migrate(path)
    assert path.read_bytes() == before


def on_layouts(row: str, column: str, ours: float, low: float, **changed: object) -> dict:
    """A measured row of set prediction's networks on layouts."""
    of = {"paper": "set_prediction", "dataset": "gaicd_layouts", "profile": "trained", "note": ""}
    values = {"table": "Table 2, layouts", "verdict": "measured", "row": row, "column": column}
    return ROW | of | values | {"ours": ours, "low": low, "high": 2 * ours - low} | changed


def test_an_old_comparison_is_void_where_an_arm_reaches_down_to_the_blind_set():
    column = "ε = 0.85, K = 40"
    floor = on_layouts("content-blind set (ε = 0.85)", "K = 40", 27.2, 24.7)
    arms = [
        on_layouts("Ours (ε = 0.85)", "K = 40", 30.0, 28.0),  # QG
        on_layouts("SD (ε = 0.85)", "K = 40", 29.0, 24.0),
        on_layouts("GAIC's anchors", column, 36.9, 32.4),
    ]
    (old,) = {commit for commit in migrate_ledger.JUDGED_BY_MEANS if commit.startswith("c1d")}
    claim = {"table": "claim, layouts", "verdict": "unsettled", "commit": old}
    helps = on_layouts("distillation helps", column, 1.0, -5.0, **claim, note="QG less SD; rising")
    sure = on_layouts("a", column, -7, -9, **claim, note="QG less GAIC's anchors, the last stages")
    before = [helps, sure, *arms, floor]
    after = migrate_ledger.blind_by_rows(before)
    assert after[0]["void"] == "SD not surely better than a set that looks at no photo"
    assert after[0]["note"] == f"QG less SD; {migrate_ledger.BY_ROWS}; rising"
    assert after[0]["verdict"] == "unsettled"
    assert after[1:] == before[1:]
    assert migrate_ledger.blind_by_rows(after) == after
    # The means alone let SD pass; a new run is judged photo by photo; without rows nobody knows.
    for other in ({"commit": "another"}, {"dataset": "scenes"}, {"void": "SD no better"}):
        assert migrate_ledger.blind_by_rows([helps | other, *arms, floor])[0] == helps | other
    assert migrate_ledger.blind_by_rows([helps, *arms])[0] == helps
    scenes = floor | {"dataset": "scenes"}  # of other photos
    assert migrate_ledger.blind_by_rows([helps, *arms, scenes])[0] == helps


def test_no_old_verdict_on_layouts_has_an_arm_that_may_be_blind(monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(BOOK / "results"))
    for row in ledger.find("set_prediction", table="claim, layouts"):
        assert row.void or row.commit not in migrate_ledger.JUDGED_BY_MEANS  # or judged in pairs


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((-0.02, 0.0), "unsettled"), ((-0.02, -0.01), "contradicted"), ((0.0, 0.1), "unsettled")],
)
def test_an_end_that_is_recorded_as_the_boundary_settles_nothing(ends, verdict):
    row = ROW | {"verdict": "contradicted", "low": ends[0], "high": ends[1]}
    assert migrate_ledger.recorded_ends(row)["verdict"] == verdict


def test_the_books_ledger_is_migrated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CROPNB_RESULTS")
    for name in ledger.names():
        assert migrate_ledger.migrate(ledger.folder() / f"{name}.json", dry_run=True) == 0
        for row in ledger.read(name):
            if row.verdict in ledger.CLAIM_VERDICTS:
                ends = (row.low, row.high, row.margin or 0.0)
                expected = ledger.claim_verdict(*ends, below=row.below)
                on_the_edge = (row.margin or 0.0) in (row.low, row.high)  # rounded
                assert row.verdict in (expected, "trivial") or on_the_edge, row
                assert "settle it" not in row.note


def test_a_hash_becomes_that_of_its_variants_run_and_other_rows_of_the_run_follow():
    (entry,) = plan.select(plan.read(), ["vrn/table-2"])
    new = entry.experiment.run("FS", 0).config_hash
    row = {**ROW, "command": entry.command, "table": "Table 2", "config_hash": "old"}
    cell = {**row, "row": "FS, frozen backbone"}
    claim = {**row, "table": "claim, frozen backbone"}
    other = {**claim, "config_hash": "another"}
    after = migrate_ledger.hashes([cell, claim, other])
    assert [one["config_hash"] for one in after] == [new, new, "another"]
    assert migrate_ledger.hashes(after) == after
    baseline = {**row, "row": "baseline, frozen backbone"}  # one old hash, two settings of today
    assert migrate_ledger.hashes([cell, baseline]) == [cell, baseline]


def test_every_hash_in_the_books_ledger_is_that_of_a_run_of_the_plan(monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(BOOK / "results"))
    runs = {
        entry.command: {
            entry.experiment.run(variant, entry.seeds[0]).config_hash for variant in entry.variants
        }
        for entry in plan.read()
        # A teacher's labels are a part of what a run on them is, and only the disk that they were
        # written to has them.
        if entry.method and "taught" not in entry.experiment.dataset.split("+")
    }
    rows = [row for name in ledger.names() for row in ledger.read(name) if row.command in runs]
    hashed = [row for row in rows if row.config_hash]
    assert len(hashed) > 350
    assert [row.key for row in hashed if row.config_hash not in runs[row.command]] == []
