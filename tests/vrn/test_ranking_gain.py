"""The measurements behind VRN's chapter: each against a plain calculation."""

import math

import pytest
import torch
from torch import nn

from cropnb import ledger
from cropnb.runs.context import Context
from cropnb.vrn.studies import ranking_gain as study


def test_shared_scores_marks_every_view_of_a_tie():
    assert study.shared_scores(torch.tensor([3.0, 2.0, 3.0, 1.0, 3.0])).tolist() == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_variance_between_is_all_or_nothing_at_the_ends():
    flat = [torch.full((4,), 2.0), torch.full((6,), 4.0)]
    alike = [torch.tensor([1.0, 5.0]), torch.tensor([2.0, 4.0])]
    assert study.variance_between(flat) == pytest.approx(1.0)
    assert study.variance_between(alike) == pytest.approx(0.0)


def test_variance_between_counts_views_and_not_photos():
    photos = [torch.tensor([1.0]), torch.tensor([3.0, 3.0, 3.0])]
    assert study.variance_between(photos) == pytest.approx(1.0)
    # all: variance 5/9; means 1, 2: 2/9
    mixed = [torch.tensor([0.0, 2.0]), torch.tensor([2.0, 2.0, 2.0, 2.0])]
    assert study.variance_between(mixed) == pytest.approx(0.4)


def test_gain_size_follows_the_equations():
    scores, mos = torch.tensor([0.5, -0.5]), torch.tensor([1.0, -1.0])
    sigma = (0.5, -1.5)
    beta = (math.exp(sigma[0]) - 1) / math.log(2) + (math.exp(sigma[1]) - 1) / math.log(3)
    size = study.gain_size(scores, mos)
    assert size.beta == pytest.approx(beta, rel=1e-5)
    assert size.loss == pytest.approx(math.exp(-beta), rel=1e-5)
    # ∂ exp(−β)/∂s = exp(−β) · sign(s − ŝ) · exp(σ) / ln(i + 1)
    parts = [math.exp(s) / math.log(i + 2) for i, s in enumerate(sigma)]
    assert size.gradient == pytest.approx(3 * math.exp(-beta) * math.hypot(*parts), rel=1e-5)


def test_raw_scores_leave_nothing_to_learn_from_and_centred_ones_too_much():
    mos = torch.linspace(1.5, 4.5, 64)
    raw, centred = (study.size_at_start(mos, reading) for reading in study.READINGS)
    assert raw.beta > 104
    assert raw.loss == 0
    assert raw.gradient == 0
    assert centred.beta < 0
    assert centred.loss > 1
    assert centred.gradient > 3


def test_gradient_norms_are_noted_before_the_bound():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    loss = study.GradientNorms(model, lambda x: {"loss": 100 * model(x).square().sum()})
    norms = []
    for x in torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)):
        model.zero_grad()
        loss(x)["loss"].backward()
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
    assert min(norms) > 1
    assert loss.norms.tolist() == pytest.approx(norms, rel=1e-5)


def test_every_trial_has_a_name_of_its_own():
    names = [trial.name for trial in study.TRIALS]
    assert len(set(names)) == len(names)
    assert "FS + RGL, rate 0.0001, no bound" in names
    assert [place.row for place in study.places(["--parts", "training"])] == names
    assert study.places(["--parts", "annotations"]) == []


def test_a_trial_trains_the_head_and_measures_it():
    experiment = study.experiment_for(train=2, held_out=2, epochs=1, init="random")
    norms, srcc = study.run_trial(experiment, "FS + RGL, rate 0.001, norm at most 1")
    assert norms.shape == (2,)
    assert (norms > 1).any()
    assert srcc.shape == (2,)
    assert srcc.abs().max() <= 1


def test_annotation_rows_keep_the_ledgers_rules():
    photos = [torch.tensor([1.0, 2.0, 2.0, 4.0]), torch.linspace(2, 5, 80)]
    context = Context("vrn", "scenes", [], "cropnb.vrn.studies.ranking_gain", split="train")
    rows = study.annotation_rows(context, photos)
    for row in rows:
        row.check()
    assert len({row.key for row in rows}) == len(rows)
    twins = next(row for row in rows if row.row.startswith("views that share"))
    # half of the first photo's views, none of the second's
    assert twins.ours == pytest.approx(25.0)
    smallest = next(r for r in rows if r.row == "raw scores" and r.column == "β, smallest")
    assert (
        smallest.ours
        < next(r for r in rows if r.row == "raw scores" and r.column == "β, largest").ours
    )


def test_recorded_rows_are_rounded_to_four_digits():
    context = Context("vrn", "scenes", [], split="val")
    row = study._row(context, 3, "study", "a", "b", 12345.678)
    assert isinstance(row, ledger.Row)
    assert row.ours == 12350
