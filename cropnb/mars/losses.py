"""What Mars is fitted with: each cell of its map lies in the true crop or doesn't (Eq. 8), and the
threshold that makes crops of maps (Sec. 4.1).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from cropnb.backbones import Trunk
from cropnb.mars.cropper import THRESHOLD, crops_from_maps
from cropnb.mars.model import Mars
from cropnb.mars.photos import RatioPhotos, cells, collate, trunk_features, valid

if TYPE_CHECKING:
    from cropnb.runs import FeatureCache

# The grid of θ; the paper gives its result, 0.4, only.
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
# (photos (B,), views (B,)) → feature maps (B, c, h, w), and sizes (B, 2) of the views in pixels
Features = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def from_photos(model: Mars, photos: RatioPhotos, device: torch.device) -> Features:
    """Features computed at each call, by a backbone that is trained."""

    def features(indices: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        pairs = zip(indices.tolist(), views.tolist(), strict=True)
        images, sizes = collate([photos.photo(index, view) for index, view in pairs])
        images, sizes = images.to(device), sizes.to(device)
        return model.features(images, sizes), sizes

    return features


def from_cache(
    model: Mars, cache: "FeatureCache", trunk: Trunk | None, device: torch.device
) -> Features:
    """Maps that were computed before, with the sizes of their photos, and what the trunk makes of
    them.
    """

    def features(indices: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        maps, sizes = cache(indices.tolist(), views.tolist(), device)
        sizes = sizes.flatten(1).long()  # (B, 2)
        if trunk is not None:
            maps = trunk_features(trunk, maps, sizes)
        return model.narrowed(maps), sizes  # (B, c, h, w)

    return features


def crop_masks(boxes: Tensor, stride: int, height: int, width: int) -> Tensor:
    """Targets (B, height, width): 1 where a cell's centre lies in its photo's true box, 0
    elsewhere.

    Args:
        boxes: (B, 4) in pixels of the photo that the network sees.
        stride: pixels a cell.
    """
    x = (torch.arange(width, device=boxes.device) + 0.5) * stride  # (width,)
    y = (torch.arange(height, device=boxes.device) + 0.5) * stride  # (height,)
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)  # (B, 1) each
    columns = (x >= x1) & (x < x2)  # (B, width)
    rows = (y >= y1) & (y < y2)  # (B, height)
    return (rows[:, :, None] & columns[:, None, :]).float()  # (B, height, width)


def pixel_loss(logits: Tensor, targets: Tensor, inside: Tensor | None = None) -> Tensor:
    """Binary cross entropy (Eq. 8), averaged over the N_pixel cells of each photo and then over the
    photos.

    Args:
        logits, targets: (B, h, w).
        inside: booleans (B, h, w), False on padding, which doesn't count.
    """
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")  # (B, h, w)
    if inside is None:
        return each.mean()
    share = inside.to(each.dtype)  # (B, h, w)
    return ((each * share).sum(dim=(1, 2)) / share.sum(dim=(1, 2))).mean()


def step_loss(
    model: Mars,
    photos: RatioPhotos,
    features: Features,
    annotations: Tensor,
    views: Tensor,
    number: int | None = None,
    rng: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """(Eq. 8) on a batch of annotations (B,), each with a view (B,) of its photo.

    Args:
        features: of these photos.
        number: how many cells of each feature map, drawn at random, the loss is taken on; None for
            all. Behind the pooling no cell sees another, so this is the same loss with some noise,
            for a fraction of the time.
    """
    maps, sizes = features(photos.owner[annotations], views)  # (B, c, h, w), (B, 2)
    device = maps.device
    weights = model.ratio_weights(photos.ratios(annotations, views).to(device))
    counts = cells(sizes, model.stride)  # (B, 2)
    raised = model.add_global(maps, weights, counts)  # (B, c, h, w)
    height, width = raised.shape[-2:]
    times = model.stride // model.out_stride  # cells of the output along one of the feature map
    boxes = photos.boxes(annotations, views, sizes.cpu()).to(device)  # (B, 4)
    # (B, h · times, w · times) both
    targets = crop_masks(boxes, model.out_stride, height * times, width * times)
    inside = valid(cells(sizes, model.out_stride), height * times, width * times)
    if number and number < height * width:
        chosen = _chosen_cells(counts, height, width, number, rng)  # (B, n)
        index = chosen[:, None].expand(-1, raised.shape[1], -1)  # (B, c, n)
        raised = raised.flatten(2).gather(2, index)[..., None]  # (B, c, n, 1)
        targets = _below(targets, chosen, times)  # (B, n · times, times)
        inside = _below(inside, chosen, times)
    logits = model.predict_cells(raised, weights).reshape(targets.shape)  # as the targets
    return {"loss": pixel_loss(logits.float(), targets, inside)}


def _chosen_cells(
    counts: Tensor, height: int, width: int, number: int, rng: torch.Generator | None
) -> Tensor:
    """`number` cells (B, n) of feature maps at random, the photo's own (counts (B, 2)) first."""
    chance = torch.rand(len(counts), height * width, generator=rng).to(counts.device)
    chance = chance + valid(counts, height, width).flatten(1)  # (B, h · w)
    return chance.topk(number, dim=1).indices  # (B, n)


def _below(values: Tensor, chosen: Tensor, times: int) -> Tensor:
    """The parts of a map (B, h · times, w · times) below cells (B, n): (B, n · times, times)."""
    number, height, width = values.shape  # a chosen cell is a number in (h, w)
    parts = values.view(number, height // times, times, width // times, times)
    parts = parts.transpose(2, 3).flatten(3).flatten(1, 2)  # (B, h · w, times²)
    index = chosen[:, :, None].expand(-1, -1, times**2)  # (B, n, times²)
    return parts.gather(1, index).view(number, -1, times)  # (B, n · times, times)


def predicted_maps(
    model: Mars, photos: RatioPhotos, features: Features, annotations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps (B, h, w) in 0…1 of annotations (B,), where they are photo (B, h, w), and the sizes (B,
    2) that the network saw.
    """
    owner = photos.owner[annotations]
    maps, sizes = features(owner, torch.zeros_like(owner))  # (B, c, h, w), (B, 2)
    weights = model.ratio_weights(photos.aspects[annotations].to(maps.device))
    # (B, h, w), at the output's stride from here on
    maps = model.head(maps, weights, cells(sizes, model.stride)).float().sigmoid()
    return maps, valid(cells(sizes, model.out_stride), *maps.shape[-2:]), sizes


@torch.inference_mode()
def predict_crops(
    model: Mars,
    photos: RatioPhotos,
    features: Features,
    thresholds: Sequence[float] = (THRESHOLD,),
    annotations: Tensor | None = None,
    chunk: int = 64,
) -> dict[float, tuple[Tensor, Tensor]]:
    """The crop of each annotation's required ratio at each θ.

    Args:
        annotations: (B,), by default all of them.
        chunk: so many at once.

    Returns:
        θ → the crops (B, 4) in pixels of their photos, and whether nothing lay above θ, (B,).
    """
    model.eval()
    annotations = torch.arange(len(photos.owner)) if annotations is None else annotations
    crops = {threshold: [] for threshold in thresholds}
    for part in annotations.split(chunk):
        maps, inside, sizes = predicted_maps(model, photos, features, part)
        photo = photos.sizes[photos.owner[part]].to(maps.device)  # (B, 2)
        aspects = photos.aspects[part].to(maps.device)
        cell = model.out_stride * photo / sizes  # (B, 2)
        for threshold in thresholds:
            crops[threshold].append(
                crops_from_maps(
                    maps, aspects, cell=cell, photo=photo, threshold=threshold, inside=inside
                )
            )
    return {
        threshold: (
            torch.cat([crop.boxes for crop in parts]).cpu(),
            torch.cat([crop.thresholds for crop in parts]).cpu() < threshold * (1 - 1e-6),
        )
        for threshold, parts in crops.items()
    }


def search_threshold(
    model: Mars, photos: RatioPhotos, features: Features, number: int = 300
) -> tuple[float, dict[float, float]]:
    """θ by grid search on the first training photos (Sec. 4.1): the one of the highest mean IoU,
    and the IoU of each.
    """
    chosen = (photos.owner < number).nonzero()[:, 0]
    crops = predict_crops(model, photos, features, THRESHOLDS, chosen)
    means = {
        threshold: photos.compare(boxes, chosen)["IoU"].mean().item()
        for threshold, (boxes, _) in crops.items()
    }
    return max(means, key=means.get), means
