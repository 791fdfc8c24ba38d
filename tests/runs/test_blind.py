"""What the middle of a photo reaches, and claims whose arms do no better."""

import pytest
import torch

from cropnb import datasets, ledger
from cropnb.errors import LedgerError
from cropnb.runs import blind
from cropnb.runs.claims import claim
from cropnb.runs.context import Context


def test_the_middle_is_ninety_per_cent_of_each_side() -> None:
    assert torch.allclose(blind.middle(200, 100), torch.tensor([10.0, 5, 190, 95]))


def test_the_middle_ranks_rated_boxes_and_overlaps_true_ones() -> None:
    rated = datasets.load("scenes", split="test", form="gaicd", size=3)
    table = blind.ranking(rated)
    assert set(table) >= {"SRCC", "Acc 5", "Acc 1/10"}
    assert len(table["SRCC"]) == 3
    boxes = datasets.load("scenes", split="test", form="fcdb", size=3)
    columns = blind.overlap(boxes)
    width, height = boxes[0].size
    window = torch.tensor([0.05 * width, 0.05 * height, 0.95 * width, 0.95 * height])
    truth = boxes[0].boxes[0].float()
    corners = torch.cat(
        [torch.maximum(window[:2], truth[:2]), torch.minimum(window[2:], truth[2:])]
    )
    shared = (corners[2:] - corners[:2]).clamp(0).prod()
    areas = (window[2:] - window[:2]).prod() + (truth[2:] - truth[:2]).prod()
    assert columns["IoU"][0] == pytest.approx(float(shared / (areas - shared)), abs=1e-4)


@pytest.mark.parametrize(
    ("higher_is_better", "expected"), [(True, ["worse", "level"]), (False, ["better", "level"])]
)
def test_arms_that_do_no_better_than_the_middle(
    higher_is_better: bool, expected: list[str]
) -> None:
    arms = {"better": [[0.8, 0.6]], "worse": [[0.3, 0.5]], "level": [[0.5, 0.7]]}
    assert blind.no_better(arms, [0.6, 0.6], higher_is_better) == expected
    assert blind.no_better(arms, None, higher_is_better) == []


def test_a_void_claim_says_so_and_only_a_claim_can_be_void() -> None:
    context = Context("vrn", "scenes", ["--record"], seeds=(0,))
    rng = torch.Generator().manual_seed(0)
    values = torch.rand(50, generator=rng).tolist()
    row = claim(context, "splitter helps", "SRCC", values, [0.0] * 50, void="FS learned nothing")
    row.check()
    assert (row.verdict, ledger.verdict_text(row)) == ("holds", "says nothing: FS learned nothing")
    fields = {name: getattr(row, name) for name in ledger.Row.__dataclass_fields__}
    with pytest.raises(LedgerError, match="nothing makes it void"):
        ledger.Row(**{**fields, "verdict": "measured"}).check()
