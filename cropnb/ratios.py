"""Ratios and sizes as people write them, and the whole pixels that a ratio has in a photo.

One parser for the command and for Python, and it needs no PyTorch.
"""

import math
import operator
import re
from collections.abc import Sequence
from fractions import Fraction
from numbers import Rational, Real

from cropnb.errors import BoxError

LARGEST = 100_000  # pixels of a side that a size may ask for, and so of a ratio
NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,20})?"
RATIO = re.compile(rf"\s*({NUMBER})\s*(?:[:/xX×]\s*({NUMBER})\s*)?")
SIZE = re.compile(r"\s*([0-9]{1,9})\s*[xX×]\s*([0-9]{1,9})\s*")

SIMPLE = 1000  # the largest denominator by which 1.7777777 is taken for 16 / 9
CLOSE = 1e-7  # of the ratio: what single precision or ten printed digits leave of it
EXACT_WITHIN = 0.1  # of a crop's sides: what an exact ratio may cost
NEAR_WITHIN = 0.01  # of a crop's sides, where whole pixels can't have the ratio exactly

RatioLike = str | float | Rational | Sequence[float]
SizeLike = str | Sequence[int]


def parse_ratio(value: RatioLike) -> Fraction:
    """Width / height, exactly, from "16:9", "16/9", "1.91:1", "1080x1350", "1.5", (16, 9), 16 / 9
    or a `Fraction`.

    A float stands for the simple fraction that it is nearest to: 16 / 9 for 1.7777777777777777.

    Raises:
        BoxError: for anything else, and for a ratio that isn't above 0 or beyond any photo's.
    """
    try:
        ratio = _ratio(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        ratio = None
    if ratio is None or not Fraction(1, LARGEST) <= ratio <= LARGEST:
        raise BoxError(
            f"the aspect ratio {repr(value)[:60]} isn't one: it is width / height, such as 16:9, "
            "16/9 or 1.5, in Python also 16 / 9 or (16, 9)"
        )
    return ratio


def parse_size(value: SizeLike) -> tuple[int, int]:
    """Width and height in pixels from "1080x1350" or (1080, 1350).

    Raises:
        BoxError: for anything else, and for a side below 1 or above 100 000.
    """
    try:
        if isinstance(value, str):
            match = SIZE.fullmatch(value)
            sides = tuple(map(int, match.groups())) if match else ()
        else:
            sides = tuple(map(_whole, value))
    except TypeError:
        sides = ()
    if len(sides) != 2 or not all(1 <= side <= LARGEST for side in sides):
        raise BoxError(
            f"the size {repr(value)[:60]} isn't one: write it as 1080x1350, in Python also "
            f"(1080, 1350), each side from 1 to {LARGEST}"
        )
    return sides


def whole_pixels(
    box: Sequence[float], width: int, height: int, ratio: Fraction | None = None
) -> tuple[int, int, int, int]:
    """A box in whole pixels of a photo of `width` × `height`: left, top, right, bottom.

    Sides are rounded, not corners, and the box stays as near to where it was as the photo's borders
    let it. Of a required ratio, the sides have exactly that ratio where such sides lie within a
    tenth of the box's (of several the nearest); else the nearest ratio within a hundredth.
    """
    x1, y1, x2, y2 = box
    if ratio is None:
        left, right = _rounded(x1, x2, width)
        top, bottom = _rounded(y1, y2, height)
        return left, top, right, bottom
    crop_width, crop_height = nearest_sides(x2 - x1, y2 - y1, width, height, ratio)
    left = min(max(_half_up((x1 + x2 - crop_width) / 2), 0), width - crop_width)
    top = min(max(_half_up((y1 + y2 - crop_height) / 2), 0), height - crop_height)
    return left, top, left + crop_width, top + crop_height


def nearest_sides(
    crop_width: float, crop_height: float, width: int, height: int, ratio: Fraction
) -> tuple[int, int]:
    """Whole sides near `crop_width` × `crop_height` of the ratio, or of the nearest, in a photo of
    `width` × `height`.
    """
    p, q = ratio.numerator, ratio.denominator
    # The box's size along the ratio, so that a box which rounding made wider counts as it was meant
    times = math.sqrt(crop_width * crop_height / (p * q))
    largest = min(width // p, height // q)
    if largest:
        exact = min(max(_half_up(times), 1), largest)
        if abs(exact - times) <= EXACT_WITHIN * times:
            return exact * p, exact * q
    # The shorter side runs through whole numbers, and the longer is what comes nearest to the ratio
    # for each. In integers and fractions: where two are equally near, the larger crop wins.
    upright = ratio < 1
    shape = 1 / ratio if upright else ratio
    long_limit, short_limit = (height, width) if upright else (width, height)
    short = times * min(p, q)
    reach = max(NEAR_WITHIN * short, 2)
    first = max(math.floor(short - reach), 1)
    last = min(max(math.ceil(short + reach), 1), short_limit)
    choices = []
    for side in range(min(first, last), last + 1):
        other = min(max(_half_up(side * shape), 1), long_limit)
        choices.append((abs(Fraction(other, side) - shape), -side, other))
    _, negative, long_side = min(choices)
    return (-negative, long_side) if upright else (long_side, -negative)


def _ratio(value: RatioLike) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        match = RATIO.fullmatch(value)
        if not match:
            return None
        width, height = match.groups()
        exact = Fraction(width) / Fraction(height or 1)
        return _simplest(exact) if height is None else exact
    if isinstance(value, (tuple, list)):
        width, height = value
        if min(width, height) <= 0 or bool in (type(width), type(height)):
            return None
        return _number(width) / _number(height)
    return _number(value)


def _number(value: float) -> Fraction:
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))  # NumPy's overflow
    if not isinstance(value, Real):
        value = float(value)  # NumPy's and PyTorch's scalars, Decimal
    return _simplest(Fraction(float(value)))


def _simplest(value: Fraction) -> Fraction:
    """The fraction of small numbers that a rounded value stands for, or the value itself."""
    simple = value.limit_denominator(SIMPLE)
    return simple if abs(simple - value) <= CLOSE * abs(value) else value


def _whole(side: int) -> int:
    if isinstance(side, bool):
        raise TypeError("a side is a number of pixels")
    return operator.index(side)


def _half_up(value: float | Fraction) -> int:
    return math.floor(value + Fraction(1, 2) if isinstance(value, Fraction) else value + 0.5)


def _rounded(first: float, second: float, side: int) -> tuple[int, int]:
    length = min(max(round(second - first), 1), side)
    start = min(max(round(first), 0), side - length)
    return start, start + length
