"""What the GAIC baseline is trained on and how: first the head on features of a frozen backbone,
then, if asked, the whole network. VRN is trained the same way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cropnb import backbones, datasets
from cropnb.gaic.losses import gaic_loss
from cropnb.gaic.model import Gaic
from cropnb.gaic.views import ScoredViews, draw_views, evaluate
from cropnb.runs import (
    Column,
    Experiment,
    FeatureCache,
    Measurement,
    Method,
    Place,
    Run,
    Stage,
    blind,
)
from cropnb.runs import Profile as Base
from cropnb.runs.maps import Maps, cached, from_cache, from_photos, from_stem
from cropnb.runs.method import NORMALISATION
from cropnb.training import Loss, Recipe, rate_groups

# (model, features (1, C, h, w), [boxes (N, 4)], mos (N,)) → named scalars, their sum under `loss`
ViewLoss = Callable[[nn.Module, Tensor, list[Tensor], Tensor], dict[str, Tensor]]


@dataclass(frozen=True)
class Profile(Base):
    """How much of a grid-anchor method is trained; epochs of 0 leave a stage out."""

    head_epochs: int = 0  # on frozen features, computed once
    head_learning_rate: float = 1e-4
    epochs: int = 0  # the whole network
    learning_rate: float = 1e-4
    views: int = 64  # views of a photo in one step
    clip: float | None = None
    mixed_precision: bool = False


@dataclass(frozen=True)
class FromCut(Profile):
    """Trains the whole network but the first units of the backbone, whose maps are computed once.

    Attributes:
        trained_from: the cut up to which the backbone stays as it is.
        backbone_learning_rate: of the units behind it; `learning_rate` is the head's.
        bfloat16: the trunk computes in it.
        batch: photos a step, each with its own loss; both papers take one. Photos of one size go
            through the trunk together.
    """

    trained_from: str = "c3_3"
    backbone_learning_rate: float = 3e-4
    bfloat16: bool = False
    batch: int = 4


class GridAnchorMethod(Method):
    """A method that scores the views of a photo, as GAIC and VRN do."""

    columns = {
        **{
            name: Column(100, worth_having=1.0)
            for name in ("Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10")
        },
        "SRCC": Column(worth_having=0.01),
        "mean Acc K/5, K=1…5": Column(100),
        "mean Acc K/10, K=1…10": Column(100),
    }
    claim_columns = ("Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10", "SRCC")
    epochs = ("last", "best")
    usual = {
        **NORMALISATION,
        "cropnb.gaic.views.SHORT_SIDE": 256,
        "cropnb.gaic.views.MULTIPLE": 32,
        "cropnb.gaic.model.ALIGN": 9,
        "cropnb.gaic.model.CUTS": {
            "mobilenet_v2": ("c3_3", "c4_7", "c5_4"),
            "vgg16": ("c2_3", "c3_3", "c4_3"),
            "resnet50": ("c3_4", "c4_6", "c5_3"),
        },
        "cropnb.gaic.losses.MOS_MEAN": 2.95,
        "cropnb.roi.SAMPLES": 2,
    }

    def loss(self, variant: str) -> ViewLoss:
        """The loss of one variant."""
        raise NotImplementedError

    def clip(self, experiment: Experiment, run: Run) -> float | None:
        """The bound on the gradient's norm in training."""
        return experiment.profile.clip

    def profile(self, experiment: Experiment) -> Profile:
        """As the base has it; with a frozen backbone all epochs are the head's."""
        profile = super().profile(experiment)
        if not experiment.frozen:
            return profile
        return replace(profile, epochs=0, head_epochs=profile.head_epochs or profile.epochs)

    def prepare(self, experiment: Experiment, part: str) -> ScoredViews:
        """Resized photos with their views and the views' scores."""
        return ScoredViews(experiment.parts[part], experiment.device, experiment.progress)

    def frozen_features(self, experiment: Experiment, part: str, model: nn.Module) -> FeatureCache:
        """Multi-scale features of a part by the backbone as it starts."""
        photos = experiment.photos(part)
        return cached(experiment, part, model.features.eval(), photos, ScoredViews.size)

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        """The head on features that stay, then the network; a profile may leave out either."""
        profile, photos = experiment.profile, experiment.photos("train")
        if profile.head_epochs:
            train, val = (
                from_cache(self.frozen_features(experiment, part, model), experiment.device)
                for part in ("train", "val")
            )
            model.features.requires_grad_(False)
            yield Stage(
                name="head",
                trained=model,
                loss=self._step(run, model, photos, train),
                size=len(photos),
                recipe=Recipe(
                    epochs=profile.head_epochs,
                    learning_rate=profile.head_learning_rate,
                    clip=self.clip(experiment, run),
                    schedule="cosine",
                    seed=run.seed,
                ),
                validate=self._validation(experiment, model, val),
            )
            model.features.requires_grad_(True)
        if profile.epochs:
            yield self._whole(experiment, run, model)

    def _whole(self, experiment: Experiment, run: Run, model: nn.Module) -> Stage:
        """The training of the whole network, or of what lies behind a cut of its backbone."""
        profile, photos = experiment.profile, experiment.photos("train")
        train, val = (
            from_photos(model.features, experiment.photos(part)) for part in ("train", "val")
        )
        optimizer, batch, schedule = None, 1, "cosine" if profile.head_epochs else "constant"
        if isinstance(profile, FromCut):
            backbone = model.features.backbone
            stem, trunk = backbones.split(backbone, profile.trained_from, profile.bfloat16)
            maps = from_stem(
                experiment,
                {part: experiment.photos(part) for part in ("train", "val")},
                stem,
                lambda maps: model.features.from_stem(maps, trunk),
                ScoredViews.size,
            )
            train, val = maps.values()
            rates = (profile.learning_rate, profile.backbone_learning_rate)
            groups = rate_groups(model, model.features, *rates)
            optimizer = torch.optim.Adam(groups, fused=True)
            batch, schedule = profile.batch, "cosine"
        return Stage(
            name="whole",
            trained=model,
            loss=self._step(run, model, photos, train),
            size=len(photos),
            recipe=Recipe(
                epochs=profile.epochs,
                learning_rate=profile.learning_rate,
                batch_size=batch,
                clip=self.clip(experiment, run),
                schedule=schedule,
                mixed_precision=profile.mixed_precision,
                seed=run.seed,
            ),
            validate=self._validation(experiment, model, val),
            optimizer=optimizer,
        )

    def _step(self, run: Run, model: nn.Module, photos: ScoredViews, features: Maps) -> Loss:
        """Photos with some of their views each; both papers train with one photo a step."""
        loss, wanted = self.loss(run.variant), run.identity["profile"]["views"]
        offsets = self.offsets(run, len(photos)).tolist()

        def of_photo(
            index: int, mirrored: bool, drawn: Sequence[int] | slice, maps: Tensor
        ) -> Mapping[str, Tensor]:
            boxes, mos = photos.boxes(index, mirrored)[drawn], photos.mos(index)[drawn]
            return loss(model, maps, [boxes], mos + offsets[index])

        def step(batch: Sequence[int], rng: torch.Generator) -> Mapping[str, Tensor]:
            mirrored, drawn = [], []
            for index in batch:
                mirrored.append(bool(torch.randint(2, (1,), generator=rng)))
                drawn.append(draw_views(len(photos.mos(index)), wanted, rng))
            maps = features(batch, mirrored)
            losses = list(map(of_photo, batch, mirrored, drawn, maps))
            return {
                name: torch.stack([parts[name] for parts in losses]).mean() for name in losses[0]
            }

        return step

    def offsets(self, run: Run, photos: int) -> Tensor:
        """What is added to the MOS of all views of each training photo, (photos,)."""
        return torch.zeros(photos)

    def _validation(
        self, experiment: Experiment, model: nn.Module, features: Maps
    ) -> Callable[[], float]:
        """Mean SRCC: less noisy than Acc, which looks at a few views of each photo."""
        photos = experiment.photos("val")
        return lambda: float(protocol(model, features, photos)["SRCC"].mean())

    def measure(self, experiment: Experiment, run: Run, model: nn.Module) -> Measurement:
        """SRCC and Acc K/N of each photo's views."""
        part = self.eval_split(experiment)
        photos = experiment.photos(part)
        if experiment.profile.epochs:
            features = from_photos(model.features, photos)
        else:  # the backbone stays as it is, so the features of its photos do too
            cache = self.frozen_features(experiment, part, model)
            features = from_cache(cache, experiment.device)
        with torch.inference_mode():
            return Measurement(protocol(model, features, photos))

    def blind(self, experiment: Experiment) -> Mapping[str, Sequence[float]]:
        """The same columns for scores that tell nothing of the photo but its shape."""
        return blind.ranking(experiment.parts[self.eval_split(experiment)])


def protocol(model: nn.Module, features: Maps, photos: ScoredViews) -> dict[str, Tensor]:
    """The metrics of the GAICD protocol, one value a photo, (photos,) each."""
    return evaluate(
        lambda index: model.view_scores(features([index], [False])[0], [photos.boxes(index)]),
        photos,
    )


class GaicMethod(GridAnchorMethod):
    """GAIC with each backbone; the paper's own is MobileNetV2."""

    name, main = "gaic", "GAIC"
    remark = (
        "It serves scenes, too: beside a network of scenes alone its means lie higher in some "
        "columns and lower in others, and no interval tells the two apart."
    )
    forms = ("gaicd", "gaicd_v2", "cpc")
    variants = {"GAIC": "mobilenet_v2"}
    usual = {**GridAnchorMethod.usual, "cropnb.gaic.losses.MOS_DEVIATION": 0.8}
    profiles = {
        "smoke": Profile(32, 16, 40, head_epochs=3, head_learning_rate=1e-3),
        "cpu": Profile(None, 100, None, head_epochs=4, head_learning_rate=1e-3, epochs=2),
        # What a CPU trains of the network in minutes: the first units, which cost most, stay.
        "trained": FromCut(None, 100, None, epochs=6, learning_rate=1e-3),
        "photographs": FromCut(None, 150, None, epochs=3, learning_rate=1e-3),
        "full": Profile(None, 100, None, epochs=60),
    }

    def build(self, experiment: Experiment, run: Run) -> Gaic:
        """GAIC on the variant's backbone."""
        weights = "imagenet" if experiment.init == "imagenet" else None
        return Gaic(self.variants[run.variant], weights=weights)

    def loss(self, variant: str) -> ViewLoss:
        """GAIC's Huber loss, for every backbone."""
        return gaic_loss

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """The table «baseline»: no paper of this book prints GAIC on scenes."""
        usual = experiment.form == self.forms[0] or not datasets.takes_form(experiment.dataset)
        return [Place("baseline" if usual else f"baseline, {experiment.form}", variant)]


METHOD = GaicMethod()
