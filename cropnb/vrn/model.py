"""VRN: a feature splitter in front of two learners, one for the photo and one for its views.

Pan et al., "Discriminate clearer to rank better: image cropping by amplifying view-wise
differences" (ICIP 2022).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cropnb import roi
from cropnb.gaic.losses import MOS_MEAN
from cropnb.gaic.model import ALIGN, MultiScaleFeatures, ViewScorer


class FeatureSplitter(nn.Module):
    """Two features from one, with channel weights that add up to one (Fig. 3).

    Args:
        channels: C of the features.
        squeeze: how many times fewer channels lie between the two layers.
    """

    def __init__(self, channels: int, squeeze: int = 4) -> None:
        super().__init__()
        self.excite = nn.Sequential(
            nn.Linear(channels, channels // squeeze),
            nn.ReLU(),
            nn.Linear(channels // squeeze, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) → view-wise and image-wise feature, (B, C, h, w) each."""
        weights = self.view_weights(features)[:, :, None, None]  # (B, C, 1, 1)
        return weights * features, (1 - weights) * features

    def view_weights(self, features: Tensor) -> Tensor:
        """How much of each channel goes to the view-wise feature, (B, C) in 0…1."""
        return self.excite(features.mean(dim=(2, 3)))


class Vrn(nn.Module):
    """The whole network, and without the splitter the baseline of Table 2.

    With the splitter: the view-wise learner (RoIAlign and RoDAlign) predicts each view's score less
    the photo's mean, the image-wise learner (RoIAlign alone) the photo's mean. Without it: one
    learner predicts the score.

    Args:
        backbone: a name of `cropnb.backbones`.
        channels: of the features that the learners read.
        hidden: neurons of each learner's hidden layer.
        feature_splitter: False for the baseline.
        weights: "imagenet", or None for a random start.

    Raises:
        WeightsUnavailable: the backbone's weights can't be had, with the way to get them.
    """

    def __init__(
        self,
        backbone: str = "mobilenet_v2",
        channels: int = 32,
        hidden: int = 512,
        feature_splitter: bool = True,
        weights: str | None = "imagenet",
    ) -> None:
        super().__init__()
        self.features = MultiScaleFeatures(backbone, weights)
        self.reduce = nn.Conv2d(self.features.channels, channels, kernel_size=1)
        self.splitter = FeatureSplitter(channels) if feature_splitter else None
        self.view_learner = ViewScorer(channels, hidden)
        self.image_learner = (
            ViewScorer(channels, hidden, discard=False) if feature_splitter else None
        )
        # What predicts scores of 1…5 starts at their mean, so that training isn't spent on climbing
        # up to it.
        nn.init.constant_((self.image_learner or self.view_learner).rest[-1].bias, MOS_MEAN)

    def forward(self, images: Tensor, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The scores of views.

        Args:
            images: (B, 3, H, W) in 0…1.
            boxes: B tensors (N_b, 4) in pixels of the image.

        Returns:
            View-wise and image-wise scores, (ΣN_b,) each; without the splitter the scores and None.
        """
        return self.from_features(self.features(images), boxes)

    def from_features(
        self, features: Tensor, boxes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """The scores of `forward`, from multi-scale features (B, 448, h, w): a frozen backbone
        computes these once a photo.
        """
        reduced = self.reduce(features)  # (B, 32, h, w)
        if self.splitter is None:
            return self.view_learner(reduced, boxes), None
        view_feature, image_feature = self.splitter(reduced)
        # A channel's weight is the same everywhere, so weighting commutes with RoIAlign, which then
        # runs only once.
        roi_features = roi.roi_align(
            reduced, boxes, ALIGN, MultiScaleFeatures.stride
        )  # (ΣN, 32, 9, 9)
        weights = self.splitter.view_weights(reduced).repeat_interleave(
            torch.tensor([len(box) for box in boxes], device=roi_features.device), dim=0
        )[:, :, None, None]  # (ΣN, 32, 1, 1)
        view_scores = self.view_learner(view_feature, boxes, weights * roi_features)
        return view_scores, self.image_learner(image_feature, boxes, (1 - weights) * roi_features)

    def view_scores(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """What views are ranked by: inference drops the image-wise learner (Sec. 3.1).

        Args:
            features: (B, 448, h, w), of the backbone.
            boxes: B tensors (N_b, 4) in pixels of the image.

        Returns:
            (ΣN_b,), the higher the better.
        """
        reduced = self.reduce(features)
        if self.splitter is not None:
            reduced = self.splitter(reduced)[0]
        return self.view_learner(reduced, boxes)

    def drop_image_learner(self) -> "Vrn":
        """Without the image-wise learner, as it is shipped; `view_scores` stays the same."""
        self.image_learner = None
        return self
