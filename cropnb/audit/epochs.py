"""What it is worth to choose the epoch by its test score, as the public code of the field does."""

from typing import NamedTuple

import torch
from torch import Tensor

from cropnb.errors import MetricError


class Selection(NamedTuple):
    """The test score of three epochs of one run: the last, the best on validation, the best on
    test.
    """

    last: float
    best_on_validation: float
    best_on_test: float


def selection(validation: Tensor, test: Tensor) -> Selection:
    """The test score that each way of choosing an epoch reports. Of equally good epochs the first
    is taken.

    Args:
        validation: the score (epochs,) after each epoch, higher is better.
        test: the same of the test photos.

    Raises:
        MetricError: there is no epoch, or a score is missing.
    """
    validation, test = torch.as_tensor(validation).double(), torch.as_tensor(test).double()
    if validation.shape != test.shape or validation.ndim != 1 or not len(test):
        raise MetricError(
            f"scores have the shapes {tuple(validation.shape)} and {tuple(test.shape)}: (epochs,) "
            "both"
        )
    if not (torch.isfinite(validation).all() and torch.isfinite(test).all()):
        raise MetricError("an epoch has no score: finish the run first")
    return Selection(float(test[-1]), float(test[validation.argmax()]), float(test.max()))
