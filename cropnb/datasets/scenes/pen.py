"""The pen that draws things: in the units of a thing's box, mirrored where it looks to the left."""

from cropnb.datasets.scenes.canvas import UNIT, Canvas, Colour
from cropnb.datasets.scenes.describe import WIDTHS, Thing


class Pen:
    """Draws in the units of one thing and mirrors it when it looks to the left."""

    def __init__(self, canvas: Canvas, thing: Thing) -> None:
        self.canvas, self.thing = canvas, thing
        self.left, self.top, _, bottom = thing.box
        self.tall = bottom - self.top
        self.width = WIDTHS[thing.kind]

    def point(self, x: int, y: int) -> tuple[int, int]:
        """Units to sixteenths of a pixel."""
        x = self.width - x if self.thing.facing < 0 else x
        return (
            self.left * UNIT + x * self.tall * UNIT // 1000,
            self.top * UNIT + y * self.tall * UNIT // 1000,
        )

    def shape(self, colour: Colour, *points: tuple[int, int]) -> None:
        """A convex polygon."""
        self.canvas.polygon([self.point(x, y) for x, y in points], colour)

    def oval(
        self, colour: Colour, x: int, y: int, radius_x: int, radius_y: int | None = None
    ) -> None:
        """An ellipse."""
        radius_y = radius_x if radius_y is None else radius_y
        scale = self.tall * UNIT
        self.canvas.ellipse(
            *self.point(x, y), radius_x * scale // 1000, radius_y * scale // 1000, colour
        )

    def bar(self, colour: Colour, x1: int, y1: int, x2: int, y2: int) -> None:
        """An upright rectangle."""
        self.shape(colour, (x1, y1), (x2, y1), (x2, y2), (x1, y2))


def shade(colour: Colour, percent: int) -> Colour:
    """A colour made darker (below 100) or lighter (above)."""
    if percent <= 100:
        return tuple(part * percent // 100 for part in colour)
    return tuple(part + (255 - part) * (percent - 100) // 100 for part in colour)
