"""What the layout network is trained on and how: people's scores of GAICD's crops, on layouts in
place of photos.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb import boxes as box_math
from cropnb import metrics
from cropnb.datasets.base import CropDataset
from cropnb.errors import BoxError
from cropnb.layout.maps import jittered, mirrored, object_maps
from cropnb.layout.model import LayoutNetwork
from cropnb.runs import Column, Experiment, Measurement, Method, Place, Result, Run, Stage
from cropnb.runs import Profile as Base
from cropnb.training import Loss, Recipe


@dataclass(frozen=True)
class Variant:
    """What a network sees; `jitter` and `dropped` are those of `maps.jittered`, in training."""

    sees_map: bool = True
    jitter: float = 0.0
    dropped: float = 0.0


@dataclass(frozen=True)
class Profile(Base):
    """How much is trained; the batch counts photos, with all of their crops."""

    epochs: int
    learning_rate: float = 5e-4
    weight_decay: float = 0.0
    batch_size: int = 8


class Layouts:
    """Objects, crops and scores of a dataset, as padded tensors on the device.

    Attributes:
        objects: (P, M, 4), normalised; boxes without area fill up.
        sizes: (P, 2) width and height.
        crops: (P, N, 4), normalised; the whole photo fills up.
        mos: (P, N) less the mean of the photo.
        counts: (P,) how many crops a photo has.

    Raises:
        BoxError: a sample has no objects' boxes or no scored crops.
    """

    def __init__(self, dataset: CropDataset, device: torch.device) -> None:
        samples = list(dataset)
        for sample in samples:
            if sample.objects is None or sample.scores is None or len(sample.boxes) == 0:
                raise BoxError(
                    f"{sample.name} has no objects' boxes or no scored crops; the layout network "
                    "learns from a dataset such as gaicd_layouts"
                )
        objects = [box_math.normalize(sample.objects, *sample.size) for sample in samples]
        crops = [box_math.normalize(sample.boxes, *sample.size) for sample in samples]
        mos = [sample.scores.float() - sample.scores.float().mean() for sample in samples]
        pad = nn.utils.rnn.pad_sequence
        self.counts = torch.tensor([len(one) for one in crops], device=device)
        self.objects = pad(objects, batch_first=True).to(device)
        self.crops = pad(crops, batch_first=True).to(device)
        self.crops[~self.mask(slice(None))] = self.crops.new_tensor([0.0, 0.0, 1.0, 1.0])
        self.mos = pad(mos, batch_first=True).to(device)
        self.sizes = torch.tensor([sample.size for sample in samples], dtype=torch.float32).to(
            device
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def mask(self, photos: Sequence[int] | slice) -> Tensor:
        """Which of the crops are a photo's own, (B, N)."""
        places = torch.arange(self.crops.shape[1], device=self.counts.device)
        return places < self.counts[photos, None]


class LayoutMethod(Method):
    """The layout network with and without objects' boxes."""

    name, main = "layout", "objects"
    variants = {
        "geometry alone": Variant(sees_map=False),
        "objects": Variant(),
        "jittered": Variant(jitter=0.08, dropped=0.3),
    }
    profiles = {
        "smoke": Profile(32, 16, 40, epochs=20),
        "cpu": Profile(None, 100, None, epochs=20),
        "full": Profile(None, 100, None, epochs=20),
    }
    columns = {
        **{
            name: Column(100, worth_having=1.0)
            for name in ("Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10")
        },
        "SRCC": Column(worth_having=0.01),
    }
    claim_columns = tuple(columns)
    epochs = ("last", "best")
    usual = {
        "cropnb.layout.model.WIDTHS": (256, 64),
        "cropnb.layout.maps.MAP_SIZE": 32,
        "cropnb.layout.maps.SAMPLES": 20,
        "cropnb.layout.maps.MARGIN": 0.35,
        "cropnb.layout.maps.GEOMETRY": 9,
    }

    def prepare(self, experiment: Experiment, part: str) -> Layouts:
        """Objects, crops and scores; no pixel is read."""
        return Layouts(experiment.parts[part], experiment.device)

    def build(self, experiment: Experiment, run: Run) -> LayoutNetwork:
        """A network that sees what the variant names."""
        return LayoutNetwork(self.variants[run.variant].sees_map)

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        """One: there is no backbone."""
        profile, photos = experiment.profile, experiment.photos("train")
        yield Stage(
            name="whole",
            trained=model,
            loss=self._step(self.variants[run.variant], model, photos),
            size=len(photos),
            recipe=Recipe(
                epochs=profile.epochs,
                learning_rate=profile.learning_rate,
                batch_size=profile.batch_size,
                weight_decay=profile.weight_decay,
                schedule="cosine",
                seed=run.seed,
            ),
            validate=lambda: float(protocol(model, experiment.photos("val"))["SRCC"].mean()),
        )

    def _step(self, variant: Variant, model: nn.Module, photos: Layouts) -> Loss:
        """Huber loss on scores less their photo's mean; each photo is mirrored half of the time."""

        def step(batch: Sequence[int], rng: torch.Generator) -> dict[str, Tensor]:
            objects, crops = photos.objects[batch], photos.crops[batch]  # (B, M, 4), (B, N, 4)
            if variant.jitter or variant.dropped:
                objects = jittered(objects, variant.jitter, variant.dropped, rng)
            maps = object_maps(objects)  # (B, 32, 32)
            turned = (torch.rand(len(batch), generator=rng) < 0.5).to(maps.device)  # (B,)
            maps = torch.where(turned[:, None, None], maps.flip(-1), maps)
            crops = torch.where(turned[:, None, None], mirrored(crops), crops)
            scores = model(maps, photos.sizes[batch], crops)  # (B, N)
            own = photos.mask(batch)
            return {"loss": F.huber_loss(scores[own], photos.mos[batch][own])}

        return step

    def measure(self, experiment: Experiment, run: Run, model: nn.Module) -> Measurement:
        """SRCC and Acc K/N of each photo's crops, as of GAIC."""
        return Measurement(protocol(model, experiment.photos(self.eval_split(experiment))))

    def card(self, result: Result) -> Mapping[str, object]:
        """Whether the network sees the map."""
        return {"sees_map": self.variants[result.variant].sees_map}

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """A table of this book's own."""
        return [Place("scores without pixels", variant)]


@torch.no_grad()
def protocol(model: nn.Module, photos: Layouts) -> dict[str, Tensor]:
    """The metrics of the GAICD protocol, one value a photo, (photos,) each."""
    scores, mos = [], []
    for start in range(0, len(photos), 64):
        part = slice(start, start + 64)
        batch = model(object_maps(photos.objects[part]), photos.sizes[part], photos.crops[part])
        own = photos.mask(part)
        scores += [row[is_own].cpu() for row, is_own in zip(batch, own, strict=True)]
        mos += [row[is_own].cpu() for row, is_own in zip(photos.mos[part], own, strict=True)]
    return metrics.ranking_table(scores, mos)


METHOD = LayoutMethod()
