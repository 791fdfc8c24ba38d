"""ASM-Net: a fully convolutional network that draws a map of scores, a channel for each partition
(Section 3.1).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropnb import backbones
from cropnb.asm_net import patterns
from cropnb.asm_net.patterns import Pattern
from cropnb.asm_net.pooling import composition_pool
from cropnb.errors import ImageError

# Which layers are joined is not printed. Ours: the last unit of the strides 8, 16 and 32, and for
# VGG16 the last convolution of its blocks 3, 4 and 5.
CUTS = {"mobilenet_v2": ("c3_3", "c4_7", "c5_4"), "vgg16": ("c2_3", "c3_3", "c4_3")}
MULTIPLE = 32  # a photo's sides are multiples of it, so that all depths agree on where a pixel lies


class AsmNet(nn.Module):
    """Photos (B, 3, H, W) in 0…1, sides multiples of 32 → aesthetic score maps (B, L, H / stride, W
    / stride).

    backbone: "vgg16", the paper's, or "mobilenet_v2". weights: "imagenet", or None for a random
        start. stride: 1 as in
        the paper makes a map of the photo's resolution, interpolated between features whose finest
        stride is 8 (VGG16: 4).
    Raises `WeightsUnavailable` when the backbone's weights are not here.
    """

    def __init__(
        self,
        backbone: str = "mobilenet_v2",
        pattern: str | Pattern = "cross_rectangle",
        weights: str | None = "imagenet",
        stride: int = 8,
    ) -> None:
        super().__init__()
        self.pattern, self.stride = patterns.find(pattern), stride
        self.backbone = backbones.build(backbone, CUTS[backbone], weights)
        self.head = ScoreHead(self.backbone.channels, self.pattern.partitions)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.levels(images), self.map_size(images))

    def levels(self, images: Tensor) -> list[Tensor]:
        """The feature maps of each depth, (B, C, H / 2ˣ, W / 2ˣ) each."""
        if images.shape[-1] % MULTIPLE or images.shape[-2] % MULTIPLE:
            raise ImageError(
                f"a photo of {tuple(images.shape)}: resize both sides to multiples of {MULTIPLE}"
            )
        return self.backbone(images)

    def map_size(self, images: Tensor) -> tuple[int, int]:
        """Height and width of the score map of photos (..., H, W)."""
        return images.shape[-2] // self.stride, images.shape[-1] // self.stride

    def score(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Crop-level scores of photos (B, 3, H, W) and boxes (B, N, 4) in their pixels: (B, N)."""
        return composition_pool(
            self(images), boxes, self.pattern, (images.shape[-1], images.shape[-2])
        )


class ScoreHead(nn.Module):
    """The 1 × 1 convolution of the joined features to L channels, done before they are upsampled
    and joined.

    A 1 × 1 convolution mixes channels and upsampling mixes places, both linearly: so each depth can
    be scored where it is small, and L channels be upsampled instead of hundreds. `joined_first` is
    the order of the paper.
    """

    def __init__(self, channels: Sequence[int], partitions: int) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.convolution = nn.Conv2d(sum(channels), partitions, kernel_size=1)

    def forward(self, levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Feature maps (B, C, h, w) of each depth → (B, L, height, width)."""
        weights = self.convolution.weight.split(self.channels, dim=1)
        scored = [
            functional.conv2d(level, weight) for level, weight in zip(levels, weights, strict=True)
        ]
        return sum(_upsample(level, size) for level in scored) + self.convolution.bias.view(
            -1, 1, 1
        )

    def joined_first(self, levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The same function in the paper's order: upsample, join, convolve."""
        return self.convolution(torch.cat([_upsample(level, size) for level in levels], dim=1))


def _upsample(level: Tensor, size: tuple[int, int]) -> Tensor:
    if level.shape[-2:] == size:
        return level
    return functional.interpolate(level, size, mode="bilinear", align_corners=False)
