"""The ledger keeps its rules, and is never left half-written."""

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from cropnb import ledger
from cropnb.errors import LedgerError

ROW = ledger.Row(
    paper="trial",
    table="Table 1",
    row="ours",
    column="IoU",
    dataset="scenes",
    split="test",
    verdict="measured",
    ours=0.5,
    low=0.4,
    high=0.6,
    images=20,
    command="python -m trial",
    seeds=(0, 1),
)


@pytest.fixture(autouse=True)
def _own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))


def test_a_row_comes_back_as_it_was_written():
    ledger.record("trial", ROW)
    assert ledger.read("trial") == [ROW]
    assert ledger.one("trial", column="IoU") == ROW
    assert ledger.names() == ["trial"]


def test_recording_again_replaces_the_row_and_keeps_the_others():
    other = replace(ROW, column="BDE")
    ledger.record("trial", [ROW, other])
    ledger.record("trial", replace(ROW, ours=0.55))
    assert ledger.read("trial") == [replace(ROW, ours=0.55), other]


def test_scenes_and_photographs_are_different_rows():
    ledger.record("trial", [ROW, replace(ROW, dataset="gaicd")])
    assert len(ledger.read("trial")) == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"verdict": "good"},
        {"verdict": "measured", "ours": None},
        {"verdict": "measured", "command": ""},
        {"verdict": "measured", "images": None},
        {"verdict": "pending", "ours": None},
        {"verdict": "pending", "note": "photos are missing"},
        {"verdict": "exact"},
        {"ours": float("nan")},
        {"ours": 0.7},
        {"verdict": "within", "paper_value": 0.9},
        {"paper": "another"},
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_and_nothing_is_written(broken, tmp_path):
    with pytest.raises(LedgerError):
        ledger.record("trial", [replace(ROW, column="good"), replace(ROW, **broken)])
    assert list(tmp_path.iterdir()) == []


def test_one_wants_exactly_one():
    ledger.record("trial", [ROW, replace(ROW, column="BDE")])
    for wanted in ({"table": "Table 1"}, {"column": "none"}):
        with pytest.raises(LedgerError, match="one was asked for"):
            ledger.one("trial", **wanted)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"unknown": 1}]', '[{"paper": "x"}]', "\xff"])
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "trial.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(LedgerError, match=r"trial\.json"):
        ledger.read("trial")


@pytest.mark.parametrize(
    ("printed", "ours", "low", "high", "expected"),
    [
        (24.5, 24.5, 20.0, 30.0, "exact"),
        (24.5, 24.54, 20.0, 30.0, "exact"),
        (24.5, 24.56, 20.0, 30.0, "within"),
        (24.5, 26.0, 25.0, 30.0, "contradicts"),
        (41.0, 40.0, 38.0, 40.96, "within"),  # 40.96 prints as 41.0
    ],
)
def test_verdicts_follow_the_printed_digits(printed, ours, low, high, expected):
    assert ledger.verdict(printed, ours, low, high) == expected


def _record_many(name, start):
    for number in range(10):
        ledger.record(name, replace(ROW, column=f"{start + number}"))


def test_two_runs_at_once_lose_no_row():
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_record_many, args=("trial", start)) for start in (0, 100)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(ledger.read("trial")) == 20


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    ledger.record("trial", ROW)
    before = (tmp_path / "trial.json").read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        ledger.record("trial", replace(ROW, ours=0.41))
    assert (tmp_path / "trial.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["trial.json"]


def test_a_kill_in_the_middle_leaves_a_whole_file(tmp_path):
    program = (
        "import itertools\nfrom dataclasses import replace\nfrom tests.test_ledger import ROW, "
        "ledger\n"
        "for n in itertools.count():\n"
        "    ledger.record('trial', [replace(ROW, column=str(c), ours=0.4 + n % 10 / 100) for c "
        "in range(300)])\n"
        "    print(n, flush=True)\n"
    )
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.stdout.readline()
            process.kill()
        rows = json.loads((tmp_path / "trial.json").read_text())
        assert len(rows) == 300
        assert len({row["ours"] for row in rows}) == 1


def test_the_books_own_ledger_keeps_every_rule(monkeypatch):
    monkeypatch.delenv("CROPNB_RESULTS")
    names = ledger.names()
    assert names
    for name in names:
        rows = ledger.read(name)
        assert len({row.key for row in rows}) == len(rows)
        for row in rows:
            assert row.paper == name
            row.check()
