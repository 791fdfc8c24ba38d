"""The weights that come with the method, and the record of how their anchors moved."""

import pytest
import torch

import cropnb
from cropnb import checkpoints, croppers, datasets
from cropnb.set_prediction import CropPhotos, SetPredictionCropper, predict, to_xyxy
from cropnb.set_prediction.studies import anchors

MOVED = anchors.read()


@pytest.fixture(scope="module")
def model() -> SetPredictionCropper:
    light = SetPredictionCropper.light(None)
    croppers.load_trained("set_prediction", light)
    return light.eval()


def test_the_record_ends_where_the_weights_are(model):
    assert torch.tensor(MOVED["starts"][-1]) == pytest.approx(
        to_xyxy(model.starts().sigmoid()).detach(), abs=2e-3
    )
    photos = CropPhotos(
        datasets.load(MOVED["dataset"], MOVED["split"], form=MOVED["form"], size=MOVED["photo"] + 1)
    )
    with torch.inference_mode():
        seen = model(photos.photo(MOVED["photo"]))
    assert torch.tensor(MOVED["crops"][-1]) == pytest.approx(seen.xyxy[0], abs=0.01)
    assert torch.tensor(MOVED["validities"][-1]) == pytest.approx(seen.validity[0], abs=0.04)


def test_the_record_is_of_several_epochs_and_anchors_move():
    epochs, starts = MOVED["epochs"], torch.tensor(MOVED["starts"])
    assert epochs == sorted(set(epochs))
    assert epochs[0] == 0
    assert starts.shape == (len(epochs), 90, 4)
    assert (starts[-1] - starts[0]).abs().max() > 0.005
    card = checkpoints.load_weights(croppers.shipped("set_prediction", "scenes"))[1]
    assert (MOVED["variant"], MOVED["seed"]) == (card["variant"], card["seed"])


def test_the_record_in_pixels():
    moments = anchors.moments(MOVED, (300, 200))
    assert next(iter(moments)) == "before training"
    assert list(moments)[-1] == f"after epoch {MOVED['epochs'][-1]}"
    boxes, validities = moments["before training"]
    assert boxes.shape == (90, 4)
    assert validities == MOVED["validities"][0]
    assert boxes[0] == pytest.approx(
        torch.tensor(MOVED["crops"][0][0]) * torch.tensor([300, 200, 300, 200]), abs=1e-3
    )
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.amax(0).tolist() <= [300, 200, 300, 200]


def test_it_crops_by_name():
    photo = datasets.load("scenes", "test", form="gaicd", size=1)[0].photo()
    crops = cropnb.load("set_prediction", weights="scenes")(photo, k=3)
    assert len(crops) == 3
    assert 0 < crops[-1].score <= crops[0].score < 1
    assert len({crop.pixels for crop in crops}) == 3


def test_the_light_network_stays_light(model):
    assert sum(parameter.numel() for parameter in model.parameters()) <= 6_000_000


def test_it_looks_at_the_photo(model):
    photos = CropPhotos(datasets.load("scenes", "test", form="gaicd", size=2))
    first, second = predict(model, photos)
    assert (first.xyxy[0] - second.xyxy[0]).abs().max() > 0.02
