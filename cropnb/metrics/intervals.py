"""How sure a mean is: bootstrap intervals over photos, and over training runs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from cropnb.errors import MetricError
from cropnb.metrics.counts import is_count

# standard deviations by which photos that are gone may differ: a small effect, by convention
MISSING_SHIFT = 0.2
POWER = 0.8  # the chance of settling a difference of the size that is called detectable


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


class Comparison(NamedTuple):
    """The mean of a - b and its interval, and how small a difference could have been settled.

    `detectable` is the distance from the boundary at which 80 % of such experiments would settle
    it, at 5 % two-sided. `detectable_seeds` is what stays of it with the same seeds however many
    photos are added; 0 for one seed, whose interval says nothing about other seeds.
    """

    mean: float
    low: float
    high: float
    detectable: float
    detectable_seeds: float


def bootstrap_interval(
    values: ArrayLike, seed: int = 0, level: float = 0.95, samples: int = 10_000
) -> Interval:
    """Mean and percentile bootstrap interval.

    Photos are drawn anew with replacement, and so are the seeds where there are several.

    Args:
        values: (photos,), or (seeds, photos) of several training runs.
        seed: the same one gives the same interval.
        level: of the interval.
        samples: how often photos are drawn.

    Raises:
        MetricError: no values, NaN, or other shapes.
    """
    values = _table(values)
    means = _resampled_means(values, seed, samples)
    return Interval(float(values.mean()), *_ends(means, level))


def mean_interval(values: ArrayLike, seed: int = 0) -> Interval:
    """Mean and 95 % interval: of one training run the photos' bootstrap, of several `over_seeds`.

    Args:
        values: (photos,), or (seeds, photos) of several training runs.
        seed: of the bootstrap.

    Raises:
        MetricError: as `bootstrap_interval`; several runs on a single photo.
    """
    table = _table(values)
    if len(table) == 1:
        return bootstrap_interval(table, seed)
    gain = compare(table, np.zeros_like(table))
    return Interval(gain.mean, gain.low, gain.high)


def with_missing(
    values: ArrayLike, listed: int, shift: float = MISSING_SHIFT, seed: int = 0
) -> Interval:
    """`mean_interval` of the photos that are left of a list of `listed`, widened for those that are
    gone.

    What is gone is gone for reasons, and may be easier or harder in the mean: both ends move out by
    the share that is missing times `shift` standard deviations between photos. With nothing missing
    it is the plain interval.

    Args:
        values: (photos,) or (seeds, photos) of those that are left.
        listed: photos of the whole list.
        shift: standard deviations by which those that are gone may differ.
        seed: of the bootstrap.

    Raises:
        MetricError: fewer listed photos than values, or as `mean_interval`.
    """
    table = _table(values)
    photos = table.shape[-1]
    if listed < photos:
        raise MetricError(f"{photos} photos can't be left of a list of {listed}")
    interval = mean_interval(values, seed)
    slack = (1 - photos / listed) * shift * float(table.mean(axis=0).std())
    return Interval(interval.mean, interval.low - slack, interval.high + slack)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, seed: int = 0, level: float = 0.95, samples: int = 10_000
) -> Difference:
    """Mean and interval of a - b, photo by photo.

    Far narrower than two intervals side by side, for a hard photo is hard for both.

    Args:
        a: (photos,) or (seeds, photos).
        b: of the same photos.
        seed: the same one gives the same interval.
        level: of the interval.
        samples: how often photos are drawn.

    Raises:
        MetricError: as `bootstrap_interval`, or other photos in b than in a.
    """
    values = _differences(a, b)
    means = _resampled_means(values, seed, samples)
    above = float((means > 1e-12).mean() + 0.5 * (np.abs(means) <= 1e-12).mean())
    return Difference(float(values.mean()), *_ends(means, level), above)


def compare(a: ArrayLike, b: ArrayLike, seed: int = 0, level: float = 0.95) -> Comparison:
    """Mean and interval of a - b, photo by photo and seed by seed, for a claim.

    Args:
        a: (photos,) or (seeds, photos).
        b: the same photos, and the same seeds or one row for all of them.
        seed: of the bootstrap over photos, which gives the interval of a single seed.
        level: of the interval.

    Several seeds are `over_seeds`: a percentile bootstrap over three of them covers 79 to 89 %.

    Raises:
        MetricError: shapes that don't fit, NaN, or a single photo.
    """
    values = _differences(a, b)
    seeds, photos = values.shape
    if photos < 2:
        raise MetricError("one photo has no spread: a comparison needs at least two")
    covariance = np.atleast_2d(np.cov(values)) / photos
    by_t = over_seeds(values.mean(axis=1), covariance, photos, level)
    if seeds > 1:
        return by_t
    return by_t._replace(**bootstrap_interval(values, seed, level)._asdict())


def over_seeds(
    means: ArrayLike, covariance: ArrayLike, photos: int, level: float = 0.95
) -> Comparison:
    """The mean over seeds and its interval, for other photos and other seeds than these.

    Args:
        means: (S,) what each seed measured on the same photos.
        covariance: (S, S) of these numbers over draws of the photos: the photos' covariance
            divided by their number, or that of a bootstrap.
        photos: how many there are.
        level: of the interval.

    A number varies with the photos (alike for all seeds), with the seed, and with both together.
    The variance of the mean is the sum of two estimates: the mean covariance of two seeds, which is
    what photos do to all of them, and the variance of the seeds' means over S, holding the rest.
    Each has its own quantile of Student's t, with photos - 1 and S - 1 degrees of freedom; the
    interval takes their mean, weighted with the variances (Cochran, 1964). It covers 94 to 98 % for
    two, three and five seeds; Welch and Satterthwaite's quantile covers 92 % at three, because it
    believes a variance between three seeds too readily when that happens to be small.

    Raises:
        MetricError: shapes that don't fit.
    """
    means, covariance = np.asarray(means, dtype=float), np.asarray(covariance, dtype=float)
    seeds = len(means)
    if covariance.shape != (seeds, seeds):
        raise MetricError(f"{seeds} seeds have a covariance of shape {covariance.shape}")
    tail = (1 + level) / 2
    of_photos, of_seeds, together = float(covariance.mean()), 0.0, 0.0
    if seeds > 1:
        single = float(np.trace(covariance)) / seeds
        shared = (float(covariance.sum()) - seeds * single) / (seeds * (seeds - 1))
        of_photos, together = max(shared, 0.0), max(single - shared, 0.0) / seeds
        of_seeds = float(means.var(ddof=1)) / seeds
    freedom = np.array([photos - 1, max(seeds - 1, 1)])  # (2,)
    variances = np.array([of_photos, of_seeds])  # (2,)
    quantiles = stdtrit(freedom, tail)  # (2,)
    settling = quantiles + stdtrit(freedom, POWER)  # (2,)
    error = max(float(np.sqrt(variances.sum())), 1e-300)  # of the mean; equal values have none
    half = float(quantiles @ variances) / error
    mean = float(means.mean())
    return Comparison(
        mean=mean,
        low=mean - half,
        high=mean + half,
        detectable=float(settling @ variances) / error,
        # More photos shrink what photo and seed do together as well.
        detectable_seeds=float(settling[1] * np.sqrt(max(of_seeds - together, 0.0))),
    )


def _differences(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """a - b as (seeds, photos), refused where they are not of the same photos."""
    a, b = _table(a), _table(b)
    if a.shape[-1] != b.shape[-1] or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise MetricError(
            f"a has shape {a.shape} and b {b.shape}: a paired comparison needs the same photos in "
            "both"
        )
    return a - b


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
    if not is_count(samples):
        raise MetricError(f"samples is {samples!r}: draw at least one")
    runs, photos = values.shape
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, samples, 500):  # in pieces, so that 4 000 photos don't take 300 MB
        size = min(500, samples - start)
        photo_share = rng.multinomial(photos, np.full(photos, 1 / photos), size=size) / photos
        run_share = rng.multinomial(runs, np.full(runs, 1 / runs), size=size) / runs
        means.append(((photo_share @ values.T) * run_share).sum(1))
    return np.concatenate(means)


def _ends(means: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise MetricError(f"level is {level}: give a share such as 0.95")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
