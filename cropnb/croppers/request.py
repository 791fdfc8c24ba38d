"""What is asked of every photo: how many crops, of which ratio, in which size."""

import operator
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

from cropnb import photos
from cropnb.errors import BoxError, CropnbError
from cropnb.ratios import RatioLike, SizeLike, parse_ratio, parse_size


@dataclass(frozen=True)
class Request:
    """What is asked of every photo."""

    k: int = 1
    aspect: Fraction | None = None
    size: tuple[int, int] | None = None
    enlarge: bool = False
    limit: int = photos.DEFAULT_LIMIT

    @classmethod
    def of(
        cls,
        k: int = 1,
        aspect: RatioLike | None = None,
        size: SizeLike | None = None,
        enlarge: bool = False,
        limit: int | None = None,
    ) -> "Request":
        """Checked: CropnbError for a `k` below 1, BoxError for what is no ratio or size, or for two
        that disagree.
        """
        try:
            number = 0 if isinstance(k, bool) else operator.index(k)
        except TypeError:
            number = 0
        if number < 1:
            raise CropnbError(f"k is the number of crops, a whole number from 1, not {k!r}")
        ratio = None if aspect is None else parse_ratio(aspect)
        sides = None if size is None else parse_size(size)
        if sides is not None:
            if ratio not in (None, Fraction(*sides)):
                raise BoxError(
                    f"the size {sides[0]} × {sides[1]} isn't of the ratio {aspect}; leave the "
                    "ratio out"
                )
            ratio = Fraction(*sides)
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, Real) or not limit >= 1
        ):
            raise CropnbError(f"limit is a number of pixels from 1, not {limit!r}")
        return cls(number, ratio, sides, enlarge, photos.DEFAULT_LIMIT if limit is None else limit)
