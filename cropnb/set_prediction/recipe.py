"""What the set predictor is trained on and how: the rows of its tables, and the three profiles."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from cropnb import datasets, metrics
from cropnb.datasets.base import CropDataset
from cropnb.runs import Column, Experiment, Measurement, Result, Run, Stage, option
from cropnb.runs import Profile as Base
from cropnb.set_prediction.cropper import CropPredictions, predict, set_accuracy
from cropnb.set_prediction.labels import (
    GOOD,
    HARD,
    PAPER,
    THETA,
    CropPhotos,
    Features,
    Smoothing,
    change_colours,
    mirror_cxcywh,
    resize_to,
)
from cropnb.set_prediction.losses import (
    ALPHA,
    EPOCH_COLUMNS,
    GAMMA,
    LAMBDA_FOCAL,
    LAMBDA_IOU,
    Trainee,
    set_loss,
)
from cropnb.set_prediction.model import SetPredictionCropper, pad
from cropnb.set_prediction.studies import anchors
from cropnb.set_prediction.studies.tables import COUNTS, DETECTIONS, THRESHOLDS, TablesMethod
from cropnb.training import History, Loss, Recipe

CPC_TEST_PHOTOS = 1000
MUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # Figure 6: 0 is the model without smoothing, 0.5 QG's


@dataclass(frozen=True)
class Variant:
    """One row of the tables: how labels are smoothed, and which crops are good."""

    smoothing: Smoothing = HARD
    teacher: str | None = None  # "iterates": (Eq. 5) as written; "mean": a running mean
    at_least: bool = False  # good crops from the threshold on, instead of above it
    miss: str = option("1 - p_t")  # of the focal loss: or "distance", whose minimum is the label


@dataclass(frozen=True)
class Profile(Base):
    """How much is trained; rates and epochs as in Sec. 4.3."""

    epochs: int = 50
    milestone: int = 40  # from this epoch on a tenth of the rate
    # of the self-distilled variants, which train `longer` epochs and fall `longer` later
    distil_after: int = 40
    longer: int = 10
    learning_rate: float = 1e-4
    # None: the backbone stays as it is, and its maps are computed once
    backbone_rate: float | None = 1e-5
    weight_decay: float = 1e-4
    batch_size: int = 2
    # The authors clip at 0.1 with weights of 5, 2 and 2; (Eq. 3) has the same divided by five.
    clip: float | None = 0.02
    # drawn from in training; photos of the test have `test_side`
    short_sides: tuple[int, ...] = (256,)
    test_side: int = 256
    start_from_crops: bool = False  # let the untrained anchors lie where good crops lie
    light: bool = True
    mixed_precision: bool = False
    sizes: Mapping[str, object] = field(default_factory=dict)  # other sizes of the model

    def schedule(self, variant: Variant) -> tuple[int, int]:
        """Epochs in all, and the one from which on the rate is a tenth."""
        longer = self.longer if variant.teacher else 0
        return self.epochs + longer, self.milestone + longer


_FROZEN = Profile(
    None,
    100,
    None,
    learning_rate=1e-3,
    backbone_rate=None,
    batch_size=8,
    clip=1.0,
    start_from_crops=True,
)
_FEW = {"train_photos": 48, "validation_photos": 16, "test_photos": 32}


class SetPredictionMethod(TablesMethod):
    """The variants of Tables 1 to 5 and of Figure 6."""

    name, main = "set_prediction", "QG"
    variants = {
        "QG": Variant(PAPER),
        "w/o smoothing": Variant(),
        "SD": Variant(teacher="iterates"),
        "SD, running mean": Variant(teacher="mean"),
        "QG, good from 4 on": Variant(PAPER, at_least=True),
        "QG, distance in the focal loss": Variant(PAPER, miss="distance"),
        **{f"QG, μ = {mu:g}": Variant(Smoothing(mu=mu)) for mu in MUS if mu not in (0.0, 0.5)},
    }
    groups = {"all": tuple(name for name in variants if name != "QG, distance in the focal loss")}
    profiles = {
        "smoke": replace(_FROZEN, **_FEW, epochs=4, milestone=3, distil_after=2, longer=1),
        "cpu": replace(_FROZEN, epochs=16, milestone=12, distil_after=12, longer=4),
        # Sec. 4.3, with the short sides of DETR's multi-scale augmentation.
        "full": Profile(
            None, 36, None, short_sides=tuple(range(480, 801, 32)), test_side=600, light=False
        ),
    }
    forms = ("gaicd", "gaicd_v2", "cpc")
    columns = {
        f"ε = {eps:.2f}, {name}": Column(100, worth_having=1.0)
        for eps in THRESHOLDS
        for name in (*(f"ACC 1/{n}" for n in COUNTS), *(f"K = {k}" for k in DETECTIONS))
    }
    claim_columns = ("ε = 0.85, K = 10", "ε = 0.85, K = 40", "ε = 0.90, K = 40")
    constants = {
        "optimizer": "AdamW",
        "good": GOOD,
        "weights": [LAMBDA_IOU, LAMBDA_FOCAL],
        "focal": [ALPHA, GAMMA],
        "theta": THETA,
    }

    def profile(self, experiment: Experiment) -> Profile:
        profile = super().profile(experiment)
        return replace(profile, backbone_rate=None) if experiment.frozen else profile

    def parts(self, experiment: Experiment) -> Mapping[str, CropDataset]:
        """As everywhere, but 1 000 of CPC's photos are tested on (Sec. 4.5), not 2 000."""
        if experiment.dataset != "cpc":
            return super().parts(experiment)
        profile = experiment.profile
        sizes = (profile.train_photos, profile.validation_photos, profile.test_photos)
        parts = datasets.splits("cpc", "cpc", *sizes, held_out=CPC_TEST_PHOTOS)
        return dict(zip(("train", "val", "test"), parts, strict=True))

    def prepare(self, experiment: Experiment, part: str) -> dict[bool, CropPhotos]:
        """By whether crops are good from the threshold on."""
        profile = experiment.profile
        # Training photos are resized at each step where their size is drawn, the others once.
        drawn = profile.backbone_rate is not None and part == "train"
        side = None if drawn else profile.test_side
        return {
            at_least: CropPhotos(experiment.parts[part], side, experiment.device, at_least)
            for at_least in (False, True)
        }

    def build(self, experiment: Experiment, run: Run) -> SetPredictionCropper:
        profile = experiment.profile
        weights = "imagenet" if experiment.init == "imagenet" else None
        if profile.light:
            model = SetPredictionCropper.light(weights, **profile.sizes)
        else:
            model = SetPredictionCropper("resnet50", weights, dilated=True, **profile.sizes)
        if profile.start_from_crops:
            photos = self.photos(experiment, "train", run.variant)
            crops = torch.cat(photos.crops)  # (N, 4)
            model.start_from(torch.cat([crops, mirror_cxcywh(crops)]), len(crops) / len(photos))
        return model

    def features(
        self, experiment: Experiment, part: str, model: SetPredictionCropper
    ) -> Callable[..., Tensor]:
        """(photo, mirrored) → maps (1, C, h, w), computed once where the backbone is frozen."""
        photos = experiment.photos(part)[False]
        if experiment.profile.backbone_rate is not None:
            return lambda index, mirrored=False: model.features(photos.photo(index, mirrored))
        cache = experiment.features(
            part,
            model.backbone.eval(),
            lambda index, view: model.features(photos.photo(index, mirrored=bool(view))),
            views=2 if part == "train" else 1,
            described={"levels": "pooled to the last"},
            size=photos.short_side,
        )
        return lambda index, mirrored=False: cache([index], [int(mirrored)], experiment.device)[0]

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        profile, variant = experiment.profile, self.variants[run.variant]
        epochs, milestone = profile.schedule(variant)
        whole = profile.backbone_rate is not None
        model.backbone.requires_grad_(whole)
        photos = self.photos(experiment, "train", run.variant)
        epoch_steps = -(-len(photos) // profile.batch_size)
        trainee = Trainee(model, variant.teacher, epochs).to(experiment.device)
        checks = [
            (self.photos(experiment, part, run.variant), self.features(experiment, part, model))
            for part in ("val", "test")
        ]
        trainee.look(0, *checks[0])
        groups = rate_groups(model, profile.learning_rate, profile.backbone_rate)
        yield Stage(
            name="whole" if whole else "head",
            trained=trainee,
            loss=self._step(experiment, variant, trainee, photos, epoch_steps),
            size=len(photos),
            recipe=Recipe(
                epochs=epochs,
                learning_rate=profile.learning_rate,
                batch_size=profile.batch_size,
                weight_decay=profile.weight_decay,
                clip=profile.clip,
                schedule="step",
                milestones=(milestone,),
                mixed_precision=profile.mixed_precision,
                seed=run.seed,
            ),
            validate=partial(_validate, trainee, checks, epoch_steps),
            optimizer=torch.optim.AdamW(groups, weight_decay=profile.weight_decay),
            best=model,
            record=partial(_record, trainee, epoch_steps),
        )

    def _step(
        self,
        experiment: Experiment,
        variant: Variant,
        trainee: Trainee,
        photos: CropPhotos,
        epoch_steps: int,
    ) -> Loss:
        """A batch of photos, each mirrored by chance; its size and colours are drawn where the
        backbone is trained.
        """
        profile, model = experiment.profile, trainee.model
        cached = self.features(experiment, "train", model)

        def look(index: int, flip: bool, rng: torch.Generator) -> Tensor:
            if profile.backbone_rate is None:
                return cached(index, flip)
            sides = profile.short_sides
            side = sides[int(torch.randint(len(sides), (1,), generator=rng))]
            photo = resize_to(change_colours(photos.photo(index, flip)[0], rng), side)  # (3, H, W)
            return model.features(photo[None])

        def step(batch: Sequence[int], rng: torch.Generator) -> dict[str, Tensor]:
            flipped = torch.randint(2, (len(batch),), generator=rng).bool().tolist()
            maps, mask = pad([look(*view, rng) for view in zip(batch, flipped, strict=True)])
            teacher_probs = trainee.teach(maps, mask, profile.distil_after * epoch_steps)
            predictions = model.from_features(maps, mask)
            labels = photos.labels(batch, flipped)
            parts = set_loss(predictions, labels, variant.smoothing, teacher_probs, variant.miss)
            # A history has the same columns at each step, also before distillation begins.
            return {"distilled": torch.zeros_like(parts["loss"]), **parts}

        return step

    def measure(self, experiment: Experiment, run: Run, model: nn.Module) -> Measurement:
        photos = self.photos(experiment, "test", run.variant)
        predictions = predict(model, photos, self.features(experiment, "test", model))
        xyxy, validity = map(torch.stack, zip(*predictions, strict=True))
        columns = self.columns_of(predictions, photos)
        return Measurement(columns, tensors={"xyxy": xyxy, "validity": validity})

    def columns_of(
        self, predictions: Sequence[CropPredictions], photos: CropPhotos
    ) -> dict[str, Sequence[float]]:
        """What each photo adds to every number of Tables 1 and 2, (photos,) each, 0…1."""
        columns = {}
        for eps in THRESHOLDS:
            for count in COUNTS:
                hits = set_accuracy(predictions, photos, count, eps)  # (photos,)
                columns[f"ε = {eps:.2f}, ACC 1/{count}"] = hits.tolist()
            for most in DETECTIONS:
                shares = metrics.average_precision_by_photo(
                    predictions, photos.truths, iou_threshold=eps, max_detections=most
                )  # (photos,)
                columns[f"ε = {eps:.2f}, K = {most}"] = shares.tolist()
        return columns

    def card(self, result: Result) -> dict[str, object]:
        """The short side that the cropper resizes to, and the scores under the ledger's names."""
        means, first = result.means(), f"ε = {THRESHOLDS[0]:.2f}"
        names = {f"ACC 1/{count}": f"{first}, ACC 1/{count}" for count in COUNTS}
        names[f"AP, {first}, K = 10"] = f"{first}, K = 10"
        scores = {name: round(100 * means[column], 4) for name, column in names.items()}
        return {"short_side": result.settings["profile"]["test_side"], "scores": scores}

    def ship_beside(self, experiment: Experiment, run: Run, result: Result) -> None:
        """How the anchors moved, for the chapter."""
        anchors.write(experiment, run, self.photos(experiment, "val", run.variant))


def _validate(
    trainee: Trainee, checks: Sequence[tuple[CropPhotos, Features]], epoch_steps: int
) -> float:
    """AP on the validation photos; what the epoch reached is noted in the trainee."""
    epoch, within = divmod(int(trainee.steps), epoch_steps)
    scores = [epoch_scores(predict(trainee.model, *check), check[0]) for check in checks]
    if not within:  # a run that stops early is looked at within an epoch, too
        trainee.scores[epoch - 1] = torch.tensor(scores)  # (2, columns)
        trainee.look(epoch, *checks[0])
    return scores[0][0]


def _record(trainee: Trainee, epoch_steps: int, history: History) -> Measurement:
    """What the finished epochs reached, their mean loss, and how the anchors moved."""
    details = {
        "epoch_columns": EPOCH_COLUMNS,
        "epochs": trainee.scores[: int(trainee.steps) // epoch_steps].tolist(),
        "loss": [float(part.mean()) for part in history.column("loss").split(epoch_steps)],
    }
    return Measurement({}, details, {"starts": trainee.starts, "crops": trainee.crops})


def epoch_scores(predictions: Sequence[CropPredictions], photos: CropPhotos) -> list[float]:
    """The columns that are looked at after each epoch, 0…1."""
    precision = metrics.average_precision(predictions, photos.truths, 0.85, 10)
    hits = (set_accuracy(predictions, photos, count, 0.85).mean() for count in COUNTS)
    return [precision, *map(float, hits)]


def rate_groups(
    model: SetPredictionCropper, rate: float, backbone_rate: float | None
) -> list[dict[str, object]]:
    """Two groups of parameters: the backbone's, at a lower rate, and all others. A frozen backbone
    is left out.
    """
    own = list(model.backbone.parameters())
    ids = set(map(id, own))
    others = [p for p in model.parameters() if id(p) not in ids and p.requires_grad]
    groups = [{"params": others, "lr": rate}]
    if backbone_rate is not None:
        groups.append({"params": [p for p in own if p.requires_grad], "lr": backbone_rate})
    return groups


METHOD = SetPredictionMethod()
