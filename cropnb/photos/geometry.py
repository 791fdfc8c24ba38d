"""Boxes in whole pixels, sizes, and turns."""

from typing import Any

import numpy as np

from cropnb.errors import ImageError

Box = tuple[int, int, int, int]


def whole_box(box: Any, size: tuple[int, int]) -> Box:
    """A box in whole pixels inside a photo, one at least. Its sides are rounded, not its corners:
    that keeps the ratio.

    Raises:
        ImageError: the box is not four finite numbers.
    """
    values = [float(value) for value in (box.tolist() if hasattr(box, "tolist") else box)]
    if len(values) != 4 or not np.isfinite(values).all():
        raise ImageError(f"a box is four finite numbers x1 y1 x2 y2, not {box!r}")
    x1, y1, x2, y2 = values
    left, right = _whole(x1, x2, size[0])
    top, bottom = _whole(y1, y2, size[1])
    return left, top, right, bottom


def _whole(first: float, second: float, side: int) -> tuple[int, int]:
    length = min(max(round(second - first), 1), side)
    start = min(max(round(first), 0), side - length)
    return start, start + length


def target_size(box: Box, size: tuple[int, int] | None, enlarge: bool) -> tuple[int, int]:
    """The size that a crop of a box gets; without `enlarge` at most what the box has.

    Raises:
        ImageError: a width or a height below one pixel.
    """
    box_width, box_height = sides(box)
    if size is None:
        return box_width, box_height
    width, height = size
    if min(width, height) < 1:
        raise ImageError(f"a size is width and height in pixels from 1, not {size!r}")
    scale = 1 if enlarge else min(1, box_width / width, box_height / height)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def sides(box: Box) -> tuple[int, int]:
    """Width and height of a box."""
    return box[2] - box[0], box[3] - box[1]


def turned(array: np.ndarray, turn: int) -> np.ndarray:
    """An array (H, W, C) as it is stored, upright."""
    if turn in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if turn in (2, 3, 6, 7):
        array = array[:, ::-1]
    if turn in (3, 4, 7, 8):
        array = array[::-1]
    return array


def stored_box(
    box: tuple[int, int, int, int], size: tuple[int, int], turn: int
) -> tuple[int, int, int, int]:
    """A box of the upright photo in the pixels that orientation `turn` stores it in.

    Args:
        size: width and height of the upright photo.
    """
    (x1, y1, x2, y2), (width, height) = box, size
    if turn in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    if turn in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    return (y1, x1, y2, x2) if turn >= 5 else (x1, y1, x2, y2)
