"""The checkpoints that come with the package: small, labelled, and as good as the ledger says."""

import importlib

import pytest

import cropnb
from cropnb import croppers, datasets, ledger, metrics, training
from cropnb.croppers import shipped

MEGABYTE = 1e6
CASES = {"gaic": ("baseline", "GAIC"), "vrn": ("Table 2", "FS + RGL")}


def test_every_method_with_weights_is_checked_here():
    assert {name for name in croppers.METHODS if shipped(name).exists()} == set(CASES)


def test_they_are_small_and_say_where_they_come_from():
    total = 0
    for name in CASES:
        size = shipped(name).stat().st_size
        total += size
        assert size < 12 * MEGABYTE
        card = training.load_weights(shipped(name), name)[1]
        assert {"dataset", "profile", "commit", "scores", "seed", "init", "photos"} <= set(card)
        assert card["dataset"] == "scenes"
    assert total < 60 * MEGABYTE


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_they_score_what_their_ledger_rows_say(name):
    """All test scenes again, with half-precision weights and folded normalisations."""
    table, row = CASES[name]
    cropper, test = cropnb.load(name), datasets.load("scenes", "test", form="gaicd").samples
    found = metrics.ranking_table([cropper.score(s.photo(), s.boxes) for s in test], [s.scores for s in test])
    for column, tolerance in (("SRCC", 0.002), ("Acc 5", 0.5), ("Acc 10", 0.5)):
        written = ledger.one(name, table=table, row=row, column=column, dataset="scenes")
        unit = 1 if column == "SRCC" else 100
        assert written.images == len(test)
        assert unit * found[column].mean().item() == pytest.approx(written.ours, abs=tolerance)
    assert cropper.method.card["method"] == name


def test_their_ledger_rows_name_a_program_that_exists():
    for name in CASES:
        for row in ledger.read(name):
            if row.command:
                assert importlib.util.find_spec(row.command.split()[2])
