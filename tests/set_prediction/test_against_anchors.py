"""Sets beside anchors that were trained alike: the order of the anchors, the rows, the claim."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cropnb import candidates, datasets, ledger
from cropnb.boxes import pairwise_iou
from cropnb.datasets.scenes import off_grid
from cropnb.errors import CheckpointError, CropnbError
from cropnb.gaic.recipe import METHOD as GAIC
from cropnb.runs import Experiment
from cropnb.set_prediction.cropper import CropPredictions
from cropnb.set_prediction.recipe import METHOD
from cropnb.set_prediction.studies import against_anchors
from cropnb.set_prediction.studies.tables import THRESHOLDS

SMALL = {"train_photos": 8, "validation_photos": 2, "test_photos": 3}
SIZES = {"channels": 16, "heads": 2, "decoder_layers": 2, "hidden": 16}


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished run of each method."""
    profiles = {
        GAIC: replace(GAIC.profiles["smoke"], **SMALL, head_epochs=1),
        METHOD: replace(
            METHOD.profiles["smoke"], **SMALL, epochs=1, milestone=1, test_side=64, sizes=SIZES
        ),
    }
    for method, profile in profiles.items():
        monkeypatch.setitem(method.profiles, "smoke", profile)
        run = Experiment(method, init="random", out=tmp_path, progress=False)
        run.train(method.main, 0)
    return tmp_path


def test_anchors_and_sets_are_measured_alike(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(trained / "results"))
    command = ["--init", "random", "--out", str(trained), "--device", "cpu", "--record"]
    assert against_anchors.main(command) == 0
    rows = ledger.read("set_prediction")
    measured = {(row.row, row.column) for row in rows if row.table == against_anchors.TABLE}
    names = (against_anchors.SETS, against_anchors.ANCHORS)
    columns = (*METHOD.columns, "different first crops, seed 0")
    near = {
        (against_anchors.NEAREST, f"ε = {eps:.2f}, {against_anchors.NEAR}") for eps in THRESHOLDS
    }
    assert measured == {(name, column) for name in names for column in columns} | near
    places = against_anchors.places(command)
    assert measured == {(place.row, column) for place in places for column in place.columns}
    # In GAICD's form every good crop is an anchor.
    for name, column in near:
        place = {"table": against_anchors.TABLE, "row": name, "column": column}
        assert ledger.one("set_prediction", **place).ours == 100
    claims = [row for row in rows if row.row == "sets beat anchors"]
    assert len(claims) == len(METHOD.columns)
    for row in claims:
        sets, anchors = (
            ledger.one("set_prediction", table=against_anchors.TABLE, row=name, column=row.column)
            for name in names
        )
        assert row.ours == pytest.approx(sets.ours - anchors.ours, abs=1e-3)
        assert row.worth_having == 1.0
    assert "sets beat anchors" in capsys.readouterr().out
    # The same networks against truths off the grid, in a table of their own.
    assert against_anchors.main([*command, "--truths", "off-grid"]) == 0
    table = f"{against_anchors.TABLE}, truths off the grid"
    reached = ledger.find("set_prediction", table=table, row=against_anchors.NEAREST)
    assert len(reached) == len(THRESHOLDS)
    assert {one.table for one in against_anchors.places(["--truths", "off-grid"])} == {table}
    assert all(row.ours < 100 for row in reached)
    off = ledger.find("set_prediction", row="sets beat anchors, truths off the grid")
    assert len(off) == len(claims)
    on_grid = ledger.find("set_prediction", row="sets beat anchors")
    assert {row.key: row.ours for row in on_grid} == {row.key: row.ours for row in claims}


def test_windows_off_the_grid_are_rated_by_the_people_of_the_scene() -> None:
    usual, free = datasets.load("scenes", "test", size=4), off_grid.load("test", 4)
    assert [sample.name for sample in free] == [sample.name for sample in usual]
    for sample, scene in zip(free, usual, strict=True):
        assert sample.boxes.shape == (off_grid.WINDOWS, 4)
        assert sample.scores.shape == (off_grid.WINDOWS,)
        assert sample.raters.shape == (7, off_grid.WINDOWS)
        nearest = pairwise_iou(sample.boxes, scene.boxes).amax(1)  # (90,)
        assert (nearest < 0.85).any(), "all windows lie on the grid"
    assert torch.equal(off_grid.load("test", 4)[3].scores, free[3].scores)
    with pytest.raises(CropnbError, match="size is 0"):
        off_grid.load("test", 0)


def test_only_scenes_of_gaicds_form_have_truths_off_the_grid(tmp_path: Path) -> None:
    sets = Experiment(METHOD, form="cpc", out=tmp_path, progress=False)
    with pytest.raises(CropnbError, match="only scenes in GAICD's form"):
        against_anchors.off_grid_photos(sets)


def test_in_cpcs_form_gaic_learns_from_its_windows_and_ranks_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = replace(GAIC.profiles["smoke"], **SMALL, head_epochs=1)
    monkeypatch.setitem(GAIC.profiles, "smoke", profile)
    run = Experiment(GAIC, form="cpc", init="random", out=tmp_path, progress=False)
    run.train(GAIC.main, 0)
    assert {place.table for place in GAIC.places(run, GAIC.main)} == {"baseline, cpc"}
    sample = run.parts["test"][0]
    assert len(sample.boxes) == 24
    (answer,) = against_anchors.anchors(run, 0, [sample.name])
    anchors = candidates.grid_anchors(*sample.size) / torch.tensor([*sample.size] * 2)
    assert len(answer.xyxy) == 40
    assert (pairwise_iou(answer.xyxy, anchors).amax(1) > 0.999).all()
    assert (answer.validity.diff() <= 0).all()


def test_the_best_scored_anchor_comes_first(trained: Path) -> None:
    run = Experiment(GAIC, init="random", out=trained, progress=False)
    names = [sample.name for sample in run.parts["test"].samples]
    predictions = against_anchors.anchors(run, 0, names[:2])
    assert len(predictions) == 2
    model, photos = run.trained("GAIC", 0), run.photos("test")
    with torch.inference_mode():
        scores = model.view_scores(model.features(photos.photo(0)), [photos.boxes(0)])
    best = run.parts["test"][0].boxes[int(scores.argmax())]
    assert torch.allclose(
        predictions[0].xyxy[0] * torch.tensor([*run.parts["test"][0].size] * 2),
        best.float(),
        atol=1e-2,
    )
    assert (predictions[0].validity.diff() <= 0).all()
    assert len(predictions[0].xyxy) == 40
    with pytest.raises(CropnbError, match="other photos"):
        against_anchors.anchors(run, 0, names[::-1])


def test_a_run_that_is_not_finished_is_named(tmp_path: Path) -> None:
    run = Experiment(GAIC, init="random", out=tmp_path, progress=False)
    with pytest.raises(CheckpointError, match="weights"):
        against_anchors.anchors(run, 0, ["a"])


def test_one_crop_for_all_photos_is_counted_as_one() -> None:
    same = CropPredictions(torch.tensor([[0.1, 0.1, 0.9, 0.9]]), torch.ones(1))
    other = CropPredictions(torch.tensor([[0.2, 0.1, 0.9, 0.9]]), torch.ones(1))
    nearly = CropPredictions(same.xyxy + 1e-5, torch.ones(1))
    assert against_anchors.first_crops([same, same, nearly]) == 1
    assert against_anchors.first_crops([same, other, same]) == 2
