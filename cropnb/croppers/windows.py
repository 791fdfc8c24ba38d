"""Windows of a required ratio, and the baselines that cut one without looking at the photo."""

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from cropnb.errors import BoxError
from cropnb.ratios import RatioLike, parse_ratio


class CentredWindow:
    """The baselines, which don't look at the photo: a centred window with a share of the sides of
    the largest one. Of a photo only its size is read.
    """

    blind = shared = True

    def __init__(self, name: str, share: float):
        self.name, self.share = name, share

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, None]:
        """(3, H, W) -> one box (1, 4): the largest window of the ratio, or the photo, with its
        sides times `share`.
        """
        return self.window((image.shape[-1], image.shape[-2]), aspect), None

    def propose_all(
        self,
        seen: Sequence[None],
        sizes: Sequence[tuple[int, int]],
        aspects: Sequence[float | None],
    ) -> list[tuple[Tensor, None]]:
        """The same for photos of these sizes (width, height)."""
        return [
            (self.window(size, aspect), None) for size, aspect in zip(sizes, aspects, strict=True)
        ]

    def window(self, size: tuple[float, float], aspect: float | None = None) -> Tensor:
        """The box (1, 4) in a photo of this width and height."""
        sides = torch.tensor(largest_window(*size, aspect), dtype=torch.float64)
        centre = torch.tensor(size, dtype=torch.float64) / 2
        half = sides * self.share / 2
        return torch.cat([centre - half, centre + half])[None].float()


def check_aspect(aspect: RatioLike, width: int, height: int) -> float:
    """A required ratio as a float. BoxError unless a window of it, a pixel wide and high, fits into
    the photo.
    """
    ratio = parse_ratio(aspect)
    check_room(ratio, width, height)
    return float(ratio)


def check_room(ratio: Fraction, width: int, height: int) -> None:
    """Raise BoxError where no window of a ratio, a pixel wide and high, fits into the photo."""
    if min(largest_window(width, height, ratio)) < 1:
        raise BoxError(
            f"no window of the ratio {float(ratio):.4g} fits into a photo of {width} × {height}"
        )


def largest_window(
    width: int, height: int, aspect: float | Fraction | None = None
) -> tuple[float, float]:
    """Sides in pixels of the largest window of a ratio in a photo; without a ratio those of the
    photo.
    """
    if aspect is None:
        return width, height
    return min(width, height * aspect), min(height, width / aspect)
