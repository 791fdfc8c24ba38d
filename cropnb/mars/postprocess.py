"""From a predicted map to a crop: threshold, medians, the required ratio (section 3.4)."""

from typing import NamedTuple

import torch
from torch import Tensor

from cropnb.errors import BoxError, CropnbError

THRESHOLD = 0.4  # θ in the paper, from a grid search on its training photos


class MapCrop(NamedTuple):
    """What the post-processing finds in R maps, all in pixels of the photo."""

    boxes: Tensor  # (R, 4)
    # (R, 4): x and y of the centre, width and height, before the ratio and the border are respected
    medians: Tensor
    thresholds: Tensor  # (R,): θ, or what stood in for it where nothing lay above


def crops_from_maps(
    maps: Tensor,
    aspects: Tensor,
    cell: Tensor,
    photo: Tensor,
    threshold: float = THRESHOLD,
    inside: Tensor | None = None,
) -> MapCrop:
    """Predicted maps (R, h, w) in 0…1 → crops of the required ratios (R,).

    cell: (2,) or (R, 2), width and height of a map's cell in pixels of the photo. photo: (2,) or
        (R, 2), its width and
        height. inside: booleans (R, h, w), False on padding.

    As printed: binarise at θ; the medians of the coordinates of all cells above it are the centre;
    the median of the columns' sums that are not zero is the height, that of the rows' sums the
    width; one of the two is reduced to the ratio. What the paper leaves open: a median of an even
    count is the middle of the two; where nothing lies above θ, half of the map's maximum takes its
    place; a window across the border is moved inside; one that is larger than the photo is shrunk,
    ratio kept.

    There is no loop and nothing waits for the device, so a CUDA graph can hold all of it.
    Raises CropnbError for a threshold outside 0…1 and for wrong shapes.
    """
    if maps.ndim != 3 or 0 in maps.shape:
        raise CropnbError(f"maps have the shape (R, h, w), not {tuple(maps.shape)}")
    if not 0 <= threshold < 1:
        raise CropnbError(f"the threshold is {threshold}; it lies in 0…1")
    if aspects.shape != maps.shape[:1]:
        raise BoxError(f"{len(maps)} maps need as many ratios, not {tuple(aspects.shape)}")
    if inside is not None:
        maps = maps.masked_fill(~inside, -1.0)
    ones = maps > threshold  # [R, h, w]
    empty = ~ones.flatten(1).any(1)
    half = maps.flatten(1).amax(1) / 2
    ones = torch.where(empty[:, None, None], maps >= half[:, None, None], ones)
    thresholds = torch.where(empty, half, torch.full_like(half, threshold))

    columns, rows = ones.sum(1), ones.sum(2)  # [R, w] heights, [R, h] widths
    # middle of the cell
    centre = torch.stack([_median_place(columns), _median_place(rows)], dim=1) + 0.5
    extent = torch.stack([_median_of_nonzero(rows), _median_of_nonzero(columns)], dim=1)
    cell, photo = cell.to(maps), photo.to(maps)
    centre, extent = centre * cell, extent * cell  # [R, 2] in pixels
    medians = torch.cat([centre, extent], dim=1)

    ratio = aspects.to(maps)
    width = torch.minimum(extent[:, 0], extent[:, 1] * ratio)
    height = torch.minimum(extent[:, 1], extent[:, 0] / ratio)
    sides = torch.stack([width, height], dim=1)
    sides = sides * (photo / sides).amin(1, keepdim=True).clamp(max=1)
    # against the last bit of the multiplication
    sides = torch.minimum(sides, photo.expand_as(sides))
    first = torch.minimum((centre - sides / 2).clamp(min=0), photo - sides)
    return MapCrop(
        torch.cat([first, torch.minimum(first + sides, photo.expand_as(sides))], dim=1),
        medians,
        thresholds,
    )


def _median_place(counts: Tensor) -> Tensor:
    """The median (R,) of coordinates of which place i holds counts[:, i], (R, n)."""
    total, reached = counts.sum(1, keepdim=True), counts.cumsum(1)
    # place of the value number (total + 1) // 2, from one
    lower = (reached < (total + 1) // 2).sum(1)
    upper = (reached < total // 2 + 1).sum(1)
    return (lower + upper).float() / 2


def _median_of_nonzero(values: Tensor) -> Tensor:
    """The median (R,) of those values of each row of (R, n), zero or above, that aren't zero."""
    ordered = values.sort(1).values.float()  # the zeros come first
    number, zeros = (values > 0).sum(1), (values == 0).sum(1)
    lower = ordered.gather(
        1, (zeros + (number - 1).clamp(min=0) // 2)[:, None].clamp(max=values.shape[1] - 1)
    )
    upper = ordered.gather(1, (zeros + number // 2)[:, None].clamp(max=values.shape[1] - 1))
    return (lower + upper)[:, 0] / 2
