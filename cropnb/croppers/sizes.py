"""How large people draw boxes, whatever the photo shows."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Sizes are counted in steps of a twentieth, from 0.6 on: 0.575…0.625, …, 0.975…1.025.
STEP, FEWEST, STEPS = 0.05, 12, 9
# How often the people of FLMS drew a box of each of these sizes, in shares of all that are so
# large; from the annotations alone (`cropnb.teacher.prior.size_shares`, and a test computes them
# anew where FLMS is at hand).
PEOPLE = (0.0297, 0.0361, 0.0606, 0.0873, 0.1253, 0.1391, 0.1295, 0.0864, 0.3061)


def relative_size(boxes_norm: Tensor) -> Tensor:
    """A box's size as a share of the largest window of its ratio in the photo, (N,): the longer of
    its normalised sides.

    Args:
        boxes_norm: (N, 4).
    """
    return (boxes_norm[..., 2:] - boxes_norm[..., :2]).amax(dim=-1)


def size_steps(sizes: Tensor) -> Tensor:
    """The number of each size's step (N,), negative below the smallest."""
    return (sizes / STEP + 0.5).floor().long().clamp(max=FEWEST + STEPS - 1) - FEWEST


def log_size_weights(sizes: Tensor, shares: Sequence[float] = PEOPLE) -> Tensor:
    """What each window adds to the logarithm of its probability, (N,), so that each size as a whole
    is as likely as people draw it: of small windows there are many.

    Args:
        sizes: (N,) of all windows that may be drawn; below 0.575 nothing is likely.
        shares: of the sizes, nine.
    """
    steps = size_steps(sizes)
    counts = steps.clamp(min=0).bincount(minlength=STEPS).clamp(min=1)
    weights = torch.tensor(shares, device=sizes.device) / counts  # (9,)
    likely = torch.where(steps >= 0, weights[steps.clamp(min=0)], 0.0)
    return likely.clamp(min=1e-12).log()
