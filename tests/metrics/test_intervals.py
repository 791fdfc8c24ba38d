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


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: metrics.bootstrap_interval([]), "at least one"),
        (lambda: metrics.bootstrap_interval([[[1.0]]]), "photos"),
        (lambda: metrics.bootstrap_interval([1.0, float("nan")]), "NaN"),
        (lambda: metrics.bootstrap_interval([1.0], level=95), "level"),
        (lambda: metrics.bootstrap_interval([1.0], samples=0), "samples"),
        (lambda: metrics.paired_bootstrap([1.0, 2.0], [1.0]), "same photos"),
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
    runs = np.stack([values, values])
    assert metrics.with_missing(runs, 200, shift=0).high == metrics.bootstrap_interval(runs).high
    with pytest.raises(MetricError, match="50 photos can't be left of a list of 49"):
        metrics.with_missing(values, 49)
