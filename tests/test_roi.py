"""RoIAlign and RoDAlign against plain calculations."""

import pytest
import torch
from torchvision.ops import roi_align as torchvision_roi_align

from cropnb import roi
from cropnb.errors import BoxError

STRIDE = 16


def features(batch=1, channels=3, height=16, width=24):
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(0))


def boxes(count=20, seed=1):
    rng = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=rng) * 120
    return torch.cat([corner, corner + 40 + torch.rand(count, 2, generator=rng) * 90], dim=1)


def bilinear(plane, x, y):
    """The value of a plane (h, w) at a point in feature cells, whose centres lie at k + 0.5; by
    hand.
    """
    height, width = plane.shape
    x, y = min(max(x - 0.5, 0), width - 1), min(max(y - 0.5, 0), height - 1)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = x - left, y - top
    upper = plane[top, left] * (1 - u) + plane[top, right] * u
    return upper * (1 - v) + (plane[bottom, left] * (1 - u) + plane[bottom, right] * u) * v


def region_by_hand(plane, box, size, whole=None):
    """RoIAlign of `box`, or RoDAlign when `whole` is given: the mean of 2 × 2 points a cell, one
    point at a time.
    """
    x1, y1, x2, y2 = (value / STRIDE for value in (whole if whole is not None else box))
    out = torch.zeros(size, size, dtype=plane.dtype)
    for row in range(size):
        for column in range(size):
            for i in range(2):
                for j in range(2):
                    x = x1 + (column + (j + 0.5) / 2) * (x2 - x1) / size
                    y = y1 + (row + (i + 0.5) / 2) * (y2 - y1) / size
                    inside = box[0] <= x * STRIDE <= box[2] and box[1] <= y * STRIDE <= box[3]
                    if whole is None or not inside:
                        out[row, column] += bilinear(plane, x, y) / 4
    return out


def test_roi_align_by_hand():
    maps, views = features(), boxes(4)
    pooled = roi.roi_align(maps, [views], 5, STRIDE)
    for view, value in zip(views.tolist(), pooled, strict=True):
        for plane, cells in zip(maps[0], value, strict=True):
            torch.testing.assert_close(cells, region_by_hand(plane, view, 5), rtol=0, atol=1e-4)


def test_rod_align_by_hand():
    maps, views = features(), boxes(4)
    pooled = roi.rod_align(maps, [views], 5, STRIDE)
    for view, value in zip(views.tolist(), pooled, strict=True):
        for plane, cells in zip(maps[0], value, strict=True):
            torch.testing.assert_close(
                cells, region_by_hand(plane, view, 5, (0, 0, 384, 256)), rtol=0, atol=1e-5
            )


def test_a_region_that_discards_nothing_leaves_nothing_and_one_that_keeps_nothing_leaves_all():
    maps = features()
    everything = torch.tensor([[0.0, 0.0, 384.0, 256.0]])
    nowhere = torch.tensor([[-20.0, -20.0, -10.0, -10.0]])
    assert roi.rod_align(maps, [everything], 9, STRIDE).abs().max() == 0
    whole = roi.roi_align(maps, [everything], 9, STRIDE)
    torch.testing.assert_close(roi.rod_align(maps, [nowhere], 9, STRIDE), whole, rtol=0, atol=1e-5)


def test_keeping_the_inside_by_mistake_is_seen():
    maps, views = features(), boxes(6)
    right = roi.rod_align(maps, [views], 9, STRIDE)
    points, values = roi.discard_samples(maps, 9, STRIDE)
    inside = (~roi.discarded(points, views)).float()
    wrong = (values[0][None] * inside[:, None]).unflatten(2, (9, 9, 4)).mean(4)
    whole = roi.roi_align(maps, [torch.tensor([[0.0, 0.0, 384.0, 256.0]])], 9, STRIDE)
    torch.testing.assert_close(right + wrong, whole.expand_as(right), rtol=0, atol=1e-5)
    assert (right - wrong).abs().max() > 0.1


def test_forgetting_the_half_pixel_is_seen():
    # a cell's value is its centre's x in cells
    ramp = torch.arange(24.0).expand(1, 1, 16, 24) + 0.5
    view = torch.tensor([[64.0, 64.0, 208.0, 208.0]])
    right = roi.roi_align(ramp, [view], 9, STRIDE)[0, 0, 0]
    torch.testing.assert_close(right, (64 + 16 * (torch.arange(9) + 0.5)) / STRIDE)
    shifted = torchvision_roi_align(ramp, [view], 9, 1 / STRIDE, 2, aligned=False)[0, 0, 0]
    torch.testing.assert_close(shifted - right, torch.full((9,), 0.5))


def test_photos_of_a_batch_keep_their_own_boxes():
    maps, first, second = features(batch=2), boxes(3), boxes(5, seed=2)
    for align in (roi.roi_align, roi.rod_align):
        together = align(maps, [first, second], 9, STRIDE)
        apart = torch.cat(
            [align(maps[:1], [first], 9, STRIDE), align(maps[1:], [second], 9, STRIDE)]
        )
        torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("align", [roi.roi_align, roi.rod_align])
def test_gradients_are_those_of_finite_differences(align):
    maps = torch.randn(
        1,
        2,
        6,
        6,
        dtype=torch.double,
        generator=torch.Generator().manual_seed(3),
        requires_grad=True,
    )
    views = torch.tensor([[10.0, 12.0, 70.0, 81.0], [3.0, 30.0, 50.0, 90.0]], dtype=torch.double)
    assert torch.autograd.gradcheck(lambda values: align(values, [views], 3, STRIDE), (maps,))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("align", [roi.roi_align, roi.rod_align])
def test_the_same_on_cpu_and_gpu(align):
    maps, views = features(), boxes()
    here = align(maps, [views], 9, STRIDE)
    there = align(maps.cuda(), [views.cuda()], 9, STRIDE).cpu()
    torch.testing.assert_close(here, there, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "views", [[torch.zeros(3, 5)], [torch.zeros(4)], [], [torch.zeros(1, 4)] * 2]
)
def test_boxes_of_another_shape_are_refused(views):
    for align in (roi.roi_align, roi.rod_align):
        with pytest.raises(BoxError):
            align(features(), views, 9, STRIDE)
