"""The agent (Sec. 3.3): MobileNetV2, then two linear layers side by side, for the actions and for
the value.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb import backbones

CUT = "c5_5"  # MobileNetV2 without its last layer
SHARED_CUT = "c4_7"  # where the features of a whole photo are taken from, 1/16 of its resolution
HIDDEN = 256  # of the LSTM; the paper gives no size

# Of the LSTM its hidden state and its cell, (B, HIDDEN) each. With the whole photo beside the crop
# further (B, C · grid²), its feature map, and (B, 1), whether it was seen yet.
Memory = tuple[Tensor, ...] | None


class PolicyOutput(NamedTuple):
    """What the agent makes of crops: logits (B, A) of the actions, value (B,), the memory of the
    LSTM (or None).
    """

    logits: Tensor
    value: Tensor
    memory: Memory


class Agent(nn.Module):
    """Policy and value of the current crop.

    Args:
        actions: how many there are, nine for LA2C, fourteen for A2-RL.
        lstm: put an LSTM between the features and the heads, as LA2C-LSTM does.
        whole: the LSTM sees the features of the whole photo beside those of the crop, as A2-RL's
            does. The whole photo is the first crop of an episode, and stays in the memory.
        weights: "imagenet", or None for a random start.
        shared: the backbone sees the whole photo once, and the agent a crop of its feature map at
            every step (`grid` × `grid` places), instead of a crop of the photo that goes through
            the backbone again. This is no part of the paper: it makes a step hundreds of times
            cheaper, and is what a CPU can train.
        grid: the heads see the feature map averaged to so many places each way; 1 is MobileNetV2's
            own pooling.
        neck: units of a layer before the heads (or the LSTM), 0 for none.
        dropout: the share of the features that is hidden from what follows, in training only.
        narrow: channels that each place of the feature map is brought down to by a layer of its
            own, the same one at every place; 0 for none.
        mirror: `ActionSet.mirror()`. With it the agent looks at a crop's feature map and at its
            mirror image, and answers with the mean of both: it crops the mirror image of a photo
            as it crops the photo. An LSTM remembers both views.

    Raises:
        ValueError: `whole` without `lstm`.
    """

    def __init__(
        self,
        actions: int = 9,
        lstm: bool = False,
        whole: bool = False,
        weights: str | None = "imagenet",
        shared: bool = False,
        grid: int | None = None,
        neck: int = 0,
        dropout: float = 0.0,
        narrow: int = 0,
        mirror: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if whole and not lstm:
            raise ValueError("the whole photo is remembered beside an LSTM's state: give lstm=True")
        mirror = None if mirror is None else torch.tensor(mirror)
        self.register_buffer("mirror", mirror, persistent=False)
        self.dropout = dropout
        self.fused = False  # `for_inference` has been here
        self.shared, self.grid = shared, grid or (6 if shared else 1)
        self.backbone = backbones.build("mobilenet_v2", [SHARED_CUT if shared else CUT], weights)
        channels = self.backbone.channels[0]
        self.narrow = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.ReLU()) if narrow else None
        self.whole = whole
        width = (narrow or channels) * self.grid**2 * (2 if whole else 1)
        self.neck = nn.Sequential(nn.Linear(width, neck), nn.ReLU()) if neck else None
        width = neck or width
        self.lstm = nn.LSTMCell(width, HIDDEN) if lstm else None
        self.policy = nn.Linear(HIDDEN if lstm else width, actions)
        self.value = nn.Linear(HIDDEN if lstm else width, 1)
        # every action is equally likely at first, and worth nothing
        for head in (self.policy, self.value):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, observations: Tensor, memory: Memory = None) -> PolicyOutput:
        """What the agent would do, and expects.

        Args:
            observations: (B, 3, H, W) crops, bytes or floats in 0…1; for a shared backbone
                (B, C, grid, grid) crops of its maps.
            memory: that of the last output, None at first.
        """
        maps = observations if self.shared else self.feature_maps(observations)
        return self.act(maps, memory)

    def feature_maps(self, images: Tensor) -> Tensor:
        """Feature maps (B, C, H', W') of images (B, 3, H, W), bytes or floats in 0…1."""
        images = images.float() / 255 if images.dtype == torch.uint8 else images
        return self.backbone(images.contiguous(memory_format=torch.channels_last))[0]

    def act(self, maps: Tensor, memory: Memory = None) -> PolicyOutput:
        """The two heads on feature maps (B, C, h, w) of crops."""
        if maps.shape[-2:] != (self.grid, self.grid):
            maps = F.adaptive_avg_pool2d(maps, self.grid)
        if self.mirror is None:
            return self._output(maps, memory)
        if memory is not None:  # a row a crop, (B, 2 · HIDDEN), both views side by side
            memory = tuple(torch.cat(part.chunk(2, -1)) for part in memory)  # (2 B, HIDDEN) each
        # (2 B, A), (2 B,)
        logits, values, memory = self._output(torch.cat([maps, maps.flip(-1)]), memory)
        (logits, mirrored), values = logits.chunk(2), values.view(2, -1)
        if memory is not None:
            memory = tuple(torch.cat(part.chunk(2), -1) for part in memory)
        return PolicyOutput((logits + mirrored[:, self.mirror]) / 2, values.mean(0), memory)

    def _output(self, maps: Tensor, memory: Memory) -> PolicyOutput:
        """The heads on maps as they are, (B, C, grid, grid)."""
        features, photo = self._read(maps), None  # (B, C' · grid²)
        if self.whole:
            photo = self._first(maps, memory)
            features = torch.cat([self._read(photo[0].view_as(maps)), features], 1)
        if self.neck is not None:
            features = self.neck(features)
        state = ()
        if self.lstm is not None:
            state = self.lstm(features, None if memory is None else memory[:2])
            features = state[0]
        memory = (*state, *(photo or ()))
        return PolicyOutput(self.policy(features), self.value(features).squeeze(-1), memory or None)

    def _read(self, maps: Tensor) -> Tensor:
        """What the layers before the heads see of a map, (B, C, grid, grid) → (B, C' · grid²)."""
        if self.dropout:
            maps = F.dropout(maps, self.dropout, self.training)
        if self.narrow is not None:
            maps = self.narrow(maps)
        return maps.flatten(1)

    def _first(self, maps: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The map that each episode began with, (B, C · grid²), and that it was seen, (B, 1)."""
        # It is remembered as a fact: no gradient goes back to the first step.
        now = maps.detach().flatten(1)
        if memory is not None:
            photo, seen = memory[-2:]
            now = torch.where(seen > 0, photo, now)
        return now, torch.ones_like(now[:, :1])

    def for_inference(self) -> "Agent":
        """A copy with its batch normalisations folded into the convolutions: the same answers,
        faster.
        """
        if self.fused:
            return self
        fused = copy.deepcopy(self).eval().requires_grad_(False)
        fused.fused = True
        fused.backbone = backbones.fuse_for_inference(fused.backbone)
        return fused.to(memory_format=torch.channels_last)


def reset_memory(memory: Memory, ended: Tensor) -> Memory:
    """The memory (B, ...) with nothing in it where an episode ended (B,)."""
    if memory is None:
        return None
    return tuple(torch.where(ended[:, None], 0.0, part) for part in memory)
