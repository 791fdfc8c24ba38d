"""How the readout of attention is trained: on the fixations of OSIE and «saliency in crowd» and on
salient masks, with the backbone as ImageNet left it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cropnb import backbones
from cropnb.attention.maps import center_prior, gaze_density, salient_mask
from cropnb.attention.metrics import auc_judd, divergence, nss
from cropnb.attention.model import (
    CUTS,
    MULTIPLE,
    SHORT_SIDE,
    AttentionReadout,
    gaze_of,
    mask_of,
)
from cropnb.datasets import gaze, unlabelled
from cropnb.datasets.gaze import GazePhotos
from cropnb.errors import CropnbError
from cropnb.images import resize_short_side
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
)
from cropnb.runs import Profile as Base
from cropnb.runs.context import Context
from cropnb.runs.method import NORMALISATION
from cropnb.runs.rows import measured
from cropnb.saliency import spectral_residual
from cropnb.training import Loss, Recipe

TABLE = "where people look"


@dataclass(frozen=True)
class Profile(Base):
    """How much is trained."""

    epochs: int = 12
    learning_rate: float = 2e-3
    batch: int = 16
    mask_weight: float = 1.0  # of the masks' cross entropy beside the fixations' divergence


class AttentionMethod(Method):
    """The readout; photos count those of both sets together."""

    name, main = "attention", "readout"
    variants = {"readout": {"cuts": CUTS}}
    profiles = {
        "smoke": Profile(64, 16, 32, epochs=3),
        "cpu": Profile(None, 100, 100, epochs=12),
    }
    forms = ("gaze",)
    usual = {
        **NORMALISATION,
        "cropnb.attention.maps.BLUR": 0.03,
        "cropnb.attention.model.CHANNELS": (32, 64, 96, 320),
        "cropnb.attention.model.SHORT_SIDE": 256,
        "cropnb.attention.model.MULTIPLE": 32,
    }
    columns = {
        "NSS": Column(worth_having=0.05),
        "AUC-Judd": Column(worth_having=0.01),
        "KL": Column(higher_is_better=False, worth_having=0.02),
    }

    def parts(self, experiment: Experiment) -> Mapping[str, GazePhotos]:
        """Photos that people looked at.

        Raises:
            CropnbError: another dataset than "gaze".
            DatasetMissing: it isn't on this disk.
        """
        if experiment.dataset != "gaze":
            raise CropnbError(
                f"nobody looked at {experiment.dataset} for the readout to learn from: give "
                "--dataset gaze"
            )
        profile = experiment.profile
        sizes = (profile.train_photos, profile.validation_photos, profile.test_photos)
        parts = {}
        for split, size in zip(gaze.SPLITS, sizes, strict=True):
            photos = gaze.load(split)
            parts[split] = replace(photos, samples=photos.samples[:size])
        return parts

    def prepare(self, experiment: Experiment, part: str) -> "Lessons":
        """A part's features, fixations and masks."""
        return Lessons(experiment, part)

    def build(self, experiment: Experiment, run: Run) -> AttentionReadout:
        """A readout; the backbone below it is never trained."""
        return AttentionReadout()

    def stages(self, experiment: Experiment, run: Run, model: AttentionReadout) -> Iterator[Stage]:
        """One, of the readout."""
        profile, lessons = experiment.profile, experiment.photos("train")
        val = experiment.photos("val")
        yield Stage(
            name="readout",
            trained=model,
            loss=lessons.loss(model, profile.mask_weight),
            size=len(lessons),
            recipe=Recipe(
                epochs=profile.epochs,
                learning_rate=profile.learning_rate,
                batch_size=profile.batch,
                schedule="cosine",
                seed=run.seed,
            ),
            validate=lambda: -sum(val.divergences(model)) / len(val),
        )

    def measure(self, experiment: Experiment, run: Run, model: AttentionReadout) -> Measurement:
        """NSS, AUC-Judd and KL of each photo's gaze, and the mean error of the masks."""
        lessons = experiment.photos("test")
        densities = lessons.densities(model)
        columns = _columns(densities, lessons)
        errors = lessons.mask_errors(model)
        details = {"mask error": sum(errors) / max(len(errors), 1), "masks": len(errors)}
        return Measurement(columns, details)

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """One row: no paper has printed it."""
        return [Place(TABLE, "readout of MobileNetV2")]

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[Row]:
        """The same photos by what needs no training on them, or none at all."""
        train, test = experiment.photos("train"), experiment.photos("test")
        size = (24, 32)
        prior = center_prior(torch.stack([train.density(n, *size) for n in range(len(train))]))
        context = replace(context, seeds=())
        others = {
            "center prior": [_resized(prior, test.shape(number)) for number in range(len(test))],
            "spectral residual": [
                _resized(spectral_residual(photo.image()) + 1e-4, test.shape(number))
                for number, photo in enumerate(test.photos.samples)
            ],
            "uniform": [torch.ones(test.shape(number)) for number in range(len(test))],
        }
        return [
            measured(context, TABLE, row, column, [values])
            for row, maps in others.items()
            for column, values in _columns(maps, test).items()
        ]


class Lessons:
    """The photos of one part, with features, fixations and masks."""

    def __init__(self, experiment: Experiment, part: str) -> None:
        self.photos: GazePhotos = experiment.parts[part]
        self.cache = features(experiment, part)
        masks = {one.name: one.mask for one in unlabelled.load(gaze.SETS)}
        self._masks = [masks.get(sample.name) for sample in self.photos.samples]
        self._targets: dict[int, tuple[Tensor, Tensor | None]] = {}

    def __len__(self) -> int:
        return len(self.photos)

    def shape(self, number: int) -> tuple[int, int]:
        """Height and width of a photo's map, in cells."""
        height, width = self.cache.levels(number)[1].shape[-2:]
        return height, width

    def density(self, number: int, height: int, width: int) -> Tensor:
        """Where people looked, (height, width)."""
        return gaze_density(self.photos[number].fixations, width, height)

    def targets(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Density (h, w), and mask (h, w) where the photo has one."""
        if number not in self._targets:
            height, width = self.shape(number)
            mask = self._masks[number]
            small = mask and salient_mask(unlabelled.read_mask(mask), width, height)
            self._targets[number] = self.density(number, height, width), small
        return self._targets[number]

    def loss(self, model: AttentionReadout, mask_weight: float) -> Loss:
        """Divergence of the gaze from people's, and cross entropy of the mask."""

        def compute(indices: Sequence[int], rng: torch.Generator) -> Mapping[str, Tensor]:
            flips = torch.randint(2, (len(indices),), generator=rng).tolist()
            gaze_loss, mask_loss, masks = torch.zeros(()), torch.zeros(()), 0
            for places, logits in self._logits(model, indices, flips):
                log_density = logits[:, 0].flatten(1).log_softmax(1)  # (B, h · w)
                for row, place in enumerate(places):
                    density, mask = self.targets(indices[place])
                    density = density.flip(-1) if flips[place] else density
                    gaze_loss = gaze_loss + F.kl_div(
                        log_density[row], density.flatten().clamp(min=1e-12), reduction="sum"
                    )
                    if mask is not None:
                        mask = mask.flip(-1) if flips[place] else mask
                        masks += 1
                        mask_loss = mask_loss + F.binary_cross_entropy_with_logits(
                            logits[row, 1], mask
                        )
            gaze_loss, mask_loss = gaze_loss / len(indices), mask_loss / max(masks, 1)
            total = gaze_loss + mask_weight * mask_loss
            return {"loss": total, "gaze": gaze_loss, "mask": mask_loss}

        return compute

    def _logits(
        self, model: AttentionReadout, indices: Sequence[int], views: Sequence[int]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Logits (B, 2, h, w) of photos of one size at a time, with their places in `indices`."""
        levels = [self.cache.levels(*pair) for pair in zip(indices, views, strict=True)]
        for places, _ in backbones.by_size([maps[1] for maps in levels]):
            batch = [
                torch.stack([levels[place][depth] for place in places]).float()
                for depth in range(len(CUTS))
            ]
            yield places, model(batch)

    @torch.inference_mode()
    def outputs(self, model: AttentionReadout) -> list[Tensor]:
        """Logits (2, h, w) of every photo."""
        numbers = list(range(len(self)))
        outputs: list[Tensor] = [torch.empty(0)] * len(numbers)
        for places, logits in self._logits(model, numbers, [0] * len(numbers)):
            for place, each in zip(places, logits, strict=True):
                outputs[place] = each
        return outputs

    def densities(self, model: AttentionReadout) -> list[Tensor]:
        """Predicted densities (h, w)."""
        return [gaze_of(each[None])[0] for each in self.outputs(model)]

    def divergences(self, model: AttentionReadout) -> list[float]:
        """KL of each photo's density from people's."""
        pairs = enumerate(self.densities(model))
        return [divergence(each, self.targets(number)[0]) for number, each in pairs]

    def mask_errors(self, model: AttentionReadout) -> list[float]:
        """Mean absolute difference from the masks, of the photos that have one."""
        errors = []
        for number, logits in enumerate(self.outputs(model)):
            mask = self.targets(number)[1]
            if mask is not None:
                errors.append(float((mask_of(logits[None])[0] - mask).abs().mean()))
        return errors


def features(experiment: Experiment, part: str) -> FeatureCache:
    """MobileNetV2's maps of the photos of a part; training photos also mirrored."""
    backbone = backbones.build("mobilenet_v2", CUTS).eval()
    photos = experiment.parts[part]

    def look(number: int, view: int) -> list[Tensor]:
        image = network_photo(photos[number].image())
        image = image.flip(-1) if view else image
        return [level[0] for level in backbone(image[None])]

    views = 2 if part == "train" else 1
    return experiment.features(part, backbone, look, views=views, size=[SHORT_SIDE, MULTIPLE])


def network_photo(image: Tensor) -> Tensor:
    """A photo (3, H, W) at the size that the readout takes."""
    return resize_short_side(image, SHORT_SIDE, MULTIPLE)


def _columns(maps: Sequence[Tensor], lessons: Lessons) -> dict[str, list[float]]:
    """The three measures, one number a photo."""
    samples = lessons.photos.samples
    pairs = list(zip(maps, samples, strict=True))
    return {
        "NSS": [nss(each, sample.fixations) for each, sample in pairs],
        "AUC-Judd": [auc_judd(each, sample.fixations) for each, sample in pairs],
        "KL": [divergence(each, lessons.targets(number)[0]) for number, each in enumerate(maps)],
    }


def _resized(attention: Tensor, shape: tuple[int, int]) -> Tensor:
    """A map (h, w) at another size."""
    return F.interpolate(attention[None, None], size=shape, mode="bilinear", antialias=True)[0, 0]


METHOD = AttentionMethod()
