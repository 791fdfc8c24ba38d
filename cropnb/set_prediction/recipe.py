"""What the set predictor is trained on and how: the rows of its tables, and the three profiles."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from cropnb import backbones, datasets, ledger
from cropnb.datasets.base import CropDataset
from cropnb.runs import Column, Experiment, Measurement, Result, Run, Stage
from cropnb.runs.maps import Maps, cached, from_cache, from_photos, from_stem
from cropnb.runs.method import NORMALISATION
from cropnb.runs.start import run_of, state_of
from cropnb.set_prediction.cropper import predict
from cropnb.set_prediction.labels import (
    GOOD,
    PAPER,
    THETA,
    CropPhotos,
    Smoothing,
    mirror_cxcywh,
)
from cropnb.set_prediction.losses import (
    ALPHA,
    GAMMA,
    LAMBDA_FOCAL,
    LAMBDA_IOU,
    Trainee,
    set_loss,
)
from cropnb.set_prediction.model import SetPredictionCropper, pad
from cropnb.set_prediction.studies import anchors, epochs
from cropnb.set_prediction.studies.tables import COUNTS, DETECTIONS, THRESHOLDS, TablesMethod
from cropnb.set_prediction.studies.variants import FromCut, Profile, Variant
from cropnb.training import Loss, Recipe, rate_groups

CPC_TEST_PHOTOS = 1000
MUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # Figure 6: 0 is the model without smoothing, 0.5 QG's


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
# What a CPU trains of the network in minutes: the first units, which cost most, stay.
_TRAINED = FromCut(
    None,
    100,
    None,
    epochs=8,
    milestone=6,
    distil_after=6,
    longer=2,
    learning_rate=1e-3,
    backbone_rate=5e-4,
    batch_size=8,
    clip=1.0,
    start_from_crops=True,
)
# Beside the paper's rows; each is trained by an entry of its own.
_ASIDE = {
    "QG, distance in the focal loss": Variant(PAPER, miss="distance"),
    "w/o smoothing, as long as SD": Variant(as_distilled=True),
    "w/o smoothing, twice as long": Variant(times=2),
    "one crop": Variant(one_crop=True),
}
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
        **{f"QG, μ = {mu:g}": Variant(Smoothing(mu=mu)) for mu in MUS if mu not in (0.0, 0.5)},
        **_ASIDE,
    }
    groups = {"all": tuple(name for name in variants if name not in _ASIDE)}
    profiles = {
        "smoke": replace(_FROZEN, **_FEW, epochs=4, milestone=3, distil_after=2, longer=1),
        "cpu": replace(_FROZEN, epochs=16, milestone=12, distil_after=12, longer=4),
        "trained": _TRAINED,
        "photographs": replace(
            _TRAINED,
            validation_photos=150,
            epochs=5,
            milestone=4,
            distil_after=2,
            longer=1,
            learning_rate=3e-4,
            backbone_rate=2e-4,
            # Anew it finds one window that is good enough everywhere, and looks no further.
            starts_from="cpu",
            bfloat16=True,
        ),
        # Sec. 4.3, with the short sides of DETR's multi-scale augmentation.
        "full": Profile(
            None, 36, None, short_sides=tuple(range(480, 801, 32)), test_side=600, light=False
        ),
    }
    forms = ("gaicd", "gaicd_v2", "cpc")
    columns = {
        f"ε = {eps:.2f}, {name}": Column(100, worth_having=1.0)
        for eps in THRESHOLDS
        for name in (*(f"ACC 1/{n}" for n in (1, *COUNTS)), *(f"K = {k}" for k in DETECTIONS))
    }
    remark = (
        "It goes on from its network of scenes, for a few epochs of scenes and photographs. Of a "
        "required ratio it gives a window that may expect to overlap with the crops that it "
        "proposes without one, and is as large as people draw them."
    )
    claim_columns = ("ε = 0.85, K = 10", "ε = 0.85, K = 40", "ε = 0.90, K = 40")
    constants = {
        "optimizer": "AdamW",
        "good": GOOD,
        "weights": [LAMBDA_IOU, LAMBDA_FOCAL],
        "focal": [ALPHA, GAMMA],
        "theta": THETA,
    }
    usual = {
        **NORMALISATION,
        "cropnb.set_prediction.model.CUTS": {
            "resnet50": ("c5_3",),
            "mobilenet_v2": ("c4_7", "c5_4"),
        },
        "cropnb.set_prediction.model.PRIOR": 0.01,
        "cropnb.set_prediction.attention.TEMPERATURE": 10_000,
        "cropnb.set_prediction.labels.LONG_SIDE": 1333,
        "cropnb.set_prediction.losses.LOOKED_AT": 6,
        "cropnb.set_prediction.recipe.CPC_TEST_PHOTOS": 1000,
    }

    def profile(self, experiment: Experiment) -> Profile:
        """As the base has it; a frozen backbone has no rate and no units that are trained."""
        profile = super().profile(experiment)
        if not experiment.frozen:
            return profile
        cut = {"trained_from": ""} if profile.trained_from else {}
        return replace(profile, backbone_rate=None, **cut)

    def parts(self, experiment: Experiment) -> Mapping[str, CropDataset]:
        """As everywhere, but 1 000 of CPC's photos are tested on (Sec. 4.5), not 2 000."""
        if experiment.dataset != "cpc":
            return super().parts(experiment)
        profile = experiment.profile
        sizes = (profile.train_photos, profile.validation_photos, profile.test_photos)
        parts = datasets.splits("cpc", "cpc", *sizes, held_out=CPC_TEST_PHOTOS)
        return dict(zip(("train", "val", "test"), parts, strict=True))

    def settings(self, experiment: Experiment, variant: str) -> Mapping[str, object]:
        """The variant, and the run that its network starts from, where there is one."""
        settings, start = super().settings(experiment, variant), experiment.profile.starts_from
        if not start:
            return settings
        run = run_of(experiment, self.name, start, dataset=ledger.SCENES)
        return {**settings, "starts_from": run.config_hash}

    def prepare(self, experiment: Experiment, part: str) -> dict[bool, CropPhotos]:
        """By whether crops are good from the threshold on."""
        profile = experiment.profile
        # Training photos are resized at each step where their size is drawn, the others once.
        drawn = part == "train" and profile.sizes_drawn
        side = None if drawn else profile.test_side
        return {
            at_least: CropPhotos(experiment.parts[part], side, experiment.device, at_least)
            for at_least in (False, True)
        }

    def build(self, experiment: Experiment, run: Run) -> SetPredictionCropper:
        """The paper's network, or the light one that a CPU trains; some profiles start it from
        other weights.
        """
        profile = experiment.profile
        weights = "imagenet" if experiment.init == "imagenet" else None
        one_crop = self.variants[run.variant].one_crop
        sizes = {**profile.sizes, "anchors": 1} if one_crop else profile.sizes
        if profile.light:
            model = SetPredictionCropper.light(weights, **sizes)
        else:
            model = SetPredictionCropper("resnet50", weights, dilated=True, **sizes)
        if profile.starts_from:
            model.load_state_dict(
                state_of(experiment, self.name, profile.starts_from, dataset=ledger.SCENES)
            )
        elif profile.start_from_crops:
            photos = self.photos(experiment, "train", run.variant)
            crops = torch.cat(photos.best_crops if one_crop else photos.crops)  # (N, 4)
            model.start_from(torch.cat([crops, mirror_cxcywh(crops)]), len(crops) / len(photos))
        return model

    def features(self, experiment: Experiment, part: str, model: SetPredictionCropper) -> Maps:
        """The maps of the photos of a part, computed once where the backbone is frozen."""
        photos = experiment.photos(part)[False]
        if experiment.profile.backbone_rate is not None:
            return from_photos(model.features, photos)
        levels = {"levels": "pooled to the last"}
        backbone = model.backbone.eval()
        cache = cached(experiment, part, backbone, photos, photos.short_side, model.join, levels)
        return from_cache(cache, experiment.device)

    def training_features(
        self, experiment: Experiment, model: SetPredictionCropper
    ) -> dict[str, Maps]:
        """The same of each part, where first units of the backbone stay from their maps, which are
        computed once.
        """
        profile = experiment.profile
        if not profile.trained_from:
            return {part: self.features(experiment, part, model) for part in experiment.parts}
        stem, trunk = backbones.split(model.backbone, profile.trained_from, profile.bfloat16)
        photos = {part: experiment.photos(part)[False] for part in experiment.parts}
        side = profile.test_side
        return from_stem(experiment, photos, stem, lambda maps: model.join(trunk(maps)), side)

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        """One, of the network and, where the variant has one, its momentum-averaged teacher."""
        profile, variant = experiment.profile, self.variants[run.variant]
        count, milestone = profile.schedule(variant)
        whole = profile.backbone_rate is not None
        model.backbone.requires_grad_(whole)
        photos = self.photos(experiment, "train", run.variant)
        epoch_steps = -(-len(photos) // profile.batch_size)
        trainee = Trainee(model, variant.teacher, count).to(experiment.device)
        features = self.training_features(experiment, model)
        checks = [
            (self.photos(experiment, part, run.variant), features[part]) for part in ("val", "test")
        ]
        trainee.look(0, *checks[0])
        groups = rate_groups(model, model.backbone, profile.learning_rate, profile.backbone_rate)
        yield Stage(
            name="whole" if whole else "head",
            trained=trainee,
            loss=self._step(experiment, variant, trainee, photos, epoch_steps, features["train"]),
            size=len(photos),
            recipe=Recipe(
                epochs=count,
                learning_rate=profile.learning_rate,
                batch_size=profile.batch_size,
                weight_decay=profile.weight_decay,
                clip=profile.clip,
                schedule="step",
                milestones=(milestone,),
                mixed_precision=profile.mixed_precision,
                seed=run.seed,
            ),
            validate=partial(epochs.validate, trainee, checks, epoch_steps),
            optimizer=torch.optim.AdamW(groups, weight_decay=profile.weight_decay),
            best=model,
            record=partial(epochs.record, trainee, epoch_steps),
        )

    def _step(
        self,
        experiment: Experiment,
        variant: Variant,
        trainee: Trainee,
        photos: CropPhotos,
        epoch_steps: int,
        features: Maps,
    ) -> Loss:
        """A batch of photos, each mirrored by chance; its size and colours are drawn where the
        backbone is trained.
        """
        profile, model = experiment.profile, trainee.model

        def step(batch: Sequence[int], rng: torch.Generator) -> dict[str, Tensor]:
            flipped = torch.randint(2, (len(batch),), generator=rng).bool().tolist()
            if profile.sizes_drawn:
                views = zip(batch, flipped, strict=True)
                sides = profile.short_sides
                drawn = [photos.augmented(*view, sides, rng) for view in views]  # (1, 3, H, W) each
                maps, mask = pad([model.features(photo) for photo in drawn])
            else:
                maps, mask = pad(features(batch, flipped))
            teacher_probs = trainee.teach(maps, mask, profile.distil_after * epoch_steps)
            predictions = model.from_features(maps, mask)
            labels = photos.labels(batch, flipped, best_only=variant.one_crop)
            parts = set_loss(predictions, labels, variant.smoothing, teacher_probs, variant.miss)
            # A history has the same columns at each step, also before distillation begins.
            return {"distilled": torch.zeros_like(parts["loss"]), **parts}

        return step

    def measure(self, experiment: Experiment, run: Run, model: nn.Module) -> Measurement:
        """ACC K/N of each photo; boxes and validities are kept, as AP is of all photos at once."""
        photos = self.photos(experiment, "test", run.variant)
        predictions = predict(model, photos, self.features(experiment, "test", model))
        xyxy, validity = map(torch.stack, zip(*predictions, strict=True))
        columns = self.columns_of(predictions, photos)
        return Measurement(columns, tensors={"xyxy": xyxy, "validity": validity})

    def card(self, result: Result) -> dict[str, object]:
        """The short side that the cropper resizes to, and the scores under the ledger's names."""
        side = result.settings["profile"]["test_side"]
        return {"short_side": side, "scores": self.scores(result)}

    def ship_beside(self, experiment: Experiment, run: Run, result: Result) -> None:
        """How the anchors moved on scenes, for the chapter."""
        if experiment.dataset != ledger.SCENES:
            return
        anchors.write(experiment, run, self.photos(experiment, "val", run.variant))


METHOD = SetPredictionMethod()
