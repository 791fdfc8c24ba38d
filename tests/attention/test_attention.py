"""Densities, masks and the measures of attention, against slow versions and known values."""

import itertools

import pytest
import torch

from cropnb import attention
from cropnb.attention.metrics import at_fixations
from cropnb.attention.model import CHANNELS, gaze_of, mask_of


def test_a_density_is_where_people_looked_and_its_sum_is_one():
    fixations = torch.tensor([[0.25, 0.75, 200.0], [0.25, 0.75, 100.0], [0.9, 0.1, 50.0]])
    density = attention.gaze_density(fixations, width=40, height=20)
    assert density.shape == (20, 40)
    assert density.sum() == pytest.approx(1.0, abs=1e-5)
    row, column = divmod(int(density.argmax()), 40)
    assert (row, column) in {(14, 9), (14, 10), (15, 9), (15, 10)}  # x = 0.25, y = 0.75
    # Two of three looked there, however long: durations don't count.
    assert density[10:, :20].sum() == pytest.approx(2 / 3, abs=1e-3)


def test_a_density_without_fixations_is_uniform_and_one_at_the_border_loses_nothing():
    uniform = attention.gaze_density(torch.zeros(0, 3), 8, 4)
    assert torch.equal(uniform, torch.full((4, 8), 1 / 32))
    corner = attention.gaze_density(torch.tensor([[0.0, 0.0, 1.0]]), 30, 20)
    assert corner.sum() == pytest.approx(1.0, abs=1e-5)
    assert corner.argmax() == 0


def test_the_center_prior_is_symmetric():
    densities = torch.rand(5, 6, 8)
    prior = attention.center_prior(densities)
    assert torch.equal(prior, prior.flip(-1))


def test_a_mask_becomes_the_share_of_each_cell():
    mask = torch.zeros(96, 96)
    mask[:48, :24] = 1
    assert torch.equal(attention.salient_mask(mask, 2, 2), torch.tensor([[0.5, 0.0], [0.0, 0.0]]))


def _slow_auc(values: torch.Tensor, cells: torch.Tensor) -> float:
    """Each threshold by itself."""
    points = [(0.0, 0.0)]
    for threshold in sorted(values.tolist(), reverse=True):
        hit = sum(value >= threshold for value in values.tolist()) / len(values)
        alarm = sum(cell >= threshold for cell in cells.flatten().tolist()) / cells.numel()
        points.append((alarm, hit))
    points.append((1.0, 1.0))
    return sum(
        (right - left) * (low + high) / 2
        for (left, low), (right, high) in itertools.pairwise(points)
    )


@pytest.mark.parametrize("levels", [0, 4, 1])
def test_auc_judd_against_thresholds_one_by_one(levels):
    """Also where many cells are alike, or all."""
    rng = torch.Generator().manual_seed(3)
    cells = torch.rand(9, 12, generator=rng)
    if levels:
        cells = (cells * levels).floor()
    fixations = torch.rand(25, 3, generator=rng)
    expected = _slow_auc(at_fixations(cells, fixations, "nearest"), cells)
    assert attention.auc_judd(cells, fixations) == pytest.approx(expected, abs=1e-6)


def test_known_values_of_the_measures():
    people = torch.tensor([[0.125, 0.25, 1.0]])
    there = torch.zeros(2, 4)
    there[0, 0] = 1
    assert attention.nss(there, people) == pytest.approx(7**0.5, abs=1e-5)
    assert attention.nss(torch.ones(2, 4), people) == 0
    assert attention.nss(1 - there, people) < 0  # a map upside down is worse than chance
    assert attention.auc_judd(there, people) > 0.9
    assert attention.auc_judd(torch.full((2, 4), 0.7), torch.rand(9, 3)) == pytest.approx(0.5)
    truth = there
    assert attention.divergence(there, truth) == pytest.approx(0.0, abs=1e-6)
    uniform = attention.divergence(torch.ones(2, 4), truth)
    assert uniform == pytest.approx(torch.log(torch.tensor(8.0)).item(), abs=1e-6)


def test_the_map_that_the_layout_network_is_shown_has_a_largest_value_of_one():
    gaze, mask = torch.rand(2, 16, 24), torch.rand(2, 96, 96)
    shown = attention.attention_map(gaze, mask)
    assert shown.shape == (2, 32, 32)
    assert torch.allclose(shown.amax((1, 2)), torch.ones(2))
    assert torch.equal(attention.attention_map(gaze * 0, mask * 0), torch.zeros(2, 32, 32))


@pytest.mark.parametrize("size", [(16, 24), (24, 16), (16, 32), (32, 16), (16, 64)])
def test_a_map_of_any_shape_is_brought_to_the_same_square(size):
    assert attention.attention_map(torch.rand(1, *size), torch.rand(1, 7, 5)).shape == (1, 32, 32)


def test_the_readout_takes_four_depths_and_gives_a_density_and_a_mask():
    torch.manual_seed(0)
    maps = [
        torch.rand(2, channels, 256 // stride, 384 // stride)
        for channels, stride in zip(CHANNELS, (8, 16, 16, 32), strict=True)
    ]
    logits = attention.AttentionReadout()(maps)
    assert logits.shape == (2, 2, 16, 24)
    assert torch.allclose(gaze_of(logits).sum((1, 2)), torch.ones(2))
    assert ((mask_of(logits) > 0) & (mask_of(logits) < 1)).all()
