"""Set prediction: all the good crops of a photo at once (Jia et al., CVPR 2022)."""

from cropnb.set_prediction.cropper import SetCropper, load_cropper
from cropnb.set_prediction.losses import Labels, set_loss
from cropnb.set_prediction.matching import (
    focal_loss,
    focal_minimum,
    hungarian_match,
    matching_costs,
)
from cropnb.set_prediction.model import Predictions, SetPredictionCropper, to_centred, to_corners
from cropnb.set_prediction.smoothing import (
    Smoothing,
    Teacher,
    estimate_quality,
    smooth_labels,
    soft_labels,
)

# what `cropnb methods` says
PURPOSE = "proposes a set of 90 crops, each with the probability that it is good"

__all__ = [
    "Labels",
    "Predictions",
    "SetCropper",
    "SetPredictionCropper",
    "Smoothing",
    "Teacher",
    "estimate_quality",
    "focal_loss",
    "focal_minimum",
    "hungarian_match",
    "load_cropper",
    "matching_costs",
    "set_loss",
    "smooth_labels",
    "soft_labels",
    "to_centred",
    "to_corners",
]
