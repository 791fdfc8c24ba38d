"""Rows from measurements: interval, verdict and the printed number beside them."""

import numpy as np
import pytest

from cropnb import ledger, paper
from cropnb.runs import plan, waiting
from cropnb.runs.claims import bounds, claim, difference_of
from cropnb.runs.context import Context
from cropnb.runs.rows import difference, measured, printed_value

TABLE = paper.read("vrn").tables["Table 2"]
PRINTED = TABLE.value("FS", "Acc 1/5")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))


def hits(share, photos=200):
    return [100.0 * (index < share * photos) for index in range(photos)]


def test_a_number_on_the_papers_dataset_is_compared_with_print():
    near = measured(Context("vrn", "gaicd", ["--record"]), "Table 2", "FS", "Acc 1/5", hits(0.60))
    assert (near.paper_value, near.verdict, near.ours, near.images) == (
        PRINTED,
        "within",
        60.0,
        200,
    )
    assert near.command == "python -m cropnb.vrn --record"
    far = measured(Context("vrn", "gaicd", []), "Table 2", "FS", "Acc 1/5", hits(0.2))
    assert far.verdict == "contradicts"
    near.check(), far.check()


def test_a_number_on_scenes_is_not():
    row = measured(Context("vrn", "scenes", []), "Table 2", "FS", "Acc 1/5", [hits(0.6), hits(0.7)])
    assert (row.paper_value, row.verdict, row.images) == (None, "measured", 200)
    assert row.low < row.ours == 65.0 < row.high


def test_photos_that_are_gone_widen_the_interval():
    context = Context("vrn", "gaicd", [])
    whole = measured(context, "Table 2", "FS", "Acc 1/5", hits(0.6))
    part = measured(context, "Table 2", "FS", "Acc 1/5", hits(0.6), listed=400)
    assert part.low < whole.low < whole.ours == part.ours < whole.high < part.high


def test_a_difference_has_the_interval_of_a_claim():
    context = Context("asm_net", "scenes", [], seeds=(0, 1, 2))
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 3, 50)).tolist()
    row = difference(context, "Figure 5", "λ=0.1 less λ=0", "Accuracy", first, second)
    verdict = claim(context, "λ = 0.1 beats no saliency", "Accuracy", first, second)
    assert (row.ours, row.low, row.high) == (verdict.ours, verdict.low, verdict.high)
    assert (row.images, row.verdict) == (50, "measured")


def test_a_method_without_a_paper_has_no_printed_numbers():
    assert printed_value("gaic", "gaicd", "Table 2", "GAIC", "SRCC") is None
    assert printed_value("vrn", "gaicd", "Table 2", "FS", "SRCC") is None
    assert printed_value("vrn", "gaicd", "Table 2", "no such row", "Acc 1/5") is None


def test_a_claim_holds_only_with_its_whole_interval():
    context = Context("vrn", "scenes", [], seeds=(0, 1))
    better, worse = [hits(0.8), hits(0.8)], [hits(0.5), hits(0.5)]
    assert claim(context, "a", "Acc 1/5", better, worse).verdict == "holds"
    assert claim(context, "a", "Acc 1/5", worse, better).verdict == "contradicted"
    lower = claim(context, "a", "BDE", worse, better, higher_is_better=False)
    assert (lower.verdict, lower.ours) == ("holds", 30.0)
    open_case = claim(context, "a", "Acc 1/5", [hits(0.505)] * 2, [hits(0.5)] * 2)
    assert open_case.verdict == "unsettled"
    assert ledger.photos_to_settle(open_case) > 200
    above = claim(context, "a", "Acc 1/5", better, worse, margin=40)
    assert (above.verdict, above.margin) == ("contradicted", 40)
    small = claim(context, "a", "Acc 1/5", better, worse, worth_having=50)
    assert (small.verdict, small.worth_having) == ("trivial", 50)
    within = claim(context, "a", "Acc 1/5", better, worse, margin=40, below=True)
    assert (within.verdict, within.below) == ("holds", True)
    beyond = claim(context, "a", "Acc 1/5", better, worse, margin=20, below=True)
    assert beyond.verdict == "contradicted"
    for row in (lower, open_case, above, small, within, beyond):
        row.check()


def test_a_claim_carries_its_differences():
    context = Context("vrn", "scenes", [], seeds=(0, 1))
    better, worse = [[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]], [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    row = claim(context, "a", "Acc 1/5", better, worse)
    ledger.record("vrn", row)
    assert ledger.differences(row) == [[1.0, 1.0, 3.0], [0.0, 1.0, 0.0]]
    assert np.mean(ledger.differences(row)) == row.ours == 1.0
    assert (row.images, row.seeds) == (3, (0, 1))
    less = claim(context, "b", "BDE", better, worse, higher_is_better=False)
    assert difference_of("a", "b") == "a less b"
    assert difference_of("a", "b", higher_is_better=False) == "b less a"
    assert np.mean(less.differences) == less.ours == -1.0


def test_the_bounds_of_a_claim_are_one_number_or_one_a_column():
    assert bounds({}, "IoU") == {"margin": 0.0, "worth_having": None}
    entry = {"margin": 10.0, "worth_having": {"IoU": 0.01}}
    assert bounds(entry, "IoU") == {"margin": 10.0, "worth_having": 0.01}
    assert bounds(entry, "BDE") == {"margin": 10.0, "worth_having": None}


def test_pending_rows_are_what_was_not_measured():
    rows = waiting.pending("vrn")
    (entry,) = (one for one in plan.read() if one.paper == "vrn" and one.tables)
    assert all(entry.command in row.note and "gaicd" in row.note for row in rows)
    assert len(rows) == sum(
        len(table.own) * len(table.columns) for table in paper.read("vrn").tables.values()
    )
    context = Context("vrn", "gaicd", [], profile="full")
    ledger.record("vrn", measured(context, "Table 2", "FS", "Acc 1/5", hits(0.6)))
    left = waiting.pending("vrn")
    assert ("FS", "Acc 1/5") not in {(row.row, row.column) for row in left}
    assert ("FS", "Acc 5") in {(row.row, row.column) for row in left}


def test_rounding_leaves_no_negative_zero():
    row = claim(Context("vrn", "scenes", []), "none", "SRCC", [0.5, 0.5], [0.50001, 0.5])
    assert str(row.ours) == "0.0"


def test_two_profiles_of_a_row_stand_beside_each_other():
    for profile in ("cpu", "full"):
        context = Context("vrn", "scenes", [], profile=profile)
        ledger.record("vrn", measured(context, "Table 2", "FS", "Acc 1/5", hits(0.6)))
    assert {row.profile for row in ledger.find("vrn", row="FS")} == {"cpu", "full"}
