"""A small readout of MobileNetV2's features: where people look, and what stands out from its
ground.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CUTS = ("c3_3", "c4_4", "c4_7", "c5_4")  # strides 8, 16, 16, 32
CHANNELS = (32, 64, 96, 320)
SHORT_SIDE, MULTIPLE = 256, 32


class AttentionReadout(nn.Module):
    """Features of four depths, brought to one resolution, and three convolutions.

    `forward` takes the maps of `CUTS`, each (B, C, h, w), and returns logits (B, 2, H / 16,
    W / 16): of the gaze, whose softmax over the cells is a density, and of the salient mask,
    whose sigmoid is the share of a cell that it covers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(sum(CHANNELS), 48, 1)
        self.blend = nn.Conv2d(48, 16, 3, padding=1)
        self.out = nn.Conv2d(16, 2, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C, h, w) of four depths → logits (B, 2, H / 16, W / 16) of the gaze and of the
        mask.
        """
        size = maps[1].shape[-2:]
        levels = [_to_size(level, size) for level in maps]  # (B, C, h, w) each
        x = torch.cat(levels, dim=1)  # (B, 512, h, w)
        x = F.relu(self.mix(x))  # (B, 48, h, w)
        x = F.relu(self.blend(x))  # (B, 16, h, w)
        return self.out(x)  # (B, 2, h, w)


def _to_size(level: Tensor, size: Sequence[int]) -> Tensor:
    """A finer map averaged, a coarser one interpolated."""
    if level.shape[-1] > size[-1]:
        return F.adaptive_avg_pool2d(level, tuple(size))
    if level.shape[-2:] != tuple(size):
        return F.interpolate(level, size=tuple(size), mode="bilinear", align_corners=False)
    return level


def gaze_of(logits: Tensor) -> Tensor:
    """Densities (B, h, w), each of sum 1, from the readout's logits (B, 2, h, w)."""
    return logits[:, 0].flatten(1).softmax(1).view_as(logits[:, 0])


def mask_of(logits: Tensor) -> Tensor:
    """Salient masks (B, h, w) in 0…1 from the readout's logits (B, 2, h, w)."""
    return logits[:, 1].sigmoid()


def attention_map(gaze: Tensor, mask: Tensor, size: int = 32) -> Tensor:
    """What the layout network is shown in place of object boxes: gaze and mask, half and half.

    Args:
        gaze: (B, h, w), densities.
        mask: (B, H, W) in 0…1; of another size than the gaze, if need be.
        size: cells of the map in both directions; a cell is stretched as the photo is.

    Returns:
        (B, size, size), the largest value of each is 1; all 0 where both are 0.
    """
    parts = [_largest_one(_to_size(part[:, None], (size, size))[:, 0]) for part in (gaze, mask)]
    return _largest_one(parts[0] + parts[1])


def _largest_one(maps: Tensor) -> Tensor:
    """Maps (B, h, w) scaled so that the largest value of each is 1."""
    return maps / maps.amax((1, 2), keepdim=True).clamp(min=1e-12)
