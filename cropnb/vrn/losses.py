"""VRN's losses: the ranking gain (Eq. 1) to (Eq. 4), and the sum (Eq. 5).

Symbols of the paper: s the predicted scores, ŝ the annotated ones, σ their similarity, β the
ranking gain.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

LAMBDA = 3.0  # λ of (Eq. 5), from Sec. 4.2


def similarity(scores: Tensor, mos: Tensor) -> Tensor:
    """σ = ŝ − |s − ŝ| (Eq. 3, which equals Eq. 2): how near a prediction is, never more than its
    target.

    scores, mos (N,) → (N,).
    """
    return mos - (scores - mos).abs()


def annotated_ranks(mos: Tensor) -> Tensor:
    """The rank i = 1…N of each view by its annotated score, best first; mos (N,) → (N,).

    Views of equal score get different ranks, in the order in which they stand: no two views share a
    label.
    """
    order = mos.argsort(descending=True, stable=True)
    return torch.empty_like(order).scatter_(
        0, order, torch.arange(1, len(mos) + 1, device=mos.device)
    )


def ranking_gain(scores: Tensor, mos: Tensor) -> Tensor:
    """β = Σᵢ (exp(σᵢ) − 1) / ln(i + 1) (Eq. 1), i the annotated rank; scores, mos (N,) → ()."""
    discount = torch.log(annotated_ranks(mos).to(scores.dtype) + 1)  # ln(i + 1), natural as printed
    return (torch.expm1(similarity(scores, mos)) / discount).sum()


def ranking_gain_loss(scores: Tensor, mos: Tensor) -> Tensor:
    """L_r = exp(−β) (Eq. 4); scores, mos (N,) → a scalar.

    Meant for mean-subtracted scores: with raw opinion scores β starts around a hundred and more,
    and exp(−β) and its gradient are zero, or too small to matter, in single precision.
    """
    return torch.exp(-ranking_gain(scores, mos))


def vrn_loss(
    view_scores: Tensor,
    mos: Tensor,
    image_scores: Tensor | None = None,
    with_ranking_gain: bool = True,
    weight: float = LAMBDA,
) -> Mapping[str, Tensor]:
    """L = L_i + L_v + λ L_r (Eq. 5) for the views of one photo.

    Args:
        view_scores: (N,), predicted mean-subtracted scores.
        mos: (N,), annotated scores.
        image_scores: (N,), every view's guess of the photo's mean score, or None without the
            feature splitter.
        with_ranking_gain: whether L_r is part of the sum.
        weight: λ.

    Returns:
        The parts and their sum under `loss`.
    """
    mean = mos.mean()
    parts = {"view": F.l1_loss(view_scores, mos - mean)}
    if image_scores is not None:
        parts["image"] = F.l1_loss(image_scores, mean.expand_as(image_scores))
    if with_ranking_gain:
        parts["ranking"] = ranking_gain_loss(view_scores, mos - mean)
    total = sum(weight * value if name == "ranking" else value for name, value in parts.items())
    return {"loss": total, **parts}
