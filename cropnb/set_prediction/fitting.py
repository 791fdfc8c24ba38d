"""How the set predictor is trained, and what it predicts afterwards."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import metrics
from cropnb.set_prediction.data import (
    CropPhotos,
    FrozenFeatures,
    change_colours,
    mirror,
    rate_groups,
    resize_to,
)
from cropnb.set_prediction.losses import set_loss
from cropnb.set_prediction.model import Predictions, SetPredictionCropper, pad, to_corners
from cropnb.set_prediction.recipe import Profile, Variant
from cropnb.set_prediction.smoothing import Teacher
from cropnb.training import History, Recipe, train

COUNTS, THRESHOLDS = (5, 10), (0.85, 0.90)
DETECTIONS = (5, 10, 40)
LOOKED_AT = 6  # validation photos whose crops are kept after each epoch
EPOCH_COLUMNS = ("AP 0.85, K = 10", "ACC 1/5, 0.85", "ACC 1/10, 0.85")


@dataclass
class Found:
    """What the model predicts for one photo: corners (Q, 4) divided by the sides, and validities
    (Q,), best first.
    """

    corners: Tensor
    validity: Tensor


class Trainee(nn.Module):
    """The model, its momentum-averaged teacher if it has one, and where the run stands: all that a
    resume needs.
    """

    def __init__(self, model: SetPredictionCropper, variant: Variant, epochs: int) -> None:
        super().__init__()
        self.model = model
        self.teacher = Teacher(model, variant.teacher) if variant.teacher else None
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        # What each epoch reached on the validation and on the test photos. The latter is never
        # chosen by: the audit asks what choosing by it would have been worth.
        self.register_buffer("epochs", torch.full((epochs, 2, len(EPOCH_COLUMNS)), torch.nan))
        # How the anchors move: before training and after each epoch, where they start from, and
        # what they make of the first validation photos: x1, y1, x2, y2, divided by the sides, and
        # the validity.
        anchors = len(model.anchors)
        self.register_buffer("starts", torch.full((epochs + 1, anchors, 4), torch.nan))
        self.register_buffer("crops", torch.full((epochs + 1, LOOKED_AT, anchors, 5), torch.nan))

    @torch.no_grad()
    def look(self, epoch: int, photos: CropPhotos, frozen: FrozenFeatures | None) -> None:
        """Note where the anchors are."""
        self.model.eval()
        self.starts[epoch] = to_corners(self.model.starts().sigmoid())
        for index in range(min(LOOKED_AT, len(photos))):
            maps = self.model.features(photos.photo(index)) if frozen is None else frozen(index)
            seen = self.model.from_features(maps)
            self.crops[epoch, index] = torch.cat(
                [seen.corners[0], seen.validity[0, :, None]], dim=-1
            )


def fit(
    model: SetPredictionCropper,
    variant: Variant,
    photos: CropPhotos,
    checks: Sequence[tuple[CropPhotos, FrozenFeatures | None]],
    profile: Profile,
    seed: int,
    folder: Path | None,
    identity: dict[str, object],
    frozen: FrozenFeatures | None = None,
    progress: bool = True,
    max_steps: int | None = None,
) -> tuple[History, Trainee]:
    """Train `model` in place.

    checks: the validation photos, then the test photos, each with their features where the backbone
        is frozen.
    identity: names data and model, so that a run is never continued with another's weights.
    """
    epochs, tenth_after = profile.schedule(variant)
    model.backbone.requires_grad_(profile.backbone_rate is not None)
    prepare(model, photos, profile)
    trainee = Trainee(model, variant, epochs).to(photos.device)
    if checks:
        trainee.look(0, *checks[0])
    groups = rate_groups(model, model.backbone, profile.learning_rate, profile.backbone_rate)
    optimizer = torch.optim.AdamW(groups, weight_decay=profile.weight_decay)
    steps_an_epoch = -(-len(photos) // profile.batch_size)
    start = profile.distil_after * steps_an_epoch

    def step(batch: list[int], draw: torch.Generator) -> dict[str, Tensor]:
        turns = torch.randint(2, (len(batch),), generator=draw).bool().tolist()
        maps, mask = _maps(model, photos, frozen, batch, turns, profile.short_sides, draw)
        taught = _teach(trainee, maps, mask, start)
        parts = set_loss(
            model.from_features(maps, mask), photos.labels(batch, turns), variant.smoothing, taught
        )
        # A history has the same columns at each step, also before distillation begins.
        return {**parts, "distilled": parts.get("distilled", torch.zeros_like(parts["loss"]))}

    def validate() -> float:
        epoch, part_of_one = divmod(int(trainee.steps), steps_an_epoch)
        for row, (part, features) in enumerate(checks):
            scores = epoch_scores(predict(model, part, features), part)
            if not part_of_one:  # a run that stops early is looked at within an epoch, too
                trainee.epochs[epoch - 1, row] = torch.tensor(scores)
            if row == 0:
                score = scores[0]
        if not part_of_one:
            trainee.look(epoch, *checks[0])
        return score

    history = train(
        trainee,
        step,
        len(photos),
        Recipe(
            epochs,
            profile.learning_rate,
            profile.batch_size,
            profile.weight_decay,
            profile.clip,
            "step",
            (tenth_after,),
            profile.mixed_precision,
            seed,
        ),
        folder,
        identity={
            **identity,
            "profile": asdict(profile),
            "variant": asdict(variant),
            "optimizer": "AdamW",
        },
        validate=validate if checks else None,
        progress=progress,
        max_steps=max_steps,
        optimizer=optimizer,
    )
    return history, trainee


def prepare(
    model: SetPredictionCropper, photos: CropPhotos, profile: Profile
) -> SetPredictionCropper:
    """The model as training starts: its anchors laid where good crops lie, where the profile asks
    for it.
    """
    if profile.start_from_crops:
        crops = torch.cat(photos.crops)
        model.start_from(torch.cat([crops, mirror(crops)]), len(crops) / len(photos))
    return model


def _teach(trainee: Trainee, maps: Tensor, mask: Tensor | None, start: int) -> Tensor | None:
    """The soft labels (L, B, Q) of this step, once distillation has begun."""
    step = int(trainee.steps)
    trainee.steps += 1
    if trainee.teacher is None or step < start:
        return None
    if step == start:
        trainee.teacher.start(trainee.model)
    else:
        trainee.teacher.follow(trainee.model)
    with torch.no_grad():
        return trainee.teacher.model.from_features(maps.detach(), mask).logits.sigmoid()


def _maps(
    model: SetPredictionCropper,
    photos: CropPhotos,
    frozen: FrozenFeatures | None,
    batch: Sequence[int],
    turns: Sequence[bool],
    short_sides: Sequence[int],
    draw: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    if frozen is not None:
        return frozen.batch(batch, turns)
    maps = []
    for index, turn in zip(batch, turns, strict=True):
        side = short_sides[int(torch.randint(len(short_sides), (1,), generator=draw))]
        photo = resize_to(change_colours(photos.photo(index, turn)[0], draw), side)
        maps.append(model.features(photo[None]))
    return pad(maps)


@torch.no_grad()
def predict(
    model: SetPredictionCropper,
    photos: CropPhotos,
    frozen: FrozenFeatures | None = None,
    side: int | None = None,
    batch_size: int = 16,
) -> list[Found]:
    """The crops of every photo, the most valid first. side: the short side of the photos, if not as
    they are.
    """
    model.eval()
    found: list[Found] = []
    for first in range(0, len(photos), batch_size):
        batch = range(first, min(first + batch_size, len(photos)))
        if frozen is not None:
            maps, mask = frozen.batch(batch)
        else:
            sized = (
                photos.photo(i)[0] if side is None else resize_to(photos.photo(i)[0], side)
                for i in batch
            )
            maps, mask = pad([model.features(photo[None]) for photo in sized])
        found += ranked(model.from_features(maps, mask))
    return found


def ranked(predictions: Predictions) -> list[Found]:
    """The last layer's crops of each photo, the most valid first, on the CPU. Of equal validity the
    first anchor.
    """
    validity, order = predictions.validity.float().cpu().sort(dim=1, descending=True, stable=True)
    corners = predictions.corners.float().cpu()
    return [Found(corners[i][order[i]], validity[i]) for i in range(len(validity))]


def set_accuracy(found: Sequence[Found], photos: CropPhotos, count: int, eps: float) -> Tensor:
    """Equation 7 for each photo, (photos,): whether one of the first `count` crops comes near the
    best labelled one.
    """
    return torch.stack(
        [
            metrics.set_acc_1n(one.corners, photos.best(i).cpu(), count, eps)
            for i, one in enumerate(found)
        ]
    )


def detections(found: Sequence[Found]) -> list[tuple[Tensor, Tensor]]:
    """Predictions as `metrics.average_precision` takes them."""
    return [(one.corners, one.validity) for one in found]


def truths(photos: CropPhotos) -> list[Tensor]:
    """The good crops of each photo as corners (M, 4), divided by the sides."""
    return [to_corners(crops).cpu() for crops in photos.crops]


def epoch_scores(found: Sequence[Found], photos: CropPhotos) -> list[float]:
    """The columns that are looked at after each epoch, 0…1."""
    precision = metrics.average_precision(detections(found), truths(photos), 0.85, 10)
    if not photos.scores:
        return [precision, float("nan"), float("nan")]
    return [
        precision,
        *(float(set_accuracy(found, photos, count, 0.85).mean()) for count in COUNTS),
    ]
