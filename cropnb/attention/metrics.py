"""How well a map of attention tells where people looked: the three measures of the field's
benchmarks (Bylinskii et al., «What do different evaluation metrics tell us about saliency
models?», 2019).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def at_fixations(attention: Tensor, fixations: Tensor, mode: str = "bilinear") -> Tensor:
    """A map's values at fixations, (F,).

    Args:
        attention: (h, w).
        fixations: (F, 2 or more), x and y as shares of the photo's width and height.
        mode: "bilinear" between cells, or the value of the "nearest" cell as it is.
    """
    grid = fixations[None, None, :, :2] * 2 - 1  # (1, 1, F, 2)
    return F.grid_sample(
        attention[None, None].float(),
        grid.float(),
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )[0, 0, 0]


def nss(attention: Tensor, fixations: Tensor) -> float:
    """Normalised scanpath saliency: the mean value at fixations of the map scaled to mean 0 and
    deviation 1. Chance is 0; a constant map has 0.
    """
    deviation = attention.std(correction=0)
    if deviation == 0:
        return 0.0
    return float(at_fixations((attention - attention.mean()) / deviation, fixations).mean())


def auc_judd(attention: Tensor, fixations: Tensor) -> float:
    """Area under the curve of hits (share of fixations above a threshold) over false alarms (share
    of all cells above it), thresholds at the fixations' values. Chance is 0.5.
    """
    # Cells as they are, so that equal ones stay equal.
    values = at_fixations(attention, fixations, "nearest")  # (F,)
    thresholds = values.sort(descending=True).values  # (F,); equal ones give the same point
    hits, alarms = _share_above(values, thresholds), _share_above(attention, thresholds)
    return float(torch.trapezoid(hits, alarms))


def _share_above(values: Tensor, thresholds: Tensor) -> Tensor:
    """The share of values at or above each threshold (F,), between a 0 and a 1: (F + 2,)."""
    ordered = values.flatten().sort().values
    below = torch.searchsorted(ordered, thresholds.contiguous())  # (F,)
    return torch.cat([torch.zeros(1), 1 - below / len(ordered), torch.ones(1)])


def divergence(density: Tensor, truth: Tensor) -> float:
    """Kullback-Leibler divergence of a density (h, w) from people's (h, w), in nats; 0 at best."""
    density, truth = density.double(), truth.double()
    density = (density / density.sum()).clamp(min=1e-12)
    truth = truth / truth.sum()
    return float(torch.xlogy(truth, truth / density).sum())
