"""What windows smaller than the training crops cost the search."""

import pytest
import torch

from cropnb import croppers, datasets, ledger
from cropnb.asm_net.studies import least_area
from cropnb.boxes import area


def test_the_best_limit_on_validation_scenes_is_chosen():
    overlap = torch.tensor([[0.2, 0.9], [0.7, 0.6], [0.6, 0.7], [0.1, 0.2]])
    limits = {"none": 0.0, "low": 0.2, "middle": 0.3, "high": 0.4}
    assert least_area.choose(overlap, limits) == "low"  # of two equal ones the smaller


def test_the_limits_are_none_and_quantiles_of_the_training_crops_areas():
    dataset = datasets.load("scenes", "train", form="cpc", size=4)
    limits = least_area.limits_of(dataset)
    areas = torch.cat([area(one.boxes) / (one.size[0] * one.size[1]) for one in dataset])
    none, *others = limits.values()
    assert none == 0
    assert others == sorted(others)
    for quantile, limit in zip(least_area.QUANTILES, others, strict=True):
        below, up_to = (areas < limit - 1e-6).sum(), (areas < limit + 1e-6).sum()
        assert below - 1 <= quantile * len(areas) <= up_to + 1
    *_, last = limits
    assert f"{others[-1]:.3f} of the photo at least, the 0.8 quantile of 96 training" in last


def test_without_a_limit_the_search_is_the_croppers():
    cropper = croppers.load("asm_net", "scenes")
    dataset = datasets.load("scenes", "test", form="flms", size=2)
    measured = least_area.measures(cropper.method, dataset, (0.0, 0.5))
    overlap, shift = (measured[column] for column in least_area.COLUMNS)
    for index, sample in enumerate(dataset):
        best = cropper(sample.photo())[0].box.double()
        expected = max(_iou(best, truth.double()) for truth in sample.boxes)
        assert float(overlap[0, index]) == pytest.approx(expected, abs=1e-5)
        nearest = max(sample.boxes, key=lambda truth: _iou(best, truth.double()))
        sides = best.new_tensor(sample.size * 2)
        moved = float(((best - nearest) / sides).abs().mean())
        assert float(shift[0, index]) == pytest.approx(moved, abs=1e-5)
    assert not overlap[0].equal(overlap[1])


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    """Two boxes (4,), side by side in words."""
    shared = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
    areas = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()
    return float(shared / (areas - shared))


def test_the_program_records_both_and_the_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    few = ["--training", "3", "--validation", "2", "--photos", "2"]
    assert least_area.main([*few, "--record"]) == 0
    for form in least_area.FORMS:
        cells = {
            (size, column): ledger.one(
                "asm_net", table=least_area.TABLE, row=f"{form}, {size}", column=column
            )
            for size in ("any size", "none small")
            for column in least_area.COLUMNS
        }
        limited = cells["none small", "IoU"]
        verdict = ledger.one("asm_net", table=least_area.TABLE, row=f"{least_area.CLAIM}, {form}")
        assert verdict.ours == pytest.approx(limited.ours - cells["any size", "IoU"].ours, abs=2e-4)
        assert limited.note == cells["none small", "Disp"].note
        tries = 1 + len(least_area.QUANTILES)
        assert f"of {tries} limits the best on 2 validation scenes" in limited.note
    printed = capsys.readouterr().out
    assert "search windows" in printed
    assert "no limit: IoU" in printed
