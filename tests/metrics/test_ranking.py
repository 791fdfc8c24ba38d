"""Ranking metrics: by hand, against SciPy, against a printed row, and against the wrong versions
people write.
"""

import itertools

import pytest
import scipy.stats
import torch

from cropnb import baselines, datasets, metrics
from cropnb.errors import MetricError


def random_scores(
    seed: int, shape: tuple[int, ...] = (60,), levels: int = 12
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(shape, generator=generator)
    return scores, torch.randint(0, levels, shape, generator=generator).float() / levels * 4 + 1


# A photo with six candidates, small enough to do by hand. Places by MOS: 5.0, 4.5, 4.5, 3.0, 2.0,
# 1.0.
MOS = torch.tensor([3.0, 4.5, 5.0, 1.0, 4.5, 2.0])
# best first: MOS 3.0, 4.5, 1.0, 5.0, 4.5, 2.0
SCORES = torch.tensor([0.9, 0.8, 0.3, 0.7, 0.2, 0.1])


def test_acc_kn_by_hand():
    assert metrics.acc_kn(SCORES, MOS, 1, 3).item() == 0  # 3.0 is not among 5.0, 4.5, 4.5
    assert metrics.acc_kn(SCORES, MOS, 2, 3).item() == 1 / 2
    # both 4.5 reach the second largest MOS
    assert metrics.acc_kn(SCORES, MOS, 2, 2).item() == 1 / 2
    assert metrics.acc_kn(SCORES, MOS, 4, 4).item() == 3 / 4
    assert metrics.acc_n(SCORES, MOS, 4).item() == pytest.approx((1 + 1 + 2 / 3 + 3 / 4) / 4)
    assert metrics.acc_bar(SCORES, MOS, 3).item() == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


def test_the_two_readings_of_acc_n_differ():
    scores, mos = random_scores(0, (200, 80))
    scores = scores + mos
    for n in (5, 10):
        protocol, printed = (
            metrics.acc_n(scores, mos, n).mean(),
            metrics.acc_bar(scores, mos, n).mean(),
        )
        assert abs(protocol - printed) > 0.005
        assert protocol != pytest.approx(metrics.acc_kn(scores, mos, n, n).mean().item())


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_ties_of_scores_are_the_mean_over_all_orders(k):
    mos = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    scores = torch.tensor([2.0, 1.0, 2.0, 1.0, 2.0])
    outcomes = []
    for order in itertools.permutations(range(5)):
        shuffled = torch.tensor(order)
        picks = shuffled[scores[shuffled].argsort(descending=True, stable=True)[:k]]
        outcomes.append((mos[picks] >= 4.0).double().mean())
    assert metrics.acc_kn(scores, mos, k, 2).item() == pytest.approx(
        torch.stack(outcomes).mean().item()
    )


def test_a_constant_score_is_not_flattered_by_the_order_of_the_file():
    mos = torch.arange(80, 0, -1) / 16  # sorted, as GAICD's files are
    constant = torch.zeros(80)
    stable = mos[constant.argsort(descending=True, stable=True)[:1]] >= mos.topk(5).values[-1]
    assert stable.item()  # the wrong version calls it a hit
    assert metrics.acc_kn(constant, mos, 1, 5).item() == pytest.approx(5 / 80)


@pytest.mark.parametrize("name", ["acc_kn", "acc_n", "acc_bar", "srcc", "pair_accuracy"])
def test_the_order_of_the_candidates_does_not_matter(name):
    call = {
        "acc_kn": lambda a, b: metrics.acc_kn(a, b, 2, 5),
        "acc_n": lambda a, b: metrics.acc_n(a, b, 5),
        "acc_bar": lambda a, b: metrics.acc_bar(a, b, 5),
        "srcc": metrics.srcc,
        "pair_accuracy": metrics.pair_accuracy,
    }[name]
    scores, mos = random_scores(3)
    scores = scores.round()  # many ties
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert call(scores, mos).item() == pytest.approx(call(scores[order], mos[order]).item())
    # only the order counts
    assert call(scores * 3 - 7, mos).item() == pytest.approx(call(scores, mos).item())
    if name != "srcc":
        assert call(mos, mos).item() == 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [2, 7, 100_000])
def test_srcc_equals_scipy(seed, levels):
    scores, mos = random_scores(seed, levels=levels)
    scores = scores.round(decimals=1)
    assert metrics.srcc(scores, mos).item() == pytest.approx(
        scipy.stats.spearmanr(scores, mos).statistic
    )
    torch.testing.assert_close(
        metrics.average_ranks(scores),
        torch.from_numpy(scipy.stats.rankdata(scores.numpy())).double(),
    )


def test_srcc_by_the_short_formula_is_wrong_with_ties():
    scores, mos = random_scores(1, levels=4)
    ranks_a, ranks_b = (
        scores.argsort().argsort().double(),
        mos.argsort(stable=True).argsort().double(),
    )
    short = 1 - 6 * (ranks_a - ranks_b).square().sum() / (60 * (60**2 - 1))
    assert abs(metrics.srcc(scores, mos) - short) > 0.01


def test_srcc_of_a_constant_is_zero():
    assert metrics.srcc(torch.ones(5), torch.arange(5)).item() == 0
    assert metrics.srcc(torch.arange(5), torch.ones(5)).item() == 0


def test_pair_accuracy_by_hand():
    # MOS 3, 2, 1 (the last twice): five pairs that differ, of which scores rank 3>1, 3>1', 2>1'
    # rightly, tie 2 and 1.
    mos, scores = torch.tensor([3.0, 2.0, 1.0, 1.0]), torch.tensor([0.5, 0.6, 0.4, 0.6])
    right, pairs = metrics.pair_counts(scores, mos)
    assert pairs.item() == 5
    assert right.item() == (0 + 1 + 0) + (1 + 0.5)
    assert metrics.pair_accuracy(scores, mos, 2.0).item() == 1 / 2
    assert torch.isnan(metrics.pair_accuracy(scores, mos, 2.5))


def test_pair_accuracy_equals_kendalls_tau_without_ties():
    scores, mos = random_scores(5, levels=10**6)
    tau = scipy.stats.kendalltau(scores, mos).statistic
    assert metrics.pair_accuracy(scores, mos).item() == pytest.approx((tau + 1) / 2)


def test_pair_threshold_reads_the_decimals_that_were_typed():
    mos = torch.tensor([4.43, 3.53])  # 0.9 apart in decimals, 0.8999999 in float32
    assert (mos[0] - mos[1]).item() < 0.9
    assert metrics.pair_counts(mos, mos, 0.9)[1].item() == 1
    assert metrics.pair_counts(mos, mos, 0.91)[1].item() == 0


def test_leading_dimensions_are_photos():
    scores, mos = random_scores(2, (7, 3, 30))
    for call in (
        lambda a, b: metrics.acc_n(a, b, 5),
        metrics.srcc,
        lambda a, b: metrics.pair_accuracy(a, b, 0.4),
    ):
        together = call(scores, mos)
        assert together.shape == (7, 3)
        assert together[4, 2].item() == pytest.approx(call(scores[4, 2], mos[4, 2]).item())


def test_ranking_table_equals_photo_by_photo():
    pairs = [random_scores(seed, (size,)) for seed, size in enumerate((30, 41, 30, 12, 41))]
    table = metrics.ranking_table(*zip(*pairs, strict=True))
    for index, (scores, mos) in enumerate(pairs):
        assert table["Acc 1/5"][index] == metrics.acc_kn(scores, mos, 1, 5)
        assert table["Acc 10"][index].item() == pytest.approx(metrics.acc_n(scores, mos, 10).item())
        assert table["SRCC"][index].item() == pytest.approx(metrics.srcc(scores, mos).item())


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: metrics.acc_kn(torch.ones(4), torch.ones(5), 1, 2), "one value for each"),
        (lambda: metrics.acc_kn(torch.ones(0), torch.ones(0), 1, 1), "one value for each"),
        (lambda: metrics.acc_kn(torch.ones(()), torch.ones(()), 1, 1), "one value for each"),
        (lambda: metrics.acc_kn(torch.ones(4), torch.ones(4), 5, 2), "k is 5"),
        (lambda: metrics.acc_kn(torch.ones(4), torch.ones(4), 1, 5), "n is 5"),
        (lambda: metrics.acc_kn(torch.ones(4), torch.ones(4), 0, 2), "k is 0"),
        (lambda: metrics.acc_n(torch.ones(4), torch.ones(4), 10), "n is 10"),
        (lambda: metrics.srcc(torch.tensor([1.0, float("nan")]), torch.ones(2)), "finite"),
        (lambda: metrics.srcc(torch.ones(2), torch.tensor([1.0, float("inf")])), "finite"),
        (lambda: metrics.srcc(torch.ones(1), torch.ones(1)), "at least two"),
        (lambda: metrics.ranking_table([torch.ones(20)], []), "for every photo"),
        (lambda: metrics.ranking_table([], []), "for every photo"),
    ],
)
def test_what_can_not_be_ranked_is_refused(call, reason):
    with pytest.raises(MetricError, match=reason):
        call()


def test_the_printed_row_of_the_largest_crop(real_data):
    test = datasets.load("gaicd", split="test", root=real_data / "gaicd")
    table = baselines.evaluate(test, baselines.largest_crop)
    assert len(test) == 200
    assert round(table["Acc 1/5"].mean().item() * 100, 6) == 24.5
    assert round(table["Acc 1/10"].mean().item() * 100, 6) == 41.0
    # The wrong version, which takes exactly N candidates and drops those that tie with the last,
    # misses the print.
    strict = [
        torch.isin(baselines.largest_crop(s).argmax(), s.scores.argsort(descending=True)[:5])
        for s in test
    ]
    assert torch.stack(strict).double().mean() < 0.23


def test_what_has_no_rank_or_counts_no_pair_is_refused():
    scores = torch.rand(9)
    with pytest.raises(MetricError, match="NaN"):
        metrics.average_ranks(torch.tensor([float("nan"), 1.0]))
    for delta in (float("nan"), -1.0):
        with pytest.raises(MetricError, match="delta is"):
            metrics.pair_accuracy(scores, scores, delta=delta)
    for n in (0, -1):
        with pytest.raises(MetricError, match="n is"):
            metrics.acc_bar(scores, scores, n)


@pytest.mark.parametrize("count", [1.5, True, "a", None, 0])
def test_what_counts_nothing_is_refused(count):
    scores = torch.rand(9)
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 8, 8]])
    guesses = [(boxes, torch.tensor([0.9, 0.8]))]
    options = {"iou_threshold": 0.85, "max_detections": 10}
    for call in (
        lambda: metrics.acc_kn(scores, scores, count, 5),
        lambda: metrics.acc_n(scores, scores, count),
        lambda: metrics.acc_bar(scores, scores, count),
        lambda: metrics.set_acc_1n(boxes, boxes[0], n=count, eps=0.85),
        lambda: metrics.average_precision(guesses, [boxes], **options | {"max_detections": count}),
        lambda: metrics.average_precision_interval(guesses, [boxes], **options, samples=count),
        lambda: metrics.bootstrap_interval([0.1, 0.2], samples=count),
    ):
        with pytest.raises(MetricError):
            call()


def test_each_truth_needs_its_probability():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 8, 8]])
    assert metrics.expected_iou(boxes, [0.5, 0.5]).shape == (2,)
    with pytest.raises(MetricError, match="one for each of the 2 truths"):
        metrics.expected_iou(boxes, torch.ones(3))
