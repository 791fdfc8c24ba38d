"""The model's shapes and sizes, its photos and labels, and what it refuses."""

import pytest
import torch
from torch import nn

from cropnb import datasets
from cropnb.datasets.base import CropDataset
from cropnb.errors import BoxError, CropnbError, ImageError
from cropnb.set_prediction import SetPredictionCropper, to_cxcywh, to_xyxy
from cropnb.set_prediction.labels import (
    CropPhotos,
    change_colours,
    good_crops,
    resize_to,
)
from cropnb.set_prediction.model import PRIOR, pad

TINY = {
    "channels": 16,
    "heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "hidden": 16,
    "anchors": 12,
}


@pytest.fixture(scope="module")
def tiny() -> SetPredictionCropper:
    torch.manual_seed(0)
    return SetPredictionCropper.light(None, **TINY).eval()


@torch.no_grad()
def test_shapes_and_ranges(tiny):
    predictions = tiny(torch.rand(2, 3, 70, 100))
    assert predictions.logits.shape == (2, 2, 12)
    assert predictions.boxes.shape == (2, 2, 12, 4)
    assert predictions.xyxy.shape == (2, 12, 4)
    assert ((predictions.xyxy >= 0) & (predictions.xyxy <= 1)).all()
    assert (predictions.validity < 0.5).all()
    assert tiny.features(torch.rand(1, 3, 70, 100)).shape[-2:] == (3, 4)


def test_the_light_model_has_at_most_six_million_parameters():
    model = SetPredictionCropper.light(None)
    assert sum(parameter.numel() for parameter in model.parameters()) < 6e6
    assert len(model.anchors) == 90


def test_the_papers_model():
    model = SetPredictionCropper(weights=None, dilated=True)
    assert (len(model.encoder), len(model.decoder), model.anchors.shape) == (6, 6, (90, 256))
    assert not any(isinstance(module, nn.Transformer) for module in model.modules())
    assert model.anchor_boxes is None
    with torch.no_grad():
        predictions = model.eval()(torch.rand(1, 3, 64, 96))
        assert model.features(torch.rand(1, 3, 64, 96)).shape == (1, 2048, 4, 6)
    assert predictions.boxes.shape == (6, 1, 90, 4)
    # Before training every anchor is as unlikely as the focal loss wants.
    assert predictions.validity.mean().item() == pytest.approx(PRIOR, abs=0.02)


@torch.no_grad()
def test_dilation_keeps_the_weights_and_sees_the_same():
    from torchvision.models import resnet50

    torch.manual_seed(0)
    theirs = resnet50(weights=None, replace_stride_with_dilation=[False, False, True]).eval()
    ours = SetPredictionCropper(weights=None, dilated=True, **TINY).eval()
    from cropnb.backbones.weights import _torchvision_names

    state = theirs.state_dict()
    ours.backbone.load_state_dict(
        {n: state[o] for o, n in _torchvision_names("resnet50", state)}, strict=False
    )
    photo = torch.rand(1, 3, 64, 96)
    stem = nn.Sequential(theirs.conv1, theirs.bn1, theirs.relu, theirs.maxpool)
    x = stem((photo - ours.backbone.mean) / ours.backbone.deviation)
    for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        x = stage(x)
    torch.testing.assert_close(ours.features(photo), x)


@torch.no_grad()
def test_anchor_boxes_start_where_good_crops_lie(tiny):
    torch.manual_seed(1)
    model = SetPredictionCropper.light(None, **TINY)
    crops = torch.cat(
        [torch.tensor([0.45, 0.55, 0.8, 0.7]) + 0.02 * torch.randn(60, 4), torch.full((40, 4), 0.6)]
    )
    boxes = model.start_from(crops, good=3).eval()(torch.rand(1, 3, 64, 64)).boxes[-1, 0]
    near = (boxes[:, None] - crops[None]).abs().sum(-1)
    assert near.amin(1).max() < 0.06  # each anchor lies in a cluster
    assert near.amin(0).max() < 0.12  # and each crop has an anchor
    assert model.validity_head.bias.item() == pytest.approx(torch.tensor(3 / 12).logit().item())
    with pytest.raises(CropnbError, match="no anchor boxes"):
        SetPredictionCropper.light(None, **TINY, anchor_boxes=False).start_from(crops, 3)
    with pytest.raises(BoxError, match="one an anchor"):
        model.start_from(crops[:5], 3)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"channels": 18}, "multiple"),
        ({"decoder_layers": 0}, "at least one layer"),
        ({"dilated": True}, "only ResNet50"),
    ],
)
def test_impossible_models_are_refused(changed, reason):
    with pytest.raises(CropnbError, match=reason):
        SetPredictionCropper.light(None, **{**TINY, **changed})


def test_photos_of_another_shape_are_refused(tiny):
    with pytest.raises(ImageError, match="B, 3, H, W"):
        tiny(torch.rand(3, 64, 64))


def test_the_two_ways_to_write_a_box_are_each_others_way_back():
    xyxy = torch.tensor([[0.1, 0.2, 0.5, 1.0]])
    assert to_cxcywh(xyxy)[0].tolist() == pytest.approx([0.3, 0.6, 0.4, 0.8])
    torch.testing.assert_close(to_xyxy(to_cxcywh(xyxy)), xyxy)


def test_good_crops_above_four_or_from_four_on():
    scores = torch.tensor([4.0, 4.2, 3.9])
    assert good_crops(scores).tolist() == [False, True, False]
    assert good_crops(scores, at_least=True).tolist() == [True, True, False]
    # Without any good crop those of the highest score count.
    assert good_crops(torch.tensor([3.0, 2.0, 3.0])).tolist() == [True, False, True]
    with pytest.raises(CropnbError, match="no good one"):
        good_crops(torch.zeros(0))


def test_good_crops_of_the_real_annotations(real_data):
    samples = datasets.load("gaicd", "train", root=real_data / "gaicd").samples
    counts = [(sample.scores > 4).sum().item() for sample in samples]
    assert sum(count == 0 for count in counts) == 159
    assert sum(counts) / len(counts) == pytest.approx(5.56, abs=0.01)
    assert sum((s.scores >= 4).sum().item() for s in samples) / len(samples) == pytest.approx(
        8.43, abs=0.01
    )
    assert max(good_crops(s.scores, at_least=True).sum() for s in samples) <= 90


@pytest.fixture(scope="module")
def photos() -> CropPhotos:
    return CropPhotos(datasets.load("scenes", "train", form="gaicd", size=3), 64)


def test_mirrored_labels_belong_to_the_mirrored_photo(photos):
    plain, flipped = photos.labels([0]), photos.labels([0], [True])
    xyxy, mirrored = to_xyxy(plain.crops[0]), to_xyxy(flipped.crops[0])
    torch.testing.assert_close(mirrored[:, 0], 1 - xyxy[:, 2])
    torch.testing.assert_close(mirrored[:, 1::2], xyxy[:, 1::2])
    torch.testing.assert_close(flipped.scored[0][:, 2], 1 - plain.scored[0][:, 0])
    assert torch.equal(flipped.scores[0], plain.scores[0])
    assert torch.equal(photos.photo(0, True), photos.photo(0).flip(-1))
    # A good crop is one of the scored ones, and the best one of them.
    assert (plain.scored[0] == photos.best(0)).all(1).any()
    torch.testing.assert_close(
        to_cxcywh(photos.best(0)),
        plain.crops[0][plain.crops[0].sub(to_cxcywh(photos.best(0))).abs().sum(1).argmin()],
    )


def test_true_boxes_are_good_crops_without_scores():
    photos = CropPhotos(datasets.load("scenes", "test", form="flms", size=2), 64)
    labels = photos.labels([0, 1])
    assert [len(part) for part in labels.crops] == [len(sample.boxes) for sample in photos.dataset]
    assert not labels.scores


def test_padding_marks_what_is_inside():
    maps, mask = pad([torch.ones(1, 2, 3, 4), torch.ones(1, 2, 2, 5)])
    assert maps.shape == (2, 2, 3, 5)
    assert mask.sum((1, 2)).tolist() == [12, 10]
    assert maps.sum().item() == 2 * 22
    assert pad([torch.ones(1, 2, 3, 4)] * 2)[1] is None


def test_sizes_and_colours():
    assert resize_to(torch.rand(3, 100, 150), 64).shape == (3, 64, 96)
    assert max(resize_to(torch.rand(3, 30, 300), 480).shape) <= 1333
    photo = torch.rand(3, 8, 8)
    first, again, other = (
        change_colours(photo, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert ((first >= 0) & (first <= 1)).all()


def test_a_dataset_without_photos_names_what_is_missing(real_data):
    dataset = datasets.load("gaicd", "test", root=real_data / "gaicd")
    photos = CropPhotos(CropDataset("gaicd", "test", "gaicd", None, dataset.samples[:2]))
    assert len(photos) == 2
    if not dataset.samples[0].has_photo:
        with pytest.raises(CropnbError, match="annotations"):
            photos.photo(0)
