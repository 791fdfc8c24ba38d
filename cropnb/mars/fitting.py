"""How Mars is trained and measured: the head on features of a frozen backbone, or the whole network
as in the paper.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import metrics
from cropnb.mars.losses import crop_masks, pixel_loss
from cropnb.mars.model import Mars
from cropnb.mars.padding import cells, valid
from cropnb.mars.photos import FrozenFeatures, LiveFeatures, Looks, RatioPhotos
from cropnb.mars.postprocess import THRESHOLD, MapCrop, crops_from_maps
from cropnb.training import History, Recipe, train

# the grid of θ; the paper gives its result, 0.4, only
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
Features = FrozenFeatures | LiveFeatures


@dataclass(frozen=True)
class Profile:
    """How much is trained. Photos count whole splits where they are None."""

    train_photos: int | None
    validation_photos: int
    test_photos: int | None
    head_epochs: int = 0  # on frozen features
    head_learning_rate: float = 1e-3
    epochs: int = 0  # the whole network
    learning_rate: float = 1e-4
    batch_size: int = 32  # annotations, each with its photo
    decay: float = 1e-4  # of the base model
    meta_decay: float = 1e-3  # of embeddings and meta-learners
    looks: int = 1  # at each photo; see `photos.Looks`
    octaves: float = 0.0
    neurons: int = 512  # of the meta-learners
    cells: int | None = None  # of a photo's feature map in one step; see `step_loss`
    schedule: str = "cosine"
    threshold_photos: int = 300  # training photos on which θ is searched
    mixed_precision: bool = False


@dataclass
class Data:
    """One split: photos, the looks at them, and their features when the backbone is frozen."""

    photos: RatioPhotos
    looks: Looks
    frozen: FrozenFeatures | None = None

    @property
    def features(self) -> Features:
        return self.frozen or LiveFeatures(self.photos, self.looks)


def step_loss(
    model: Mars,
    data: Data,
    annotations: Tensor,
    looks: Tensor,
    drawn_cells: int | None = None,
    draw: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Equation 8 on a batch of annotations (B,), each with the look (B,) at its photo.

    drawn_cells: how many cells of each feature map, drawn at random, the loss is taken on; None for
        all. Behind the
        pooling no cell sees another, so this is the same loss with some noise, for a fraction of
        the time.
    """
    device = next(model.parameters()).device
    owner = data.photos.owner[annotations]
    features, sizes = data.features(model, owner, looks, device)
    aspects = data.photos.aspects[annotations] * data.looks.stretch[owner, looks]
    weights = model.ratio_weights(aspects.to(device))
    counts = cells(sizes, model.stride)
    raised = model.add_global(features, weights, counts)
    boxes = data.photos.boxes(annotations, data.looks.mirrored[owner, looks], sizes.cpu()).to(
        device
    )
    (height, width), times = raised.shape[-2:], model.stride // model.out_stride
    targets = crop_masks(boxes, model.out_stride, height * times, width * times)
    inside = valid(cells(sizes, model.out_stride), height * times, width * times)
    if drawn_cells and drawn_cells < height * width:
        chance = torch.rand(len(annotations), height * width, generator=draw).to(device)
        chance = chance + valid(counts, height, width).flatten(1)  # the photo's own cells first
        chosen = chance.topk(drawn_cells, dim=1).indices  # [B, n]
        raised = raised.flatten(2).gather(2, chosen[:, None].expand(-1, raised.shape[1], -1))[
            ..., None
        ]
        targets, inside = (_of_cells(each, chosen, times) for each in (targets, inside))
    logits = model.predict_cells(raised, weights).reshape(targets.shape)
    return {"loss": pixel_loss(logits.float(), targets, inside)}


def _of_cells(values: Tensor, chosen: Tensor, times: int) -> Tensor:
    """Of a map (B, h · times, w · times), the parts below chosen cells (B, n) of (h, w): (B, n ·
    times, times).
    """
    number, height, width = values.shape
    parts = (
        values.view(number, height // times, times, width // times, times)
        .transpose(2, 3)
        .flatten(3)
        .flatten(1, 2)
    )
    return parts.gather(1, chosen[:, :, None].expand(-1, -1, times**2)).view(number, -1, times)


def optimizer(model: Mars, profile: Profile, rate: float) -> torch.optim.Adam:
    """Adam with a weight decay for the base model and another for embeddings and meta-learners
    (section 4.1).
    """
    ratio = {id(parameter) for parameter in model.meta_parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in ratio], "weight_decay": profile.decay},
        {"params": [p for p in trained if id(p) in ratio], "weight_decay": profile.meta_decay},
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=rate, fused=True)


def fit(
    model: Mars,
    training: Data,
    validation: Data,
    profile: Profile,
    seed: int,
    folder: Path | None,
    identity: Mapping[str, object],
    progress: bool = True,
    max_steps: int | None = None,
) -> list[History]:
    """Train `model` in place: first its head, then the whole, as far as the profile has epochs for
    each.
    """
    stages = {**identity, "profile": asdict(profile)}
    histories = []
    for name, epochs, rate in (
        ("head", profile.head_epochs, profile.head_learning_rate),
        ("whole", profile.epochs, profile.learning_rate),
    ):
        if not epochs:
            continue
        model.backbone.requires_grad_(name == "whole")
        used = training if name == "head" else Data(training.photos, training.looks)
        checked = validation if name == "head" else Data(validation.photos, validation.looks)
        recipe = Recipe(
            epochs,
            rate,
            batch_size=profile.batch_size,
            schedule=profile.schedule,
            mixed_precision=profile.mixed_precision,
            seed=seed,
        )
        histories.append(
            train(
                model,
                _step(model, used, profile.cells),
                len(training.photos.owner),
                recipe,
                folder and folder / name,
                identity={**stages, "stage": name},
                validate=lambda checked=checked: measure(model, checked).overlap.mean().item(),
                progress=progress,
                max_steps=max_steps,
                optimizer=optimizer(model, profile, rate),
            )
        )
    model.backbone.requires_grad_(True)
    return histories


def _step(
    model: Mars, data: Data, drawn_cells: int | None
) -> Callable[[list[int], torch.Generator], Mapping[str, Tensor]]:
    def step(batch: list[int], draw: torch.Generator) -> Mapping[str, Tensor]:
        looks = torch.randint(data.looks.number, (len(batch),), generator=draw)
        return step_loss(model, data, torch.tensor(batch), looks, drawn_cells, draw)

    return step


def predicted_maps(model: Mars, data: Data, annotations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maps (B, h, w) in 0…1 of annotations (B,), where they are photo (B, h, w), and the sizes (B,
    2) seen.
    """
    device = next(model.parameters()).device
    owner = data.photos.owner[annotations]
    features, sizes = data.features(model, owner, torch.zeros_like(owner), device)
    weights = model.ratio_weights(data.photos.aspects[annotations].to(device))
    maps = model.head(features, weights, cells(sizes, model.stride)).float().sigmoid()
    return maps, valid(cells(sizes, model.out_stride), *maps.shape[-2:]), sizes


@dataclass(frozen=True)
class Measured:
    """What came out for each annotation: the crop (A, 4) in pixels of its photo, its IoU and its
    centre's offset.
    """

    owner: Tensor
    boxes: Tensor
    overlap: Tensor
    offset: Tensor
    displacement: Tensor
    empty: Tensor  # (A,) whether nothing lay above θ

    def a_photo(self, values: Tensor) -> Tensor:
        """Values (A,) → (P,), whose mean over photos is the mean over annotations, as the paper
        prints it.

        A photo with more annotations than others weighs more by as much.
        """
        number = int(self.owner.max()) + 1
        total = torch.zeros(number, dtype=torch.float64).index_add_(0, self.owner, values.double())
        return total * number / len(values)


@torch.inference_mode()
def measure(model: Mars, data: Data, threshold: float = THRESHOLD, chunk: int = 64) -> Measured:
    """Crops of every annotation's required ratio against its true box."""
    model.eval()
    found = [
        _crops(model, data, annotations, threshold)
        for annotations in torch.arange(len(data.photos.owner)).split(chunk)
    ]
    boxes = torch.cat([crop.boxes for crop in found]).cpu()
    thresholds = torch.cat([crop.thresholds for crop in found]).cpu()
    return judge(data.photos, boxes, thresholds < threshold * (1 - 1e-6))


def judge(photos: RatioPhotos, boxes: Tensor, empty: Tensor | None = None) -> Measured:
    """Crops (A, 4), one for each annotation in pixels of its photo, against the true boxes."""
    sizes = photos.sizes[photos.owner]
    truths = photos.boxes_norm * sizes.repeat(1, 2)
    overlap = box_math.iou(boxes.double(), truths.double())
    offset = metrics.center_offset(boxes.double(), truths.double())
    shift = ((boxes.double() - truths.double()) / sizes.repeat(1, 2)).abs().mean(1)
    none = torch.zeros(len(boxes), dtype=torch.bool)
    return Measured(photos.owner, boxes, overlap, offset, shift, none if empty is None else empty)


def _crops(model: Mars, data: Data, annotations: Tensor, threshold: float) -> MapCrop:
    maps, inside, sizes = predicted_maps(model, data, annotations)
    photo = data.photos.sizes[data.photos.owner[annotations]].to(maps.device)
    aspects = data.photos.aspects[annotations].to(maps.device)
    return crops_from_maps(
        maps, aspects, model.out_stride * photo / sizes, photo, threshold, inside
    )


@torch.inference_mode()
def search_threshold(
    model: Mars, data: Data, photos: int = 300, chunk: int = 64
) -> tuple[float, dict[float, float]]:
    """θ by grid search on training photos (section 4.1): the one of the highest mean IoU, and the
    IoU of each.
    """
    model.eval()
    chosen = (data.photos.owner < photos).nonzero()[:, 0]
    total = torch.zeros(len(THRESHOLDS), dtype=torch.float64)
    truths = data.photos.boxes_norm * data.photos.sizes[data.photos.owner].repeat(1, 2)
    for annotations in chosen.split(chunk):
        maps, inside, sizes = predicted_maps(model, data, annotations)
        photo = data.photos.sizes[data.photos.owner[annotations]].to(maps.device)
        aspects = data.photos.aspects[annotations].to(maps.device)
        cell = model.out_stride * photo / sizes
        for number, threshold in enumerate(THRESHOLDS):
            crops = crops_from_maps(maps, aspects, cell, photo, threshold, inside).boxes.cpu()
            total[number] += box_math.iou(crops.double(), truths[annotations].double()).sum()
    means = dict(zip(THRESHOLDS, (total / len(chosen)).tolist(), strict=True))
    return max(means, key=means.get), means
