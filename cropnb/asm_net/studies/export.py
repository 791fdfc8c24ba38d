"""ASM-Net as one network, from the photo to the score map; windows are searched outside of it."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb import candidates, checkpoints, guards
from cropnb.asm_net import cropper
from cropnb.asm_net.model import MULTIPLE, SHORT_SIDE, AsmNet
from cropnb.export import Exported, Network


class ScoreMap(nn.Module):
    """A photo (1, 3, H, W) → its aesthetic score map (L, H / stride, W / stride)."""

    def __init__(self, model: AsmNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, photo: Tensor) -> Tensor:
        """What `AsmNet` gives, each depth scored before it is brought to the map's stride."""
        head, total = self.model.head, 0
        weights = head.convolution.weight.split(head.channels, dim=1)
        strides = self.model.backbone.strides
        levels = self.model.backbone(photo)
        for level, weight, stride in zip(levels, weights, strides, strict=True):
            scored = F.conv2d(level, weight)  # (1, L, H / stride of the level, W / …)
            if stride != self.model.stride:
                times = stride / self.model.stride
                scored = F.interpolate(scored, scale_factor=times, mode="bilinear")
            total = total + scored
        return (total + head.convolution.bias.view(-1, 1, 1))[0]


def parts(weights: Path) -> Exported:
    """ASM-Net of a checkpoint."""
    state, card = checkpoints.load_weights(weights, "asm_net")
    built = {name: card[name] for name in ("backbone", "pattern", "stride")}
    model = AsmNet(**built, weights=None).eval()
    checkpoints.load_into(model, state, weights)
    network = Network(
        "look",
        ScoreMap(model),
        {"photo": torch.rand(1, 3, 256, 384)},
        ("score_map",),
        {"photo": (2, 3), "score_map": (1, 2)},
    )
    sharpness = guards.sharpness(card)
    facts = {
        "kind": "score map",
        "short_side": SHORT_SIDE,
        "multiple": MULTIPLE,
        "cells": model.pattern.cells.tolist(),
        "sharpness": sharpness,
        "least_area": 0.0 if sharpness is None else candidates.LEAST_AREA,
        "best": cropper.BEST,
        "shift": cropper.SHIFT,
        "stretch": cropper.STRETCH,
    }
    return Exported([network], facts, card)
