"""Which of many scored crops to give: the one that scores best, or the one that is likely to
overlap most with what a person would draw.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import metrics

# What a method's scores are multiplied with, in units of their deviation within a photo.
SHARPNESSES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def preference(boxes: Tensor, scores: Tensor, sharpness: float | None = None) -> Tensor:
    """What scored boxes are ranked by, higher is better.

    With a sharpness β the scores are read as how likely a person draws each box,
    softmax(β · score), and a box is liked for the overlap that it can expect. A score alone can't
    say that: among many boxes that are about as good, the ones in their middle overlap with all of
    them.

    Args:
        boxes: (N, 4).
        scores: (N,).
        sharpness: β; None ranks by the score.

    Returns:
        (N,).
    """
    if sharpness is None or not len(boxes):
        return scores
    return metrics.expected_iou(boxes, (sharpness * scores).softmax(0))


def choose_sharpness(
    boxes: Sequence[Tensor], scores: Sequence[Tensor], mos: Sequence[Tensor]
) -> float:
    """The sharpness with which a method's crops overlap most with the best-rated ones.

    Chosen on validation photos, never on those that are measured.

    Args:
        boxes: (N, 4) candidates of each photo.
        scores: (N,) what the method says of them.
        mos: (N,) what people, or their stand-in, say of them.
    """
    deviation = float(torch.stack([each.std(correction=0) for each in scores]).mean())
    return max(
        (share / max(deviation, 1e-6) for share in SHARPNESSES),
        key=lambda sharpness: _overlap(boxes, scores, mos, sharpness),
    )


def _overlap(
    boxes: Sequence[Tensor], scores: Sequence[Tensor], mos: Sequence[Tensor], sharpness: float
) -> float:
    """Mean IoU of each photo's preferred candidate with the one rated best."""
    overlaps = [
        box_math.iou(own[preference(own, score, sharpness).argmax()], own[rating.argmax()])
        for own, score, rating in zip(boxes, scores, mos, strict=True)
    ]
    return float(torch.stack(overlaps).mean())
