"""What the middle of a photo reaches, and claims whose arms do no better."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cropnb import datasets, ledger, metrics, paper
from cropnb.errors import LedgerError
from cropnb.runs import Experiment, blind, plan, record
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


@pytest.mark.parametrize("sign", [1, -1])
def test_an_arm_is_better_than_the_middle_where_its_whole_interval_is(sign: int) -> None:
    rng = np.random.default_rng(0)
    middle = rng.normal(size=200)
    gains = {"clear": 0.5, "likely": 0.1, "worse": -0.5}
    arms = {name: [sign * (middle + gain + rng.normal(size=200))] for name, gain in gains.items()}
    arms["level"] = [sign * middle]
    gain = metrics.compare(sign * np.asarray(arms["likely"]), middle)
    assert gain.low < 0 < gain.mean
    text = blind.void(arms, sign * middle, sign > 0, "the photo's middle")
    assert text == "worse, level no better, likely not surely better than the photo's middle"
    assert blind.void({"clear": arms["clear"]}, sign * middle, sign > 0, "it") == ""
    assert blind.void(arms, None, sign > 0, "it") == ""


def test_an_arm_whose_seeds_differ_much_is_not_surely_better() -> None:
    middle = np.linspace(0, 1, 100)
    wave = 0.1 * np.cos(np.arange(100))
    one_collapsed = [middle + gain + wave for gain in (0.3, 0.3, -0.2)]
    of_photos = metrics.compare(np.mean(one_collapsed, axis=0), middle)
    assert of_photos.low > 0.1  # the mean is certain of these three seeds
    assert blind.void({"A": one_collapsed}, middle, True, "it") == "A not surely better than it"
    alike = [middle + gain + wave for gain in (0.13, 0.13, 0.14)]  # of the same mean
    assert blind.void({"A": alike}, middle, True, "it") == ""


def test_photos_without_a_number_are_left_out() -> None:
    middle = [np.nan, 0.2, 0.3, 0.4, 0.5]
    better = [[0.1, 0.3, 0.42, 0.5, np.nan], [0.1, 0.3, 0.41, 0.5, 0.6]]
    assert blind.void({"A": better}, middle, True, "it") == ""


@pytest.mark.parametrize(
    ("gain", "expected"),
    [(0.1, ""), (-0.1, "A2-RL no better than the photo's middle in IoU")],
)
def test_who_crops_no_better_saves_no_steps(
    gain: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = plan.method_named("la2c")
    middle = np.linspace(0.4, 0.8, 40)
    monkeypatch.setattr(type(method), "blind", lambda self, experiment: {"IoU": middle.tolist()})
    sides = [
        [
            SimpleNamespace(
                seed=0,
                validation=[0.5] * 6,
                columns={"IoU": (middle + lead).tolist(), "steps": (steps + middle).tolist()},
            )
        ]
        for lead, steps in ((0.2, 9.0), (gain, 15.0))
    ]
    (claim_of_steps,) = (
        one for one in paper.read("la2c").claims if one["name"] == "fewer steps than A2-RL"
    )
    context = Context("la2c", "scenes", (), seeds=(0,), commit="c")
    experiment = Experiment(method, profile="smoke", out=None)
    (row,) = record.decide(context, experiment, [(claim_of_steps, sides)])
    assert (row.column, row.verdict, row.void) == ("steps", "holds", expected)


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
