"""Asking GAIC and VRN for crops: they score any boxes of a photo, and choose among the grid
anchors.
"""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import backbones, candidates, croppers
from cropnb.gaic.views import prepare

# Grid anchors keep half of the photo or more. Of a required ratio the windows keep half of the
# largest one or more: smaller views are nothing that these networks have learned to judge.
SCALES = tuple(share / 100 for share in range(72, 101, 4))  # of each side of the largest window


class AnchorCropper:
    """A trained network, its batch normalisations folded into the convolutions, ready to score
    views.

    `score_boxes` takes a photo (3, H, W) in 0…1 of any size and boxes (N, 4) in its pixels and
    returns (N,); `candidates` are the grid anchors, or the windows of a required aspect ratio.
    """

    def __init__(
        self, name: str, model: nn.Module, card: dict, device: str | torch.device = "cpu"
    ) -> None:
        self.name, self.card, self.device = name, card, torch.device(device)
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
        """The score of each box, (N,), on the CPU; only scores of the same photo can be compared."""
        photo, views = prepare(image.to(self.device), boxes.to(self.device))
        features = self.model.features(photo[None].contiguous(memory_format=torch.channels_last))
        return self.model.view_scores(features, [views]).float().cpu()


def load(name: str, model: nn.Module, weights: str | Path | None, device: str) -> AnchorCropper:
    """Put trained weights into `model`, those of `weights` or those that come with the method,
    ready to crop.
    """
    return AnchorCropper(name, model, croppers.load_trained(name, model, weights), device)
