"""What ASM-Net is trained on and how: the rows of Table 1, the points of Figure 5, and the three
profiles.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import nn

from cropnb import backbones, ledger, metrics
from cropnb.asm_net import patterns
from cropnb.asm_net.cropper import crop_scores, pair_accuracy, pair_counts
from cropnb.asm_net.losses import DELTA, LAMBDA, step
from cropnb.asm_net.model import (
    CUTS,
    MULTIPLE,
    SHORT_SIDE,
    AsmNet,
    Levels,
    ScoredPhotos,
    from_cache,
    from_photos,
    photo_and_saliency,
)
from cropnb.asm_net.studies import tables
from cropnb.datasets.scenes import SIZES
from cropnb.errors import CropnbError
from cropnb.ledger import Row
from cropnb.runs import (
    Column,
    Experiment,
    FeatureCache,
    Measurement,
    Method,
    Place,
    Result,
    Run,
    Stage,
    blind,
)
from cropnb.runs import Profile as Base
from cropnb.runs.context import Context
from cropnb.runs.method import FROZEN, NORMALISATION, learned_behind
from cropnb.training import Recipe, fingerprint


@dataclass(frozen=True)
class Variant:
    """One network to train.

    Attributes:
        weight: λ (Eq. 8).
        per_pair: the ranking loss (Eq. 4) is a mean over pairs, not a sum.
    """

    pattern: str = "cross_rectangle"
    weight: float = LAMBDA
    per_pair: bool = False


@dataclass(frozen=True)
class Profile(Base):
    """How much is trained; epochs of 0 leave a stage out."""

    head_epochs: int = 0  # the 1 × 1 convolution alone, on features of a frozen backbone
    head_learning_rate: float = 1e-2
    head_batch: int = 16
    epochs: int = 0  # the whole network
    learning_rate: float = 1e-4
    batch: int = 4
    clip: float | None = None
    backbone: str = "mobilenet_v2"
    stride: int = 8
    mixed_precision: bool = False
    # Where the whole network is trained, first units of the backbone that stay as they are; or the
    # cut up to which they do, with their maps computed once, and the rest perhaps in bfloat16.
    stem: int = 0
    trunk_from: str = ""
    bfloat16: bool = False


def head_only(profile: Profile) -> Profile:
    """The profile with the backbone as it is. What only the whole network needs stands at its
    default, so that it doesn't tell runs apart.
    """
    unused = (
        "epochs",
        "learning_rate",
        "batch",
        "mixed_precision",
        "stem",
        "trunk_from",
        "bfloat16",
    )
    defaults = {field.name: field.default for field in fields(profile) if field.name in unused}
    return replace(profile, head_epochs=profile.head_epochs or profile.epochs, **defaults)


class AsmNetMethod(Method):
    """The patterns of Table 1 and the weights of Figure 5, trained alike."""

    name, main = "asm_net", tables.MAIN
    variants = {
        **{name: Variant(name) for name in tables.PATTERNS},
        **{name: Variant(weight=weight) for name, weight in tables.FIGURE_5.items()},
        **{name: Variant(weight=weight, per_pair=True) for name, weight in tables.PER_PAIR.items()},
    }
    groups = {
        "table": tables.PATTERNS,
        "figure": (tables.MAIN, *tables.FIGURE_5, *tables.PER_PAIR),
    }
    profiles = {
        "smoke": Profile(96, 32, 40, head_epochs=6),
        # On a frozen backbone a network is a linear map of features that are computed once: seconds
        # an epoch. Of the whole network the first units, of strides 2 and 4, would cost half of the
        # time.
        "cpu": Profile(None, 500, None, head_epochs=2, epochs=1, learning_rate=2e-4, stem=4),
        "photographs": Profile(
            None,
            150,
            None,
            epochs=3,
            learning_rate=5e-4,
            batch=8,
            trunk_from="c3_3",
            bfloat16=True,
        ),
        # What a CPU trains of the network in minutes: the first units, which cost most, stay.
        "trained": Profile(
            None, 100, None, epochs=6, learning_rate=5e-4, batch=8, trunk_from="c3_3"
        ),
        # VGG16 and δ are named (Sec. 4.2). Optimiser, learning rate, batch and epochs are not
        # printed: these are ours.
        "full": Profile(None, 500, None, epochs=20, batch=8, backbone="vgg16", stride=1),
    }
    forms = ("cpc", "gaicd")
    columns = {
        "Accuracy": Column(100, worth_having=1.0),
        "SRCC": Column(worth_having=0.01),
        "Acc 5": Column(100, worth_having=1.0),
        "Acc 10": Column(100, worth_having=1.0),
    }
    remark = (
        "It orders crops of CPC's form worse than the weights for scenes alone, and it ought to: "
        "those learned from CPC's form, these from GAICD's, which photographs are rated in, and "
        "most of what they saw were photographs. Without a required ratio their mean on FCDB's "
        "photographs lies below the centred window's; so few can't tell the two apart."
    )
    claim_columns = ("Accuracy",)
    constants = {"short_side": SHORT_SIDE, "multiple": MULTIPLE, "cuts": CUTS}
    usual = {**NORMALISATION, "cropnb.saliency.GRAY_WEIGHTS": (4899, 9617, 1868)}

    def delta(self, experiment: Experiment) -> float:
        """δ (Eq. 3) of the dataset's scores.

        Raises:
            CropnbError: a dataset without scored crops.
        """
        if experiment.form not in DELTA:
            known = ", ".join(DELTA)
            raise CropnbError(f"ASM-Net has no delta for {experiment.form}; it learns from {known}")
        return DELTA[experiment.form]

    def profile(self, experiment: Experiment) -> Profile:
        """As the base has it; with a frozen backbone the head alone is trained, and no split of
        scenes is larger than the paper's own.
        """
        profile = super().profile(experiment)
        if experiment.frozen or not profile.epochs:
            profile = head_only(profile)
        if experiment.dataset != ledger.SCENES:
            return profile
        # The numbers of photos are the most that are taken: a split with fewer gives all it has.
        names = ("train_photos", "validation_photos", "test_photos")
        sizes = zip(names, SIZES[experiment.form].values(), strict=True)
        most = {name: min(getattr(profile, name) or size, size) for name, size in sizes}
        return replace(profile, **most)

    def prepare(self, experiment: Experiment, part: str) -> ScoredPhotos:
        """Resized photos with their saliency, as bytes; in training only those that have a pair of
        crops for δ (Eq. 3).
        """
        data = experiment.parts[part]
        pixels = experiment.features(
            part,
            nn.Identity(),
            lambda number, view: photo_and_saliency(data[number].image()),
            described={"maps": "photo and spectral residual"},
            size=[SHORT_SIDE, MULTIPLE],
            dtype=torch.uint8,
        )
        delta = self.delta(experiment) if part == "train" else None
        return ScoredPhotos(data, pixels, delta, experiment.device)

    def frozen_features(self, experiment: Experiment, part: str, model: AsmNet) -> FeatureCache:
        """What the backbone as it is makes of the photos of a part, a map for each depth."""
        return self._features(experiment, part, model.backbone.eval(), views=1)

    def _features(
        self, experiment: Experiment, part: str, network: nn.Module, views: int
    ) -> FeatureCache:
        """What a network that doesn't move makes of the photos of a part, and of them mirrored."""
        photos = experiment.photos(part)
        return experiment.features(
            part,
            network,
            lambda number, view: [maps[0] for maps in network(photos.images([number], view == 1))],
            views=views,
            size=[SHORT_SIDE, MULTIPLE],
        )

    def settings(self, experiment: Experiment, variant: str) -> Mapping[str, object]:
        """The variant, δ (Eq. 3), and its pattern's cells where they aren't those of `TRAINED`."""
        settings = {**super().settings(experiment, variant), "delta": self.delta(experiment)}
        pattern = patterns.find(self.variants[variant].pattern)
        cells = pattern.cells.tolist()
        usual = fingerprint(cells) == patterns.TRAINED.get(pattern.name)
        return settings if usual else {**settings, "cells": cells}

    def build(self, experiment: Experiment, run: Run) -> AsmNet:
        """A network whose head has a channel for each partition of the variant's pattern."""
        profile, pattern = experiment.profile, self.variants[run.variant].pattern
        weights = "imagenet" if experiment.init == "imagenet" else None
        return AsmNet(profile.backbone, pattern, weights, profile.stride).eval()

    def stages(self, experiment: Experiment, run: Run, model: AsmNet) -> Iterator[Stage]:
        """The head on features that stay, then the network; a profile may leave out either."""
        profile, variant = experiment.profile, self.variants[run.variant]
        photos, validation = experiment.photos("train"), experiment.photos("val")
        delta = self.delta(experiment)
        shared = {"schedule": "cosine", "clip": profile.clip, "seed": run.seed}
        if profile.head_epochs:
            train, val = (
                from_cache(self.frozen_features(experiment, part, model), experiment.device)
                for part in ("train", "val")
            )
            yield Stage(
                name="head",
                trained=model.head,
                loss=step(model, photos, variant, delta, train, mirror=False),
                size=len(photos),
                recipe=Recipe(
                    epochs=profile.head_epochs,
                    learning_rate=profile.head_learning_rate,
                    batch_size=profile.head_batch,
                    **shared,
                ),
                validate=lambda: pair_accuracy(model, validation, delta, val),
            )
        if profile.epochs:
            train, val = self._whole_levels(experiment, model)
            yield Stage(
                name="whole",
                trained=model,
                loss=step(model, photos, variant, delta, train, mirror=True),
                size=len(photos),
                recipe=Recipe(
                    epochs=profile.epochs,
                    learning_rate=profile.learning_rate,
                    batch_size=profile.batch,
                    mixed_precision=profile.mixed_precision,
                    **shared,
                ),
                validate=lambda: pair_accuracy(model, validation, delta, val),
            )

    def _whole_levels(self, experiment: Experiment, model: AsmNet) -> list[Levels]:
        """Feature maps of training and validation photos, where the backbone is trained."""
        profile, parts = experiment.profile, {"train": 2, "val": 1}  # views
        model.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
        if not profile.trunk_from:
            model.backbone.units[: profile.stem].requires_grad_(False)
            return [from_photos(model, experiment.photos(part)) for part in parts]
        stem, trunk = backbones.split(model.backbone, profile.trunk_from, profile.bfloat16)
        return [
            from_cache(self._features(experiment, part, stem, views), experiment.device, trunk)
            for part, views in parts.items()
        ]

    def learned(self, profile: Mapping[str, object]) -> str:
        """As the base has it; units before a trunk stay as they are, or a number of first units."""
        if not profile["epochs"]:
            return FROZEN
        first = profile.get("stem")
        if first and not profile.get("trunk_from"):
            return f"all but its first {first} units learned"
        return learned_behind(profile.get("trunk_from"))

    def measure(self, experiment: Experiment, run: Run, model: AsmNet) -> Measurement:
        """Accuracy over pairs of crops (Sec. 4.1), and where a photo's crops have ranks, their
        order.
        """
        photos = experiment.photos("test")
        if experiment.profile.epochs:
            levels = from_photos(model, photos)
        else:
            levels = from_cache(self.frozen_features(experiment, "test", model), experiment.device)
        scores = crop_scores(model, photos, levels)
        right, pairs = pair_counts(scores, photos, self.delta(experiment))
        table = metrics.ranking_table(scores, photos.mos)
        ranking = {name: table[name] for name in self.columns if name in table}
        counts = {"right": right.tolist(), "pairs": pairs.tolist()}
        return Measurement({"Accuracy": tables.accuracies(right, pairs), **ranking}, counts)

    def blind(self, experiment: Experiment) -> Mapping[str, Sequence[float]]:
        """The same columns for scores that tell nothing of the photo but its shape."""
        photos = experiment.photos("test")
        scores = [blind.scores(sample) for sample in experiment.parts["test"]]
        right, pairs = pair_counts(scores, photos, self.delta(experiment))
        ranking = metrics.ranking_table(scores, photos.mos)
        table = {"Accuracy": tables.accuracies(right, pairs), **ranking}
        return {name: values.tolist() for name, values in table.items()}

    def card(self, result: Result) -> Mapping[str, object]:
        """Backbone, stride and pattern."""
        profile = result.settings["profile"]
        built = {name: profile[name] for name in ("backbone", "stride")}
        return {**built, "pattern": result.settings["variant"]["pattern"]}

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """Where Table 1, Table 4 or Figure 5 prints the variant."""
        return tables.places(experiment.form, variant)

    def claim_table(self, experiment: Experiment) -> str:
        """CPC's form is the paper's; the other one is named."""
        form = "" if experiment.form == "cpc" else f", {experiment.form}"
        return f"claim{form}{self.suffix(experiment)}"

    def note(self, results: Sequence[Result]) -> str:
        """Epoch, backbone and loss of the runs."""
        return tables.note(results[0])

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[Row]:
        """What the ranking loss gains over λ = 0 (Sec. 4.3)."""
        return tables.differences(context, experiment, results)


METHOD = AsmNetMethod()
