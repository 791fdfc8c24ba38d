"""What is minimised: which anchor answers for which good crop (Eq. 1 and 2), and the loss (Eq. 3)
under that matching, at every layer of the decoder, with smoothed labels (Eq. 4 and 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from cropnb.boxes import intersection_and_union
from cropnb.errors import BoxError, CropnbError, MetricError
from cropnb.set_prediction.labels import (
    CropPhotos,
    Features,
    Labels,
    Smoothing,
    Teacher,
    smooth_labels,
)
from cropnb.set_prediction.model import Predictions, SetPredictionCropper, to_xyxy

# the paper's (Sec. 4.3); the focal weight is called λ_bce in the text below (Eq. 3)
LAMBDA_IOU = LAMBDA_FOCAL = 0.4
ALPHA, GAMMA = 0.25, 2.0  # of the focal loss, as in Conditional DETR; the paper gives none
MISSES = ("1 - p_t", "distance")  # of the focal loss; they differ for soft labels only
LOOKED_AT = 6  # validation photos whose crops are kept after each epoch
EPOCH_COLUMNS = ("AP 0.85, K = 10", "ACC 1/5, 0.85", "ACC 1/10, 0.85")  # 0…1


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
    """Generalised IoU (...), −1…1, of boxes (..., 4) as xyxy that broadcast.

    As `cropnb.boxes.generalized_iou`, less its checks, which would make a GPU wait in each training
    step.
    """
    intersection, union = intersection_and_union(a, b)  # (...)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return intersection / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def focal_miss(p: Tensor, labels: Tensor, miss: str = "1 - p_t") -> Tensor:
    """What a prediction misses of its label (...), 0…1: the focal loss weighs by its power γ.

    For hard labels both readings are the same.

    Args:
        p: probabilities (...).
        labels: (...) in 0…1.
        miss: "1 - p_t" with p_t = p v + (1 − p)(1 − v), as torchvision and Transformers have it, or
            "distance", |v − p|.

    Raises:
        MetricError: another name of `miss`.
    """
    if miss not in MISSES:
        raise MetricError(f"the focal loss has a miss of {' or '.join(MISSES)}, not {miss!r}")
    if miss == "distance":
        return (labels - p).abs()
    return 1 - (p * labels + (1 - p) * (1 - labels))


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    alpha: float = ALPHA,
    gamma: float = GAMMA,
    miss: str = "1 - p_t",
) -> Tensor:
    """The focal loss (...) of validity logits (...) for labels (...) in 0…1, hard or soft; nothing
    is summed.

    With p = sigmoid(logit) and v the label: cross entropy × miss^γ × (α v + (1 − α)(1 − v)); `miss`
    as in `focal_miss`.
    """
    missed = focal_miss(logits.sigmoid(), labels, miss)  # (...), as all below
    weight = alpha * labels + (1 - alpha) * (1 - labels)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return weight * missed**gamma * cross_entropy


def focal_minimum(
    labels: Tensor, gamma: float = GAMMA, steps: int = 10_000, miss: str = "1 - p_t"
) -> Tensor:
    """The validity (...), 0…1, at which the focal loss of a label (...) is least: where training
    pushes an anchor.

    With the distance it is the label itself: there the loss is zero. With 1 − p_t that holds for
    hard labels and for 0.5 only. Any other soft label is overshot: 0.3 means 0.12 and 0.9 means
    0.99 with γ = 2, for the factor rewards certainty. α only scales the loss.
    """
    p = torch.arange(steps + 1, dtype=torch.float64) / steps  # (steps + 1,)
    v = labels.double().unsqueeze(-1)  # (..., 1)
    cross_entropy = -(torch.xlogy(v, p) + torch.xlogy(1 - v, 1 - p))  # (..., steps + 1)
    missed = focal_miss(p, v, miss) ** gamma  # (..., steps + 1)
    # At the ends the cross entropy of a soft label is infinite, that of a hard one zero.
    return p[(missed * cross_entropy).nan_to_num(nan=0.0).argmin(-1)].to(labels)


def matching_costs(logits: Tensor, boxes: Tensor, crops: Tensor) -> Tensor:
    """The cost (Eq. 3) of every anchor with every good crop.

    An anchor that is matched owes the focal loss of v = 1 and no longer that of v = 0; so the cost
    holds their difference, and the sum over pairs is the sum over all anchors (Eq. 2), less what
    doesn't depend on the matching.

    Args:
        logits: (..., Q).
        boxes: (..., Q, 4) as cxcywh.
        crops: (..., M, 4) as cxcywh.

    Returns:
        (..., Q, M).
    """
    one, none = torch.ones_like(logits), torch.zeros_like(logits)
    focal = focal_loss(logits, one) - focal_loss(logits, none)  # (..., Q)
    anchors = boxes.unsqueeze(-2)  # (..., Q, 1, 4)
    crops = crops.unsqueeze(-3)  # (..., 1, M, 4)
    regression = (anchors - crops).abs().sum(-1)  # (..., Q, M)
    overlap = 1 - generalized_iou(to_xyxy(anchors), to_xyxy(crops))  # (..., Q, M)
    return regression + LAMBDA_IOU * overlap + LAMBDA_FOCAL * focal.unsqueeze(-1)


@torch.no_grad()
def hungarian_match(logits: Tensor, boxes: Tensor, crops: Sequence[Tensor]) -> Match:
    """The assignment of good crops to anchors with the least sum of costs (Eq. 2), for each photo
    of a batch.

    All costs are one tensor that is brought to the CPU once, where SciPy's `linear_sum_assignment`
    solves each photo.

    Args:
        logits: (B, Q).
        boxes: (B, Q, 4) as cxcywh.
        crops: for each photo (M_b, 4) as cxcywh; M_b may be 0.

    Raises:
        BoxError: crops of another shape, or more of them than anchors.
        CropnbError: costs that aren't finite.
    """
    check_crops(crops, *logits.shape)
    counts = [len(part) for part in crops]
    padded = pad_sequence(list(crops), batch_first=True).to(boxes)  # (B, M, 4)
    costs = matching_costs(logits, boxes, padded).float().cpu().numpy()  # (B, Q, M)
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
    columns = torch.tensor(pairs, dtype=torch.long).reshape(-1, 3)  # (P, 3)
    return Match(*columns.to(logits.device).unbind(1))


def check_crops(crops: Sequence[Tensor], photos: int, anchors: int) -> None:
    """Refuse crops that can't be matched.

    Raises:
        BoxError: unless there is a tensor (M, 4) of at most `anchors` crops for each photo.
    """
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
                f"photo {index} has {len(part)} good crops and there are {anchors} anchors: (Eq. "
                "1) pads the crops to the anchors, so ask for a higher score or build the model "
                "with more anchors"
            )


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
    """The labels v (Eq. 1), (L, B, Q): 1 for the matched anchors; for the others 0, or with
    `smoothing` what their neighbours are worth (Eq. 4).
    """
    if smoothing is None or smoothing.mu == 0 or not labels.scores:
        target = torch.zeros_like(predictions.logits, dtype=torch.float32)  # (L, B, Q)
    else:
        scored = pad_sequence(list(labels.scored), batch_first=True)  # (B, N, 4), empty at the end
        scores = pad_sequence(list(labels.scores), batch_first=True)  # (B, N)
        boxes = to_xyxy(predictions.boxes.detach().float())  # (L, B, Q, 4)
        target = smooth_labels(boxes, scored, scores, smoothing)  # (L, B, Q)
    target = target.flatten(0, 1)  # (L B, Q)
    target[match.photo, match.anchor] = 1.0
    return target.view(predictions.logits.shape)


def set_loss(
    predictions: Predictions,
    labels: Labels,
    smoothing: Smoothing | None = None,
    teacher_probs: Tensor | None = None,
    miss: str = "1 - p_t",
) -> dict[str, Tensor]:
    """(Eq. 3) summed over anchors and decoder layers, divided by the good crops of the batch.

    Args:
        smoothing: (Eq. 4) for the unmatched anchors; None keeps the hard labels.
        teacher_probs: validities (L, B, Q) of the momentum-averaged model, for the second term of
            (Eq. 6).
        miss: what the focal loss weighs by; see `focal_miss`.

    Returns:
        Scalars: `regression` (L1), `overlap` (1 − generalised IoU), `validity` (focal),
        `distilled` where there is a teacher, and their weighted sum `loss`.
    """
    match = match_layers(predictions, labels.crops)
    crops = torch.cat([*labels.crops] * len(predictions.logits)).to(predictions.boxes)  # (L M, 4)
    crops = crops[match.crop]  # (P, 4)
    boxes = predictions.boxes.flatten(0, 1)[match.photo, match.anchor]  # (P, 4)
    count = max(sum(map(len, labels.crops)), 1)
    target = validity_labels(predictions, match, labels, smoothing)  # (L, B, Q)
    parts = {
        "regression": (boxes - crops).abs().sum() / count,
        "overlap": (1 - generalized_iou(to_xyxy(boxes), to_xyxy(crops))).sum() / count,
        "validity": focal_loss(predictions.logits.float(), target, miss=miss).sum() / count,
    }
    if teacher_probs is not None:
        distilled = focal_loss(predictions.logits.float(), teacher_probs, miss=miss)  # (L, B, Q)
        parts["distilled"] = distilled.sum() / count
    focal = parts["validity"] + parts.get("distilled", 0.0)
    total = parts["regression"] + LAMBDA_IOU * parts["overlap"] + LAMBDA_FOCAL * focal
    return {"loss": total, **parts}


class Trainee(nn.Module):
    """The model, its momentum-averaged teacher if it has one, and what each epoch reached: all that
    a resume needs.
    """

    def __init__(self, model: SetPredictionCropper, teacher: str | None, epochs: int) -> None:
        super().__init__()
        self.model = model
        self.teacher = Teacher(model, teacher) if teacher else None
        anchors = len(model.anchors)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        # What each epoch reached on the validation and on the test photos. The latter is never
        # chosen by: the audit asks what choosing by it would have been worth.
        self.register_buffer("scores", torch.zeros(epochs, 2, len(EPOCH_COLUMNS)))
        # Before training and after each epoch: the boxes that anchors start from, and what they
        # make of the first validation photos, with the validity behind x1, y1, x2, y2.
        self.register_buffer("starts", torch.zeros(epochs + 1, anchors, 4))
        self.register_buffer("crops", torch.zeros(epochs + 1, LOOKED_AT, anchors, 5))

    @torch.no_grad()
    def look(self, epoch: int, photos: CropPhotos, features: Features) -> None:
        """Note where the anchors are."""
        self.model.eval()
        self.starts[epoch] = to_xyxy(self.model.starts().sigmoid())
        for index in range(min(LOOKED_AT, len(photos))):
            seen = self.model.from_features(*features([index], [False]))
            boxes, validity = seen.xyxy[0], seen.validity[0, :, None]  # (Q, 4), (Q, 1)
            self.crops[epoch, index] = torch.cat([boxes, validity], dim=-1)  # (Q, 5)

    def teach(self, maps: Tensor, mask: Tensor | None, start: int) -> Tensor | None:
        """Count a step; its soft labels (L, B, Q), once distillation has begun."""
        step = int(self.steps)
        self.steps += 1
        if self.teacher is None or step < start:
            return None
        (self.teacher.start if step == start else self.teacher.follow)(self.model)
        with torch.no_grad():
            return self.teacher.model.from_features(maps.detach(), mask).logits.sigmoid()
