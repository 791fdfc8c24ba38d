"""Average precision as COCO defines it, on the boxes of many photos at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import MetricError
from cropnb.metrics.intervals import Interval

RECALLS = np.linspace(0, 1, 101)


def average_precision(
    predictions: Sequence[tuple[Tensor, Tensor]],
    truths: Sequence[Tensor],
    iou_threshold: float,
    max_detections: int,
    take: str = "best",
) -> float:
    """Average precision, 0…1: precision averaged over 101 recalls, as COCO's own program computes it.

    predictions: for each photo its boxes (N, 4) and scores (N,); truths: for each photo its true boxes (M, 4); N and M
    may be 0. Of each photo the `max_detections` best-scored boxes count. In that order each takes the free true box
    of the highest IoU, if it reaches `iou_threshold` (of equal ones the last). Equal scores keep the order given.
    NaN where no photo has a true box. Set prediction's Table 2 prints it for 5, 10 and 40 detections.

    take: "best" is COCO's rule; with "last" each prediction takes the last free true box that it reaches, whatever the
    others' IoU, as set prediction's published code does.

    Raises BoxError for bad boxes, MetricError where lengths differ, a score is NaN or `take` is neither.
    """
    hits, scores, total, _ = _ranked_hits(predictions, truths, iou_threshold, max_detections, take)
    if total == 0:
        return float("nan")
    return _area(hits[scores.argsort(descending=True, stable=True)].numpy(), total)


def average_precision_interval(
    predictions: Sequence[tuple[Tensor, Tensor]],
    truths: Sequence[Tensor],
    iou_threshold: float,
    max_detections: int,
    seed: int = 0,
    samples: int = 1000,
    level: float = 0.95,
    take: str = "best",
) -> tuple[Interval, np.ndarray]:
    """`average_precision` with its percentile bootstrap interval over photos, and the resampled values (samples,).

    Photos are drawn with replacement, each with its predictions and true boxes. The same seed draws the same photos:
    the difference of two methods on the same photos is the difference of their resampled values, pair by pair.
    Raises as `average_precision`, and MetricError where no photo has a true box.
    """
    hits, scores, total, photo = _ranked_hits(predictions, truths, iou_threshold, max_detections, take)
    if total == 0:
        raise MetricError("no photo has a true box, so there is no precision to average")
    order = scores.argsort(descending=True, stable=True)
    hits, photo = hits[order].numpy(), photo[order].numpy()
    counts = np.array([len(boxes) for boxes in truths])
    generator = np.random.default_rng(seed)
    found = np.empty(samples)
    for sample in range(samples):
        times = generator.multinomial(len(counts), np.full(len(counts), 1 / len(counts)))
        among = max(int(times @ counts), 1)
        found[sample] = _area(hits, among, times[photo])
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    mean = _area(hits, total)
    return Interval(mean, min(float(low), mean), max(float(high), mean)), found


def _ranked_hits(
    predictions: Sequence[tuple[Tensor, Tensor]],
    truths: Sequence[Tensor],
    iou_threshold: float,
    max_detections: int,
    take: str,
) -> tuple[Tensor, Tensor, int, Tensor]:
    """Of all predictions, photo after photo: which hit, their scores; the number of true boxes; each one's photo."""
    if len(predictions) != len(truths):
        raise MetricError(
            f"{len(predictions)} photos have predictions and {len(truths)} truths: one entry each a photo"
        )
    if max_detections < 1 or not 0 < iou_threshold <= 1:
        raise MetricError(f"max_detections is {max_detections}, iou_threshold {iou_threshold}: at least 1, in 0…1")
    if take not in ("best", "last"):
        raise MetricError(f"take is {take!r}: a prediction takes the 'best' or the 'last' free true box")
    ranked = [_ranked(boxes, scores, max_detections) for boxes, scores in predictions]
    truths = [box_math.check(boxes, name="truths").double().reshape(-1, 4) for boxes in truths]
    total = sum(map(len, truths))
    scores = torch.cat([scores for _, scores in ranked]) if ranked else torch.zeros(0)
    photo = torch.repeat_interleave(torch.arange(len(ranked)), torch.tensor([len(boxes) for boxes, _ in ranked]).long())
    if total == 0:
        return torch.zeros(len(scores), dtype=torch.bool), scores, 0, photo
    return _matches([boxes for boxes, _ in ranked], truths, iou_threshold, take), scores, total, photo


def _ranked(boxes: Tensor, scores: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    boxes = box_math.check(boxes, name="predicted boxes").double().reshape(-1, 4)
    scores = torch.as_tensor(scores).detach().double().flatten()
    if len(scores) != len(boxes):
        raise MetricError(f"{len(boxes)} predicted boxes have {len(scores)} scores: give one each")
    if scores.isnan().any():
        raise MetricError("a predicted score is NaN")
    order = scores.argsort(descending=True, stable=True)[:limit]
    return boxes[order], scores[order]


def _matches(ranked: list[Tensor], truths: list[Tensor], threshold: float, take: str) -> Tensor:
    """Which of all predictions, photo after photo, take a true box. Photos run in parallel, ranks one by one."""
    detections, most = [len(boxes) for boxes in ranked], max(map(len, truths))
    photos, deepest = len(ranked), max(detections, default=0)
    overlap = torch.full((photos, deepest, most), -1.0, dtype=torch.double)
    for photo, (boxes, true) in enumerate(zip(ranked, truths, strict=True)):
        if len(boxes) and len(true):
            overlap[photo, : len(boxes), : len(true)] = box_math.pairwise_iou(boxes, true)
    if take == "last":
        overlap = (overlap >= min(threshold, 1 - 1e-10)).double()  # all that are reached are equally good
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


def _area(hits: np.ndarray, total: int, times: np.ndarray | int = 1) -> float:
    """times: how often each prediction counts, where photos are drawn several times."""
    found, wrong = np.cumsum(hits * times), np.cumsum(~hits * times)
    recall = found / total
    precision = found / (found + wrong + np.spacing(1.0))
    # From the right: the best precision still to be had at this recall or a higher one.
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(recall, RECALLS, side="left")].mean())
