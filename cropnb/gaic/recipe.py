"""What the GAIC baseline is trained on and how: first the head on features of a frozen backbone,
then, if asked, the whole network. VRN is trained the same way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cropnb.gaic.losses import gaic_loss
from cropnb.gaic.model import Gaic
from cropnb.gaic.views import ScoredViews, draw_views, evaluate
from cropnb.runs import Column, Experiment, FeatureCache, Measurement, Method, Place, Run, Stage
from cropnb.runs import Profile as Base
from cropnb.training import Loss, Recipe

# (model, features (1, C, h, w), [boxes (N, 4)], mos (N,)) → named scalars, their sum under `loss`
ViewLoss = Callable[[nn.Module, Tensor, list[Tensor], Tensor], dict[str, Tensor]]
Features = Callable[[int, bool], Tensor]  # (photo, mirrored) → (1, C, h, w)


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


class GridAnchorMethod(Method):
    """A method that scores the views of one photo a step, as GAIC and VRN do."""

    columns = {
        **{
            name: Column(100, worth_having=1.0)
            for name in ("Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10")
        },
        "SRCC": Column(worth_having=0.01),
    }
    claim_columns = tuple(columns)
    epochs = ("last", "best")

    def loss(self, variant: str) -> ViewLoss:
        """The loss of one variant."""
        raise NotImplementedError

    def clip(self, experiment: Experiment, run: Run) -> float | None:
        """The bound on the gradient's norm in training."""
        return experiment.profile.clip

    def profile(self, experiment: Experiment) -> Profile:
        profile = super().profile(experiment)
        if not experiment.frozen:
            return profile
        return replace(profile, epochs=0, head_epochs=profile.head_epochs or profile.epochs)

    def prepare(self, experiment: Experiment, part: str) -> ScoredViews:
        return ScoredViews(experiment.parts[part], experiment.device, experiment.progress)

    def frozen_features(self, experiment: Experiment, part: str, model: nn.Module) -> FeatureCache:
        """Multi-scale features of a part by the backbone as it starts; training photos also
        mirrored.
        """
        photos = experiment.photos(part)
        network = model.features.eval()
        return experiment.features(
            part,
            network,
            lambda index, view: network(photos.photo(index, mirrored=bool(view))),
            views=2 if part == "train" else 1,
            size=ScoredViews.size,
        )

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        profile, photos = experiment.profile, experiment.photos("train")
        if profile.head_epochs:
            caches = {
                part: self.frozen_features(experiment, part, model) for part in ("train", "val")
            }
            model.features.requires_grad_(False)
            yield Stage(
                name="head",
                trained=model,
                loss=self._step(run, model, photos, from_cache(caches["train"], photos)),
                size=len(photos),
                recipe=Recipe(
                    epochs=profile.head_epochs,
                    learning_rate=profile.head_learning_rate,
                    clip=self.clip(experiment, run),
                    schedule="cosine",
                    seed=run.seed,
                ),
                validate=self._validation(experiment, model, caches["val"]),
            )
            model.features.requires_grad_(True)
        if profile.epochs:
            yield Stage(
                name="whole",
                trained=model,
                loss=self._step(run, model, photos, from_photos(model, photos)),
                size=len(photos),
                recipe=Recipe(
                    epochs=profile.epochs,
                    learning_rate=profile.learning_rate,
                    clip=self.clip(experiment, run),
                    schedule="cosine" if profile.head_epochs else "constant",
                    mixed_precision=profile.mixed_precision,
                    seed=run.seed,
                ),
                validate=self._validation(experiment, model),
            )

    def _step(self, run: Run, model: nn.Module, photos: ScoredViews, features: Features) -> Loss:
        """One photo a step with some of its views, as both papers train."""
        loss, wanted = self.loss(run.variant), run.identity["profile"]["views"]

        def step(batch: Sequence[int], rng: torch.Generator) -> dict[str, Tensor]:
            (index,) = batch
            mirrored = bool(torch.randint(2, (1,), generator=rng))
            drawn = draw_views(len(photos.mos(index)), wanted, rng)
            boxes, mos = photos.boxes(index, mirrored)[drawn], photos.mos(index)[drawn]
            return loss(model, features(index, mirrored), [boxes], mos)

        return step

    def _validation(
        self, experiment: Experiment, model: nn.Module, cache: FeatureCache | None = None
    ) -> Callable[[], float]:
        """Mean SRCC: less noisy than Acc, which looks at a few views of each photo."""
        photos = experiment.photos("val")
        features = from_cache(cache, photos) if cache else from_photos(model, photos)
        return lambda: float(protocol(model, features, photos)["SRCC"].mean())

    def measure(self, experiment: Experiment, run: Run, model: nn.Module) -> Measurement:
        part = self.eval_split(experiment)
        photos = experiment.photos(part)
        if experiment.profile.epochs:
            features = from_photos(model, photos)
        else:  # the backbone stays as it is, so the features of its photos do too
            features = from_cache(self.frozen_features(experiment, part, model), photos)
        with torch.inference_mode():
            return Measurement(protocol(model, features, photos))


def from_photos(model: nn.Module, photos: ScoredViews) -> Features:
    """Features computed at each call, by a backbone that is trained."""
    return lambda index, mirrored=False: model.features(photos.photo(index, mirrored))


def from_cache(cache: FeatureCache, photos: ScoredViews) -> Features:
    """Features that were computed before."""
    return lambda index, mirrored=False: cache([index], [int(mirrored)], photos.device)[0]


def protocol(model: nn.Module, features: Features, photos: ScoredViews) -> dict[str, Tensor]:
    """The metrics of the GAICD protocol, one value a photo, (photos,) each."""
    return evaluate(
        lambda index: model.view_scores(features(index, False), [photos.boxes(index)]), photos
    )


class GaicMethod(GridAnchorMethod):
    """GAIC with each backbone; the paper's own is MobileNetV2."""

    name, main = "gaic", "GAIC"
    variants = {"GAIC": "mobilenet_v2"}
    profiles = {
        "smoke": Profile(32, 16, 40, head_epochs=3, head_learning_rate=1e-3),
        "cpu": Profile(None, 100, None, head_epochs=4, head_learning_rate=1e-3, epochs=2),
        "full": Profile(None, 100, None, epochs=60),
    }

    def build(self, experiment: Experiment, run: Run) -> Gaic:
        weights = "imagenet" if experiment.init == "imagenet" else None
        return Gaic(self.variants[run.variant], weights=weights)

    def loss(self, variant: str) -> ViewLoss:
        return gaic_loss

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        return [Place("baseline", variant)]


METHOD = GaicMethod()
