"""The base model: weights a sample, padding that leaks nowhere, one network a ratio."""

import pytest
import torch
from torch import nn

from cropnb import backbones
from cropnb.errors import BoxError, CropnbError, ImageError, WeightsUnavailable
from cropnb.mars import Mars, RatioWeights
from cropnb.mars.photos import cells, collate, masked_mean, trunk_features, valid


def small(**arguments):
    torch.manual_seed(1)
    model = Mars(**{"neurons": 16, "embedding_dim": 8, "weights": None} | arguments).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as trained ones are: zero in is not zero out
            nn.init.normal_(module.bias, 0, 0.5)
            nn.init.normal_(module.running_mean, 0, 0.5)
    return model


@pytest.fixture(scope="module")
def model():
    return small()


def photos(*sizes):
    rng = torch.Generator().manual_seed(2)
    return [torch.rand(3, height, width, generator=rng) for width, height in sizes]


@pytest.mark.parametrize(
    ("backbone", "cut"),
    [("mobilenet_v2", "c4_6"), ("vgg16", "c3_3"), ("vgg16", "pool5"), ("resnet50", "c4_3")],
)
@torch.inference_mode()
def test_a_photo_gets_the_same_map_in_a_batch_as_alone(backbone, cut):
    model = small(backbone=backbone, cut=cut)
    shown, ratios = photos((90, 61), (45, 96), (96, 96)), [0.6, 1.5, 1.0]
    batch, sizes = collate(shown)
    together = model(batch, torch.tensor(ratios), sizes)
    for number, (photo, ratio) in enumerate(zip(shown, ratios, strict=True)):
        alone = model(photo[None], ratio)[0]
        part = together[number, : alone.shape[0], : alone.shape[1]]
        assert (part - alone).abs().max() < 1e-3 * alone.std()


@torch.inference_mode()
def test_a_trunk_on_the_stems_maps_of_each_photo_gives_the_maps_of_the_batch():
    """A stem sees each photo alone, at its own size, and so do its maps; padding comes after it."""
    torch.manual_seed(0)
    mars = small().train()
    shown = photos((100, 150), (128, 96), (77, 33))
    frames, sizes = collate(shown)
    expected = mars.features(frames, sizes)
    stem, trunk = backbones.split(mars.backbone, "c3_3")
    maps = [stem(photo[None])[0][0] for photo in shown]
    padded = torch.zeros(3, 32, *(max(each.shape[i] for each in maps) for i in (1, 2)))
    for row, each in zip(padded, maps, strict=True):
        row[:, : each.shape[1], : each.shape[2]] = each
    ours = trunk_features(trunk, padded, sizes)
    scale = float(expected.detach().abs().max())
    for index, (width, height) in enumerate(cells(sizes, mars.stride).tolist()):
        torch.testing.assert_close(
            ours[index, :, :height, :width],
            expected[index, :, :height, :width],
            rtol=0,
            atol=1e-4 * scale,
        )
    careless = trunk(padded)[0]
    width, height = cells(sizes, mars.stride)[2].tolist()
    assert not torch.allclose(
        careless[2, :, :height, :width], expected[2, :, :height, :width], rtol=0, atol=1e-2 * scale
    )


def test_without_the_sizes_padding_would_leak(model):
    batch, sizes = collate(photos((90, 61), (96, 96)))
    ratios = torch.tensor([0.6, 1.0])
    clean = model(batch, ratios, sizes)
    leaking = model(batch, ratios)
    assert (clean[0, :12, :20] - leaking[0, :12, :20]).abs().max() > 0.01 * clean[0, :12, :20].std()
    # the full frame has no padding
    torch.testing.assert_close(clean[1], leaking[1], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_padding_stays_out_of_the_pooling_alone(model):
    """Clean features, but pooled over the whole frame: f_ara shrinks with the share of padding, and
    the map moves.
    """
    batch, sizes = collate(photos((90, 61), (96, 96)))
    features, counts = model.features(batch, sizes), cells(sizes, model.stride)
    weights = model.ratio_weights(torch.tensor([0.6, 1.0]))
    right, wrong = model.head(features, weights, counts), model.head(features, weights)
    assert (right[0] - wrong[0]).abs().max() > 0.01 * right[0].std()
    inside = features[0, :, : counts[0, 1], : counts[0, 0]]
    torch.testing.assert_close(
        masked_mean(features, counts)[0], inside.mean(dim=(1, 2)), atol=1e-5, rtol=1e-5
    )


@torch.inference_mode()
def test_each_sample_has_weights_of_its_own(model):
    (photo,) = photos((96, 64))
    ratios = torch.tensor([0.5, 1.0, 2.0])
    together = model(photo[None].expand(3, -1, -1, -1), ratios)
    each = torch.cat([model(photo[None], ratio) for ratio in ratios])
    torch.testing.assert_close(together, each, atol=1e-5, rtol=1e-5)
    # shared weights would give the same map three times
    assert (together[0] - together[2]).abs().max() > 1e-3
    shuffled = model(photo[None].expand(3, -1, -1, -1), ratios[[2, 0, 1]])
    torch.testing.assert_close(shuffled, together[[2, 0, 1]], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_head_is_figure_2_step_by_step(model):
    features = torch.randn(2, 96, 4, 5)
    weights = model.ratio_weights(torch.tensor([0.7, 1.3]))
    logits = model.head(features, weights)
    for number in range(2):
        f_ara = features[number].mean(dim=(1, 2))
        f_ars = weights.transform[number] @ f_ara
        x = (features[number] + f_ars[:, None, None])[None]
        for layer in (model.upsampler.reduce, model.upsampler.mix, *model.upsampler.deconvolutions):
            x = layer(x).relu()
        expected = torch.einsum("c,chw->hw", weights.predictor[number], x[0])
        torch.testing.assert_close(logits[number], expected, atol=1e-4, rtol=1e-4)
        transposed = RatioWeights(weights.transform.mT.contiguous(), weights.predictor)
        assert (model.head(features, transposed)[number] - expected).abs().max() > 1e-3


@torch.inference_mode()
def test_weights_for_a_ratio_are_predicted_once(model, monkeypatch):
    (photo,) = photos((96, 64))
    expected = model(photo[None], 1.5)
    fixed = model.for_ratio(1.5)
    monkeypatch.setattr(model.meta, "forward", lambda *_: pytest.fail("predicted again"))
    torch.testing.assert_close(fixed(photo[None]), expected)
    torch.testing.assert_close(
        fixed(photo[None].expand(2, -1, -1, -1))[1:], expected, atol=1e-5, rtol=1e-5
    )


def test_table_3_without_a_module_its_weights_are_fixed():
    without_ftm, without_pwp = small(ars_ftm=False), small(ars_pwp=False)
    neither = small(ars_ftm=False, ars_pwp=False)
    assert without_ftm.ratio_weights(1.0).transform is None
    assert without_ftm.ratio_weights(1.0).predictor is not None
    assert without_pwp.ratio_weights(1.0).predictor is None
    assert without_pwp.ratio_weights(1.0).transform is not None
    (photo,) = photos((64, 64))
    with torch.inference_mode():
        assert torch.equal(neither(photo[None], 0.5), neither(photo[None], 2.0))
        assert not torch.equal(without_ftm(photo[None], 0.5), without_ftm(photo[None], 2.0))
        assert not torch.equal(without_pwp(photo[None], 0.5), without_pwp(photo[None], 2.0))
    assert neither.meta_parameters() == []


def test_f_ars_is_f_ara_without_ars_ftm():
    model = small(ars_ftm=False, ars_pwp=False)
    features = torch.randn(1, 96, 3, 3)
    raised = features + features.mean(dim=(2, 3), keepdim=True)
    expected = model.predictor(model.upsampler(raised))[:, 0]
    torch.testing.assert_close(model.head(features, model.ratio_weights(1.0)), expected)


@pytest.mark.parametrize(("stride", "side"), [(16, 4), (8, 8), (4, 16), (2, 32), (1, 64)])
def test_table_6_resolutions(stride, side):
    model = small(out_stride=stride, out_channels=8)
    assert model(torch.rand(1, 3, 64, 64), 1.0).shape == (1, side, side)


def test_gradients_reach_embedding_meta_learners_and_backbone():
    model = small().train()
    model(torch.rand(2, 3, 64, 64), torch.tensor([0.8, 1.2])).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.embedding.vectors.weight.grad.abs().sum(1).count_nonzero() == 4


def test_what_can_t_be_built_is_refused(monkeypatch):
    for arguments in (
        {"out_stride": 3},
        {"out_stride": 32},
        {"out_stride": 0},
        {"cut": "c9_9"},
        {"out_channels": 0},
    ):
        with pytest.raises(CropnbError):
            Mars(**arguments, weights=None)
    with pytest.raises(CropnbError, match="backbone"):
        Mars("alexnet", weights=None)
    with pytest.raises(CropnbError, match="multiples of 32"):
        small().features(torch.rand(1, 3, 60, 60), torch.tensor([[60, 50]]))
    with pytest.raises(BoxError):
        small()(torch.rand(1, 3, 64, 64), -1.0)
    for shapes in ([], [torch.rand(1, 5, 5)], [torch.rand(3, 0, 5)]):
        with pytest.raises(ImageError):
            collate(shapes)
    monkeypatch.setenv("CROPNB_WEIGHTS", "/nowhere")
    monkeypatch.setattr("torch.hub.get_dir", lambda: "/nowhere")
    with pytest.raises(WeightsUnavailable):
        Mars()


def test_collating_keeps_each_photo_in_its_corner():
    shown = photos((90, 61), (45, 96))
    batch, sizes = collate(shown)
    assert batch.shape == (2, 3, 96, 96)
    assert sizes.tolist() == [[90, 61], [45, 96]]
    assert torch.equal(batch[0, :, :61, :90], shown[0])
    assert batch[0, :, 61:].abs().max() == 0
    counts = cells(sizes, 16)
    assert counts.tolist() == [[6, 4], [3, 6]]  # a part of a cell counts
    assert valid(counts, 6, 6).sum(dim=(1, 2)).tolist() == [24, 18]
