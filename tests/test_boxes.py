"""Boxes: checked against torchvision, against arithmetic by hand, and with gradients."""

import numpy as np
import pytest
import torch
import torchvision.ops
from hypothesis import given, settings
from hypothesis import strategies as st

from cropnb import boxes as box_math
from cropnb.errors import BoxError


def random_boxes(count: int, seed: int = 0, size: float = 100.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator).sort(dim=1).values * size
    sides = corners.reshape(count, 4)
    return torch.cat([sides[:, :2], sides[:, 2:] + 0.5], dim=1)


def test_iou_by_hand():
    a, b = torch.tensor([0.0, 0, 4, 4]), torch.tensor([2.0, 2, 6, 6])
    assert box_math.iou(a, b).item() == pytest.approx(4 / 28)
    assert box_math.iou(a, a).item() == 1
    assert box_math.iou(a, torch.tensor([4.0, 0, 8, 4])).item() == 0  # they only touch
    assert box_math.generalized_iou(a, torch.tensor([6.0, 0, 10, 4])).item() == pytest.approx(
        -8 / 40
    )


def test_pairwise_equals_torchvision():
    a, b = random_boxes(40, 1), random_boxes(30, 2)
    torch.testing.assert_close(box_math.pairwise_iou(a, b), torchvision.ops.box_iou(a, b))
    expected = torchvision.ops.generalized_box_iou(a, b)
    torch.testing.assert_close(box_math.generalized_iou(a[:, None], b[None]), expected)


def test_broadcasts_over_leading_dimensions():
    a, b = random_boxes(12, 1).reshape(3, 4, 4), random_boxes(4, 2)
    assert box_math.iou(a, b).shape == (3, 4)
    assert box_math.pairwise_iou(a, b).shape == (3, 4, 4)
    torch.testing.assert_close(
        box_math.pairwise_iou(a, b).diagonal(dim1=1, dim2=2), box_math.iou(a, b)
    )


def test_the_wrong_iou_that_adds_a_pixel_is_told_apart():
    # Inclusive corners (x2 - x1 + 1) were common in older code; on small boxes they move IoU
    # visibly.
    a, b = torch.tensor([0.0, 0, 4, 4]), torch.tensor([2.0, 2, 6, 6])
    inclusive = 9 / (25 + 25 - 9)
    assert abs(box_math.iou(a, b).item() - inclusive) > 0.05


def test_area_aspect_centers():
    box = torch.tensor([10.0, 20, 40, 35])
    assert box_math.area(box).item() == 450
    assert box_math.aspect(box).item() == 2
    assert box_math.centers(box).tolist() == [25, 27.5]


def test_gradients_are_those_of_finite_differences():
    a = random_boxes(6, 3).double().requires_grad_()
    b = random_boxes(6, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(box_math.iou, (a, b))
    assert torch.autograd.gradcheck(box_math.generalized_iou, (a, b))


def test_generalized_iou_has_a_gradient_where_iou_has_none():
    apart = torch.tensor([[0.0, 0, 1, 1]], requires_grad=True)
    target = torch.tensor([[3.0, 3, 4, 4]])
    (iou_gradient,) = torch.autograd.grad(box_math.iou(apart, target).sum(), apart)
    (generalized,) = torch.autograd.grad(box_math.generalized_iou(apart, target).sum(), apart)
    assert iou_gradient.abs().sum() == 0
    assert generalized.abs().sum() > 0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(1, 4000), height=st.integers(1, 4000))
def test_normalize_and_back(seed: int, width: int, height: int):
    pixels = random_boxes(5, seed).double()
    there = box_math.normalize(pixels, width, height)
    torch.testing.assert_close(box_math.denormalize(there, width, height), pixels)
    assert there[0, 0].item() == pytest.approx(pixels[0, 0].item() / width)
    assert there[0, 1].item() == pytest.approx(pixels[0, 1].item() / height)


def test_iou_does_not_change_with_the_unit_of_each_axis():
    a, b = random_boxes(9, 5), random_boxes(9, 6)
    torch.testing.assert_close(
        box_math.iou(a, b),
        box_math.iou(box_math.normalize(a, 300, 200), box_math.normalize(b, 300, 200)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_clip():
    assert box_math.clip(torch.tensor([-5.0, 2, 50, 99]), 40, 30).tolist() == [0, 2, 40, 30]
    with pytest.raises(BoxError, match=r"empty|inverted"):
        box_math.clip(torch.tensor([50.0, 2, 60, 9]), 40, 30)


BAD = {
    "inverted in x": ([[5, 0, 1, 4]], "inverted"),
    "inverted in y": ([[0, 5, 4, 1]], "inverted"),
    "empty": ([[2, 0, 2, 4]], "empty"),
    "a point": ([[2, 2, 2, 2]], "empty"),
    "NaN": ([[0, 0, float("nan"), 4]], "not finite"),
    "infinite": ([[0, 0, float("inf"), 4]], "not finite"),
    "outside on the right": ([[0, 0, 41, 30]], "leaves the photo"),
    "outside below": ([[0, 0, 40, 31]], "leaves the photo"),
    "outside on the left": ([[-1, 0, 40, 30]], "leaves the photo"),
    "three columns": ([[0, 0, 4]], "last dimension"),
    "five columns": ([[0, 0, 4, 4, 1]], "last dimension"),
    "a number": (3.0, "last dimension"),
    "words": ([["a", "b", "c", "d"]], "can't be read"),
    "ragged": ([[0, 0, 4, 4], [0, 0, 4]], "can't be read"),
    "none": (None, "can't be read"),
    "booleans": ([[True, True, False, False]], "real numbers"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_boxes_are_refused_with_the_reason(bad, reason):
    with pytest.raises(BoxError, match=reason):
        box_math.check(bad, width=40, height=30)


def test_the_first_bad_box_is_named():
    with pytest.raises(BoxError, match=r"truths: box 1 \[3.0, 0.0, 1.0, 4.0\]"):
        box_math.check([[0, 0, 4, 4], [3, 0, 1, 4]], name="truths")


def test_check_keeps_what_is_good():
    whole = box_math.check(np.array([[0, 0, 40, 30]]), width=40, height=30)
    assert whole.dtype == torch.get_default_dtype()
    assert box_math.check(torch.zeros(0, 4)).shape == (0, 4)
    assert box_math.check(torch.tensor([0.0, 0, 1, 1], dtype=torch.float64)).dtype == torch.float64


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(BoxError, match="broadcast"):
        box_math.iou(random_boxes(3), random_boxes(4))
    with pytest.raises(BoxError, match="pairwise_iou takes"):
        box_math.pairwise_iou(random_boxes(3), random_boxes(1)[0])
    with pytest.raises(BoxError, match="no inside"):
        box_math.normalize(random_boxes(1), 0, 10)
