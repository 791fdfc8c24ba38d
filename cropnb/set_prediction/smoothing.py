"""Soft validity labels: from the quality of a crop's neighbours (equation 4), or from the model
itself (5 and 6).
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cropnb.errors import MetricError


@dataclass(frozen=True)
class Smoothing:
    """Sec. 4.3's values. `mu` is the highest soft label, `lower` and `upper` are s_l and s_u, `eps`
    the least IoU.
    """

    mu: float = 0.5
    lower: float = 2.0
    upper: float = 3.5
    eps: float = 0.85

    def __post_init__(self) -> None:
        if not 0 <= self.mu <= 1 or not self.lower < self.upper or not 0 < self.eps <= 1:
            raise MetricError(f"{self}: mu and eps are shares, and lower has to lie below upper")


PAPER = Smoothing()
HARD = Smoothing(mu=0.0)  # no smoothing: equation 4 gives 0 to every unmatched anchor


def soft_labels(scores: Tensor, smoothing: Smoothing = PAPER) -> Tensor:
    """Equation 4, M(s): quality scores (...) → labels (...), 0 up to s_l, rising to μ at s_u and
    staying there.
    """
    ramp = (scores - smoothing.lower) / (smoothing.upper - smoothing.lower)
    return smoothing.mu * ramp.clamp(0, 1)


def estimate_quality(corners: Tensor, scored: Tensor, scores: Tensor, eps: float = 0.85) -> Tensor:
    """Local redundancy (Sec. 3.2.1): a crop is worth what its nearest scored crop is, if their IoU
    is `eps` or more.

    corners (..., Q, 4), scored (..., M, 4), both x1, y1, x2, y2 in the same unit; scores (..., M) →
    (..., Q), NaN where no scored crop is near enough. Of equally near ones the first counts. An
    empty scored box is near to nothing.
    """
    a, b = corners.unsqueeze(-2), scored.unsqueeze(-3)
    shared = (
        (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2]))
        .clamp(min=0)
        .prod(-1)
    )
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    overlap, nearest = (shared / union.clamp(min=1e-9)).max(dim=-1)  # (..., Q)
    found = scores.expand(*nearest.shape[:-1], -1).gather(-1, nearest)
    # Single precision turns an IoU of 17 / 20 into 0.84999996.
    return torch.where(overlap >= eps - 1e-6, found, torch.nan)


def smooth_labels(
    corners: Tensor, scored: Tensor, scores: Tensor, smoothing: Smoothing = PAPER
) -> Tensor:
    """The labels (..., Q) that predicted crops (..., Q, 4) get while unmatched; 0 where no scored
    crop is near.

    Shapes as `estimate_quality`. Matched anchors keep their label of 1: that is up to the loss.
    """
    quality = estimate_quality(corners, scored, scores, smoothing.eps)
    return soft_labels(quality, smoothing).nan_to_num(0.0)


class Teacher(nn.Module):
    """The momentum-averaged model F̄ of self-distillation, whose validities are the soft labels of
    equation 6.

    kind "iterates" is equation 5 as it is written, θ Fᵗ + (1 − θ) Fᵗ⁻¹: the mean of the last two
    iterates, which remembers nothing older. kind "mean" is the running mean that the words
    describe, θ Fᵗ + (1 − θ) F̄ᵗ⁻¹. Its state is part of the run, so that a resumed run goes on with
    the same labels.
    """

    def __init__(self, student: nn.Module, kind: str = "iterates", theta: float = 0.5) -> None:
        super().__init__()
        if kind not in ("iterates", "mean") or not 0 < theta <= 1:
            raise MetricError(
                f"a teacher is of the kind 'iterates' or 'mean' with θ in 0…1, not {kind!r} with "
                f"{theta}"
            )
        self.kind, self.theta = kind, theta
        self.model = copy.deepcopy(student).requires_grad_(False).eval()
        self.before = copy.deepcopy(self.model) if kind == "iterates" else None  # Fᵗ⁻¹

    def train(self, mode: bool = True) -> "Teacher":
        return super().train(False)  # no dropout in a label

    @torch.no_grad()
    def start(self, student: nn.Module) -> None:
        """Begin as a copy of the student."""
        for model in filter(None, (self.model, self.before)):
            model.load_state_dict(student.state_dict())

    @torch.no_grad()
    def follow(self, student: nn.Module) -> None:
        """Equation 5, once a step."""
        past = self.before or self.model
        for ours, now, then in zip(
            self.model.parameters(), student.parameters(), past.parameters(), strict=True
        ):
            ours.copy_(self.theta * now + (1 - self.theta) * then)
        if self.before is not None:
            for then, now in zip(self.before.parameters(), student.parameters(), strict=True):
                then.copy_(now)
