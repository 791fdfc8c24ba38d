"""Where a search for people's boxes begins, measured."""

import pytest
import torch

from cropnb import boxes as box_math
from cropnb import datasets
from cropnb.asm_net import AsmNet
from cropnb.asm_net.cropper import AsmCropper
from cropnb.asm_net.studies import first_stage


def test_both_beginnings_are_measured_by_the_overlap_that_they_can_expect(monkeypatch):
    monkeypatch.setattr(first_stage.taught, "likely", lambda scores: scores.softmax(0))
    torch.manual_seed(0)
    cropper = AsmCropper(AsmNet(weights=None), {"sharpness": 0.5})
    samples = datasets.load("scenes", "val", form="gaicd", size=3).samples
    columns = first_stage.overlaps(cropper, samples)
    assert set(columns) == {"the middle 90 %", *first_stage.STAGES}
    for values in columns.values():
        assert len(values) == 3
        assert all(0 < value < 1 for value in values)
    beginnings = [columns[name] for name in first_stage.STAGES]
    assert beginnings[0] != beginnings[1]
    # By hand: the middle's overlap with each anchor, weighed by how likely that one is.
    width, height = samples[0].size
    middle = torch.tensor([[0.05 * width, 0.05 * height, 0.95 * width, 0.95 * height]])
    overlap = box_math.pairwise_iou(middle, samples[0].boxes)[0]
    expected = float((overlap * samples[0].scores.softmax(0)).sum())
    assert columns["the middle 90 %"][0] == pytest.approx(expected, abs=1e-4)
