"""A single anchor that regresses a photo's best crop, and hard labels that train longer."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cropnb import ledger
from cropnb.runs import Experiment, plan, power, results
from cropnb.set_prediction.cropper import CropPredictions
from cropnb.set_prediction.recipe import METHOD
from cropnb.set_prediction.studies import one_crop

TINY = replace(
    METHOD.profiles["smoke"],
    train_photos=6,
    validation_photos=2,
    test_photos=3,
    epochs=2,
    milestone=1,
    distil_after=1,
    longer=1,
    batch_size=2,
    test_side=64,
    sizes={"channels": 16, "heads": 2, "decoder_layers": 2, "hidden": 16},
)


def test_hard_labels_train_as_long_as_distillation_and_twice_as_long() -> None:
    profile, variants = METHOD.profiles["cpu"], METHOD.variants
    hard, distilled = (profile.schedule(variants[name]) for name in ("w/o smoothing", "SD"))
    assert profile.schedule(variants["w/o smoothing, as long as SD"]) == distilled
    twice = profile.schedule(variants["w/o smoothing, twice as long"])
    assert twice == tuple(2 * epochs for epochs in hard)
    assert twice[0] > distilled[0] > hard[0]
    for name in ("w/o smoothing, as long as SD", "w/o smoothing, twice as long"):
        assert variants[name].teacher is None
        assert variants[name].smoothing.mu == 0
    # What the paper's rows are, does not change by the rows beside them.
    assert "one crop" not in METHOD.groups["all"]
    identity = Experiment(METHOD, out=None).run("SD", 0).identity
    assert set(identity["variant"]) == {"smoothing", "teacher", "at_least"}


def test_one_crop_is_trained_on_the_best_and_compared_with_the_first_of_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    trained = Experiment(METHOD, init="random", out=tmp_path, progress=False)
    photos = METHOD.photos(trained, "train", "one crop")
    labels = photos.labels([0, 1], [False, True], best_only=True)
    assert [crops.shape for crops in labels.crops] == [(1, 4), (1, 4)]
    x, _, width, _ = labels.crops[0][0].tolist()
    assert [x - width / 2, x + width / 2] == pytest.approx(photos.best(0)[[0, 2]].tolist())
    model = trained.train("one crop", 0)[0]
    assert model.anchors.shape[0] == 1
    trained.train("w/o smoothing", 0)
    command = ["--init", "random", "--out", str(tmp_path), "--device", "cpu", "--record"]
    assert one_crop.main(command) == 0
    rows = {(row.row, row.column): row for row in ledger.read("set_prediction")}
    assert {row.table for row in rows.values()} == {one_crop.TABLE}
    places = one_crop.places(command)
    assert set(rows) == {(place.row, column) for place in places for column in place.columns}
    assert {place.table for place in places} == {one_crop.TABLE}
    assert (one_crop.ONE, one_crop.APART) not in rows  # a lone crop has no other to differ from
    shares = [f"a set's first {count} crops" for count in (5, 10)]
    five, ten = (rows[name, one_crop.REACHED].ours for name in shares)
    assert rows["a set's first crop", one_crop.REACHED].ours <= five <= ten
    assert 0 < rows[one_crop.ORACLE, one_crop.REACHED].ours <= 100
    assert rows[one_crop.ONE, one_crop.REACHED].seeds == (0,)
    assert rows[one_crop.BLIND, one_crop.REACHED].seeds == ()
    assert one_crop.TABLE in capsys.readouterr().out
    # A result from before a column was there gets it from the predictions that the run kept.
    folder = trained.run("one crop", 0).folder
    whole = results.read(folder)
    older = {name: of for name, of in whole.columns.items() if not name.endswith("ACC 1/1")}
    assert len(older) == len(whole.columns) - 2
    replace(whole, columns=older).write(folder)
    assert trained.finished("one crop", 0).columns == whole.columns


def test_what_a_crop_reaches_by_hand() -> None:
    class Test:
        truths = [
            torch.tensor([[0.0, 0, 1, 1], [0, 0, 0.95, 1], [0, 0, 0.3, 1], [0, 0, 0.9, 1]]),
            torch.tensor([[0.1, 0.1, 0.9, 0.9]]),
        ]

    (first, second) = one_crop.best_single(Test)
    assert first.xyxy.tolist() == [[0, 0, 1, 1]]  # near itself and two others; ties: the first
    assert one_crop.reached([first, second], Test) == [75, 100]
    far = CropPredictions(torch.tensor([[0.0, 0, 0.1, 0.1]]), torch.ones(1))
    assert one_crop.reached([far, far], Test) == [0, 0]
    (run,) = one_crop.first([[CropPredictions(torch.rand(5, 4), torch.rand(5))]], 2)
    assert run[0].xyxy.shape == (2, 4)


@pytest.mark.parametrize(
    ("entry", "claims"),
    [
        ("set_prediction/one-crop", {"one best crop is ambiguous", "several crops find the best"}),
        ("set_prediction/longer", {"distillation beats training as long", "distillation helps"}),
        ("set_prediction/v2-mu", {"guidance helps", "too much smoothing harms"}),
    ],
)
def test_each_claim_has_a_card(entry: str, claims: set[str]) -> None:
    (chosen,) = plan.select(plan.read(), [entry])
    names = {card.claim for card in power.cards(chosen)}
    assert all(any(name.startswith(claim) for name in names) for claim in claims)
