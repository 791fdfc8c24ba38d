"""What Figure 7's measurement counts, on crops whose answer is known, and on GAICD where it is
here.
"""

import pytest
import torch

from cropnb import candidates
from cropnb.asm_net.studies import corners
from cropnb.asm_net.studies.corners import area_share, best_and_worst, corners_reached, off_centre
from cropnb.datasets.base import Sample


def test_corners_are_reached_by_the_outermost_anchors_only() -> None:
    anchors = candidates.grid_anchors(1200, 900)
    reached = corners_reached(anchors, 1200, 900)
    largest = area_share(anchors, 1200, 900).argmax()
    assert reached[largest] == 1
    assert corners_reached(torch.tensor([[300.0, 225, 900, 675]]), 1200, 900) == 0
    assert corners_reached(torch.tensor([[50.0, 40, 900, 675]]), 1200, 900) == 0.25
    assert corners_reached(torch.tensor([[50.0, 40, 1150, 675]]), 1200, 900) == 0.5
    # An edge that is reached without its corner doesn't count.
    assert corners_reached(torch.tensor([[50.0, 225, 1150, 675]]), 1200, 900) == 0
    assert 0 < reached.mean() < 0.5


def test_size_and_place_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 300, 400], [75, 100, 225, 300]])
    assert area_share(boxes, 300, 400).tolist() == [1, 0.25]
    assert off_centre(boxes, 300, 400).tolist() == [0, 0]
    assert off_centre(torch.tensor([[0.0, 0, 150, 200]]), 300, 400) == pytest.approx(0.25)


def test_best_and_worst_quarters_follow_the_scores() -> None:
    anchors = candidates.grid_anchors(1200, 900)
    areas = area_share(anchors, 1200, 900)
    by_size = Sample("large is good", 1200, 900, anchors, areas)
    best, worst = best_and_worst(by_size, corners_reached)
    assert best > 30 > worst
    reversed_ = best_and_worst(Sample("small is good", 1200, 900, anchors, -areas), corners_reached)
    assert reversed_[0] < 15 < 30 < reversed_[1]
    near = -off_centre(anchors, 1200, 900)
    best, worst = best_and_worst(Sample("central is good", 1200, 900, anchors, near), off_centre)
    assert best < worst
    # Among crops of one size the size explains nothing.
    inside = best_and_worst(by_size, area_share, same_size=True)
    assert (
        inside[0] - inside[1]
        < 15
        < best_and_worst(by_size, area_share)[0] - best_and_worst(by_size, area_share)[1]
    )
    assert (
        best_and_worst(Sample("three crops", 1200, 900, anchors[:3], areas[:3]), area_share) is None
    )


def test_a_run_says_what_it_measured_and_records_nothing_unasked(
    tmp_path, monkeypatch, capsys
) -> None:
    from cropnb import datasets, ledger

    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    few = datasets.load("scenes", "train", form="gaicd", size=12)
    monkeypatch.setattr(datasets, "load", lambda *_, **__: few)
    assert corners.main([]) == 0
    assert "corners reached" in capsys.readouterr().out
    assert not ledger.read("asm_net")
    assert corners.main(["--record"]) == 0
    rows = ledger.find("asm_net", table="Figure 7", dataset="scenes")
    assert len(rows) == 2 * (3 * 2 + 1)
    assert {row.images for row in rows} == {12}
    claims = [row for row in rows if row.verdict in ledger.CLAIM_VERDICTS]
    assert [row.worth_having for row in claims] == [1.0, 1.0]
    assert all(len(ledger.differences(row)[0]) == 12 for row in claims)
