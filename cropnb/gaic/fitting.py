"""How GAIC and VRN are trained: first the head on features of a frozen backbone, then, if asked,
the whole network.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb.gaic.views import FrozenFeatures, ScoredViews, draw_views, evaluate
from cropnb.training import History, Recipe, train

Loss = Callable[[nn.Module, Tensor, list[Tensor], Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Profile:
    """How much of a method is trained. Photos count whole splits where they are None."""

    train_photos: int | None
    validation_photos: int
    test_photos: int | None
    head_epochs: int = 0  # on frozen features, computed once
    head_learning_rate: float = 1e-4
    epochs: int = 0  # the whole network
    learning_rate: float = 1e-4
    views: int = 64  # views of a photo in one step
    clip: float | None = None
    mixed_precision: bool = False


@dataclass
class Fit:
    """What training left behind: a history for each stage, and the scorer for each photo of a set
    of views.
    """

    head: History | None
    whole: History | None


def fit(
    model: nn.Module,
    loss: Loss,
    training: ScoredViews,
    validation: ScoredViews,
    profile: Profile,
    seed: int,
    folder: Path | None,
    identity: Mapping[str, object],
    features: Mapping[str, FrozenFeatures] | None = None,
    progress: bool = True,
    max_steps: int | None = None,
) -> Fit:
    """Train `model` in place.

    loss: (model, features (1, C, h, w), [boxes (n, 4)], mos (n,)) → named scalars with the sum
        under `loss`.
    features: frozen features under "train" and "val", for several runs to share; computed here when
        missing.
    identity: names the data and the model, so that a run is never continued with another's weights.
    """
    frozen_features = features
    head = whole = None
    stages = {**identity, "profile": asdict(profile)}
    if profile.head_epochs:
        if frozen_features is None:
            frozen_features = freeze(model, training, validation, progress)
        model.features.requires_grad_(False)
        lookup, check = frozen_features["train"], frozen_features["val"]
        head = train(
            model,
            _step(model, loss, training, lookup, profile.views),
            len(training),
            Recipe(
                profile.head_epochs,
                profile.head_learning_rate,
                clip=profile.clip,
                schedule="cosine",
                seed=seed,
            ),
            folder and folder / "head",
            identity={**stages, "stage": "head"},
            validate=lambda: validation_score(model, check, validation),
            progress=progress,
            max_steps=max_steps,
        )
        model.features.requires_grad_(True)
    if profile.epochs:
        whole = train(
            model,
            _step(
                model,
                loss,
                training,
                lambda i, m: model.features(training.photo(i, m)),
                profile.views,
            ),
            len(training),
            Recipe(
                profile.epochs,
                profile.learning_rate,
                clip=profile.clip,
                schedule="cosine" if profile.head_epochs else "constant",
                mixed_precision=profile.mixed_precision,
                seed=seed,
            ),
            folder and folder / "whole",
            identity={**stages, "stage": "whole"},
            validate=lambda: validation_score(
                model, lambda i: model.features(validation.photo(i)), validation
            ),
            progress=progress,
            max_steps=max_steps,
        )
    return Fit(head, whole)


def freeze(
    model: nn.Module, training: ScoredViews, validation: ScoredViews, progress: bool = True
) -> dict:
    """Features of the training photos, also mirrored, and of the validation photos."""
    return {
        "train": FrozenFeatures(model.features, training, True, progress),
        "val": FrozenFeatures(model.features, validation, False, progress),
    }


def _step(
    model: nn.Module,
    loss: Loss,
    views: ScoredViews,
    features: Callable[[int, bool], Tensor],
    wanted: int,
) -> Callable[[list[int], torch.Generator], Mapping[str, Tensor]]:
    def step(batch: list[int], draw: torch.Generator) -> Mapping[str, Tensor]:
        (index,) = batch  # one photo a step, as both papers train
        mirrored = bool(torch.randint(2, (1,), generator=draw))
        chosen = draw_views(len(views.mos(index)), wanted, draw)
        boxes, mos = views.boxes(index, mirrored)[chosen], views.mos(index)[chosen]
        return loss(model, features(index, mirrored), [boxes], mos)

    return step


def validation_score(
    model: nn.Module, features: Callable[[int], Tensor], views: ScoredViews
) -> float:
    """Mean SRCC over the validation photos: less noisy than Acc, which looks at a few views of each
    photo.
    """
    found = evaluate(lambda index: model.view_scores(features(index), [views.boxes(index)]), views)
    return float(found["SRCC"].mean())
