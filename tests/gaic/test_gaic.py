"""The GAIC baseline: its scorer, its data and its program."""

import json

import pytest
import torch

import cropnb
from cropnb import backbones, candidates, checkpoints, datasets, files, ledger
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, CheckpointError, WeightsUnavailable
from cropnb.gaic import Gaic, ViewScorer, gaic_loss
from cropnb.gaic.losses import normalise
from cropnb.gaic.recipe import METHOD, FromCut, Profile
from cropnb.gaic.studies import bench
from cropnb.gaic.views import ScoredViews, draw_views, prepare
from cropnb.runs import Experiment
from cropnb.runs.maps import cached, from_cache, from_photos
from cropnb.runs.program import main

TINY = Profile(6, 3, 4, head_epochs=2, head_learning_rate=1e-3, epochs=1, views=16)


def features(batch=1):
    return torch.randn(batch, 8, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("discard", [True, False])
def test_sharing_the_discard_points_changes_no_score_and_no_gradient(discard):
    torch.manual_seed(0)
    scorer, views = ViewScorer(8, 32, discard=discard).eval(), candidates.grid_anchors(384, 256)
    maps = features(2).requires_grad_()
    results = []
    for score in (scorer, scorer.score_densely):
        scores = score(maps, [views, views[:5]])
        scorer.zero_grad()
        results.append(
            (scores, *torch.autograd.grad(scores.square().sum(), [maps, *scorer.parameters()]))
        )
    for quick, plain in zip(*results, strict=True):
        torch.testing.assert_close(quick, plain, rtol=1e-4, atol=1e-5)
    assert results[0][0].shape == (len(views) + 5,)


def test_what_is_discarded_matters():
    torch.manual_seed(0)
    scorer, view = ViewScorer(8, 32).eval(), torch.tensor([[100.0, 60.0, 280.0, 200.0]])
    maps, changed = features(), features()
    changed[..., :3, :4] += 5  # a corner that the view leaves out, away from its border
    assert (scorer(maps, [view]) - scorer(changed, [view])).abs() > 1e-3
    blind = ViewScorer(8, 32, discard=False).eval()
    torch.testing.assert_close(blind(maps, [view]), blind(changed, [view]))


def test_scores_do_not_depend_on_the_other_views():
    torch.manual_seed(0)
    model, views = Gaic(weights=None).eval(), candidates.grid_anchors(384, 256)
    photo = torch.rand(1, 3, 256, 384)
    with torch.no_grad():
        together = model(photo, [views])
        torch.testing.assert_close(model(photo, [views[[7]]])[0], together[7], rtol=1e-4, atol=1e-5)
        turned = model(photo, [views.flip(0)]).flip(0)
    torch.testing.assert_close(turned, together, rtol=1e-4, atol=1e-5)


def test_the_loss_is_huber_on_normalised_scores():
    model, mos = Gaic(weights=None).eval(), torch.tensor([2.95, 3.75, 1.0])
    torch.testing.assert_close(normalise(mos)[:2], torch.tensor([0.0, 1.0]))
    maps, views = torch.rand(1, 448, 16, 24), [candidates.grid_anchors(384, 256)[:3]]
    error = (model.view_scores(maps, views) - normalise(mos)).abs()
    by_hand = torch.where(error < 1, error**2 / 2, error - 0.5).mean()
    torch.testing.assert_close(gaic_loss(model, maps, views, mos)["loss"], by_hand)


def test_boxes_follow_the_rounding_of_each_side():
    image, boxes = (
        torch.rand(3, 300, 500),
        torch.tensor([[0.0, 0.0, 500.0, 300.0], [250.0, 150.0, 400.0, 200.0]]),
    )
    photo, views = prepare(image, boxes)
    assert photo.shape == (3, 256, 416)
    expected = torch.tensor([[0.0, 0.0, 416.0, 256.0], [208.0, 128.0, 332.8, 170.6667]])
    torch.testing.assert_close(views, expected)
    one_scale = boxes * 256 / 300
    assert (views - one_scale).abs().max() > 10  # the plausible wrong version


@pytest.mark.parametrize("method", ["gaic", "vrn"])
def test_a_cropper_scores_as_the_recipe_measures_but_for_the_rounding_to_bytes(method: str) -> None:
    """So that a share may differ by a photo whose two best crops have all but the same score."""
    scenes, apart = datasets.load("scenes", "test", form="gaicd", size=4), []
    views, cropper = ScoredViews(scenes, progress=False), cropnb.load(method, "scenes").method
    for index, sample in enumerate(scenes):
        with torch.inference_mode():
            maps = cropper.model.features(views.photo(index))
            measured = cropper.model.view_scores(maps, [views.boxes(index)])
        rounded = (cropper.see(sample.image()) * 255).round() / 255
        (same,) = cropper.score_all([rounded], [sample.size], [sample.boxes])
        torch.testing.assert_close(same, measured, rtol=1e-3, atol=1e-3)
        plain = cropper.score_boxes(sample.image(), sample.boxes)
        apart.append((plain - measured).abs().max().item())
    assert 0.002 < max(apart) < 0.05


def test_mirroring_a_photo_mirrors_its_boxes():
    views = ScoredViews(datasets.load("scenes", "train", form="gaicd", size=1), progress=False)
    photo, mirrored = views.photo(0), views.photo(0, True)
    torch.testing.assert_close(mirrored.flip(-1), photo)
    x1, y1, x2, y2 = views.boxes(0)[3].round().int().tolist()
    a1, b1, a2, b2 = views.boxes(0, True)[3].round().int().tolist()
    torch.testing.assert_close(mirrored[..., b1:b2, a1:a2].flip(-1), photo[..., y1:y2, x1:x2])


def test_frozen_features_are_the_networks(tiny_run):
    experiment, (model, _, _) = tiny_run
    model = experiment.model(experiment.run("GAIC", 0)).eval()
    views = experiment.photos("train")
    cached = from_cache(METHOD.frozen_features(experiment, "train", model))
    with torch.no_grad():
        for mirrored in (False, True):
            torch.testing.assert_close(
                cached([0], [mirrored])[0],
                model.features(views.photo(0, mirrored)),
                rtol=2e-3,
                atol=2e-3,
            )


FROM_CUT = FromCut(6, 3, 4, epochs=2, learning_rate=1e-3, views=16)


def test_from_a_cut_on_the_features_are_the_networks_and_nothing_before_it_is_trained(tmp_path):
    experiment = Experiment(METHOD, profile=FROM_CUT, init="random", out=None, progress=False)
    run = experiment.run("GAIC", 0)
    model = experiment.model(run).eval()
    photos = experiment.photos("train")
    stem, trunk = backbones.split(model.features.backbone, "c3_3")
    with torch.no_grad():
        photo = photos.photo(0)
        torch.testing.assert_close(
            model.features.from_stem(stem(photo)[0], trunk),
            model.features(photo),
            rtol=1e-4,
            atol=1e-4,
        )
        cache = cached(experiment, "train", stem, photos, ScoredViews.size)
        behind = from_cache(cache, "cpu", lambda maps: model.features.from_stem(maps, trunk))
        indices, mirrored = [4, 0, 2, 5, 1], [False, True, True, False, False]
        pairs = zip(
            behind(indices, mirrored),
            from_photos(model.features, photos)(indices, mirrored),
            strict=True,
        )
        for ours, live in pairs:
            torch.testing.assert_close(ours, live, rtol=2e-3, atol=2e-3)
    before = {name: value.clone() for name, value in model.features.state_dict().items()}
    trained = experiment.train("GAIC", 0)[0].features.state_dict()
    number = model.features.backbone.position("c3_3")
    for name, value in before.items():
        unit = int(name.split(".")[2])
        same = unit <= number or "running" in name or "num_batches" in name
        assert torch.equal(value, trained[name]) == same, name


def test_trained_from_a_cut_the_weights_are_the_networks_and_a_kill_costs_nothing(tmp_path):
    whole, parted = (
        Experiment(METHOD, profile=FROM_CUT, init="random", out=tmp_path / out, progress=False)
        for out in ("whole", "parted")
    )
    model = whole.train("GAIC", 0)[0]
    parted.train("GAIC", 0, max_steps=3)
    resumed = parted.train("GAIC", 0)[0]
    assert all(map(torch.equal, model.state_dict().values(), resumed.state_dict().values()))
    cropper = cropnb.load("gaic", weights=whole.run("GAIC", 0).folder / "weights.safetensors")
    sample = whole.parts["test"][0]
    views = ScoredViews(CropDataset("one", "test", "gaicd", None, [sample]), progress=False)
    with torch.no_grad():
        expected = model(views.photo(0), [views.boxes(0)])
    torch.testing.assert_close(
        torch.as_tensor(cropper.score(sample.photo(), sample.boxes)), expected, rtol=1e-3, atol=1e-3
    )


def test_views_are_drawn_without_repetition():
    drawn = draw_views(90, 64, torch.Generator().manual_seed(0))
    assert len(set(drawn.tolist())) == 64
    assert draw_views(40, 64, torch.Generator()) == slice(None)


def test_unscored_boxes_are_refused():
    sample = Sample("x", 64, 64, torch.tensor([[0.0, 0.0, 9.0, 9.0]]), load_photo=lambda: None)
    broken = CropDataset("flms", "test", "flms", None, [sample])
    with pytest.raises(BoxError, match="no scored views"):
        ScoredViews(broken, progress=False)


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    experiment = Experiment(METHOD, profile=TINY, init="random", out=out, progress=False)
    return experiment, experiment.train("GAIC", 0)


def test_a_run_leaves_weights_and_results(tiny_run):
    experiment, (model, histories, result) = tiny_run
    folder = experiment.run("GAIC", 0).folder
    assert json.loads((folder / "result.json").read_text())["columns"] == result.columns
    assert [len(histories[stage].steps) for stage in ("head", "whole")] == [12, 6]
    assert result.photos == len(result.columns["Acc 1/5"]) == len(result.best["Acc 1/5"]) == 4
    state, card = checkpoints.load_weights(folder / "weights.safetensors", "gaic")
    assert card["variant"] == "GAIC"
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert files.file_hash(folder / "weights.safetensors") == result.checkpoint_hash


def test_a_finished_run_is_not_trained_again(tiny_run, monkeypatch):
    experiment, (_, _, result) = tiny_run
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    assert experiment.train("GAIC", 0)[2] == result
    assert experiment.finished("GAIC", 0) == result


def test_a_frozen_run_leaves_the_backbone_alone():
    frozen = Profile(4, 2, 2, head_epochs=1, views=16)
    experiment = Experiment(METHOD, profile=frozen, init="random", out=None, progress=False)
    before = experiment.model(experiment.run("GAIC", 0)).features.state_dict()
    model, histories, _ = experiment.train("GAIC", 0)
    assert set(histories) == {"head"}
    assert all(
        torch.equal(before[name], value) for name, value in model.features.state_dict().items()
    )


def test_the_program_records_and_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(
        "cropnb.runs.program.weights_path", lambda *asked: tmp_path / "shipped.safetensors"
    )
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    given = ["--init", "random", "--device", "cpu", "--record", "--ship"]
    arguments = [*given[:4], "--out", str(tmp_path / "runs"), *given[4:]]
    assert main(METHOD, arguments) == 0
    rows = [row for row in ledger.read("gaic") if row.verdict != "pending"]
    assert {row.column for row in rows} >= {"Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10", "SRCC"}
    for row in rows:
        assert row.images == 4
        assert row.verdict == "measured"
        assert "random start" in row.note
        assert row.command == f"python -m cropnb.gaic {' '.join(given)}"
    cropper = cropnb.load("gaic", weights=tmp_path / "shipped.safetensors")
    assert len(cropper(torch.rand(3, 300, 400), k=3)) == 3
    with pytest.raises(CheckpointError):
        cropnb.load("vrn", weights=tmp_path / "shipped.safetensors")
    assert "Acc 1/5" in capsys.readouterr().out


def test_the_program_answers_missing_weights_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    assert main(METHOD, ["--out", str(tmp_path)]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("error: ImageNet weights of mobilenet_v2")
    )


def test_missing_shipped_weights_say_how_to_train_them(monkeypatch, tmp_path):
    monkeypatch.setattr("cropnb.croppers.shipped", lambda *asked: tmp_path / "none")
    with pytest.raises(WeightsUnavailable, match=r"python -m cropnb\.gaic"):
        cropnb.load("gaic")


def test_the_fast_training_step_has_the_loss_of_the_plain_one():
    torch.manual_seed(0)
    plain, fast = bench.training_steps(Gaic(weights=None), gaic_loss, rate=0.0)
    assert plain() == pytest.approx(fast(), rel=1e-4)
