"""Albums of feature maps: each photo goes through the frozen backbone once; crops are cut from what
comes out.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2
from tqdm.auto import tqdm

from cropnb import training
from cropnb.datasets.base import CropDataset, Sample
from cropnb.files import write_atomically
from cropnb.images import resize_short_side
from cropnb.la2c.model import Agent
from cropnb.la2c.observe import Album, check_photo, pad_truths

# pixels of a photo's shorter side; both sides are multiples of the backbone's stride
SHORT_SIDE, MULTIPLE = 256, 16
# of a changed view, at most
COLOURS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
STRETCH = 0.125  # of each side of a changed view, at most


class FeatureAlbum(Album):
    """Feature maps of whole photos, in the place of an album's pixels: pixels (N, W', C · H') in
    half precision.

    agent: with `shared=True`. keep: a file that keeps the maps between runs; who gives it names
        backbone, photos and
        views. views: further maps of each photo, in changed colours and stretched, see `changed`: a
        frozen backbone looks once, so whatever is to vary in training has to vary before it. The
        album then holds all photos `1 + views` times.
    Raises as `Album`.
    """

    def __init__(
        self,
        dataset: CropDataset | list[Sample],
        agent: Agent,
        device: str = "cpu",
        keep: Path | None = None,
        progress: bool = False,
        views: int = 0,
    ) -> None:
        self.samples = list(dataset) * (1 + views)
        truths = pad_truths(self.samples)
        if keep is not None and keep.exists():
            kept = load_file(keep)
        else:
            kept = look_at_all(list(dataset), agent, progress, views)
            if keep is not None:
                keep.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(keep, save(kept))
        self.channels = agent.backbone.channels[0]
        self.pixels, self.kept = kept["maps"].to(device), kept["sizes"].to(device)
        self.sizes = torch.tensor([sample.size for sample in self.samples], device=device)
        self.truths, self.valid = (part.to(device) for part in truths)


@torch.no_grad()
def calibrate(backbone: nn.Module, samples: Sequence[Sample], together: int = 16) -> None:
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
    square = [
        functional.interpolate(s.image()[None], (SHORT_SIDE, SHORT_SIDE), mode="bilinear")
        for s in samples
    ]
    for start in range(0, len(square), together):
        backbone(torch.cat(square[start : start + together]).to(device))
    for module, (momentum, mode) in zip(normalisations, before, strict=True):
        module.momentum = momentum
        module.train(mode)


@torch.no_grad()
def look_at_all(
    samples: list[Sample], agent: Agent, progress: bool = False, views: int = 0
) -> dict[str, Tensor]:
    """Maps ((1 + views) · N, W', C · H') in half precision, columns first and padded, and their
    sizes (…, 2).
    """
    eyes = agent.for_inference()
    device = next(eyes.parameters()).device
    found: list[list[Tensor]] = [[] for _ in range(1 + views)]
    for index, sample in enumerate(
        tqdm(samples, desc="features", unit="photo", disable=not progress)
    ):
        image = sample.image()
        check_photo(sample.name, image)
        drawn = (
            changed(image, training.generator(view, "view", index)) for view in range(1, 1 + views)
        )
        for maps, small in zip(
            found, [resize_short_side(image, SHORT_SIDE, MULTIPLE), *drawn], strict=True
        ):
            # (C, H', W')
            maps.append(eyes.look(small[None].clamp(0, 1).to(device))[0].half().cpu())
    maps = [part for parts in found for part in parts]
    across, down = (max(part.shape[axis] for part in maps) for axis in (2, 1))
    padded = torch.zeros(len(maps), across, maps[0].shape[0], down, dtype=torch.half)
    for index, part in enumerate(maps):
        padded[index, : part.shape[2], :, : part.shape[1]] = part.permute(2, 0, 1)
    sizes = torch.tensor([(part.shape[2], part.shape[1]) for part in maps])
    return {"maps": padded.flatten(2), "sizes": sizes}


def changed(image: Tensor, draw: torch.Generator) -> Tensor:
    """A photo (3, H, W) in other colours, each side near what `resize_short_side` makes of it,
    stretched by chance.

    Both sides stay multiples of the backbone's stride, so that shares of the map are shares of the
    photo.
    """
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
        training.seed_global(draw)
        image = v2.ColorJitter(**COLOURS)(image)
    scale = SHORT_SIDE / min(image.shape[-2:]) / MULTIPLE
    stretch = 1 + STRETCH * (2 * torch.rand(2, generator=draw) - 1)
    sides = [
        max(round(side * scale * float(by)), 6) * MULTIPLE
        for side, by in zip(image.shape[-2:], stretch, strict=True)
    ]
    return functional.interpolate(image[None], sides, mode="bilinear", antialias=True)[0]
