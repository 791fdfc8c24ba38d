"""ASM-Net's losses (Eq. 3, 4, 7, 8) and the two statistics of a score map (Eq. 5 and 6)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cropnb.asm_net.pooling import composition_pool
from cropnb.errors import ImageError, MetricError

if TYPE_CHECKING:
    from cropnb.asm_net.model import AsmNet, Levels, ScoredPhotos
    from cropnb.asm_net.recipe import Variant
    from cropnb.training import Loss

# δ (Sec. 4.2), in the unit of each dataset's scores
DELTA = {"cpc": 0.3, "gaicd": 0.9, "gaicd_v2": 0.9}
LAMBDA = 0.1  # λ (Eq. 8), chosen in Figure 5


def ranks_above(mos: Tensor, delta: float) -> Tensor:
    """The set R (Eq. 3) as a table: mos (..., N) → booleans (..., N, N), [k, t] where y_k − y_t ≥
    δ.

    Crops of equal score are never a pair, whatever δ: neither of them ought to win.

    Raises:
        MetricError: a δ below 0, or scores that are not finite.
    """
    if not 0 <= delta < float("inf"):
        raise MetricError(
            f"delta is {delta}: give the least difference of annotated scores, 0 or more"
        )
    if not bool(torch.isfinite(mos).all()):
        raise MetricError("an annotated score is not finite; leave that crop out")
    gap = mos[..., :, None] - mos[..., None, :]  # (..., N, N)
    # Mean scores are decimals: 0.9 may come out as 0.8999999 from 4.4 less 3.5.
    return (gap > 0) & (gap >= delta - 1e-5)


def ranking_pairs(mos: Tensor, delta: float) -> Tensor:
    """The pairs (Eq. 3): annotated scores (N,) → (P, 2) indices, the better crop first.

    Raises:
        MetricError: no two scores differ by δ; or as `ranks_above`.
    """
    pairs = ranks_above(mos, delta).nonzero()
    if not len(pairs):
        raise _no_pairs(mos, delta)
    return pairs


def ranking_loss(scores: Tensor, mos: Tensor, delta: float, per_pair: bool = False) -> Tensor:
    """L_rank (Eq. 4): predicted and annotated scores (..., N) of a photo's crops → (...), a sum
    over its pairs.

    Args:
        per_pair: their mean instead, another reading of what λ (Eq. 8) is measured against.

    Raises:
        MetricError: as `ranking_pairs`: a photo without a pair teaches nothing and is better left
            out before.
    """
    if scores.shape != mos.shape:
        raise MetricError(
            f"scores {tuple(scores.shape)} and mos {tuple(mos.shape)} need one value for each crop"
        )
    above = ranks_above(mos, delta)
    if not bool(above.any(-1).any(-1).all()):
        raise _no_pairs(mos, delta)
    # (..., N, N), at [k, t]: 1 + Φ(t) − Φ(k)
    hinge = (1 + scores[..., None, :] - scores[..., :, None]).clamp(min=0)
    total = (hinge * above).sum((-2, -1))  # (...)
    return total / above.sum((-2, -1)) if per_pair else total


def _no_pairs(mos: Tensor, delta: float) -> MetricError:
    widest = float((mos.amax(-1) - mos.amin(-1)).min()) if mos.shape[-1] else 0.0
    return MetricError(
        f"no two crops of a photo differ by delta = {delta:g} in their annotated scores (at most "
        f"{widest:.3g}); use a smaller delta, or leave the photo out"
    )


def theta(score_map: Tensor) -> tuple[Tensor, Tensor]:
    """θ_avg (Eq. 5) and θ_std (Eq. 6) of each pixel over the L partitions: (..., L, H, W) → two
    (..., H, W).

    The deviation is divided by L, not L − 1. Where it is zero its gradient is zero too, and not
    infinite.
    """
    average = score_map.mean(-3)  # (..., H, W)
    variance = (score_map - average.unsqueeze(-3)).square().mean(-3)  # (..., H, W)
    spread = variance > 0
    return average, torch.where(spread, torch.where(spread, variance, 1.0).sqrt(), 0.0)


def saliency_loss(score_map: Tensor, saliency: Tensor) -> Tensor:
    """L_sal (Eq. 7): (..., L, H, W) and saliency (..., H, W) in 0…1 → (...).

    1 where saliency is nowhere, 0 where all that depends on the partition is salient. With one
    partition, or where θ_std is zero everywhere, nothing depends on the partition and the loss is
    0.

    Raises:
        ImageError: the sizes differ, or the saliency leaves 0…1.
    """
    if saliency.shape != score_map.shape[:-3] + score_map.shape[-2:]:
        raise ImageError(
            f"saliency {tuple(saliency.shape)} for a score map {tuple(score_map.shape)}: "
            "give (H, W)"
        )
    if not bool(((saliency >= 0) & (saliency <= 1)).all()):
        raise ImageError("saliency lies in 0…1; this has other values, or NaN")
    _, deviation = theta(score_map)  # (..., H, W)
    mean = deviation.mean((-2, -1))  # (...)
    weighted = ((1 - saliency) * deviation).mean((-2, -1))  # (...)
    sensitive = mean > 0
    return torch.where(sensitive, weighted / torch.where(sensitive, mean, 1.0), 0.0)


def asm_loss(
    score_map: Tensor,
    scores: Tensor,
    mos: Tensor,
    saliency: Tensor,
    delta: float,
    weight: float = LAMBDA,
    per_pair: bool = False,
) -> Mapping[str, Tensor]:
    """L = L_rank + λ L_sal (Eq. 8), with λ the `weight`; the mean over a batch of photos, its parts
    beside it.

    Shapes and errors as `ranking_loss` and `saliency_loss`.
    """
    ranking = ranking_loss(scores, mos, delta, per_pair).mean()
    salient = saliency_loss(score_map, saliency).mean()
    return {"loss": ranking + weight * salient, "ranking": ranking, "saliency": salient}


def step(
    model: "AsmNet",
    photos: "ScoredPhotos",
    variant: "Variant",
    delta: float,
    levels: "Levels",
    mirror: bool,
) -> "Loss":
    """One step of training: the loss (Eq. 8), the mean over the photos of a batch.

    Args:
        levels: where the feature maps come from.
        mirror: turn half of the batches left to right.
    """

    def compute(indices: Sequence[int], rng: torch.Generator) -> Mapping[str, Tensor]:
        mirrored = mirror and bool(torch.randint(2, (1,), generator=rng))
        sums: dict[str, Tensor] = {}
        for batch in photos.batches(indices, levels, mirrored):
            score_map = batch.score_map(model)  # (B, L, h, w)
            parts = asm_loss(
                score_map,
                scores=composition_pool(score_map, batch.boxes, model.pattern, batch.size),
                mos=batch.mos,
                saliency=batch.saliency_at(score_map.shape[-2:]),
                delta=delta,
                weight=variant.weight,
                per_pair=variant.per_pair,
            )
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value * (len(batch.mos) / len(indices))
        return sums

    return compute
