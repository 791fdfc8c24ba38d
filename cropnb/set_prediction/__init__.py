"""Set prediction: all the good crops of a photo at once (Jia et al., CVPR 2022)."""

from cropnb.set_prediction.cropper import (
    CropPredictions,
    SetCropper,
    load_cropper,
    predict,
    set_accuracy,
)
from cropnb.set_prediction.labels import (
    CropPhotos,
    Labels,
    Smoothing,
    Teacher,
    estimate_quality,
    good_crops,
    smooth_labels,
    soft_labels,
)
from cropnb.set_prediction.losses import (
    focal_loss,
    focal_minimum,
    focal_miss,
    hungarian_match,
    matching_costs,
    set_loss,
)
from cropnb.set_prediction.model import Predictions, SetPredictionCropper, to_cxcywh, to_xyxy

# what `cropnb methods` says
PURPOSE = "proposes a set of 90 crops, each with the probability that it is good"

__all__ = [
    "CropPhotos",
    "CropPredictions",
    "Labels",
    "Predictions",
    "SetCropper",
    "SetPredictionCropper",
    "Smoothing",
    "Teacher",
    "estimate_quality",
    "focal_loss",
    "focal_minimum",
    "focal_miss",
    "good_crops",
    "hungarian_match",
    "load_cropper",
    "matching_costs",
    "predict",
    "set_accuracy",
    "set_loss",
    "smooth_labels",
    "soft_labels",
    "to_cxcywh",
    "to_xyxy",
]
