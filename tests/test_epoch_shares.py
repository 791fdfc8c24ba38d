"""Where an epoch's time goes: stacks of calls are put where they belong, and shares add up."""

import time

import pytest

from cropnb import epoch_shares, ledger
from cropnb.epoch_shares import (
    BACKWARD,
    COMPUTED,
    FORWARD,
    KEPT,
    OPTIMISER,
    PARTS,
    PIXELS,
    REST,
    VALIDATING,
    Trial,
    Watch,
    part_of_epoch,
)

TRAINING = [("/x/cropnb/training.py", "train")]
LOSS = [("/x/cropnb/epoch_shares.py", "_losing"), *TRAINING]
MAPS = ("/x/cropnb/runs/features.py", "__call__")


@pytest.mark.parametrize(
    ("calls", "part"),
    [
        ([("/x/anything.py", "at_all")], None),
        (TRAINING, REST),
        ([("/x/torch/_tensor.py", "backward"), *TRAINING], BACKWARD),
        ([("/x/torch/optim/adam.py", "step"), *TRAINING], OPTIMISER),
        ([("/x/torch/nn/utils/clip_grad.py", "clip_grad_norm_"), *TRAINING], OPTIMISER),
        ([MAPS, ("/x/cropnb/epoch_shares.py", "_validating"), *TRAINING], VALIDATING),
        ([("/x/torch/nn/modules/conv.py", "forward"), *LOSS], FORWARD),
        ([MAPS, *LOSS], KEPT),
        ([("/x/cropnb/gaic/views.py", "photo"), *LOSS], PIXELS),
        ([("/x/cropnb/gaic/views.py", "mos"), *LOSS], FORWARD),
        ([MAPS, ("/x/cropnb/asm_net/model.py", "images"), *LOSS], PIXELS),  # photos as bytes
        ([("/x/PIL/Image.py", "resize"), ("/x/cropnb/runs/features.py", "_compute")], COMPUTED),
    ],
)
def test_a_stack_of_calls_belongs_to_one_part(calls, part):
    assert part_of_epoch(calls) == part


def test_a_watch_counts_what_its_thread_does():
    def first():
        time.sleep(0.4)

    def second():
        time.sleep(0.1)

    names = ("first", "second")
    watch = Watch(lambda calls: next((name for _, name in calls if name in names), None))
    watch.start()
    first()
    second()
    counts = watch.stop()
    assert counts["first"] > counts["second"] > 0


@pytest.mark.slow
def test_a_training_is_watched_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    monkeypatch.setattr(epoch_shares, "PHOTOS", 8)
    trial = Trial("layout", "smoke", "a method without a backbone")
    monkeypatch.setattr(epoch_shares, "TRIALS", (trial,))
    assert epoch_shares.main(["--device", "cpu", "--record"]) == 0
    rows = ledger.find("speed", row=trial.row)
    assert {row.column for row in rows} == {*PARTS, COMPUTED}
    assert sum(row.ours for row in rows if row.column != COMPUTED) == pytest.approx(100, abs=0.1)
    assert {row.ours for row in rows if row.column == COMPUTED} == {0}


def test_the_trials_are_methods_with_such_profiles():
    for trial in epoch_shares.TRIALS:
        experiment = epoch_shares._experiment(trial, "cpu")
        assert experiment.profile.train_photos == epoch_shares.PHOTOS
        validating, computing = epoch_shares._scales(trial)
        assert validating > 0
        assert computing > 0
