"""Features of a region, and features of what the region leaves out: GAIC's RoIAlign and
RoDAlign (Sec. 3.3).

A crop is judged by what it keeps and by what it throws away. RoIAlign samples the feature map on a
regular grid inside the crop; RoDAlign samples the whole map on one grid and sets to zero what lies
inside the crop.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align as torchvision_roi_align

from cropnb.errors import BoxError

SAMPLES = 2  # sampling points along each side of a cell, as RoIAlign averages them


def roi_align(features: Tensor, boxes: Sequence[Tensor], size: int, stride: float) -> Tensor:
    """The region of interest: torchvision's RoIAlign with half-pixel alignment.

    Args:
        features: (B, C, h, w).
        boxes: B tensors (N_b, 4) in pixels of the photo.
        size: cells along each side.
        stride: pixels of the photo a feature.

    Returns:
        (ΣN_b, C, size, size).

    Raises:
        BoxError: there isn't one set of boxes a photo.
    """
    _check(features, boxes)
    boxes = [box.to(features.dtype) for box in boxes]
    return torchvision_roi_align(features, boxes, size, 1.0 / stride, SAMPLES, aligned=True)


def rod_align(features: Tensor, boxes: Sequence[Tensor], size: int, stride: float) -> Tensor:
    """The region of discard: the whole map on a `size` × `size` grid, zero inside of the crop.

    Each cell averages SAMPLES² points, and a point counts as discarded when it lies outside of the
    box.

    Args:
        features: (B, C, h, w).
        boxes: B tensors (N_b, 4) in pixels of the photo.
        size: cells along each side.
        stride: pixels of the photo a feature.

    Returns:
        (ΣN_b, C, size, size).

    Raises:
        BoxError: there isn't one set of boxes a photo.
    """
    _check(features, boxes)
    points, values = discard_samples(features, size, stride)  # (P, 2), (B, C, P)
    pooled = []
    for value, box in zip(values, boxes, strict=True):  # a loop over photos, never over boxes
        outside = discarded(points, box).to(value.dtype)  # (N, P)
        masked = value[None] * outside[:, None]  # (N, C, P)
        cells = masked.unflatten(2, (size, size, SAMPLES * SAMPLES))  # (N, C, size, size, S²)
        pooled.append(cells.mean(dim=4))
    return torch.cat(pooled)


def discard_samples(features: Tensor, size: int, stride: float) -> tuple[Tensor, Tensor]:
    """Where RoDAlign looks, and what it sees there before the crop is cut out; the same for every
    box of a photo.

    Args:
        features: (B, C, h, w).
        size: cells along each side.
        stride: pixels of the photo a feature.

    Returns:
        Points (P, 2) as x, y in pixels of the photo and values (B, C, P), with P = size² ·
        SAMPLES², the samples of one cell beside each other.
    """
    batch, channels, height, width = features.shape
    fine = size * SAMPLES
    # Bilinear interpolation to a grid SAMPLES times finer gives the points that RoIAlign of the
    # whole map averages.
    values = F.interpolate(features, (fine, fine), mode="bilinear", align_corners=False)
    values = values.reshape(batch, channels, size, SAMPLES, size, SAMPLES)
    # (B, C, size, size, S, S) → (B, C, P)
    values = values.permute(0, 1, 2, 4, 3, 5).reshape(batch, channels, -1)
    centre = (torch.arange(fine, device=features.device, dtype=features.dtype) + 0.5) / fine
    y, x = torch.meshgrid(centre * height * stride, centre * width * stride, indexing="ij")
    points = torch.stack([x, y], dim=-1).reshape(size, SAMPLES, size, SAMPLES, 2).transpose(1, 2)
    return points.reshape(-1, 2), values


def discarded(points: Tensor, boxes: Tensor) -> Tensor:
    """Which points (P, 2) lie outside of which boxes (N, 4): a boolean (N, P)."""
    x, y = points.to(boxes.dtype).unbind(dim=1)
    x1, y1, x2, y2 = boxes[:, :, None].unbind(dim=1)
    return ~((x >= x1) & (x <= x2) & (y >= y1) & (y <= y2))


def _check(features: Tensor, boxes: Sequence[Tensor]) -> None:
    if features.ndim != 4 or len(boxes) != len(features):
        raise BoxError(
            f"{len(boxes)} sets of boxes for features {tuple(features.shape)}: one set a photo is "
            "needed"
        )
    for box in boxes:
        if box.ndim != 2 or box.shape[1] != 4:
            raise BoxError(f"boxes of a photo have the shape (N, 4), not {tuple(box.shape)}")
