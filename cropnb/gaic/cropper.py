"""Asking GAIC and VRN for crops: they score any boxes of a photo, and choose among the grid
anchors.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import backbones, candidates, croppers, guards
from cropnb.gaic.views import MULTIPLE, SHORT_SIDE
from cropnb.images import resize_short_side

# Grid anchors keep half of the photo or more. Of a required ratio the windows keep half of the
# largest one or more: smaller views are nothing that these networks have learned to judge.
SCALES = tuple(share / 100 for share in range(72, 101, 4))  # of each side of the largest window


class AnchorCropper:
    """A trained network, its batch normalisations folded into the convolutions, ready to score
    views.

    `score_boxes` takes a photo (3, H, W) in 0…1 of any size and boxes (N, 4) in its pixels and
    returns (N,); `candidates` are the grid anchors, or the windows of a required aspect ratio.
    Where the card names a `sharpness`, they are ranked by expected overlap in place of the score;
    see `croppers.preference`.
    """

    shared = True  # threads may ask it at a time

    def __init__(
        self, name: str, model: nn.Module, card: dict, device: str | torch.device = "cpu"
    ) -> None:
        self.name, self.card, self.device = name, card, torch.device(device)
        self.sharpness = guards.sharpness(card)
        self.model = copy.deepcopy(model).eval()
        self.model.features.backbone = backbones.fuse_for_inference(self.model.features.backbone)
        # Channels last is the order in which the convolutions read: half the time on a CPU.
        self.model.to(self.device, memory_format=torch.channels_last)

    def candidates(self, width: int, height: int, aspect: float | None = None) -> Tensor:
        """Grid anchors (at most 90), or windows of the ratio `aspect` = width / height; (N, 4) in
        pixels.
        """
        if aspect is None:
            return candidates.grid_anchors(width, height)
        return candidates.aspect_windows(width, height, aspect, scales=SCALES)

    @torch.inference_mode()
    def score_boxes(self, image: Tensor, boxes: Tensor) -> Tensor:
        """The score of each box, (N,), on the CPU; only those of one photo can be compared."""
        size = (image.shape[-1], image.shape[-2])
        return self.score_all([self.see(image)], [size], [boxes])[0]

    def see(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 at short side 256, both sides rounded to 32 pixels."""
        return resize_short_side(image.to(self.device), SHORT_SIDE, MULTIPLE).clamp(0, 1)

    @torch.inference_mode()
    def score_all(
        self, seen: Sequence[Tensor], sizes: Sequence[tuple[int, int]], boxes: Sequence[Tensor]
    ) -> list[Tensor]:
        """The scores (N,) of the boxes (N, 4) of each photo, in pixels of photos of these sizes
        (width, height), of which `see` made `seen`; those of one shape go through the backbone
        together.
        """
        scores: list[Tensor] = [torch.empty(0)] * len(seen)
        for places in croppers.by_shape(seen):
            photos = torch.stack([seen[place] for place in places])  # (B, 3, h, w)
            features = self.model.features(photos.contiguous(memory_format=torch.channels_last))
            views = [
                _resized(boxes[place], sizes[place], photos.shape[-2:]).to(self.device)
                for place in places
            ]
            flat = self.model.view_scores(features, views).float().cpu()  # (ΣN,)
            for place, own in zip(places, flat.split([len(view) for view in views]), strict=True):
                scores[place] = own
        return scores


def _resized(boxes: Tensor, size: tuple[int, int], shape: Sequence[int]) -> Tensor:
    """Boxes (N, 4) of a photo of this size (width, height), in pixels of its copy (H, W)."""
    return boxes * boxes.new_tensor([shape[1] / size[0], shape[0] / size[1]] * 2)


def load(name: str, model: nn.Module, weights: str | Path | None, device: str) -> AnchorCropper:
    """Put trained weights into `model`, those of `weights` or those that come with the method,
    ready to crop.
    """
    card = croppers.load_trained(name, model, weights)
    with guards.fields(weights or croppers.shipped(name, "scenes")):
        return AnchorCropper(name, model, card, device)
