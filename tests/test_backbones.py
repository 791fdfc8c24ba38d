"""Backbones equal torchvision's networks up to each cut, and never start at random unasked."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models

from cropnb import backbones, checkpoints
from cropnb.backbones import frozen
from cropnb.errors import CheckpointError, CropnbError, WeightsUnavailable

PHOTO = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
NORMALISED = (PHOTO - torch.tensor(backbones.IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(
    backbones.IMAGENET_DEVIATION
).view(3, 1, 1)


@pytest.fixture
def own_weights(tmp_path, monkeypatch):
    """Random torchvision networks whose weights lie where `$CROPNB_WEIGHTS` says."""
    monkeypatch.setenv("CROPNB_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("CROPNB_OFFLINE", "1")

    def make(name):
        torch.manual_seed(1)
        network = getattr(models, name)(weights=None).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):  # statistics that matter
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
        save_file(network.state_dict(), tmp_path / f"{name}_imagenet.safetensors")
        return network

    return make


def until(network, name, cut):
    """torchvision's own layers up to the cut, written out once a network."""
    if name == "mobilenet_v2":
        return network.features[
            : {"c3_3": 7, "c4_3": 10, "c4_6": 13, "c4_7": 14, "c5_1": 15, "c5_4": 18}[cut]
        ]
    if name == "vgg16":
        return network.features[
            : {"c2_3": 16, "c3_1": 19, "c3_3": 23, "c4_1": 26, "c4_3": 30, "c5_1": 31}[cut]
        ]
    stem = [
        network.conv1,
        network.bn1,
        network.relu,
        network.maxpool,
        network.layer1,
        network.layer2,
    ]
    stages = {
        "c3_4": [],
        "c4_3": [network.layer3[:3]],
        "c4_6": [network.layer3],
        "c5_1": [network.layer3, network.layer4[:1]],
    }
    return nn.Sequential(*stem, *stages[cut])


CUTS = [
    *(("mobilenet_v2", cut) for cut in ("c3_3", "c4_3", "c4_6", "c4_7", "c5_1", "c5_4")),
    *(("vgg16", cut) for cut in ("c2_3", "c3_1", "c3_3", "c4_1", "c4_3", "c5_1")),
    *(("resnet50", cut) for cut in ("c3_4", "c4_3", "c4_6", "c5_1")),
]


@pytest.mark.parametrize("name", backbones.NAMES)
def test_each_cut_gives_torchvisions_features(name, own_weights):
    network = own_weights(name)
    cuts = [cut for of, cut in CUTS if of == name]
    backbone = backbones.build(name, cuts).eval()
    with torch.no_grad():
        for cut, stride, channels, features in zip(
            cuts, backbone.strides, backbone.channels, backbone(PHOTO), strict=True
        ):
            expected = until(network, name, cut)(NORMALISED)
            torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
            assert features.shape == (2, channels, 64 // stride, 96 // stride)
            assert stride == 2 ** int(cut[1])


@pytest.mark.parametrize("name", backbones.NAMES)
def test_folding_the_normalisation_keeps_the_function(name, own_weights):
    own_weights(name)
    backbone = backbones.build(name, [next(cut for of, cut in CUTS if of == name)]).eval()
    fused = backbones.fuse_for_inference(backbone)
    with torch.no_grad():
        torch.testing.assert_close(fused(PHOTO)[0], backbone(PHOTO)[0], rtol=1e-3, atol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())


def test_forgetting_the_normalisation_is_seen(own_weights):
    network = own_weights("mobilenet_v2")
    backbone = backbones.build("mobilenet_v2", ["c1_1"]).eval()
    with torch.no_grad():
        wrong = network.features[:1](PHOTO)
        assert (backbone(PHOTO)[0] - wrong).abs().max() > 0.1


def test_statistics_stay_frozen_unless_asked_for(own_weights):
    own_weights("mobilenet_v2")
    frozen = backbones.build("mobilenet_v2", ["c3_3"])
    trained = backbones.build("mobilenet_v2", ["c3_3"], train_statistics=True)
    before = frozen.units[0][1].running_mean.clone()
    for backbone in (frozen, trained):
        backbone.train()
        backbone(PHOTO)
    assert torch.equal(frozen.units[0][1].running_mean, before)
    assert not torch.equal(trained.units[0][1].running_mean, before)
    assert frozen.units[0][1].weight.requires_grad  # the scale and shift still learn


def test_the_shipped_weights_are_a_classifiers(real_weights):
    backbone = backbones.build("mobilenet_v2", ["c5_5"]).eval()
    network = models.mobilenet_v2(weights=None).eval()
    network.load_state_dict(load_file(real_weights / "mobilenet_v2_imagenet.safetensors"))
    with torch.no_grad():
        classes = network.classifier(backbone(PHOTO)[0].mean((2, 3)))
        torch.testing.assert_close(classes, network(NORMALISED), rtol=1e-3, atol=1e-3)


def test_missing_weights_are_an_error_that_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for folder in (str(tmp_path), None):
        monkeypatch.setenv("CROPNB_WEIGHTS", folder) if folder else monkeypatch.delenv(
            "CROPNB_WEIGHTS"
        )
        with pytest.raises(WeightsUnavailable, match="--init random"):
            backbones.build("mobilenet_v2", ["c3_3"])
    assert backbones.build("mobilenet_v2", ["c3_3"], weights=None).channels == (32,)


@pytest.mark.parametrize(
    ("asked", "offline", "tried"), [("1", "0", True), ("1", "1", False), ("0", "0", False)]
)
def test_nothing_is_downloaded_without_being_asked_for(
    asked, offline, tried, tmp_path, monkeypatch
):
    calls = []

    def refuse(*arguments, **options):
        calls.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv("CROPNB_WEIGHTS", raising=False)
    monkeypatch.setenv("CROPNB_DOWNLOAD", asked)
    monkeypatch.setenv("CROPNB_OFFLINE", offline)
    with pytest.raises(WeightsUnavailable, match="no network" if tried else "CROPNB_DOWNLOAD=1"):
        backbones.build("mobilenet_v2", ["c3_3"])
    assert bool(calls) == tried


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_damaged_weights_are_named(content, tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_WEIGHTS", str(tmp_path))
    (tmp_path / "mobilenet_v2_imagenet.safetensors").write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="damaged"):
        backbones.build("mobilenet_v2", ["c3_3"])


def test_weights_of_another_network_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_WEIGHTS", str(tmp_path))
    save_file(
        {"features.0.0.weight": torch.zeros(3)}, tmp_path / "mobilenet_v2_imagenet.safetensors"
    )
    with pytest.raises(WeightsUnavailable, match="another network"):
        backbones.build("mobilenet_v2", ["c3_3"])


@pytest.mark.parametrize(
    ("name", "cuts"), [("alexnet", ["c3_3"]), ("vgg16", ["c9_9"]), ("vgg16", [])]
)
def test_unknown_names_are_refused(name, cuts):
    with pytest.raises(CropnbError):
        backbones.build(name, cuts, weights=None)
    with pytest.raises(CropnbError, match="'coco'"):
        backbones.build("mobilenet_v2", ["c3_3"], weights="coco")


def frozen_state() -> dict[str, torch.Tensor]:
    return load_file(frozen.PATH)


def test_frozen_units_are_left_out_and_filled_in(tmp_path):
    state = {**frozen_state(), "head.weight": torch.ones(2, 3)}
    moved = "backbone.units.0.0.weight"
    state[moved] = state[moved] + 1
    path = tmp_path / "w.safetensors"
    checkpoints.save_weights(path, state, {"method": "a"}, half=True, without_frozen=True)
    assert set(load_file(path)) == {moved, "head.weight"}
    loaded, card = checkpoints.load_weights(path, "a")
    assert card == {"method": "a"}
    assert loaded.keys() == state.keys()
    for name, value in loaded.items():
        torch.testing.assert_close(value, state[name].half().to(value.dtype))


@pytest.mark.parametrize("names", [["head.weight"], [3], "backbone", {"a": 1}, None, [["b"]]])
def test_a_card_that_leaves_out_what_is_not_frozen_is_refused(tmp_path, names):
    path = tmp_path / "w.safetensors"
    checkpoints.save_weights(path, {"x": torch.ones(1)}, {"method": "a", "frozen": names})
    with pytest.raises(CheckpointError, match="leaves out"):
        checkpoints.load_weights(path, "a")


def test_the_frozen_units_are_those_of_imagenet(real_weights, monkeypatch, tmp_path):
    monkeypatch.setattr(frozen, "PATH", tmp_path / "frozen.safetensors")
    shipped = Path(frozen.__file__).with_name("frozen.safetensors")
    assert frozen.main([]) == 0
    assert frozen.PATH.read_bytes() == shipped.read_bytes()


def test_a_damaged_file_of_frozen_units_is_named(tmp_path, monkeypatch):
    path = tmp_path / "frozen.safetensors"
    path.write_bytes(b"no")
    checkpoints.save_weights(tmp_path / "w", {}, {"method": "a", "frozen": ["x"]})
    monkeypatch.setattr(frozen, "PATH", path)
    with pytest.raises(CheckpointError, match="frozen"):
        checkpoints.load_weights(tmp_path / "w", "a")


def test_asking_for_help_writes_no_weights(capsys):
    before = frozen.PATH.stat().st_mtime_ns
    with pytest.raises(SystemExit) as stopped:
        frozen.main(["--help"])
    assert stopped.value.code == 0
    assert "Write the file from the ImageNet weights" in capsys.readouterr().out
    assert frozen.PATH.stat().st_mtime_ns == before
