"""GAIC: a score for each of the 90 anchors, from what an anchor keeps and what it discards.

Zeng et al., "Reliable and efficient image cropping: a grid anchor based approach" (CVPR 2019). The
network under VRN, and the baseline of its tables.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb import backbones, roi

ALIGN = 9  # cells along each side of RoIAlign and RoDAlign
CUTS = {
    "mobilenet_v2": ("c3_3", "c4_7", "c5_4"),
    "vgg16": ("c2_3", "c3_3", "c4_3"),
    "resnet50": ("c3_4", "c4_6", "c5_3"),
}


class MultiScaleFeatures(nn.Module):
    """Feature maps of three depths, brought to 1/16 of the photo's resolution and joined.

    photos (B, 3, H, W) in 0…1, H and W multiples of 32 → (B, C, H / 16, W / 16), C = 448 for
    MobileNetV2.
    """

    stride = 16

    def __init__(self, backbone: str = "mobilenet_v2", weights: str | None = "imagenet") -> None:
        super().__init__()
        self.backbone = backbones.build(backbone, CUTS[backbone], weights)
        self.channels = sum(self.backbone.channels)

    def forward(self, images: Tensor) -> Tensor:
        """Photos (B, 3, H, W) → joined features (B, C, H / 16, W / 16)."""
        size = (images.shape[-2] // self.stride, images.shape[-1] // self.stride)
        return self.join(self.backbone(images), size)  # (B, 448, H/16, W/16)

    def from_stem(self, maps: Tensor, trunk: backbones.Trunk) -> Tensor:
        """The same from a map (B, C, h, w) of the backbone's stem, see `backbones.split`."""
        height, width = (side * trunk.stride // self.stride for side in maps.shape[-2:])
        return self.join(trunk(maps), (height, width))

    @staticmethod
    def join(maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The backbone's maps (B, Cᵢ, hᵢ, wᵢ) at one size, as (B, ΣCᵢ, h, w)."""
        return torch.cat(
            [
                level if level.shape[-2:] == size else F.interpolate(level, size, mode="bilinear")
                for level in maps
            ],
            dim=1,
        )


class ViewScorer(nn.Module):
    """One number for each view, from its RoIAlign feature and, unless switched off, its RoDAlign
    feature.

    features (B, channels, h, w), boxes: B tensors (N_b, 4) in pixels of the photo → (ΣN_b,).

    The first layer reads all cells of both features at once. Its RoDAlign half is a sum over
    sampling points that every view of the photo shares, each taken or left: so each point's share
    is computed once, and a view adds up the points outside of it. `score_densely` is the same sum
    written plainly, for tests and for reading.
    """

    def __init__(
        self, channels: int, hidden: int = 512, dropout: float = 0.5, discard: bool = True
    ) -> None:
        super().__init__()
        self.discard = discard
        self.keep = nn.Linear(channels * ALIGN * ALIGN, hidden)
        # The weights of the first layer for the discard half, a matrix a cell, started as `keep`
        # is.
        bound = (2 * channels * ALIGN * ALIGN) ** -0.5
        cells = torch.empty(ALIGN * ALIGN, channels, hidden).uniform_(-bound, bound)
        self.drop = nn.Parameter(cells) if discard else None
        self.rest = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 1)
        )

    def forward(
        self, features: Tensor, boxes: Sequence[Tensor], roi_features: Tensor | None = None
    ) -> Tensor:
        """Features (B, C, h, w) and the boxes (N, 4) of each photo → scores (ΣN,).

        Args:
            roi_features: the RoIAlign features (ΣN, C, 9, 9) of the boxes, where the caller has
                them already.
        """
        if roi_features is None:
            roi_features = roi.roi_align(
                features, boxes, ALIGN, MultiScaleFeatures.stride
            )  # (ΣN, C, 9, 9)
        hidden = self.keep(roi_features.flatten(1))  # (ΣN, hidden)
        if self.drop is not None:
            hidden = hidden + self._discarded(features, boxes)
        return self.rest(hidden).squeeze(1)

    def _discarded(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        # (P, 2), (B, C, P)
        points, values = roi.discard_samples(features, ALIGN, MultiScaleFeatures.stride)
        hidden = []
        for value, box in zip(values, boxes, strict=True):  # a loop over photos
            cells = value.unflatten(1, (ALIGN * ALIGN, -1)).permute(1, 2, 0)  # (81, S², C)
            # (P, hidden): what each point adds
            share = torch.bmm(cells, self.drop).flatten(0, 1) / roi.SAMPLES**2
            # (N, P) @ (P, hidden)
            hidden.append(roi.discarded(points, box).to(share.dtype) @ share)
        return torch.cat(hidden)

    def score_densely(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """The same scores from each view's RoDAlign feature: slower, and easier to follow."""
        hidden = self.keep(
            roi.roi_align(features, boxes, ALIGN, MultiScaleFeatures.stride).flatten(1)
        )
        if self.drop is not None:
            # (ΣN, C, 81)
            discarded = roi.rod_align(features, boxes, ALIGN, MultiScaleFeatures.stride).flatten(2)
            hidden = hidden + torch.einsum("nca,ack->nk", discarded, self.drop)
        return self.rest(hidden).squeeze(1)


class Gaic(nn.Module):
    """The whole network: multi-scale features, a 1 × 1 convolution to a few channels, and the view
    scorer.
    """

    def __init__(
        self,
        backbone: str = "mobilenet_v2",
        channels: int = 32,
        hidden: int = 512,
        weights: str | None = "imagenet",
    ) -> None:
        super().__init__()
        self.features = MultiScaleFeatures(backbone, weights)
        self.reduce = nn.Conv2d(self.features.channels, channels, kernel_size=1)
        self.score = ViewScorer(channels, hidden)

    def forward(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """photos (B, 3, H, W), B tensors (N_b, 4) → (ΣN_b,) scores, in deviations from the mean
        MOS.
        """
        return self.from_features(self.features(images), boxes)

    def from_features(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """The same from multi-scale features (B, 448, h, w), which a frozen backbone computes once
        a photo.
        """
        return self.score(self.reduce(features), boxes)

    def view_scores(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """What views are ranked by; for GAIC the predicted score itself."""
        return self.from_features(features, boxes)
