"""Candidates: the anchors of GAICD's own files, and the windows' rules."""

from collections import Counter

import pytest
import torch

from cropnb import boxes as box_math
from cropnb import candidates, datasets
from cropnb.errors import BoxError

COUNTS = {
    (1024, 768): 90,
    (1500, 1000): 87,
    (1920, 1080): 75,
    (1600, 900): 75,
    (768, 1024): 87,
    (1000, 1500): 83,
    (1080, 1920): 72,
    (256, 384): 83,
}


@pytest.mark.parametrize(("size", "count"), COUNTS.items())
def test_number_of_anchors(size, count):
    assert len(candidates.grid_anchors(*size)) == count


def test_anchors_follow_their_rule():
    width, height = 1200, 800
    anchors = candidates.grid_anchors(width, height, rounded=False).double()
    cells = (box_math.normalize(anchors, width, height) * 12 - 0.5).round()
    torch.testing.assert_close(box_math.normalize(anchors, width, height), (cells + 0.5) / 12)
    assert cells[:, :2].min() == 0
    assert cells[:, :2].max() == 3
    assert cells[:, 2:].min() == 8
    assert cells[:, 2:].max() == 11
    assert (box_math.area(anchors) / (width * height)).min() > 0.4999
    assert box_math.aspect(anchors).max() <= 2.2 + 1e-9
    assert box_math.aspect(anchors).min() >= 0.5
    assert len(anchors.unique(dim=0)) == len(anchors)


def test_rounded_anchors_are_whole_pixels_halves_upwards():
    # At a width of 1024 / 768 centres such as 213.33 and 298.67; at 1000 x 900 some are exactly at
    # .5.
    exact = candidates.grid_anchors(1004, 900, rounded=False)
    rounded = candidates.grid_anchors(1004, 900)
    assert torch.equal(rounded, (exact.double() + 0.5 + 1e-6).floor().float())
    assert (exact * 2 % 2 == 1).any()  # there are halves in it, or the test shows nothing


def test_limits_are_decided_exactly():
    # 9:16 holds boxes of a ratio of exactly 1/2, 8:5 of exactly 2.2: kept, at any size in pixels.
    for scale in range(1, 60):
        assert len(candidates.grid_anchors(9 * scale + 9, 16 * scale + 16)) == 72
        assert len(candidates.grid_anchors(32 * scale, 20 * scale)) == 87
    # The plausible wrong version, in floating point, keeps some of the twelve that lie on the limit
    # and drops others.
    ratios = box_math.aspect(candidates.grid_anchors(576, 1024, rounded=False).double())
    assert ((ratios - 0.5).abs() < 1e-6).sum() == 12
    assert 0 < ((ratios - 0.5).abs() < 1e-6).logical_and(ratios > 0.5).sum() < 12


def test_limits_are_arguments():
    assert len(candidates.grid_anchors(1600, 900, max_aspect=2)) == 72
    assert len(candidates.grid_anchors(1600, 900, max_aspect=1.99)) == 60
    assert len(candidates.grid_anchors(1200, 900, min_area=0.6)) < 60
    assert len(candidates.grid_anchors(1200, 900, bins=16)) > 200


def test_anchors_are_those_of_the_annotation_files(real_data):
    outcome = Counter()
    for split in ("train", "test"):
        for sample in datasets.load("gaicd", split=split, root=real_data / "gaicd").samples:
            ours = {tuple(box) for box in candidates.grid_anchors(*sample.size).tolist()}
            outcome[ours == {tuple(box) for box in sample.boxes.tolist()}] += 1
    # The last photo's width, 804 or 805, is the only thing that its file leaves open.
    assert outcome[True] >= 1235
    assert sum(outcome.values()) == 1236


def test_the_published_limits_do_not_fit_the_files(real_data):
    fits = 0
    samples = datasets.load("gaicd", split="test", root=real_data / "gaicd").samples
    for sample in samples:
        wrong = {tuple(box) for box in candidates.grid_anchors(*sample.size, max_aspect=2).tolist()}
        fits += wrong == {tuple(box) for box in sample.boxes.tolist()}
    assert fits < len(samples) / 2


@pytest.mark.parametrize("size", [(12, 12), (13, 20), (20, 13), (577, 1024), (1024, 683)])
def test_cells_of_is_the_way_back(size):
    anchors = candidates.grid_anchors(*size)
    assert torch.equal(candidates.cells_of(anchors, *size), candidates.grid_cells(*size))
    box_math.check(anchors, width=size[0], height=size[1])


@pytest.mark.parametrize(
    "size", [(1500, 1000), (1000, 1500), (1024, 768), (1920, 1080), (333, 97), (17, 900)]
)
def test_sliding_windows(size):
    windows = candidates.sliding_windows(*size)
    box_math.check(windows, width=size[0], height=size[1])
    assert len(windows.unique(dim=0)) == len(windows)
    if size in ((1500, 1000), (1000, 1500)):
        assert len(windows) == 899
    ratios = box_math.aspect(windows.double())
    wanted = torch.tensor(
        [float(aspect) for aspect in candidates.SLIDING_ASPECTS], dtype=torch.double
    )
    assert ((ratios[:, None] / wanted - 1).abs().amin(1) < 1e-3).all()
    assert windows[:, 0].min() == 0
    assert windows[:, 2].max() == pytest.approx(size[0])


@pytest.mark.parametrize("aspect", [0.5, 9 / 16, 1.0, 4 / 3, 1.5, 16 / 9, 2.0])
@pytest.mark.parametrize("size", [(1500, 1000), (1024, 768), (600, 900)])
def test_aspect_windows(size, aspect):
    windows = candidates.aspect_windows(*size, aspect)
    box_math.check(windows, width=size[0], height=size[1])
    assert 1100 <= len(windows) <= 1140
    assert len(windows.unique(dim=0)) == len(windows)
    torch.testing.assert_close(
        box_math.aspect(windows.double()),
        torch.full((len(windows),), aspect).double(),
        rtol=1e-3,
        atol=0,
    )
    largest = box_math.area(windows).max().item()
    assert largest == pytest.approx(min(size[0] ** 2 / aspect, size[1] ** 2 * aspect), rel=1e-4)
    assert len(candidates.aspect_windows(*size, aspect, count=13)) == 13


def test_windows_are_spread_from_border_to_border():
    windows = candidates.aspect_windows(1500, 1000, 1.0)
    small = windows[(windows[:, 2] - windows[:, 0]).round() == 400]
    assert small[:, 0].min() == 0
    assert small[:, 2].max() == pytest.approx(1500, abs=0.01)
    assert small[:, 3].max() == pytest.approx(1000, abs=0.01)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: candidates.grid_anchors(11, 500), "too small"),
        (lambda: candidates.grid_anchors(0, 0), "too small"),
        (lambda: candidates.grid_anchors(100.5, 80), "whole number"),
        (lambda: candidates.grid_anchors(float("nan"), 80), "whole number"),
        (lambda: candidates.grid_anchors(100, 80, bins=2), "bins"),
        (lambda: candidates.sliding_windows(15, 15), "too small"),
        (lambda: candidates.aspect_windows(10, 1000, 1.0), "too small"),
        (lambda: candidates.aspect_windows(100, 100, 0), "aspect is 0"),
        (lambda: candidates.aspect_windows(100, 100, float("nan")), "aspect is nan"),
        (lambda: candidates.aspect_windows(100, 100, 1e4), "no window"),
        (lambda: candidates.aspect_windows(100, 100, 1.0, count=5), "count is 5"),
    ],
)
def test_what_can_not_be_done_is_refused(call, reason):
    with pytest.raises(BoxError, match=reason):
        call()
