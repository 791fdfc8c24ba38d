"""Composition-aware pooling: the score of any number of crops from one score map (Eq. 1 and 2).

A crop's score is a sum over rectangles of cells, and a rectangle's sum is four values of a
summed-area table. The corners inside a partition cancel, so a pattern is a short list of corners
with a sign, gathered for all crops at once. The table is summed in double precision: in single
precision a large map would lose the fourth digit of a small crop.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from cropnb import boxes as box_math
from cropnb.asm_net.patterns import Pattern
from cropnb.errors import BoxError, PatternError

RULES = {
    "pixels": (
        "(Eq. 1): a pixel belongs to the partition in whose cell its centre lies, and every "
        "pixel counts once"
    ),
    "cells": (
        "(Eq. 2) in whole pixels: the mean over the cells of each cell's mean, the pixels "
        "dealt as above"
    ),
    "area": (
        "both at once: all cells of equal area, a pixel on a border belonging to each by the "
        "share that lies there"
    ),
}
# of a map that is summed at once: a megabyte, which the processor keeps at hand
TABLE_VALUES = 1 << 17


def composition_pool(
    score_map: Tensor,
    boxes: Tensor,
    pattern: Pattern,
    size: tuple[int, int] | None = None,
    rule: str | None = None,
) -> Tensor:
    """Crop-level scores Φ (Eq. 2): (L, H, W), (N, 4) → (N,), or (B, L, H, W), (B, N, 4) → (B, N).

    Differentiable in the map, and under "area" in the boxes too. Thousands of crops cost about as
    much as one.

    Args:
        boxes: x1 y1 x2 y2 in pixels of the photo.
        size: the photo's width and height, where the map is smaller than it.
        rule: one of `RULES`; by default "pixels" for a map of the photo's own size and "area" for a
            smaller one, whose cells are coarser than the boxes. Under "area" (Eq. 1) and (Eq. 2)
            are the same number.

    Raises:
        PatternError: the map doesn't have a channel for each partition.
        BoxError: a box outside of the photo, or with less than a pixel for each cell of the
            pattern.
    """
    sums, areas = _pool(score_map, boxes, pattern, size, rule, by_cell=rule == "cells")
    if rule == "cells":
        return (sums / areas).mean(-1).to(score_map.dtype)
    return (sums.sum(-1) / areas.sum(-1)).to(score_map.dtype)


def partition_scores(
    score_map: Tensor,
    box: Tensor,
    pattern: Pattern,
    size: tuple[int, int] | None = None,
    rule: str | None = None,
) -> Tensor:
    """The mean score of each partition of a crop: (L, H, W), (4,) → (L,), or (N, 4) → (N, L).

    Under "area" the crop's score is `(pattern.shares * partition_scores(...)).sum(-1)`; under
    "pixels" too, up to the pixels that the cells can't share evenly. Arguments and errors as
    `composition_pool`.
    """
    box = torch.as_tensor(box)
    sums, areas = _pool(
        score_map, box[None] if box.ndim == 1 else box, pattern, size, rule, by_cell=False
    )
    scores = (sums / areas).to(score_map.dtype)  # (N, L)
    return scores[0] if box.ndim == 1 else scores


def composition_pool_pixels(score_map: Tensor, boxes: Tensor, pattern: Pattern) -> Tensor:
    """Φ as it is written (Eq. 1), crop by crop and pixel by pixel: (L, H, W), (N, 4) → (N,).

    Slow and plain: what `composition_pool` is held against.

    Args:
        score_map: (L, H, W), of the photo's own size.
        boxes: (N, 4), x1 y1 x2 y2 in whole pixels.

    Raises:
        PatternError: the map doesn't have a channel for each partition.
        BoxError: a box that cuts pixels, lies outside of the photo, or has less than a pixel for
            each cell of the pattern.
    """
    boxes, _, _ = _checked(score_map, boxes, pattern, None, "pixels")
    scores = []
    for x1, y1, x2, y2 in boxes.tolist():
        if any(value != int(value) for value in (x1, y1, x2, y2)):
            raise BoxError(
                f"the crop {[x1, y1, x2, y2]} cuts pixels; composition_pool takes such boxes"
            )
        crop = score_map[:, int(y1) : int(y2), int(x1) : int(x2)]  # (L, h, w)
        labels = pattern.label_map(*crop.shape[1:]).to(crop.device)  # γ, (h, w)
        scores.append(crop.gather(0, labels[None]).double().mean())  # the mean of φ
    return torch.stack(scores).to(score_map.dtype) if scores else score_map.new_zeros(0)


def summed_area_table(score_map: Tensor) -> Tensor:
    """(..., H, W) → (..., H + 1, W + 1), in double precision: entry (i, j) sums the first i rows
    and j columns.
    """
    *lead, height, width = score_map.shape
    table = score_map.new_zeros(*lead, height + 1, width + 1, dtype=torch.double)
    table[..., 1:, 1:] = score_map
    table.cumsum_(-1)
    # Along the last axis of a transposed copy this is faster than across rows; in place, as memory
    # costs time too.
    return table.mT.contiguous().cumsum_(-1).mT


def cell_edges(start: Tensor, end: Tensor, cells: int, whole: bool) -> Tensor:
    """Where the cells between start and end (..., N) begin and end: (..., N, cells + 1), in pixels.

    Args:
        whole: move each edge to the first pixel whose centre lies behind it, so that cells hold
            whole pixels.
    """
    step = torch.arange(cells + 1, device=start.device, dtype=torch.double)
    edges = start[..., None] + (end - start)[..., None] * step / cells  # (..., N, cells + 1)
    return (edges - 0.5).ceil() if whole else edges


def _pool(
    score_map: Tensor,
    boxes: Tensor,
    pattern: Pattern,
    size: tuple[int, int] | None,
    rule: str | None,
    by_cell: bool,
) -> tuple[Tensor, Tensor]:
    """Sums and areas of each partition or cell of each crop: two tensors (..., N, L or L̃)."""
    boxes, rule, batched = _checked(score_map, boxes, pattern, size, rule)
    x1, y1, x2, y2 = boxes.unbind(-1)  # (..., N) each
    x = cell_edges(x1, x2, pattern.columns, rule != "area").mT  # (..., columns + 1, N)
    y = cell_edges(y1, y2, pattern.rows, rule != "area").mT  # (..., rows + 1, N)
    maps, x, y = (score_map, x, y) if batched else (score_map[None], x[None], y[None])
    x, y = x.contiguous(), y.contiguous()
    corners = _corners(pattern, by_cell)
    at_once = max(1, TABLE_VALUES // maps[0, 0].numel())
    firsts = range(0, maps.shape[1], at_once)
    bounds = torch.searchsorted(corners[0], torch.tensor([*firsts, maps.shape[1]])).tolist()
    sums = areas = 0
    # Memory that a few channels fill again and again stays at hand; all corners of all crops at
    # once wouldn't.
    for first, begin, end in zip(firsts, bounds, bounds[1:], strict=False):
        # of K corners: (K,) each, and their signs (K, L or L̃)
        channel, row, column, group = (part[begin:end].to(score_map.device) for part in corners)
        at_x = x.index_select(1, column)  # (B, K, N)
        at_y = y.index_select(1, row)  # (B, K, N)
        table = summed_area_table(maps[:, first : first + at_once])  # (B, channels, H + 1, W + 1)
        values = _look_up(table, channel - first, at_x, at_y, exact=rule != "area")  # (B, K, N)
        sums = sums + group.mT @ values  # (B, L or L̃, N)
        areas = areas + group.mT @ (at_x * at_y)  # (B, L or L̃, N)
    return (sums.mT, areas.mT) if batched else (sums[0].mT, areas[0].mT)


def _look_up(table: Tensor, channel: Tensor, x: Tensor, y: Tensor, exact: bool) -> Tensor:
    """Values of tables (B, L, H + 1, W + 1) at channels (K,) and x, y (B, K, N): (B, K, N)."""
    photos, channels, height, width = table.shape
    flat = table.mT.flatten()  # column by column, as it lies in memory
    photo = torch.arange(photos, device=table.device)[:, None, None]  # (B, 1, 1)
    base = (photo * channels + channel[:, None]) * width  # (B, K, 1)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = (base + column) * height + row  # (B, K, N)
        return flat.index_select(0, index.flatten()).view(index.shape)

    if exact:
        return at(y.long(), x.long())
    # Between pixels a table is bilinear, as each pixel counts by the share of it that is covered.
    left = x.detach().floor().long().clamp(max=width - 2)  # (B, K, N)
    above = y.detach().floor().long().clamp(max=height - 2)  # (B, K, N)
    right, below = x - left, y - above
    upper = at(above, left) * (1 - right) + at(above, left + 1) * right  # (B, K, N)
    lower = at(above + 1, left) * (1 - right) + at(above + 1, left + 1) * right  # (B, K, N)
    return upper * (1 - below) + lower * below


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a first crop must not spoil it for a training in the same process
def _corners(pattern: Pattern, by_cell: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Corners: channel, in order, row and column (K,), and their sign in each group (K, groups)."""
    # A group is a partition, whose inner corners cancel, or a single cell.
    rows, columns = pattern.cells.shape
    groups = torch.arange(rows * columns).view(rows, columns) if by_cell else pattern.cells
    count = int(groups.max()) + 1
    # (rows + 2, columns + 2, groups)
    inside = F.pad(F.one_hot(groups, count), (0, 0, 1, 1, 1, 1))
    # (rows + 1, columns + 1, groups)
    signs = inside[1:, 1:] - inside[:-1, 1:] - inside[1:, :-1] + inside[:-1, :-1]
    row, column, owner = signs.nonzero(as_tuple=True)  # (K,) each
    channels = torch.zeros(count, dtype=torch.long).scatter(
        0, groups.flatten(), pattern.cells.flatten()
    )  # (groups,)
    order = channels[owner].argsort(stable=True)  # (K,)
    row, column, owner = row[order], column[order], owner[order]
    group = torch.zeros(len(owner), count, dtype=torch.double)  # (K, groups)
    group[torch.arange(len(owner)), owner] = signs[row, column, owner].double()
    return channels[owner], row, column, group


def _checked(
    score_map: Tensor,
    boxes: Tensor,
    pattern: Pattern,
    size: tuple[int, int] | None,
    rule: str | None,
) -> tuple[Tensor, str, bool]:
    """Boxes in pixels of the map, in double precision, the rule, and whether the map is a batch."""
    check_map(score_map, pattern)
    if rule is not None and rule not in RULES:
        raise BoxError(f"there is no rule {rule!r}; there are {', '.join(RULES)}")
    height, width = score_map.shape[-2:]
    photo_width, photo_height = size or (width, height)
    if rule is None:
        rule = "pixels" if (photo_width, photo_height) == (width, height) else "area"
    boxes = box_math.check(boxes, width=photo_width, height=photo_height)
    boxes = boxes.to(score_map.device).double()
    if boxes.ndim != score_map.ndim - 1:
        raise BoxError(
            f"boxes have the shape {tuple(boxes.shape)} for maps {tuple(score_map.shape)}: "
            "give (N, 4)"
        )
    sides = (boxes[..., 2:] - boxes[..., :2]).detach()  # (..., N, 2)
    small = (sides < sides.new_tensor([pattern.columns, pattern.rows])).any(-1)  # (..., N)
    if bool(small.any()):
        w, h = sides[small][0].tolist()
        raise BoxError(
            f"a crop of {w:g} × {h:g} pixels is smaller than the {pattern.columns} × "
            f"{pattern.rows} cells of {pattern.name}; use a larger crop, or a pattern with fewer "
            "cells"
        )
    scale = boxes.new_tensor([width / photo_width, height / photo_height] * 2)
    return boxes * scale, rule, score_map.ndim == 4


def check_map(score_map: Tensor, pattern: Pattern) -> None:
    """Refuse maps that are not (L, H, W), or a batch of such, with the pattern's L channels.

    Raises:
        PatternError: with what is wrong.
    """
    if score_map.ndim not in (3, 4) or not score_map.is_floating_point() or score_map.numel() == 0:
        raise PatternError(
            f"a score map is a float tensor (L, H, W); this has the shape {tuple(score_map.shape)}"
        )
    if score_map.shape[-3] != pattern.partitions:
        raise PatternError(
            f"the score map has {score_map.shape[-3]} channels and {pattern.name} "
            f"{pattern.partitions} partitions; a map is read with the pattern that its network was "
            "trained with"
        )
