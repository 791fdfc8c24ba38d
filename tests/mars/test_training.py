"""Training: targets, looks, the threshold's grid, resume, rows; and asking a trained Mars for
crops.
"""

from dataclasses import replace

import pytest
import torch

from cropnb import checkpoints, croppers, datasets, ledger
from cropnb.errors import BoxError, CheckpointError, ImageError, WeightsUnavailable
from cropnb.mars import FixedShape, Mars, MarsCropper, load_cropper, predict, recipe, rows
from cropnb.mars.__main__ import main
from cropnb.mars.experiment import Experiment
from cropnb.mars.fitting import (
    Data,
    Profile,
    fit,
    measure,
    optimizer,
    predicted_maps,
    search_threshold,
    step_loss,
)
from cropnb.mars.photos import FrozenFeatures, Looks, RatioPhotos, long_side_size, prepare

TINY = Profile(
    6,
    3,
    4,
    head_epochs=2,
    head_learning_rate=3e-3,
    batch_size=8,
    looks=2,
    octaves=0.2,
    neurons=8,
    cells=24,
)
ARGUMENTS = {
    "neurons": 8,
    "embeddings": 11,
    "embedding_dim": 8,
    "out_channels": 16,
    "cut": "c4_1",
    "weights": None,
}


def small(seed=0):
    torch.manual_seed(seed)
    return Mars(**ARGUMENTS)


@pytest.fixture(scope="module")
def photos():
    return RatioPhotos(datasets.load("scenes", "train", form="fat", size=6), progress=False)


@pytest.fixture(scope="module")
def data(photos):
    looks = Looks(6, 3, 0.2)
    return Data(photos, looks, FrozenFeatures(small(), photos, looks, progress=False))


def test_the_longest_side_becomes_256_and_the_ratio_stays():
    assert long_side_size(1024, 683) == (256, 171)
    assert long_side_size(600, 800) == (192, 256)
    with pytest.raises(ImageError, match="40"):
        long_side_size(5000, 10)
    stretched = prepare(torch.rand(3, 100, 200), stretch=2**0.5)
    assert stretched.shape == (3, round(256 / (2 * 2**0.5)), 256)


def test_looks_turn_and_stretch_photo_box_and_ratio_together(photos, data):
    assert data.looks.stretch[:, 0].tolist() == [1.0] * 6
    assert not data.looks.mirrored[:, 0].any()
    assert data.looks.mirrored[:, 1].all()
    assert (data.looks.stretch[:, 1:].log2().abs() <= 0.2).all()
    annotations = torch.arange(len(photos.owner))
    owner = photos.owner
    sizes = data.frozen.sizes[owner, 1].float()
    boxes = photos.boxes(annotations, data.looks.mirrored[owner, 1], sizes)
    ratio = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    wanted = photos.aspects * data.looks.stretch[owner, 1]
    torch.testing.assert_close(ratio, wanted, rtol=0.03, atol=0)  # whole pixels
    plain = photos.boxes(annotations, torch.zeros(len(owner), dtype=torch.bool), sizes)
    torch.testing.assert_close(plain[:, 0] + boxes[:, 2], sizes[:, 0])
    first = photos.photo(0)
    torch.testing.assert_close(photos.photo(0, mirrored=True), first.flip(-1))


def test_frozen_features_are_the_live_ones(photos, data):
    model, owner = small(), torch.tensor([0, 1, 2, 3])
    looks = torch.tensor([0, 1, 2, 0])
    live = Data(photos, data.looks).features(model.eval(), owner, looks, torch.device("cpu"))
    kept = data.features(model, owner, looks, torch.device("cpu"))
    assert torch.equal(live[1], kept[1])
    for number, (width, height) in enumerate((-(-live[1] // 16)).tolist()):
        a, b = (found[0][number, :, :height, :width] for found in (live, kept))
        assert (a - b).abs().max() < 0.02 * a.abs().max()  # half precision


def test_drawn_cells_give_the_loss_of_all_cells(data):
    model, annotations = small(), torch.arange(len(data.photos.owner))
    looks = annotations % 3
    whole = step_loss(model, data, annotations, looks)["loss"]
    side = 16
    # leaves out padding only
    almost = step_loss(model, data, annotations, looks, side * side - 1)["loss"]
    assert almost.item() == pytest.approx(whole.item(), abs=1e-5)
    draw = torch.Generator().manual_seed(0)
    some = torch.stack(
        [step_loss(model, data, annotations, looks, 24, draw)["loss"] for _ in range(100)]
    )
    assert some.std() > 0
    assert some.mean().item() == pytest.approx(whole.item(), abs=4 * some.std().item() / 10)


def test_meta_learners_decay_more_than_the_base_model():
    model = small()
    model.backbone.requires_grad_(False)
    groups = optimizer(model, Profile(1, 1, 1), 1e-4).param_groups
    assert [group["weight_decay"] for group in groups] == [1e-4, 1e-3]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.meta_parameters()}
    assert sum(len(group["params"]) for group in groups) == sum(
        p.requires_grad for p in model.parameters()
    )


def run(folder, data, max_steps=None, profile=TINY):
    model = small()
    fit(
        model,
        data,
        data,
        profile,
        0,
        folder,
        {"method": "mars"},
        progress=False,
        max_steps=max_steps,
    )
    return model.state_dict()


def test_training_lowers_the_loss_and_the_same_seed_repeats_it(data):
    profile = replace(TINY, head_epochs=15, head_learning_rate=0.02)
    torch.manual_seed(0)
    model = small()
    before = model.backbone.state_dict()["units.0.0.weight"].clone()
    (history,) = fit(model, data, data, profile, 0, None, {}, progress=False)
    losses = history.column("loss")
    assert losses[-4:].mean() < losses[:4].mean() - 0.02
    assert torch.equal(model.backbone.state_dict()["units.0.0.weight"], before)  # frozen
    again = small()
    fit(again, data, data, profile, 0, None, {}, progress=False)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_a_stopped_run_continues_to_the_same_bits(data, tmp_path):
    whole = run(tmp_path / "whole", data)
    profile_steps = 1
    run(tmp_path / "parts", data, max_steps=profile_steps)
    resumed = run(tmp_path / "parts", data)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with pytest.raises(CheckpointError, match="another"):
        run(tmp_path / "whole", data, profile=replace(TINY, meta_decay=0.5))


def test_the_whole_network_trains_too(photos):
    data = Data(photos, Looks(6))
    model = small()
    before = model.backbone.state_dict()["units.0.0.weight"].clone()
    profile = replace(TINY, head_epochs=0, epochs=1, cells=None)
    (history,) = fit(model, data, data, profile, 0, None, {}, progress=False, max_steps=1)
    assert len(history.steps) == 1
    assert not torch.equal(model.backbone.state_dict()["units.0.0.weight"], before)


def test_the_threshold_is_the_best_of_the_grid(data):
    model = small()
    threshold, means = search_threshold(model, data, photos=6)
    assert len(means) == 19
    assert means[threshold] == max(means.values())
    assert measure(model, data, threshold).overlap.mean().item() == pytest.approx(
        means[threshold], abs=1e-9
    )
    # only the training photos that were asked for
    assert search_threshold(model, data, photos=1)[1] != means


def test_a_perfect_map_measures_as_perfect(data, monkeypatch):
    from cropnb.mars import fitting
    from cropnb.mars.losses import crop_masks

    model = small()

    def true_maps(model, data, annotations):
        maps, inside, sizes = predicted_maps(model, data, annotations)
        upright = torch.zeros(len(annotations), dtype=torch.bool)
        boxes = data.photos.boxes(annotations, upright, sizes.float())
        return crop_masks(boxes, model.out_stride, *maps.shape[-2:]), inside, sizes

    monkeypatch.setattr(fitting, "predicted_maps", true_maps)
    found = measure(model, data)
    assert found.overlap.mean() > 0.93  # cells of 4 pixels
    assert found.offset.mean() < 3
    assert found.a_photo(found.overlap).mean().item() == pytest.approx(found.overlap.mean().item())


def test_without_required_ratios_the_true_crops_own_is_asked_for():
    kept = RatioPhotos(datasets.load("scenes", "test", form="fcdb", size=2), progress=False)
    sides = (kept.boxes_norm[:, 2:] - kept.boxes_norm[:, :2]) * kept.sizes
    torch.testing.assert_close(kept.aspects, sides[:, 0] / sides[:, 1])
    with pytest.raises(BoxError, match="true boxes"):
        RatioPhotos(datasets.load("scenes", "test", form="gaicd", size=1), progress=False)


def test_the_program_trains_records_and_reads_finished_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(recipe.PROFILES, "smoke", replace(TINY, head_epochs=1, threshold_photos=3))
    names = ["Mars", "no ARS-PWP"]
    command = [
        "--init",
        "random",
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
        "--variants",
        *names,
        "--record",
    ]
    assert main(command) == 0
    row = ledger.one("mars", table="Table 3", row="both", column="IoU", dataset="scenes")
    assert row.verdict == "measured"
    assert row.paper_value is None  # scenes and photographs never share a column
    assert (row.images, row.profile, row.seeds) == (4, "smoke", (0,))
    claim = ledger.one("mars", table="claim", row="ARS-PWP helps beside ARS-FTM", column="Offset")
    assert claim.verdict in ledger.CLAIM_VERDICTS
    printed = ledger.one("mars", table="Table 7, FCDB", row="Mars, VGG16", column="IoU")
    assert (printed.verdict, printed.paper_value) == ("pending", 0.736)
    assert ledger.find("mars", table="baseline", column="IoU")[0].ours > 0.2
    monkeypatch.setattr(Experiment, "run", lambda *_: pytest.fail("trained again"))
    assert main(command) == 0
    # what there is, and nothing is trained
    assert main([*command, "--seeds", "0", "1", "--finished"]) == 0
    assert capsys.readouterr().out.count("Mars, seed 0") == 3
    assert main(["--profile", "cpu", "--out", str(tmp_path), "--device", "cpu", "--finished"]) == 2
    assert "--finished" in capsys.readouterr().err


def test_a_claim_about_offsets_holds_when_they_are_smaller(monkeypatch):
    def runs(iou, offset):
        columns = {"IoU": [iou] * 8, "Offset": [offset] * 8, "BDE": [0.0] * 8}
        return [{"seed": seed, "columns": columns, "profile": "cpu"} for seed in (0, 1)]

    results = {"Mars": runs(0.7, 40.0), "no ARS-FTM": runs(0.6, 50.0)}
    context = rows.Context("mars", "scenes", [], seeds=(0, 1))
    found = {row.column: row for row in rows.claims(context, results)}
    assert {row.verdict for row in found.values()} == {"holds"}
    assert found["Offset"].ours == pytest.approx(10)
    swapped = rows.claims(context, {"Mars": results["no ARS-FTM"], "no ARS-FTM": results["Mars"]})
    assert {row.verdict for row in swapped} == {"contradicted"}


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
    found = cropper.predict(image, [0.5, 1.0, 1.5])
    torch.testing.assert_close(
        found.maps, predict(model, image, [0.5, 1.0, 1.5]).maps, atol=1e-4, rtol=1e-3
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
    found = predict(model, image, torch.tensor([0.5, 1.0, 3.0]))
    assert found.maps.shape == (3, 32, 64)
    assert found.boxes.shape == found.medians.shape == (3, 4)
    assert found.threshold.shape == (3,)
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    torch.testing.assert_close(
        sides[:, 0] / sides[:, 1], torch.tensor([0.5, 1.0, 3.0]), rtol=1e-3, atol=0
    )
    alone = predict(model, image, 1.0)
    torch.testing.assert_close(alone.boxes[0], found.boxes[1])
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
