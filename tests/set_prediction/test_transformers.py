"""Encoder, decoder, heads, matching costs and losses against Hugging Face Transformers' Conditional
DETR.
"""

import pytest
import torch

from cropnb.set_prediction import (
    Labels,
    SetPredictionCropper,
    hungarian_match,
    matching_costs,
    set_loss,
)
from cropnb.set_prediction.losses import LAMBDA_FOCAL, LAMBDA_IOU, focal_loss
from cropnb.set_prediction.model import Predictions
from cropnb.set_prediction.studies.convert import from_transformers

transformers = pytest.importorskip("transformers")
SMALL = {
    "anchor_boxes": False,
    "channels": 32,
    "heads": 4,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "hidden": 48,
    "anchors": 7,
}


def their_model(decoder_layers: int = 3):
    from transformers import ConditionalDetrConfig, ConditionalDetrForObjectDetection

    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 320], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    config = ConditionalDetrConfig(
        backbone_config=backbone,
        num_queries=7,
        d_model=32,
        encoder_layers=2,
        decoder_layers=decoder_layers,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        num_labels=1,
    )
    torch.manual_seed(0)
    return ConditionalDetrForObjectDetection(config).eval()


@pytest.fixture(scope="module")
def pair():
    """Theirs, and ours with its weights. Random weights throughout: a bias of zero would hide a
    mistake.
    """
    theirs = their_model()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "backbone" not in name:
                is_scale = "norm" in name and name.endswith("weight")
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.35 + is_scale)
    ours = SetPredictionCropper.light(None, **SMALL).eval()
    ours.reduce = torch.nn.Conv2d(320, 32, 1)
    missing, unexpected = ours.load_state_dict(from_transformers(theirs.state_dict()), strict=False)
    assert not unexpected
    assert all(name.startswith("backbone.") for name in missing)
    return theirs, ours


def their_outputs(theirs, features, mask):
    """Their model behind the backbone: the feature map goes in as it is."""
    theirs.model.backbone.forward = lambda pixels, pixel_mask: [(features, mask)]
    return theirs(torch.zeros(len(features), 3, 8, 8))


@pytest.fixture(scope="module")
def maps():
    rng = torch.Generator().manual_seed(2)
    mask = torch.ones(2, 4, 6, dtype=torch.bool)
    mask[1, 3:], mask[1, :, 4:] = False, False
    return torch.randn(2, 320, 4, 6, generator=rng), mask


@torch.no_grad()
def test_encoder_decoder_and_heads_are_the_same(pair, maps):
    theirs, ours = pair
    features, mask = maps
    wanted = their_outputs(theirs, features, mask)
    predictions = ours.from_features(features, mask)
    assert (predictions.logits[-1] - wanted.logits.squeeze(-1)).abs().max() < 1e-5
    assert (predictions.boxes[-1] - wanted.pred_boxes).abs().max() < 1e-5
    # Far from constant, or the comparison would say little.
    assert wanted.logits.std() > 0.1
    assert wanted.pred_boxes.std() > 0.05


@torch.no_grad()
def test_the_encoder_alone_is_the_same(pair, maps):
    from cropnb.set_prediction.attention import cell_embedding

    theirs, ours = pair
    features, mask = maps
    tokens, places = ours.reduce(features).flatten(2).transpose(1, 2), cell_embedding(mask, 32)
    wanted = (
        theirs.model.position_embedding(features.shape, "cpu", torch.float32, mask)
        .flatten(2)
        .transpose(1, 2)
    )
    assert (places - wanted)[mask.flatten(1)].abs().max() < 1e-5
    theirs_out = theirs.model.encoder(tokens, mask.flatten(1), wanted).last_hidden_state
    for layer in ours.encoder:
        tokens = layer(tokens, places, mask.flatten(1))
    assert (tokens - theirs_out)[mask.flatten(1)].abs().max() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2])
def test_every_decoder_layer_predicts_what_a_shorter_decoder_would(pair, maps, layers):
    theirs, ours = pair
    shorter = their_model(layers).eval()
    state = {k: v for k, v in theirs.state_dict().items() if k in shorter.state_dict()}
    shorter.load_state_dict(state)
    wanted = their_outputs(shorter, *maps)
    predictions = ours.from_features(*maps)
    assert (predictions.logits[layers - 1] - wanted.logits.squeeze(-1)).abs().max() < 1e-5
    assert (predictions.boxes[layers - 1] - wanted.pred_boxes).abs().max() < 1e-5


@torch.no_grad()
def test_padding_changes_nothing(pair, maps):
    _, ours = pair
    features, mask = maps
    alone = ours.from_features(features[1:, :, :3, :4])
    together = ours.from_features(features, mask)
    torch.testing.assert_close(together.boxes[:, 1], alone.boxes[:, 0], atol=1e-5, rtol=0)
    unmasked = ours.from_features(features)
    assert (unmasked.boxes[:, 1] - alone.boxes[:, 0]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize(
    "wrong",
    [
        # the first layer without its anchors
        lambda model: setattr(model.decoder[0].look, "query_anchor", None),
        lambda model: setattr(model, "scale", torch.nn.Identity()),
        lambda model: setattr(model, "encoder", model.encoder[:1]),
        lambda model: setattr(model, "norm", torch.nn.Identity()),
    ],
)
def test_plausible_wrong_models_are_seen(pair, maps, wrong):
    import copy

    changed = copy.deepcopy(pair[1])
    wrong(changed)
    difference = changed.from_features(*maps).boxes[-1] - pair[1].from_features(*maps).boxes[-1]
    assert difference.abs().max() > 1e-3


def case(seed: int = 0, photos: int = 3, anchors: int = 12):
    rng = torch.Generator().manual_seed(seed)

    def boxes(*shape):
        return torch.cat(
            [
                torch.rand(*shape, 2, generator=rng),
                0.1 + 0.8 * torch.rand(*shape, 2, generator=rng),
            ],
            -1,
        )

    crops = [boxes(count) for count in (4, 0, 7)[:photos]]
    return torch.randn(photos, anchors, generator=rng), boxes(photos, anchors), crops


def their_targets(crops):
    return [
        {"class_labels": torch.zeros(len(part), dtype=torch.long), "boxes": part} for part in crops
    ]


@pytest.mark.parametrize("seed", range(5))
def test_matching_is_the_same(seed):
    from transformers.loss.loss_deformable_detr import DeformableDetrHungarianMatcher

    logits, boxes, crops = case(seed)
    outputs = {"logits": logits[..., None], "pred_boxes": boxes}
    wanted = DeformableDetrHungarianMatcher(2, 5, 2)(outputs, their_targets(crops))
    match = hungarian_match(logits, boxes, crops)
    first = 0
    for photo, (anchors, chosen) in enumerate(wanted):
        here = match.photo == photo
        assert match.anchor[here].tolist() == anchors.tolist()
        assert (match.crop[here] - first).tolist() == chosen.tolist()
        first += len(crops[photo])


def test_costs_are_the_same(monkeypatch):
    from transformers.loss import loss_deformable_detr as theirs

    seen = []
    monkeypatch.setattr(
        theirs, "linear_sum_assignment", lambda cost: (seen.append(cost), ([], []))[1]
    )
    logits, boxes, crops = case(3)
    outputs = {"logits": logits[..., None], "pred_boxes": boxes}
    theirs.DeformableDetrHungarianMatcher(2, 5, 2)(outputs, their_targets(crops))
    for photo, wanted in enumerate(seen):
        ours = matching_costs(logits[photo], boxes[photo], crops[photo])
        # Weights of 2, 5, 2 are five times ours, and 1 − generalised IoU is a constant above their
        # − generalised IoU.
        torch.testing.assert_close(5 * ours - 2, torch.as_tensor(wanted), atol=1e-5, rtol=0)


def test_losses_are_the_same_at_every_layer():
    from transformers.loss.loss_deformable_detr import (
        DeformableDetrHungarianMatcher,
        DeformableDetrImageLoss,
    )

    layers = [case(seed) for seed in (0, 1, 2)]
    crops = layers[0][2]
    predictions = Predictions(
        torch.stack([one[0] for one in layers]), torch.stack([one[1] for one in layers])
    )
    outputs = [{"logits": one[0][..., None], "pred_boxes": one[1]} for one in layers]
    criterion = DeformableDetrImageLoss(
        DeformableDetrHungarianMatcher(2, 5, 2), 1, 0.25, ["labels", "boxes"]
    )
    wanted = criterion({**outputs[-1], "auxiliary_outputs": outputs[:-1]}, their_targets(crops))
    losses = set_loss(predictions, Labels(crops))
    for ours, name in (
        ("regression", "loss_bbox"),
        ("overlap", "loss_giou"),
        ("validity", "loss_ce"),
    ):
        total = sum(wanted[name + end] for end in ("", "_0", "_1"))
        assert losses[ours].item() == pytest.approx(float(total), abs=1e-5)
    whole = (
        losses["regression"] + LAMBDA_IOU * losses["overlap"] + LAMBDA_FOCAL * losses["validity"]
    )
    assert losses["loss"].item() == pytest.approx(whole.item(), abs=1e-6)


def test_the_focal_loss_is_the_same_for_soft_labels_too():
    from transformers.loss.loss_for_object_detection import sigmoid_focal_loss

    rng = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(4, 9, generator=rng), torch.rand(4, 9, generator=rng)
    wanted = sigmoid_focal_loss(logits[..., None], labels[..., None], 1) * 9
    assert focal_loss(logits, labels).sum().item() == pytest.approx(wanted.item(), abs=1e-5)
