"""GAIC: grid anchors scored by what they keep and what they discard (Zeng et al., CVPR 2019)."""

from pathlib import Path

from cropnb.gaic import cropper
from cropnb.gaic.losses import gaic_loss
from cropnb.gaic.model import Gaic, MultiScaleFeatures, ViewScorer

# what `cropnb methods` says
PURPOSE = "scores some 90 views by what each keeps and leaves out; VRN was measured against it"

__all__ = ["Gaic", "MultiScaleFeatures", "ViewScorer", "gaic_loss", "load_cropper"]


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> cropper.AnchorCropper:
    """A trained GAIC.

    Args:
        weights: a file, or None for those that ship.
        device: where it runs.

    Raises:
        WeightsUnavailable: there are no weights.
        CheckpointError: they are another method's.
    """
    return cropper.load("gaic", Gaic(weights=None), weights, device)
