"""Average precision as COCO defines it, on the boxes of many photos at once."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError, MetricError
from cropnb.metrics.counts import is_count
from cropnb.metrics.intervals import Interval

RECALLS = np.linspace(0, 1, 101)
CHUNK = 25  # photos whose overlaps are computed together


def average_precision(
    predictions: Sequence[tuple[Tensor, Tensor]],
    truths: Sequence[Tensor],
    iou_threshold: float,
    max_detections: int,
    take: str = "best",
) -> float:
    """Precision averaged over 101 recalls, as COCO's own program computes it.

    Of each photo the `max_detections` best-scored boxes count. In that order each takes the free
    true box of the highest IoU, if it reaches `iou_threshold` (of equal ones the last). Equal
    scores keep the order given. Set prediction prints it for 5, 10 and 40 detections (Table 2).

    Args:
        predictions: for each photo its boxes (N, 4) and scores (N,); N may be 0.
        truths: for each photo its true boxes (M, 4); M may be 0.
        iou_threshold: in 0…1.
        max_detections: of a photo.
        take: "best" is COCO's rule; with "last" each prediction takes the last free true box that
            it reaches, whatever the others' IoU, as set prediction's published code does.

    Returns:
        In 0…1; NaN where no photo has a true box.

    Raises:
        BoxError: bad boxes.
        MetricError: lengths differ, a score is NaN or `take` is neither.
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
    """`average_precision` with its percentile bootstrap interval over photos.

    Photos are drawn with replacement, each with its predictions and true boxes. The same seed draws
    the same photos: the difference of two methods on the same photos is the difference of their
    resampled values, pair by pair. The other arguments are those of `average_precision`.

    Args:
        seed: of the resamples.
        samples: how many resamples.
        level: of the interval.

    Returns:
        The interval, and the resampled values (samples,).

    Raises:
        BoxError: bad boxes.
        MetricError: as `average_precision`, or no photo has a true box.
    """
    hits, scores, total, photo = _ranked_hits(
        predictions, truths, iou_threshold, max_detections, take
    )
    if total == 0:
        raise MetricError("no photo has a true box, so there is no precision to average")
    order = scores.argsort(descending=True, stable=True)
    hits, photo = hits[order].numpy(), photo[order].numpy()
    counts = np.array([len(boxes) for boxes in truths])  # (photos,)
    rng = np.random.default_rng(seed)
    if not is_count(samples):
        raise MetricError(f"samples is {samples!r}: draw at least one")
    if not 0 < level < 1:
        raise MetricError(f"level is {level}: give a share such as 0.95")
    resamples = np.empty(samples)
    for sample in range(samples):
        times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)))  # (photos,)
        among = max(int(times @ counts), 1)
        resamples[sample] = _area(hits, among, times[photo])
    low, high = np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2])
    mean = _area(hits, total)
    return Interval(mean, min(float(low), mean), max(float(high), mean)), resamples


def average_precision_by_photo(
    predictions: Sequence[tuple[Tensor, Tensor]],
    truths: Sequence[Tensor],
    iou_threshold: float,
    max_detections: int,
    take: str = "best",
) -> np.ndarray:
    """What each photo adds to `average_precision`, whose mean it is.

    AP ranks the predictions of all photos together, so no photo has an AP of its own. This is the
    jackknife's answer: AP + (n - 1) (mean of the APs without one photo - AP without this one). The
    values' spread tells how sure AP is, and two methods can be compared photo by photo.

    Args:
        predictions: boxes (N, 4) in pixels and scores (N,) of each photo.
        truths: true boxes (M, 4) of each photo.
        iou_threshold: the least IoU of a hit.
        max_detections: how many predictions of a photo count, those of the highest scores.
        take: which free true box a prediction takes, as in `average_precision`.

    Returns:
        One value a photo, (photos,).

    Raises:
        BoxError: bad boxes.
        MetricError: as `average_precision`, or no photo has a true box.
    """
    hits, scores, total, photo = _ranked_hits(
        predictions, truths, iou_threshold, max_detections, take
    )
    if total == 0:
        raise MetricError("no photo has a true box, so there is no precision to average")
    order = scores.argsort(descending=True, stable=True)
    hits, photo = hits[order].numpy(), photo[order].numpy()
    counts = np.array([len(boxes) for boxes in truths])  # (photos,)
    without = np.empty(len(counts))  # (photos,)
    for index, own in enumerate(counts):
        without[index] = _area(hits, max(total - int(own), 1), photo != index)
    return _area(hits, total) + (len(counts) - 1) * (without.mean() - without)


def _ranked_hits(
    predictions: Sequence[tuple[Tensor, Tensor]],
    truths: Sequence[Tensor],
    iou_threshold: float,
    max_detections: int,
    take: str,
) -> tuple[Tensor, Tensor, int, Tensor]:
    """Of the P predictions that count: which hit, their scores, how many truths, their photos."""
    # Each but the number is (P,), photo after photo.
    if len(predictions) != len(truths):
        raise MetricError(
            f"{len(predictions)} photos have predictions and {len(truths)} truths: one entry each "
            "a photo"
        )
    if not is_count(max_detections) or not 0 < iou_threshold <= 1:
        raise MetricError(
            f"max_detections is {max_detections!r}, iou_threshold {iou_threshold}: at least 1, and "
            "in 0…1"
        )
    if take not in ("best", "last"):
        raise MetricError(
            f"take is {take!r}: a prediction takes the 'best' or the 'last' free true box"
        )
    predicted, sizes = _checked([boxes for boxes, _ in predictions], "predicted boxes")
    scores = [torch.as_tensor(scores) for _, scores in predictions]
    given = [own.numel() for own in scores]
    if sizes != given:
        number, other = next(pair for pair in zip(sizes, given, strict=True) if pair[0] != pair[1])
        raise MetricError(f"{number} predicted boxes have {other} scores: give one each")
    true, numbers = _checked(truths, "truths")
    total = len(true)
    if not any(sizes):
        empty = torch.zeros(0)
        return empty.bool(), empty.double(), total, empty.long()
    flat = torch.cat([own if own.ndim == 1 else own.flatten() for own in scores]).detach().double()
    counts = torch.tensor(sizes)  # (photos,)
    ranked = _padded(flat, counts, -torch.inf)  # (photos, N)
    if ranked.isnan().any():
        raise MetricError("a predicted score is NaN")
    order = ranked.argsort(dim=1, descending=True, stable=True)[:, :max_detections]  # (photos, K)
    there = torch.arange(order.shape[1]) < counts[:, None]  # (photos, K): not padded
    photo = torch.arange(len(sizes))
    boxes = _padded(predicted, counts)[photo[:, None], order]  # (photos, K, 4)
    photo = photo[:, None].expand_as(there)[there]  # (P,)
    hits = (
        _matches(boxes, true, torch.tensor(numbers), iou_threshold, take)
        if total
        else torch.zeros_like(there)
    )  # (photos, K)
    return hits[there], ranked.gather(1, order)[there], total, photo


def _checked(parts: Sequence[Tensor], name: str) -> tuple[Tensor, list[int]]:
    """The checked boxes of all photos in double precision (total, 4), and how many each has."""
    # Checked all at once: one by one takes ten times as long.
    parts = [torch.as_tensor(part) for part in parts]
    if all(part.ndim == 2 and part.shape[1] == 4 and part.is_floating_point() for part in parts):
        try:
            whole = (
                box_math.check(torch.cat([*parts, torch.zeros(0, 4)]), name=name).detach().double()
            )
            return whole, [part.shape[0] for part in parts]
        except BoxError:
            pass
    # Something is unusual, perhaps wrong: one by one, so that the message names the box within its
    # photo.
    parts = [box_math.check(part, name=name).detach().double().reshape(-1, 4) for part in parts]
    return torch.cat([*parts, torch.zeros(0, 4)]), [part.shape[0] for part in parts]


def _padded(flat: Tensor, counts: Tensor, value: float = 0.0) -> Tensor:
    """Values (total, ...), photo after photo → (photos, most, ...), filled up with `value`."""
    there = torch.arange(int(counts.max())) < counts[:, None]  # (photos, most)
    if there.all():
        return flat.view(*there.shape, *flat.shape[1:])
    padded = flat.new_full((*there.shape, *flat.shape[1:]), value)
    padded[there] = flat
    return padded


def _matches(boxes: Tensor, truths: Tensor, counts: Tensor, threshold: float, take: str) -> Tensor:
    """Which predictions (photos, K, 4), best first, take a truth of (total, 4): (photos, K)."""
    # Photos run in parallel; `counts` (photos,) tells how many of the truths each has.
    true = _padded(truths, counts)  # (photos, M, 4)
    least = min(threshold, 1 - 1e-10)
    pairs = []
    # photos with about as many true boxes, so that little is padding
    for part in counts.argsort().split(CHUNK):
        # (photos, K, M)
        overlap = _overlaps(boxes[part, :, None], true[part, None, : int(counts[part].max())])
        photo, rank, box = (overlap >= least).nonzero(as_tuple=True)  # (pairs,) each
        pairs.append((part[photo], rank, box, overlap[photo, rank, box]))
    photo, rank, box, value = (torch.cat(each).numpy() for each in zip(*pairs, strict=True))
    # Few pairs overlap that much. By rank and photo, and in the order in which a prediction would
    # like to take them: the highest IoU first, and of equal ones the last, as in COCO's loop.
    order = np.lexsort((-box, -value if take == "best" else -box, photo, rank))  # (pairs,)
    photo, rank, place = photo[order], rank[order], photo[order] * true.shape[1] + box[order]
    starts = np.searchsorted(rank, np.arange(boxes.shape[1] + 1))  # (K + 1,)
    free = np.ones(true.shape[0] * true.shape[1], dtype=bool)  # (photos · M,)
    hits = np.zeros(boxes.shape[:2], dtype=bool)  # (photos, K)
    for number, (start, end) in enumerate(pairwise(starts)):
        still = free[place[start:end]]
        owner, wanted = photo[start:end][still], place[start:end][still]
        first = np.ones(len(owner), dtype=bool)  # of each photo's
        first[1:] = owner[1:] != owner[:-1]
        hits[owner[first], number] = True
        free[wanted[first]] = False  # each true box once
    return torch.from_numpy(hits)


def _overlaps(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes (..., 4) that broadcast; 0 for the empty boxes of a padding."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = a.unbind(-1), b.unbind(-1)
    width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp_(min=0)
    shared = width.mul_((torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp_(min=0))  # (...)
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
    return shared / union.clamp_(min=1e-300)


def _area(hits: np.ndarray, total: int, times: np.ndarray | int = 1) -> float:
    """Of hits (N,), best first; `times` each counts, where photos are drawn several times."""
    right, wrong = np.cumsum(hits * times), np.cumsum(~hits * times)  # (N,) each
    recall = right / total
    precision = right / (right + wrong + np.spacing(1.0))  # (N,)
    # From the right: the best precision still to be had at this recall or a higher one.
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)  # (N + 1,)
    return float(envelope[np.searchsorted(recall, RECALLS, side="left")].mean())
