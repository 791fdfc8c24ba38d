"""Which printed shares can't be shares of the number of photos that they are said to be measured
on.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cropnb import paper
from cropnb.errors import MetricError

# Columns that count photos, one yes or no for each: GAICD's Acc 1/N and set prediction's ACC 1/N.
# Averages over several picks, such as Acc 5, take so many values that every printed number is one.
COUNTS_PHOTOS = re.compile(r"\bacc 1/\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Impossible:
    """A printed number that is no share of `photos`; `nearest` are the two shares around it, as
    they would print.
    """

    method: str
    table: str
    row: str
    column: str
    printed: float
    photos: int
    nearest: tuple[float, float]


def is_share(printed: float, photos: int, decimals: int = 1) -> bool:
    """Whether a whole number of `photos` photos gives this per cent, rounded to so many decimals,
    halves either way.

    Raises:
        MetricError: fewer photos than one.
    """
    if photos < 1:
        raise MetricError(f"a share of {photos} photos is nothing; give at least one")
    half = 0.5 * 10**-decimals + 1e-9
    low, high = ((printed + sign * half) / 100 * photos for sign in (-1, 1))
    return math.floor(high) >= math.ceil(low)


def impossible_shares(methods: Iterable[str] | None = None) -> list[Impossible]:
    """Every printed count of photos, of any row of any paper's tables, that no number of photos
    gives.

    Args:
        methods: names of papers; by default all that have a `paper.toml`.
    """
    return [
        one
        for method in (papers() if methods is None else methods)
        for table in paper.read(method).tables.values()
        for one in _impossible(method, table)
    ]


def _impossible(method: str, table: paper.Table) -> Iterator[Impossible]:
    """Those of one table."""
    values = [value for row in table.rows.values() for value in row if value is not None]
    decimals = max(map(_decimals, values), default=1)
    columns = [column for column in table.columns if COUNTS_PHOTOS.search(column)]
    for row, column in itertools.product(table.rows, columns):
        value = table.value(row, column)
        if value is None or is_share(value, table.photos, decimals):
            continue
        below = math.floor(value / 100 * table.photos)
        nearest = tuple(round(100 * k / table.photos, decimals) for k in (below, below + 1))
        yield Impossible(
            method=method,
            table=table.name,
            row=row,
            column=column,
            printed=value,
            photos=table.photos,
            nearest=nearest,
        )


def papers() -> list[str]:
    """The methods that have a paper."""
    return sorted(path.parent.name for path in Path(paper.__file__).parent.glob("*/paper.toml"))


def _decimals(value: float) -> int:
    return len(repr(float(value)).split(".")[1])
