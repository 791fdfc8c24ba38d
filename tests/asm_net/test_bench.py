"""What the bench compares are two ways to one number."""

import pytest
import torch

from cropnb.asm_net import PATTERNS, composition_pool
from cropnb.asm_net.studies import bench


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_the_papers_way_crop_by_crop_is_equation_2(pattern):
    """Where the cells are whole pixels; elsewhere the papers' cells overlap by a pixel, and ours
    don't.
    """
    score_map = torch.randn(pattern.partitions, 80, 80, generator=torch.Generator().manual_seed(0))
    w, h = 5 * pattern.columns, 4 * pattern.rows
    boxes = torch.tensor([[3.0, 7.0, 3.0 + w, 7.0 + h], [0.0, 0.0, w, h]])
    scores = bench.crop_by_crop(score_map, boxes, pattern)
    torch.testing.assert_close(
        scores, composition_pool(score_map, boxes, pattern, rule="cells"), rtol=0, atol=1e-5
    )


def test_there_are_two_thousand_different_crops():
    score_map, boxes, pattern = bench.many_crops()
    assert score_map.shape == (pattern.partitions, bench.HEIGHT, bench.WIDTH)
    assert len(boxes.unique(dim=0)) == len(boxes) == 2000
    fast = composition_pool(score_map, boxes, pattern, rule="cells")
    torch.testing.assert_close(
        bench.crop_by_crop(score_map, boxes[:50], pattern), fast[:50], rtol=0, atol=0.05
    )


def test_the_fast_training_step_trains_on_the_same_loss(monkeypatch):
    monkeypatch.setattr(bench, "TRAINING_PHOTOS", 2)
    plain, fast = bench.training_steps(bfloat16=False)
    first = plain()
    # The stem's maps are kept in half precision.
    assert fast() == pytest.approx(first, rel=1e-3)
    assert plain() != pytest.approx(first, rel=1e-3)  # it does train
