"""How the set predictor is trained and measured, and what its tables say of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from cropnb import backbones, datasets, ledger, metrics
from cropnb.datasets.base import CropDataset
from cropnb.ledger import Row
from cropnb.runs import Column, Experiment, Measurement, Method, Place, Result, Run, Stage
from cropnb.runs.context import Context
from cropnb.runs.maps import Maps, cached, from_cache, from_photos, from_stem
from cropnb.runs.method import FROZEN, NORMALISATION
from cropnb.runs.start import run_of, state_of
from cropnb.set_prediction.cropper import (
    COUNTS,
    DETECTIONS,
    THRESHOLDS,
    CropPredictions,
    predict,
    set_accuracy,
)
from cropnb.set_prediction.labels import GOOD, THETA, CropPhotos, mirror_cxcywh
from cropnb.set_prediction.losses import (
    ALPHA,
    GAMMA,
    LAMBDA_FOCAL,
    LAMBDA_IOU,
    Trainee,
    set_loss,
)
from cropnb.set_prediction.model import SetPredictionCropper, pad
from cropnb.set_prediction.recipe import epochs
from cropnb.set_prediction.recipe.variants import ASIDE, PROFILES, VARIANTS, Profile, Variant
from cropnb.set_prediction.studies import anchors, tables
from cropnb.training import Loss, Recipe, rate_groups

CPC_TEST_PHOTOS = 1000


class SetPredictionMethod(Method):
    """The variants of Tables 1 to 5 and of Figure 6."""

    name, main = "set_prediction", "QG"
    variants = VARIANTS
    groups = {"all": tuple(name for name in VARIANTS if name not in ASIDE)}
    profiles = PROFILES
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
    blind_answer = "a set that looks at no photo"
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
        "cropnb.set_prediction.recipe.method.CPC_TEST_PHOTOS": 1000,
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

    def learned(self, profile: Mapping[str, object]) -> str:
        """As the base has it; a backbone without a rate of its own is frozen."""
        return FROZEN if profile["backbone_rate"] is None else super().learned(profile)

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

    def photos(self, experiment: Experiment, part: str, variant: str) -> CropPhotos:
        """The photos of a part, with the good crops of a variant."""
        return experiment.photos(part)[self.variants[variant].at_least]

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
        cache = cached(
            experiment,
            part,
            backbone,
            photos,
            size=photos.short_side,
            join=model.join,
            described=levels,
        )
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
            loss=self._step(
                experiment=experiment,
                variant=variant,
                trainee=trainee,
                photos=photos,
                epoch_steps=epoch_steps,
                features=features["train"],
            ),
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
        """A batch of photos, each mirrored by chance."""
        # A photo's size and colours are drawn where the backbone is trained.
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

    def columns_of(
        self, predictions: Sequence[CropPredictions], photos: CropPhotos
    ) -> dict[str, Sequence[float]]:
        """What each photo adds to every number of Tables 1 and 2, and whether the first crop alone
        comes near the best one (ACC 1/1), (photos,) each, 0…1.
        """
        columns = {}
        for eps in THRESHOLDS:
            for count in (1, *COUNTS):
                hits = set_accuracy(predictions, photos, count, eps)  # (photos,)
                columns[f"ε = {eps:.2f}, ACC 1/{count}"] = hits.tolist()
            for most in DETECTIONS:
                shares = metrics.average_precision_by_photo(
                    predictions, photos.truths, iou_threshold=eps, max_detections=most
                )  # (photos,)
                columns[f"ε = {eps:.2f}, K = {most}"] = shares.tolist()
        return columns

    def predictions(self, experiment: Experiment, variant: str, seed: int) -> list[CropPredictions]:
        """What a finished run predicts for the test photos; `CheckpointError` without one."""
        tensors = experiment.tensors(variant, seed)
        return list(map(CropPredictions, tensors["xyxy"], tensors["validity"]))

    def completed(self, experiment: Experiment, result: Result) -> Result:
        """With the columns that are younger than the run, from the predictions that it kept."""
        if result.columns.keys() >= self.columns.keys():
            return result
        predictions = self.predictions(experiment, result.variant, result.seed)
        columns = self.columns_of(predictions, self.photos(experiment, "test", result.variant))
        return replace(result, columns={**columns, **result.columns})

    def card(self, result: Result) -> dict[str, object]:
        """The short side that the cropper resizes to, and the scores under the ledger's names."""
        side = result.settings["profile"]["test_side"]
        return {"short_side": side, "scores": self.scores(result)}

    def scores(self, result: Result) -> dict[str, float]:
        """What a run reached, in per cent, under the ledger's names."""
        means, first = result.means(), f"ε = {THRESHOLDS[0]:.2f}"
        names = {f"ACC 1/{count}": f"{first}, ACC 1/{count}" for count in COUNTS}
        names[f"AP, {first}, K = 10"] = f"{first}, K = 10"
        return {name: round(100 * means[column], 4) for name, column in names.items()}

    def ship_beside(self, experiment: Experiment, run: Run, result: Result) -> None:
        """How the anchors moved on scenes, for the chapter."""
        if experiment.dataset != ledger.SCENES:
            return
        anchors.write(experiment, run, self.photos(experiment, "val", run.variant))

    def blind(self, experiment: Experiment) -> dict[str, Sequence[float]]:
        """What the content-blind set of each ε reaches."""
        return self.blind_columns(experiment, self.photos(experiment, "test", self.main))

    def blind_columns(self, experiment: Experiment, test: CropPhotos) -> dict[str, Sequence[float]]:
        """The same with other truths for the test photos."""
        return tables.blind_columns(experiment, test)

    def tables(self, experiment: Experiment) -> tuple[str, str, str]:
        """The tables of ACC 1/N and of AP, and what is added to the names of all others."""
        return tables.names(experiment)

    def claim_table(self, experiment: Experiment) -> str:
        """The form of the photos is named where it isn't the paper's first."""
        return "claim" + self.tables(experiment)[2] + self.suffix(experiment)

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """Of ACC 1/N; AP is no mean over photos, and stands in `further_rows`."""
        return tables.places(experiment, variant)

    def note(self, results: Sequence[Result]) -> str:
        """Which epoch, and which crop where several are best."""
        return "last epoch; of tied best crops the first"

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[Row]:
        """AP of every variant, and what a set that never looks at a photo reaches."""
        return tables.further(context, experiment, results)


METHOD = SetPredictionMethod()
