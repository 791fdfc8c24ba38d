"""Mars: a network for every aspect ratio, its weights predicted from the ratio (Li et al., CVPR
2020).
"""

from pathlib import Path

from cropnb.mars import cropper
from cropnb.mars.cropper import (
    MapCrop,
    MarsCropper,
    Prediction,
    crops_from_maps,
    predict,
)
from cropnb.mars.losses import crop_masks, pixel_loss
from cropnb.mars.model import Mars, MarsForRatio
from cropnb.mars.ratio import MetaLearner, RatioEmbedding, RatioWeights, chosen_ratios

# what `cropnb methods` says
PURPOSE = (
    "predicts a network for your aspect ratio and cuts what it marks; without one, the photo's"
)

__all__ = [
    "MapCrop",
    "Mars",
    "MarsCropper",
    "MarsForRatio",
    "MetaLearner",
    "Prediction",
    "RatioEmbedding",
    "RatioWeights",
    "chosen_ratios",
    "crop_masks",
    "crops_from_maps",
    "load_cropper",
    "pixel_loss",
    "predict",
]


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> MarsCropper:
    """A trained Mars.

    Raises:
        WeightsUnavailable: there are no weights.
        CheckpointError: they are of another method, or damaged.
    """
    return cropper.load_cropper(weights, device)
