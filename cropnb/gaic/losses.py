"""GAIC's loss: a Huber loss on opinion scores that are brought to zero mean and unit deviation."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

MOS_MEAN, MOS_DEVIATION = 2.95, 0.8


def normalise(mos: Tensor) -> Tensor:
    """Mean opinion scores (N,) of 1…5 in deviations from the mean of the training set."""
    return (mos - MOS_MEAN) / MOS_DEVIATION


def gaic_loss(
    model: nn.Module, features: Tensor, boxes: list[Tensor], mos: Tensor
) -> Mapping[str, Tensor]:
    """GAIC's Huber loss with δ = 1 between predicted and normalised scores (Eq. 5).

    Args:
        model: the network.
        features: (1, C, h, w).
        boxes: one tensor (N, 4).
        mos: (N,), annotated scores.
    """
    return {"loss": F.huber_loss(model.from_features(features, boxes), normalise(mos))}
