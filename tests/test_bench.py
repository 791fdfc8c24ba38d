"""The bench measures ratios, and says when one is above its bound."""

import time

import pytest

from cropnb import bench, ledger


def test_ratios_are_first_over_second():
    found = bench.ratios(lambda: time.sleep(0.04), lambda: time.sleep(0.01), rounds=3)
    assert len(found) == 3
    assert all(1.5 < ratio < 6 for ratio in found)


@pytest.mark.parametrize(("ratio", "status"), [(1.1, 0), (1.3, 1)])
def test_a_bound_decides_the_exit_status_and_the_row(ratio, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    monkeypatch.setattr(bench, "MEASURED", {"trial": (lambda rounds: [ratio] * rounds, "the other", 1.2)})
    assert bench.main(["--rounds", "4", "--threads", "1", "--record"]) == status
    assert ("TOO SLOW" in capsys.readouterr().out) == bool(status)
    row = ledger.one(bench.NAME, row="trial")
    assert (row.ours, row.low, row.high) == (ratio, ratio, ratio)
    assert row.command == "python -m cropnb.bench --rounds 4 --threads 1 --record"


@pytest.mark.parametrize("measure", [bench.vrn_against_classification, bench.shared_points_against_dense])
def test_each_measurement_runs(measure):
    assert all(ratio > 0 for ratio in measure(1))
