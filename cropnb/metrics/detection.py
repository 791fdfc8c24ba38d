"""Average precision as COCO defines it, on the boxes of many photos at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import MetricError

RECALLS = np.linspace(0, 1, 101)


def average_precision(
    predictions: Sequence[tuple[Tensor, Tensor]],
    truths: Sequence[Tensor],
    iou_threshold: float,
    max_detections: int,
) -> float:
    """Average precision, 0…1: precision averaged over 101 recalls, as COCO's own program computes it.

    predictions: for each photo its boxes (N, 4) and scores (N,); truths: for each photo its true boxes (M, 4); N and M
    may be 0. Of each photo the `max_detections` best-scored boxes count. In that order each takes the free true box
    of the highest IoU, if it reaches `iou_threshold` (of equal ones the last). Equal scores keep the order given.
    NaN where no photo has a true box. Set prediction's Table 2 prints it for 5, 10 and 40 detections.
    Raises BoxError for bad boxes, MetricError where lengths differ or a score is NaN.
    """
    if len(predictions) != len(truths):
        raise MetricError(
            f"{len(predictions)} photos have predictions and {len(truths)} truths: one entry each a photo"
        )
    if max_detections < 1 or not 0 < iou_threshold <= 1:
        raise MetricError(f"max_detections is {max_detections}, iou_threshold {iou_threshold}: at least 1, in 0…1")
    ranked = [_ranked(boxes, scores, max_detections) for boxes, scores in predictions]
    truths = [box_math.check(boxes, name="truths").double().reshape(-1, 4) for boxes in truths]
    total = sum(map(len, truths))
    if total == 0:
        return float("nan")
    hits = _matches([boxes for boxes, _ in ranked], truths, iou_threshold)
    scores = torch.cat([scores for _, scores in ranked])
    return _area(hits[scores.argsort(descending=True, stable=True)].numpy(), total)


def _ranked(boxes: Tensor, scores: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    boxes = box_math.check(boxes, name="predicted boxes").double().reshape(-1, 4)
    scores = torch.as_tensor(scores).detach().double().flatten()
    if len(scores) != len(boxes):
        raise MetricError(f"{len(boxes)} predicted boxes have {len(scores)} scores: give one each")
    if scores.isnan().any():
        raise MetricError("a predicted score is NaN")
    order = scores.argsort(descending=True, stable=True)[:limit]
    return boxes[order], scores[order]


def _matches(ranked: list[Tensor], truths: list[Tensor], threshold: float) -> Tensor:
    """Which of all predictions, photo after photo, take a true box. Photos run in parallel, ranks one by one."""
    detections, most = [len(boxes) for boxes in ranked], max(map(len, truths))
    photos, deepest = len(ranked), max(detections, default=0)
    overlap = torch.full((photos, deepest, most), -1.0, dtype=torch.double)
    for photo, (boxes, true) in enumerate(zip(ranked, truths, strict=True)):
        if len(boxes) and len(true):
            overlap[photo, : len(boxes), : len(true)] = box_math.pairwise_iou(boxes, true)
    hits = torch.zeros(photos, deepest, dtype=torch.bool)
    rows = torch.arange(photos)
    for rank in range(deepest):
        # Flipped, so that of equal overlaps the last true box is taken, as in COCO's loop.
        value, flipped = overlap[:, rank].flip(1).max(dim=1)
        hit = value >= min(threshold, 1 - 1e-10)
        hits[:, rank] = hit
        taken = most - 1 - flipped
        overlap[rows[hit], :, taken[hit]] = -1.0  # each true box once
    return torch.cat([hits[photo, :count] for photo, count in enumerate(detections)])


def _area(hits: np.ndarray, total: int) -> float:
    found, wrong = np.cumsum(hits), np.cumsum(~hits)
    recall = found / total
    precision = found / (found + wrong + np.spacing(1.0))
    # From the right: the best precision still to be had at this recall or a higher one.
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(recall, RECALLS, side="left")].mean())
