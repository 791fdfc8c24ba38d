"""What the network learns from a photo: its good crops, and soft validity labels for all others.

Soft labels come from the quality of a crop's neighbours (Eq. 4), or from the model itself
(Eq. 5 and 6).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as TF

from cropnb import boxes as box_math
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError, MetricError
from cropnb.images import resize_short_side, short_side_size
from cropnb.set_prediction.model import to_cxcywh, to_xyxy

# Good crops have a higher score than four in GAICD and than two in CPC (Sec. 4.3). CPC's scores as
# the dataset gives them, and those of the scenes in its form, average 0.66 and hardly reach two;
# there the best fifth of crops counts.
GOOD = {"gaicd": 4.0, "gaicd_v2": 4.0, "cpc": 1.2}
LONG_SIDE = 1333  # pixels at most, as the multi-scale augmentation of DETR has it
THETA = 0.5  # θ (Eq. 5), its value (Sec. 4.3)
# (photos, which of them mirrored) → their maps, (1, C, h, w) each
Features = Callable[[Sequence[int], Sequence[bool]], list[Tensor]]


def good_crops(scores: Tensor, threshold: float = 4.0, at_least: bool = False) -> Tensor:
    """Which candidates are good (Sec. 4.3): scores (N,) → booleans (N,).

    Where none is, those of the highest score are: every photo teaches something.

    Args:
        threshold: good crops have a score above it.
        at_least: good from the threshold on (Sec. 3.2).

    Raises:
        CropnbError: there are no scores.
    """
    if not len(scores):
        raise CropnbError("a photo without scored crops has no good one; leave it out")
    good = scores >= threshold if at_least else scores > threshold
    return good if bool(good.any()) else scores == scores.max()


@dataclass
class Labels:
    """What is known of the photos of a batch, an entry a photo. Boxes are divided by the photo's
    sides.

    Attributes:
        crops: the good crops (M_b, 4) as cxcywh.
        scored: all scored crops (N_b, 4) as xyxy.
        scores: their scores (N_b,).
    """

    crops: Sequence[Tensor]
    scored: Sequence[Tensor] = ()
    scores: Sequence[Tensor] = ()


class CropPhotos:
    """A dataset's photos as bytes with the given short side, their good crops, and all scored ones.

    A photo is read when it is first asked for: a run on features that were computed before asks for
    none. A dataset of true boxes, such as FLMS, has these as good crops and no scores. Boxes are
    divided by the sides of the photo, so that they hold at every size.

    Args:
        short_side: of the photos in pixels; None leaves them as they are.
        at_least: as in `good_crops`.
    """

    def __init__(
        self,
        dataset: CropDataset,
        short_side: int | None = 256,
        device: str | torch.device = "cpu",
        at_least: bool = False,
    ) -> None:
        self.dataset, self.short_side, self.device = dataset, short_side, torch.device(device)
        self._photos: dict[int, Tensor] = {}
        self.crops: list[Tensor] = []
        self.scored: list[Tensor] = []
        self.scores: list[Tensor] = []
        for sample in dataset:
            boxes = box_math.normalize(sample.boxes, *sample.size).float()  # (N, 4)
            good = slice(None)
            if sample.scores is not None:
                good = good_crops(sample.scores, GOOD.get(dataset.form, 4.0), at_least)  # (N,)
                self.scored.append(boxes.to(self.device))
                self.scores.append(sample.scores.float().to(self.device))
            self.crops.append(to_cxcywh(boxes[good]).to(self.device))

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def truths(self) -> list[Tensor]:
        """The good crops of each photo (M, 4) as xyxy, on the CPU."""
        return [to_xyxy(crops).cpu() for crops in self.crops]

    def photo(self, index: int, mirrored: bool = False) -> Tensor:
        """(1, 3, H, W) in 0…1, mirrored left to right if wanted."""
        if index not in self._photos:
            image = self.dataset[index].image()
            image = resize_to(image, self.short_side) if self.short_side else image
            self._photos[index] = (image * 255).round().to(torch.uint8)
        photo = self._photos[index].to(self.device)[None].float() / 255
        return photo.flip(-1) if mirrored else photo

    def augmented(
        self, index: int, mirrored: bool, short_sides: Sequence[int], rng: torch.Generator
    ) -> Tensor:
        """The same at one of some sizes and in other colours, both by chance."""
        side = short_sides[int(torch.randint(len(short_sides), (1,), generator=rng))]
        return resize_to(change_colours(self.photo(index, mirrored)[0], rng), side)[None]

    def labels(
        self, batch: Sequence[int], mirrored: Sequence[bool] | None = None, best_only: bool = False
    ) -> Labels:
        """What is known of a batch of photos; with `best_only` one good crop of each, the best."""
        views = list(zip(batch, mirrored or [False] * len(batch), strict=True))
        good = self.best_crops if best_only else self.crops
        crops = [mirror_cxcywh(good[i]) if flip else good[i] for i, flip in views]
        if not self.scores:
            return Labels(crops)
        scored = [mirror_xyxy(self.scored[i]) if flip else self.scored[i] for i, flip in views]
        return Labels(crops, scored, [self.scores[i] for i in batch])

    @cached_property
    def best_crops(self) -> list[Tensor]:
        """The best crop of each photo (1, 4) as cxcywh."""
        return [to_cxcywh(self.best(index))[None] for index in range(len(self))]

    def best(self, index: int) -> Tensor:
        """The crop of the highest score (4,) as xyxy; of several the first."""
        return self.scored[index][self.scores[index].argmax()]


def resize_to(image: Tensor, short_side: int) -> Tensor:
    """A photo (3, H, W) with this short side, and a long one of 1333 pixels at most, as DETR
    resizes.
    """
    height, width = image.shape[-2:]
    longest = max(short_side_size(width, height, short_side))
    return resize_short_side(image, min(short_side, short_side * LONG_SIDE // longest)).clamp(0, 1)


def change_colours(photo: Tensor, rng: torch.Generator) -> Tensor:
    """Contrast and saturation between one half and one and a half, as GAIC trains, to which
    the paper refers (Sec. 4.3).
    """
    contrast, saturation = (0.5 + torch.rand(2, generator=rng)).tolist()
    return TF.adjust_saturation(TF.adjust_contrast(photo, contrast), saturation)


def mirror_xyxy(boxes: Tensor) -> Tensor:
    """Boxes (..., 4), divided by the sides, in the photo mirrored left to right."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([1 - x2, y1, 1 - x1, y2], dim=-1)


def mirror_cxcywh(boxes: Tensor) -> Tensor:
    """The same of boxes (..., 4) given by centre, width and height."""
    x, y, width, height = boxes.unbind(-1)
    return torch.stack([1 - x, y, width, height], dim=-1)


@dataclass(frozen=True)
class Smoothing:
    """How soft labels follow from quality; the defaults are the paper's (Sec. 4.3).

    Attributes:
        mu: the highest soft label.
        lower: s_l, the score up to which the label is 0.
        upper: s_u, the score from which on it is `mu`.
        eps: the least IoU of a neighbour.

    Raises:
        MetricError: values that are no shares, or bounds that don't rise.
    """

    mu: float = 0.5
    lower: float = 2.0
    upper: float = 3.5
    eps: float = 0.85

    def __post_init__(self) -> None:
        if not 0 <= self.mu <= 1 or not self.lower < self.upper or not 0 < self.eps <= 1:
            raise MetricError(f"{self}: mu and eps are shares, and lower has to lie below upper")


PAPER = Smoothing()
HARD = Smoothing(mu=0.0)  # no smoothing: (Eq. 4) gives 0 to every unmatched anchor


def soft_labels(scores: Tensor, smoothing: Smoothing = PAPER) -> Tensor:
    """M(s) (Eq. 4): quality scores (...) → labels (...), 0 up to s_l, rising to μ at s_u and
    staying there.
    """
    ramp = (scores - smoothing.lower) / (smoothing.upper - smoothing.lower)
    return smoothing.mu * ramp.clamp(0, 1)


def estimate_quality(xyxy: Tensor, scored: Tensor, scores: Tensor, eps: float = 0.85) -> Tensor:
    """Local redundancy (Sec. 3.2.1): a crop is worth what its nearest scored crop is, if their IoU
    is `eps` or more.

    Args:
        xyxy: the crops (..., Q, 4).
        scored: (..., M, 4) in the same unit; an empty one is near to nothing.
        scores: (..., M).

    Returns:
        (..., Q), NaN where no scored crop is near enough. Of equally near ones the first counts.
    """
    shared, union = box_math.intersection_and_union(xyxy.unsqueeze(-2), scored.unsqueeze(-3))
    overlap, nearest = (shared / union.clamp(min=1e-9)).max(dim=-1)  # (..., Q)
    quality = scores.expand(*nearest.shape[:-1], -1).gather(-1, nearest)  # (..., Q)
    # Single precision turns an IoU of 17 / 20 into 0.84999996.
    return torch.where(overlap >= eps - 1e-6, quality, torch.nan)


def smooth_labels(
    xyxy: Tensor, scored: Tensor, scores: Tensor, smoothing: Smoothing = PAPER
) -> Tensor:
    """The labels (..., Q) that predicted crops (..., Q, 4) get while unmatched; 0 where no scored
    crop is near.

    Shapes as `estimate_quality`. Matched anchors keep their label of 1: that is up to the loss.
    """
    quality = estimate_quality(xyxy, scored, scores, smoothing.eps)
    return soft_labels(quality, smoothing).nan_to_num(0.0)


class Teacher(nn.Module):
    """The momentum-averaged model F̄ of self-distillation, whose validities are the soft labels of
    (Eq. 6).

    Its state is part of the run, so that a resumed run goes on with the same labels.

    Args:
        kind: "iterates" is (Eq. 5) as it is written, θ Fᵗ + (1 − θ) Fᵗ⁻¹: the mean of the last two
            iterates, which remembers nothing older. "mean" is the running mean that the words
            describe, θ Fᵗ + (1 − θ) F̄ᵗ⁻¹.
        theta: θ.

    Raises:
        MetricError: another kind, or a θ that is no share.
    """

    def __init__(self, student: nn.Module, kind: str = "iterates", theta: float = THETA) -> None:
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
        """Stays in evaluation mode: no dropout in a label."""
        return super().train(False)

    @torch.no_grad()
    def start(self, student: nn.Module) -> None:
        """Begin as a copy of the student."""
        for model in filter(None, (self.model, self.before)):
            model.load_state_dict(student.state_dict())

    @torch.no_grad()
    def follow(self, student: nn.Module) -> None:
        """(Eq. 5), once a step."""
        past = self.before or self.model
        for ours, now, then in zip(
            self.model.parameters(), student.parameters(), past.parameters(), strict=True
        ):
            ours.copy_(self.theta * now + (1 - self.theta) * then)
        if self.before is not None:
            for then, now in zip(self.before.parameters(), student.parameters(), strict=True):
                then.copy_(now)
