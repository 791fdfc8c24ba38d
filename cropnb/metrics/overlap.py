"""How close a crop comes to a true one: IoU, boundary displacement, centre offset, set accuracy."""

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError, MetricError
from cropnb.metrics.counts import is_count


def bde(pred: Tensor, truth: Tensor, width: float, height: float) -> Tensor:
    """Boundary displacement error (...): the mean of the four edges' shifts, each as a share of the
    photo's side.

    LA2C's own (Eq. 6) lacks the division by the photo's width (x1, x2) and height (y1, y2); the
    values in its tables are divided. Papers also call it Disp, displacement or ADE.

    Args:
        pred: (..., 4) in pixels.
        truth: (..., 4), broadcast with it.

    Raises:
        BoxError: as `cropnb.boxes.check`.
    """
    pred = box_math.normalize(pred, width, height)
    truth = box_math.normalize(truth, width, height)
    return (pred - truth).abs().mean(-1)


def iou_and_bde(pred: Tensor, truths: Tensor, width: float, height: float) -> tuple[Tensor, Tensor]:
    """IoU and BDE of a crop against the true box that it overlaps best.

    Both numbers come from the same true box, that of the highest IoU (of those tied in IoU, the one
    of the lowest BDE).

    Args:
        pred: (..., 4) in pixels.
        truths: (..., M, 4) in pixels, M >= 1.
        width: of the photo, in pixels.
        height: of the photo, in pixels.

    Returns:
        IoU (...) and BDE (...), 0…1.

    Raises:
        BoxError: boxes that `cropnb.boxes.check` refuses, or no true box.
    """
    pred, truths = box_math.check(pred, name="pred"), box_math.check(truths, name="truths")
    if truths.ndim < 2 or truths.shape[-2] == 0:
        raise BoxError(
            f"truths have shape {tuple(truths.shape)}: give (..., M, 4) with at least one true box"
        )
    pred = pred.unsqueeze(-2).double()  # [..., 1, 4]
    overlap = box_math.iou(pred, truths.double())  # [..., M]
    shift = bde(pred, truths.double(), width, height)
    best = overlap.amax(-1)
    return best, shift.masked_fill(overlap < best.unsqueeze(-1), float("inf")).amin(-1)


def center_offset(pred: Tensor, truth: Tensor) -> Tensor:
    """Distance (...) in pixels between the centres of boxes (..., 4): column Offset of Mars' Tables
    1 to 7 (FAT).
    """
    return torch.linalg.vector_norm(box_math.centers(pred) - box_math.centers(truth), dim=-1)


def set_acc_1n(ranked_boxes: Tensor, best_box: Tensor, n: int, eps: float = 0.85) -> Tensor:
    """Set prediction's ACC 1/N (Eq. 7) of one photo: 1 where one of the first n boxes reaches
    IoU `eps`, else 0.

    Note the order of things: n counts predictions here, and annotations in `acc_kn`.

    Args:
        ranked_boxes: (P, 4), the best first; fewer than n are taken as they are.
        best_box: (4,), the *labelled* crop of the highest score, or (T, 4), any of which may be hit
            where several tie for best.
        n: predictions that count.
        eps: the IoU that is enough.

    Raises:
        BoxError: bad boxes.
        MetricError: a bad n or eps.
    """
    if not is_count(n) or not 0 < eps <= 1:
        raise MetricError(f"n is {n!r} and eps {eps}: n is at least 1, eps lies in 0…1")
    ranked_boxes = box_math.check(ranked_boxes, name="ranked_boxes").double()
    best_box = box_math.check(best_box, name="best_box").double().reshape(-1, 4)
    if ranked_boxes.ndim != 2:
        raise BoxError(
            f"ranked_boxes have shape {tuple(ranked_boxes.shape)}: give (P, 4), the best first"
        )
    return (box_math.pairwise_iou(ranked_boxes[:n], best_box) >= eps).any().double()


def expected_iou(boxes: Tensor, probabilities: Tensor, truths: Tensor | None = None) -> Tensor:
    """How much each box overlaps with a true box of which only the distribution is known.

    The likeliest box is rarely the one that overlaps most: among many that are about as likely,
    those in their middle overlap with all of them.

    Args:
        boxes: (N, 4).
        probabilities: (M,), of sum 1: how likely each of `truths` is the true box.
        truths: (M, 4), by default the boxes themselves.

    Returns:
        (N,).

    Raises:
        BoxError: as `cropnb.boxes.check`.
        MetricError: another number of probabilities than of truths.
    """
    truths = boxes if truths is None else truths
    probabilities = torch.as_tensor(probabilities)
    if probabilities.shape != truths.shape[:1]:
        raise MetricError(
            f"probabilities have shape {tuple(probabilities.shape)}: give one for each of the "
            f"{len(truths)} truths"
        )
    return box_math.pairwise_iou(boxes, truths) @ probabilities.to(boxes.dtype)
