"""VRN: equations by hand, the splitter, and the four rows of Table 2."""

import importlib
import math
import shlex
from dataclasses import fields, replace

import pytest
import torch

from cropnb import candidates, datasets, ledger, paper
from cropnb.errors import CropnbError, MetricError
from cropnb.gaic.losses import MOS_MEAN
from cropnb.gaic.recipe import Profile
from cropnb.runs import Experiment, Result, plan, record
from cropnb.runs.context import Context
from cropnb.runs.program import main
from cropnb.vrn import FeatureSplitter, Vrn
from cropnb.vrn.losses import annotated_ranks, ranking_gain, ranking_gain_loss, similarity, vrn_loss
from cropnb.vrn.recipe import CLIP, METHOD


def built(variant):
    """The network of a row, from a random start."""
    experiment = Experiment(METHOD, init="random", out=None)
    return METHOD.build(experiment, experiment.run(variant, 0))


SCORES = torch.tensor([0.2, -0.4, 0.9, 0.0])
MOS = torch.tensor([0.5, -1.0, 0.5, 0.0])


def beta_by_hand(scores, mos, ranks, log=math.log):
    """(Eq. 1), term by term, with the two cases of (Eq. 2)."""
    total = 0.0
    for s, target, rank in zip(scores.tolist(), mos.tolist(), ranks, strict=True):
        sigma = s if s < target else target - (s - target)
        total += (math.exp(sigma) - 1) / log(rank + 1)
    return total


def test_equation_1_by_hand():
    assert annotated_ranks(MOS).tolist() == [1, 4, 2, 3]  # the tie keeps its order
    assert ranking_gain(SCORES, MOS).item() == pytest.approx(
        beta_by_hand(SCORES, MOS, [1, 4, 2, 3]), abs=1e-6
    )


def test_equations_2_and_3_are_the_same():
    rng = torch.Generator().manual_seed(0)
    scores, mos = torch.randn(2, 1000, generator=rng)
    two_cases = torch.where(scores < mos, scores, mos - (scores - mos))
    torch.testing.assert_close(similarity(scores, mos), two_cases)
    assert (similarity(scores, mos) <= mos).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s, m: beta_by_hand(s, m, [1, 4, 2, 3], math.log2),  # the discount of the usual NDCG
        lambda s, m: beta_by_hand(s, m, [3, 1, 4, 2]),  # ranked worst first
        lambda s, m: beta_by_hand(s, m, annotated_ranks(s).tolist()),  # ranked by prediction
        lambda s, m: beta_by_hand(m, m, [1, 4, 2, 3]),  # the target instead of the similarity
    ],
)
def test_plausible_wrong_gains_are_seen(wrong):
    assert abs(ranking_gain(SCORES, MOS).item() - wrong(SCORES, MOS)) > 0.01


def test_the_gain_is_largest_at_the_target():
    mos = torch.randn(64, generator=torch.Generator().manual_seed(1))
    best = ranking_gain(mos, mos)
    rng = torch.Generator().manual_seed(2)
    for _ in range(20):
        assert ranking_gain(mos + 0.3 * torch.randn(64, generator=rng), mos) < best


def test_an_error_at_the_top_costs_more_than_the_same_error_at_the_bottom():
    mos = torch.linspace(1, -1, 10)
    top, bottom = mos.clone(), mos.clone()
    top[0] -= 0.3
    bottom[-1] -= 0.3
    assert ranking_gain_loss(top, mos) > ranking_gain_loss(bottom, mos)


def test_raw_scores_give_no_gradient_and_mean_subtracted_ones_do():
    mos = 3 + 0.6 * torch.randn(64, generator=torch.Generator().manual_seed(3))
    for target, expected in ((mos, 0.0), (mos - mos.mean(), 1.0)):
        # before anything is learned
        scores = torch.full_like(target, target.mean().item()).requires_grad_()
        loss = ranking_gain_loss(scores, target)
        (gradient,) = torch.autograd.grad(loss, scores)
        assert (gradient.norm().item() > 1e-3) == bool(expected)


def test_the_gradient_is_that_of_finite_differences():
    scores = torch.randn(
        6, dtype=torch.double, generator=torch.Generator().manual_seed(4), requires_grad=True
    )
    mos = torch.randn(6, dtype=torch.double, generator=torch.Generator().manual_seed(5))
    assert torch.autograd.gradcheck(lambda values: ranking_gain_loss(values, mos), (scores,))


def test_equation_5_adds_up():
    mos, view, image = MOS + 3, SCORES, torch.tensor([2.0, 3.0, 3.5, 4.0])
    parts = vrn_loss(view, mos, image)
    assert parts["view"].item() == pytest.approx((view - (mos - mos.mean())).abs().mean().item())
    assert parts["image"].item() == pytest.approx((image - mos.mean()).abs().mean().item())
    assert parts["ranking"].item() == pytest.approx(
        math.exp(-ranking_gain(view, mos - mos.mean()).item()), rel=1e-5
    )
    expected = parts["view"] + parts["image"] + 3 * parts["ranking"]
    assert parts["loss"].item() == pytest.approx(expected.item())
    assert set(vrn_loss(view, mos, with_ranking_gain=False)) == {"loss", "view"}


def test_beta_as_a_mean_is_the_sum_over_the_number_of_views():
    assert ranking_gain(SCORES, MOS, "mean").item() == pytest.approx(
        beta_by_hand(SCORES, MOS, [1, 4, 2, 3]) / 4, abs=1e-6
    )
    mos = 0.6 * torch.randn(64, generator=torch.Generator().manual_seed(6))
    mos, start = mos - mos.mean(), torch.zeros(64)  # before anything is learned
    as_sum, as_mean = (ranking_gain_loss(start, mos, name).item() for name in ("sum", "mean"))
    assert 1 < as_mean < 1.5 < 20 < as_sum
    assert as_mean == pytest.approx(as_sum ** (1 / 64), rel=1e-4)
    with pytest.raises(MetricError, match="'median'"):
        ranking_gain(SCORES, MOS, "median")


def test_the_rows_that_table_2_lacks_leave_the_others_as_they_were():
    experiment = Experiment(METHOD, init="random", out=None)
    for name, row in METHOD.variants.items():
        recorded = experiment.run(name, 0).identity["variant"]
        assert {"feature_splitter", "ranking_gain"} <= set(recorded)
        assert (len(recorded) == 2) == (name in paper.read("vrn").tables["Table 2"].rows)
        clip = METHOD.clip(experiment, experiment.run(name, 0))
        assert clip == (CLIP if row.clipped else None)
    # The control predicts mean-subtracted scores by itself: the loss shifts nothing.
    control, baseline = built("mean-subtracted targets"), built("baseline")
    assert control.view_learner.rest[-1].bias.item() == 0
    assert baseline.view_learner.rest[-1].bias.item() == pytest.approx(MOS_MEAN)
    mos, views = torch.tensor([2.0, 3.0, 4.0]), [candidates.grid_anchors(192, 128)[:3]]
    control.from_features = lambda features, boxes: (mos - mos.mean(), None)
    baseline.from_features = lambda features, boxes: (mos, None)
    for name, model in (("mean-subtracted targets", control), ("baseline", baseline)):
        assert METHOD.loss(name)(model, None, views, mos)["loss"].item() == 0


def test_the_splitter_gives_each_channel_away_once():
    torch.manual_seed(0)
    splitter, features = FeatureSplitter(8), torch.randn(2, 8, 5, 7)
    view, image = splitter(features)
    torch.testing.assert_close(view + image, features)
    weights = splitter.view_weights(features)
    assert weights.shape == (2, 8)
    assert ((weights > 0) & (weights < 1)).all()
    torch.testing.assert_close(view[1, 3], weights[1, 3] * features[1, 3])


@pytest.mark.parametrize("variant", METHOD.variants)
def test_every_row_of_table_2_has_a_gradient_everywhere(variant):
    torch.manual_seed(0)
    model = built(variant)
    model.train()
    views = candidates.grid_anchors(192, 128)[:20]
    mos = 1 + 4 * torch.rand(20)
    parts = METHOD.loss(variant)(model, model.features(torch.rand(1, 3, 128, 192)), [views], mos)
    parts["loss"].backward()
    idle = [
        name
        for name, value in model.named_parameters()
        if value.grad is None or not value.grad.any()
    ]
    assert idle == []
    chosen = METHOD.variants[variant]
    parts_there = ("image" in parts, "ranking" in parts)
    assert parts_there == (chosen.feature_splitter, chosen.ranking_gain)


def test_the_rows_differ_only_in_what_they_ablate():
    counts = {}
    for variant in METHOD.variants:
        counts[variant] = sum(value.numel() for value in built(variant).parameters())
    plain, split = counts["baseline"], counts["FS"]
    splitters = {name: METHOD.variants[name].feature_splitter for name in counts}
    assert counts == {name: split if has else plain for name, has in splitters.items()}
    assert plain < split


def test_inference_without_the_image_learner_is_the_same():
    torch.manual_seed(0)
    model = Vrn(weights=None).eval()
    photo, views = torch.rand(2, 3, 128, 192), [candidates.grid_anchors(192, 128)] * 2
    with torch.no_grad():
        view_scores, image_scores = model(photo, views)
        features = model.features(photo)
        reduced = model.reduce(features)
        view_feature, image_feature = model.splitter(reduced)
        torch.testing.assert_close(
            view_scores, model.view_learner(view_feature, views), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            image_scores, model.image_learner(image_feature, views), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            model.drop_image_learner().view_scores(features, views), view_scores
        )


def test_a_batch_of_photos_equals_the_photos_one_by_one():
    torch.manual_seed(0)
    model, photos = Vrn(weights=None).eval(), torch.rand(2, 3, 128, 192)
    views = [candidates.grid_anchors(192, 128)[:7], candidates.grid_anchors(192, 128)[10:15]]
    with torch.no_grad():
        together = model(photos, views)
        apart = [model(photos[[i]], [views[i]]) for i in range(2)]
    for joined, pieces in zip(together, zip(*apart, strict=True), strict=True):
        torch.testing.assert_close(joined, torch.cat(pieces), rtol=1e-4, atol=1e-4)


def test_the_papers_tables_agree_with_each_other():
    printed = paper.read("vrn")
    assert printed.tables["Table 1"].rows["VRN"] == printed.tables["Table 2"].rows["FS + RGL"]
    assert printed.tables["Table 1"].value("VPN", "Acc 5") is None
    assert list(METHOD.variants)[:4] == list(printed.tables["Table 2"].rows)
    for equation in printed.equations:
        module, _, name = equation["function"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_one_share_that_200_photos_cannot_have():
    odd = [
        (table.name, row, column)
        for table in paper.read("vrn").tables.values()
        for row in table.rows
        for column in ("Acc 1/5", "Acc 1/10")
        if table.value(row, column) is not None and (table.value(row, column) * 2) % 1
    ]
    assert odd == [("Table 2", "RGL", "Acc 1/10")]


def test_a_method_without_a_paper_is_named():
    with pytest.raises(CropnbError, match="widgets"):
        paper.read("widgets")


def test_claims_are_decided_by_the_whole_interval(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    # These photos aren't those of the experiment, whose middle says nothing of them.
    monkeypatch.setattr(type(METHOD), "blind", lambda self, experiment: {})

    def runs(share):
        hits = (torch.arange(200) < 200 * share).double().tolist()
        columns = dict.fromkeys(METHOD.columns, hits)
        fixed = dict.fromkeys((field.name for field in fields(Result)), "")
        return [Result(**fixed | {"seed": seed, "columns": columns}) for seed in (0, 1)]

    results = {"baseline": runs(0.5), "FS": runs(0.9), "RGL": runs(0.505), "FS + RGL": runs(0.6)}
    context = Context("vrn", "scenes", [], seeds=(0, 1))
    experiment = Experiment(METHOD, frozen=True, out=None)
    verdicts = {
        row.row: row
        for row in record.claims(context, experiment, results)
        if row.column == "Acc 1/5"
    }
    assert verdicts["splitter helps"].table == "claim, frozen backbone"
    assert verdicts["splitter helps"].verdict == "holds"
    assert verdicts["ranking gain helps"].verdict == "unsettled"
    assert verdicts["both beat the splitter alone"].verdict == "contradicted"
    assert verdicts["both beat the baseline"].ours == pytest.approx(10)


def test_the_program_writes_measured_claimed_and_pending_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    tiny = Profile(4, 2, 3, head_epochs=1, views=16, clip=CLIP)
    monkeypatch.setitem(METHOD.profiles, "smoke", tiny)
    arguments = ["--init", "random", "--device", "cpu", "--out", str(tmp_path), "--record"]
    variants = ["--frozen", "--variants", "baseline", "FS", "--seeds", "0", "1"]
    assert main(METHOD, [*arguments, *variants]) == 0
    rows = ledger.read("vrn")
    assert {row.row for row in rows if row.verdict == "measured"} == {
        "baseline, frozen backbone",
        "FS, frozen backbone",
    }
    assert {row.row for row in rows if row.table.startswith("claim")} == {"splitter helps"}
    waiting = [row for row in rows if row.verdict == "pending" and row.paper_value is not None]
    assert len(waiting) == 20  # 4 numbers of Table 1, 16 of Table 2
    assert all(row.dataset == "gaicd" and "photos" in row.note for row in waiting)
    assert not any(row.paper_value for row in rows if row.dataset == "scenes")


def write_layouts(root):
    """Eight scenes with one object each, written as GAICD's layouts."""
    for split, count in (("train", 6), ("test", 2)):
        for kind in ("annotations", "objects"):
            (root / kind / split).mkdir(parents=True)
        for number, sample in enumerate(datasets.load("scenes", split, form="gaicd", size=count)):
            boxes = sample.boxes.round().int().tolist()
            pairs = zip(boxes, sample.scores.tolist(), strict=True)
            lines = [f"{y1} {x1} {y2} {x2} {score}" for (x1, y1, x2, y2), score in pairs]
            (root / f"annotations/{split}/{number}.txt").write_text("\n".join(lines))
            (root / f"objects/{split}/{number}.txt").write_text("20 20 90 120\n")


def test_offsets_are_trained_on_layouts_too(tmp_path, monkeypatch):
    write_layouts(tmp_path / "data" / "gaicd")
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    (entry,) = plan.select(plan.read(), ["vrn/offsets-layouts"])
    monkeypatch.setitem(METHOD.profiles, "cpu", Profile(4, 2, 2, head_epochs=1, views=16))
    arguments = shlex.split(entry.command)[3:]
    seeds = arguments.index("--seeds")
    arguments[seeds + 1 : seeds + 4] = ["0"]
    out = ["--init", "random", "--device", "cpu", "--out", str(tmp_path)]
    assert main(METHOD, [*arguments, *out]) == 0
    rows = [row for row in ledger.read("vrn") if row.seeds and not row.table.startswith("claim")]
    assert {(row.table, row.dataset) for row in rows} == {("Table 2, layouts", "gaicd_layouts")}
    names = {row.row: row.ours for row in rows if row.column == "SRCC"}
    assert set(names) == {f"{name}, frozen backbone" for name in entry.variants}
    plain, moved = (names[f"baseline{by}, frozen backbone"] for by in ("", ", offset 1"))
    assert plain != moved


def test_longer_rows_are_the_trained_ones_with_twice_the_epochs():
    trained, longer = METHOD.profiles["trained"], METHOD.profiles["longer"]
    assert longer == replace(trained, epochs=2 * trained.epochs)
    names = ("vrn/trained", "vrn/longer")
    short, long = (plan.select(plan.read(), [name])[0] for name in names)
    assert long.variants == short.variants
    assert (len(long.seeds), long.minutes) == (3, 2 * short.minutes)
    runs = {entry.experiment.run("FS", 0).config_hash for entry in (short, long)}
    assert len(runs) == 2


def test_offsets_are_the_same_draws_and_reach_the_targets():
    experiment = Experiment(METHOD, init="random", out=None)
    half, whole, split = (
        METHOD.offsets(experiment.run(name, 3), 500)
        for name in ("baseline, offset 0.5", "baseline, offset 1", "FS, offset 1")
    )
    assert torch.equal(whole, split)
    torch.testing.assert_close(2 * half, whole)
    assert whole.std() == pytest.approx(1, abs=0.1)
    assert not METHOD.offsets(experiment.run("baseline", 3), 500).any()
    assert not torch.equal(whole, METHOD.offsets(experiment.run("baseline, offset 1", 4), 500))


def test_mean_subtracted_targets_do_not_see_an_offset():
    model, mos = built("mean-subtracted targets"), torch.tensor([2.0, 3.0, 4.5])
    views, scores = [candidates.grid_anchors(192, 128)[:3]], torch.tensor([0.3, -0.2, 0.1])
    model.from_features = lambda features, boxes: (scores, None)
    loss = METHOD.loss("mean-subtracted targets")
    plain, moved = (loss(model, None, views, mos + offset)["loss"].item() for offset in (0, 1.7))
    assert plain == pytest.approx(moved, rel=1e-6)
    baseline = METHOD.loss("baseline")
    model.from_features = lambda features, boxes: (scores + 3, None)
    plain, moved = (
        baseline(model, None, views, mos + offset)["loss"].item() for offset in (0, 1.7)
    )
    assert abs(plain - moved) > 0.1
