"""What windows smaller than the training crops cost the search."""

import pytest
import torch

from cropnb import croppers, datasets, ledger
from cropnb.asm_net.studies import least_area


def test_the_best_limit_on_validation_scenes_is_chosen():
    overlap = torch.tensor([[0.2, 0.9], [0.7, 0.6], [0.6, 0.7], [0.1, 0.2]])
    assert least_area.choose(overlap, (0.0, 0.2, 0.3, 0.4)) == 0.2  # of two equal ones the smaller


def test_without_a_limit_the_search_is_the_croppers():
    cropper = croppers.load("asm_net", "scenes")
    dataset = datasets.load("scenes", "test", form="flms", size=2)
    overlap = least_area.overlaps(cropper.method, dataset, (0.0, 0.5))
    for index, sample in enumerate(dataset):
        best = cropper(sample.photo())[0].box.double()
        expected = max(_iou(best, truth.double()) for truth in sample.boxes)
        assert float(overlap[0, index]) == pytest.approx(expected, abs=1e-5)
    assert not overlap[0].equal(overlap[1])


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    """Two boxes (4,), side by side in words."""
    shared = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
    areas = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()
    return float(shared / (areas - shared))


def test_the_program_records_both_and_the_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    assert least_area.main(["--validation", "2", "--photos", "2", "--record"]) == 0
    for form in least_area.FORMS:
        without, limited = (
            ledger.one("asm_net", table=least_area.TABLE, row=f"{form}, {size}")
            for size in ("any size", "none small")
        )
        verdict = ledger.one("asm_net", table=least_area.TABLE, row=f"{least_area.CLAIM}, {form}")
        assert verdict.ours == pytest.approx(limited.ours - without.ours, abs=2e-4)
        assert "validation scenes" in limited.note
    assert "search windows" in capsys.readouterr().out
