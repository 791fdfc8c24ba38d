"""The networks that see the photo: MobileNetV2, VGG16 and ResNet50, cut where the papers cut them.

A cut is named as in Table 1 of Mars: `c4_6` is the sixth unit whose output has 1/2⁴ of the photo's
resolution. A unit is an inverted residual block of MobileNetV2, a convolution of VGG16, a
bottleneck of ResNet50; the stem counts as a unit of its resolution. Mars' pool5 of VGG16 is `c5_1`.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torchvision import models

from cropnb.errors import CropnbError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
Module = TypeVar("Module", bound=nn.Module)
NAMES = ("mobilenet_v2", "vgg16", "resnet50")


class Backbone(nn.Module):
    """A convolutional network up to its deepest requested cut.

    `forward` takes photos (B, 3, H, W) in 0…1, normalises them as ImageNet training did, and
    returns one feature map (B, C, H / 2ˣ, W / 2ˣ) for each cut `cx_y`, in the order of `cuts`.

    `train_statistics=False` keeps every batch normalisation at its running mean and variance, also
    in training: a batch of one photo, which GAIC and VRN train with, has no statistics worth
    learning.

    Raises:
        CropnbError: there is no such network, it has no such cut, or none is named.
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
        self._cut_positions = positions
        self._unit_strides = [stride for _, stride, _ in units]
        self.units = nn.ModuleList(
            unit for unit, _, _ in units[: max(positions[cut] for cut in cuts) + 1]
        )
        self.positions = [positions[cut] for cut in cuts]
        self.channels = tuple(units[index][2] for index in self.positions)
        self.strides = tuple(units[index][1] for index in self.positions)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Photos (B, 3, H, W) in 0…1 → one map (B, C, H / 2ˣ, W / 2ˣ) a cut."""
        x = (images - self.mean) / self.deviation  # (B, 3, H, W)
        maps = []
        for unit in self.units:
            x = unit(x)
            maps.append(x)
        return [maps[index] for index in self.positions]

    def train(self, mode: bool = True) -> "Backbone":
        """As PyTorch's; batch normalisations stay in evaluation mode without `train_statistics`."""
        super().train(mode)
        return self if self.train_statistics else hold_statistics(self)

    def position(self, cut: str) -> int:
        """The number of the unit whose output is called `cut`, counted from 0.

        Raises:
            CropnbError: there is no such cut among this backbone's units.
        """
        position = self._cut_positions.get(cut, len(self.units))
        if position >= len(self.units):
            there = [name for name, at in self._cut_positions.items() if at < len(self.units)]
            raise CropnbError(f"this {self.name} has no cut {cut}; it has {', '.join(there)}")
        return position

    def stride_of(self, cut: str) -> int:
        """The photo's pixels a cell of the map called `cut`; errors as `position`."""
        return self._unit_strides[self.position(cut)]


def hold_statistics(module: Module) -> Module:
    """Keep every batch normalisation at its running mean and variance, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    return module


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
