"""Pairs, losses and the statistics of a score map, each by hand and against a plausible wrong
version.
"""

import itertools

import pytest
import torch

from cropnb import metrics
from cropnb.asm_net import asm_loss, ranking_loss, ranking_pairs, saliency_loss, theta
from cropnb.errors import ImageError, MetricError


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_pairs_by_hand():
    mos = torch.tensor([0.5, 1.5, 0.5, 1.2])
    assert {tuple(pair) for pair in ranking_pairs(mos, 0.5).tolist()} == {
        (1, 0),
        (1, 2),
        (3, 0),
        (3, 2),
    }
    assert {tuple(pair) for pair in ranking_pairs(mos, 0.9).tolist()} == {(1, 0), (1, 2)}


def test_at_most_half_of_all_pairs():
    assert len(ranking_pairs(torch.arange(24.0), 0)) == (24**2 - 24) // 2
    # crops of equal score are no pair
    assert len(ranking_pairs(torch.tensor([1.0, 1.0, 2.0]), 0)) == 2


def test_decimals_reach_their_difference():
    assert torch.tensor(4.43) - torch.tensor(3.53) < 0.9  # in binary
    assert ranking_pairs(torch.tensor([4.43, 3.53]), 0.9).tolist() == [[0, 1]]


def test_pairs_are_those_of_the_accuracy():
    mos = (noise(30) * 5).round() / 5
    assert len(ranking_pairs(mos, 0.4)) == metrics.ranking.pair_counts(mos, mos, 0.4)[1]


@pytest.mark.parametrize("delta", [0.0, 0.3, 1.0])
def test_the_ranking_loss_is_a_sum_over_pairs_counted_once(delta):
    scores, mos = noise(12), noise(12, seed=1)
    by_hand = sum(
        max(0.0, 1 + float(scores[t]) - float(scores[k]))
        for k, t in itertools.permutations(range(12), 2)
        if mos[k] - mos[t] >= delta
    )
    assert ranking_loss(scores, mos, delta).item() == pytest.approx(by_hand, rel=1e-5)
    pairs = len(ranking_pairs(mos, delta))
    assert ranking_loss(scores, mos, delta, per_pair=True).item() == pytest.approx(
        by_hand / pairs, rel=1e-5
    )


def test_the_better_crop_is_pushed_up():
    scores = torch.zeros(2, requires_grad=True)
    ranking_loss(scores, torch.tensor([2.0, 1.0]), 0.5).backward()
    assert scores.grad.tolist() == [-1, 1]
    apart = ranking_loss(torch.tensor([3.0, 1.5]), torch.tensor([2.0, 1.0]), 0.5)
    assert apart.item() == 0  # a margin of 1 is enough
    assert ranking_loss(
        torch.tensor([1.5, 1.0]), torch.tensor([2.0, 1.0]), 0.5
    ).item() == pytest.approx(0.5)


def test_a_batch_of_photos_has_a_loss_for_each():
    scores, mos = noise(3, 12), noise(3, 12, seed=1)
    together = ranking_loss(scores, mos, 0.3)
    assert together.tolist() == pytest.approx(
        [ranking_loss(s, m, 0.3).item() for s, m in zip(scores, mos, strict=True)]
    )


def test_empty_pair_sets_are_refused():
    mos = torch.tensor([[1.0, 1.2, 1.4], [1.0, 2.0, 3.0]])
    for attempt in (lambda: ranking_pairs(mos[0], 0.9), lambda: ranking_loss(mos, mos, 0.9)):
        with pytest.raises(MetricError, match=r"delta = 0\.9 .*at most 0\.4.*smaller delta"):
            attempt()
    assert len(ranking_pairs(mos[1], 0.9)) == 3


@pytest.mark.parametrize("delta", [-0.1, float("nan"), float("inf")])
def test_a_bad_delta_is_refused(delta):
    with pytest.raises(MetricError, match="delta"):
        ranking_pairs(torch.arange(3.0), delta)


def test_bad_scores_are_refused():
    with pytest.raises(MetricError, match="not finite"):
        ranking_pairs(torch.tensor([1.0, float("nan")]), 0.1)
    with pytest.raises(MetricError, match="one value for each crop"):
        ranking_loss(torch.zeros(3), torch.zeros(4), 0.1)


def test_theta_by_hand():
    score_map = torch.tensor([[1.0, 2.0], [3.0, 2.0], [8.0, 2.0]])[:, None]  # (3, 1, 2)
    average, deviation = theta(score_map)
    assert average.flatten().tolist() == [4, 2]
    assert deviation[0, 0].item() == pytest.approx((26 / 3) ** 0.5)  # divided by L, not by L − 1
    assert deviation[0, 1].item() == 0
    assert deviation[0, 0].item() != pytest.approx(score_map[:, 0, 0].std().item(), rel=0.1)


def test_theta_has_a_gradient_where_nothing_deviates():
    score_map = torch.zeros(3, 2, 2, requires_grad=True)
    theta(score_map)[1].sum().backward()
    assert (score_map.grad == 0).all()


def test_the_saliency_loss_by_hand():
    score_map, salient = (
        noise(4, 5, 6),
        torch.rand(5, 6, generator=torch.Generator().manual_seed(2)),
    )
    deviation = score_map.var(0, correction=0).sqrt()
    expected = ((1 - salient) * deviation / deviation.mean()).mean()
    assert saliency_loss(score_map, salient).item() == pytest.approx(expected.item(), rel=1e-5)
    inverted = (salient * deviation / deviation.mean()).mean()
    assert saliency_loss(score_map, salient).item() != pytest.approx(inverted.item(), rel=0.01)


def test_the_saliency_loss_asks_salient_places_to_depend_on_the_partition():
    score_map = torch.zeros(3, 4, 4)
    score_map[:, 0, 0] = torch.tensor([1.0, 2.0, 4.0])
    salient = torch.zeros(4, 4)
    assert saliency_loss(score_map, salient).item() == pytest.approx(1)
    salient[0, 0] = 1
    assert saliency_loss(score_map, salient).item() == 0
    flat = torch.ones(4, 4) * 0.25
    assert saliency_loss(score_map, flat).item() == pytest.approx(0.75)


def test_the_saliency_loss_does_not_shrink_with_the_map():
    score_map, salient = (
        noise(3, 6, 6),
        torch.rand(6, 6, generator=torch.Generator().manual_seed(2)),
    )
    torch.testing.assert_close(
        saliency_loss(100 * score_map, salient), saliency_loss(score_map, salient)
    )


@pytest.mark.parametrize("partitions", [1, 4])
def test_the_saliency_loss_of_a_map_without_deviation_is_zero_and_never_nan(partitions):
    score_map = torch.ones(partitions, 4, 4) if partitions > 1 else noise(1, 4, 4)
    score_map.requires_grad_()
    loss = saliency_loss(score_map, torch.rand(4, 4))
    assert loss.item() == 0
    loss.backward()
    assert (score_map.grad == 0).all()


def test_one_flat_place_does_not_spoil_the_gradient():
    score_map = noise(3, 4, 4)
    score_map[:, 1, 2] = 0.5
    score_map.requires_grad_()
    saliency_loss(score_map, torch.rand(4, 4)).backward()
    assert torch.isfinite(score_map.grad).all()
    assert score_map.grad.abs().max() > 0


def test_bad_saliency_is_refused():
    with pytest.raises(ImageError, match="0…1"):
        saliency_loss(noise(3, 4, 4), torch.full((4, 4), 1.5))
    with pytest.raises(ImageError, match="0…1"):
        saliency_loss(noise(3, 4, 4), torch.full((4, 4), float("nan")))
    with pytest.raises(ImageError, match=r"give \(H, W\)"):
        saliency_loss(noise(3, 4, 4), torch.zeros(4, 5))


def test_the_total_loss():
    maps, scores, mos = noise(2, 3, 4, 4), noise(2, 10), noise(2, 10, seed=1)
    salient = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(2))
    parts = asm_loss(maps, scores, mos, salient, 0.3, 7.0)
    ranking = sum(ranking_loss(s, m, 0.3) for s, m in zip(scores, mos, strict=True)) / 2
    saliency = sum(saliency_loss(m, s) for m, s in zip(maps, salient, strict=True)) / 2
    torch.testing.assert_close(parts["ranking"], ranking)
    torch.testing.assert_close(parts["saliency"], saliency)
    torch.testing.assert_close(parts["loss"], ranking + 7 * saliency)
    torch.testing.assert_close(
        asm_loss(maps, scores, mos, salient, 0.3)["loss"], ranking + 0.1 * saliency
    )
