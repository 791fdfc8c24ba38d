"""Training, resuming, the program, the croppers and the ledger rows, on a handful of scenes."""

import dataclasses
import inspect
import pkgutil
import re
from dataclasses import fields, replace

import pytest
import torch

from cropnb import backbones, checkpoints, croppers, datasets, ledger, metrics, paper
from cropnb import boxes as box_math
from cropnb.datasets.base import CropDataset
from cropnb.errors import CheckpointError, CropnbError, LedgerError, WeightsUnavailable
from cropnb.runs import Experiment, Result, plan, program, record, results
from cropnb.runs.context import Context
from cropnb.set_prediction import (
    CropPhotos,
    CropPredictions,
    SetPredictionCropper,
    predict,
    set_accuracy,
)
from cropnb.set_prediction.cropper import (
    RATIO_SHARPNESS,
    SHARPNESS,
    SetCropper,
    likeliest_first,
    load_cropper,
    windows_of_ratio,
    windows_within,
)
from cropnb.set_prediction.recipe import METHOD, MUS
from cropnb.set_prediction.recipe.variants import FromCut
from cropnb.set_prediction.studies import anchors, figures, measures, scatter
from cropnb.set_prediction.studies.bench import matching_share
from cropnb.set_prediction.studies.required_ratio import (
    PEOPLE_SIZES,
    RATIO_SHARPNESSES,
    SHARPNESSES,
    TABLE,
)

SIZES = {"channels": 16, "heads": 2, "decoder_layers": 2, "hidden": 16}
TINY = replace(
    METHOD.profiles["smoke"],
    train_photos=6,
    validation_photos=2,
    test_photos=3,
    epochs=3,
    milestone=2,
    distil_after=2,
    longer=1,
    batch_size=2,
    test_side=64,
    sizes=SIZES,
)


def experiment(out, profile=TINY, form="gaicd") -> Experiment:
    return Experiment(METHOD, form=form, profile=profile, init="random", out=out, progress=False)


def test_the_loss_falls_and_a_set_comes_out(tmp_path):
    profile = replace(TINY, epochs=30, milestone=30, learning_rate=3e-3)
    trained = experiment(tmp_path, profile)
    result = trained.train("QG", 0)[2]
    losses = result.details["loss"]
    assert len(losses) == 30
    assert sum(losses[-3:]) < 0.85 * sum(losses[:3])
    predictions = METHOD.predictions(trained, "QG", 0)
    assert len(predictions) == 3
    assert predictions[0].xyxy.shape == (90, 4)
    assert (predictions[0].validity.diff() <= 0).all()
    scores = torch.tensor(result.details["epochs"])
    assert scores.shape == (30, 2, 3)
    assert scores.isfinite().all()
    assert set(result.columns) == set(METHOD.columns)


@pytest.mark.parametrize("variant", ["QG", "SD", "SD, running mean"])
def test_a_run_in_pieces_ends_with_the_same_bits(tmp_path, variant):
    whole, _, result = experiment(tmp_path / "whole").train(variant, 1)
    experiment(tmp_path / "pieces").train(variant, 1, max_steps=4)
    assert experiment(tmp_path / "pieces").finished(variant, 1) is None
    # The second piece begins within the self-distilled epochs of SD.
    experiment(tmp_path / "pieces").train(variant, 1, max_steps=8)
    last = experiment(tmp_path / "pieces")
    pieces, _, again = last.train(variant, 1)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), pieces.parameters(), strict=True)
    )
    assert again.details == result.details
    assert len(result.details["epochs"]) == (3 if variant == "QG" else 4)
    resumed, other = last.tensors(variant, 1), experiment(tmp_path / "whole").tensors(variant, 1)
    assert set(resumed) == {"xyxy", "validity", "starts", "crops"}
    assert all(torch.equal(value, other[name]) for name, value in resumed.items())


def test_variants_differ_and_keep_apart(tmp_path):
    trained = experiment(tmp_path)
    models = {name: trained.train(name, 0)[0] for name in ("QG", "w/o smoothing")}
    assert not torch.equal(
        models["QG"].validity_head.weight, models["w/o smoothing"].validity_head.weight
    )
    assert trained.finished("QG", 0).variant == "QG"
    assert len(METHOD.predictions(trained, "QG", 0)) == 3
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        METHOD.predictions(trained, "SD", 0)
    other = experiment(tmp_path, replace(TINY, learning_rate=1e-5))
    assert other.finished("QG", 0) is None
    assert other.run("QG", 0).folder != trained.run("QG", 0).folder


def test_a_finished_run_predicts_what_it_kept_and_has_a_card(tmp_path):
    trained = experiment(tmp_path)
    trained.train("QG", 0)
    model = trained.trained("QG", 0)
    test, features = METHOD.photos(trained, "test", "QG"), METHOD.features(trained, "test", model)
    for ours, resumed in zip(
        predict(model, test, features), METHOD.predictions(trained, "QG", 0), strict=True
    ):
        assert torch.equal(ours.xyxy, resumed.xyxy)
    card = checkpoints.load_weights(trained.run("QG", 0).folder / "weights.safetensors")[1]
    assert card["short_side"] == 64
    assert set(card["scores"]) == {"ACC 1/5", "ACC 1/10", "AP, ε = 0.85, K = 10"}


def test_a_run_goes_on_from_what_another_profile_trained_on_scenes(tmp_path, monkeypatch):
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    later = experiment(tmp_path, replace(TINY, starts_from="smoke", epochs=1, milestone=1))
    with pytest.raises(WeightsUnavailable, match="--dataset scenes --profile smoke"):
        later.model(later.run("QG", 0))
    first = Experiment(METHOD, profile="smoke", init="random", out=tmp_path, progress=False)
    first.train("QG", 0)
    start, trained = later.model(later.run("QG", 0)), first.trained("QG", 0)
    assert all(
        torch.equal(value, trained.state_dict()[name]) for name, value in start.state_dict().items()
    )
    assert later.run("QG", 0).identity["starts_from"] == first.run("QG", 0).config_hash
    assert "starts_from" not in first.run("QG", 0).identity["profile"]


def test_frozen_features_are_the_networks_and_computed_once(tmp_path, monkeypatch):
    first = experiment(tmp_path)
    model = first.model(first.run("QG", 0)).eval()
    features = METHOD.features(first, "train", model)
    photos = METHOD.photos(first, "train", "QG")
    with torch.no_grad():
        for flip in (False, True):
            torch.testing.assert_close(
                features([1], [flip])[0],
                model.features(photos.photo(1, flip)),
                atol=2e-3,
                rtol=2e-3,
            )
    monkeypatch.setattr(SetPredictionCropper, "features", None)
    again = experiment(tmp_path)
    cached = METHOD.features(again, "train", again.model(again.run("QG", 0)))
    assert torch.equal(cached([2], [False])[0], features([2], [False])[0])
    other = METHOD.features(again, "train", again.model(again.run("QG, good from 4 on", 0)))
    assert torch.equal(other([2], [False])[0], features([2], [False])[0])


def test_from_a_cut_on_the_rest_is_trained_and_a_kill_costs_nothing(tmp_path):
    given = {f.name: getattr(TINY, f.name) for f in fields(TINY)}
    given |= {"backbone_rate": 1e-3, "epochs": 2, "milestone": 1, "distil_after": 1}
    profile = FromCut(**given, trained_from="c3_3")
    trained, parted = (experiment(tmp_path / name, profile) for name in ("whole", "parted"))
    model = trained.model(trained.run("QG", 0)).eval()
    start = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    photos = METHOD.photos(trained, "train", "QG")
    live = [model.features(photos.photo(index, index == 1)) for index in (0, 1)]
    behind = METHOD.training_features(trained, model)["train"]([0, 1], [False, True])
    for ours, expected in zip(behind, live, strict=True):
        torch.testing.assert_close(ours, expected, atol=2e-3, rtol=2e-3)
    stem, trunk = backbones.split(model.backbone, "c3_3")
    ours = model.join(trunk(stem(photos.photo(0))[0]))
    torch.testing.assert_close(ours, live[0], atol=1e-4, rtol=1e-4)
    whole = trained.train("QG", 0)[0].state_dict()
    number = model.backbone.position("c3_3")
    for name, value in start.items():
        stays = int(name.split(".")[1]) <= number or "running" in name or "num_batches" in name
        assert torch.equal(value, whole[f"backbone.{name}"]) == stays, name
    parted.train("QG", 0, max_steps=2)
    resumed = parted.train("QG", 0)[0].state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    cropper = croppers.Cropper(SetCropper(trained.trained("QG", 0), profile.test_side))
    assert len(cropper(trained.parts["test"][0].photo(), k=2)) >= 1


def test_the_whole_network_is_trained_where_the_backbone_has_a_rate():
    profile = replace(TINY, backbone_rate=1e-3, epochs=1, milestone=1, short_sides=(48, 64))
    trained = experiment(None, profile)
    start = trained.model(trained.run("QG", 0)).backbone.state_dict()
    model, *_ = trained.train("QG", 0)
    changed = [
        name
        for name, value in model.backbone.state_dict().items()
        if not torch.equal(value, start[name])
    ]
    assert changed
    assert not any("running" in name for name in changed)  # batch statistics stay as they are
    frozen = Experiment(METHOD, profile="full", frozen=True, out=None)
    assert frozen.profile.backbone_rate is None


def test_profiles_follow_section_4_3():
    full, variants = METHOD.profiles["full"], METHOD.variants
    rates = (full.learning_rate, full.backbone_rate, full.weight_decay)
    assert rates == (1e-4, 1e-5, 1e-4)
    assert full.schedule(variants["QG"]) == (50, 40)
    assert full.schedule(variants["SD"]) == (60, 50)
    assert full.distil_after == 40
    smoothing = variants["QG"].smoothing
    assert (smoothing.mu, smoothing.lower, smoothing.upper) == (0.5, 2, 3.5)
    assert len({v.smoothing.mu for v in variants.values()}) == len(MUS) == 6
    assert full.short_sides[0] == 480
    assert full.short_sides[-1] == 800
    assert full.validation_photos == 36  # of GAICD v1's training photos


@pytest.fixture(scope="module")
def method() -> SetCropper:
    torch.manual_seed(0)
    model = SetPredictionCropper.light(None, **SIZES)
    with torch.no_grad():
        model.anchor_boxes.normal_()
        model.validity_head.weight.normal_()
    return SetCropper(model, short_side=64)


def test_proposals_are_boxes_of_the_photo(method):
    photo = datasets.load("scenes", "test", form="gaicd", size=1)[0].photo()
    crops = croppers.Cropper(method)(photo, k=5)
    assert len(crops) == 5
    for crop in crops:
        x1, y1, x2, y2 = crop.box.tolist()
        assert 0 <= x1 < x2 <= photo.width
        assert 0 <= y1 < y2 <= photo.height
    assert [crop.score for crop in crops] == sorted((crop.score for crop in crops), reverse=True)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 16 / 9])
def test_a_required_ratio_is_kept(method, aspect):
    photo = datasets.load("scenes", "test", form="gaicd", size=1)[0].photo()
    crops = croppers.Cropper(method)(photo, k=3, aspect=aspect)
    for crop in crops:
        x1, y1, x2, y2 = crop.box.tolist()
        assert (x2 - x1) / (y2 - y1) == pytest.approx(aspect, rel=1e-3)
        assert 0 <= crop.score <= 1


def test_a_window_of_a_ratio_is_where_the_set_is():
    """Two boxes at the left are likelier together than the single most valid one at the right."""
    boxes = torch.tensor([[200.0, 0, 300, 100], [0, 0, 100, 100], [10, 0, 110, 100]])
    validity = torch.tensor([0.55, 0.5, 0.5])
    look = (boxes, validity, (300, 100), 1.0)
    windows, overlaps = windows_of_ratio(*look, ratio_sharpness=None)
    assert float(windows[0][2]) < 150
    sharp, _ = windows_of_ratio(*look, sharpness=200.0, ratio_sharpness=None)
    assert sharp[0].tolist() == [200, 0, 300, 100]
    assert (overlaps.diff() <= 0).all()
    by_hand = metrics.expected_iou(windows[:1], (10 * validity).softmax(0), boxes)
    assert torch.allclose(overlaps[:1], by_hand)
    assert float(windows_of_ratio(*look)[0][0][2]) < 150


def test_a_window_of_a_ratio_is_as_large_as_people_draw_them():
    """A set of crops that leave the border out says where; how large is people's to say."""
    boxes, validity = torch.tensor([[120.0, 30, 180, 90]]), torch.ones(1)
    tight, _ = windows_of_ratio(boxes, validity, (300, 100), 1.0, ratio_sharpness=None)
    drawn, overlaps = windows_of_ratio(boxes, validity, (300, 100), 1.0)
    assert float(tight[0][2] - tight[0][0]) < 70 < float(drawn[0][2] - drawn[0][0])
    middle = float(drawn[0][0] + drawn[0][2]) / 2
    assert middle == pytest.approx(150, abs=15)
    # The score that a window carries is its overlap with the set all the same.
    assert overlaps[0] == pytest.approx(float(metrics.expected_iou(drawn[:1], validity, boxes)))


def test_the_likeliest_crop_of_a_set_comes_first_and_the_others_as_they_were():
    """The middle of three that agree, before the most valid one that stands alone."""
    boxes = torch.tensor(
        [[200.0, 0, 300, 100], [0, 0, 100, 100], [10, 0, 110, 100], [5, 0, 105, 100]]
    )
    validity = torch.tensor([0.55, 0.5, 0.45, 0.4])
    ordered, values = likeliest_first(boxes, validity, 1.0)
    assert ordered.tolist() == boxes[[3, 0, 1, 2]].tolist()
    assert torch.equal(values, validity[[3, 0, 1, 2]])
    assert torch.equal(likeliest_first(boxes, validity, 200.0)[0], boxes)
    assert torch.equal(likeliest_first(boxes, validity, None)[0], boxes)


def test_a_photo_of_a_few_pixels_has_a_window_of_a_ratio():
    windows, overlaps = windows_of_ratio(torch.tensor([[0.0, 0, 8, 6]]), torch.ones(1), (8, 6), 1.0)
    assert windows.tolist() == [[1, 0, 7, 6]]
    assert overlaps.shape == (1,)


def test_the_sharpness_is_the_best_on_validation_photos():
    rows = {
        row.row: row.ours
        for row in ledger.find("set_prediction", table=f"{TABLE}, taught photographs")
    }
    assert len(rows) == 2 + len(SHARPNESSES) * (1 + len(RATIO_SHARPNESSES))
    best = f"{PEOPLE_SIZES}, sharpness {SHARPNESS:g} and {RATIO_SHARPNESS:g}"
    assert max(rows, key=rows.get) == best


def test_windows_within_by_hand():
    boxes = torch.tensor([[0.0, 0, 40, 20], [10, 10, 20, 50]])
    assert windows_within(boxes, 1.0).tolist() == [[10, 0, 30, 20], [10, 25, 20, 35]]


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoints.save_weights(path, {"a": torch.zeros(1)}, {"method": "set_prediction"})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_cropper(path)
    checkpoints.save_weights(path, {"a": torch.zeros(1)}, {"method": "vrn"})
    with pytest.raises(CheckpointError, match="vrn"):
        load_cropper(path)


def photos(size: int = 3) -> CropPhotos:
    return CropPhotos(datasets.load("scenes", "test", form="gaicd", size=size), 64)


def labelled(test: CropPhotos, order: int = 1) -> list[CropPredictions]:
    """Predictions that are the annotation itself: every scored crop, the best (or the worst)
    first.
    """
    predictions = []
    for scored, scores in zip(test.scored, test.scores, strict=True):
        ranks = (order * scores).argsort(descending=True, stable=True)
        predictions.append(CropPredictions(scored[ranks], torch.linspace(0.9, 0.1, len(scored))))
    return predictions


def test_equation_7_asks_for_the_labelled_best():
    test = photos()
    assert set_accuracy(labelled(test), test, 5, 0.9).tolist() == [1, 1, 1]
    assert set_accuracy(labelled(test, -1), test, 1, 0.9).sum() == 0
    # The best of the predicted set, as the words define it, is in the set: always a hit.
    assert set_accuracy(labelled(test, -1), test, 90, 1.0).tolist() == [1, 1, 1]


RIGHT = {"QG": 1, "w/o smoothing": -1, "SD": -1}  # the order of each variant's crops


class Labelled(type(METHOD)):
    """The method, with predictions that are the annotation itself in place of a trained network."""

    def predictions(self, experiment, variant, seed):
        return labelled(self.photos(experiment, "test", variant), RIGHT[variant])


def ledger_rows(form: str, dataset: str = "scenes") -> list[ledger.Row]:
    """The rows of two seeds of three variants, none of them trained."""
    method = Labelled()
    profile = replace(TINY, train_photos=12, test_photos=16)
    measured = Experiment(method, form=form, profile=profile, out=None)
    runs = {}
    for variant in RIGHT:
        columns = method.columns_of(
            method.predictions(measured, variant, 0), method.photos(measured, "test", variant)
        )
        fixed = dict.fromkeys((field.name for field in dataclasses.fields(Result)), "")
        fixed |= {"minutes": 1.0, "init": "imagenet", "best": {}, "columns": columns}
        runs[variant] = [Result(**fixed | {"seed": seed}) for seed in (0, 1)]
    measured.dataset = dataset  # the rows of photographs, had we any
    context = Context("set_prediction", dataset, ["--record"], profile="cpu", seeds=(0, 1))
    return record.rows(context, measured, runs)


def test_rows_and_claims_keep_the_ledgers_rules(monkeypatch, tmp_path):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))

    def cells(rows: list[ledger.Row]) -> set[tuple[str, str, str]]:
        return {(row.table, row.row, row.column) for row in rows}

    def wanted(name: str, added: str = "") -> set[tuple[str, str, str]]:
        table = paper.read("set_prediction").tables[name]
        return {(name + added, row, column) for row in table.own for column in table.columns}

    rows = ledger_rows("gaicd")
    ledger.record("set_prediction", rows)
    assert len({row.key for row in rows}) == len(rows)
    assert wanted("Table 1") | wanted("Table 2") | wanted("Table 4") | wanted("Table 5") <= cells(
        rows
    )
    assert {("Figure 6", f"μ = {mu}", "ε = 0.90, K = 40") for mu in ("0", "0.5")} <= cells(rows)
    claims = {row.row: row for row in rows if row.table == "claim"}
    assert claims["guidance helps"].verdict == "holds"
    assert claims["guidance helps"].seeds == (0, 1)
    assert claims["distillation helps"].verdict == "unsettled"
    assert claims["distillation helps"].ours == 0
    # AP itself, with the interval of resampled photos.
    right = next(row for row in rows if row.table == "Table 2" and row.row.startswith("Ours"))
    ap = metrics.average_precision(labelled(photos(16)), photos(16).truths, 0.85, 5)
    assert right.ours == pytest.approx(100 * ap, abs=1e-3)
    assert right.low <= right.ours <= right.high
    blind = [row for row in rows if row.row.startswith("content-blind")]
    assert {row.table for row in blind} == {"Table 1", "Table 2"}
    assert all(row.seeds == () for row in blind)
    # What is measured in the forms of CPC and of GAICD v2 leaves the rows of v1's alone.
    on_cpc, on_v2 = ledger_rows("cpc"), ledger_rows("gaicd_v2")
    assert not {row.key for row in on_cpc} & {row.key for row in rows}
    assert not {row.key for row in on_v2} & {row.key for row in rows + on_cpc}
    assert wanted("Table 4, CPC") <= cells(on_cpc)
    assert wanted("Table 1, v2") | wanted("Table 2", ", v2") | wanted("Table 5", ", v2") <= cells(
        on_v2
    )
    assert {row.table for row in on_v2 if row.row == "guidance helps"} == {"claim, v2"}
    assert ("Figure 6, v2", "μ = 0.5", "ε = 0.90, K = 40") in cells(on_v2)
    # On the photographs of v2 they are the paper's own cells.
    real = cells(ledger_rows("gaicd_v2", "gaicd_v2"))
    assert wanted("Table 1, v2") | wanted("Table 2") | wanted("Table 4") | wanted("Table 5") <= real


def test_every_printed_cell_waits_for_an_entry_of_the_plan():
    waiting = {
        table for entry in plan.read() for table in entry.tables if entry.name.startswith("set")
    }
    assert waiting == set(paper.read("set_prediction").tables)


def test_every_printed_cell_waits_or_is_measured():
    tables = paper.read("set_prediction").tables
    assert [table.photos for table in tables.values()] == [200, 500, 500, 500, 500, 1000, 500, 500]
    assert tables["Table 2"].value("Ours (ε = 0.90)", "K = 40") == tables["Table 5"].value(
        "QG", "ε = 0.90, K = 40"
    )
    assert tables["Figure 6"].value("μ = 0.5", "ε = 0.90, K = 40") == tables["Table 2"].value(
        "Ours (ε = 0.90)", "K = 40"
    )
    assert tables["Table 4"].value("w/ SD", "K = 40") == tables["Table 5"].value(
        "SD", "ε = 0.85, K = 40"
    )
    numbers = [entry["number"] for entry in paper.read("set_prediction").equations]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]


def test_every_equation_names_a_function_that_carries_its_number():
    for equation in paper.read("set_prediction").equations:
        function = pkgutil.resolve_name(equation["function"])
        cited = re.findall(r"\(Eq\. ([^)]*)\)", inspect.getdoc(function))
        assert any(str(equation["number"]) in numbers for numbers in cited), equation["function"]


def test_the_program_trains_and_records(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_PLAN", str(plan.plan_file()))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    monkeypatch.setattr(anchors, "PATH", tmp_path / "anchors.json")
    weights = tmp_path / "weights.safetensors"
    monkeypatch.setattr(program, "weights_path", lambda *asked: weights)
    command = ["--init", "random", "--out", str(tmp_path), "--device", "cpu", "--record", "--ship"]
    assert program.main(METHOD, [*command, "--variants", "QG", "w/o smoothing"]) == 0
    assert "recorded" in capsys.readouterr().out
    recorded = ledger.read("set_prediction")
    assert {row.verdict for row in recorded} <= {"measured", "pending", *ledger.CLAIM_VERDICTS}
    assert any("--variants" in row.command for row in recorded)
    assert any(row.row.startswith("content-blind") and row.ours is not None for row in recorded)
    # What ships: a card with the ledger's scores, and how the anchors moved.
    result = results.read(next(tmp_path.rglob("QG-*/result.json")).parent)
    card = checkpoints.load_weights(weights, "set_prediction")[1]
    assert card["scores"]["ACC 1/5"] == pytest.approx(
        100 * result.means()["ε = 0.85, ACC 1/5"], abs=1e-3
    )
    assert (card["variant"], card["short_side"]) == ("QG", 64)
    moved = anchors.read()
    assert moved["epochs"] == [0, 1, 2, 3]
    assert torch.tensor(moved["starts"]).shape == (4, 90, 4)
    assert result.details["epoch_columns"][0].startswith("AP")
    assert program.main(METHOD, ["--dataset", "fcdb", "--out", str(tmp_path)]) == 2


def test_figures_on_what_is_annotated():
    test = photos()
    right, wrong = labelled(test), labelled(test, -1)
    quality, validity = (
        torch.cat(part) for part in zip(*measures.quality_and_validity(right, test), strict=True)
    )
    assert torch.corrcoef(torch.stack([quality, validity]))[0, 1] > 0.5
    quality, validity = (
        torch.cat(part) for part in zip(*measures.quality_and_validity(wrong, test), strict=True)
    )
    assert torch.corrcoef(torch.stack([quality, validity]))[0, 1] < -0.5
    assert measures.off_grid(right).sum() == 0
    assert measures.far_from_grid(right, test).sum() == 0
    elsewhere = [
        CropPredictions(torch.tensor([[0.4, 0.4, 0.6, 0.6]]).repeat(3, 1), one.validity[:3])
        for one in right
    ]
    assert measures.off_grid(elsewhere).tolist() == [1, 1, 1]
    assert measures.far_from_grid(elsewhere, test).tolist() == [1, 1, 1]
    assert measures.diversity([one.xyxy[:3] for one in elsewhere]).tolist() == [0, 0, 0]
    assert (measures.diversity([one.xyxy[:10] for one in right]) > 0).all()
    assert measures.diversity([right[0].xyxy[:1]]).isnan().all()
    assert (measures.area_bias(elsewhere, test, 3) < 0).all()
    assert measures.unmatched(right, test).isfinite().all()
    all_elsewhere = [
        CropPredictions(elsewhere[0].xyxy[:1].repeat(90, 1), torch.full((90,), 0.5))
    ] * 3
    assert measures.unmatched(all_elsewhere, test).isnan().all()
    overlap, (anchor, crop) = measures.farthest_from_grid(elsewhere[0], test.dataset[0].size)
    assert 0 < overlap < 0.85
    assert float(box_math.iou(anchor, crop)) == pytest.approx(overlap)
    assert measures.farthest_from_grid(right[0], test.dataset[0].size)[0] > 0.99


def test_what_is_matched_is_left_out_of_the_second_panel():
    test = photos()
    right = labelled(test)
    counts = [len(crops) for crops in test.crops]
    free = [
        measures.unmatched_anchors(one, crops) for one, crops in zip(right, test.crops, strict=True)
    ]
    assert [int((~each).sum()) for each in free] == counts
    all_pairs = measures.quality_and_validity(right, test)
    free_pairs = measures.quality_and_validity(right, test, unmatched_only=True)
    for (quality, _), (rest, _), count in zip(all_pairs, free_pairs, counts, strict=True):
        assert len(rest) == len(quality) - count
        assert rest.max() <= quality.max()
    assert all(reached.mean() == 1 for _, reached in measures.recall_by_area(right, test, count=90))
    areas = [area for area, _ in measures.recall_by_area(right, test)]
    assert areas == sorted(areas)


def test_a_blind_set_reaches_what_it_can():
    near, far = torch.tensor([0.0, 0, 0.5, 0.5]), torch.tensor([0.5, 0.5, 1, 1])
    crops = torch.stack(
        [near, near + 0.005, near + 0.01, far, far - 0.005, torch.tensor([0.0, 0.5, 0.5, 1])]
    )
    chosen = measures.blind_set(crops, 3)
    # the largest group first, none twice
    assert chosen.validity.tolist() == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert {tuple(box.round(decimals=1).tolist()) for box in chosen.xyxy} == {
        (0.0, 0.0, 0.5, 0.5),
        (0.5, 0.5, 1.0, 1.0),
        (0.0, 0.5, 0.5, 1.0),
    }
    assert len(measures.blind_set(crops, 40).xyxy) == len(crops)


def test_rows_of_the_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    Experiment(METHOD, init="random", out=tmp_path, progress=False).train("QG", 0)
    command = ["--init", "random", "--out", str(tmp_path), "--device", "cpu"]
    assert figures.main([*command, "--record"]) == 0
    recorded = ledger.read("set_prediction")
    assert {row.table for row in recorded} == {
        *("Figure 3", "Figure 4", "Figure 5", "Figure 7", "Section 5")
    }
    figure_7 = {row.row: row.split for row in recorded if row.table == "Figure 7"}
    assert figure_7 == {
        "QG, all anchors": "test",
        "QG, unmatched anchors of training photos": "train",
    }
    assert {(row.table, row.row, row.column) for row in recorded} == cells(command)
    (module,) = {row.command.split()[2] for row in recorded}
    assert module == "cropnb.set_prediction.studies.figures"
    panels = scatter.read("QG")
    assert [len(pairs) for pairs in panels.values()] == [3, 6]  # test, training photos
    quality, validity = next(iter(panels.values()))[0]
    assert quality.shape == validity.shape
    assert scatter.read("SD") is None
    scatter.path().write_text('{"QG, scenes": {}}', encoding="utf-8")
    with pytest.raises(LedgerError, match="holds no panels"):
        scatter.read("QG")
    assert "Figure 4" in capsys.readouterr().out
    assert figures.main([*command, "--variants", "SD"]) == 2


def cells(arguments):
    """What a call of `figures` says that it fills."""
    places = figures.places(arguments)
    return {(place.table, place.row, column) for place in places for column in place.columns}


class FewPhotos:
    """Stands in for `cropnb.datasets`: three photos instead of five hundred."""

    @staticmethod
    def load(name: str, split: str, **options: object) -> CropDataset:
        return datasets.load(name, split, size=3, **options)

    tested, takes_form = staticmethod(datasets.tested), staticmethod(datasets.takes_form)


def test_table_3_tests_on_flms_what_cpc_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "datasets", FewPhotos)
    cpc = experiment(tmp_path, replace(TINY, train_photos=12, epochs=1, distil_after=1), form="cpc")
    cpc.train("SD", 0)
    rows = figures.rows(Context("set_prediction", "scenes", []), cpc, "SD", [0])
    assert {(row.table, row.row, row.column) for row in rows} == cells(
        ["--form", "cpc", "--variants", "SD", "--device", "cpu"]
    )
    (table_3,) = [row for row in rows if row.table == "Table 3"]
    assert (table_3.row, table_3.column, table_3.images) == ("Ours", "IoU", 3)
    assert 0 < table_3.ours < 1
    assert all(
        "CPC" in row.row for row in rows if row.table in ("Figure 4", "Figure 5", "Section 5")
    )


def test_the_share_of_matching_needs_a_gpu_or_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(CropnbError, match="no CUDA"):
        matching_share(1)
