"""Boxes: float tensors (..., 4) in x1, y1, x2, y2 pixels, x to the right, y down.

Everything here broadcasts over leading dimensions and is differentiable. Taught in
`book/foundations/crops.ipynb`.
"""

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cropnb.errors import BoxError


def check(
    boxes: Tensor | ArrayLike,
    *,
    width: float | None = None,
    height: float | None = None,
    name: str = "boxes",
) -> Tensor:
    """Boxes as a float tensor that is safe to compute with.

    Args:
        boxes: (..., 4) in pixels, a tensor, an array or nested lists.
        width: of the photo, where boxes may not leave it.
        height: of the photo, where boxes may not leave it.
        name: what the message calls them.

    Returns:
        (..., 4), floating point.

    Raises:
        BoxError: naming the first bad box, where the last dimension isn't 4, a coordinate isn't
            finite, a box is inverted or empty (x2 <= x1 or y2 <= y1), or leaves the photo.
    """
    try:
        boxes = torch.as_tensor(boxes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BoxError(
            f"{name} can't be read as numbers ({error}): give rows of x1, y1, x2, y2"
        ) from None
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise BoxError(
            f"{name} have shape {tuple(boxes.shape)}: the last dimension has to be 4 (x1, y1, x2, "
            "y2)"
        )
    if boxes.is_complex() or boxes.dtype == torch.bool:
        raise BoxError(f"{name} are {boxes.dtype}: give real numbers")
    if not boxes.is_floating_point():
        boxes = boxes.to(torch.get_default_dtype())
    x1, y1, x2, y2 = boxes.detach().unbind(-1)
    good = (x1 < x2) & (y1 < y2) & torch.isfinite(boxes.detach()).all(-1)
    if width is not None:
        good = good & (x1 >= 0) & (x2 <= width)
    if height is not None:
        good = good & (y1 >= 0) & (y2 <= height)
    if not bool(good.all()):
        _explain(boxes.detach().reshape(-1, 4), good.reshape(-1), width, height, name)
    return boxes


def _explain(
    boxes: Tensor, good: Tensor, width: float | None, height: float | None, name: str
) -> None:
    index = int((~good).nonzero()[0])
    x1, y1, x2, y2 = values = boxes[index].tolist()
    if not all(-float("inf") < value < float("inf") for value in values):
        reason = "has a coordinate that is not finite"
    elif x1 > x2 or y1 > y2:
        reason = "is inverted: the order is x1, y1, x2, y2 with x1 < x2 and y1 < y2"
    elif x1 == x2 or y1 == y2:
        reason = "is empty: x1 < x2 and y1 < y2 are needed"
    else:
        reason = f"leaves the photo of {width} x {height} pixels: use cropnb.boxes.clip first"
    raise BoxError(f"{name}: box {index} {[round(value, 4) for value in values]} {reason}")


def area(boxes: Tensor) -> Tensor:
    """Area (...) in square pixels of boxes (..., 4).

    Raises:
        BoxError: as `check`.
    """
    boxes = check(boxes)
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def aspect(boxes: Tensor) -> Tensor:
    """Aspect ratio (...), width over height, of boxes (..., 4).

    Raises:
        BoxError: as `check`.
    """
    boxes = check(boxes)
    return (boxes[..., 2] - boxes[..., 0]) / (boxes[..., 3] - boxes[..., 1])


def centers(boxes: Tensor) -> Tensor:
    """Centres (..., 2) as x, y in pixels of boxes (..., 4).

    Raises:
        BoxError: as `check`.
    """
    boxes = check(boxes)
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def intersection_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Areas (...) of the intersection and of the union of boxes (..., 4) that broadcast.

    Nothing is checked, and an empty box shares nothing: for the inside of a training step, where
    a check would make a GPU wait.
    """
    corner = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    intersection = corner.clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).prod(-1)
    return intersection, area_a + area_b - intersection


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union.

    Args:
        a: (..., 4) in pixels.
        b: (..., 4) in pixels; leading dimensions broadcast.

    Returns:
        (...) in 0…1.

    Raises:
        BoxError: as `check`, or where the leading dimensions don't broadcast.
    """
    a, b = _pair(a, b)
    intersection, union = intersection_and_union(a, b)
    return intersection / union


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every a with every b.

    Args:
        a: (..., N, 4) in pixels.
        b: (..., M, 4) in pixels.

    Returns:
        (..., N, M) in 0…1.

    Raises:
        BoxError: as `iou`.
    """
    a, b = check(a, name="a"), check(b, name="b")
    if a.ndim < 2 or b.ndim < 2:
        raise BoxError(
            f"pairwise_iou takes (..., N, 4) and (..., M, 4), not {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
    return iou(a.unsqueeze(-2), b.unsqueeze(-3))


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU (...), -1…1: IoU less the share of the common hull that neither box covers.

    Unlike IoU it has a gradient for boxes that don't touch (Rezatofighi et al. 2019).

    Args:
        a: (..., 4) in pixels.
        b: (..., 4) in pixels; leading dimensions broadcast.

    Raises:
        BoxError: as `iou`.
    """
    a, b = _pair(a, b)
    intersection, union = intersection_and_union(a, b)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return intersection / union - (hull - union) / hull


def _pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    a, b = check(a, name="a"), check(b, name="b")
    try:
        torch.broadcast_shapes(a.shape, b.shape)
    except RuntimeError:
        raise BoxError(
            f"boxes of shape {tuple(a.shape)} and {tuple(b.shape)} don't broadcast: use "
            "pairwise_iou for all pairs"
        ) from None
    return a, b


def _size(width: float, height: float) -> tuple[float, float]:
    if not (0 < width < float("inf") and 0 < height < float("inf")):
        raise BoxError(
            f"a photo of {width} x {height} pixels has no inside: both sides have to be above 0"
        )
    return width, height


def _scale(boxes: Tensor, width: float, height: float) -> Tensor:
    width, height = _size(width, height)
    return boxes.new_tensor([width, height, width, height])


def normalize(boxes: Tensor, width: float, height: float) -> Tensor:
    """Boxes (..., 4) in pixels -> the same with x divided by `width` and y by `height`. BoxError as
    `check`.
    """
    boxes = check(boxes)
    return boxes / _scale(boxes, width, height)


def denormalize(boxes_norm: Tensor, width: float, height: float) -> Tensor:
    """The way back from `normalize`: boxes (..., 4) in 0…1 -> pixels. BoxError as `check`."""
    boxes_norm = check(boxes_norm, name="boxes_norm")
    return boxes_norm * _scale(boxes_norm, width, height)


def clip(boxes: Tensor, width: float, height: float) -> Tensor:
    """Boxes (..., 4) cut off at the borders of the photo.

    Raises:
        BoxError: as `check`, or where nothing is left inside.
    """
    boxes = check(boxes)
    limit = _scale(boxes, width, height)
    return check(
        torch.minimum(boxes.clamp(min=0), limit), name="boxes cut off at the photo's border"
    )
