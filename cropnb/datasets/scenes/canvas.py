"""A small painter in integer arithmetic: its pictures have the same bytes on every machine.

Shapes are given in sixteenths of a pixel. Each row of pixels is crossed by four scan lines; how
much of a pixel they cover, in sixteenths, is how much of the colour it takes, so that outlines are
smooth.
"""

from collections.abc import Sequence

import numpy as np

UNIT = 16  # sub-pixel steps a pixel
Colour = tuple[int, int, int]  # red, green, blue


class Canvas:
    """An image of `(height, width, 3)` being painted. Colours are (red, green, blue) of 0 … 255,
    opacity 0 … 256.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pixels = np.zeros((height, width, 3), np.int32)

    def array(self) -> np.ndarray:
        """The finished picture, `(height, width, 3)` uint8."""
        return np.clip(self.pixels, 0, 255).astype(np.uint8)

    def polygon(
        self, points: Sequence[tuple[int, int]], colour: Colour, opacity: int = 256
    ) -> None:
        """A convex polygon: a list of (x, y) in sixteenths, in either direction round."""
        points = np.asarray(points, np.int64)
        window = self._window(
            points[:, 0].min(), points[:, 1].min(), points[:, 0].max(), points[:, 1].max()
        )
        if window is None:
            return
        y = self._scanlines(window)
        after = np.roll(points, -1, 0)
        turn = int((points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1]).sum())
        left, right = np.full(len(y), -(1 << 20)), np.full(len(y), 1 << 20)
        for (ax, ay), (bx, by) in zip(points.tolist(), after.tolist(), strict=True):
            if turn < 0:
                ax, ay, bx, by = bx, by, ax, ay
            if by != ay:
                x = ax + (bx - ax) * (y - ay) // (by - ay)
                left, right = (
                    (np.maximum(left, x), right) if by < ay else (left, np.minimum(right, x))
                )
            else:
                right = np.where((bx - ax) * (y - ay) >= 0, right, left)
        self._fill(window, left, right, colour, opacity)

    def ellipse(
        self, x: int, y: int, radius_x: int, radius_y: int, colour: Colour, opacity: int = 256
    ) -> None:
        """An ellipse by its centre and half-axes, in sixteenths."""
        radius_x, radius_y = max(int(radius_x), 1), max(int(radius_y), 1)
        window = self._window(x - radius_x, y - radius_y, x + radius_x, y + radius_y)
        if window is None:
            return
        away = (self._scanlines(window) - y) * 4096 // radius_y
        # The square root of a whole number below 2^52 is rounded the same way everywhere.
        half = np.sqrt(np.clip((1 << 24) - away * away, 0, None)).astype(np.int64) * radius_x >> 12
        self._fill(window, x - half, x + half, colour, opacity)

    def rectangle(
        self, x1: int, y1: int, x2: int, y2: int, colour: Colour, opacity: int = 256
    ) -> None:
        """An upright rectangle, in sixteenths."""
        self.polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], colour, opacity)

    def line(
        self, x1: int, y1: int, x2: int, y2: int, thick: int, colour: Colour, opacity: int = 256
    ) -> None:
        """A stroke with flat ends, `thick` sixteenths wide: across its steeper axis, which needs no
        square root.
        """
        half = max(thick // 2, 1)
        dx, dy = (0, half) if abs(x2 - x1) >= abs(y2 - y1) else (half, 0)
        self.polygon(
            [(x1 - dx, y1 - dy), (x1 + dx, y1 + dy), (x2 + dx, y2 + dy), (x2 - dx, y2 - dy)],
            colour,
            opacity,
        )

    def gradient(self, top: int, bottom: int, first: Colour, last: Colour) -> None:
        """Rows `top` … `bottom` (pixels) from one colour to another."""
        rows = np.arange(max(bottom - top, 0), dtype=np.int64)[:, None]
        span = max(bottom - top - 1, 1)
        colours = (np.array(first) * (span - rows) + np.array(last) * rows) // span
        self.pixels[top:bottom] = colours[:, None, :]

    def below(self, edge: np.ndarray, colour: Colour, bottom: int | None = None) -> None:
        """Everything below an outline: `edge` holds its height in each column `(width,)` in
        sixteenths.
        """
        top = max(int(edge.min()) // UNIT, 0)
        bottom = self.height if bottom is None else bottom
        if top >= bottom:
            return
        rows = np.arange(top, bottom)[:, None] * UNIT
        cover = np.clip(rows + UNIT - edge[None, :], 0, UNIT)[..., None]
        part = self.pixels[top:bottom]
        part += (np.array(colour) - part) * cover // UNIT

    def glow(self, x: int, y: int, radius: int, colour: Colour, opacity: int) -> None:
        """A soft round light, in pixels: `opacity` at its centre, nothing at its radius."""
        x1, y1, x2, y2 = (
            max(x - radius, 0),
            max(y - radius, 0),
            min(x + radius, self.width),
            min(y + radius, self.height),
        )
        if x1 >= x2 or y1 >= y2:
            return
        square = (np.arange(y1, y2)[:, None] - y) ** 2 + (np.arange(x1, x2)[None, :] - x) ** 2
        fade = np.clip(radius * radius - square, 0, None) * opacity // (radius * radius)
        fade = (fade * fade // max(opacity, 1))[..., None]
        part = self.pixels[y1:y2, x1:x2]
        part += (np.array(colour) - part) * fade // 256

    def _window(self, x1: int, y1: int, x2: int, y2: int) -> tuple[int, int, int, int] | None:
        """The pixels that a shape can touch, or None when it lies outside."""
        left, top = max(int(x1) // UNIT, 0), max(int(y1) // UNIT, 0)
        right, bottom = min(int(x2) // UNIT + 1, self.width), min(int(y2) // UNIT + 1, self.height)
        return (left, top, right, bottom) if left < right and top < bottom else None

    @staticmethod
    def _scanlines(window: tuple[int, int, int, int]) -> np.ndarray:
        """Where the four lines of each pixel row lie, in sixteenths."""
        return np.arange(window[1] * 4, window[3] * 4) * 4 + 2

    def _fill(
        self,
        window: tuple[int, int, int, int],
        left: np.ndarray,
        right: np.ndarray,
        colour: Colour,
        opacity: int,
    ) -> None:
        """Blend a colour in from `left` to `right` on each of the scan lines of a window."""
        x1, y1, x2, y2 = window
        edges = np.arange(x1 * UNIT, x2 * UNIT, UNIT, dtype=np.int32)
        ends = np.stack([np.maximum(left, right), left]).astype(np.int32)
        reach = np.minimum(np.maximum(ends[:, :, None] - edges, 0), UNIT)
        cover = (reach[0] - reach[1]).reshape(y2 - y1, 4, x2 - x1)
        cover = cover[:, 0] + cover[:, 1] + cover[:, 2] + cover[:, 3]
        part = self.pixels[y1:y2, x1:x2]
        part += (np.array(colour, np.int32) - part) * (cover * opacity)[..., None] >> 14
