"""Speeds: every row of the columns «Speed» is measured, and the weights of a ratio are predicted
once.
"""

import pytest
import torch

from cropnb import paper
from cropnb.mars.model import Mars
from cropnb.mars.studies import bench as mars_bench
from cropnb.runs import plan


def test_every_row_with_a_speed_is_measured_over_the_papers_model():
    tables = paper.read("mars").tables
    printed = {
        (name, row) for name in ("Table 1", "Table 2", "Table 6") for row in tables[name].own
    }
    main = {("Table 1", "mobilenet_v2 c4_6"), ("Table 2", "FC 512 x 1"), ("Table 6", "1/4, 96")}
    assert set(mars_bench.speed_rows().values()) | main == printed
    assert {f"Mars, {name}" for name in mars_bench.speed_rows()} <= set(mars_bench.MEASURED)
    assert [name for name, ratio in mars_bench.MEASURED.items() if ratio.needs_cuda] == [
        "Mars, photos a second on a GPU"
    ]


@pytest.mark.parametrize(("reuse", "predicted"), [(True, 3), (False, 12)])
def test_kept_weights_are_predicted_once_for_each_ratio(monkeypatch, reuse, predicted):
    monkeypatch.setattr(mars_bench, "photos", lambda number: [torch.rand(3, 64, 96)] * number)
    asked = []
    before = Mars.ratio_weights
    monkeypatch.setattr(
        Mars, "ratio_weights", lambda self, ratio: asked.append(ratio) or before(self, ratio)
    )
    call = mars_bench.cropping(reuse=reuse, number=6)
    call(), call()
    assert len(asked) == predicted


def test_the_fast_training_step_trains_on_the_same_loss(monkeypatch):
    monkeypatch.setattr(mars_bench, "TRAINING_PHOTOS", 4)
    plain, fast = mars_bench.training_steps(bfloat16=False)
    first = plain()
    # The stem's maps are kept in half precision.
    assert fast() == pytest.approx(first, rel=1e-3)
    assert plain() != pytest.approx(first, rel=1e-3)  # it does train


def test_a_step_in_bfloat16_trains_on_the_same_loss_to_three_digits(monkeypatch):
    monkeypatch.setattr(mars_bench, "TRAINING_PHOTOS", 4)
    single, half = mars_bench.precisions()
    first = single()
    assert half() == pytest.approx(first, rel=2e-3)
    assert half() != pytest.approx(first, rel=2e-3)  # it does train
    assert mars_bench.IN_BFLOAT16 in mars_bench.MEASURED
    (entry,) = plan.select(plan.read(), ["speed/mars-bfloat16"])
    assert mars_bench.IN_BFLOAT16 in entry.arguments
