"""Which of many scored crops to give: the one that scores best, or the one that is likely to
overlap most with what a person would draw.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cropnb import metrics
from cropnb.croppers.sizes import log_size_weights

# What a method's scores are multiplied with, in units of their deviation within a photo.
SHARPNESSES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def preference(
    boxes: Tensor,
    scores: Tensor,
    sharpness: float | None = None,
    sizes: Tensor | None = None,
    truths: Tensor | None = None,
) -> Tensor:
    """What scored boxes are ranked by, higher is better.

    With a sharpness β the scores are read as how likely a person draws each box,
    softmax(β · score), and a box is liked for the overlap that it can expect. A score alone can't
    say that: among many boxes that are about as good, the ones in their middle overlap with all of
    them.

    Args:
        boxes: (N, 4).
        scores: (N,).
        sharpness: β; None ranks by the score.
        sizes: (N,) where all boxes have one ratio, their sides as shares of the largest window's:
            then sizes are as likely as people draw them, for there are many small windows.
        truths: (M, 4) that are drawn, by default the boxes; then scores and sizes are theirs, (M,).

    Returns:
        (N,).
    """
    if sharpness is None or not len(boxes):
        return scores
    weights = sharpness * scores  # (N,)
    if sizes is not None:
        weights = weights + log_size_weights(sizes)
    return metrics.expected_iou(boxes, weights.softmax(0), truths)


def choose_sharpness(
    boxes: Sequence[Tensor],
    scores: Sequence[Tensor],
    likely: Sequence[Tensor],
    truths: Sequence[Tensor] | None = None,
) -> float:
    """The sharpness with which a method's crops overlap most, by expectation, with what is drawn.

    Chosen on validation photos, never on those that are measured.

    Args:
        boxes: (N, 4) candidates of each photo.
        scores: (N,) what the method says of them.
        likely: (M,) how likely someone draws each true box, of sum 1.
        truths: (M, 4), by default the candidates.
    """
    truths = boxes if truths is None else truths
    deviation = float(torch.stack([each.std(correction=0) for each in scores]).mean())
    return max(
        (share / max(deviation, 1e-6) for share in SHARPNESSES),
        key=lambda sharpness: _overlap(boxes, scores, likely, truths, sharpness),
    )


def _overlap(
    boxes: Sequence[Tensor],
    scores: Sequence[Tensor],
    likely: Sequence[Tensor],
    truths: Sequence[Tensor],
    sharpness: float,
) -> float:
    """Mean expected IoU of each photo's preferred candidate."""
    overlaps = [
        metrics.expected_iou(own[preference(own, score, sharpness).argmax()][None], chance, truth)
        for own, score, chance, truth in zip(boxes, scores, likely, truths, strict=True)
    ]
    return float(torch.cat(overlaps).mean())
