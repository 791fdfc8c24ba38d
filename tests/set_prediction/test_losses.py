"""(Eq. 1 to 3): the matching by hand and by trying all assignments, and the wrong versions that
it must not be.
"""

import itertools

import pytest
import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError, CropnbError, MetricError
from cropnb.set_prediction import (
    Labels,
    focal_loss,
    hungarian_match,
    matching_costs,
    set_loss,
    to_cxcywh,
    to_xyxy,
)
from cropnb.set_prediction.labels import Smoothing
from cropnb.set_prediction.losses import (
    LAMBDA_FOCAL,
    LAMBDA_IOU,
    MISSES,
    focal_minimum,
    generalized_iou,
    match_layers,
    validity_labels,
)
from cropnb.set_prediction.model import Predictions


def random_boxes(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.cat(
        [torch.rand(*shape, 2, generator=rng), 0.1 + 0.8 * torch.rand(*shape, 2, generator=rng)],
        -1,
    )


def random_logits(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def equation_3(logits: Tensor, boxes: Tensor, crops: Tensor, assigned: dict[int, int]) -> float:
    """(Eq. 3) summed over all anchors as it is printed: `assigned` maps anchors to crops, the
    others are empty.
    """
    total = 0.0
    for anchor, (logit, box) in enumerate(zip(logits, boxes, strict=True)):
        valid = anchor in assigned
        total += LAMBDA_FOCAL * focal_loss(logit, torch.tensor(float(valid))).item()
        if valid:
            crop = crops[assigned[anchor]]
            overlap = box_math.generalized_iou(to_xyxy(box), to_xyxy(crop)).item()
            total += (box - crop).abs().sum().item() + LAMBDA_IOU * (1 - overlap)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_no_assignment_is_cheaper(seed):
    logits, boxes, crops = (
        random_logits(5, seed=seed),
        random_boxes(5, seed=seed),
        random_boxes(3, seed=seed + 50),
    )
    match = hungarian_match(logits[None], boxes[None], [crops])
    ours = equation_3(
        logits, boxes, crops, dict(zip(match.anchor.tolist(), match.crop.tolist(), strict=True))
    )
    totals = [
        equation_3(logits, boxes, crops, dict(zip(anchors, range(3), strict=True)))
        for anchors in itertools.permutations(range(5), 3)
    ]
    assert ours == pytest.approx(min(totals), abs=1e-5)
    assert max(totals) > ours + 0.1


def wrong_sign(logits, boxes, crops):
    return -matching_costs(logits, boxes, crops)


def wrong_format(logits, boxes, crops):
    """Generalised IoU of centre, width, height read as corners."""
    right = generalized_iou(to_xyxy(boxes[:, None]), to_xyxy(crops[None]))
    read = generalized_iou(boxes[:, None], crops[None])
    return matching_costs(logits, boxes, crops) + LAMBDA_IOU * (right - read)


def wrong_validity(logits, boxes, crops):
    """The most valid anchors are the dearest."""
    focal = focal_loss(logits, torch.ones_like(logits)) - focal_loss(
        logits, torch.zeros_like(logits)
    )
    return matching_costs(logits, boxes, crops) - 2 * LAMBDA_FOCAL * focal[:, None]


@pytest.mark.parametrize("wrong", [wrong_sign, wrong_format, wrong_validity])
def test_plausible_wrong_costs_match_otherwise(wrong):
    from scipy.optimize import linear_sum_assignment

    different = 0
    for seed in range(10):
        logits, boxes, crops = (
            random_logits(9, seed=seed),
            random_boxes(9, seed=seed),
            random_boxes(4, seed=seed + 50),
        )
        right = linear_sum_assignment(matching_costs(logits, boxes, crops))[0].tolist()
        different += linear_sum_assignment(wrong(logits, boxes, crops))[0].tolist() != right
    assert different >= 3


def test_generalized_iou_is_the_shared_one():
    a, b = to_xyxy(random_boxes(6)), to_xyxy(random_boxes(7, seed=1))
    shared = box_math.generalized_iou(a[:, None], b[None])
    torch.testing.assert_close(generalized_iou(a[:, None], b[None]), shared, atol=1e-6, rtol=0)
    torch.testing.assert_close(to_cxcywh(a), random_boxes(6), atol=1e-6, rtol=0)


def test_photos_are_matched_apart_and_may_have_no_crop():
    logits, boxes = random_logits(3, 6), random_boxes(3, 6)
    crops = [random_boxes(2, seed=9), random_boxes(0), random_boxes(4, seed=8)]
    match = hungarian_match(logits, boxes, crops)
    assert match.photo.tolist() == [0, 0, 2, 2, 2, 2]
    assert sorted(match.crop.tolist()) == [0, 1, 2, 3, 4, 5]
    alone = hungarian_match(logits[2:], boxes[2:], crops[2:])
    assert match.anchor[2:].tolist() == alone.anchor.tolist()
    assert (match.crop[2:] - 2).tolist() == alone.crop.tolist()


def test_a_batch_without_any_good_crop_trains_the_validity_alone():
    logits = random_logits(1, 2, 5).requires_grad_()
    boxes = random_boxes(1, 2, 5).requires_grad_()
    parts = set_loss(Predictions(logits, boxes), Labels([random_boxes(0), random_boxes(0)]))
    assert parts["regression"] == parts["overlap"] == 0
    assert parts["loss"].item() == pytest.approx(
        LAMBDA_FOCAL * focal_loss(logits, torch.zeros_like(logits)).sum().item()
    )
    parts["loss"].backward()
    assert boxes.grad.abs().sum() == 0


def one_photo(layers: int = 2):
    """Two layers; in each one anchor is near the good crop, one lies on a crop of score 3.5, one
    far from all.
    """
    scored = torch.tensor([[0.1, 0.1, 0.9, 0.9], [0.0, 0.0, 0.6, 1.0], [0.3, 0.0, 1.0, 0.7]])
    scores = torch.tensor([4.6, 3.5, 2.75])
    anchors = torch.stack(
        [scored[0] + 0.01, scored[1], scored[2], torch.tensor([0.4, 0.4, 0.5, 0.5])]
    )
    boxes = to_cxcywh(anchors).expand(layers, 1, 4, 4)
    labels = Labels([to_cxcywh(scored[:1])], [scored], [scores])
    return Predictions(torch.zeros(layers, 1, 4), boxes), labels


def test_soft_labels_enter_the_unmatched_anchors_of_every_layer():
    predictions, labels = one_photo()
    labelled = validity_labels(
        predictions, match_layers(predictions, labels.crops), labels, Smoothing()
    )
    # Matched: 1, whatever (Eq. 4) would give. Score 3.5: μ. Score 2.75, half way from 2 to 3.5: μ
    # / 2.
    torch.testing.assert_close(labelled, torch.tensor([1.0, 0.5, 0.25, 0.0]).expand(2, 1, 4))
    hard = validity_labels(predictions, match_layers(predictions, labels.crops), labels, None)
    assert hard.tolist() == [[[1, 0, 0, 0]]] * 2
    parts, plain = set_loss(predictions, labels, Smoothing()), set_loss(predictions, labels)
    assert parts["validity"].item() == pytest.approx(
        focal_loss(predictions.logits, labelled).sum().item()
    )
    assert parts["validity"] != plain["validity"]
    assert parts["regression"] == plain["regression"]
    assert set_loss(predictions, labels, Smoothing(mu=0))["loss"] == plain["loss"]


def test_where_the_focal_loss_of_a_soft_label_is_least():
    labels = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    least = focal_minimum(labels)
    assert least.tolist() == pytest.approx([0, 0.014, 0.122, 0.5, 0.878, 0.986, 1], abs=1e-3)
    assert focal_minimum(labels, gamma=0).tolist() == pytest.approx(labels.tolist(), abs=1e-4)
    # Both sides of it are dearer, by the loss that is trained with.
    for label, p in zip(labels[1:-1], least[1:-1], strict=True):
        at, below, above = (
            focal_loss((p + step).logit(), label).item() for step in (0, -0.01, 0.01)
        )
        assert at < min(below, above)


def test_with_the_distance_the_focal_loss_is_least_at_the_label():
    labels = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    assert focal_minimum(labels, miss="distance").tolist() == pytest.approx(labels.tolist())
    logits = torch.linspace(-4, 4, 9)
    for label in (0.0, 1.0):  # hard labels: the two readings are one
        both = [focal_loss(logits, torch.full((9,), label), miss=name) for name in MISSES]
        torch.testing.assert_close(*both)
    soft = torch.full((9,), 0.3)
    assert (focal_loss(logits, soft) - focal_loss(logits, soft, miss="distance")).abs().max() > 0.01
    assert focal_loss(torch.tensor(0.3).logit(), torch.tensor(0.3), miss="distance").item() < 1e-12
    with pytest.raises(MetricError, match="'miss'"):
        focal_loss(logits, soft, miss="miss")


def test_the_distance_reaches_guided_and_distilled_labels():
    predictions, labels = one_photo()
    teacher_probs = torch.rand(2, 1, 4, generator=torch.Generator().manual_seed(0))
    # At a validity of 0.5 the readings are one, whatever the label.
    predictions.logits[:] = torch.tensor([-1.0, 2.0, 0.5, -3.0])
    match = match_layers(predictions, labels.crops)
    labelled = validity_labels(predictions, match, labels, Smoothing())
    parts = set_loss(predictions, labels, Smoothing(), teacher_probs, "distance")
    for name, target in (("distilled", teacher_probs), ("validity", labelled)):
        losses = {
            miss: focal_loss(predictions.logits, target, miss=miss).sum().item() for miss in MISSES
        }
        assert parts[name].item() == pytest.approx(losses["distance"])
        assert parts[name].item() != pytest.approx(losses["1 - p_t"], rel=0.01)


def test_the_distilled_term_is_added_at_every_layer():
    predictions, labels = one_photo()
    teacher_probs = torch.rand(2, 1, 4, generator=torch.Generator().manual_seed(0))
    parts, plain = set_loss(predictions, labels, None, teacher_probs), set_loss(predictions, labels)
    assert parts["distilled"].item() == pytest.approx(
        focal_loss(predictions.logits, teacher_probs).sum().item()
    )
    assert parts["loss"].item() == pytest.approx(
        (plain["loss"] + LAMBDA_FOCAL * parts["distilled"]).item()
    )


def test_the_loss_falls_where_it_should():
    logits, boxes = random_logits(1, 1, 8).requires_grad_(), random_boxes(1, 1, 8).requires_grad_()
    labels = Labels([random_boxes(3, seed=4)])
    optimizer, first = torch.optim.Adam([logits, boxes], lr=0.02), None
    for _ in range(300):
        parts = set_loss(Predictions(logits, boxes), labels)
        first = first or parts["loss"].item()
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
    assert parts["loss"].item() < 0.1 * first
    match = hungarian_match(logits[0], boxes[0], labels.crops)
    assert logits[0, 0, match.anchor].min() > 0 > logits[0, 0].sort().values[4]


@pytest.mark.parametrize(
    ("crops", "error", "reason"),
    [
        ([], BoxError, "one entry each"),
        ([torch.rand(2, 3)], BoxError, "give"),
        ([torch.rand(7, 4)], BoxError, "more anchors"),
        ([torch.full((1, 4), torch.nan)], CropnbError, "not finite"),
    ],
)
def test_bad_crops_are_refused(crops, error, reason):
    with pytest.raises(error, match=reason):
        hungarian_match(random_logits(1, 6), random_boxes(1, 6), crops)


def test_costs_are_brought_over_once(monkeypatch):
    calls = []
    plain = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda self: (calls.append(self.shape), plain(self))[1])
    hungarian_match(
        random_logits(3, 6), random_boxes(3, 6), [random_boxes(2, seed=i) for i in range(3)]
    )
    assert calls == [(3, 6, 2)]
