"""VRN: ranking a photo's views by what differs between them (Pan et al., ICIP 2022)."""

from pathlib import Path

from cropnb.gaic import cropper
from cropnb.vrn.losses import ranking_gain, ranking_gain_loss, similarity, vrn_loss
from cropnb.vrn.model import FeatureSplitter, Vrn

# what `cropnb methods` says
PURPOSE = "scores some 90 views of the photo by what differs between them, and takes the best"

__all__ = [
    "FeatureSplitter",
    "Vrn",
    "load_cropper",
    "ranking_gain",
    "ranking_gain_loss",
    "similarity",
    "vrn_loss",
]


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> cropper.AnchorCropper:
    """A trained VRN without its image-wise learner, which inference drops (Sec. 3.1).

    Raises:
        WeightsUnavailable: there are no weights.
        CheckpointError: they are those of another method.
    """
    return cropper.load("vrn", Vrn(weights=None).drop_image_learner(), weights, device)
