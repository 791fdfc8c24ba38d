"""A crop and its partitions: which score each of them has, what it adds to the total, and where the
crop ranks.
"""

import base64
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import traitlets
from torch import Tensor

from cropnb.candidates import aspect_windows, grid_anchors
from cropnb.errors import BoxError
from cropnb.images import read_photo
from cropnb.widgets.base import Figure, checked_boxes, program, whole_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVELS = 65_535  # of a 16-bit number: a map of scores within ±3 is off by less than 0.0001
_SIDES = ("top", "top right", "right", "bottom right", "bottom", "bottom left", "left", "top left")
SHAPES = ("rectangle", "circle")
VIEWS = ("scores", "pixels", "lines")


class Pattern(Protocol):
    """What the figure reads of a composition pattern."""

    name: str
    cells: Tensor  # (rows, columns) whole numbers from 0: the partition of each cell


class PatternExplorer(Figure):
    """A crop that is moved over a score map, with the score of each partition, the total and its
    rank.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        maps: for each composition pattern its score map (L, h, w), one channel a partition. It may
            be much smaller than the photo: a pixel of it counts by the share that a partition
            covers.
        candidates: (N, 4) the crops to rank among; by default the grid anchors.
        squares: (M, 4) the squares whose inscribed circles a circular crop ranks among; by default
            windows of 1:1.
        box: (4,) where the crop starts; by default on the best candidate's centre, with 70 % of
            each side.
        pattern: name of the pattern at the start; by default the first.
        alt: what is on the photo, in words.

    `box` is the crop as it stands, in whole pixels of the photo; `shape` is "rectangle" or
    "circle".

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for boxes that are bad or leave the map, squares that are none, maps that don't
            fit their pattern or hold a number that is not finite, and an unknown pattern, shape or
            view.
    """

    _esm = program("pattern_explorer.js", "score_map.js")
    _css = Figure._css + (Path(__file__).parent / "pattern_explorer.css").read_text("utf-8")
    patterns = traitlets.List().tag(sync=True)
    candidates = traitlets.List().tag(sync=True)
    squares = traitlets.List().tag(sync=True)
    box = traitlets.List().tag(sync=True)
    pattern = traitlets.Unicode().tag(sync=True)
    shape = traitlets.Unicode().tag(sync=True)
    view = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        maps: Mapping[Any, Tensor],
        candidates: Any = None,
        squares: Any = None,
        *,
        box: Any = None,
        pattern: str | None = None,
        shape: str = "rectangle",
        view: str = "scores",
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        size = image.size
        if not maps:
            raise BoxError("maps is empty; give a score map for each pattern, {pattern: (L, h, w)}")
        candidates = grid_anchors(*size) if candidates is None else candidates
        squares = _squares(*size) if squares is None else checked_boxes(squares, *size, "squares")
        self._patterns = {one.name: one for one in maps}
        state = {
            "patterns": [_packed(one, score_map) for one, score_map in maps.items()],
            "candidates": [
                whole_pixels(one, *size) for one in checked_boxes(candidates, *size, "candidates")
            ],
            "squares": [_square(one, *size) for one in squares],
            "pattern": next(iter(self._patterns)) if pattern is None else pattern,
            "shape": shape,
            "view": view,
            "box": whole_pixels(
                _centred(*size, square=shape == "circle") if box is None else box, *size
            ),
        }
        super().__init__(image, alt, "Pattern explorer", state)

    @traitlets.validate("box")
    def _check_box(self, proposal: Any) -> list[int]:
        return whole_pixels(proposal["value"], self._image.width, self._image.height)

    @traitlets.validate("pattern", "shape", "view")
    def _check_choice(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        known = {"pattern": tuple(self._patterns), "shape": SHAPES, "view": VIEWS}[name]
        if value not in known:
            raise BoxError(f"there is no {name} {value!r}; choose from {', '.join(known)}")
        return value

    def score_map(self) -> Tensor:
        """The chosen pattern's map (L, h, w) as the page holds it, rounded to 16 bits."""
        stored = next(one for one in self.patterns if one["name"] == self.pattern)
        levels = np.frombuffer(base64.b64decode(stored["code"]), dtype="<u2").astype(float)
        values = stored["low"] + levels * (stored["high"] - stored["low"]) / _LEVELS
        return torch.from_numpy(values).view(stored["channels"], stored["rows"], stored["columns"])

    def partition_scores(self, box: Any = None) -> tuple[Tensor, Tensor]:
        """The mean score of each partition (L,), 0 where it has nothing, and its share of the crop
        (L,).
        """
        sums, areas = self._sums(self.score_map(), self.box if box is None else box)
        return sums / areas.clamp(min=1e-12), areas / areas.sum()

    def _sums(self, score_map: Tensor, box: Any) -> tuple[Tensor, Tensor]:
        """Sums and areas of partitions, by what of each pixel lies in each cell: no tables."""
        cells = self._patterns[self.pattern].cells
        (x1, y1, x2, y2), (rows, columns) = whole_pixels(box, self.width, self.height), cells.shape
        height, width = score_map.shape[1:]
        if self.shape == "rectangle":
            down = _overlaps(_edges(y1, y2, rows) * height / self.height, height)  # (rows, h)
            across = _overlaps(_edges(x1, x2, columns) * width / self.width, width)  # (columns, w)
            sums = torch.einsum("rh,lhw,cw->lrc", down, score_map, across)
            areas = down.sum(1)[:, None] * across.sum(1)
        else:
            line = torch.arange(y1, y2)
            off, radius = line + 0.5 - (y1 + y2) / 2, (x2 - x1) / 2
            half = (radius**2 - off**2).clamp(min=0).sqrt()[:, None]
            edges = _edges(x1, x2, columns).expand(len(line), -1)  # (T, columns + 1)
            edges = edges.clamp((x1 + x2) / 2 - half, (x1 + x2) / 2 + half) * width / self.width
            across = _overlaps(edges, width)  # (T, columns, w)
            values = score_map[:, ((line + 0.5) * height / self.height).long()]  # (L, T, w)
            sums, areas = torch.einsum("ltw,tcw->ltc", values, across), across.sum(-1)
            cells = cells[((off + radius) * rows / (2 * radius)).long()]
        own = sums.gather(0, cells[None])[0].flatten()
        count = score_map.shape[0]
        return tuple(
            torch.bincount(cells.flatten(), part.flatten(), count) for part in (own, areas)
        )

    def values(self) -> dict[str, float]:
        """`score` of the crop, (Eq. 1) or for a circle (Eq. 9), its `rank`, and the `best`
        candidate's index.
        """
        score_map = self.score_map()
        boxes = self.squares if self.shape == "circle" else self.candidates
        parts = (self._sums(score_map, box) for box in (self.box, *boxes))
        own, *others = (float(sums.sum() / areas.sum()) for sums, areas in parts)
        rank = 1 + sum(other > own + 1e-9 for other in others)
        return {"score": own, "rank": rank, "best": others.index(max(others))}

    def _summary(self) -> str:
        values = self.values()
        boxes = self.squares if self.shape == "circle" else self.candidates
        rank = f"rank {values['rank']} of {len(boxes) + 1}"
        return f"{_label(self.pattern)}: score {values['score']:.3f}, {rank}"

    def _draw(self, ax: "Axes") -> None:
        from matplotlib.patheffects import withStroke

        from cropnb.notebook import draw_boxes

        halo = [withStroke(linewidth=2, foreground="white")]
        means, shares = self.partition_scores()
        x1, y1, x2, y2 = self.box
        cells = self._patterns[self.pattern].cells
        draw_boxes(ax, self._image, [self.box], ["crop"], "orange")
        middle, reach = float(means.mean()), float((means - means.mean()).abs().max()) or 1.0
        limits = {"vmin": middle - reach, "vmax": middle + reach}
        ax.imshow(
            means[cells],
            extent=(x1, x2, y2, y1),
            cmap="RdBu",
            alpha=0.45,
            interpolation="nearest",
            **limits,
        )
        for (row, column), mean, share in zip(
            _label_cells(cells), means.tolist(), shares.tolist(), strict=True
        ):
            x = x1 + (column + 0.5) * (x2 - x1) / cells.shape[1]
            y = y1 + (row + 0.5) * (y2 - y1) / cells.shape[0]
            ax.text(
                x,
                y,
                f"{mean:.2f}" if share else "",
                ha="center",
                va="center",
                fontsize=8,
                path_effects=halo,
            )
        if self.shape == "circle":
            angle = np.linspace(0, 2 * np.pi, 100)
            x, y = (
                (x1 + x2) / 2 + (x2 - x1) / 2 * np.cos(angle),
                (y1 + y2) / 2 + (y2 - y1) / 2 * np.sin(angle),
            )
            ax.plot(x, y, color="black", linewidth=1.5)
        ax.set(xlim=(0, self.width), ylim=(self.height, 0))


def _edges(start: float, end: float, cells: int) -> Tensor:
    return start + (end - start) * torch.arange(cells + 1, dtype=torch.double) / cells


def _overlaps(edges: Tensor, pixels: int) -> Tensor:
    """The share of each pixel between neighbouring edges: (..., E) → (..., E − 1, pixels)."""
    pixel = torch.arange(pixels, dtype=torch.double)
    return (edges[..., 1:, None].minimum(pixel + 1) - edges[..., :-1, None].maximum(pixel)).clamp(
        min=0
    )


def _label_cells(cells: Tensor) -> list[tuple[int, int]]:
    """For each partition the cell to write on: the one nearest to its middle."""
    places = []
    for partition in range(int(cells.max()) + 1):
        own = (cells == partition).nonzero().double()
        # Of two equally near cells the one above or below wins, so that mirrored partitions get
        # mirrored labels.
        nearest = ((own - own.mean(0)).square() * torch.tensor([1, 1.02])).sum(1).argmin()
        places.append(tuple(int(place) for place in own[nearest]))
    return places


def _squares(width: int, height: int) -> list[list[float]]:
    """Squares in whole pixels, some 300 of several sizes."""
    squares = aspect_windows(width, height, 1, 300)
    side = (squares[:, 2] - squares[:, 0] + 1e-3).floor()[:, None]
    return torch.cat([squares[:, :2].floor(), squares[:, :2].floor() + side], dim=1).tolist()


def _square(box: list[float], width: int, height: int) -> list[int]:
    x1, y1, x2, y2 = whole_pixels(box, width, height)
    if x2 - x1 != y2 - y1:
        raise BoxError(f"{box} is no square in whole pixels; a circular crop needs one to lie in")
    return [x1, y1, x2, y2]


def _packed(pattern: Pattern, score_map: Tensor) -> dict[str, Any]:
    """One pattern and its map as the page reads them. Raises BoxError where the two don't fit."""
    cells = pattern.cells.tolist()
    partitions = 1 + max(map(max, cells))
    values = torch.as_tensor(score_map).detach().cpu().double()
    if values.ndim != 3 or values.shape[0] != partitions or values.numel() == 0:
        raise BoxError(
            f"the map of {pattern.name!r} has shape {tuple(values.shape)}; "
            f"give ({partitions}, h, w), a channel for each partition"
        )
    if not bool(torch.isfinite(values).all()):
        raise BoxError(f"the map of {pattern.name!r} holds a number that is not finite")
    low, high = float(values.min()), float(values.max())
    levels = ((values - low) / (high - low or 1.0) * _LEVELS).round().numpy().astype("<u2")
    return {
        "name": pattern.name,
        "label": _label(pattern.name),
        "cells": cells,
        "names": partition_names(pattern.cells),
        "code": base64.b64encode(levels.tobytes()).decode("ascii"),
        "low": low,
        "high": high,
        "channels": partitions,
        "rows": values.shape[1],
        "columns": values.shape[2],
    }


def _label(name: str) -> str:
    return (
        name.replace("grid_", "grid ").replace("_", " ").replace("x", " × ")
        if "grid_" in name
        else name.replace("_", " ")
    )


def partition_names(cells: Tensor) -> list[str]:
    """Words for the partitions of a pattern: by row and column in a grid, else by where they lie
    around the middle.
    """
    rows, columns = cells.shape
    count = int(cells.max()) + 1
    if count == rows * columns:
        places = [(cells == one).nonzero()[0].tolist() for one in range(count)]
        words = [
            (f"row {row + 1}" * (rows > 1), f"column {column + 1}" * (columns > 1))
            for row, column in places
        ]
        return [", ".join(filter(None, pair)) or "the whole crop" for pair in words]
    y, x = torch.meshgrid(
        (torch.arange(rows) + 0.5) / rows - 0.5,
        (torch.arange(columns) + 0.5) / columns - 0.5,
        indexing="ij",
    )
    parts = []
    for one in range(count):
        own = cells == one
        right, down = float(x[own].mean()), float(y[own].mean())
        reach = float(torch.maximum(x[own].abs(), y[own].abs()).mean())
        if math.hypot(right, down) < 0.02:
            parts.append(("ring", reach))
        else:
            angle = math.degrees(math.atan2(right, -down)) % 360
            side = round(angle / 45)
            hour = round(angle / 30) or 12
            parts.append(
                (
                    _SIDES[side % 8] if abs(angle - 45 * side) < 10 else f"towards {hour} o'clock",
                    reach,
                )
            )
    kinds = Counter(kind for kind, _ in parts)
    ordered = {kind: sorted(reach for other, reach in parts if other == kind) for kind in kinds}
    names = []
    for kind, reach in parts:
        place = ordered[kind].index(reach)
        ring = {1: [""], 2: ["inner", "outer"], 3: ["inner", "middle", "outer"]}.get(
            kinds[kind], [f"ring {step + 1}" for step in range(kinds[kind])]
        )[place]
        names.append(
            " ".join(part for part in (ring, "" if kind == "ring" and ring else kind) if part)
        )
    return names


def _centred(width: int, height: int, *, square: bool) -> list[float]:
    sides = (min(width, height),) * 2 if square else (width, height)
    box_width, box_height = (2 * round(0.7 * side / 2) for side in sides)
    return [
        width / 2 - box_width / 2,
        height / 2 - box_height / 2,
        width / 2 + box_width / 2,
        height / 2 + box_height / 2,
    ]
