"""The bench measures ratios, and says when one is above its bound."""

import functools
import importlib
import os
import statistics
import time
from pathlib import Path

import pytest

from cropnb import bench, ledger
from cropnb.croppers import bench as croppers_bench
from cropnb.mars.studies import bench as mars_bench

METHODS = Path(bench.__file__).parent


def _module(path):
    parts = path.relative_to(METHODS.parent).with_suffix("").parts
    return importlib.import_module(".".join(parts))


def test_ratios_are_first_over_second():
    ratios = bench.ratios(lambda: time.sleep(0.04), lambda: time.sleep(0.01), rounds=3)
    assert len(ratios) == 3
    assert all(1.5 < ratio < 6 for ratio in ratios)


@pytest.mark.parametrize(
    ("wanted", "ratio", "status"),
    [
        ({"at_most": 1.2}, 1.1, 0),
        ({"at_most": 1.2}, 1.3, 1),
        ({"at_least": 50}, 60, 0),
        ({"at_least": 50}, 40, 1),
    ],
)
def test_a_bound_decides_the_exit_status_and_the_row(
    wanted, ratio, status, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    trial = bench.Ratio(lambda rounds: [ratio] * rounds, "times the other", **wanted)
    monkeypatch.setattr(bench, "measured", lambda: {"trial": trial})
    assert bench.main(["--rounds", "4", "--threads", "1", "--record"]) == status
    assert ("MISSED" in capsys.readouterr().out) == bool(status)
    row = ledger.one(bench.NAME, row="trial")
    assert (row.ours, row.low, row.high) == (ratio, ratio, ratio)
    assert row.command == "python -m cropnb.bench --rounds 4 --threads 1 --record"


def test_what_the_fast_step_leaves_out_stands_in_the_rows_in_which_it_takes_part(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    rows = bench.training_speed("trial", lambda: (time.time, time.time), 4, 0, "it trains less")
    monkeypatch.setattr(bench, "measured", lambda: rows)
    assert bench.main(["--rounds", "2", "--record"]) == 0
    notes = {row.row: row.note for row in ledger.read(bench.NAME)}
    assert notes["trial, fast"].endswith("of them; it trains less")
    assert notes["trial, fast over plain"].endswith(", at least 0 is wanted; it trains less")
    assert "less" not in notes["trial, plain"]


@pytest.mark.slow
def test_each_process_has_its_own_threads_and_state():
    count = functools.partial(functools.partial, bench.torch.get_num_threads)
    with bench.workers(count, (2, 1)) as pools:
        assert [pool.submit(bench.repeat, 2).result() for pool in pools] == [[2, 2], [1, 1]]
        numbers = [pool.submit(os.getpid).result() for pool in pools]
    assert len({*numbers, os.getpid()}) == 3


@pytest.mark.slow
def test_two_processes_are_measured_at_the_same_time(monkeypatch):
    """Sleeping takes no core, so two processes do twice as much of it."""
    monkeypatch.setattr(bench, "REPEATED", 1)
    sleep = functools.partial(functools.partial, time.sleep, 0.5)
    rows = bench.parallel_speed("trial", sleep, images=4)
    threads, processes, ratio = (row.measure(3) for row in rows.values())
    assert ratio == pytest.approx([b / a for a, b in zip(threads, processes, strict=True)])
    assert 1.3 < statistics.median(ratio) < 2.7
    assert 4 < statistics.median(threads) <= 8
    assert [row.missed(0.9) for row in rows.values()] == [False, False, True]


def test_what_needs_a_gpu_waits_without_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    monkeypatch.setattr(bench.torch.cuda, "is_available", lambda: False)
    trial = bench.Ratio(lambda rounds: [2.0] * rounds, "of a step", at_most=0.1, needs_cuda=True)
    monkeypatch.setattr(bench, "measured", lambda: {"trial": trial})
    assert bench.main(["--rounds", "4", "--record"]) == 0
    assert "needs a CUDA GPU" in capsys.readouterr().out
    row = ledger.one(bench.NAME, row="trial")
    assert row.verdict == "pending"
    assert "--only 'trial'" in row.note
    # A number that another machine measured stays.
    measured = bench.Ratio(trial.measure, trial.column)
    monkeypatch.setattr(bench, "measured", lambda: {"trial": measured})
    bench.main(["--rounds", "4", "--record"])
    monkeypatch.setattr(bench, "measured", lambda: {"trial": trial})
    bench.main(["--rounds", "4", "--record"])
    assert ledger.one(bench.NAME, row="trial").ours == 2.0


@pytest.mark.slow
@pytest.mark.parametrize("name", bench.measured())
def test_each_measurement_runs(name, monkeypatch):
    # A few photos show that it runs as well as a hundred do.
    folder, shown = croppers_bench._folder, mars_bench.photos
    monkeypatch.setattr(croppers_bench, "_folder", lambda number, size: folder(4, size))
    monkeypatch.setattr(mars_bench, "photos", lambda number=2: shown(2))
    monkeypatch.setattr(mars_bench, "TRAINING_PHOTOS", 8)
    monkeypatch.setattr(bench, "REPEATED", 1)
    if bench.measured()[name].needs_cuda and not bench.torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU here")
    assert all(ratio > 0 for ratio in bench.measured()[name].measure(1))


def test_no_measurement_is_named_twice():
    paths = [*METHODS.glob("*/bench.py"), *METHODS.glob("*/studies/bench.py")]
    names = [name for path in paths for name in _module(path).MEASURED]
    assert sorted(names) == sorted(bench.measured())
