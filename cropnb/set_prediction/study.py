"""What the figures of the paper claim, measured on the predictions of a trained model.

Figure 3: what unmatched anchors propose before and after training. Figure 4: crops that no grid
anchor can give. Figure 5: how far apart the good crops are. Figure 7: validity against quality.
Section 5: the bias to large crops. Table 3: the IoU of the most valid crop with boxes that people
drew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cropnb import candidates, metrics
from cropnb.boxes import pairwise_iou
from cropnb.set_prediction.data import CropPhotos
from cropnb.set_prediction.fitting import Found, truths
from cropnb.set_prediction.matching import hungarian_match
from cropnb.set_prediction.model import to_centred
from cropnb.set_prediction.smoothing import estimate_quality


def blind_set(
    crops: Tensor, count: int = 40, eps: float = 0.85, pool: int = 500, seed: int = 0
) -> Found:
    """A set of `count` boxes that never looks at a photo: what a method that does look has to beat.

    crops (N, 4): good crops of training photos, corners divided by the sides. Of `pool` of them,
        drawn at random, each
        box is the one that reaches most of the crops that no earlier box reaches at IoU `eps`. Its
        validity is the share of all crops that it adds.
    """
    draw = torch.Generator().manual_seed(seed)
    boxes = crops[torch.randperm(len(crops), generator=draw)[:pool]].cpu()
    near = pairwise_iou(boxes, crops.cpu()) >= eps  # (pool, N)
    chosen, gains = [], []
    for _ in range(min(count, len(boxes))):
        gain = near.sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        gains.append(float(gain.max()) / len(crops))
        near = near & ~near[chosen[-1]]
    return Found(boxes[chosen], torch.tensor(gains))


@dataclass
class Unmatched:
    """Crops of the anchors that were matched with no good crop, of all photos: (P,) quality, NaN
    where unknown.
    """

    quality: Tensor

    @property
    def known(self) -> float:
        """The share that has a scored crop within ε."""
        return float((~self.quality.isnan()).double().mean())

    @property
    def mean(self) -> float:
        """The mean quality of those."""
        return float(self.quality.nanmean())


def unmatched(found: Sequence[Found], photos: CropPhotos, eps: float = 0.85) -> Unmatched:
    """Figure 3: the estimated quality of the crops from unmatched anchors."""
    quality = []
    for index, one in enumerate(found):
        crops = photos.crops[index].cpu()
        match = hungarian_match(
            one.validity[None].logit(eps=1e-6), to_centred(one.corners)[None], [crops]
        )
        free = torch.ones(len(one.corners), dtype=torch.bool)
        free[match.anchor] = False
        scored, scores = photos.scored[index].cpu(), photos.scores[index].cpu()
        quality.append(estimate_quality(one.corners[free], scored, scores, eps))
    return Unmatched(torch.cat(quality))


def off_grid(found: Sequence[Found], count: int = 10) -> Tensor:
    """Figure 4: the share, for each photo (photos,), of the first `count` crops that break the rule
    of grid anchors.

    The rule: the first corner lies in the first third of each side, the second one in the last.
    """
    return torch.stack([_breaks_the_rule(one.corners[:count]).double().mean() for one in found])


def far_from_grid(
    found: Sequence[Found], photos: CropPhotos, eps: float = 0.85, count: int = 10
) -> Tensor:
    """The share (photos,) of the first `count` crops that no grid anchor comes near, at IoU `eps`."""
    shares = []
    for sample, one in zip(photos.dataset, found, strict=True):
        size = torch.tensor([*sample.size, *sample.size])
        anchors = candidates.grid_anchors(*sample.size) / size
        shares.append((pairwise_iou(one.corners[:count], anchors).amax(1) < eps).double().mean())
    return torch.stack(shares)


def diversity(boxes: Sequence[Tensor]) -> Tensor:
    """Figure 5: the mean of 1 − IoU over all pairs of a photo's boxes (N, 4), (photos,); NaN for
    fewer than two.
    """
    found = []
    for one in boxes:
        apart = 1 - pairwise_iou(one.double(), one.double())
        pairs = len(one) * (len(one) - 1)
        found.append(apart.sum() / pairs if pairs else torch.tensor(torch.nan, dtype=torch.double))
    return torch.stack(found)


def quality_and_validity(
    found: Sequence[Found], photos: CropPhotos, eps: float = 0.85
) -> list[tuple[Tensor, Tensor]]:
    """Figure 7: for each photo the estimated quality and the validity of its crops that have a
    scored neighbour.
    """
    pairs = []
    for index, one in enumerate(found):
        quality = estimate_quality(
            one.corners, photos.scored[index].cpu(), photos.scores[index].cpu(), eps
        )
        known = ~quality.isnan()
        pairs.append((quality[known], one.validity[known]))
    return pairs


def area_bias(found: Sequence[Found], photos: CropPhotos, count: int = 10) -> Tensor:
    """Section 5: mean area of the first `count` crops less that of the good ones, as shares of the
    photo, (photos,).
    """
    return torch.stack(
        [
            _areas(one.corners[:count]).mean() - _areas(true).mean()
            for one, true in zip(found, truths(photos), strict=True)
        ]
    ).double()


def recall_by_area(
    found: Sequence[Found], photos: CropPhotos, eps: float = 0.85, count: int = 40, groups: int = 3
) -> list[tuple[float, Tensor]]:
    """Section 5: of the good crops, from the smallest third to the largest, which ones the first
    `count` crops reach.

    Returns for each third its mean area (share of the photo) and whether each of its crops is
    reached, (M,).
    """
    true = truths(photos)
    areas = torch.cat([_areas(boxes) for boxes in true])
    reached = torch.cat(
        [
            pairwise_iou(boxes, one.corners[:count]).amax(1) >= eps
            for boxes, one in zip(true, found, strict=True)
        ]
    )
    order = areas.argsort(stable=True)
    return [(float(areas[part].mean()), reached[part].double()) for part in order.chunk(groups)]


def best_iou(found: Sequence[Found], photos: CropPhotos) -> Tensor:
    """Table 3: the IoU (photos,) of the most valid crop with the true box that it overlaps best."""
    return torch.stack(
        [
            metrics.iou_and_bde(one.corners[0], true, 1, 1)[0]
            for one, true in zip(found, truths(photos), strict=True)
        ]
    )


def _breaks_the_rule(corners: Tensor) -> Tensor:
    return (corners[:, :2] > 1 / 3).any(1) | (corners[:, 2:] < 2 / 3).any(1)


def _areas(corners: Tensor) -> Tensor:
    return (corners[:, 2:] - corners[:, :2]).prod(1)
