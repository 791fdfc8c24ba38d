"""Training: augmentations, the threshold's grid, resume, rows; and asking a trained Mars for
crops.
"""

import argparse
import json
import math
from dataclasses import replace

import pytest
import torch

from cropnb import checkpoints, croppers, datasets, ledger
from cropnb.errors import BoxError, CheckpointError, ImageError, WeightsUnavailable
from cropnb.mars import Mars, MarsCropper, load_cropper, predict, recipe
from cropnb.mars import losses as mars_losses
from cropnb.mars.losses import predict_crops, predicted_maps, search_threshold, step_loss
from cropnb.mars.model import LEFT_OUT, Variant
from cropnb.mars.photos import BAND, Augmentations, RatioPhotos, long_side_size, prepare
from cropnb.mars.ratio import RatioEmbedding
from cropnb.mars.recipe import METHOD, UNSEEN, MarsMethod, Profile, optimizer
from cropnb.mars.studies import table7
from cropnb.mars.studies.fixed_shape import FixedShape
from cropnb.runs import Experiment, Result, plan, program, record
from cropnb.runs.context import Context
from cropnb.runs.experiment import WEIGHTS_FILE

TINY = Profile(6, 3, 4, head_epochs=2, head_learning_rate=3e-3, batch_size=8, neurons=8, cells=24)
ARGUMENTS = {
    "neurons": 8,
    "embeddings": 11,
    "embedding_dim": 8,
    "out_channels": 16,
    "cut": "c4_1",
    "weights": None,
}


class Small(MarsMethod):
    """Mars with a small network."""

    variants = {
        "Mars": Variant({name: ARGUMENTS[name] for name in ARGUMENTS if name != "weights"}),
    }

    def arguments(self, experiment, variant):
        return dict(self.variants[variant].arguments)


def small(seed=0):
    torch.manual_seed(seed)
    return Mars(**ARGUMENTS)


def trial(out=None, profile=TINY):
    return Experiment(Small(), profile=profile, init="random", out=out, progress=False)


@pytest.fixture(scope="module")
def experiment():
    """Six photos in three views."""
    return trial(profile=replace(TINY, views=3))


@pytest.fixture(scope="module")
def photos(experiment):
    return experiment.photos("train")


@pytest.fixture(scope="module")
def features(experiment):
    return METHOD.features(experiment, small(), "train")


def test_the_longest_side_becomes_256_and_the_ratio_stays():
    assert long_side_size(1024, 683) == (256, 171)
    assert long_side_size(600, 800) == (192, 256)
    with pytest.raises(ImageError, match="40"):
        long_side_size(5000, 10)
    stretched = prepare(torch.rand(3, 100, 200), stretch=2**0.5)
    assert stretched.shape == (3, round(256 / (2 * 2**0.5)), 256)


def test_augmentations_mirror_and_stretch_photo_box_and_ratio_together(photos, features):
    augmentations = photos.augmentations
    assert augmentations.stretch[:, 0].tolist() == [1.0] * 6
    assert not augmentations.mirrored[:, 0].any()
    assert augmentations.mirrored[:, 1].all()
    assert (augmentations.stretch[:, 1:].log2().abs() <= 0.2).all()
    annotations = torch.arange(len(photos.owner))
    first = torch.ones_like(annotations)
    sizes = features(photos.owner, first)[1].float()
    boxes = photos.boxes(annotations, first, sizes)
    ratio = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    # whole pixels
    torch.testing.assert_close(ratio, photos.ratios(annotations, first), rtol=0.03, atol=0)
    plain = photos.boxes(annotations, torch.zeros_like(annotations), sizes)
    torch.testing.assert_close(plain[:, 0] + boxes[:, 2], sizes[:, 0])
    mirrored = RatioPhotos(datasets.load("scenes", "train", form="fat", size=1), 2, 0.0, False)
    torch.testing.assert_close(mirrored.photo(0, 1), mirrored.photo(0).flip(-1))
    assert Augmentations(3).stretch.tolist() == [[1.0]] * 3


def test_frozen_features_are_the_live_ones(experiment, features):
    model, indices = small().eval(), torch.tensor([0, 1, 2, 3])
    views = torch.tensor([0, 1, 2, 0])
    live = METHOD.features(experiment, model, "train", trained=True)(indices, views)
    cached = features(indices, views)
    assert torch.equal(live[1], cached[1])
    for number, (width, height) in enumerate((-(-live[1] // 16)).tolist()):
        a, b = (pair[0][number, :, :height, :width] for pair in (live, cached))
        assert (a - b).abs().max() < 0.02 * a.abs().max()  # half precision


def test_drawn_cells_give_the_loss_of_all_cells(photos, features):
    model, annotations = small(), torch.arange(len(photos.owner))
    batch = (model, photos, features, annotations, annotations % 3)
    whole = step_loss(*batch)["loss"]
    side = 16
    # leaves out padding only
    almost = step_loss(*batch, side * side - 1)["loss"]
    assert almost.item() == pytest.approx(whole.item(), abs=1e-5)
    rng = torch.Generator().manual_seed(0)
    noisy = torch.stack([step_loss(*batch, 24, rng)["loss"] for _ in range(100)])
    assert noisy.std() > 0
    assert noisy.mean().item() == pytest.approx(whole.item(), abs=4 * noisy.std().item() / 10)


def test_meta_learners_decay_more_than_the_base_model():
    model = small()
    groups = optimizer(model, Profile(1, 1, 1), 1e-4, 5e-5).param_groups
    assert [group["weight_decay"] for group in groups] == [1e-4, 1e-4, 1e-3]
    assert [group["lr"] for group in groups] == [5e-5, 1e-4, 1e-4]
    assert {id(p) for p in groups[0]["params"]} == {id(p) for p in model.backbone.parameters()}
    model.backbone.requires_grad_(False)
    groups = optimizer(model, Profile(1, 1, 1), 1e-4, 1e-4).param_groups
    assert [group["weight_decay"] for group in groups] == [1e-4, 1e-3]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.meta_parameters()}
    assert sum(len(group["params"]) for group in groups) == sum(
        p.requires_grad for p in model.parameters()
    )


def test_training_lowers_the_loss_and_the_same_seed_repeats_it():
    profile = replace(TINY, head_epochs=15, head_learning_rate=0.02)
    model, histories, _ = trial(profile=profile).train("Mars", 0)
    losses = histories["head"].column("loss")
    assert losses[-4:].mean() < losses[:4].mean() - 0.02
    before = small().backbone.state_dict()["units.0.0.weight"]
    assert torch.equal(model.backbone.state_dict()["units.0.0.weight"], before)  # frozen
    again = trial(profile=profile).train("Mars", 0)[0]
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )


def assert_a_stopped_run_continues(profile, tmp_path):
    whole = trial(tmp_path / "whole", profile).train("Mars", 0)[0].state_dict()
    parted = trial(tmp_path / "parts", profile)
    parted.train("Mars", 0, max_steps=1)
    (parted.run("Mars", 0).folder / "result.json").unlink(missing_ok=True)
    resumed = parted.train("Mars", 0)[0].state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    return whole


def test_a_stopped_run_continues_to_the_same_bits(tmp_path):
    assert_a_stopped_run_continues(TINY, tmp_path)
    run, other = (
        trial(tmp_path / "whole", profile).run("Mars", 0)
        for profile in (TINY, replace(TINY, meta_decay=0.5))
    )
    assert run.folder != other.folder


def test_the_whole_network_trains_too():
    before = small().backbone.state_dict()["units.0.0.weight"]
    profile = replace(TINY, head_epochs=0, epochs=1, views=1, cells=None)
    model, histories, _ = trial(profile=profile).train("Mars", 0, max_steps=1)
    assert len(histories["whole"].steps) == 1
    assert not torch.equal(model.backbone.state_dict()["units.0.0.weight"], before)


FROM_C3_3 = replace(TINY, head_epochs=0, epochs=1, trained_from="c3_3")


def test_features_behind_a_frozen_stem_are_the_live_ones(experiment):
    behind = trial(profile=replace(experiment.profile, trained_from="c3_3"))
    model, indices = small().eval(), torch.tensor([0, 1, 2, 3])
    views = torch.tensor([0, 1, 2, 0])
    live = METHOD.features(experiment, model, "train", trained=True)(indices, views)
    cached = METHOD.features(behind, model, "train", trained=True)(indices, views)
    assert torch.equal(live[1], cached[1])
    for number, (width, height) in enumerate((-(-live[1] // 16)).tolist()):
        a, b = (pair[0][number, :, :height, :width] for pair in (live, cached))
        assert (a - b).abs().max() < 0.02 * a.abs().max()  # half precision


def test_trained_from_a_cut_what_lies_before_it_stays(tmp_path):
    before = small().state_dict()
    after = assert_a_stopped_run_continues(FROM_C3_3, tmp_path)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    units = {int(name.split(".")[2]) for name in moved if name.startswith("backbone.units")}
    assert units == {7}  # c4_1 stands behind c3_3, the seventh unit
    assert not any("running" in name for name in moved)
    path = trial(tmp_path / "whole", FROM_C3_3).run("Mars", 0).folder / WEIGHTS_FILE
    assert load_cropper(path).predict(torch.rand(3, 64, 96), 1.5).boxes.shape == (1, 4)


def test_the_threshold_is_the_best_of_the_grid(photos, features):
    model = small()
    threshold, means = search_threshold(model, photos, features, number=6)
    assert len(means) == 19
    assert means[threshold] == max(means.values())
    boxes, _ = predict_crops(model, photos, features, [threshold])[threshold]
    assert photos.compare(boxes)["IoU"].mean().item() == pytest.approx(means[threshold], abs=1e-9)
    # only the training photos that were asked for
    assert search_threshold(model, photos, features, number=1)[1] != means


def test_a_perfect_map_measures_as_perfect(photos, features, monkeypatch):
    model = small()

    def true_maps(model, photos, features, annotations):
        maps, inside, sizes = predicted_maps(model, photos, features, annotations)
        boxes = photos.boxes(annotations, torch.zeros_like(annotations), sizes.float())
        targets = mars_losses.crop_masks(boxes, model.out_stride, *maps.shape[-2:])
        return targets, inside, sizes

    monkeypatch.setattr(mars_losses, "predicted_maps", true_maps)
    ((boxes, empty),) = predict_crops(model, photos, features).values()
    columns = photos.compare(boxes)
    assert columns["IoU"].mean() > 0.93  # cells of 4 pixels
    assert columns["Offset"].mean() < 3
    assert not empty.any()
    per_photo = photos.per_photo(columns["IoU"])
    assert per_photo.shape == (6,)
    assert per_photo.mean().item() == pytest.approx(columns["IoU"].mean().item())
    alike = photos.per_photo(columns["IoU"], by_annotation=False)
    assert alike[0].item() == pytest.approx(columns["IoU"][photos.owner == 0].mean().item())


def test_a_map_below_the_threshold_is_counted_as_empty(photos, features, monkeypatch):
    monkeypatch.setattr(
        mars_losses,
        "predicted_maps",
        lambda *given: tuple(
            part * 0 + 0.3 if not number else part
            for number, part in enumerate(predicted_maps(*given))
        ),
    )
    crops = predict_crops(small(), photos, features, [0.2, 0.4])
    assert not crops[0.2][1].any()
    assert crops[0.4][1].all()


def test_the_centred_window_is_the_largest_of_its_ratio(photos):
    boxes = photos.centred()
    sizes = photos.sizes[photos.owner]
    sides = boxes[:, 2:] - boxes[:, :2]
    torch.testing.assert_close(sides[:, 0] / sides[:, 1], photos.aspects)
    torch.testing.assert_close((sides / sizes).amax(1), torch.ones(len(boxes)))
    torch.testing.assert_close((boxes[:, :2] + boxes[:, 2:]) / 2, sizes / 2)


def test_without_required_ratios_the_true_crops_own_is_asked_for():
    free = RatioPhotos(datasets.load("scenes", "test", form="fcdb", size=2), progress=False)
    sides = (free.boxes_norm[:, 2:] - free.boxes_norm[:, :2]) * free.sizes
    torch.testing.assert_close(free.aspects, sides[:, 0] / sides[:, 1])
    with pytest.raises(BoxError, match="true boxes"):
        RatioPhotos(datasets.load("scenes", "test", form="gaicd", size=1), progress=False)


def test_real_datasets_are_not_stretched_and_fat_is_measured_on_held_out_photos():
    fat = Experiment(METHOD, "fat", profile="full", out=None)
    scenes = Experiment(METHOD, profile="full", out=None)
    assert (fat.profile.octaves, scenes.profile.octaves) == (0.0, 0.2)
    assert (fat.profile.validation_photos, scenes.profile.validation_photos) == (1000, 500)
    assert (METHOD.eval_split(fat), METHOD.eval_split(scenes)) == ("val", "test")
    again = Experiment(METHOD, "fat", profile="retrained", out=None)
    assert METHOD.eval_split(again) == "test"
    assert replace(again.profile, validation_photos=1000) == fat.profile
    frozen = Experiment(METHOD, profile="full", frozen=True, out=None)
    assert (frozen.profile.epochs, frozen.profile.head_epochs) == (0, 50)


def write_fat(root):
    """A copy of FAT's layout with six training photos and two test photos."""
    for split, count in (("train", 6), ("test", 2)):
        entries = []
        for number, sample in enumerate(datasets.load("scenes", split, form="fat", size=count)):
            name = f"{split}-{number}.jpg"
            (root / "images").mkdir(parents=True, exist_ok=True)
            sample.photo().save(root / "images" / name)
            width, height = sample.size
            lists = {"boxes": sample.boxes.tolist(), "aspects": sample.aspects.tolist()}
            entries.append({"name": name, "width": width, "height": height, **lists})
        (root / f"{split}.json").write_text(json.dumps(entries), encoding="utf-8")


def test_table_7s_networks_learn_from_all_training_photos(tmp_path, monkeypatch):
    write_fat(tmp_path / "data" / "fat")
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CROPNB_RUNS", str(tmp_path / "runs"))
    small = replace(TINY, train_photos=None, test_photos=None, head_epochs=1, threshold_photos=3)
    for name, held_out in (("full", 2), ("retrained", 0)):
        monkeypatch.setitem(METHOD.profiles, name, replace(small, validation_photos=held_out))
    parts = {
        name: Experiment(METHOD, "fat", profile=name, out=None).parts
        for name in ("full", "retrained")
    }
    sizes = {name: {part: len(of) for part, of in each.items()} for name, each in parts.items()}
    assert sizes == {
        "full": {"train": 4, "val": 2, "test": 2},
        "retrained": {"train": 6, "test": 2},
    }
    command = ["--dataset", "fat", "--profile", "retrained", "--init", "random", "--device", "cpu"]
    assert program.main(METHOD, [*command, "--out", str(tmp_path / "runs"), "--dry-run"]) == 0
    assert program.main(METHOD, [*command, "--out", str(tmp_path / "runs")]) == 0
    again = Experiment(METHOD, "fat", profile="retrained", init="random", out=tmp_path / "runs")
    result = again.finished("Mars", 0)
    assert (result.split, result.photos, result.validation) == ("test", 2, [])
    # No table prints them: Table 7 has a protocol of its own, and reads the weights.
    assert METHOD.places(again, "Mars") == []
    chosen = argparse.Namespace(trained_on="fat", weights=None)
    imagenet = Experiment(METHOD, "fat", profile="retrained", out=tmp_path / "runs")
    assert table7.weights(chosen)[0].parent == imagenet.run("Mars", 0).folder


def test_the_program_trains_records_and_reads_finished_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_PLAN", str(plan.plan_file()))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    profile = replace(TINY, head_epochs=1, threshold_photos=3)
    monkeypatch.setitem(METHOD.profiles, "smoke", profile)
    options = ["--init", "random", "--out", str(tmp_path), "--device", "cpu"]
    command = [*options, "--variants", "Mars", "no ARS-PWP", "--record"]
    assert program.main(METHOD, command) == 0
    both = {"table": "Table 3", "row": "both", "column": "IoU", "dataset": "scenes"}
    row = ledger.one("mars", **both, profile="smoke")
    assert row.verdict == "measured"
    assert ledger.one("mars", **both, profile="trained").verdict == "pending"
    assert row.paper_value is None  # scenes and photographs never share a column
    assert (row.images, row.profile, row.seeds) == (4, "smoke", (0,))
    assert "annotations; θ 0." in row.note
    too_short = "validation is too short to say whether it was still rising"
    assert row.note.endswith(f"8 neurons; frozen backbone; {too_short}; random start")
    assert not ledger.find("mars", table="Table 3", column="BDE", profile="smoke")
    claim = ledger.one("mars", table="claim", row="ARS-PWP helps beside ARS-FTM", column="Offset")
    assert claim.verdict in ledger.CLAIM_VERDICTS
    assert claim.worth_having == 1.0
    printed = ledger.one("mars", table="Table 7, FCDB", row="Mars, VGG16", column="IoU")
    assert (printed.verdict, printed.paper_value) == ("pending", 0.736)
    assert "--trained-on fat" in printed.note
    speed = ledger.one("mars", table="Table 2", row="FC 512 x 1", column="Speed")
    assert speed.note.startswith("a speed on the authors' GPU")
    assert ledger.find("mars", table="baseline", column="IoU")[0].ours > 0.2
    monkeypatch.setattr(Experiment, "train", lambda *_: pytest.fail("trained again"))
    assert program.main(METHOD, command) == 0
    # what there is, and nothing is trained
    assert program.main(METHOD, [*command, "--seeds", "0", "1", "--finished"]) == 0
    assert capsys.readouterr().out.count("Mars, seed 0") == 3
    cpu = ["--profile", "cpu", "--out", str(tmp_path), "--device", "cpu", "--finished"]
    assert program.main(METHOD, cpu) == 2
    assert "--finished" in capsys.readouterr().err


def test_a_finished_run_can_be_asked_for_crops(tmp_path):
    experiment = trial(tmp_path, replace(TINY, head_epochs=1))
    result = experiment.train("Mars", 0)[2]
    assert set(result.columns) == {*METHOD.columns, UNSEEN}
    assert result.details["annotations"] > result.photos == 4
    assert 0 <= result.details["nothing above"] <= 1
    assert len(result.details["thresholds"]) == 19
    cropper = load_cropper(experiment.run("Mars", 0).folder / WEIGHTS_FILE)
    assert cropper.threshold == result.details["threshold"]
    assert (cropper.card["dataset"], cropper.card["seed"]) == ("scenes", 0)
    image = torch.rand(3, 64, 96)
    expected = predict(experiment.trained("Mars", 0), image, 1.5, cropper.threshold).maps
    torch.testing.assert_close(cropper.predict(image, 1.5).maps, expected, atol=1e-4, rtol=1e-3)


def test_a_claim_about_offsets_holds_when_they_are_smaller(monkeypatch):
    middle = {"IoU": [0.5] * 8, "Offset": [60.0] * 8}
    monkeypatch.setattr(type(METHOD), "blind", lambda self, experiment: middle)
    experiment = Experiment(METHOD, "scenes", profile="smoke", init="random", out=None)
    blank = dict.fromkeys(Result.__dataclass_fields__, "")

    def runs(iou, offset):
        columns = {"IoU": [iou] * 8, "Offset": [offset] * 8, "BDE": [0.0] * 8}
        values = {"settings": {}, "columns": columns, "best": {}, "photos": 8}
        return [Result(**{**blank, **values, "seed": seed}) for seed in (0, 1)]

    results = {"Mars": runs(0.7, 40.0), "no ARS-FTM": runs(0.6, 50.0)}
    context = Context("mars", "scenes", [], seeds=(0, 1))
    rows = {row.column: row for row in record.claims(context, experiment, results)}
    assert set(rows) == {"IoU", "Offset"}
    assert {row.verdict for row in rows.values()} == {"holds"}
    assert rows["Offset"].ours == pytest.approx(10)
    swapped = {"Mars": results["no ARS-FTM"], "no ARS-FTM": results["Mars"]}
    contradicted = record.claims(context, experiment, swapped)
    assert {row.verdict for row in contradicted} == {"contradicted"}


def test_tables_name_groups_of_variants_and_every_claim_lies_in_one():
    from cropnb import paper

    assert METHOD.groups["Table 4"] == ["Mars", "scalar ratio", "nearest embedding"]
    for claim in paper.read("mars").claims:
        if "rival" in claim:
            continue
        pair = {claim["better"], claim["worse"]}
        of_no_table = "ratios left out" in pair
        assert of_no_table or any(pair <= set(names) for names in METHOD.groups.values())


def test_vectors_near_left_out_ratios_get_no_gradient():
    """Eight around each, whatever is asked for outside of the band."""
    place = torch.linspace(-1, 1, 4001)
    apart = (place[:, None] - torch.tensor(LEFT_OUT).log2()).abs().amin(1) > BAND
    embedding = RatioEmbedding()
    embedding(place[apart].exp2()).sum().backward()
    still = (embedding.vectors.weight.grad == 0).all(1).nonzero().squeeze(1)
    assert still.tolist() == [*range(17, 25), *range(76, 84)]


def test_left_out_ratios_are_never_asked_for_in_training(monkeypatch):
    asked = []

    def remember(model, photos, features, annotations, views, **others):
        asked.append(photos.ratios(annotations, views))
        return step_loss(model, photos, features, annotations, views, **others)

    monkeypatch.setattr(recipe, "step_loss", remember)
    monkeypatch.setitem(
        Small.variants, "ratios left out", replace(Small.variants["Mars"], left_out=LEFT_OUT)
    )
    profile = replace(TINY, train_photos=12, views=3)
    for variant, apart in (("Mars", False), ("ratios left out", True)):
        asked.clear()
        run = trial(profile=profile).train(variant, 0)[2]
        ratios = torch.cat(asked).log2()[:, None] - torch.tensor(LEFT_OUT).log2()
        assert bool((ratios.abs() > BAND).all()) == apart
        assert len(run.columns[UNSEEN]) == len(run.columns["IoU"])
    assert trial().run("ratios left out", 0).identity["variant"]["left_out"] == list(LEFT_OUT)
    assert "left_out" not in trial().run("Mars", 0).identity["variant"]


def test_views_and_photos_of_some_ratios_by_hand():
    photos = RatioPhotos(datasets.load("scenes", "train", form="fat", size=4), views=2, octaves=0.2)
    allowed = photos.without(LEFT_OUT)
    for annotation, ratio in enumerate(photos.aspects.tolist()):
        for view in range(2):
            asked = ratio * float(photos.augmentations.stretch[photos.owner[annotation], view])
            near = min(abs(math.log2(asked / other)) for other in LEFT_OUT)
            assert bool(allowed[annotation, view]) == (near > BAND)
    assert photos.without(()).all()
    values = torch.arange(len(photos.owner), dtype=torch.float64)
    means = photos.per_photo_of(values, LEFT_OUT)
    for photo in range(4):
        own = [
            float(value)
            for value, owner, ratio in zip(values, photos.owner, photos.aspects, strict=True)
            if owner == photo and min(abs(ratio - other) for other in LEFT_OUT) < 1e-3
        ]
        assert (own == [] and means[photo].isnan()) or means[photo] == sum(own) / len(own)
    assert means.isnan().any()
    assert not means.isnan().all()


@pytest.fixture
def checkpoint(tmp_path):
    model, path = small().eval(), tmp_path / "mars.safetensors"
    arguments = {name: value for name, value in ARGUMENTS.items() if name != "weights"}
    card = {"method": "mars", "arguments": arguments, "threshold": 0.35}
    checkpoints.save_weights(path, model.state_dict(), card)
    return model, path


def test_a_checkpoint_says_what_it_holds(checkpoint, tmp_path):
    model, path = checkpoint
    cropper = load_cropper(path)
    assert cropper.threshold == 0.35
    image = torch.rand(3, 120, 200)
    folded = cropper.predict(image, [0.5, 1.0, 1.5])
    torch.testing.assert_close(
        folded.maps, predict(model, image, [0.5, 1.0, 1.5]).maps, atol=1e-4, rtol=1e-3
    )
    with pytest.raises(WeightsUnavailable, match="train them"):
        load_cropper(tmp_path / "none.safetensors")
    checkpoints.save_weights(tmp_path / "odd.safetensors", model.state_dict(), {"method": "mars"})
    with pytest.raises(CheckpointError, match="no 'arguments'"):
        load_cropper(tmp_path / "odd.safetensors")
    checkpoints.save_weights(tmp_path / "vrn.safetensors", model.state_dict(), {"method": "vrn"})
    with pytest.raises(CheckpointError, match="vrn"):
        load_cropper(tmp_path / "vrn.safetensors")


def test_predict_gives_a_map_and_a_crop_for_each_ratio(checkpoint):
    model, _path = checkpoint
    image = torch.rand(3, 150, 300)
    prediction = predict(model, image, torch.tensor([0.5, 1.0, 3.0]))
    assert prediction.maps.shape == (3, 32, 64)
    assert prediction.boxes.shape == prediction.medians.shape == (3, 4)
    assert prediction.threshold.shape == (3,)
    sides = prediction.boxes[:, 2:] - prediction.boxes[:, :2]
    torch.testing.assert_close(
        sides[:, 0] / sides[:, 1], torch.tensor([0.5, 1.0, 3.0]), rtol=1e-3, atol=0
    )
    alone = predict(model, image, 1.0)
    torch.testing.assert_close(alone.boxes[0], prediction.boxes[1])
    for bad in (0.0, float("nan"), [1.0, -2.0]):
        with pytest.raises(BoxError):
            predict(model, image, bad)
    for photo in (torch.rand(3, 0, 5), torch.full((3, 4, 4), float("nan")), "nowhere.jpg"):
        with pytest.raises(ImageError):
            predict(model, photo, 1.0)


def test_the_cropper_answers_with_and_without_a_ratio(checkpoint):
    cropper = croppers.load("mars", weights=checkpoint[1])
    photo = datasets.load("scenes", "test", form="fat", size=1)[0].photo()
    (wide,) = cropper(photo, aspect=16 / 9)
    x1, y1, x2, y2 = wide.box.tolist()
    assert (x2 - x1) / (y2 - y1) == pytest.approx(16 / 9, rel=1e-3)
    (own,) = cropper(photo)
    x1, y1, x2, y2 = own.box.tolist()
    assert (x2 - x1) / (y2 - y1) == pytest.approx(photo.width / photo.height, rel=1e-3)
    assert (
        croppers.load("mars", weights=checkpoint[1])(photo, aspect=16 / 9)[0].box.tolist()
        == wide.box.tolist()
    )


def test_a_cropper_keeps_the_last_networks_only(checkpoint, monkeypatch):
    method = load_cropper(checkpoint[1])
    monkeypatch.setattr("cropnb.mars.cropper.REMEMBERED", 2)
    first = method.for_ratio(1.0)
    assert method.for_ratio(1.0) is first
    method.for_ratio(1.5), method.for_ratio(0.7)
    assert method.for_ratio(1.0) is not first


def test_the_fixed_shape_is_the_cropper_without_the_detours(checkpoint):
    method: MarsCropper = load_cropper(checkpoint[1])
    call = FixedShape(method, 1.25, 171, 256)
    for seed in range(3):
        image = torch.rand(3, 171, 256, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(
            call(image), method.propose(image, 1.25)[0][0], atol=1e-3, rtol=1e-4
        )
