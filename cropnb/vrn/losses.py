"""VRN's losses: the ranking gain (Eq. 1) to (Eq. 4), and the sum (Eq. 5).

Symbols of the paper: s the predicted scores, ŝ the annotated ones, σ their similarity, β the
ranking gain.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from cropnb.errors import MetricError

OVER_VIEWS = ("sum", "mean")
LAMBDA = 3.0  # λ (Eq. 5), its value (Sec. 4.2)


def similarity(scores: Tensor, mos: Tensor) -> Tensor:
    """σ = ŝ − |s − ŝ| (Eq. 3), which equals (Eq. 2): how near a prediction is, never more than
    its target.

    scores, mos (N,) → (N,).
    """
    return mos - (scores - mos).abs()


def annotated_ranks(mos: Tensor) -> Tensor:
    """The rank i = 1…N of each view by its annotated score, best first; mos (N,) → (N,).

    Views of equal score get different ranks, in the order in which they stand: no two views share a
    rank.
    """
    order = mos.argsort(descending=True, stable=True)
    return torch.empty_like(order).scatter_(
        0, order, torch.arange(1, len(mos) + 1, device=mos.device)
    )


def ranking_gain(scores: Tensor, mos: Tensor, over_views: str = "sum") -> Tensor:
    """β = Σᵢ (exp(σᵢ) − 1) / ln(i + 1) (Eq. 1), i the annotated rank.

    Args:
        scores: (N,).
        mos: (N,).
        over_views: "sum" as printed, or "mean": β / N, which stays near zero whatever the number of
            views.

    Returns:
        A scalar.

    Raises:
        MetricError: another name of `over_views`.
    """
    if over_views not in OVER_VIEWS:
        raise MetricError(f"β is a {' or a '.join(OVER_VIEWS)} over views, not {over_views!r}")
    discount = torch.log(annotated_ranks(mos).to(scores.dtype) + 1)  # ln(i + 1), natural as printed
    terms = torch.expm1(similarity(scores, mos)) / discount  # (N,)
    return terms.sum() if over_views == "sum" else terms.mean()


def ranking_gain_loss(scores: Tensor, mos: Tensor, over_views: str = "sum") -> Tensor:
    """L_r = exp(−β) (Eq. 4); scores, mos (N,) → a scalar.

    Meant for mean-subtracted scores: with raw opinion scores β starts around a hundred and more,
    and exp(−β) and its gradient are zero, or too small to matter, in single precision. As a sum
    over 64 views β is about −2 to −8 before training, and exp(−β) up to thousands; as a mean it
    stays near 1, the size that λ = 3 is made for.
    """
    return torch.exp(-ranking_gain(scores, mos, over_views))


def vrn_loss(
    view_scores: Tensor,
    mos: Tensor,
    image_scores: Tensor | None = None,
    with_ranking_gain: bool = True,
    weight: float = LAMBDA,
    over_views: str = "sum",
) -> Mapping[str, Tensor]:
    """L = L_i + L_v + λ L_r (Eq. 5) for the views of one photo.

    Args:
        view_scores: (N,), predicted mean-subtracted scores.
        mos: (N,), annotated scores.
        image_scores: (N,), every view's guess of the photo's mean score, or None without the
            feature splitter.
        with_ranking_gain: whether L_r is part of the sum.
        weight: λ.
        over_views: as in `ranking_gain`.

    Returns:
        The parts and their sum under `loss`.
    """
    mean = mos.mean()  # a scalar
    parts = {"view": F.l1_loss(view_scores, mos - mean)}
    if image_scores is not None:
        parts["image"] = F.l1_loss(image_scores, mean.expand_as(image_scores))
    if with_ranking_gain:
        parts["ranking"] = ranking_gain_loss(view_scores, mos - mean, over_views)
    total = sum(weight * value if name == "ranking" else value for name, value in parts.items())
    return {"loss": total, **parts}
