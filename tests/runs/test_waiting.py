"""What the plan would measure and nobody has run is pending, with its minutes."""

from dataclasses import replace

from cropnb import ledger
from cropnb.runs import plan, program, record, reproduce, waiting
from cropnb.runs.context import Context

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

CLAIMS = """
[[run]]
name = "set_prediction/one"
why = "claims for this test"
method = "set_prediction"
form = "gaicd_v2"
variants = ["SD", "w/o smoothing", "w/o smoothing, as long as SD"]
seeds = [0, 1]
minutes = 14
"""


def test_an_entry_that_was_never_run_is_pending_until_its_rows_are_recorded(tmp_path, monkeypatch):
    path = tmp_path / "plan.toml"
    path.write_text(ENTRIES, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(path))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.read()
    rows = waiting.planned("vrn")
    assert {row.row for row in rows} == {"RGL, mean, frozen backbone"}
    assert {row.column for row in rows} == set(entry.experiment.method.columns)
    assert all(entry.command in row.note and "about 12 minutes" in row.note for row in rows)
    ledger.record("vrn", rows)
    assert waiting.planned("vrn") == rows  # a pending row is no measurement
    first = {"verdict": "measured", "ours": 1.0, "low": 0.5, "high": 1.5, "images": 200}
    where = {name: getattr(rows[0], name) for name in ("table", "row", "column", "dataset")}
    measured = ledger.Row("vrn", split="test", profile="cpu", command="python", **where, **first)
    ledger.record("vrn", [measured])
    assert waiting.planned("vrn") == rows[1:]


def test_the_rows_that_table_2_lacks_wait_in_the_ledger():
    waits = {row.row for row in ledger.read("vrn") if waiting.is_planned(row)}
    ran = {row.row for row in ledger.read("vrn") if row.verdict == "measured"}
    for name in ("RGL, mean", "FS + RGL, mean", "mean-subtracted targets"):
        assert name in waits | ran


def test_the_variants_that_a_run_left_out_wait_on_with_their_minutes(tmp_path, monkeypatch):
    path = tmp_path / "plan.toml"
    two = ENTRIES.replace('["RGL, mean"]', '["RGL, mean", "FS + RGL, mean"]')
    assert two != ENTRIES
    path.write_text(two, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(path))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.read()
    rows = waiting.planned("vrn")
    assert all("about 24 minutes" in row.note for row in rows)
    done = measured_row(rows[0], entry, seeds=(0, 1))
    earlier = replace(rows[0], row="a row of an earlier plan")
    ledger.record("vrn", [done, earlier])
    waits = waiting.planned("vrn")
    assert {row.row for row in waits} == {"FS + RGL, mean, frozen backbone"}
    assert all("about 12 minutes" in row.note for row in waits)
    ledger.record("vrn", waits, instead_of=waiting.is_planned)
    assert [row.row for row in ledger.read("vrn")] == [done.row, *(row.row for row in waits)]


def measured_row(row, entry, **fields):
    """The pending row as its entry would record it."""
    numbers = {"ours": 1.0, "low": 0.5, "high": 1.5, "images": 200, "note": ""}
    return replace(row, verdict="measured", command=entry.command, **numbers, **fields)


def test_a_row_with_fewer_seeds_than_its_entry_asks_for_waits_for_the_rest(
    tmp_path, monkeypatch, capsys
):
    path = tmp_path / "plan.toml"
    path.write_text(ENTRIES.replace("[0, 1]", "[0, 1, 2]"), encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(path))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CROPNB_RUNS", str(tmp_path / "runs"))
    (entry,) = plan.read()
    rows = waiting.planned("vrn")
    assert waiting.missing_seeds(entry) == {"RGL, mean": (0, 1, 2)}
    assert list(waiting.short_of_seeds("vrn")) == []  # it has no number at all
    one = [measured_row(row, entry, seeds=(1,)) for row in rows]
    ledger.record("vrn", one)
    assert waiting.planned("vrn") == []  # no second row beside the number
    assert waiting.missing_seeds(entry) == {"RGL, mean": (0, 2)}
    assert waiting.minutes_left(entry) == 12
    assert list(waiting.short_of_seeds("vrn")) == [(entry, {"RGL, mean": (0, 2)})]
    assert reproduce.main(["vrn/one", "--dry-run", "--cores", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "waits     vrn/one/RGL, mean: seeds 0, 2" in printed
    assert printed[-1] == "the ledger waits for 2 trainings and studies, about 12 minutes"
    # A column that was measured with one seed only counts for itself.
    ledger.record("vrn", [replace(row, seeds=(0, 1, 2)) for row in one[1:]])
    assert waiting.missing_seeds(entry) == {"RGL, mean": (0, 2)}
    ledger.record("vrn", replace(one[0], seeds=(0, 1, 2)))
    assert waiting.missing_seeds(entry) == {}
    assert reproduce.main(["vrn/one", "--dry-run"]) == 0
    assert "waits" not in capsys.readouterr().out


def test_other_trainings_of_a_variant_do_not_count(tmp_path, monkeypatch):
    path = tmp_path / "plan.toml"
    path.write_text(ENTRIES, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(path))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.read()
    row = measured_row(waiting.planned("vrn")[0], entry, seeds=(0, 1))
    for changed in ({"profile": "trained"}, {"dataset": "gaicd"}, {"row": "RGL, mean"}):
        ledger.record("vrn", replace(row, **changed))
        assert waiting.missing_seeds(entry) == {"RGL, mean": (0, 1)}
    ledger.record("vrn", replace(row, command="python -m cropnb.vrn"))  # of another entry
    assert waiting.missing_seeds(entry) == {}
    wider = replace(entry, test_photos=1000)  # on more photos than the row stands on
    assert waiting.missing_seeds(wider) == {"RGL, mean": (0, 1)}
    ledger.record("vrn", replace(row, images=1000))
    assert waiting.missing_seeds(wider) == waiting.missing_seeds(entry) == {}


def test_an_entry_with_fewer_seeds_takes_none_from_a_row(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    common = {"dataset": "scenes", "split": "test", "verdict": "measured", "images": 200}
    row = ledger.Row("vrn", "Table 2", "FS", "SRCC", ours=0.5, command="python", **common)
    five = replace(row, seeds=(0, 1, 2, 3, 4), config_hash="one")
    ledger.record("vrn", five)
    three, other = replace(five, seeds=(0, 1, 2)), replace(five, seeds=(7, 8, 9))
    changed, without = replace(three, config_hash="another"), replace(three, config_hash="")
    assert record.without_fewer_seeds([three], "vrn") == []
    # Nor does an entry with fewer photos.
    assert record.without_fewer_seeds([replace(five, images=100)], "vrn") == []
    assert record.without_fewer_seeds([wider := replace(five, images=1000)], "vrn") == [wider]
    for new in (five, other, changed, without, replace(three, column="Acc 5")):
        assert record.without_fewer_seeds([new], "vrn") == [new]


STUDY = """
[[run]]
name = "mars/study"
why = "rows for this test"
module = "mars.studies.against_windows"
arguments = ["--profile", "trained", "--forms", "fat", "--record"]
minutes = 5
"""


def test_a_studys_cells_wait_until_they_are_measured(tmp_path, monkeypatch):
    (tmp_path / "plan.toml").write_text(STUDY, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.read()
    rows = waiting.planned("mars")
    assert {row.table for row in rows} == {"Mars against windows, FAT"}
    assert {(row.column, row.profile) for row in rows} == {
        ("IoU", "trained"),
        ("Offset", "trained"),
    }
    note = f"mars/study, about 5 minutes of a core, not run yet: {entry.command}"
    assert {row.note for row in rows} == {note}
    waiting.record("mars")
    shipped = replace(measured_row(rows[0], entry), profile="photographs")
    ledger.record("mars", shipped)  # of another study, which measures what ships
    assert waiting.planned("mars") == rows
    ledger.record("mars", measured_row(rows[0], entry))
    assert waiting.planned("mars") == rows[1:]
    assert waiting.minutes_left(entry) == 5
    waiting.settle("mars", "python -m another.study")
    assert [row for row in ledger.read("mars") if waiting.is_planned(row)] == rows[1:]
    waiting.settle("mars", entry.command)  # it was run, and has no more to say
    assert not any(waiting.is_planned(row) for row in ledger.read("mars"))


def test_a_study_that_records_leaves_none_of_its_rows_waiting(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    command = "python -m cropnb.vrn --parts some --record"
    row = ledger.Row("vrn", "study", "a", "b", "scenes", "test", "pending")
    mine, other = (
        replace(row, row=name, note=f"one, not run yet: {command}{name}") for name in " x"
    )
    ledger.record("vrn", [replace(mine, note=mine.note.strip()), other])
    options = program.parser("vrn")
    options.add_argument("--parts")
    done = replace(row, row="c", verdict="measured", ours=1.0, images=1, command=command, note="")
    program.study(
        lambda chosen, context: [[done]],
        options,
        Context("vrn", "scenes", ()),
        ["--parts", "some", "--record"],
    )
    assert [one.row for one in ledger.read("vrn")] == ["x", "c"]


def test_a_cell_that_two_entries_fill_is_counted_once(tmp_path, monkeypatch, capsys):
    (tmp_path / "plan.toml").write_text(
        ENTRIES + ENTRIES.replace("vrn/one", "vrn/two").replace("[0, 1]", "[0]"), encoding="utf-8"
    )
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    assert waiting.main([]) == 0
    there = ledger.read("vrn")
    assert capsys.readouterr().out == f"vrn: {len(there)} rows wait\n"
    assert len(waiting.rows("vrn")) == 2 * len(there)


def test_a_row_is_recorded_from_the_runs_of_all_its_seeds(tmp_path, monkeypatch):
    (tmp_path / "plan.toml").write_text(ENTRIES, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.read()
    rows = waiting.planned("vrn")
    for seeds, left, afresh in (((0,), 6, 12), ((0, 1), 0, 0)):
        ledger.record("vrn", [measured_row(row, entry, seeds=seeds) for row in rows])
        assert (waiting.minutes_left(entry), waiting.minutes_afresh(entry)) == (left, afresh)


def test_claims_that_the_plan_would_decide_wait_until_they_have_a_row(tmp_path, monkeypatch):
    (tmp_path / "plan.toml").write_text(CLAIMS, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    waits = waiting.claims("set_prediction")
    names = ["distillation helps", "distillation beats training as long"]
    assert dict.fromkeys(row.row for row in waits) == dict.fromkeys(names)
    assert {row.table for row in waits} == {"claim, v2"}
    assert all(row.note.startswith("set_prediction/one, about 84 minutes") for row in waits)
    assert waiting.claims("set_prediction", "claim") == waiting.claims("vrn") == []
    numbers = {"ours": 1.0, "low": 0.5, "high": 1.5, "images": 500, "detectable": 0.5}
    decided = replace(
        waits[0], verdict="holds", profile="trained", command="python", note="", **numbers
    )
    ledger.record("set_prediction", decided)  # with another profile than the entry's
    assert {row.row for row in waiting.claims("set_prediction", "claim, v2")} == {names[1]}


def test_the_program_writes_the_pending_rows(tmp_path, monkeypatch, capsys):
    (tmp_path / "plan.toml").write_text(STUDY, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    assert waiting.main([]) == 0
    assert capsys.readouterr().out == "mars: 6 rows wait\n"
    assert len(ledger.read("mars")) == 6
    (tmp_path / "plan.toml").write_text("", encoding="utf-8")
    assert waiting.main(["mars"]) == 0
    assert ledger.read("mars") == []
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "no.toml"))
    assert waiting.main([]) == 2
