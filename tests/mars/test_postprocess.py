"""The loss (Eq. 8) and the medians (Sec. 3.4), against plain numpy and plausible wrong versions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cropnb.errors import BoxError, CropnbError
from cropnb.mars import crop_masks, crops_from_maps, pixel_loss

CELL, PHOTO = torch.tensor([4.0, 4.0]), torch.tensor([120.0, 80.0])  # 30 × 20 cells


def by_hand(values, ratio, threshold=0.4, cell=4.0):
    """(Sec. 3.4) with numpy's medians: (centre x, centre y, width, height) before and after the
    ratio.
    """
    ones = values.numpy() > threshold
    rows, columns = np.nonzero(ones)
    x, y = (np.median(columns) + 0.5) * cell, (np.median(rows) + 0.5) * cell
    heights, widths = ones.sum(0), ones.sum(1)
    height, width = np.median(heights[heights > 0]) * cell, np.median(widths[widths > 0]) * cell
    return (x, y, width, height), (min(width, height * ratio), min(height, width / ratio))


def blob(seed, height=20, width=30):
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    cx, cy = 10 + 10 * torch.rand(1, generator=rng), 7 + 6 * torch.rand(1, generator=rng)
    far = ((x - cx) / 7)[None] ** 2 + ((y - cy) / 5)[:, None] ** 2
    return (1.2 - far + 0.3 * torch.randn(height, width, generator=rng)).sigmoid()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ratio", [0.5, 1.0, 16 / 9])
def test_the_medians_are_numpys(seed, ratio):
    patch = blob(seed)
    crop = crops_from_maps(patch[None], torch.tensor([ratio]), CELL, PHOTO)
    medians, (width, height) = by_hand(patch, ratio)
    assert crop.medians[0].tolist() == pytest.approx(medians, abs=1e-4)
    x1, y1, x2, y2 = crop.boxes[0].tolist()
    assert (x2 - x1, y2 - y1) == pytest.approx((width, height), abs=1e-3)
    assert (x2 - x1) / (y2 - y1) == pytest.approx(ratio, rel=1e-4)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx(medians[:2], abs=1e-3)
    assert crop.thresholds.tolist() == pytest.approx([0.4])


def test_many_maps_at_once_are_each_alone():
    maps, ratios = (
        torch.stack([blob(seed) for seed in range(5)]),
        torch.tensor([0.5, 0.8, 1.0, 1.5, 2.0]),
    )
    together = crops_from_maps(maps, ratios, CELL, PHOTO)
    for number in range(5):
        alone = crops_from_maps(maps[number : number + 1], ratios[number : number + 1], CELL, PHOTO)
        torch.testing.assert_close(together.boxes[number], alone.boxes[0])


def l_shape():
    """A wide bar with a thin tail: medians over all cells and over the ones alone differ, and so do
    means.
    """
    patch = torch.zeros(20, 30)
    patch[2:8, 4:24] = 0.9
    patch[8:18, 4:6] = 0.9
    return patch


def test_medians_are_taken_over_the_ones_and_the_nonzero_sums_only():
    (medians,) = crops_from_maps(l_shape()[None], torch.tensor([1.0]), CELL, PHOTO).medians.tolist()
    assert medians == pytest.approx(by_hand(l_shape(), 1.0)[0])
    x, y, width, height = (value / 4 for value in medians)
    ones = l_shape() > 0.4
    # the median over all cells is the middle of the map, whatever is in it
    assert (x, y) != (15, 10)
    heights, widths = ones.sum(0).float(), ones.sum(1).float()
    assert height == 6
    assert heights.median() != 6.5
    assert heights.mean() < 5
    assert width == 2
    assert widths.median() == 2
    assert widths[widths > 0].mean() > 8
    assert float(ones.nonzero()[:, 1].float().mean()) + 0.5 != pytest.approx(x)


def test_height_comes_from_columns_and_width_from_rows():
    wide = torch.zeros(20, 30)
    wide[8:12, 5:25] = 1.0
    crop = crops_from_maps(wide[None], torch.tensor([5.0]), CELL, PHOTO)
    assert crop.medians[0].tolist() == [60.0, 40.0, 80.0, 16.0]
    torch.testing.assert_close(crop.boxes[0], torch.tensor([20.0, 32.0, 100.0, 48.0]))
    # reduced in width, never grown
    upright = crops_from_maps(wide[None], torch.tensor([0.2]), CELL, PHOTO).boxes[0]
    assert ((upright[3] - upright[1]).item(), (upright[2] - upright[0]).item()) == pytest.approx(
        (16.0, 3.2), abs=1e-4
    )


def test_an_even_count_gives_the_middle_of_two():
    patch = torch.zeros(20, 30)
    patch[4:8, 10:20] = 1.0
    crop = crops_from_maps(patch[None], torch.tensor([1.0]), CELL, PHOTO)
    # between cells 14 and 15, and between 5 and 6
    assert crop.medians[0, :2].tolist() == [60.0, 24.0]


def test_where_nothing_lies_above_the_threshold_half_of_the_maximum_stands_in():
    patch = blob(0) * 0.3
    assert patch.max() < 0.4
    crop = crops_from_maps(patch[None], torch.tensor([1.0]), CELL, PHOTO)
    assert crop.thresholds.item() == pytest.approx(patch.max().item() / 2)
    assert crop.medians[0].tolist() == pytest.approx(
        by_hand(patch, 1.0, patch.max().item() / 2)[0], abs=1e-4
    )
    nothing = crops_from_maps(torch.zeros(1, 20, 30), torch.tensor([1.5]), CELL, PHOTO)
    torch.testing.assert_close(nothing.boxes[0], torch.tensor([0.0, 0.0, 120.0, 80.0]))


def test_windows_stay_in_the_photo_and_keep_their_ratio():
    corner = torch.zeros(20, 30)
    corner[:, :4] = 1.0  # 20 high, 4 wide, and nothing else
    corner[0, :25] = 1.0
    rng = torch.Generator().manual_seed(0)
    maps = torch.cat([corner[None], torch.rand(200, 20, 30, generator=rng) ** 3])
    ratios = torch.exp2(8 * torch.rand(201, generator=rng) - 4)
    boxes = crops_from_maps(maps, ratios, CELL, PHOTO).boxes
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= PHOTO).all()
    sides = boxes[:, 2:] - boxes[:, :2]
    torch.testing.assert_close(sides[:, 0] / sides[:, 1], ratios, rtol=2e-3, atol=0)


def test_a_partly_covered_last_cell_can_t_push_the_window_out():
    photo = torch.tensor([118.0, 78.0])  # 30 × 20 cells of 4 pixels cover 120 × 80
    box = crops_from_maps(torch.ones(1, 20, 30), torch.tensor([118 / 78]), CELL, photo).boxes[0]
    torch.testing.assert_close(box, torch.tensor([0.0, 0.0, 118.0, 78.0]))


def test_padding_is_not_part_of_the_map():
    patch = blob(3)
    padded = torch.ones(1, 24, 40)
    padded[0, :20, :30] = patch
    inside = torch.zeros(1, 24, 40, dtype=torch.bool)
    inside[0, :20, :30] = True
    clean = crops_from_maps(patch[None], torch.tensor([1.2]), CELL, PHOTO)
    torch.testing.assert_close(
        crops_from_maps(padded, torch.tensor([1.2]), CELL, PHOTO, inside=inside).boxes, clean.boxes
    )
    assert not torch.allclose(
        crops_from_maps(padded, torch.tensor([1.2]), CELL, PHOTO).boxes, clean.boxes
    )


def test_bad_maps_thresholds_and_ratios_are_refused():
    with pytest.raises(CropnbError, match="shape"):
        crops_from_maps(torch.rand(20, 30), torch.tensor([1.0]), CELL, PHOTO)
    with pytest.raises(CropnbError, match="threshold"):
        crops_from_maps(torch.rand(1, 20, 30), torch.tensor([1.0]), CELL, PHOTO, threshold=1.4)
    with pytest.raises(BoxError, match="ratios"):
        crops_from_maps(torch.rand(2, 20, 30), torch.tensor([1.0]), CELL, PHOTO)


def test_equation_8_by_hand():
    rng = torch.Generator().manual_seed(0)
    logits, targets = (
        torch.randn(2, 3, 4, generator=rng),
        (torch.rand(2, 3, 4, generator=rng) > 0.5).float(),
    )
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    g = targets.numpy()
    expected = -(g * np.log(p) + (1 - g) * np.log(1 - p)).mean()
    assert pixel_loss(logits, targets).item() == pytest.approx(expected, abs=1e-6)


def test_each_photo_counts_the_same_and_its_padding_not_at_all():
    rng = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(2, 6, 6, generator=rng), torch.zeros(2, 6, 6)
    inside = torch.ones(2, 6, 6, dtype=torch.bool)
    inside[1, 3:] = inside[1, :, 2:] = False  # 6 of 36 cells are photo
    expected = (
        pixel_loss(logits[:1], targets[:1]) + pixel_loss(logits[1:, :3, :2], targets[1:, :3, :2])
    ) / 2
    assert pixel_loss(logits, targets, inside).item() == pytest.approx(expected.item(), abs=1e-6)
    assert abs(pixel_loss(logits, targets).item() - expected.item()) > 1e-3  # padding counted
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert abs(each[inside].mean().item() - expected.item()) > 1e-3  # all cells in one mean
    changed = logits.clone()
    changed[~inside] += 5
    assert pixel_loss(changed, targets, inside).item() == pytest.approx(expected.item(), abs=1e-6)


def test_targets_are_the_cells_whose_centre_lies_in_the_box():
    mask = crop_masks(torch.tensor([[4.0, 8.0, 13.0, 18.0], [0.0, 0.0, 24.0, 20.0]]), 4, 5, 6)
    # y first
    assert mask[0].nonzero().tolist() == [[row, column] for row in (2, 3) for column in (1, 2)]
    assert mask[1].all()
