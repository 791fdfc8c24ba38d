"""Coverage: the class of random boxes, the nearest candidate by hand, and the rows of the real
annotations.
"""

import pytest
import torch

from cropnb import boxes as box_math
from cropnb import candidates, coverage, datasets, ledger
from cropnb.errors import BoxError
from cropnb.runs.context import Context

CONTEXT = Context(coverage.NAME, "gaicd", ["--record"], module="cropnb.coverage", device="CPU")


def test_random_boxes_belong_to_their_class():
    crops = coverage.random_boxes(
        500, 600, 400, min_area=0.3, max_area=0.6, min_aspect=0.8, max_aspect=1.2, seed=3
    )
    share = box_math.area(box_math.check(crops, width=600, height=400)) / (600 * 400)
    assert crops.shape == (500, 4)
    assert share.min() >= 0.3
    assert share.max() <= 0.6
    assert box_math.aspect(crops).min() >= 0.8
    assert box_math.aspect(crops).max() <= 1.2
    again = coverage.random_boxes(
        500, 600, 400, min_area=0.3, max_area=0.6, min_aspect=0.8, max_aspect=1.2, seed=3
    )
    assert torch.equal(crops, again)


def test_random_boxes_are_even_within_the_class():
    crops = box_math.normalize(
        coverage.random_boxes(4000, 100, 100, min_area=0.01, min_aspect=0.01, max_aspect=100), 1, 1
    )
    # Mirrored boxes are as likely: the mean centre is the photo's.
    torch.testing.assert_close(
        box_math.centers(crops).mean(0), torch.tensor([50.0, 50.0]).double(), rtol=0, atol=1.0
    )


def test_a_class_that_is_empty_is_refused():
    with pytest.raises(BoxError, match="widen its limits"):
        coverage.random_boxes(5, 600, 400, min_area=0.999, min_aspect=2.1)


def test_nearest_iou_by_hand():
    choice = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 10]])
    overlaps = coverage.nearest_iou(torch.tensor([[0.0, 0, 10, 10], [0, 0, 16, 10]]), choice)
    assert overlaps.tolist() == pytest.approx([1.0, 0.8])


def test_few_anchors_cover_large_crops_and_not_small_ones():
    large = coverage.random_boxes(500, 600, 400)
    small = coverage.random_boxes(500, 600, 400, min_area=0.25, max_area=0.5)
    anchors, windows = candidates.grid_anchors(600, 400), candidates.sliding_windows(600, 400)
    assert (
        coverage.nearest_iou(large, anchors).mean()
        > coverage.nearest_iou(large, windows).mean()
        > 0.85
    )
    assert (
        coverage.nearest_iou(small, anchors).mean()
        < 0.7
        < coverage.nearest_iou(small, windows).mean()
    )


def test_rows_of_the_real_annotations(real_data):
    test = datasets.load("gaicd", split="test", root=real_data / "gaicd")
    ours, published, unlimited = coverage.rule_rows(CONTEXT, [test])
    assert ours.ours == ours.images == 200
    assert published.ours < 60
    with_the_limits = coverage.files_that_follow(test, max_aspect=2)  # photos on them follow
    assert published.ours < with_the_limits.sum()
    assert unlimited.ours < 100
    for row in (ours, published, unlimited):
        row.check()


def test_what_is_committed_is_what_is_measured(real_data):
    rows = ledger.find(coverage.NAME, table="coverage")
    if not rows:
        pytest.skip("no coverage has been recorded")
    whole = datasets.load("fcdb", split="test", root=real_data / "fcdb")
    dataset = whole.with_photos()
    if len(dataset) != rows[0].images:
        pytest.skip("other FCDB photos are on this disk than those of the recorded rows")
    measured = coverage.coverage_rows(CONTEXT, dataset, len(whole))
    for ours, committed in zip(measured, rows, strict=True):
        assert ours.note == committed.note
        assert (ours.ours, ours.low, ours.high) == pytest.approx(
            (committed.ours, committed.low, committed.high), abs=2e-4
        )
