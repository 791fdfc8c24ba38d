"""A borrowed GPU, tried on a CPU: what fits is run, what doesn't is kept, and it comes home."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from cropnb import checkpoints, files, ledger
from cropnb.errors import CheckpointError, OutOfTime
from cropnb.runs import __main__ as program
from cropnb.runs import borrowed, borrowed_folder, plan, waiting
from cropnb.runs.results import Result

PLAN = """
[[run]]
name = "gaic/little"
why = "worth little"
method = "gaic"
profile = "smoke"
init = "random"
minutes = 1
needs = ["gpu"]
worth = 1
[[run]]
name = "vrn/much"
why = "worth much"
method = "vrn"
profile = "smoke"
init = "random"
frozen = true
minutes = 1
needs = ["gpu"]
worth = 9
[[run]]
name = "gaic/cpu"
why = "needs no GPU"
method = "gaic"
profile = "smoke"
init = "random"
minutes = 1
"""
STUDY = """
[[run]]
name = "speed/some"
why = "a study"
module = "bench"
arguments = ["--only", "matching and smoothing, light model on a CPU", "--rounds", "1", "--record"]
minutes = 1
needs = ["gpu"]
worth = 5
[[run]]
name = "vrn/study"
why = "a study of runs that come before it"
module = "audit"
minutes = 1
needs = ["gpu"]
after = ["vrn/much"]
worth = 4
"""
# What a borrowed machine doesn't have.
ABSENT = ("jupyter_core", "matplotlib", "pandas", "gymnasium", "pooch", "anywidget", "skimage")
ABSENT += ("snakemake", "pycocotools", "cv2", "nbformat", "ipywidgets", "yaml", "requests")


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    return tmp_path


def test_the_worthiest_gpu_entries_come_first(place):
    entries = plan.read()
    names = [entry.name for entry in borrowed.entries_for(entries, [])]
    assert names == ["vrn/much", "gaic/little"]
    assert [entry.name for entry in borrowed.entries_for(entries, ["gaic"])] == ["gaic/little"]


def test_every_gpu_entry_of_the_books_plan_has_a_worth_and_comes_after_what_it_reads():
    entries = borrowed.entries_for(plan.read(), [])
    assert sum(bool(entry.method) for entry in entries) > 10
    assert {entry.name for entry in entries if entry.module} >= {"speed/matching-gpu"}
    assert [entry.name for entry in entries if entry.worth <= 0] == []
    names = [entry.name for entry in entries]
    before = [(one, entry.name) for entry in entries for one in entry.after if one in names]
    assert [pair for pair in before if names.index(pair[0]) > names.index(pair[1])] == []


def test_entries_whose_photos_are_not_here_take_no_time_and_are_no_failure(place, monkeypatch):
    monkeypatch.setenv("CROPNB_DATA", str(place))
    text = PLAN.replace('needs = ["gpu"]', 'dataset = "gaicd"\nneeds = ["gaicd", "gpu"]')
    (place / "plan.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(borrowed, "_training", None)  # nothing is begun
    there = ["--out", str(place / "there"), "--flat", str(place / "flat")]
    assert program.main(["--device", "cpu", "--seconds", "600", *there]) == 0
    summary = json.loads((place / "flat" / "summary.json").read_text())
    assert [line["entry"] for line in summary] == ["vrn/much", "gaic/little"]
    assert {line["state"] for line in summary} == {"left out: needs the photos of gaicd"}


@pytest.mark.slow
def test_what_fits_is_run_without_the_books_packages_and_comes_home(place):
    hide = "import sys; " + "; ".join(f"sys.modules[{name!r}] = None" for name in ABSENT)
    run = "from cropnb.runs.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", f"{hide}; {run}"]
    there = ["--out", str(place / "there"), "--flat", str(place / "flat")]
    done = subprocess.run(
        [*command, "--device", "cpu", "--seconds", "600", "--threads", "1", *there],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    files = list((place / "flat").iterdir())
    assert len(files) == 4  # a summary, the results and two checkpoints
    assert all(
        file.is_file() and file.stat().st_size < borrowed_folder.MOST_BYTES for file in files
    )
    summary = json.loads((place / "flat" / "summary.json").read_text())
    assert [(line["entry"], line["state"]) for line in summary] == [
        ("vrn/much", "done"),
        ("gaic/little", "done"),
    ]
    home = ["--collect", str(place / "flat"), "--out", str(place / "home")]
    waiting.record("vrn")
    (earlier, *_) = ledger.read("vrn")
    ledger.record("vrn", replace(earlier, row="a row of an earlier plan"))
    assert program.main(home) == 0
    rows = ledger.read("vrn")  # and nothing waits any more
    assert {row.row for row in rows} == {"FS + RGL, frozen backbone"}
    assert {row.command for row in rows} == {plan.read()[1].command}
    again = plan.read()[1].experiment
    experiment = borrowed_folder.experiment_of(plan.read()[1], "cpu", place / "home")
    assert experiment.finished("FS + RGL", 0).config_hash == again.run("FS + RGL", 0).config_hash
    assert experiment.trained("FS + RGL", 0) is not None  # its weights came home
    (place / "plan.toml").write_text(PLAN.replace("frozen = true\n", ""), encoding="utf-8")
    with pytest.raises(CheckpointError, match="settings have changed"):
        borrowed_folder.collect(place / "flat", plan.read(), place / "home")


def test_time_that_ends_while_a_file_is_written_is_no_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: time.sleep(30))
    with (
        pytest.raises(OutOfTime, match="what was saved until then goes on"),
        borrowed._interrupted_at(time.monotonic() + 0.05),
    ):
        files.write_atomically(tmp_path / "maps.safetensors", b"0" * 8)
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_time_is_said_until_it_is_heard(monkeypatch):
    class Deaf:
        def __del__(self):
            time.sleep(0.1)  # whatever is raised here, Python prints and forgets

    monkeypatch.setattr(borrowed, "RINGS_EVERY", 0.2)
    end = borrowed._interrupted_at(time.monotonic() + 0.05)
    with pytest.raises(OutOfTime), end:
        _ = [Deaf(), time.sleep(0)].clear() or time.sleep(30)


def test_the_prepared_script_keeps_to_a_real_clock(place):
    seconds = 10
    (place / "plan.toml").write_text(PLAN + STUDY, encoding="utf-8")
    there = ["--out", str(place / "there"), "--flat", str(place / "flat")]
    command = [sys.executable, "-m", "cropnb.runs", "--device", "cpu", "--threads", "1"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--seconds", str(seconds), *there],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert time.monotonic() - started < seconds + 120  # a machine may take long to import
    summary = json.loads((place / "flat" / "summary.json").read_text())
    assert len(summary) == 4
    states = ("done", "cut short: ", "no time left", "left out: ")
    assert [line for line in summary if not line["state"].startswith(states)] == []
    sizes = [file.stat().st_size for file in (place / "flat").iterdir()]
    assert len(sizes) <= 8
    assert max(sizes) < 16 << 20


@pytest.mark.slow
def test_a_run_that_the_time_cuts_short_goes_on_later(place):
    entries = borrowed.entries_for(plan.read(), ["vrn"])
    out, flat = place / "runs", place / "flat"
    started = time.monotonic()
    lines = borrowed.run(entries, "cpu", 1e-3, out, flat, started + 1e6)  # in time to begin
    assert lines[0]["state"] == "done"
    for file in out.glob("vrn/**/*.*"):
        file.unlink()  # the features stay

    class Clock:
        """Stands still until training begins, then jumps past the deadline."""

        calls = 0

        @classmethod
        def monotonic(cls):
            cls.calls += 1
            return 0.0 if cls.calls < 12 else 1e9

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cropnb.training.time", Clock)
        patch.setattr(borrowed.time, "monotonic", lambda: 0.0)
        patch.setattr(
            borrowed_folder, "MOST_BYTES", 1 << 30
        )  # VRN's weights with Adam's state are large
        (line,) = borrowed.run(entries, "cpu", 1e6, out, place / "second", 0.0)
    assert line["state"].startswith("cut short")
    assert (out / line["folder"] / "head" / "run.safetensors").exists()
    home, entries_here = place / "home", plan.read()
    assert borrowed_folder.collect(place / "second", entries_here, home) == []  # no rows yet
    brought = home / line["folder"] / "head" / "run.safetensors"
    assert brought.read_bytes() == (out / line["folder"] / "head" / "run.safetensors").read_bytes()
    (line,) = borrowed.run(entries, "cpu", 1e6, out, place / "third")
    assert line["state"] == "done"
    assert line["result"]["columns"] == lines[0]["result"]["columns"]  # to the last digit


def test_photos_that_take_too_long_to_read_are_no_way_past_the_end(place, monkeypatch):
    monkeypatch.setattr(plan.Experiment, "train", lambda *_: time.sleep(300))
    entries, started = borrowed.entries_for(plan.read(), ["vrn"]), time.monotonic()
    (line,) = borrowed.run(entries, "cpu", 3, place / "runs", place / "flat", started)
    assert line["state"].startswith("cut short: interrupted; what was saved")
    assert 2.5 < time.monotonic() - started < 100


@pytest.fixture
def studies(place):
    """A plan with a study that needs no run, and one that reads runs that aren't there."""
    (place / "plan.toml").write_text(PLAN + STUDY, encoding="utf-8")
    return [entry for entry in borrowed.entries_for(plan.read(), []) if entry.module]


@pytest.mark.slow
def test_the_rows_of_a_study_come_home_with_the_plans_command(place, studies):
    out, flat = place / "runs", place / "flat"
    lines = borrowed.run(studies, "cpu", 600, out, flat)
    assert [line["state"] for line in lines] == [
        "done",
        "left out: needs the runs of vrn/much",
    ]
    assert ledger.read("speed") == []  # not in the ledger of the machine that was borrowed
    (row,) = borrowed_folder.collect(flat, plan.read(), place / "home")
    assert ledger.read("speed") == [row]
    assert row.command == studies[0].command
    assert row.device.startswith("CPU")
    assert sorted(path.name for path in flat.iterdir()) == [
        "results.json",
        "rows.json",
        "summary.json",
    ]
    changed = (PLAN + STUDY).replace('"--rounds", "1"', '"--rounds", "2"')
    (place / "plan.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(CheckpointError, match="speed/some: its settings have changed"):
        borrowed_folder.collect(flat, plan.read(), place / "home")


ROW = ledger.Row(
    paper="speed",
    table="claim",
    row="a row",
    column="IoU",
    dataset="scenes",
    split="test",
    verdict="holds",
    ours=1.5,
    low=1.0,
    high=2.0,
    detectable=0.7,
    images=2,
    seeds=(0, 1),
    command="python -m cropnb.bench --device cpu",
    differences=[[1.0, 2.0], [1.0, 2.0]],
)


def done(entry, seed=0):
    """A line of a training that was made, without the making."""
    experiment = borrowed_folder.experiment_of(entry, "cpu", Path("runs"))
    run = experiment.run(entry.variants[0], seed)
    result = Result(
        **{"method": entry.method, "variant": run.variant, "dataset": "scenes", "form": "gaicd"},
        **{"profile": "smoke", "init": "random", "frozen": entry.frozen, "seed": seed},
        **{"split": "test", "photos": 2, "minutes": 1.0, "device": "GPU", "commit": "c"},
        **{"config_hash": run.config_hash, "settings": {}, "validation": []},
        columns={"SRCC": [0.5, 1.0]},
    )
    line = {"entry": entry.name, "variant": run.variant, "seed": seed, "state": "done"}
    folder = str(run.folder.relative_to("runs"))
    return {**line, "folder": folder, "result": asdict(result), "minutes": 1.0}


@pytest.fixture
def two_done(place, monkeypatch):
    """The lines of two trainings, and their weights; recording makes no rows."""
    lines = [done(entry) for entry in borrowed.entries_for(plan.read(), [])]
    for line in lines:
        path = place / "runs" / line["folder"] / "weights.safetensors"
        checkpoints.save_weights(path, {"a": torch.zeros(1)}, {"method": line["result"]["method"]})
    monkeypatch.setattr(borrowed_folder.record, "rows", lambda *_: [])
    return lines


def came_home(place):
    borrowed_folder.collect(place / "flat", plan.read(), place / "home")
    return sorted(path.parent.parent.parent.name for path in place.glob("home/*/*/*/result.json"))


@pytest.mark.parametrize("writes", range(6))
def test_a_kill_between_two_files_leaves_the_lines_before_it_whole(
    place, two_done, monkeypatch, writes
):
    flat = place / "flat"
    borrowed_folder.write(two_done[:1], place / "runs", flat)
    write, count = files.write_atomically, iter(range(100))

    def killed(path, content):
        if next(count) == writes:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomically", killed)
        patch.setattr(checkpoints, "write_atomically", killed)
        try:
            borrowed_folder.write(two_done, place / "runs", flat)
        except KeyboardInterrupt:
            assert writes < 3  # results, summary, the second one's weights
    assert came_home(place) == (["vrn"] if writes < 2 else ["gaic", "vrn"])


def test_without_its_summary_a_folder_is_not_whole(place, two_done):
    borrowed_folder.write(two_done, place / "runs", place / "flat")
    borrowed_folder.clear(place / "flat")
    assert list((place / "flat").iterdir()) == []
    borrowed_folder.write(two_done, place / "runs", place / "flat")
    (place / "flat" / "summary.json").unlink()
    with pytest.raises(CheckpointError, match=r"flat holds no whole results .*summary\.json"):
        came_home(place)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("results.json", lambda all: all[:1], "2 trainings are done and 1 have a result"),
        ("results.json", lambda all: all[::-1], "the result of vrn/much is one of GAIC"),
        ("results.json", lambda all: [{**all[0], "photos": "2"}, all[1]], "photos is '2'"),
        ("results.json", lambda all: [None, None], "NoneType"),
        ("summary.json", lambda all: [{"entry": "vrn/much"}], r"summary\.json has no state"),
        ("summary.json", lambda all: [{"state": "done", "folder": "x"}], "no entry and no variant"),
        ("summary.json", lambda all: {"state": 1}, "holds no whole results"),
        ("rows.json", lambda all: [{"rows": []}], "KeyError: 'entry'"),
    ],
)
def test_a_folder_that_does_not_belong_together_is_one_clear_line(
    place, two_done, capsys, file, change, message
):
    flat = place / "flat"
    borrowed_folder.write(two_done, place / "runs", flat)
    path = flat / file
    content = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps(change(content)))
    with pytest.raises(CheckpointError, match=message):
        came_home(place)
    assert program.main(["--collect", str(flat), "--out", str(place / "home")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {flat} holds no whole results of a borrowed GPU (")
    assert not (place / "home").exists()


SLEEPS = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; {}'])"


def test_a_study_is_ended_at_the_deadline_and_what_it_recorded_is_kept(place, studies, monkeypatch):
    run_until, started = borrowed._run_until, time.monotonic()

    def slow(deadline, command, environment):
        assert command[-2:] == ["--device", "cpu"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CROPNB_RESULTS", environment["CROPNB_RESULTS"])
            ledger.record("speed", ROW)
        # with a process of its own, which is ended too: the pipe of its errors closes
        sleeps = [sys.executable, "-c", SLEEPS.format("time.sleep(300)")]
        return run_until(deadline, sleeps, environment)

    monkeypatch.setattr(borrowed, "_run_until", slow)
    lines = borrowed.run(studies[:1], "cpu", 5, place / "runs", place / "flat", started)
    assert lines[0]["state"] == "cut short: ended at the deadline; what it recorded is kept"
    assert time.monotonic() - started < 100
    (row,) = borrowed_folder.collect(place / "flat", plan.read(), place / "home")
    assert (row.seeds, row.command) == ((0, 1), studies[0].command)
    assert ledger.differences(ledger.one("speed", row="a row")) == [[1.0, 2.0], [1.0, 2.0]]


def test_a_study_that_fails_says_why():
    command = [sys.executable, "-c", "import sys; sys.exit('error: no photos')"]
    assert borrowed._run_until(time.monotonic() + 60, command, os.environ) == "failed: no photos"
    command[-1] = "import sys; sys.exit(3)"
    assert borrowed._run_until(time.monotonic() + 60, command, os.environ).endswith("status 3")


def test_what_no_time_is_left_for_and_what_fails_is_named(place, capsys):
    entries = borrowed.entries_for(plan.read(), [])
    lines = borrowed.run(entries, "cpu", 0, place / "runs", place / "flat")
    assert [line["state"] for line in lines] == ["no time left"] * 2
    assert sorted(path.name for path in (place / "flat").iterdir()) == [
        "results.json",
        "summary.json",
    ]
    with pytest.raises(CheckpointError, match="no whole results of a borrowed GPU"):
        borrowed_folder.collect(place, entries, place / "home")
    if not os.environ.get("CUDA_VISIBLE_DEVICES") and not torch.cuda.is_available():
        assert program.main([]) == 2
        assert "no CUDA GPU here" in capsys.readouterr().err
