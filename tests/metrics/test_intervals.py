"""Bootstrap intervals against theory and SciPy; steps and timing."""

import time

import numpy as np
import pytest
import scipy.stats
import torch

from cropnb import metrics
from cropnb.errors import MetricError


def test_interval_of_a_share_is_the_binomial_one():
    hits = np.repeat([1.0, 0.0], [49, 151])  # 24.5 % of 200 photos
    mean, low, high = metrics.bootstrap_interval(hits)
    assert mean == pytest.approx(0.245)
    margin = 1.96 * np.sqrt(0.245 * 0.755 / 200)
    assert low == pytest.approx(0.245 - margin, abs=0.006)
    assert high == pytest.approx(0.245 + margin, abs=0.006)


def test_interval_equals_scipys_percentile_bootstrap():
    values = np.random.default_rng(3).gamma(2.0, size=80)
    ours = metrics.bootstrap_interval(values, level=0.9)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, method="percentile", rng=1
    )
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


def test_the_wrong_interval_of_single_values_is_far_wider():
    values = np.random.default_rng(0).normal(size=200)
    _, low, high = metrics.bootstrap_interval(values)
    assert high - low < (np.quantile(values, 0.975) - np.quantile(values, 0.025)) / 5


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        interval = metrics.bootstrap_interval(generator.normal(size=60), seed=seed, samples=500)
        held += interval.low <= 0 <= interval.high
    assert 0.89 <= held / 200 <= 0.98


def test_the_same_seed_gives_the_same_interval():
    values = torch.arange(30) / 7
    assert metrics.bootstrap_interval(values, seed=1) == metrics.bootstrap_interval(values, seed=1)
    assert metrics.bootstrap_interval(values, seed=1) != metrics.bootstrap_interval(values, seed=2)


def test_runs_that_disagree_widen_the_interval():
    generator = np.random.default_rng(0)
    photos = generator.normal(size=300)
    runs = photos + np.array([[-0.5], [0.0], [0.5]])
    alone, together = metrics.bootstrap_interval(runs.mean(0)), metrics.bootstrap_interval(runs)
    assert together.mean == pytest.approx(alone.mean)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_a_mean_over_few_seeds_has_students_interval():
    rng = np.random.default_rng(0)
    photos = rng.normal(size=200)
    assert metrics.mean_interval(photos) == metrics.bootstrap_interval(photos)
    held = {metrics.mean_interval: 0, metrics.bootstrap_interval: 0}
    for _ in range(80):  # three seeds that differ more than their photos' mean is unsure
        runs = rng.normal(size=50) + rng.normal(scale=0.4, size=(3, 1))
        for interval in held:
            _, low, high = interval(runs)
            held[interval] += low <= 0 <= high
    assert held[metrics.bootstrap_interval] / 80 < 0.9 < held[metrics.mean_interval] / 80


def test_a_paired_comparison_sees_what_two_intervals_hide():
    generator = np.random.default_rng(0)
    difficulty = generator.normal(scale=0.2, size=200)
    a, b = difficulty + 0.02 + generator.normal(scale=0.02, size=200), difficulty
    assert metrics.bootstrap_interval(a).low < metrics.bootstrap_interval(b).high
    difference = metrics.paired_bootstrap(a, b)
    assert difference.low > 0
    assert difference.chance_above == 1
    assert metrics.paired_bootstrap(b, a).chance_above == 0
    assert metrics.paired_bootstrap(a, a).chance_above == 0.5
    shuffled = metrics.paired_bootstrap(
        a, generator.permutation(b)
    )  # the wrong version: other photos beside each other
    assert shuffled.low < 0 < shuffled.high


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("deviation", [0, 0.02, 0.05])
@pytest.mark.parametrize("together", [0.05, 0.15])
def test_a_comparison_over_seeds_holds_the_truth_as_often_as_it_says(seeds, deviation, together):
    """Photos differ alike for all seeds (0.1), seeds differ, and both together."""
    rng, held, photos_alone, trials = np.random.default_rng(seeds), 0, 0, 2500
    for _ in range(trials):
        values = rng.normal(0, deviation, (seeds, 1)) + rng.normal(0, 0.1, 200)  # (seeds, photos)
        values += rng.normal(0, together, (seeds, 200))
        difference = metrics.compare(values, np.zeros(200))
        held += difference.low <= 0 <= difference.high
        error = values.mean(0).std(ddof=1) / np.sqrt(200)
        photos_alone += abs(difference.mean) <= 1.96 * error
    assert 0.93 <= held / trials <= 0.975
    if deviation == 0.05:
        assert photos_alone / trials < 0.6  # the wrong version: as if other seeds gave the same


def test_what_is_called_detectable_is_settled_four_times_in_five():
    rng, settled, trials = np.random.default_rng(0), 0, 2000
    for _ in range(trials):
        values = 0.02 + rng.normal(0, 0.1, 200)
        difference = metrics.over_seeds([values.mean()], [[values.var(ddof=1) / 200]], 200)
        settled += difference.low > 0
    assert difference.detectable == pytest.approx(2.8 * 0.1 / np.sqrt(200), rel=0.15)
    assert difference.detectable_seeds == 0
    assert settled / trials == pytest.approx(0.8, abs=0.03)


def test_more_photos_leave_what_the_seeds_do():
    rng = np.random.default_rng(1)
    seeds = rng.normal(0, 0.05, (4, 1))
    small, large = (
        metrics.compare(seeds + rng.normal(0, 0.5, (1, n)) + rng.normal(0, 0.02, (4, n)), [0.0] * n)
        for n in (100, 40_000)
    )
    assert small.detectable > 1.3 * large.detectable
    assert large.detectable_seeds == pytest.approx(large.detectable, rel=0.02)
    assert small.detectable_seeds == pytest.approx(large.detectable_seeds, rel=0.1)
    alike = metrics.compare(rng.normal(size=(1, 50)) + np.zeros((3, 1)), [0.0] * 50)
    assert alike.detectable_seeds == 0


def test_one_seed_keeps_the_bootstrap_over_photos():
    a, b = np.random.default_rng(2).gamma(1.0, size=(2, 60))
    assert metrics.compare(a, b)[:3] == metrics.paired_bootstrap(a, b)[:3]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: metrics.bootstrap_interval([]), "at least one"),
        (lambda: metrics.bootstrap_interval([[[1.0]]]), "photos"),
        (lambda: metrics.bootstrap_interval([1.0, float("nan")]), "NaN"),
        (lambda: metrics.bootstrap_interval([1.0], level=95), "level"),
        (lambda: metrics.bootstrap_interval([1.0], samples=0), "samples"),
        (lambda: metrics.paired_bootstrap([1.0, 2.0], [1.0]), "same photos"),
        (lambda: metrics.compare([1.0, 2.0], [1.0]), "same photos"),
        (lambda: metrics.compare([[1.0], [2.0]], [0.0]), "at least two"),
        (lambda: metrics.over_seeds([1.0, 2.0], [[1.0]], 5), "covariance"),
        (lambda: metrics.average_steps([]), "at least one photo"),
        (lambda: metrics.average_steps([3, -1]), "at least one photo"),
        (lambda: metrics.time_a_photo(len, []), "at least one photo"),
    ],
)
def test_bad_input_is_refused(call, reason):
    with pytest.raises(MetricError, match=reason):
        call()


def test_average_steps():
    assert metrics.average_steps([7, 8, 9, 10]) == 8.5
    assert metrics.average_steps(torch.tensor([3, 4])) == 3.5


def test_timing_leaves_out_the_warm_up_and_takes_the_median():
    # the first is the warm-up, the third an unlucky moment
    naps = iter([0.25, 0.02, 0.25, 0.02, 0.02, 0.02])
    seen = []

    def crop(photo: int) -> None:
        seen.append(photo)
        time.sleep(next(naps))

    assert 0.02 <= metrics.time_a_photo(crop, [1, 2, 3, 4, 5], warm_up=1) < 0.1
    assert seen == [1, 1, 2, 3, 4, 5]


def test_an_interval_is_widened_for_photos_that_are_gone():
    values = np.random.default_rng(0).normal(0.6, 0.1, 50)
    plain = metrics.bootstrap_interval(values)
    assert metrics.with_missing(values, 50) == plain
    wide = metrics.with_missing(values, 200)
    assert wide.mean == plain.mean
    slack = 0.75 * 0.2 * values.std()
    assert (plain.low - wide.low, wide.high - plain.high) == pytest.approx((slack, slack))
    runs = np.stack([values, values + 0.01])
    assert metrics.with_missing(runs, 200, shift=0) == metrics.mean_interval(runs)
    with pytest.raises(MetricError, match="50 photos can't be left of a list of 49"):
        metrics.with_missing(values, 49)
