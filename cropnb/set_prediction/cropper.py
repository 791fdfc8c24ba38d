"""Asking the set predictor for crops: it proposes all of its anchors' boxes, each with its
validity.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cropnb import backbones, croppers, guards
from cropnb.set_prediction.data import resize_to
from cropnb.set_prediction.fitting import ranked
from cropnb.set_prediction.model import SetPredictionCropper

LEAST = 1.0  # pixels that a proposed crop is wide and high at least


class SetCropper:
    """A trained network, its batch normalisations folded into the convolutions, ready to propose
    crops.

    The network sees the photo at the short side that it was trained with, which its card tells.
    """

    name = "set_prediction"
    shared = True  # threads may ask it at a time

    def __init__(
        self, model: SetPredictionCropper, card: dict, device: str | torch.device = "cpu"
    ) -> None:
        self.card, self.device = card, torch.device(device)
        self.side = int(card["profile"]["test_side"])
        self.model = copy.deepcopy(model).eval()
        self.model.backbone = backbones.fuse_for_inference(self.model.backbone)
        # Channels last is the order in which the convolutions read: half the time on a CPU.
        self.model.to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, Tensor]:
        """A photo (3, H, W) in 0…1 → 90 boxes (Q, 4) in its pixels and their validities (Q,), the
        most valid first.

        The network is free of ratios: of a required one (width / height) it gives the largest
        window of that ratio in each of its crops, centred there.
        """
        size = (image.shape[-1], image.shape[-2])
        return self.propose_all([self.see(image)], [size], [aspect])[0]

    def see(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 at the short side that the network was trained with."""
        return resize_to(image.to(self.device), self.side)

    @torch.inference_mode()
    def propose_all(
        self,
        seen: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        aspects: Sequence[float | None],
    ) -> list[tuple[Tensor, Tensor]]:
        """`propose` for photos of these sizes (width, height), of which `see` made `seen`; those of
        one shape go through the network together.
        """
        answers: list[tuple[Tensor, Tensor]] = [(torch.empty(0, 4), torch.empty(0))] * len(seen)
        for places in croppers.by_shape(seen):
            photos = torch.stack([seen[place] for place in places])  # (B, 3, h, w)
            predictions = self.model(photos.contiguous(memory_format=torch.channels_last))
            for place, crops in zip(places, ranked(predictions), strict=True):
                boxes, aspect = _in_pixels(crops.corners, *sizes[place]), aspects[place]
                boxes = boxes if aspect is None else windows_within(boxes, aspect)
                answers[place] = boxes, crops.validity
        return answers


def windows_within(boxes: Tensor, aspect: float) -> Tensor:
    """The largest window of a ratio in each box (N, 4), with the same centre: (N, 4)."""
    centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    across = torch.minimum(sides[:, 0], sides[:, 1] * aspect)
    half = torch.stack([across, across / aspect], dim=1) / 2
    return torch.cat([centre - half, centre + half], dim=1)


def _in_pixels(corners: Tensor, width: int, height: int) -> Tensor:
    """Corners (N, 4) divided by the sides → pixels, each box at least a pixel wide and high and
    inside the photo.
    """
    size = corners.new_tensor([width, height])
    first = torch.minimum((corners[:, :2] * size).clamp(min=0), size - LEAST)
    second = torch.minimum(torch.maximum(corners[:, 2:] * size, first + LEAST), size)
    return torch.cat([first, second], dim=1)


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> SetCropper:
    """The light model with trained weights, those of `weights` or those that come with the method.

    Raises `WeightsUnavailable` without weights, `CheckpointError` for those of another method or
    another model.
    """
    model = SetPredictionCropper.light(None)
    card = croppers.load_trained("set_prediction", model, weights)
    with guards.fields(weights or croppers.shipped("set_prediction")):
        guards.whole(card["profile"], "test_side", 32, 4096)
    return SetCropper(model, card, device)
