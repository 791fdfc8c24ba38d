"""Composition-aware pooling against the plain loop, its rules against each other, and circles."""

import math

import pytest
import torch
import torch.nn.functional as F

from cropnb.asm_net import (
    PATTERNS,
    Pattern,
    circle_pool,
    circle_scores,
    composition_pool,
    composition_pool_pixels,
    partition_scores,
)
from cropnb.asm_net.pooling import _corners, summed_area_table
from cropnb.asm_net.pooling.circles import bounding_squares, inscribed
from cropnb.errors import BoxError, CropnbError, PatternError

EACH = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)


def noise(pattern, height=60, width=90, seed=0):
    return torch.randn(
        pattern.partitions, height, width, generator=torch.Generator().manual_seed(seed)
    )


def boxes(count=20, height=60, width=90, least=13, seed=1):
    """Whole pixels, of sides that are seldom a multiple of a pattern's cells."""
    rng = torch.Generator().manual_seed(seed)
    w = torch.randint(least, width + 1, (count,), generator=rng)
    h = torch.randint(least, height + 1, (count,), generator=rng)
    x = (torch.rand(count, generator=rng) * (width - w + 1)).floor()
    y = (torch.rand(count, generator=rng) * (height - h + 1)).floor()
    return torch.stack([x, y, x + w, y + h], dim=1)


def equation_1(score_map, box, pattern):
    """Pixel by pixel, in Python: an implementation that shares nothing with the package's."""
    x1, y1, x2, y2 = (int(value) for value in box)
    total = 0.0
    for i in range(y1, y2):
        for j in range(x1, x2):
            row = math.floor((i + 0.5 - y1) * pattern.rows / (y2 - y1))
            column = math.floor((j + 0.5 - x1) * pattern.columns / (x2 - x1))
            total += float(score_map[pattern.cells[row, column], i, j])
    return total / ((x2 - x1) * (y2 - y1))


@EACH
def test_equation_1_by_hand(pattern):
    score_map = noise(pattern, 30, 40)
    for box in boxes(3, 30, 40):
        expected = equation_1(score_map, box.tolist(), pattern)
        assert composition_pool(score_map, box[None], pattern).item() == pytest.approx(
            expected, abs=1e-5
        )
        assert composition_pool_pixels(score_map, box[None], pattern).item() == pytest.approx(
            expected, abs=1e-5
        )


@EACH
def test_the_fast_pooling_is_the_slow_one_in_value_and_gradient(pattern):
    score_map, crops = noise(pattern).requires_grad_(), boxes(40)
    weights = torch.randn(40, generator=torch.Generator().manual_seed(2))
    results = []
    for pool in (composition_pool, composition_pool_pixels):
        scores = pool(score_map, crops, pattern)
        (gradient,) = torch.autograd.grad((scores * weights).sum(), score_map)
        results.append((scores, gradient))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5)
        assert slow.abs().max() > 1e-3


def test_a_score_asked_first_does_not_spoil_a_training_after_it():
    pattern = PATTERNS["cross_rectangle"]
    _corners.cache_clear()
    with torch.inference_mode():
        before = composition_pool(noise(pattern), boxes(4), pattern)
    score_map = noise(pattern).requires_grad_()
    after = composition_pool(score_map, boxes(4), pattern)
    after.sum().backward()
    assert score_map.grad.abs().max() > 0
    torch.testing.assert_close(after.detach(), before.clone(), rtol=0, atol=0)


def test_a_large_offset_costs_no_precision():
    """Summed in single precision, a table of a large map loses what small crops differ by."""
    pattern = PATTERNS["cross_rectangle"]
    score_map = noise(pattern, 400, 600) + 1000
    crops = torch.tensor([[580.0, 380.0, 600.0, 400.0], [0.0, 0.0, 600.0, 400.0]])
    expected = composition_pool_pixels(score_map.double(), crops, pattern)
    torch.testing.assert_close(
        composition_pool(score_map, crops, pattern).double(), expected, rtol=0, atol=1e-3
    )
    single = score_map.cumsum(-1).cumsum(-2)
    one = single[0, 399, 599] - single[0, 379, 599] - single[0, 399, 579] + single[0, 379, 579]
    assert abs(one / 400 - score_map[0, 380:, 580:].mean()) > 3e-3


def test_rows_and_columns_are_not_confused():
    score_map = torch.zeros(3, 30, 30)
    # each channel in its own column
    score_map[0, :, :10], score_map[1, :, 10:20], score_map[2, :, 20:] = 1, 2, 3
    crop = torch.tensor([[0.0, 0.0, 30.0, 30.0]])
    assert composition_pool(score_map, crop, PATTERNS["grid_1x3"]).item() == pytest.approx(2)
    assert composition_pool(score_map, crop, PATTERNS["grid_3x1"]).item() == pytest.approx(2 / 3)
    score_map = torch.zeros(3, 30, 60)
    score_map[1, 10:20] = 1
    assert composition_pool(score_map, crop, PATTERNS["grid_3x1"]).item() == pytest.approx(1 / 3)


def test_partitions_count_by_their_pixels_and_not_each_the_same():
    pattern = PATTERNS["multi_rectangle_3"]
    score_map = torch.tensor([9.0, 0.0, 0.0])[:, None, None].expand(3, 36, 36)
    crop = torch.tensor([[0.0, 0.0, 36.0, 36.0]])
    # a ninth of the area, not a third
    assert composition_pool(score_map, crop, pattern).item() == pytest.approx(1)
    assert composition_pool(score_map, crop, pattern, rule="cells").item() == pytest.approx(1)
    scores = partition_scores(score_map, crop[0], pattern)
    assert scores.tolist() == pytest.approx([9, 0, 0])


@EACH
def test_equations_1_and_2_are_one_where_cells_hold_equally_many_pixels(pattern):
    score_map, rows, columns = noise(pattern), pattern.rows, pattern.columns
    whole = torch.tensor(
        [[5.0, 3.0, 5.0 + 3 * columns, 3.0 + 2 * rows], [0.0, 0.0, 4.0 * columns, 4.0 * rows]]
    )
    first, *others = (
        composition_pool(score_map, whole, pattern, rule=rule)
        for rule in ("pixels", "cells", "area")
    )
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["grid_1x3", "cross_rectangle", "grid_5x5"])
def test_elsewhere_they_differ_by_little(name):
    pattern, crops = PATTERNS[name], boxes(40, least=20)
    score_map = noise(pattern)
    score_map = F.avg_pool2d(score_map, 5, 1, 2)  # maps are smooth
    first = composition_pool(score_map, crops, pattern)
    for rule in ("cells", "area"):
        gap = (composition_pool(score_map, crops, pattern, rule=rule) - first).abs()
        assert 1e-5 < gap.mean() < 0.3 * first.std()


def test_equation_2_is_the_mean_of_the_cells_means():
    pattern, score_map = PATTERNS["grid_1x3"], noise(PATTERNS["grid_1x3"])
    crop = torch.tensor([[10.0, 10.0, 17.0, 20.0]])  # columns of 2, 3 and 2 pixels
    part = score_map[:, 10:20, 10:17]
    means = torch.stack([part[0, :, :2].mean(), part[1, :, 2:5].mean(), part[2, :, 5:].mean()])
    torch.testing.assert_close(
        composition_pool(score_map, crop, pattern, rule="cells")[0], means.mean()
    )


@EACH
def test_a_coarse_map_is_read_as_if_its_pixels_were_many(pattern):
    coarse = noise(pattern, 15, 20)
    fine = coarse.repeat_interleave(12, -1).repeat_interleave(12, -2)  # 240 × 180
    crops = torch.tensor(
        [[24.0, 36.0, 204.0, 156.0], [12.0, 0.0, 72.0, 180.0], [7.0, 11.0, 127.0, 71.0]]
    )
    expected = composition_pool(fine, crops, pattern, rule="area")
    torch.testing.assert_close(
        composition_pool(coarse, crops, pattern, (240, 180)), expected, rtol=0, atol=1e-5
    )
    exact = composition_pool(fine, crops, pattern)
    # sides are multiples of 60: no pixel is cut
    torch.testing.assert_close(expected, exact, rtol=0, atol=1e-5)


def test_the_sides_of_a_photo_may_have_different_scales():
    pattern, score_map = PATTERNS["grid_1x3"], noise(PATTERNS["grid_1x3"], 20, 30)
    crop = torch.tensor([[3.0, 2.0, 21.0, 18.0]])
    larger = crop * torch.tensor([4.0, 5.0, 4.0, 5.0])
    torch.testing.assert_close(
        composition_pool(score_map, larger, pattern, (120, 100)),
        composition_pool(score_map, crop, pattern, rule="area"),
    )


def test_the_gradient_of_the_boxes():
    pattern, score_map = (
        PATTERNS["cross_rectangle"],
        noise(PATTERNS["cross_rectangle"], 20, 30).double(),
    )
    crops = torch.tensor([[3.3, 2.1, 21.7, 18.4]], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda box: composition_pool(score_map, box, pattern, rule="area"), crops
    )


def test_a_batch_is_its_photos():
    pattern, crops = PATTERNS["multi_direction"], torch.stack([boxes(5), boxes(5, seed=3)])
    maps = torch.stack([noise(pattern), noise(pattern, seed=5)])
    for rule in ("pixels", "area", "cells"):
        together = composition_pool(maps, crops, pattern, rule=rule)
        for i in range(2):
            torch.testing.assert_close(
                together[i], composition_pool(maps[i], crops[i], pattern, rule=rule)
            )


@EACH
def test_partition_scores_add_up(pattern):
    score_map, crops = noise(pattern), boxes(6)
    scores = partition_scores(score_map, crops, pattern, rule="area")
    total = composition_pool(score_map, crops, pattern, rule="area")
    torch.testing.assert_close((scores * pattern.shares).sum(1), total, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        partition_scores(score_map, crops[0], pattern, rule="area"), scores[0]
    )
    labels = pattern.label_map(
        *(int(v) for v in (crops[2, 3] - crops[2, 1], crops[2, 2] - crops[2, 0]))
    )
    x1, y1, x2, y2 = crops[2].int().tolist()
    exact = partition_scores(score_map, crops[2], pattern)
    for partition in range(pattern.partitions):
        mean = score_map[partition, y1:y2, x1:x2][labels == partition].mean()
        assert exact[partition].item() == pytest.approx(mean.item(), abs=1e-5)


def test_the_table_sums():
    score_map = noise(PATTERNS["grid_1x3"], 7, 9)
    table = summed_area_table(score_map)
    assert table.shape == (3, 8, 10)
    assert table.dtype == torch.double
    assert table[1, 5, 4].item() == pytest.approx(score_map[1, :5, :4].double().sum().item())
    assert (table[:, 0] == 0).all()
    assert (table[..., 0] == 0).all()


def test_no_crop_no_score():
    pattern = PATTERNS["grid_1x3"]
    assert composition_pool(noise(pattern), torch.zeros(0, 4), pattern).shape == (0,)
    assert composition_pool_pixels(noise(pattern), torch.zeros(0, 4), pattern).shape == (0,)
    assert circle_pool(noise(pattern), torch.zeros(0, 3), pattern).shape == (0,)


@pytest.mark.parametrize("pool", [composition_pool, composition_pool_pixels])
def test_bad_crops_are_refused(pool):
    pattern = PATTERNS["cross_rectangle"]
    score_map = noise(pattern)
    for box, words in (
        ([0, 0, 91, 60], "leaves the photo"),
        ([10, 10, 5, 20], "inverted"),
        ([0, 0, 5, 40], r"5 × 40 pixels is smaller than the 6 × 6 cells"),
        ([0, 0, 40, 5], "smaller than the 6 × 6 cells"),
    ):
        with pytest.raises(BoxError, match=words):
            pool(score_map, torch.tensor([box], dtype=torch.float), pattern)
    with pytest.raises(BoxError, match=r"give \(N, 4\)"):
        pool(score_map, torch.tensor([0.0, 0.0, 9.0, 9.0]), pattern)


def test_a_crop_needs_a_pixel_of_the_photo_for_each_cell():
    pattern, crop = PATTERNS["cross_rectangle"], torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    assert composition_pool(noise(pattern, 20, 30), crop, pattern, (240, 160)).shape == (1,)
    with pytest.raises(BoxError, match="smaller"):
        composition_pool(noise(pattern, 20, 30), crop * 0.7, pattern, (240, 160))


def test_maps_of_other_patterns_are_refused():
    for score_map in (
        noise(PATTERNS["grid_1x3"]),
        torch.zeros(12, 5),
        torch.zeros(12, 9, 9, dtype=torch.int),
    ):
        with pytest.raises(PatternError):
            composition_pool(
                score_map, torch.tensor([[0.0, 0.0, 9.0, 9.0]]), PATTERNS["cross_rectangle"]
            )
    with pytest.raises(CropnbError, match="no rule 'mean'"):
        composition_pool(noise(PATTERNS["grid_1x3"]), boxes(1), PATTERNS["grid_1x3"], rule="mean")


def equation_9(score_map, circle, pattern):
    """Every pixel whose centre lies in the circle, in Python; the pattern lies in the bounding
    square.
    """
    cx, cy, radius = circle
    total, count = 0.0, 0
    for i in range(score_map.shape[1]):
        for j in range(score_map.shape[2]):
            if (i + 0.5 - cy) ** 2 + (j + 0.5 - cx) ** 2 <= radius**2:
                row = math.floor((i + 0.5 - cy + radius) * pattern.rows / (2 * radius))
                column = math.floor((j + 0.5 - cx + radius) * pattern.columns / (2 * radius))
                total += float(score_map[pattern.cells[row, column], i, j])
                count += 1
    return total / count


@EACH
def test_equation_9_by_hand(pattern):
    score_map = noise(pattern, 40, 50)
    circles = torch.tensor([[25.0, 20.0, 20.0], [20.3, 18.9, 11.7], [13.0, 26.0, 13.0]])
    scores = circle_pool(score_map, circles, pattern)
    for score, circle in zip(scores, circles, strict=True):
        assert score.item() == pytest.approx(
            equation_9(score_map, circle.tolist(), pattern), abs=1e-5
        )


def test_a_circle_is_not_its_square():
    pattern, score_map = PATTERNS["grid_1x1"], torch.zeros(1, 40, 40)
    score_map[0, :6, :6] = 1  # a corner that the circle leaves out
    assert circle_pool(score_map, torch.tensor([[20.0, 20.0, 20.0]]), pattern).item() == 0
    assert (
        composition_pool(score_map, torch.tensor([[0.0, 0.0, 40.0, 40.0]]), pattern).item() > 0.02
    )


def test_the_gradient_of_a_circle():
    pattern = PATTERNS["cross_rectangle"]
    score_map = noise(pattern, 14, 15).double().requires_grad_()
    circles = torch.tensor([[7.5, 7.0, 6.5]])
    assert torch.autograd.gradcheck(
        lambda m: circle_pool(m, circles, pattern), score_map, fast_mode=True
    )
    circle_pool(score_map, circles, pattern).sum().backward()
    assert score_map.grad.sum().item() == pytest.approx(1)
    # one channel a pixel
    assert (score_map.grad != 0).any(0).sum().item() == (score_map.grad != 0).sum().item()


def test_a_circle_on_a_coarse_map():
    pattern, coarse = PATTERNS["multi_rectangle"], noise(PATTERNS["multi_rectangle"], 12, 16)
    fine = coarse.repeat_interleave(10, -1).repeat_interleave(10, -2)
    circles = torch.tensor([[80.0, 60.0, 55.0], [71.0, 52.0, 40.0]])
    scores = circle_pool(coarse, circles, pattern, (160, 120))
    torch.testing.assert_close(scores, circle_pool(fine, circles, pattern), rtol=0, atol=5e-3)


def test_circle_scores_are_means_of_partitions():
    pattern, score_map = PATTERNS["grid_3x3"], torch.arange(9.0)[:, None, None].expand(9, 60, 60)
    circle = torch.tensor([30.0, 30.0, 30.0])
    torch.testing.assert_close(circle_scores(score_map, circle, pattern), torch.arange(9.0))
    assert circle_scores(score_map, circle[None], pattern).shape == (1, 9)
    # its first cell lies outside of the circle
    empty = Pattern("corner", [[0] + [1] * 9] + [[1] * 10] * 9)
    assert circle_scores(torch.ones(2, 60, 60), circle, empty).tolist() == [0, 1]


def test_many_circles_are_single_circles():
    pattern, score_map = PATTERNS["cross_rectangle"], noise(PATTERNS["cross_rectangle"])
    circles = inscribed(
        torch.tensor(
            [[float(i % 20), float(i % 11), i % 20 + 40.0, i % 11 + 40.0] for i in range(150)]
        )
    )
    together = circle_pool(score_map, circles, pattern)
    for i in (0, 127, 128, 149):
        torch.testing.assert_close(together[i], circle_pool(score_map, circles[[i]], pattern)[0])


def test_squares_and_circles():
    squares = torch.tensor([[2.0, 3.0, 12.0, 13.0]])
    assert inscribed(squares).tolist() == [[7, 8, 5]]
    assert bounding_squares(inscribed(squares)).tolist() == squares.tolist()


@pytest.mark.parametrize(
    ("circle", "words"),
    [
        ([10, 30, 11], "doesn't fit"),
        ([80, 30, 11], "doesn't fit"),
        ([45, 52, 9], "doesn't fit"),
        ([45, 30, 2.9], "smaller than the 6 × 6 cells"),
        ([45, 30, -3], "smaller"),
        ([45, float("nan"), 9], "radius"),
    ],
)
def test_circles_that_do_not_fit_are_refused(circle, words):
    pattern = PATTERNS["cross_rectangle"]
    with pytest.raises(BoxError, match=words):
        circle_pool(noise(pattern), torch.tensor([circle], dtype=torch.float), pattern)
    with pytest.raises(BoxError):
        circle_pool(noise(pattern), torch.tensor(circle, dtype=torch.float), pattern)
