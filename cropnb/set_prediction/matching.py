"""Which anchor answers for which good crop: costs and the Hungarian matching (equations 1 to 3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from cropnb.errors import BoxError, CropnbError
from cropnb.set_prediction.model import to_corners

# Sec. 4.3; the focal weight is called λ_bce in the text below equation 3
LAMBDA_IOU = LAMBDA_FOCAL = 0.4
ALPHA, GAMMA = 0.25, 2.0  # of the focal loss, as in Conditional DETR; the paper gives none


@dataclass
class Match:
    """P pairs of a set of photos: anchor `anchor[p]` of photo `photo[p]` answers for `crop[p]`,
    (P,) int64 each.

    Crops are numbered through all photos, in the order in which they were given.
    """

    photo: Tensor
    anchor: Tensor
    crop: Tensor


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU (...), −1…1, of corner boxes (..., 4) that broadcast.

    As `cropnb.boxes.generalized_iou`, less its checks, which would make a GPU wait in each training
    step.
    """
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    shared = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    intersection = shared.clamp(min=0).prod(-1)
    union = size_a.prod(-1) + size_b.prod(-1) - intersection
    return intersection / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def focal_loss(
    logits: Tensor, labels: Tensor, alpha: float = ALPHA, gamma: float = GAMMA
) -> Tensor:
    """The focal loss (...) of validity logits (...) for labels (...) in 0…1, hard or soft; nothing
    is summed.

    With p = sigmoid(logit) and v the label: cross entropy × |what p misses of v|^γ × (α v + (1 −
    α)(1 − v)).
    """
    p = logits.sigmoid()
    missed = 1 - (p * labels + (1 - p) * (1 - labels))
    weight = alpha * labels + (1 - alpha) * (1 - labels)
    return (
        weight
        * missed**gamma
        * functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    )


def focal_minimum(labels: Tensor, gamma: float = GAMMA, steps: int = 10_000) -> Tensor:
    """The validity (...), 0…1, at which the focal loss of a label (...) is least: where training
    pushes an anchor.

    For hard labels and for 0.5 it is the label itself. Any other soft label is overshot: 0.3 means
    0.12 and 0.9 means 0.99 with γ = 2, for the factor |miss|^γ rewards certainty. α only scales the
    loss.
    """
    p = torch.arange(steps + 1, dtype=torch.float64) / steps
    v = labels.double().unsqueeze(-1)
    cross_entropy = -(torch.xlogy(v, p) + torch.xlogy(1 - v, 1 - p))
    missed = (1 - (p * v + (1 - p) * (1 - v))) ** gamma
    # At the ends the cross entropy of a soft label is infinite, that of a hard one zero.
    return p[(missed * cross_entropy).nan_to_num(nan=0.0).argmin(-1)].to(labels)


def matching_costs(logits: Tensor, boxes: Tensor, crops: Tensor) -> Tensor:
    """Equation 3 for every anchor with every good crop.

    logits (..., Q), boxes (..., Q, 4), crops (..., M, 4), both as `centred_norm` → (..., Q, M).

    An anchor that is matched owes the focal loss of v = 1 and no longer that of
    v = 0; so the cost holds their difference, and the sum over pairs is equation 2's sum over all
    anchors, less what doesn't depend on the matching.
    """
    one, none = torch.ones_like(logits), torch.zeros_like(logits)
    focal = focal_loss(logits, one) - focal_loss(logits, none)  # (..., Q)
    anchors, crops = boxes.unsqueeze(-2), crops.unsqueeze(-3)  # (..., Q, 1, 4), (..., 1, M, 4)
    regression = (anchors - crops).abs().sum(-1)
    overlap = 1 - generalized_iou(to_corners(anchors), to_corners(crops))
    return regression + LAMBDA_IOU * overlap + LAMBDA_FOCAL * focal.unsqueeze(-1)


@torch.no_grad()
def hungarian_match(logits: Tensor, boxes: Tensor, crops: Sequence[Tensor]) -> Match:
    """Equation 2: the assignment of good crops to anchors with the least sum of costs, for each
    photo of a batch.

    logits (B, Q), boxes (B, Q, 4), crops: for each photo (M_b, 4), as `centred_norm`; M_b may be 0.
        All costs are one
        tensor that is brought to the CPU once, where SciPy's `linear_sum_assignment` solves each
        photo.

    Raises BoxError for crops of another shape or more of them than anchors, CropnbError for costs
    that aren't finite.
    """
    check_crops(crops, *logits.shape)
    counts = [len(part) for part in crops]
    padded = torch.nn.utils.rnn.pad_sequence(list(crops), batch_first=True).to(boxes)  # (B, M, 4)
    costs = matching_costs(logits, boxes, padded).float().cpu().numpy()  # the one transfer
    pairs: list[tuple[int, int, int]] = []
    for photo, count in enumerate(counts):
        try:
            anchors, chosen = linear_sum_assignment(costs[photo, :, :count])
        except ValueError as error:
            raise CropnbError(
                f"the matching costs are not finite ({error}): training diverged, lower its rate"
            ) from error
        first = sum(counts[:photo])
        pairs += zip([photo] * count, anchors.tolist(), (first + chosen).tolist(), strict=True)
    photo, anchor, crop = (
        torch.tensor(pairs, dtype=torch.long).reshape(-1, 3).to(logits.device).unbind(1)
    )
    return Match(photo, anchor, crop)


def check_crops(crops: Sequence[Tensor], photos: int, anchors: int) -> None:
    """BoxError unless there is a tensor (M, 4) of at most `anchors` crops for each photo."""
    if len(crops) != photos:
        raise BoxError(
            f"there are crops of {len(crops)} photos and predictions for {photos}: one entry each "
            "a photo"
        )
    for index, part in enumerate(crops):
        if part.ndim != 2 or part.shape[-1] != 4:
            raise BoxError(
                f"crops of photo {index} have the shape {tuple(part.shape)}: give (M, 4), M may "
                "be 0"
            )
        if len(part) > anchors:
            raise BoxError(
                f"photo {index} has {len(part)} good crops and there are {anchors} anchors: "
                "equation 1 pads "
                "the crops to the anchors, so ask for a higher score or build the model with more "
                "anchors"
            )
