"""Folded, split and half-precision backbones compute what the plain backbone computes."""

import copy

import pytest
import torch
from torch import nn

from cropnb import backbones
from cropnb.errors import CropnbError

PHOTOS = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
CUTS = {"mobilenet_v2": ["c3_3", "c4_6"], "vgg16": ["c3_1", "c4_1"], "resnet50": ["c3_4", "c4_1"]}


def network(name, cuts=None, **options):
    """A backbone whose normalisations have statistics, scales and shifts that matter."""
    torch.manual_seed(1)
    backbone = backbones.build(name, cuts or CUTS[name], weights=None, **options)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return backbone.train()


def gradients(backbone, maps):
    backbone.zero_grad()
    sum(each.square().mean() for each in maps).backward()
    return {name: p.grad for name, p in backbone.named_parameters() if p.grad is not None}


def assert_same(ours, expected, share=1e-4):
    """Equal up to a share of the largest value."""
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            ours[name],
            value,
            rtol=0,
            atol=share * float(value.detach().abs().max()) + 1e-9,
            msg=name,
        )


@pytest.mark.parametrize("name", backbones.NAMES)
def test_folding_in_training_keeps_maps_and_gradients(name):
    plain = network(name)
    folded = backbones.fold_frozen_norms(copy.deepcopy(plain))
    ours, expected = folded(PHOTOS), plain(PHOTOS)
    assert_same(dict(enumerate(ours)), dict(enumerate(expected)))
    assert_same(gradients(folded, ours), gradients(plain, expected))


def test_folding_skips_no_norm_of_the_network():
    folded = backbones.fold_frozen_norms(network("mobilenet_v2"))
    for module in folded.modules():
        assert type(module) is not nn.BatchNorm2d
    once = folded(PHOTOS)[1]
    assert torch.equal(backbones.fold_frozen_norms(folded)(PHOTOS)[1], once)


def test_folded_weights_fit_the_plain_network_and_back():
    plain = network("mobilenet_v2")
    folded = backbones.fold_frozen_norms(network("mobilenet_v2"))
    assert list(folded.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in folded.named_parameters()] == [
        n for n, _ in plain.named_parameters()
    ]
    plain.load_state_dict(folded.state_dict())
    unfolded = backbones.unfold_norms(folded)
    assert torch.equal(unfolded(PHOTOS)[1], plain(PHOTOS)[1])


def test_a_copy_folds_its_own_norms():
    folded = backbones.fold_frozen_norms(network("mobilenet_v2"))
    other = copy.deepcopy(folded)
    with torch.no_grad():
        for module in folded.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.zero_()
    assert not torch.allclose(folded(PHOTOS)[1], other(PHOTOS)[1])


def test_statistics_that_are_trained_are_not_folded():
    plain = network("mobilenet_v2", train_statistics=True)
    folded = backbones.fold_frozen_norms(copy.deepcopy(plain))
    assert torch.equal(folded(PHOTOS)[1], plain(PHOTOS)[1])
    for ours, expected in zip(folded.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, expected)
    assert int(folded.units[0][1].num_batches_tracked) == 1


def test_fusing_a_folded_network_folds_once():
    plain = network("mobilenet_v2").eval()
    fused = backbones.fuse_for_inference(backbones.fold_frozen_norms(copy.deepcopy(plain)))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    with torch.no_grad():
        torch.testing.assert_close(fused(PHOTOS)[1], plain(PHOTOS)[1], rtol=1e-3, atol=1e-3)


def test_frozen_norms_learn_nothing():
    backbone = backbones.freeze_norms(network("mobilenet_v2"))
    gradients(backbone, backbone(PHOTOS))
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert not module.training
            assert module.weight.grad is None
        elif isinstance(module, nn.Conv2d):
            assert module.weight.grad is not None


@pytest.mark.parametrize("name", backbones.NAMES)
def test_stem_and_trunk_are_the_backbone(name):
    plain = network(name)
    backbone = copy.deepcopy(plain)
    stem, trunk = backbones.split(backbone, CUTS[name][0])
    (start,) = stem(PHOTOS)
    assert not start.requires_grad
    assert (trunk.channels, trunk.strides) == (plain.channels, plain.strides)
    assert trunk.stride == PHOTOS.shape[-1] // start.shape[-1]
    ours, expected = trunk(start), plain(PHOTOS)
    assert_same(dict(enumerate(ours)), dict(enumerate(expected)))
    # The gradients of the trunk's parameters arrive at the backbone's own, and nowhere else.
    number = len(plain.units) - len(trunk.units)
    late = {
        key: value
        for key, value in gradients(plain, expected).items()
        if int(key.split(".")[1]) >= number
    }
    assert_same(gradients(backbone, ours), late)


def test_a_trunk_may_end_where_the_backbone_ends_only():
    backbone = network("mobilenet_v2", ["c4_6"])
    _, trunk = backbones.split(backbone, "c4_6")
    maps = torch.rand(1, 96, 4, 6)
    assert torch.equal(trunk(maps)[0], maps)


def test_a_trunk_in_training_keeps_its_statistics():
    _, trunk = backbones.split(network("mobilenet_v2"), "c3_3")
    trunk.train()
    norms = [module for module in trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)


@pytest.mark.parametrize("cut", ["c9_9", "c4_7", "c4_1"])
def test_a_cut_that_cannot_be_is_refused(cut):
    with pytest.raises(CropnbError, match=cut if cut != "c4_1" else "c3_3"):
        backbones.split(network("mobilenet_v2"), cut)


def test_bfloat16_is_near_and_its_gradients_point_the_same_way():
    plain = network("mobilenet_v2")
    backbone = copy.deepcopy(plain)
    stem, trunk = backbones.split(backbone, "c3_3", bfloat16=True)
    ours, expected = trunk(stem(PHOTOS)[0])[1], plain(PHOTOS)[1]
    assert ours.dtype == torch.float32
    assert not torch.equal(ours, expected)
    assert float((ours - expected).norm() / expected.norm()) < 0.02
    ours, expected = gradients(backbone, [ours]), gradients(plain, [expected])
    for name, value in ours.items():
        assert value.dtype == torch.float32
        cosine = torch.cosine_similarity(value.flatten(), expected[name].flatten(), dim=0)
        assert float(cosine) > 0.98, name


def test_maps_are_batched_by_their_size():
    sizes = [(4, 6), (6, 4), (4, 6)]
    maps = [torch.full((2, *size), float(i)) for i, size in enumerate(sizes)]
    (first, wide), (second, tall) = backbones.by_size(maps)
    assert (first, second) == ([0, 2], [1])
    assert torch.equal(wide, torch.stack([maps[0], maps[2]]))
    assert torch.equal(tall[0], maps[1])
    assert backbones.by_size([]) == []
