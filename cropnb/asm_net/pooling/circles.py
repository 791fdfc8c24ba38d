"""Circular crops: the pattern of the bounding square, the pixels of the inscribed circle (Eq. 9).

Every line of pixels cuts a circle in one chord, and a chord's sum is two values of running sums
along the line.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from cropnb.asm_net.patterns import Pattern
from cropnb.asm_net.pooling import cell_edges, check_map
from cropnb.errors import BoxError

AT_ONCE = 128  # circles pooled together; more would only take more memory


def circle_pool(
    score_map: Tensor, circles: Tensor, pattern: Pattern, size: tuple[int, int] | None = None
) -> Tensor:
    """Crop-level scores Φ′ of circular crops (Eq. 9): (L, H, W), (N, 3) → (N,).

    On a map of the photo's own size a pixel counts when its centre lies in the circle; on a smaller
    one each of the photo's lines of pixels counts by the length of its chord. Differentiable in the
    map.

    Args:
        circles: centre x, centre y and radius in pixels of the photo.
        size: the photo's width and height, where the map is smaller.

    Raises:
        BoxError: a circle doesn't fit into the photo, or its bounding square has less than a pixel
            for each cell.
        PatternError: the map doesn't have the pattern's channels.
    """
    sums, lengths = _sums(score_map, circles, pattern, size)
    return (sums.sum(-1) / lengths.sum(-1)).to(score_map.dtype)


def circle_scores(
    score_map: Tensor, circle: Tensor, pattern: Pattern, size: tuple[int, int] | None = None
) -> Tensor:
    """The mean score of what each partition has in a circle: (L, H, W), (3,) → (L,), or (N, 3) →
    (N, L).

    0 for a partition that lies in the corners and has nothing. Arguments and errors as
    `circle_pool`.
    """
    circle = torch.as_tensor(circle)
    sums, lengths = _sums(score_map, circle[None] if circle.ndim == 1 else circle, pattern, size)
    scores = (sums / lengths.clamp(min=1e-12)).to(score_map.dtype)  # (N, L)
    return scores[0] if circle.ndim == 1 else scores


def inscribed(squares: Tensor) -> Tensor:
    """The circles (..., 3) that squares (..., 4) hold: centre x, centre y, radius."""
    centre = (squares[..., :2] + squares[..., 2:]) / 2
    radius = (squares[..., 2:] - squares[..., :2]).amin(-1, keepdim=True) / 2
    return torch.cat([centre, radius], dim=-1)


def bounding_squares(circles: Tensor) -> Tensor:
    """The squares (..., 4) around circles (..., 3), x1 y1 x2 y2."""
    centre, radius = circles[..., :2], circles[..., 2:]
    return torch.cat([centre - radius, centre + radius], dim=-1)


def _sums(
    score_map: Tensor, circles: Tensor, pattern: Pattern, size: tuple[int, int] | None
) -> tuple[Tensor, Tensor]:
    """What each partition (N, L) of each circle sums to, and the length of its chords."""
    circles, width, height = _checked(score_map, circles, pattern, size)
    running = F.pad(score_map, (1, 0)).double().cumsum(-1)  # (L, H, W + 1)
    parts = [
        _part(running, part, pattern, width, height) for part in circles.split(AT_ONCE) if len(part)
    ]
    sums, lengths = zip(*parts, strict=True) if parts else ((), ())
    empty = running.new_zeros(0, pattern.partitions)  # (0, L)
    return torch.cat([empty, *sums]), torch.cat([empty, *lengths])


def _part(
    running: Tensor, circles: Tensor, pattern: Pattern, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """The same for a few circles, from the running sums (L, H, W + 1) along the lines."""
    x, y, radius = circles[:, :, None].unbind(1)  # (n, 1) each
    channels, rows, columns = running.shape[0], running.shape[1], running.shape[2] - 1
    whole = (columns, rows) == (width, height)
    count = int(2 * radius.max()) + 2  # T
    lines = torch.arange(count, device=circles.device) + (y - radius).floor()  # (n, T)
    off = lines + 0.5 - y  # (n, T)
    half = (radius.square() - off.square()).clamp(min=0).sqrt()  # (n, T), of the chord
    scale = columns / width
    start, end = (x - radius)[:, 0] * scale, (x + radius)[:, 0] * scale  # (n,) each
    edges = cell_edges(start, end, pattern.columns, whole)  # (n, C + 1)
    left, right = (x - half) * scale, (x + half) * scale  # (n, T) each
    if whole:  # pixels whose centre lies on the circle belong to it, on both sides
        left, right = (left - 0.5).ceil(), (right + 0.5).floor()
    # (n, T, C + 1)
    edges = torch.minimum(torch.maximum(edges[:, None], left[..., None]), right[..., None])
    edges = edges.clamp(0, columns)
    cell = ((off + radius) * pattern.rows / (2 * radius)).floor().long()
    cell = cell.clamp(0, pattern.rows - 1)  # (n, T)
    channel = pattern.cells.to(circles.device)[cell]  # (n, T, C)
    row = ((lines + 0.5) * rows / height).floor().long().clamp(0, rows - 1)[..., None]  # (n, T, 1)
    inside = (off.abs() <= radius)[..., None]  # (n, T, 1)

    def at(place: Tensor) -> Tensor:
        first = place.floor().long().clamp(max=columns - 1)
        index = (channel * rows + row) * (columns + 1) + first  # (n, T, C)
        values = running.flatten()
        return values[index] + (place - first) * (values[index + 1] - values[index])

    sums = (at(edges[..., 1:]) - at(edges[..., :-1])) * inside  # (n, T, C)
    lengths = (edges[..., 1:] - edges[..., :-1]) * inside  # (n, T, C)
    owner = channel.flatten(1)  # (n, T · C)
    empty = sums.new_zeros(len(circles), channels)  # (n, L)
    return tuple(empty.scatter_add(1, owner, part.flatten(1)) for part in (sums, lengths))


def _checked(
    score_map: Tensor, circles: Tensor, pattern: Pattern, size: tuple[int, int] | None
) -> tuple[Tensor, int, int]:
    """Circles in double precision, and the photo's width and height."""
    check_map(score_map, pattern)
    if score_map.ndim != 3:
        raise BoxError("circles are pooled from the map of one photo, (L, H, W)")
    circles = torch.as_tensor(circles, device=score_map.device).double()
    if circles.ndim != 2 or circles.shape[1] != 3 or not bool(torch.isfinite(circles).all()):
        raise BoxError(
            f"circles are centre x, centre y and radius, (N, 3), not {tuple(circles.shape)}"
        )
    width, height = size or (score_map.shape[-1], score_map.shape[-2])
    x, y, radius = circles.unbind(1)  # (N,) each
    room = torch.stack([x, y, width - x, height - y]).amin(0) if len(circles) else x
    # a float32 square that touches the border may be off by that much
    misfit = radius > room + 1e-3
    if bool(misfit.any()):
        cx, cy, r = circles[misfit][0].tolist()
        raise BoxError(
            f"the circle of radius {r:g} around ({cx:g}, {cy:g}) doesn't fit into the photo of "
            f"{width} × {height}; make it smaller or move it inwards"
        )
    if bool((2 * radius < max(pattern.rows, pattern.columns)).any()):
        raise BoxError(
            f"a circle of radius {float(radius.min()):g} is smaller than the {pattern.rows} × "
            f"{pattern.columns} cells of {pattern.name}"
        )
    return circles, width, height
