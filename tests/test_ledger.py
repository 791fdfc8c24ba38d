"""The ledger keeps its rules, and is never left half-written."""

import errno
import fcntl
import json
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import asdict as all_fields
from dataclasses import replace

import pytest

from cropnb import ledger
from cropnb.errors import LedgerError, WriteError

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


def asdict(row):
    """A row as a file holds it; differences have a file of their own."""
    return {name: value for name, value in all_fields(row).items() if name != "differences"}


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


def test_what_a_file_holds_now_is_read_even_where_size_and_time_are_the_same(tmp_path):
    ledger.record("trial", ROW)
    path = tmp_path / "trial.json"
    before = path.stat()
    ledger.read("trial").clear()  # what a caller does with its list is its own
    assert ledger.read("trial") == [ROW]
    path.write_text(path.read_text().replace('"ours": 0.5', '"ours": 0.6'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert ledger.one("trial").ours == 0.6


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
        {"verdict": "unsettled", "detectable": 0.1},  # 0.4 … 0.6 lies above zero
        {"verdict": "holds", "margin": 0.45, "detectable": 0.1},
        {"verdict": "contradicted", "margin": 0.55, "detectable": 0.1},
        {"verdict": "holds", "margin": 0.7, "detectable": 0.1},  # 0.4 … 0.6 lies below
        {"verdict": "contradicted", "margin": 0.3, "detectable": 0.1},
        {"verdict": "holds", "margin": 0.3, "below": True, "detectable": 0.1},
        {"verdict": "contradicted", "margin": 0.7, "below": True, "detectable": 0.1},
        {
            "verdict": "trivial",
            "margin": 0.3,
            "worth_having": 0.7,
            "below": True,
            "detectable": 0.1,
        },
        {"verdict": "contradicted", "detectable": 0.1},
        {"verdict": "holds", "ours": -0.5, "low": -0.6, "high": -0.4, "detectable": 0.1},
        {"verdict": "trivial", "detectable": 0.1},
        {"verdict": "trivial", "worth_having": 0.5, "detectable": 0.1},
        {"verdict": "holds", "detectable": -0.1},
        {"verdict": "holds"},  # no claim: nothing says what it could have settled
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


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"row": "ours\x1b[31m"}, "row has the control character"),
        ({"note": "two\nlines"}, "note has the control character"),
        ({"note": "\u202egnp.exe"}, "note has the control character"),
        ({"note": "\ud800"}, "note has the control character"),
        ({"note": "n" * 20_000}, "note has 20000 characters"),
        ({"ours": "0.5"}, "ours is no number"),
        ({"ours": True}, "ours is no number"),
        ({"ours": 10**400}, "ours is too large"),
        ({"images": 20.5}, "images is no whole number"),
        ({"images": -20}, "images is -20"),
        ({"minutes": -0.1}, "minutes is -0.1"),
        ({"minutes": float("inf")}, "minutes is inf"),
        ({"seeds": (0, "1")}, "seeds is no whole number"),
        ({"column": None}, "column is no text"),
        ({"high": None}, "both low and high"),
        ({"low": 0.55, "high": 0.6}, "does not hold 0.5"),
        ({"verdict": "exact", "paper_value": 0.6}, "'exact' doesn't follow"),
        ({"verdict": "contradicts", "paper_value": 0.58}, "'within' does"),
        ({"verdict": "contradicts", "paper_value": 0.5}, "'exact' does"),
        ({"verdict": "within", "paper_value": 0.5}, "'exact' does"),
    ],
)
def test_a_row_with_a_value_that_makes_no_sense_is_refused_when_written_and_when_read(
    broken, message, tmp_path
):
    with pytest.raises(LedgerError, match=message) as refused:
        ledger.record("trial", replace(ROW, **broken))
    assert "'Table 1'" in str(refused.value)
    assert str(refused.value).isprintable()
    rows = [asdict(replace(ROW, column="good")), asdict(replace(ROW, **broken))]
    (tmp_path / "trial.json").write_text(json.dumps(rows), encoding="utf-8")
    # json knows no infinity, so that one isn't told by its field
    message = "row 2.*" + message if broken.get("minutes") != float("inf") else "Infinity"
    with pytest.raises(LedgerError, match=message):
        ledger.read("trial")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"ours": NaN}]', "NaN"),
        ("[" * 100_000, "no ledger file"),
        ("[" + "9" * 5000 + "]", "no ledger file"),
        ('{"table": "Table 1"}', "holds no list"),
        ("[1]", "row 1: it is no object"),
        ('[{"table": "Table 1"}]', "row 1: missing fields: column, dataset"),
        ('[{"ours": 1, "ours": 2}]', "one field twice"),
        ('[{"truth": 1}]', "unknown fields: 'truth'"),
    ],
)
def test_a_file_that_is_no_ledger_is_named(text, message, tmp_path):
    (tmp_path / "trial.json").write_text(text)
    with pytest.raises(LedgerError, match=message):
        ledger.read("trial")


def test_a_row_that_is_there_twice_or_belongs_elsewhere_is_named(tmp_path):
    path = tmp_path / "trial.json"
    path.write_text(json.dumps([asdict(ROW), asdict(ROW)]))
    with pytest.raises(LedgerError, match=r"row 2: row \('Table 1', 'ours'.* there twice"):
        ledger.read("trial")
    path.write_text(json.dumps([asdict(replace(ROW, paper="other"))]))
    with pytest.raises(LedgerError, match=r"row 1: .* belongs to 'other'"):
        ledger.read("trial")


@pytest.mark.parametrize("name", ["../trial", "..", "a/b", "/etc/passwd", "", "a\x00b", "a..b", 7])
def test_a_name_that_is_a_path_is_refused(name):
    with pytest.raises(LedgerError, match="no name of a ledger file"):
        ledger.read(name)
    with pytest.raises(LedgerError, match="no name of a ledger file"):
        ledger.record(name, replace(ROW, paper=name))


def test_1800_rows_are_read_in_less_than_a_fifth_of_a_second():
    ledger.record("trial", [replace(ROW, column=str(number)) for number in range(1800)])
    start = time.process_time()
    assert len(ledger.read("trial")) == 1800
    assert time.process_time() - start < 0.2


def test_what_a_killed_writer_left_is_cleared_and_what_a_living_one_writes_is_not(tmp_path):
    left, alive = tmp_path / ".trial.json.abcdefgh", tmp_path / ".trial.json.ABCDEFGH"
    left.write_text("half a")
    alive.write_text("half a")
    other = tmp_path / ".another.json.abcdefgh"
    other.write_text("half a")
    with alive.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        ledger.record("trial", ROW)
    assert not left.exists()
    assert alive.exists()
    assert other.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_disk_is_one_line_and_leaves_the_old_file(code, tmp_path, monkeypatch):
    ledger.record("trial", ROW)

    def fail(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WriteError, match=os.strerror(code)) as refused:
        ledger.record("trial", replace(ROW, ours=0.55))
    assert "\n" not in str(refused.value)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["trial.json"]


def test_a_folder_below_a_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "file" / "results"))
    with pytest.raises(WriteError, match="can't be written"):
        ledger.record("trial", ROW)


@pytest.mark.parametrize(
    ("low", "high", "bounds", "expected"),
    [
        (0.1, 0.3, {}, "holds"),
        (-0.3, -0.1, {}, "contradicted"),
        (-0.1, 0.3, {}, "unsettled"),
        (0.0, 0.3, {}, "unsettled"),  # an end on the boundary doesn't pass it
        (0.1, 0.3, {"margin": 0.2}, "unsettled"),
        (0.1, 0.3, {"margin": 0.5}, "contradicted"),
        (0.1, 0.3, {"margin": 0.5, "below": True}, "holds"),
        (0.1, 0.3, {"margin": 0.3, "below": True}, "unsettled"),
        (0.1, 0.3, {"margin": 0.05, "below": True}, "contradicted"),
        (0.1, 0.3, {"worth_having": 0.5}, "trivial"),
        (0.1, 0.3, {"worth_having": 0.25}, "holds"),  # it may be worth having
        (-0.1, 0.3, {"worth_having": 0.5}, "unsettled"),  # small, perhaps, but of which sign?
    ],
)
def test_a_claim_gets_one_of_four_verdicts(low, high, bounds, expected):
    assert ledger.claim_verdict(low, high, **bounds) == expected
    middle = (low + high) / 2
    replace(
        ROW, verdict=expected, ours=middle, low=low, high=high, detectable=0.1, **bounds
    ).check()


def test_a_difference_worth_having_lies_above_the_margin():
    with pytest.raises(LedgerError, match="above the margin"):
        ledger.claim_verdict(0.1, 0.3, margin=0.2, worth_having=0.2)
    with pytest.raises(LedgerError, match="above the margin"):
        ledger.claim_verdict(0.1, 0.3, margin=0.5, worth_having=0.6, below=True)


def test_a_claim_that_stays_below_its_margin_is_recorded():
    below = replace(ROW, verdict="holds", margin=0.7, below=True, detectable=0.1)
    ledger.record(
        "trial", [below, replace(below, column="other", verdict="contradicted", margin=0.3)]
    )
    assert [row.below for row in ledger.read("trial")] == [True, True]


OPEN = replace(
    ROW,
    verdict="unsettled",
    ours=0.01,
    low=-0.03,
    high=0.05,
    images=200,
    detectable=0.03,
    detectable_seeds=0.0,
)


def test_photos_that_would_settle_it():
    assert ledger.photos_to_settle(OPEN) == 1800  # three times the difference: nine times as many
    assert ledger.verdict_text(OPEN) == "unsettled: needs about 1\N{NO-BREAK SPACE}800 photos"
    odd = replace(OPEN, images=211)
    assert ledger.verdict_text(odd).endswith("1\N{NO-BREAK SPACE}900 photos")
    few = replace(OPEN, detectable=0.0101, images=4)
    assert ledger.verdict_text(few) == "unsettled: needs about 5 photos"
    # The distance from the margin is what has to be seen.
    assert ledger.photos_to_settle(replace(OPEN, margin=-0.02)) == 200
    # What the seeds add stays, and may be too much for any number of photos.
    assert ledger.photos_to_settle(replace(OPEN, detectable_seeds=0.006)) == 2700
    for hopeless in (replace(OPEN, detectable_seeds=0.02), replace(OPEN, ours=0.0)):
        assert ledger.photos_to_settle(hopeless) is None
        assert ledger.verdict_text(hopeless).startswith("unsettled: no ")
    assert ledger.verdict_text(replace(ROW, verdict="not_comparable")) == "not comparable"
    before = replace(OPEN, seeds=(0, 1, 2), detectable_seeds=None)
    assert ledger.verdict_text(before).endswith("how much its seeds differ is not on record")
    with pytest.raises(LedgerError, match="no claim"):
        ledger.photos_to_settle(ROW)


def test_a_small_loss_reads_as_the_mirror_image_of_a_trivial_gain() -> None:
    lost = replace(OPEN, verdict="contradicted", ours=-0.02, low=-0.03, high=-0.01)
    for worth_having, text in ((0.04, ledger.LITTLE), (0.03, "contradicted"), (None, lost.verdict)):
        assert ledger.verdict_text(replace(lost, worth_having=worth_having)) == text
    assert ledger.verdict_of(replace(lost, void="beaten by the centred crop")) == ""
    # Of a boundary that isn't zero both distances are taken from it.
    bound = replace(lost, margin=10.0, ours=9.8, low=9.7, high=9.9, worth_having=10.5)
    assert ledger.verdict_text(bound) == ledger.LITTLE


_NO_NUMBERS = (
    "[[NaN]]",
    "[[1e999]]",
    "[[1" + 400 * "0" + "]]",
    '[["1"]]',
    "[[true]]",
    "[1]",
    "[[[1]]]",
    "null",
)


def test_differences_stay_beside_their_row_and_go_with_it(tmp_path):
    values = [[0.123456, -0.0, 1000.06], [2.0, 0.0, -3.0]]
    row = replace(ROW, differences=values)
    other = replace(row, column="BDE")
    ledger.record("trial", [row, other])
    (read, _) = ledger.read("trial")
    assert read == ROW
    assert read.differences is None
    assert ledger.differences(read) == [[0.1235, 0.0, 1000.0], [2.0, 0.0, -3.0]]
    assert ledger.names() == ["trial"]
    path = tmp_path / "differences" / "trial.json"
    assert len(path.read_text().splitlines()) == 4  # one line a row
    before = path.read_bytes()
    ledger.record("trial", replace(ROW, note="rows that are edited keep them"))
    assert path.read_bytes() == before
    ledger.record("trial", replace(ROW, ours=0.45))
    assert ledger.differences(ledger.one("trial", column="IoU")) is None
    assert ledger.differences(other) is not None
    assert ledger.differences(replace(other, ours=0.41)) is None  # another run's
    for damaged in ("{}", *(f'{{"ours": 1, "values": {values}}}' for values in _NO_NUMBERS)):
        path.write_text(f'{{"a": {damaged}}}')
        with pytest.raises(LedgerError, match=r"trial\.json is no file of differences"):
            ledger.differences(other)


def test_a_full_disk_changes_neither_rows_nor_differences(tmp_path, monkeypatch):
    row = replace(ROW, differences=[[0.4, 0.6]])
    ledger.record("trial", row)
    paths = [tmp_path / "trial.json", tmp_path / "differences" / "trial.json"]
    before = [path.read_bytes() for path in paths]
    calls = []

    def full_at_the_second(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_at_the_second)
    with pytest.raises(WriteError, match="No space"):
        ledger.record("trial", replace(row, ours=0.5, differences=[[0.3, 0.7]]))
    assert [path.read_bytes() for path in paths] == before
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["trial.json"] * 2


def test_kinds_of_datasets_are_told_apart():
    kinds = {
        "scenes": "scenes",
        "taught": "taught",
        "scenes+taught": "scenes+taught",
        "gaicd": "photographs",
        "gaicd_v2_layouts": "layouts",
        "scenes+gaicd": "scenes+photographs",
    }
    assert {name: ledger.kind(name) for name in kinds} == kinds
