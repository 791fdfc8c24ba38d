"""How sure a mean is: bootstrap intervals over photos, and over training runs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cropnb.errors import MetricError

# standard deviations by which photos that are gone may differ: a small effect, by convention
MISSING_SHIFT = 0.2


class Interval(NamedTuple):
    """A mean and the ends of its interval, all in the unit of the values."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """The mean of a - b, its interval, and the share of resamples in which a's mean is above b's
    (ties half).
    """

    mean: float
    low: float
    high: float
    chance_above: float


def bootstrap_interval(
    values: ArrayLike, seed: int = 0, level: float = 0.95, samples: int = 10_000
) -> Interval:
    """Mean and percentile bootstrap interval of values (photos,), or (seeds, photos) of several
    training runs.

    Photos are drawn anew with replacement `samples` times, and so are the seeds where there are
    several. The same `seed` gives the same interval. Raises MetricError for no values, NaN, or
    other shapes.
    """
    values = _table(values)
    means = _resampled_means(values, seed, samples)
    return Interval(float(values.mean()), *_ends(means, level))


def with_missing(
    values: ArrayLike, listed: int, shift: float = MISSING_SHIFT, seed: int = 0
) -> Interval:
    """`bootstrap_interval` of the photos that are left of a list of `listed`, widened for those
    that are gone.

    What is gone is gone for reasons, and may be easier or harder in the mean: both ends move out by
    the share that is missing times `shift` standard deviations between photos. With nothing missing
    it is the plain interval. Raises MetricError for fewer listed photos than values, and as
    `bootstrap_interval`.
    """
    table = _table(values)
    photos = table.shape[-1]
    if listed < photos:
        raise MetricError(f"{photos} photos can't be left of a list of {listed}")
    found = bootstrap_interval(values, seed)
    slack = (1 - photos / listed) * shift * float(table.mean(axis=0).std())
    return Interval(found.mean, found.low - slack, found.high + slack)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, seed: int = 0, level: float = 0.95, samples: int = 10_000
) -> Difference:
    """Mean and interval of a - b, photo by photo: a, b (photos,) or (seeds, photos), the same
    photos in both.

    Far narrower than two intervals side by side, for a hard photo is hard for both. Errors as
    `bootstrap_interval`.
    """
    a, b = _table(a), _table(b)
    if a.shape[-1] != b.shape[-1] or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise MetricError(
            f"a has shape {a.shape} and b {b.shape}: a paired comparison needs the same photos in "
            "both"
        )
    values = a - b
    means = _resampled_means(values, seed, samples)
    above = float((means > 1e-12).mean() + 0.5 * (np.abs(means) <= 1e-12).mean())
    return Difference(float(values.mean()), *_ends(means, level), above)


def _table(values: ArrayLike) -> np.ndarray:
    table = np.atleast_2d(np.asarray(values, dtype=float))
    if table.ndim != 2 or table.size == 0:
        raise MetricError(
            f"values have shape {np.shape(values)}: give (photos,) or (seeds, photos), at least one"
        )
    if not np.isfinite(table).all():
        raise MetricError("a value is NaN or infinite: leave such photos out, and say how many")
    return table


def _resampled_means(values: np.ndarray, seed: int, samples: int) -> np.ndarray:
    if samples < 1:
        raise MetricError(f"samples is {samples}: draw at least one")
    runs, photos = values.shape
    generator = np.random.default_rng(seed)
    means = []
    for start in range(0, samples, 500):  # in pieces, so that 4 000 photos don't take 300 MB
        size = min(500, samples - start)
        photo_share = generator.multinomial(photos, np.full(photos, 1 / photos), size=size) / photos
        run_share = generator.multinomial(runs, np.full(runs, 1 / runs), size=size) / runs
        means.append(((photo_share @ values.T) * run_share).sum(1))
    return np.concatenate(means)


def _ends(means: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise MetricError(f"level is {level}: give a share such as 0.95")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
