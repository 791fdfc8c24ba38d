"""IoU and BDE against the best true box, centre offset, set accuracy: by hand, and against the
wrong versions.
"""

import pytest
import torch

from cropnb import metrics
from cropnb.errors import BoxError, MetricError

PRED = torch.tensor([10.0, 10, 110, 60])
TRUTHS = torch.tensor([[0.0, 0, 100, 50], [10, 10, 130, 60], [100, 50, 200, 100]])


def test_iou_and_bde_by_hand():
    iou, bde = metrics.iou_and_bde(PRED, TRUTHS, 200, 100)
    assert iou.item() == pytest.approx(5000 / 6000)
    assert bde.item() == pytest.approx((20 / 200) / 4)  # only x2 differs


def test_bde_divides_x_by_the_width_and_y_by_the_height():
    truth = TRUTHS[:1]
    _, right = metrics.iou_and_bde(PRED, truth, 200, 100)
    assert right.item() == pytest.approx((10 / 200 + 10 / 100 + 10 / 200 + 10 / 100) / 4)
    for wrong in (10 / 200, 10 / 100, 10.0):  # one side for all edges, or no division at all
        assert right.item() != pytest.approx(wrong, rel=1e-4)
    # Only x differs here, so the wrong version that swaps the sides shows: 10 / 400 instead of 10 /
    # 800.
    assert metrics.bde(
        torch.tensor([0.0, 0, 20, 10]), torch.tensor([0.0, 0, 10, 10]), 200, 100
    ).item() == pytest.approx(10 / 800)
    assert metrics.bde(
        torch.tensor([0.0, 0, 20, 10]), torch.tensor([0.0, 0, 10, 10]), 1, 1
    ).item() == pytest.approx(10 / 4)


def test_both_numbers_come_from_the_true_box_of_the_highest_iou():
    # The wrong version takes the best of each column separately: one box overlaps most, another
    # lies nearest.
    pred = torch.tensor([0.0, 0, 100, 100])
    truths = torch.tensor([[0.0, 0, 100, 60], [30, 0, 130, 92]])
    width, height = 1000, 110
    each = [metrics.iou_and_bde(pred, truth[None], width, height) for truth in truths]
    assert each[0][0] > each[1][0]
    assert each[0][1] > each[1][1]  # the other box is nearer in BDE
    iou, bde = metrics.iou_and_bde(pred, truths, width, height)
    assert iou == each[0][0]
    assert bde == each[0][1]
    # Another wrong version: the mean over all true boxes.
    assert iou.item() != pytest.approx((each[0][0] + each[1][0]).item() / 2)


def test_equal_iou_takes_the_lower_bde():
    pred = torch.tensor([0.0, 0, 100, 100])
    truths = torch.tensor([[0.0, 0, 100, 50], [0, 0, 50, 100]])
    _, bde = metrics.iou_and_bde(pred, truths, 400, 100)
    assert bde.item() == pytest.approx(50 / 400 / 4)


def test_a_batch_of_photos():
    pred = torch.stack([PRED, PRED + 5])
    truths = torch.stack([TRUTHS, TRUTHS + 3])
    iou, bde = metrics.iou_and_bde(pred, truths, 210, 120)
    for index in range(2):
        one = metrics.iou_and_bde(pred[index], truths[index], 210, 120)
        assert iou[index] == one[0]
        assert bde[index] == one[1]


def test_center_offset_is_in_pixels():
    assert (
        metrics.center_offset(torch.tensor([0.0, 0, 10, 10]), torch.tensor([3.0, 4, 13, 14])).item()
        == 5
    )
    # The wrong version measures between upper left corners.
    assert (
        metrics.center_offset(torch.tensor([0.0, 0, 10, 10]), torch.tensor([0.0, 0, 20, 10])).item()
        == 5
    )


def test_set_accuracy_counts_predictions_and_tolerates():
    best = torch.tensor([0.0, 0, 100, 100])
    ranked = torch.tensor([[50.0, 0, 150, 100], [0, 0, 100, 84], [0, 0, 100, 86]])
    assert metrics.set_acc_1n(ranked, best, 1).item() == 0
    assert metrics.set_acc_1n(ranked, best, 2, eps=0.85).item() == 0
    assert metrics.set_acc_1n(ranked, best, 3, eps=0.85).item() == 1
    assert metrics.set_acc_1n(ranked, best, 3, eps=0.90).item() == 0
    assert metrics.set_acc_1n(ranked, best, 10, eps=0.85).item() == 1  # fewer predictions than n
    # two labelled best
    assert metrics.set_acc_1n(ranked, torch.stack([best + 500, best]), 3).item() == 1
    assert metrics.set_acc_1n(torch.zeros(0, 4), best, 5).item() == 0


def test_set_accuracy_at_the_tolerance_itself_is_a_hit():
    best = torch.tensor([0.0, 0, 100, 100])
    assert metrics.set_acc_1n(torch.tensor([[0.0, 0, 100, 85]]), best, 1, eps=0.85).item() == 1


def test_set_accuracy_is_not_acc_1n():
    # One candidate of four: taken alone as the very anchor it misses, within IoU 0.85 of the best
    # it hits.
    boxes = torch.tensor([[0.0, 0, 100, 100], [0, 0, 100, 90], [0, 0, 50, 50], [60, 60, 90, 90]])
    mos, scores = torch.tensor([4.0, 3.0, 2.0, 1.0]), torch.tensor([0.1, 0.9, 0.2, 0.3])
    ranked = boxes[scores.argsort(descending=True)]
    assert metrics.acc_kn(scores, mos, 1, 1).item() == 0
    assert metrics.set_acc_1n(ranked, boxes[mos.argmax()], 1).item() == 1


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (
            lambda: metrics.iou_and_bde(PRED, torch.zeros(0, 4), 10, 10),
            BoxError,
            "at least one true box",
        ),
        (lambda: metrics.iou_and_bde(PRED, PRED, 10, 10), BoxError, "at least one true box"),
        (lambda: metrics.iou_and_bde(PRED[[2, 1, 0, 3]], TRUTHS, 10, 10), BoxError, "pred: box 0"),
        (lambda: metrics.iou_and_bde(PRED, TRUTHS, 0, 10), BoxError, "no inside"),
        (lambda: metrics.center_offset(PRED, PRED * float("nan")), BoxError, "not finite"),
        (lambda: metrics.set_acc_1n(TRUTHS, PRED, 0), MetricError, "n is 0"),
        (lambda: metrics.set_acc_1n(TRUTHS, PRED, 1, eps=1.5), MetricError, "eps"),
        (lambda: metrics.set_acc_1n(PRED, PRED, 1), BoxError, "the best first"),
    ],
)
def test_bad_input_is_refused(call, error, reason):
    with pytest.raises(error, match=reason):
        call()
