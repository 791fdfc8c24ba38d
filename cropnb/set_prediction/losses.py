"""What is minimised: equation 3 under the best matching, at every layer of the decoder, with
smoothed labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cropnb.set_prediction.matching import (
    LAMBDA_FOCAL,
    LAMBDA_IOU,
    Match,
    focal_loss,
    generalized_iou,
    hungarian_match,
)
from cropnb.set_prediction.model import Predictions, to_corners
from cropnb.set_prediction.smoothing import Smoothing, smooth_labels


@dataclass
class Labels:
    """What is known about the photos of a batch, an entry a photo.

    Attributes:
        crops: the good crops (M_b, 4) as `centred_norm`.
        scored: all scored crops (N_b, 4) as corners, divided by the photo's sides.
        scores: their scores (N_b,).
    """

    crops: Sequence[Tensor]
    scored: Sequence[Tensor] = ()
    scores: Sequence[Tensor] = ()


def match_layers(predictions: Predictions, crops: Sequence[Tensor]) -> Match:
    """The matching of every decoder layer at once: layer l of photo b is photo l · B + b of the
    match.
    """
    return hungarian_match(
        predictions.logits.flatten(0, 1),
        predictions.boxes.flatten(0, 1),
        [*crops] * len(predictions.logits),
    )


def validity_labels(
    predictions: Predictions, match: Match, labels: Labels, smoothing: Smoothing | None = None
) -> Tensor:
    """(L, B, Q): 1 for the matched anchors; for the others 0, or with `smoothing` what their
    neighbours are worth.
    """
    shape = predictions.logits.shape
    if smoothing is None or smoothing.mu == 0 or not labels.scores:
        found = torch.zeros(shape, device=predictions.logits.device)
    else:
        # (B, N, 4), empty boxes at the end
        scored = pad_sequence(list(labels.scored), batch_first=True)
        scores = pad_sequence(list(labels.scores), batch_first=True)
        found = smooth_labels(
            to_corners(predictions.boxes.detach().float()), scored, scores, smoothing
        )
    found = found.flatten(0, 1)
    found[match.photo, match.anchor] = 1.0
    return found.view(shape)


def set_loss(
    predictions: Predictions,
    labels: Labels,
    smoothing: Smoothing | None = None,
    taught: Tensor | None = None,
) -> dict[str, Tensor]:
    """Equation 3 summed over anchors and decoder layers, divided by the good crops of the batch.

    smoothing: equation 4 for the unmatched anchors; None keeps the hard labels.
    taught: validities (L, B, Q) of the momentum-averaged model, for the second term of equation 6.

    Returns scalars: `regression` (L1), `overlap` (1 − generalised IoU), `validity` (focal),
    `distilled` where taught, and their weighted sum `loss`.
    """
    match = match_layers(predictions, labels.crops)
    crops = torch.cat(
        [part.to(predictions.boxes) for part in labels.crops] * len(predictions.logits)
    )[match.crop]
    boxes = predictions.boxes.flatten(0, 1)[match.photo, match.anchor]  # (P, 4)
    count = max(sum(map(len, labels.crops)), 1)
    target = validity_labels(predictions, match, labels, smoothing)
    parts = {
        "regression": (boxes - crops).abs().sum() / count,
        "overlap": (1 - generalized_iou(to_corners(boxes), to_corners(crops))).sum() / count,
        "validity": focal_loss(predictions.logits.float(), target).sum() / count,
    }
    if taught is not None:
        parts["distilled"] = focal_loss(predictions.logits.float(), taught).sum() / count
    focal = parts["validity"] + parts.get("distilled", 0.0)
    return {
        "loss": parts["regression"] + LAMBDA_IOU * parts["overlap"] + LAMBDA_FOCAL * focal,
        **parts,
    }
