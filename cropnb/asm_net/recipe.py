"""What ASM-Net is trained on and how: the rows of Table 1, the points of Figure 5, and the three
profiles.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from cropnb import datasets, metrics
from cropnb.asm_net.losses import DELTA, LAMBDA, asm_loss
from cropnb.asm_net.model import (
    CUTS,
    MULTIPLE,
    SHORT_SIDE,
    AsmNet,
    ScoredPhotos,
    photo_and_saliency,
)
from cropnb.asm_net.pooling import composition_pool
from cropnb.asm_net.studies import tables
from cropnb.datasets.base import CropDataset, held_out
from cropnb.datasets.scenes import SIZES
from cropnb.errors import CropnbError
from cropnb.ledger import SCENES, Row
from cropnb.reproduction import Context
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
)
from cropnb.runs import Profile as Base
from cropnb.training import Loss, Recipe


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
    # first units of the backbone that stay as they are, where the whole network is trained
    stem: int = 0


def head_only(profile: Profile) -> Profile:
    """The profile with the backbone as it is. What only the whole network needs stands at its
    default, so that it doesn't tell runs apart.
    """
    unused = ("epochs", "learning_rate", "batch", "mixed_precision", "stem")
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
        # Sec. 4.2 names VGG16 and δ. Optimiser, learning rate, batch and epochs are not printed:
        # these are ours.
        "full": Profile(None, 500, None, epochs=20, batch=8, backbone="vgg16", stride=1),
    }
    forms = ("cpc", "gaicd")
    columns = {
        "Accuracy": Column(100, worth_having=1.0),
        "SRCC": Column(worth_having=0.01),
        "Acc 5": Column(100, worth_having=1.0),
        "Acc 10": Column(100, worth_having=1.0),
    }
    claim_columns = ("Accuracy",)
    constants = {"short_side": SHORT_SIDE, "multiple": MULTIPLE, "cuts": CUTS}

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
        profile = super().profile(experiment)
        if experiment.frozen or not profile.epochs:
            profile = head_only(profile)
        if experiment.dataset != SCENES:
            return profile
        # The numbers of photos are the most that are taken: a split with fewer gives all it has.
        names = ("train_photos", "validation_photos", "test_photos")
        sizes = zip(names, SIZES[experiment.form].values(), strict=True)
        most = {name: min(getattr(profile, name) or size, size) for name, size in sizes}
        return replace(profile, **most)

    def parts(self, experiment: Experiment) -> Mapping[str, CropDataset]:
        if experiment.dataset != "cpc":
            return super().parts(experiment)
        return cpc_parts(experiment.profile)

    def prepare(self, experiment: Experiment, part: str) -> ScoredPhotos:
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
        photos, model = experiment.photos(part), model.eval()
        return experiment.features(
            part,
            model.backbone,
            lambda number, view: [level[0] for level in model.levels(photos.image(number))],
            size=[SHORT_SIDE, MULTIPLE],
        )

    def settings(self, experiment: Experiment, variant: str) -> Mapping[str, object]:
        return {**super().settings(experiment, variant), "delta": self.delta(experiment)}

    def build(self, experiment: Experiment, run: Run) -> AsmNet:
        profile, pattern = experiment.profile, self.variants[run.variant].pattern
        weights = "imagenet" if experiment.init == "imagenet" else None
        return AsmNet(profile.backbone, pattern, weights, profile.stride).eval()

    def stages(self, experiment: Experiment, run: Run, model: AsmNet) -> Iterator[Stage]:
        profile, variant = experiment.profile, self.variants[run.variant]
        photos, validation = experiment.photos("train"), experiment.photos("val")
        delta = self.delta(experiment)
        shared = {"schedule": "cosine", "clip": profile.clip, "seed": run.seed}
        if profile.head_epochs:
            maps = {
                part: self.frozen_features(experiment, part, model) for part in ("train", "val")
            }
            yield Stage(
                name="head",
                trained=model.head,
                loss=step(model, photos, variant, delta, maps["train"]),
                size=len(photos),
                recipe=Recipe(
                    epochs=profile.head_epochs,
                    learning_rate=profile.head_learning_rate,
                    batch_size=profile.head_batch,
                    **shared,
                ),
                validate=lambda: pair_accuracy(model, validation, delta, maps["val"]),
            )
        if profile.epochs:
            model.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
            for unit in model.backbone.units[: profile.stem]:
                unit.requires_grad_(False)
            yield Stage(
                name="whole",
                trained=model,
                loss=step(model, photos, variant, delta),
                size=len(photos),
                recipe=Recipe(
                    epochs=profile.epochs,
                    learning_rate=profile.learning_rate,
                    batch_size=profile.batch,
                    mixed_precision=profile.mixed_precision,
                    **shared,
                ),
                validate=lambda: pair_accuracy(model, validation, delta),
            )

    def measure(self, experiment: Experiment, run: Run, model: AsmNet) -> Measurement:
        photos, whole = experiment.photos("test"), bool(experiment.profile.epochs)
        maps = None if whole else self.frozen_features(experiment, "test", model)
        scores = crop_scores(model, photos, maps)
        right, pairs = pair_counts(scores, photos, self.delta(experiment))
        table = metrics.ranking_table(scores, photos.mos)
        ranking = {name: table[name] for name in self.columns if name in table}
        counts = {"right": right.tolist(), "pairs": pairs.tolist()}
        return Measurement({"Accuracy": tables.accuracies(right, pairs), **ranking}, counts)

    def card(self, result: Result) -> Mapping[str, object]:
        profile = result.settings["profile"]
        built = {name: profile[name] for name in ("backbone", "stride")}
        return {**built, "pattern": result.settings["variant"]["pattern"]}

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        return tables.places(experiment.form, variant)

    def claim_table(self, experiment: Experiment) -> str:
        form = "" if experiment.form == "cpc" else f", {experiment.form}"
        return f"claim{form}{self.suffix(experiment)}"

    def note(self, results: Sequence[Result]) -> str:
        return tables.note(results[0])

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[Row]:
        return tables.differences(context, experiment, results)


def step(
    model: AsmNet,
    photos: ScoredPhotos,
    variant: Variant,
    delta: float,
    maps: FeatureCache | None = None,
) -> Loss:
    """One step of training: the loss (Eq. 8), the mean over the photos of a batch.

    Args:
        maps: of a frozen backbone; with them photos are never mirrored.
    """

    def compute(indices: Sequence[int], rng: torch.Generator) -> Mapping[str, Tensor]:
        mirrored = maps is None and bool(torch.randint(2, (1,), generator=rng))
        sums: dict[str, Tensor] = {}
        for batch in photos.batches(indices, mirrored, maps):
            score_map = batch.score_map(model)  # (B, L, h, w)
            parts = asm_loss(
                score_map,
                composition_pool(score_map, batch.boxes, model.pattern, batch.size),
                batch.mos,
                batch.saliency_at(score_map.shape[-2:]),
                delta,
                variant.weight,
                variant.per_pair,
            )
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value * (len(batch.mos) / len(indices))
        return sums

    return compute


@torch.no_grad()
def crop_scores(
    model: AsmNet, photos: ScoredPhotos, maps: FeatureCache | None = None
) -> list[Tensor]:
    """The crop-level scores (N,) of each photo."""
    model.eval()
    scores: dict[int, Tensor] = {}
    for batch in photos.batches(range(len(photos)), maps=maps, at_once=32):
        score_map = batch.score_map(model)  # (B, L, h, w)
        pooled = composition_pool(score_map, batch.boxes, model.pattern, batch.size)  # (B, N)
        scores |= zip(batch.indices, pooled.cpu(), strict=True)
    return [scores[index] for index in range(len(photos))]


def pair_counts(
    scores: Sequence[Tensor], photos: ScoredPhotos, delta: float
) -> tuple[Tensor, Tensor]:
    """Pairs ranked rightly, and all pairs, of each photo: two tensors (photos,)."""
    pairs = zip(scores, photos.mos, strict=True)
    counts = [metrics.ranking.pair_counts(one, mos, delta) for one, mos in pairs]
    right, count = zip(*counts, strict=True)
    return torch.stack(right), torch.stack(count)


def pair_accuracy(
    model: AsmNet, photos: ScoredPhotos, delta: float, maps: FeatureCache | None = None
) -> float:
    """The share of all pairs of a dataset that is ranked rightly (Sec. 4.3)."""
    right, pairs = pair_counts(crop_scores(model, photos, maps), photos, delta)
    return float(right.sum() / pairs.sum())


def cpc_parts(profile: Profile) -> dict[str, CropDataset]:
    """CPC has no test photos: Sec. 4.3 measures on the 2 000 of its validation part. These are the
    test part, and what a run looks at meanwhile is held out from the training photos.
    """
    whole = datasets.load("cpc", "train").with_photos()
    test = datasets.load("cpc", "val").with_photos()
    aside = held_out([sample.name for sample in whole.samples], profile.validation_photos)
    ours = [sample for sample in whole.samples if sample.name not in aside]
    checked = [sample for sample in whole.samples if sample.name in aside]
    return {
        part: CropDataset("cpc", split, whole.form, whole.root, samples)
        for part, split, samples in (
            ("train", "train", ours[: profile.train_photos]),
            ("val", "train, held out", checked),
            ("test", "val", test.samples[: profile.test_photos]),
        )
    }


METHOD = AsmNetMethod()
