"""A crop to drag beside those of several methods, and what the methods think of it."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError
from cropnb.images import read_photo
from cropnb.widgets.base import _FOLDER, Figure, checked_boxes, program, whole_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS, LEAST = 12, 2  # grid lines a side, and how many steps apart those of a box are at least


def line_pairs(steps: int = STEPS, least: int = LEAST) -> Tensor:
    """Pairs of grid lines (P, 2), from and to, that are `least` steps apart or more."""
    return torch.tensor(
        [(low, high) for low in range(steps + 1) for high in range(low + least, steps + 1)]
    )


def grid_boxes(width: int, height: int) -> Tensor:
    """All boxes (P², 4) whose edges lie on a grid of `STEPS` steps a side, in pixels.

    Args:
        width, height: of the photo.
    """
    pairs = line_pairs().double() / STEPS
    columns, rows = pairs.repeat_interleave(len(pairs), 0), pairs.repeat(len(pairs), 1)
    sides = torch.stack([columns[:, 0], rows[:, 0], columns[:, 1], rows[:, 1]], dim=1)
    return (sides * torch.tensor([width, height, width, height])).float()


def shares_below(scores: Tensor) -> Tensor:
    """For each of N scores, which share of all is lower; of equal ones half counts, (N,)."""
    ordered = scores.sort().values
    below = torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True)
    return below.double() / 2 / len(scores)


def grid_value(values: Tensor, box: Tensor, width: int, height: int) -> float | None:
    """The value of a box between those of the grid's boxes around it, linear in each edge.

    Args:
        values: (P²,) of the boxes of `grid_boxes`.
        box: (4,) in pixels.
        width, height: of the photo.

    Returns:
        None for a box with a side below `LEAST` steps.
    """
    size = torch.tensor([width, height, width, height], dtype=torch.float64)
    left, top, right, bottom = (box.double() / size * STEPS).tolist()
    if min(right - left, bottom - top) < LEAST - 1e-3:
        return None
    pairs = line_pairs().double()

    def near(low: float, high: float) -> Tensor:
        return (1 - (pairs - pairs.new_tensor([low, high])).abs()).clamp(min=0).prod(1)

    weights = near(left, right)[:, None] * near(top, bottom)  # (P, P)
    return float((weights.flatten() * values.double()).sum() / weights.sum())


class MethodCrops(Figure):
    """A crop that is moved and resized beside the best crops of several methods: its overlap with
    each, and, of a method that scores boxes, how many boxes of a grid it beats.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        crops: each method's crop (4,) in pixels of the photo, by name.
        colors: each method's colour, by name, as CSS has it.
        scores: (P²,) the scores of `grid_boxes`, by name, of the methods that have them.
        box: (4,) where the crop starts; by default it is centred, with 60 % of each side.
        alt: what is on the photo, in words.

    `box` is the crop as it stands, in whole pixels; `values()` gives what the figure shows.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for boxes that are bad or leave the photo, and scores that don't fit the grid.
    """

    _esm = program("method_crops.js", "score_grid.js")
    _css = Figure._css + (_FOLDER / "method_crops.css").read_text("utf-8")
    names = traitlets.List().tag(sync=True)
    colors = traitlets.List().tag(sync=True)
    crops = traitlets.List().tag(sync=True)
    steps = traitlets.Int().tag(sync=True)
    least = traitlets.Int().tag(sync=True)
    # name → a byte a box of the grid: how many of the others it beats, in half per cents
    packed = traitlets.Dict().tag(sync=True)
    box = traitlets.List().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        crops: Mapping[str, Any],
        colors: Mapping[str, str],
        scores: Mapping[str, Any],
        *,
        box: Any = None,
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        size = image.size
        if not crops:
            raise BoxError('crops is empty; give boxes by name, such as {"VRN": box}')
        centred = [share * side for share in (0.2, 0.8) for side in size]
        state = {
            "names": list(crops),
            "colors": [colors[name] for name in crops],
            "crops": checked_boxes([_flat(crop) for crop in crops.values()], *size, "crops"),
            "steps": STEPS,
            "least": LEAST,
            "packed": {name: _packed(name, values) for name, values in scores.items()},
            "box": whole_pixels(box if box is not None else centred, *size),
        }
        super().__init__(image, alt, "Your crop and those of the methods", state)

    @traitlets.validate("box")
    def _check_box(self, proposal: Any) -> list[int]:
        return whole_pixels(proposal["value"], self._image.width, self._image.height)

    def values(self) -> dict[str, float]:
        """`overlap_NAME`, the IoU with each method's crop, and `beats_NAME`, the per cent of the
        grid's boxes that the method scores lower, where it scores boxes and the crop isn't too
        small.
        """
        box = torch.tensor(self.box, dtype=torch.float64)
        crops = torch.tensor(self.crops, dtype=torch.float64)
        overlaps = box_math.iou(box, crops).tolist()
        numbers = {
            f"overlap_{name}": overlap for name, overlap in zip(self.names, overlaps, strict=True)
        }
        for name, text in self.packed.items():
            halves = torch.from_numpy(np.frombuffer(base64.b64decode(text), np.uint8).copy())
            share = grid_value(halves, box, self.width, self.height)
            if share is not None:
                numbers[f"beats_{name}"] = share / 2
        return numbers

    def _summary(self) -> str:
        values = self.values()
        return "IoU with the crop of " + ", ".join(
            f"{name} {values[f'overlap_{name}']:.2f}" for name in self.names
        )

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        draw_boxes(ax, self._image, [*self.crops, self.box], None, [*self.colors, "yellow"])


def _flat(box: Any) -> list[float]:
    return box.tolist() if isinstance(box, (Tensor, np.ndarray)) else list(box)


def _packed(name: str, scores: Any) -> str:
    """A method's scores of the grid's boxes as the page gets them."""
    scores = torch.as_tensor(scores).double()
    count = len(line_pairs()) ** 2
    if scores.shape != (count,) or not bool(scores.isfinite().all()):
        raise BoxError(
            f"the scores of {name}: give one finite number for each of the {count} boxes of "
            "grid_boxes"
        )
    halves = (200 * shares_below(scores)).round().to(torch.uint8)
    return base64.b64encode(halves.numpy().tobytes()).decode("ascii")
