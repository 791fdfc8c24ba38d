"""What the readout learns from: fixations as a density, masks as shares of cells."""

import torch
import torch.nn.functional as F
from torch import Tensor

# The eye sees sharply within about a degree of its line; at the distance from which the viewers
# looked that is about 3 % of the photo's long side.
BLUR = 0.03


def gaze_density(fixations: Tensor, width: int, height: int, blur: float = BLUR) -> Tensor:
    """How likely people look at each cell of a map.

    Each fixation counts the same, as in the benchmarks of the field, and is spread by a Gaussian.

    Args:
        fixations: (F, 2 or more), x and y as shares of the photo's width and height.
        width: of the map, in cells; the cells are about square.
        height: of the map.
        blur: standard deviation of the Gaussian, as a share of the map's long side.

    Returns:
        (height, width), whose sum is 1; uniform without fixations.
    """
    if not len(fixations):
        return torch.full((height, width), 1 / (width * height))
    deviation = blur * max(width, height)
    across = _gaussians(fixations[:, 0] * width, width, deviation)  # (F, width)
    down = _gaussians(fixations[:, 1] * height, height, deviation)  # (F, height)
    density = torch.einsum("fh,fw->hw", down, across)  # (height, width)
    return density / density.sum()


def _gaussians(centers: Tensor, cells: int, deviation: float) -> Tensor:
    """A Gaussian's mass in each cell of an axis, (F, cells); none is lost beyond the border."""
    edges = torch.arange(cells + 1, dtype=torch.float32)
    below = torch.special.ndtr((edges - centers[:, None]) / max(deviation, 1e-3))  # (F, cells + 1)
    mass = below.diff(dim=1)
    return mass / mass.sum(1, keepdim=True).clamp(min=1e-12)


def center_prior(densities: Tensor) -> Tensor:
    """Where people look whatever the photo shows: the mean of training densities (P, h, w), made
    symmetric, (h, w).
    """
    mean = densities.mean(0)
    return (mean + mean.flip(-1)) / 2


def salient_mask(mask: Tensor, width: int, height: int) -> Tensor:
    """A mask of any size as the share of each cell of a map that it covers.

    Args:
        mask: (h, w) in 0…1 over the whole photo.

    Returns:
        (height, width) in 0…1.
    """
    return F.adaptive_avg_pool2d(mask[None], (height, width))[0]
