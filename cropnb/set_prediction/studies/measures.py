"""What the figures of the paper claim, measured on the predictions of a trained model.

Figure 3: what unmatched anchors propose before and after training. Figure 4: crops that no grid
anchor can give. Figure 5: how far apart the good crops are. Figure 7: validity against quality.
(Sec. 5) The bias to large crops. Table 3: the IoU of the most valid crop with boxes that people
drew.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cropnb import candidates, metrics
from cropnb.boxes import pairwise_iou
from cropnb.set_prediction.cropper import CropPredictions
from cropnb.set_prediction.labels import CropPhotos, estimate_quality
from cropnb.set_prediction.losses import hungarian_match
from cropnb.set_prediction.model import to_cxcywh


def blind_set(
    crops: Tensor, count: int = 40, eps: float = 0.85, pool: int = 500, seed: int = 0
) -> CropPredictions:
    """A set of `count` boxes that never looks at a photo: what a method that does look has to beat.

    Each box is the one that reaches most of the crops that no earlier box reaches at IoU `eps`. Its
    validity is the share of all crops that it adds.

    Args:
        crops: good crops of training photos (N, 4) as xyxy divided by the sides.
        pool: how many of them, drawn at random, are chosen from.
    """
    rng = torch.Generator().manual_seed(seed)
    boxes = crops[torch.randperm(len(crops), generator=rng)[:pool]].cpu()  # (pool, 4)
    near = pairwise_iou(boxes, crops.cpu()) >= eps  # (pool, N)
    chosen, gains = [], []
    for _ in range(min(count, len(boxes))):
        gain = near.sum(1)  # (pool,)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        gains.append(float(gain.max()) / len(crops))
        near = near & ~near[chosen[-1]]
    return CropPredictions(boxes[chosen], torch.tensor(gains))


def unmatched_anchors(one: CropPredictions, crops: Tensor) -> Tensor:
    """Which of a photo's predictions (Q,) no good crop is matched with.

    Args:
        crops: the good ones (M, 4) as cxcywh.
    """
    xyxy, validity = one
    match = hungarian_match(validity[None].logit(eps=1e-6), to_cxcywh(xyxy)[None], [crops])
    free = torch.ones(len(xyxy), dtype=torch.bool)  # (Q,)
    free[match.anchor] = False
    return free


def unmatched(
    predictions: Sequence[CropPredictions], photos: CropPhotos, eps: float = 0.85
) -> Tensor:
    """Figure 3: the estimated quality (P,) of the crops from unmatched anchors of all photos, NaN
    where no scored crop lies within ε.
    """
    quality = []
    for index, one in enumerate(predictions):
        free = unmatched_anchors(one, photos.crops[index].cpu())  # (Q,)
        quality.append(_quality(one.xyxy[free], photos, index, eps))
    return torch.cat(quality)


def off_grid(predictions: Sequence[CropPredictions], count: int = 10) -> Tensor:
    """Figure 4: the share, for each photo (photos,), of the first `count` crops that break the rule
    of grid anchors.

    The rule: the first corner lies in the first third of each side, the second one in the last.
    """
    first = [one.xyxy[:count] for one in predictions]
    broken = [(xyxy[:, :2] > 1 / 3).any(1) | (xyxy[:, 2:] < 2 / 3).any(1) for xyxy in first]
    return torch.stack([each.double().mean() for each in broken])


def far_from_grid(
    predictions: Sequence[CropPredictions], photos: CropPhotos, eps: float = 0.85, count: int = 10
) -> Tensor:
    """The share (photos,) of the first `count` crops that no grid anchor comes near, at IoU
    `eps`.
    """
    shares = []
    for sample, one in zip(photos.dataset, predictions, strict=True):
        size = torch.tensor([*sample.size, *sample.size])
        anchors = candidates.grid_anchors(*sample.size) / size  # (N, 4)
        shares.append((pairwise_iou(one.xyxy[:count], anchors).amax(1) < eps).double().mean())
    return torch.stack(shares)


def farthest_from_grid(
    one: CropPredictions, size: tuple[int, int], count: int = 10
) -> tuple[float, Tensor]:
    """Of a photo's first `count` crops the one that lies farthest from every grid anchor.

    Args:
        size: width and height of the photo in pixels.

    Returns:
        The highest IoU that an anchor has with it, and both (2, 4) in pixels, the anchor first.
    """
    anchors = candidates.grid_anchors(*size)  # (N, 4)
    crops = one.xyxy[:count] * torch.tensor([*size, *size])  # (count, 4)
    overlaps = pairwise_iou(crops, anchors)  # (count, N)
    far = int(overlaps.amax(1).argmin())
    nearest = int(overlaps[far].argmax())
    return float(overlaps[far, nearest]), torch.stack([anchors[nearest], crops[far]])


def diversity(boxes: Sequence[Tensor]) -> Tensor:
    """Figure 5: the mean of 1 − IoU over all pairs of a photo's boxes (N, 4), (photos,); NaN for
    fewer than two.
    """
    means = []
    for one in boxes:
        apart = 1 - pairwise_iou(one.double(), one.double())  # (N, N)
        pairs = len(one) * (len(one) - 1)
        means.append(apart.sum() / pairs if pairs else torch.tensor(torch.nan, dtype=torch.double))
    return torch.stack(means)


def quality_and_validity(
    predictions: Sequence[CropPredictions],
    photos: CropPhotos,
    eps: float = 0.85,
    unmatched_only: bool = False,
) -> list[tuple[Tensor, Tensor]]:
    """Figure 7: for each photo the estimated quality and the validity of its crops that have a
    scored neighbour.

    Args:
        unmatched_only: leave out those that a good crop is matched with (Figure 7b).
    """
    pairs = []
    for index, one in enumerate(predictions):
        quality = _quality(one.xyxy, photos, index, eps)  # (Q,)
        known = ~quality.isnan()
        if unmatched_only:
            known &= unmatched_anchors(one, photos.crops[index].cpu())
        pairs.append((quality[known], one.validity[known]))
    return pairs


def area_bias(
    predictions: Sequence[CropPredictions], photos: CropPhotos, count: int = 10
) -> Tensor:
    """(Sec. 5) Mean area of the first `count` crops less that of the good ones, as shares of the
    photo, (photos,).
    """
    pairs = zip(predictions, photos.truths, strict=True)
    gaps = [_areas(one.xyxy[:count]).mean() - _areas(true).mean() for one, true in pairs]
    return torch.stack(gaps).double()


def recall_by_area(
    predictions: Sequence[CropPredictions],
    photos: CropPhotos,
    eps: float = 0.85,
    count: int = 40,
    groups: int = 3,
) -> list[tuple[float, Tensor]]:
    """(Sec. 5) Of the good crops, from the smallest third to the largest, which ones the first
    `count` crops reach.

    Returns:
        For each third its mean area (share of the photo) and whether each of its crops is reached,
        (M,).
    """
    areas = _areas(torch.cat(photos.truths))  # (all good crops,)
    overlaps = [
        pairwise_iou(true, one.xyxy[:count]).amax(1)
        for true, one in zip(photos.truths, predictions, strict=True)
    ]
    reached = torch.cat(overlaps) >= eps
    order = areas.argsort(stable=True)
    return [(float(areas[part].mean()), reached[part].double()) for part in order.chunk(groups)]


def best_iou(predictions: Sequence[CropPredictions], photos: CropPhotos) -> Tensor:
    """Table 3: the IoU (photos,) of the most valid crop with the true box that it overlaps best."""
    pairs = zip(predictions, photos.truths, strict=True)
    return torch.stack([metrics.iou_and_bde(one.xyxy[0], true, 1, 1)[0] for one, true in pairs])


def _quality(xyxy: Tensor, photos: CropPhotos, index: int, eps: float) -> Tensor:
    """The estimated quality (Q,) of crops of one photo, on the CPU."""
    return estimate_quality(xyxy, photos.scored[index].cpu(), photos.scores[index].cpu(), eps)


def _areas(xyxy: Tensor) -> Tensor:
    return (xyxy[:, 2:] - xyxy[:, :2]).prod(1)
