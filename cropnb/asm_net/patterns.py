"""Composition patterns: how a crop is divided into partitions (Figure 3 and Table 1), once and as
data.

A pattern is a small table of cells, each with the index of the partition that it belongs to. Every
cell covers an equal share of a crop, whatever the crop's size: L partitions of L̃ = rows × columns
cells (Sec. 3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from cropnb.errors import PatternError


@dataclass(frozen=True, eq=False)
class Pattern:
    """One way to divide a crop.

    Attributes:
        name: what it is called in tables.
        cells: (rows, columns) int64, the partition of each cell, counted from 0 (the paper counts
            from 1).

    Raises:
        PatternError: `cells` is no table of whole numbers, or a partition between 0 and the largest
            has no cell.
    """

    name: str
    cells: Tensor

    def __post_init__(self) -> None:
        try:
            cells = torch.as_tensor(self.cells)
        except (TypeError, ValueError, RuntimeError) as error:
            raise PatternError(
                f"the cells of {self.name!r} are no table of numbers: {error}"
            ) from None
        if cells.ndim != 2 or cells.numel() == 0:
            raise PatternError(
                f"the cells of {self.name!r} have the shape {tuple(cells.shape)}: "
                "give (rows, columns)"
            )
        if cells.is_complex() or not bool((cells == cells.long()).all()) or int(cells.min()) < 0:
            raise PatternError(f"the cells of {self.name!r} hold partitions: whole numbers from 0")
        missing = sorted(set(range(int(cells.max()) + 1)) - set(cells.long().flatten().tolist()))
        if missing:
            raise PatternError(
                f"{self.name!r} has no cell for partition {missing[0]}: count them 0, 1, 2 "
                "without gaps"
            )
        object.__setattr__(self, "cells", cells.long().cpu().clone())

    @classmethod
    def from_boxes(
        cls, name: str, rows: int, columns: int, boxes: Sequence[Sequence[int]] | Tensor
    ) -> "Pattern":
        """A pattern from one rectangle of cells for each partition.

        Args:
            boxes: (L, 4) whole numbers, x1 y1 x2 y2 in cells.

        Raises:
            PatternError: two of them overlap, they leave a cell uncovered, or one is empty or lies
                outside of the rows × columns cells.
        """
        boxes = torch.as_tensor(boxes)
        if boxes.ndim != 2 or boxes.shape[1:] != (4,) or not bool((boxes == boxes.long()).all()):
            raise PatternError(
                f"the partitions of {name!r} are boxes (L, 4) of whole numbers: x1 y1 x2 y2 in "
                "cells"
            )
        cells = torch.full((rows, columns), -1)
        for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            if not (0 <= x1 < x2 <= columns and 0 <= y1 < y2 <= rows):
                raise PatternError(
                    f"partition {index} of {name!r} is empty or leaves the {rows} × {columns} cells"
                )
            taken = cells[y1:y2, x1:x2]
            if int(taken.max()) >= 0:
                raise PatternError(
                    f"partitions {int(taken.max())} and {index} of {name!r} overlap: each cell "
                    "has one"
                )
            taken.fill_(index)
        if int(cells.min()) < 0:
            row, column = (cells < 0).nonzero()[0].tolist()
            raise PatternError(
                f"no partition of {name!r} covers the cell in row {row}, column {column}"
            )
        return cls(name, cells)

    @property
    def rows(self) -> int:
        """How many rows of cells a crop is divided into."""
        return self.cells.shape[0]

    @property
    def columns(self) -> int:
        """How many columns of cells a crop is divided into."""
        return self.cells.shape[1]

    @cached_property
    def partitions(self) -> int:
        """L: how many partitions there are, and so how many channels a score map has."""
        return int(self.cells.max()) + 1

    @cached_property
    @torch.inference_mode(False)
    def shares(self) -> Tensor:
        """(L,) the share of a crop that each partition covers; they sum to 1."""
        return self.cells.flatten().bincount(minlength=self.partitions).float() / self.cells.numel()

    def label_map(self, height: int, width: int) -> Tensor:
        """γ (Sec. 3.1) for a crop of `height` × `width` pixels: (height, width) int64.

        A pixel belongs to the partition in whose cell its centre lies.
        """
        row = ((torch.arange(height, dtype=torch.double) + 0.5) * self.rows / height).floor().long()
        column = (
            ((torch.arange(width, dtype=torch.double) + 0.5) * self.columns / width).floor().long()
        )
        return self.cells[row[:, None], column]  # (height, width)

    def outline(self) -> Tensor:
        """The lines to draw: (S, 4) x1 y1 x2 y2 in 0…1 of a crop, its frame among them."""
        padded = F.pad(self.cells, (1, 1, 1, 1), value=-1)  # (rows + 2, columns + 2)
        # (rows + 1, columns): a border above the cell
        above = padded[1:, 1:-1] != padded[:-1, 1:-1]
        # (rows, columns + 1): a border to the left of the cell
        left = padded[1:-1, 1:] != padded[1:-1, :-1]
        lines = [(a, y, b, y) for y, row in enumerate(above) for a, b in _runs(row)]
        lines += [(x, a, x, b) for x, column in enumerate(left.T) for a, b in _runs(column)]
        size = torch.tensor([self.columns, self.rows] * 2)
        return torch.tensor(lines) / size

    def __repr__(self) -> str:
        cells = f"{self.rows} × {self.columns} cells"
        return f"Pattern({self.name!r}, {self.partitions} partitions of {cells})"


def _runs(flags: Tensor) -> list[tuple[int, int]]:
    """Start and end of each unbroken run of True in (n,)."""
    edges = F.pad(flags.int(), (1, 1)).diff()  # (n + 1,)
    starts, ends = ((edges == sign).nonzero().flatten().tolist() for sign in (1, -1))
    return list(zip(starts, ends, strict=True))


def grid(rows: int, columns: int) -> Pattern:
    """A grid of rows × columns partitions, a cell each: "1 × 3" is one row of three columns."""
    return Pattern(f"grid_{rows}x{columns}", torch.arange(rows * columns).view(rows, columns))


def _rings(count: int) -> Tensor:
    """(2 count, 2 count): 0 for the four cells in the middle, one more a ring around them."""
    off = (torch.arange(2 * count) - count + 0.5).abs().floor().long()  # (2 count,)
    return torch.maximum(off[:, None], off)


def _quadrants(side: int) -> Tensor:
    """(side, side): 0 top left, 1 top right, 2 bottom left, 3 bottom right."""
    half = (torch.arange(side) >= side // 2).long()  # (side,)
    return 2 * half[:, None] + half


def _directions(side: int) -> Tensor:
    """(side, side): eight sectors between axes and diagonals, from the upward one clockwise."""
    # A cell that a diagonal cuts in half goes to the sector beside it in turn, so that each sector
    # has an eighth of the cells, in mirror symmetry: what the paper's "approximately 18 cells" of
    # 12 × 12 leaves open.
    half = side // 2
    off = torch.arange(side) - half + 0.5  # (side,)
    dx, dy = off.abs(), off.abs()[:, None]  # (side,), (side, 1)
    steep = (dy > dx) | ((dy == dx) & (dx.floor().long() % 2 == 1))  # (side, side)
    right, lower = (off > 0).expand(side, side), (off > 0)[:, None].expand(side, side)
    upper_right = torch.where(steep, 0, 1)  # clockwise from the top: 0 1 | 2 3 | 4 5 | 6 7
    lower_right, lower_left, upper_left = 3 - upper_right, 4 + upper_right, 7 - upper_right
    right_half = torch.where(lower, lower_right, upper_right)
    left_half = torch.where(lower, lower_left, upper_left)
    return torch.where(right, right_half, left_half)


_ALL = (
    grid(1, 1),
    grid(1, 3),
    grid(3, 1),
    grid(3, 3),
    grid(5, 5),
    Pattern("multi_rectangle", _rings(5)),  # five partitions, as Table 1 counts them
    Pattern("multi_rectangle_3", _rings(3)),  # three, on 6 × 6 cells, as Figure 3 draws them
    Pattern("multi_direction", _directions(12)),
    # three rectangles, each cut in four by a cross
    Pattern("cross_rectangle", 4 * _rings(3) + _quadrants(6)),
)
PATTERNS: dict[str, Pattern] = {pattern.name: pattern for pattern in _ALL}
# `fingerprint` of the cells that the ledger's runs were trained with: a pattern that is divided
# otherwise makes other runs.
TRAINED = {
    "grid_1x1": "db407f11d7ed",
    "grid_1x3": "f3e49bcac468",
    "grid_3x1": "e743549bc64d",
    "grid_3x3": "829bd4fd3d16",
    "grid_5x5": "2bc126b3e952",
    "multi_rectangle": "db6731d778d2",
    "multi_rectangle_3": "0a7a87b578e5",
    "multi_direction": "4ddde4110fdc",
    "cross_rectangle": "3daea418bf43",
}


def find(pattern: str | Pattern) -> Pattern:
    """A pattern by its name; a pattern is handed back.

    Raises:
        PatternError: an unknown name.
    """
    if isinstance(pattern, Pattern):
        return pattern
    if pattern not in PATTERNS:
        raise PatternError(f"there is no pattern {pattern!r}; there are {', '.join(PATTERNS)}")
    return PATTERNS[pattern]
