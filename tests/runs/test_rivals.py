"""Claims that a paper's network beats another method's: who they name, and what decides them."""

import importlib
from typing import Any

import pytest
import torch

from cropnb import ledger, paper
from cropnb.errors import CropnbError, WeightsUnavailable
from cropnb.runs import Experiment, plan, rivals
from cropnb.runs.context import Context
from cropnb.runs.results import Result

PAPERS = ("asm_net", "la2c", "mars", "set_prediction", "vrn")
SEEDS = (0, 1, 2)


@pytest.mark.parametrize("name", PAPERS)
def test_every_claim_names_variants_and_columns_that_are_measured(name: str):
    method = plan.method_named(name)
    for claim in paper.read(name).claims:
        other = plan.method_named(claim["rival"]) if "rival" in claim else method
        assert claim["better"] in method.variants
        assert claim["worse"] in other.variants
        columns = claim.get("columns") or method.claim_columns
        assert columns
        if "study" in claim:  # which measures the other method itself
            study = importlib.import_module(f"cropnb.{claim['study']}")
            assert claim["name"] in study.claim_names([])
            other = method
        for column in columns:  # «IoU, 2:3 and 3:2» is a mean over a part of what IoU is one over
            name = column.split(", 2:3")[0]
            assert name in set(method.columns) & set(other.columns), claim["name"]


def _result(experiment: Experiment, variant: str, seed: int, photos: int, level: float) -> Result:
    """A run whose every column is `level` on average, and rises to the end."""
    rng = torch.Generator().manual_seed(seed)
    spread = 0.1 * torch.rand(photos, generator=rng)
    columns = {name: (level + spread).tolist() for name in experiment.method.columns}
    given: dict[str, Any] = {
        "method": experiment.method.name,
        "dataset": experiment.dataset,
        "form": experiment.form,
        "profile": experiment.profile_name,
        "init": "imagenet",
        "frozen": False,
        "split": "test",
        "minutes": 1.0,
        "device": "CPU",
        "commit": "c",
        "config_hash": "h",
        "settings": {},
        "validation": [0.1, 0.2, 0.2, 0.2, 0.2, 0.2],
    }
    return Result(variant=variant, seed=seed, photos=photos, columns=columns, **given)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, float | None]]:
    """Method → its photos and level, or those of one variant; what isn't named has no finished
    run, nor has a level of None.
    """
    there = {"vrn": (24, 0.7), "gaic": (24, 0.5)}

    def finished(self: Experiment, variant: str, seed: int) -> Result | None:
        of = there.get(variant) or there.get(self.method.name)
        return _result(self, variant, seed, *of) if of and of[1] is not None else None

    monkeypatch.setattr(Experiment, "finished", finished)
    monkeypatch.setattr(type(plan.method_named("vrn")), "blind", lambda self, experiment: {})
    return there


def _rows() -> list[ledger.Row]:
    ours = Experiment(plan.method_named("vrn"), profile="smoke", out=None)
    return rivals.rows(Context("vrn", "scenes", ()), ours, SEEDS)


def test_the_rivals_runs_decide(runs: dict[str, tuple[int, float | None]]):
    rows = _rows()
    assert {row.row for row in rows} == set(rivals.claim_names(["vrn", "--seeds", "0"]))
    assert {row.row for row in rows} == {"beats GAIC", "beats GAIC with the mean gain"}
    assert [row.verdict for row in rows] == ["holds"] * len(rows)
    accuracy = next(row for row in rows if row.column == "Acc 1/5")
    assert accuracy.ours == pytest.approx(20)  # per cent: 0.7 less 0.5, paired by photo and seed
    assert (accuracy.note, accuracy.seeds) == ("FS + RGL less GAIC", SEEDS)
    assert accuracy.void == ""
    runs["vrn"], runs["gaic"] = runs["gaic"], runs["vrn"]
    assert {row.verdict for row in _rows()} == {"contradicted"}


def test_a_claim_without_finished_runs_is_left_out(runs: dict[str, tuple[int, float | None]]):
    runs["FS + RGL"] = (24, None)
    assert {row.row for row in _rows()} == {"beats GAIC with the mean gain"}


def test_what_cannot_be_compared_is_said(runs: dict[str, tuple[int, float | None]]):
    runs["gaic"] = (23, 0.5)
    with pytest.raises(CropnbError, match="beats GAIC: the two were tested on other photos"):
        _rows()
    del runs["gaic"]
    with pytest.raises(WeightsUnavailable, match=r"no run of gaic's GAIC .*m cropnb\.gaic"):
        _rows()
    ours = Experiment(plan.method_named("la2c"), profile="smoke", out=None)
    with pytest.raises(CropnbError, match="la2c has no claim against another method"):
        rivals.rows(Context("la2c", "scenes", ()), ours, SEEDS)
    ours = Experiment(plan.method_named("mars"), profile="smoke", out=None)
    with pytest.raises(CropnbError, match=r"see python -m cropnb\.mars\.studies\.against_windows"):
        rivals.rows(Context("mars", "scenes", ()), ours, SEEDS)


def test_the_program_prints_and_records(
    runs: dict[str, tuple[int, float | None]], tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    given = ["vrn", "--profile", "smoke", "--seeds", "0", "1", "2", "--out", str(tmp_path)]
    assert rivals.main(given) == 0
    assert not list(tmp_path.iterdir())
    assert "beats GAIC · SRCC: 0.2" in capsys.readouterr().out
    assert rivals.main([*given, "--record"]) == 0
    row = ledger.one("vrn", row="beats GAIC", column="SRCC")
    assert row.command == (
        "python -m cropnb.runs.rivals vrn --profile smoke --seeds 0 1 2 --record"
    )
    assert rivals.main([*given, "--test-photos", "50", "--record"]) == 0
    row = ledger.one("vrn", row="beats GAIC", column="SRCC")
    assert row.command.endswith("--test-photos 50 --record")
    assert rivals.main(["nobody"]) == 2
    assert "no method 'nobody'" in capsys.readouterr().err
