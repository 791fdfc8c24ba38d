"""Feature maps in the place of photos: each photo goes through the frozen backbone once, and crops
are cut from what comes out.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from cropnb import training
from cropnb.datasets.base import CropDataset, Sample
from cropnb.images import resize_short_side
from cropnb.la2c.envs.banks import ImageBank, check_photo
from cropnb.la2c.model import Agent

# pixels of a photo's shorter side; both sides are multiples of the backbone's stride
SHORT_SIDE, MULTIPLE = 256, 16
# of a changed view, at most
COLOURS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
STRETCH = 0.125  # of each side of a changed view, at most
# what a view is, as part of a cache's name and of a run's identity
VIEWS = {"colours": COLOURS, "stretch": STRETCH, "fused": True, "order": "columns first"}
SIZE = {"short_side": SHORT_SIDE, "multiple": MULTIPLE}


class FeatureBank(ImageBank):
    """Feature maps of whole photos, in the place of an image bank's pixels.

    A frozen backbone looks once, so whatever is to vary in training has to vary before it: with
    several views the bank holds all photos so many times, one view after the other.

    Args:
        maps: (photo, view) → its map (W', C, H') in half precision, columns first.
        views: how many views of each photo.

    Raises:
        BoxError, DatasetMissing: as `ImageBank`.
    """

    def __init__(
        self,
        dataset: CropDataset | Sequence[Sample],
        maps: Callable[[int, int], Tensor],
        views: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        samples = list(dataset)
        self._set_boxes(samples * views, device)
        self._maps = [maps(photo, view) for view in range(views) for photo in range(len(samples))]
        self.channels = self._maps[0].shape[1]
        self._set_shape([(one.shape[0], one.shape[2]) for one in self._maps])

    def read(self, photos: Tensor) -> Tensor:
        """Maps of photos (K,), padded to the largest: (K, W, C · H) in half precision."""
        images = torch.zeros(len(photos), *self.shape, dtype=torch.half)  # (K, W, C · H)
        for row, photo in zip(images, photos.tolist(), strict=True):
            one = self._maps[photo]  # (W', C, H')
            row.view(self.shape[0], self.channels, -1)[: one.shape[0], :, : one.shape[2]] = one
        return images.to(self.device)


def bank_for(
    agent: Agent, dataset: CropDataset | Sequence[Sample], device: torch.device | str = "cpu"
) -> ImageBank:
    """What an agent plays on: photos, or their feature maps where its backbone is shared."""
    if not agent.shared:
        return ImageBank(dataset, device)
    look = look_with(agent, dataset)
    return FeatureBank(dataset, lambda photo, view: look(photo, view)[0].half().cpu(), 1, device)


def look_with(
    agent: Agent, dataset: CropDataset | Sequence[Sample]
) -> Callable[[int, int], list[Tensor]]:
    """(photo, view) → one map (W', C, H'), columns first: view 0 is the photo as it is, the others
    are `changed`.

    Raises:
        ImageError: a photo with a side below 30 pixels.
    """
    network = agent.for_inference()
    device = next(network.parameters()).device

    @lru_cache(maxsize=1)  # the views of a photo come one after the other
    def photo(index: int) -> Tensor:
        image = dataset[index].image()
        check_photo(dataset[index].name, image)
        return image

    @torch.no_grad()
    def look(index: int, view: int) -> list[Tensor]:
        if view:
            image = changed(photo(index), training.generator(view, "view", index))
        else:
            image = resize_short_side(photo(index), SHORT_SIDE, MULTIPLE)
        maps = network.feature_maps(image[None].clamp(0, 1).to(device))  # (1, C, H', W')
        return [maps[0].permute(2, 0, 1)]

    return look


def changed(image: Tensor, rng: torch.Generator) -> Tensor:
    """A photo (3, H, W) in other colours, each side near what `resize_short_side` makes of it,
    stretched by chance.

    Both sides stay multiples of the backbone's stride, so that shares of the map are shares of the
    photo.
    """
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
        training.seed_global(rng)
        image = v2.ColorJitter(**COLOURS)(image)
    scale = SHORT_SIDE / min(image.shape[-2:]) / MULTIPLE
    stretch = 1 + STRETCH * (2 * torch.rand(2, generator=rng) - 1)  # (2,)
    sides = [
        max(round(side * scale * float(by)), 6) * MULTIPLE
        for side, by in zip(image.shape[-2:], stretch, strict=True)
    ]
    return F.interpolate(image[None], sides, mode="bilinear", antialias=True)[0]


@torch.no_grad()
def calibrate(backbone: nn.Module, samples: Sequence[Sample], batch_size: int = 16) -> None:
    """Set the batch statistics of a backbone, in place, to those that it meets on these photos.

    A frozen backbone normalises by its running means and variances. At a random start they are 0
    and 1, which fit none of its layers: the signal fades from unit to unit until all photos look
    alike, and nothing can be learned from them.
    """
    normalisations = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    device = next(backbone.parameters()).device
    before = [(module.momentum, module.training) for module in normalisations]
    for module in normalisations:
        module.reset_running_stats()
        module.momentum = None  # the mean over all batches
        module.train()
    side = (SHORT_SIDE, SHORT_SIDE)
    squares = [F.interpolate(sample.image()[None], side, mode="bilinear") for sample in samples]
    for start in range(0, len(squares), batch_size):
        backbone(torch.cat(squares[start : start + batch_size]).to(device))
    for module, (momentum, mode) in zip(normalisations, before, strict=True):
        module.momentum = momentum
        module.train(mode)
