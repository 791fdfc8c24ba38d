"""Photos of different shapes in one batch: what is photo, what is padding, and how the padding
stays out of the way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb.backbones import Trunk
from cropnb.errors import ImageError

MULTIPLE = 32  # the deepest stride of a backbone: padded sides divide evenly all the way down


def collate(photos: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Photos (3, H, W) of any shapes → one batch (B, 3, H', W'), padded below and to the right, and
    sizes (B, 2).

    A size is (width, height) in pixels of the photo within its frame. Raises ImageError for no
    photo, or other shapes.
    """
    if not photos or any(
        photo.ndim != 3 or photo.shape[0] != 3 or 0 in photo.shape for photo in photos
    ):
        raise ImageError(
            "a batch holds photos (3, H, W), one at least; these are "
            f"{[tuple(p.shape) for p in photos]}"
        )
    sizes = torch.tensor([[photo.shape[-1], photo.shape[-2]] for photo in photos])
    width, height = (-(-side // MULTIPLE) * MULTIPLE for side in sizes.amax(0).tolist())
    batch = photos[0].new_zeros(len(photos), 3, height, width)
    # a copy a photo; there is no computation here
    for frame, photo in zip(batch, photos, strict=True):
        frame[:, : photo.shape[-2], : photo.shape[-1]] = photo
    return batch, sizes.to(batch.device)


def cells(sizes: Tensor, stride: int) -> Tensor:
    """How many cells (…, 2) across and down a map of this stride has of photos of `sizes` (…, 2); a
    part counts.
    """
    return -(-sizes // stride)


def valid(counts: Tensor, height: int, width: int) -> Tensor:
    """Where a padded map is photo: booleans (B, height, width) from cells (B, 2) of each photo."""
    across = torch.arange(width, device=counts.device) < counts[:, :1]  # [B, width]
    down = torch.arange(height, device=counts.device) < counts[:, 1:]  # [B, height]
    return down[:, :, None] & across[:, None, :]


@contextmanager
def padding_as_zero(backbone: nn.Module, sizes: Tensor | None, height: int) -> Iterator[None]:
    """Within it, each layer that reads neighbours finds zeros beyond the photo, just as at a
    frame's own border.

    So a photo gets the same features in a batch as alone. Without it the normalisations turn
    padding into something else than zero, and every further layer carries that one cell deeper into
    the photo.

    sizes: (B, 2), width and height of each photo, or None where nothing is padded. height: of the
        padded frames.
    """
    masks: dict[tuple[int, int], Tensor] = {}

    def clear(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        shape = (x.shape[-2], x.shape[-1])
        if shape not in masks:
            masks[shape] = valid(cells(sizes, height // shape[0]), *shape)[:, None].to(x.dtype)
        return (x * masks[shape],)

    layers = (
        []
        if sizes is None
        else [module for module in backbone.modules() if _reads_neighbours(module)]
    )
    handles = [layer.register_forward_pre_hook(clear) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def trunk_features(trunk: Trunk, maps: Tensor, sizes: Tensor) -> Tensor:
    """What a backbone gives at its one cut, from the maps of its stem.

    Args:
        trunk: behind the stem, as `backbones.split` gives it.
        maps: (B, C, h, w) of the stem, padded below and to the right.
        sizes: (B, 2), width and height of each photo in pixels.

    Returns:
        (B, c, h', w'), on each photo's own cells the same as `Mars.features` before `narrow`; what
        lies beyond them has no meaning, as there.
    """
    step = MULTIPLE // trunk.stride
    height, width = maps.shape[-2:]
    maps = F.pad(maps, (0, -width % step, 0, -height % step))
    with padding_as_zero(trunk, sizes, maps.shape[-2] * trunk.stride):
        return trunk(maps)[0]


def _reads_neighbours(module: nn.Module) -> bool:
    # Max pooling follows a ReLU wherever it stands here, so zero is below everything that it
    # compares.
    return isinstance(module, nn.MaxPool2d) or (
        isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    )


def masked_mean(features: Tensor, counts: Tensor | None) -> Tensor:
    """Global average pooling (B, c, h, w) → (B, c), over the photo's cells only: counts (B, 2), or
    None for all.
    """
    if counts is None:
        return features.mean(dim=(2, 3))
    inside = valid(counts, *features.shape[-2:])[:, None].to(features.dtype)
    return (features * inside).sum(dim=(2, 3)) / counts.prod(1, keepdim=True).to(features.dtype)
