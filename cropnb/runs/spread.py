"""How much earlier runs of claims differed between photos and seeds, and so how many of each settle
a difference. See `cropnb.runs.power`.
"""

import math
from collections.abc import Mapping, Sequence

from scipy.special import stdtrit

from cropnb import ledger
from cropnb.metrics.intervals import POWER

FEWEST_SEEDS, MOST_SEEDS = 3, 20  # with two, Student's quantile is a guess
MOST_PHOTOS = 2000  # of a test part
Enough = tuple[int, int] | None  # photos and seeds; None where not even the most of both suffice


def needed(pilot: ledger.Row, difference: float) -> Enough:
    """How many photos and seeds settle a difference, with 80 % power at 5 % two-sided.

    Args:
        pilot: a claim's row with two seeds or more: what its seeds leave open shrinks with the root
            of their number and with Student's quantiles, the rest with the root of the photos.
        difference: its distance from the boundary, in the unit of the row.

    Returns:
        Photos and seeds, of the fewest seeds with which a test part of 2 000 photos suffices; None
        where twenty seeds don't.

    Raises:
        LedgerError: the row is no claim, or has a single seed, whose spread nobody knows.
    """
    seeds = len(pilot.seeds)
    if pilot.detectable is None or not pilot.images or seeds < 2:
        raise ledger.LedgerError(f"row {pilot.key} is no claim with two seeds or more")
    of_seeds = pilot.detectable_seeds or 0.0
    one_seed = of_seeds * math.sqrt(seeds) / _quantiles(seeds)  # its deviation
    of_photos = max(pilot.detectable**2 - of_seeds**2, 0.0)
    for count in range(FEWEST_SEEDS, MOST_SEEDS + 1):
        left = difference**2 - (one_seed * _quantiles(count)) ** 2 / count
        if left > 0 and (photos := math.ceil(pilot.images * of_photos / left)) <= MOST_PHOTOS:
            return max(photos, 2), count
    return None


def pilot(
    method: str, claims: Sequence[str], column: str, like: Mapping[str, object]
) -> ledger.Row | None:
    """The row of an earlier run of the first of these claims that has any: before others one of the
    same dataset, then of the same profile, then of the same table; then one that tells how much
    seeds differ, and then one with more seeds.
    """
    for claim in claims:
        rows = [
            row
            for row in ledger.find(method, row=claim, column=column)
            if row.verdict in ledger.CLAIM_VERDICTS and row.detectable and len(row.seeds) > 1
        ]
        if rows:
            return max(
                rows,
                key=lambda row: (
                    *(getattr(row, name) == value for name, value in like.items()),
                    row.detectable_seeds is not None,
                    len(row.seeds),
                ),
            )
    return None


def of_others(
    method: str, column: str, like: Mapping[str, object], difference: float
) -> tuple[Enough, Enough] | None:
    """What a difference takes by the spread of the method's claims, the least and the most of them.

    Args:
        like: `dataset` and `profile` of the runs that tell.

    Returns:
        None where none of them has two seeds and says something.
    """
    alike = {name: like[name] for name in ("dataset", "profile")}
    takes = [
        needed(row, difference)
        for row in ledger.find(method, column=column, **alike)
        if row.verdict in ledger.CLAIM_VERDICTS
        and not row.void
        and row.detectable_seeds is not None
        and len(row.seeds) > 1
    ]
    ordered = sorted(takes, key=lambda enough: math.prod(enough) if enough else math.inf)
    return (ordered[0], ordered[-1]) if ordered else None


def _quantiles(seeds: int) -> float:
    """What a deviation is multiplied with to be settled, with a variance from these seeds."""
    return float(stdtrit(seeds - 1, 0.975) + stdtrit(seeds - 1, POWER))
