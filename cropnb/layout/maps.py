"""A photo's layout as one map, and what a crop sees of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cropnb.errors import BoxError, ImageError

MAP_SIZE = 32  # cells along each side, whatever the photo's shape
SAMPLES = 20  # along each side of what a crop sees
MARGIN = 0.35  # of a crop's side, seen beyond each of its edges
GEOMETRY = 9  # numbers that say where a crop lies and how it is shaped


def object_maps(objects_norm: Tensor) -> Tensor:
    """Where the objects are: the sum of their boxes' indicators, each over the root of the box's
    share of the photo, so that small boxes count more; scaled to a maximum of 1.

    Args:
        objects_norm: (B, M, 4); boxes without area fill up and count nothing.

    Returns:
        (B, 32, 32), rows from top to bottom; all 0 for a photo without objects.
    """
    sides = (objects_norm[..., 2:] - objects_norm[..., :2]).clamp(min=0)  # (B, M, 2)
    shares = sides.prod(dim=-1)  # (B, M)
    weights = torch.where(shares > 0, shares.clamp(min=1e-12).rsqrt(), 0.0)  # (B, M)
    columns = _covered(objects_norm[..., 0], objects_norm[..., 2])  # (B, M, 32)
    rows = _covered(objects_norm[..., 1], objects_norm[..., 3])  # (B, M, 32)
    maps = torch.einsum("bm,bmh,bmw->bhw", weights, rows, columns)  # (B, 32, 32)
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def _covered(starts: Tensor, ends: Tensor) -> Tensor:
    """The share of each cell between start and end: (B, M) twice → (B, M, 32)."""
    edges = torch.linspace(0, 1, MAP_SIZE + 1, device=starts.device)  # (33,)
    low = torch.maximum(edges[:-1], starts[..., None])  # (B, M, 32)
    high = torch.minimum(edges[1:], ends[..., None])  # (B, M, 32)
    return (high - low).clamp(min=0) * MAP_SIZE


def jittered(objects_norm: Tensor, jitter: float, dropped: float, rng: torch.Generator) -> Tensor:
    """Boxes as another detector might have found them: some are lost, and every edge is elsewhere.

    Args:
        objects_norm: (B, M, 4).
        jitter: standard deviation of an edge's shift, as a share of the box's side.
        dropped: probability that a box is lost.

    Returns:
        (B, M, 4), a lost box without area.
    """
    sides = (objects_norm[..., 2:] - objects_norm[..., :2]).repeat(1, 1, 2)  # (B, M, 4)
    noise = torch.randn(objects_norm.shape, generator=rng).to(objects_norm.device)
    shifted = (objects_norm + jitter * sides * noise).clamp(0, 1)  # (B, M, 4)
    remains = torch.rand(objects_norm.shape[:2], generator=rng) >= dropped  # (B, M)
    return shifted * remains[..., None].to(objects_norm.device)


def mirrored(boxes_norm: Tensor) -> Tensor:
    """Normalised boxes (..., 4) of a photo that is turned left to right."""
    x1, y1, x2, y2 = boxes_norm.unbind(dim=-1)
    return torch.stack([1 - x2, y1, 1 - x1, y2], dim=-1)


def seen_maps(maps: Tensor, crops_norm: Tensor) -> Tensor:
    """What each crop sees of its photo's map and of the photo's extent: 20 × 20 samples over the
    crop and 35 % of its sides around it.

    Args:
        maps: (B, S, S), of any size.
        crops_norm: (B, N, 4).

    Returns:
        (B, N, 2, 20, 20): the map, and 1 where there is photo; 0 beyond the photo's edges.
    """
    batch, count = crops_norm.shape[:2]
    places = (torch.arange(SAMPLES, device=maps.device) + 0.5) / SAMPLES  # (20,)
    places = places * (1 + 2 * MARGIN) - MARGIN  # of the crop, 0 … 1 inside
    starts, sides = crops_norm[..., :2], crops_norm[..., 2:] - crops_norm[..., :2]  # (B, N, 2)
    points = starts[..., None] + sides[..., None] * places  # (B, N, 2, 20)
    points = points * 2 - 1  # as grid_sample counts
    x = points[:, :, 0, None, :].expand(-1, -1, SAMPLES, -1)  # (B, N, 20, 20)
    y = points[:, :, 1, :, None].expand(-1, -1, -1, SAMPLES)  # (B, N, 20, 20)
    grid = torch.stack([x, y], dim=-1).reshape(batch, count * SAMPLES, SAMPLES, 2)
    layers = torch.stack([maps, torch.ones_like(maps)], dim=1)  # (B, 2, S, S)
    seen = F.grid_sample(layers, grid, padding_mode="zeros", align_corners=False)
    return seen.reshape(batch, 2, count, SAMPLES, SAMPLES).transpose(1, 2)


def geometry(sizes: Tensor, crops_norm: Tensor) -> Tensor:
    """Where each crop lies and how it is shaped, without any look at the photo.

    Args:
        sizes: (B, 2) width and height of each photo, in any unit.
        crops_norm: (B, N, 4).

    Returns:
        (B, N, 9): edges, sides, share of the photo, logarithms of the crop's and of the photo's
        ratio of width to height.
    """
    sides = crops_norm[..., 2:] - crops_norm[..., :2]  # (B, N, 2)
    shares = sides.prod(dim=-1, keepdim=True)  # (B, N, 1)
    photo = (sizes[:, None, 0] / sizes[:, None, 1]).log()[..., None]  # (B, 1, 1)
    stretch = (sides[..., :1] / sides[..., 1:]).log()  # (B, N, 1)
    return torch.cat([crops_norm, sides, shares, stretch + photo, photo.expand_as(stretch)], dim=-1)


def check(maps: Tensor, sizes: Tensor, crops_norm: Tensor) -> None:
    """Raise for what the network can't score.

    Raises:
        ImageError: maps that are not (B, S, S) in 0…1, or sizes that are not (B, 2) and positive.
        BoxError: crops that are not (B, N, 4), are empty or inverted, or lie outside of 0…1.
    """
    if maps.ndim != 3 or maps.shape[1] != maps.shape[2] or maps.numel() == 0:
        raise ImageError(f"the maps have shape {tuple(maps.shape)}: give (B, S, S)")
    if not bool(((maps >= 0) & (maps <= 1)).all()):
        raise ImageError("a map has values outside of 0…1, or NaN: divide it by its maximum")
    if sizes.shape != (len(maps), 2) or not bool((sizes > 0).all()):
        raise ImageError(f"sizes are {tuple(sizes.shape)}: give width and height, (B, 2), above 0")
    if crops_norm.ndim != 3 or len(crops_norm) != len(maps) or crops_norm.shape[2] != 4:
        raise BoxError(f"the crops have shape {tuple(crops_norm.shape)}: give (B, N, 4)")
    inside = ((crops_norm >= -1e-4) & (crops_norm <= 1 + 1e-4)).all()
    if not bool(inside & (crops_norm[..., 2:] > crops_norm[..., :2]).all()):
        raise BoxError("a crop is empty, inverted or outside of its photo: normalise x1 y1 x2 y2")
