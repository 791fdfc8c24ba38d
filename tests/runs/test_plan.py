"""The plan names only what exists, covers every row that has a command, and Snakemake runs it."""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cropnb import ledger
from cropnb.audit import curves
from cropnb.errors import PlanError
from cropnb.runs import plan, reproduce, waiting

TINY = """
[[run]]
name = "gaic/tiny"
why = "two runs for this test"
method = "gaic"
profile = "smoke"
seeds = [0, 1]
init = "random"
minutes = 0.5
"""


def written(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_entry_becomes_trainings_and_their_recording(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RUNS", str(tmp_path / "runs"))
    (entry,) = plan.read(written(tmp_path, TINY))
    first, second, recording = entry.tasks([entry])
    assert [task.name for task in (first, second, recording)] == [
        "gaic/tiny/GAIC/0",
        "gaic/tiny/GAIC/1",
        "gaic/tiny",
    ]
    assert recording.inputs == (first.output, second.output)
    assert shlex.split(entry.command)[-5:] == ["GAIC", "--seeds", "0", "1", "--record"]
    assert "--record" not in first.command
    wider = plan.read(written(tmp_path, TINY + "test_photos = 50\n"))[0]
    training = wider.tasks([wider])[0]
    assert "--test-photos 50" in training.command
    # The same training; its result stands beside the other one.
    assert training.output.parent == first.output.parent
    assert [task.output.name for task in (first, training)] == ["result.json", "result-50.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"smoke"', '"no"'), "no profile 'no': there are smoke"),
        (('method = "gaic"', 'method = "no"'), "no method 'no'"),
        (("seeds", 'variants = ["no"]\nseeds'), "no variant 'no': there are GAIC"),
        (("seeds", 'form = "fcdb"\nseeds'), "no form 'fcdb'"),
        (("seeds", "sedes"), "no field sedes"),
        (('method = "gaic"', ""), "give either a method or a module"),
        (("seeds", 'after = ["gaic/no"]\nseeds'), "no entry gaic/no"),
        (("minutes = 0.5", ""), "minutes"),
        (("[[run]]", "[[run"), "can't be read"),
    ],
)
def test_what_is_not_there_is_named_with_its_entry(tmp_path, change, message):
    with pytest.raises(PlanError, match=r"plan\.toml") as error:
        plan.read(written(tmp_path, TINY.replace(*change, 1)))
    assert message in str(error.value)


def test_a_name_twice_and_a_plan_that_is_not_there(tmp_path):
    with pytest.raises(PlanError, match="there twice"):
        plan.read(written(tmp_path, TINY + TINY))
    with pytest.raises(PlanError, match="can't be read"):
        plan.read(tmp_path / "no.toml")


def test_entries_are_selected_by_paper_or_by_name():
    entries = plan.read()
    assert {entry.name.split("/")[0] for entry in plan.select(entries, ["vrn"])} == {"vrn"}
    assert [entry.name for entry in plan.select(entries, ["vrn/table-2"])] == ["vrn/table-2"]
    assert plan.select(entries, []) == entries
    for name in ("vrn/table", "vrn/table-9"):
        with pytest.raises(PlanError, match=f"no entry '{name}'"):
            plan.select(entries, [name])


def test_a_table_names_every_entry_that_fills_it():
    names = [entry.name for entry in plan.select(plan.read(), ["mars/table-3"])]
    assert names == ["mars/tables-3-4", "mars/fat-table-3"]


def test_the_plan_and_the_ledger_know_each_others_commands():
    commands = {entry.command for entry in plan.read()}
    recorded = {row.command for name in ledger.names() for row in ledger.read(name) if row.command}
    assert recorded <= commands


def test_every_entry_has_a_row_that_was_measured_or_waits():
    rows = [row for name in ledger.names() for row in ledger.read(name)]
    commands = {row.command for row in rows}
    commands |= {panel["command"] for panel in curves.read().values()}  # in a file of their own
    notes = {row.note for row in rows if row.verdict == "pending"}
    without = [
        entry.name
        for entry in plan.read()
        if "--record" in shlex.split(entry.command)
        and entry.command not in commands
        and not any(entry.command in note for note in notes)
    ]
    assert without == []


def test_what_waits_in_the_ledger_is_what_the_plan_has_today():
    for name in dict.fromkeys(entry.paper for entry in plan.read()):
        planned = {row.key: row.note for row in waiting.planned(name)}
        there = {row.key: row.note for row in ledger.read(name) if waiting.is_planned(row)}
        assert there == planned, f"python -m cropnb.runs.waiting {name}"


def test_an_entry_without_rows_trains_and_records_nothing(tmp_path):
    (entry,) = plan.read(written(tmp_path, TINY + "records = false\n"))
    assert "--record" not in entry.command
    assert waiting.missing_seeds(entry) == {}
    assert waiting.of_entry(entry) == []
    assert len(entry.tasks([entry])) == 3  # its runs are for other entries


def test_every_printed_table_has_an_entry_that_its_pending_rows_name():
    entries = plan.read()
    for name in ledger.names():
        for row in ledger.read(name):
            if row.verdict == "pending" and "python -m" in row.note:
                assert any(entry.command in row.note for entry in entries), row.key


def test_what_cannot_run_here_is_said_with_all_its_needs_and_left_out(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    monkeypatch.setattr(reproduce.torch.cuda, "is_available", lambda: False)
    assert reproduce.main(["vrn", "--dry-run"]) == 0
    text = capsys.readouterr().out
    (entry,) = plan.select(plan.read(), ["vrn/gaicd"])
    runs = len(entry.variants) * len(entry.seeds)
    assert entry.needs == ("gaicd", "gpu")
    assert (
        "left out  vrn/gaicd: needs the photos of gaicd and a GPU; "
        f"about {runs * entry.minutes + 0.5:.0f} minutes\n"
    ) in text
    assert "vrn/table-2/FS + RGL/2" in text
    assert "minutes on" in text
    assert reproduce.main(["no", "--dry-run"]) == 2
    assert "no entry 'no'" in capsys.readouterr().err


def test_needs_are_joined_as_a_sentence_has_them(monkeypatch, tmp_path):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    entry = plan.Entry("a/b", "for this test", 1, module="coverage")
    for needs, words in {
        (): "",
        ("fat",): "the photos of fat",
        ("fat", "annotations of flms"): "the photos of fat and annotations of flms",
        ("fat", "flms", "fcdb"): "the photos of fat, the photos of flms and the photos of fcdb",
    }.items():
        assert reproduce.missing(replace(entry, needs=needs)) == words


def test_a_shared_training_is_one_task_and_what_comes_before_comes_along(
    tmp_path, monkeypatch, capsys
):
    second = TINY.replace("gaic/tiny", "gaic/one").replace("[0, 1]", "[1]")
    study = """
[[run]]
name = "gaic/study"
why = "reads the runs"
module = "coverage"
minutes = 2
after = ["gaic/one"]
"""
    monkeypatch.setenv("CROPNB_PLAN", str(written(tmp_path, TINY + second + study)))
    monkeypatch.setenv("CROPNB_RUNS", str(tmp_path / "runs"))
    entries = plan.read()
    tasks = reproduce.tasks_of(entries, entries)
    assert len({task.output for task in tasks}) == len(tasks) == 2 + 1 + 1 + 1
    only = reproduce.tasks_of(entries, plan.select(entries, ["gaic/study"]))
    names = [task.name for task in only]
    assert names == ["gaic/one/GAIC/1", "gaic/one", "gaic/study"]
    assert only[-1].inputs == (only[1].output,)
    assert reproduce.main(["gaic/study", "--dry-run", "--cores", "1"]) == 0
    assert "3 of 3 tasks to do, about 3 minutes on 1 cores" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_a_clusters_profile_is_handed_to_snakemake(name, tmp_path):
    folder = reproduce.PROFILES / name
    profile = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert profile["executor"] == name
    assert profile["jobs"] > 1
    command = reproduce.snakemake_command(tmp_path / "tasks.json", 2, str(folder), dry_run=True)
    text = shlex.join(command)
    assert f"--workflow-profile {folder}" in text
    assert f"tasks={tmp_path}/tasks.json cores=0" in text  # it isn't known how many there are
    assert command[-1] == "--dry-run"
    # The profile alone says how tasks are run.
    assert not {"--executor", "--jobs"} & set(command)
    assert "--dry-run" not in reproduce.snakemake_command(tmp_path / "tasks.json", 2)


def test_a_profile_that_is_not_there_is_said_with_those_that_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_PLAN", str(written(tmp_path, TINY)))
    monkeypatch.setenv("CROPNB_RUNS", str(tmp_path / "runs"))
    assert reproduce.main(["--profile", "tools/snakemake/no"]) == 2
    printed = capsys.readouterr()
    assert "there are kubernetes, slurm" in printed.err
    assert "3 of 3 tasks to do, about 2 minutes of work" in printed.out
    assert not (tmp_path / "runs").exists()


def test_without_snakemake_what_installs_it_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_PLAN", str(written(tmp_path, TINY)))
    monkeypatch.setenv("CROPNB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(reproduce.importlib.util, "find_spec", lambda name: None)
    assert reproduce.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Snakemake isn't installed: `make reproduce` installs it" in line
    assert reproduce.main(["--dry-run"]) == 0  # the list needs none


def processes(*words):
    """The processes whose command line holds all of these words."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if all(word in line for word in words):
            pids.append(int(folder.name))
    return pids


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen")


@pytest.mark.slow
def test_kills_of_a_run_and_of_snakemake_leave_the_rows_whole(tmp_path):
    pytest.importorskip("snakemake")  # else the driver ends at once
    runs, results = tmp_path / "runs", tmp_path / "results"
    environment = {
        **os.environ,
        "CROPNB_PLAN": str(written(tmp_path, TINY)),
        "CROPNB_RUNS": str(runs),
        "CROPNB_RESULTS": str(results),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "cropnb.runs.reproduce", "--cores", "2"]
    started = {"cwd": tmp_path, "env": environment, "stdout": subprocess.PIPE, "text": True}
    driver = subprocess.Popen(command, stderr=subprocess.STDOUT, **started)
    try:
        both = [
            wait_for(lambda seed=seed: processes("cropnb.gaic", "--seeds", str(seed), str(runs)))
            for seed in (0, 1)
        ]  # both at once
        os.kill(both[0][0], signal.SIGKILL)  # a run, in the middle
        wait_for(lambda: not processes("cropnb.gaic", "--seeds", "0", str(runs)))
        (snakemake,) = processes("snakemake", f"tasks={runs}/plan/tasks.json")
        os.kill(snakemake, signal.SIGKILL)
        assert driver.wait(60) == 1
        wait_for(lambda: not processes("cropnb.gaic", str(runs)))
    finally:
        driver.kill()
    assert not ledger_rows(results)
    again = subprocess.run(command, stderr=subprocess.STDOUT, check=False, **started)
    assert again.returncode == 0, again.stdout
    rows = ledger_rows(results)
    assert {tuple(row.seeds) for row in rows} == {(0, 1)}
    assert {row.column for row in rows} >= {"Acc 1/5", "SRCC"}
    assert {row.command for row in rows} == {plan.read(tmp_path / "plan.toml")[0].command}
    third = subprocess.run(command, stderr=subprocess.STDOUT, check=False, **started)
    assert "0 of 3 tasks to do" in third.stdout


def ledger_rows(results):
    path = results / "gaic.json"
    if not path.exists():
        return []
    before = os.environ.get("CROPNB_RESULTS")
    os.environ["CROPNB_RESULTS"] = str(results)
    try:
        return ledger.read("gaic")
    finally:
        os.environ.pop("CROPNB_RESULTS")
        if before is not None:
            os.environ["CROPNB_RESULTS"] = before
