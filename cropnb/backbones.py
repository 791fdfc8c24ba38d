"""The networks that see the photo: MobileNetV2, VGG16 and ResNet50, cut where the papers cut them.

A cut is named as in Table 1 of Mars: `c4_6` is the sixth unit whose output has 1/2⁴ of the photo's
resolution. A unit is an inverted residual block of MobileNetV2, a convolution of VGG16, a
bottleneck of ResNet50; the stem counts as a unit of its resolution. Mars' pool5 of VGG16 is `c5_1`.
"""

import copy
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision import models

from cropnb.errors import CropnbError, WeightsUnavailable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
NAMES = ("mobilenet_v2", "vgg16", "resnet50")


class Backbone(nn.Module):
    """A convolutional network up to its deepest requested cut.

    `forward` takes photos (B, 3, H, W) in 0…1, normalises them as ImageNet training did, and
    returns one feature map (B, C, H / 2ˣ, W / 2ˣ) for each cut `cx_y`, in the order of `cuts`.

    `train_statistics=False` keeps every batch normalisation at its running mean and variance, also
    in training: a batch of one photo, which GAIC and VRN train with, has no statistics worth
    learning.
    """

    def __init__(self, name: str, cuts: Sequence[str], train_statistics: bool = False) -> None:
        super().__init__()
        units = _units(name)
        positions = _cut_positions([stride for _, stride, _ in units])
        unknown = [cut for cut in cuts if cut not in positions]
        if unknown or not cuts:
            raise CropnbError(
                f"{name} has no cut {unknown or 'at all'}; choose from {', '.join(positions)}"
            )
        self.name, self.cuts, self.train_statistics = name, tuple(cuts), train_statistics
        self.units = nn.ModuleList(
            unit for unit, _, _ in units[: max(positions[cut] for cut in cuts) + 1]
        )
        self._taken = [positions[cut] for cut in cuts]
        self.channels = tuple(units[index][2] for index in self._taken)
        self.strides = tuple(units[index][1] for index in self._taken)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        x = (images - self.mean) / self.deviation  # (B, 3, H, W)
        maps = []
        for unit in self.units:
            x = unit(x)
            maps.append(x)
        return [maps[index] for index in self._taken]

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        if not self.train_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def build(
    name: str, cuts: Sequence[str], weights: str | None = "imagenet", train_statistics: bool = False
) -> Backbone:
    """A backbone with ImageNet weights, or with a random start when `weights` is None.

    Raises `WeightsUnavailable` when the ImageNet weights can't be had here, and never starts at
    random instead. They are downloaded only where `CROPNB_DOWNLOAD=1` asks for it.
    """
    backbone = Backbone(name, cuts, train_statistics)
    if weights == "imagenet":
        load_imagenet(backbone)
    elif weights is not None:
        raise CropnbError(f"weights are 'imagenet' or None, not {weights!r}")
    return backbone


def load_imagenet(backbone: Backbone) -> None:
    """Copy ImageNet weights into a backbone: from `$CROPNB_WEIGHTS`, else torchvision's own with
    its hash checked.
    """
    state = _imagenet_state(backbone.name)
    own = backbone.state_dict()
    renamed = {
        new: state[old]
        for old, new in _torchvision_names(backbone.name, state)
        if new in own and not _is_head(new)
    }
    missing = set(own) - set(renamed)
    if missing or any(own[key].shape != value.shape for key, value in renamed.items()):
        raise WeightsUnavailable(
            f"the ImageNet weights found for {backbone.name} are of another network: {missing}"
        )
    backbone.load_state_dict(renamed)


def fuse_for_inference(backbone: Backbone) -> Backbone:
    """A copy with each batch normalisation folded into the convolution before it: the same
    function, faster.
    """
    fused = copy.deepcopy(backbone).eval()
    for parent in list(fused.modules()):
        children = list(parent.named_children())
        for (first, convolution), (second, normalisation) in itertools.pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                # In torchvision's ResNet the children stand in the order in which they are applied
                # as well.
                setattr(parent, first, fuse_conv_bn_eval(convolution, normalisation))
                setattr(parent, second, nn.Identity())
    return fused


def _is_head(name: str) -> bool:
    return name.startswith("classifier.") or name.startswith("fc.")


def _imagenet_state(name: str) -> dict[str, Tensor]:
    local = os.environ.get("CROPNB_WEIGHTS")
    if local:
        path = Path(local) / f"{name}_imagenet.safetensors"
        if path.exists():
            try:
                return load_file(path)
            except (SafetensorError, OSError) as error:
                raise WeightsUnavailable(f"{path} is damaged ({error}); fetch it again") from error
    entry = (
        models.get_model_weights(name).DEFAULT
        if name != "mobilenet_v2"
        else models.MobileNet_V2_Weights.IMAGENET1K_V1
    )
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
    if not cached.exists() and not _may_download():
        raise WeightsUnavailable(
            f"ImageNet weights of {name}: not in $CROPNB_WEIGHTS ({local or 'unset'}) and not "
            "downloaded before. Set "
            "CROPNB_DOWNLOAD=1 to let torchvision fetch them, put the file there, or start at "
            "random (--init random)."
        )
    try:
        return entry.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"the ImageNet weights of {name} could not be fetched: {error}"
        ) from error


def _may_download() -> bool:
    # Nothing is fetched without having been asked for, and CROPNB_OFFLINE=1 forbids it even then.
    return os.environ.get("CROPNB_DOWNLOAD") == "1" and os.environ.get("CROPNB_OFFLINE") != "1"


def _units(name: str) -> list[tuple[nn.Module, int, int]]:
    """(module, stride of its output, its channels) of each unit, first to last."""
    if name == "mobilenet_v2":
        features = models.mobilenet_v2(weights=None).features
        strides = [2, 2, 4, 4, 8, 8, 8] + [16] * 7 + [32] * 4 + [32]
        channels = [32] + [block.out_channels for block in features[1:18]] + [1280]
        return list(zip(features, strides, channels, strict=True))
    if name == "vgg16":
        units, pending, stride, channels = [], [], 1, 3
        for layer in models.vgg16(weights=None).features:
            pending.append(layer)
            if isinstance(layer, nn.MaxPool2d):
                stride *= 2
            elif isinstance(layer, nn.Conv2d):
                channels = layer.out_channels
            elif isinstance(layer, nn.ReLU):
                # a kept feature map must not be changed by the layer after it
                layer.inplace = False
                units.append((nn.Sequential(*pending), stride, channels))
                pending = []
        return [*units, (nn.Sequential(*pending), stride, channels)]  # pool5
    if name == "resnet50":
        network = models.resnet50(weights=None)
        units = [(nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool), 4, 64)]
        for stage, stride in (
            (network.layer1, 4),
            (network.layer2, 8),
            (network.layer3, 16),
            (network.layer4, 32),
        ):
            units += [(block, stride, block.conv3.out_channels) for block in stage]
        return units
    raise CropnbError(f"no backbone {name!r}; there are {', '.join(NAMES)}")


def _cut_positions(strides: Sequence[int]) -> dict[str, int]:
    counts: dict[int, int] = {}
    positions = {}
    for index, stride in enumerate(strides):
        counts[stride] = counts.get(stride, 0) + 1
        positions[f"c{stride.bit_length() - 1}_{counts[stride]}"] = index
    return positions


def _torchvision_names(name: str, state: dict[str, Tensor]) -> list[tuple[str, str]]:
    """(torchvision's key, ours) pairs: the same modules, held in a list of units."""
    if name == "mobilenet_v2":
        return [(key, key.replace("features.", "units.", 1)) for key in state]
    if name == "vgg16":
        pairs, unit, offset = {}, 0, 0
        for index, layer in enumerate(models.vgg16(weights=None).features):
            pairs[str(index)] = f"units.{unit}.{index - offset}"
            if isinstance(layer, nn.ReLU):
                unit, offset = unit + 1, index + 1
        return [
            (key, f"{pairs[key.split('.')[1]]}.{key.split('.')[2]}")
            for key in state
            if key.startswith("features.")
        ]
    stem = {"conv1": "units.0.0", "bn1": "units.0.1"}
    first = {"layer1": 1, "layer2": 4, "layer3": 8, "layer4": 14}
    pairs = []
    for key in state:
        head, _, rest = key.partition(".")
        if head in stem:
            pairs.append((key, f"{stem[head]}.{rest}"))
        elif head in first:
            block, _, tail = rest.partition(".")
            pairs.append((key, f"units.{first[head] + int(block)}.{tail}"))
    return pairs
