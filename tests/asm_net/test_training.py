"""Data, training runs, ledger rows and the program."""

import importlib
import json

import pytest
import torch

import cropnb
from cropnb import checkpoints, datasets, files, ledger, metrics, paper, training
from cropnb.asm_net import AsmNet, experiment, recipe, rows
from cropnb.asm_net import __main__ as program
from cropnb.asm_net import photos as reading
from cropnb.asm_net.experiment import Experiment, load_splits, step
from cropnb.asm_net.photos import ScoredPhotos
from cropnb.asm_net.recipe import Profile, Variant
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, CropnbError
from cropnb.saliency import spectral_residual

TINY = Profile(10, 4, 5, head_epochs=2, head_batch=4, epochs=1, batch=4)


@pytest.fixture(scope="module", autouse=True)
def small_photos():
    """A quarter of the side, a sixteenth of the time: nothing here is about how good a network
    gets.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "SHORT_SIDE", 64)
        yield


@pytest.fixture(scope="module")
def scenes():
    return datasets.load("scenes", "train", form="cpc", size=8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AsmNet(weights=None).eval()


def test_batches_hold_the_photos_of_the_dataset(scenes):
    photos = ScoredPhotos(scenes, progress=False)
    assert len(photos) == 8
    for index in range(8):
        (batch,) = photos.batches([index])
        sample = scenes[index]
        width, height = batch.size
        assert min(width, height) == 64
        assert width % 32 == height % 32 == 0
        assert batch.images.shape == (1, 3, height, width)
        torch.testing.assert_close(batch.mos[0], sample.scores)
        share = sample.boxes / torch.tensor([sample.width, sample.height] * 2)
        torch.testing.assert_close(batch.boxes[0] / torch.tensor([width, height] * 2), share)
        salient = spectral_residual(batch.images[0])
        torch.testing.assert_close(batch.saliency_at((8, 8))[0], salient.unfold(0, height // 8, height // 8).unfold(
            1, width // 8, width // 8
        ).mean((-1, -2)), rtol=0, atol=0.01)  # fmt: skip


def test_photos_of_one_size_come_together(scenes):
    photos = ScoredPhotos(scenes, progress=False)
    together = list(photos.batches(range(8)))
    assert len({batch.size for batch in together}) == len(together) < 8
    assert sum(len(batch.mos) for batch in together) == 8
    numbers = photos.by_photo(lambda batch: (batch.mos.sum(1),))
    assert [round(n.item(), 3) for (n,) in numbers] == [
        round(s.scores.sum().item(), 3) for s in scenes.samples
    ]


def test_mirroring_turns_photo_boxes_and_saliency(scenes):
    photos = ScoredPhotos(scenes, progress=False)
    (plain,), (turned,) = photos.batches([0]), photos.batches([0], mirrored=True)
    torch.testing.assert_close(turned.images.flip(-1), plain.images)
    torch.testing.assert_close(turned.saliency.flip(-1), plain.saliency)
    x1, y1, x2, y2 = plain.boxes[0, 5].round().int().tolist()
    a1, b1, a2, b2 = turned.boxes[0, 5].round().int().tolist()
    torch.testing.assert_close(
        turned.images[..., b1:b2, a1:a2].flip(-1), plain.images[..., y1:y2, x1:x2]
    )
    torch.testing.assert_close(turned.mos, plain.mos)


@torch.no_grad()
def test_frozen_features_are_the_networks(scenes, model, tmp_path):
    photos, cache = ScoredPhotos(scenes, progress=False), tmp_path / "kept.safetensors"
    made = ScoredPhotos(scenes, model=model, cache=cache, progress=False)
    again = ScoredPhotos(scenes, model=model, cache=cache, progress=False)
    for index in range(8):
        maps = [
            next(iter(part.batches([index]))).score_map(model) for part in (photos, made, again)
        ]
        torch.testing.assert_close(maps[1], maps[0], rtol=0, atol=5e-3)
        assert torch.equal(maps[1], maps[2])
    with pytest.raises(CropnbError, match="not mirrored"):
        next(iter(made.batches([0], mirrored=True)))


def test_photos_without_a_pair_are_left_out_of_training():
    def sample(name, scores):
        boxes = torch.tensor([[0.0, 0.0, 60.0, 60.0], [10.0, 10.0, 64.0, 64.0]])
        photo = datasets.load("scenes", "train", form="cpc", size=1)[0].photo().resize((64, 64))
        return Sample(name, 64, 64, boxes, scores=torch.tensor(scores), load_photo=lambda: photo)

    both = CropDataset(
        "cpc", "train", "cpc", None, [sample("flat", [1.0, 1.1]), sample("steep", [1.0, 2.0])]
    )
    photos = ScoredPhotos(both, 0.3, progress=False)
    assert (len(photos), photos.left_out) == (1, 1)
    assert next(iter(photos.batches([0]))).mos.tolist() == [[1.0, 2.0]]
    assert len(ScoredPhotos(both, None, progress=False)) == 2
    with pytest.raises(
        CropnbError, match=r"no photo of cpc \(train\) has a pair at delta = 1\.5; lower it"
    ):
        ScoredPhotos(both, 1.5, progress=False)


def test_true_boxes_teach_nothing():
    with pytest.raises(BoxError, match="no scored crops"):
        ScoredPhotos(datasets.load("scenes", "train", form="fcdb", size=1), progress=False)


def test_a_step_is_the_mean_over_photos_whatever_their_sizes(scenes, model):
    photos = ScoredPhotos(scenes, 0.3, model, progress=False)
    compute = step(model, photos, Variant(weight=2.0), 0.3, mirror=False)
    draw = torch.Generator()
    together = compute(list(range(8)), draw)
    apart = [compute([index], draw) for index in range(8)]
    for name in ("loss", "ranking", "saliency"):
        torch.testing.assert_close(
            together[name], torch.stack([part[name] for part in apart]).mean()
        )
    torch.testing.assert_close(together["loss"], together["ranking"] + 2 * together["saliency"])
    per_pair = step(model, photos, Variant(per_pair=True), 0.3, mirror=False)(list(range(8)), draw)
    assert per_pair["ranking"] < together["ranking"] / 50


def test_training_finds_the_map_that_made_the_scores(scenes, model):
    """Features of noise, scored by a hidden map with the pattern: what was learned has to rank
    other crops too.
    """
    torch.manual_seed(1)
    photos, hidden = ScoredPhotos(scenes, None, model, progress=False), AsmNet(weights=None)
    for (height, width, _), kept in photos._groups.items():
        for name in ("level0", "level1", "level2"):
            kept[name] = torch.randn_like(kept[name].float()).half()
        left = torch.rand(*kept["mos"].shape, 2) * torch.tensor([width / 2, height / 2])
        kept["boxes"] = torch.cat([left, left + torch.tensor([width / 2, height / 2])], dim=-1)
    for index in range(8):
        (batch,) = photos.batches([index])
        _, group, position = photos._place[index]
        with torch.no_grad():
            scores = experiment.crop_scores(hidden, batch)[0]
        photos._groups[group]["mos"][position] = 2 * (scores - scores.mean()) / scores.std()
    network = AsmNet(weights=None)
    network.head.convolution.weight.data.zero_()
    compute = step(network, photos, Variant(), 0.3, mirror=False)
    history = training.train(network.head, compute, 8, training.Recipe(15, 1e-2, 8), progress=False)
    losses = history.column("loss")
    assert losses[-1] < 0.3 * losses[0]
    assert experiment.pair_accuracy(experiment.pair_counts(network, photos, 0.3)) > 0.9


def test_every_variant_of_the_paper_is_there():
    tables = paper.read("asm_net").tables
    assert set(tables["Table 1"].rows) == set(recipe.TABLE_1) <= set(recipe.VARIANTS)
    known = {*recipe.VARIANTS, *recipe.SAME_RUN}
    assert (
        {row for row in tables["Figure 5"].rows if "less" not in row}
        == set(recipe.FIGURE_5)
        <= known
    )
    for claim in paper.read("asm_net").claims:
        assert {claim["better"], claim["worse"]} <= known
    assert recipe.VARIANTS["λ=10"] == Variant("cross_rectangle", 10.0)
    assert recipe.VARIANTS["λ=10, mean over pairs"].per_pair
    assert recipe.VARIANTS[recipe.MAIN].weight == 0.1
    for equation in paper.read("asm_net").equations:
        module, _, name = equation["function"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_what_does_not_matter_does_not_tell_runs_apart():
    frozen = Profile(1, 1, 1, head_epochs=2)
    assert (
        frozen.settings() == Profile(1, 1, 1, head_epochs=2, learning_rate=5.0, stem=4).settings()
    )
    whole = Profile(1, 1, 1, epochs=2)
    assert whole.settings() != Profile(1, 1, 1, epochs=2, learning_rate=5.0).settings()
    assert whole.settings() != Profile(1, 1, 1, epochs=2, stem=4).settings()


def test_cpc_is_measured_on_its_validation_photos(tmp_path, monkeypatch):
    def fake(name, split):
        samples = [
            Sample(f"{split}{i}", 9, 9, torch.zeros(1, 4), load_photo=lambda: None)
            for i in range(10)
        ]
        return CropDataset(name, split, "cpc", tmp_path, samples)

    monkeypatch.setattr(datasets, "load", fake)
    train, held, test = load_splits("cpc", "cpc", Profile(None, 3, None))
    assert [len(train), len(held), len(test)] == [7, 3, 10]
    assert {sample.name for sample in test.samples} == {f"val{i}" for i in range(10)}
    assert {s.name for s in (*train.samples, *held.samples)} == {f"train{i}" for i in range(10)}
    assert test.split == "val"


@pytest.mark.parametrize("profile", recipe.PROFILES)
@pytest.mark.parametrize("form", ["cpc", "gaicd"])
def test_every_profile_fits_every_form(profile, form):
    """Scenes in GAICD's form have fewer validation photos than the profiles ask for, and none may
    be taken twice.
    """
    parts = load_splits("scenes", form, recipe.PROFILES[profile])
    wanted = recipe.PROFILES[profile]
    there = [len(datasets.load("scenes", split, form=form)) for split in ("train", "val", "test")]
    asked = (wanted.train_photos, wanted.validation_photos, wanted.test_photos)
    expected = [
        most if number is None else min(number, most)
        for number, most in zip(asked, there, strict=True)
    ]
    assert [len(part) for part in parts] == expected
    assert [part.split for part in parts] == ["train", "val", "test"]


def test_the_accuracy_counts_pairs_and_not_photos():
    run = {"right": [8.0, 1.0], "pairs": [10.0, 30.0]}
    values = rows.accuracies(run)
    assert sum(values) / 2 == pytest.approx(100 * 9 / 40)  # and not the mean of 80 % and 3 %
    even = rows.accuracies({"right": [8.0, 1.0], "pairs": [10.0, 10.0]})
    assert even == pytest.approx([80, 10])


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    trial = Experiment("scenes", "cpc", "tiny", TINY, out=out, init="random", progress=False)
    boxes = {"fcdb": datasets.load("scenes", "test", form="fcdb", size=2)}
    return trial, trial.run("cross_rectangle", 0, boxes)


def test_a_run_leaves_weights_and_results(tiny_run):
    trial, (network, histories, result) = tiny_run
    folder = trial.folder("cross_rectangle", 0)
    assert json.loads((folder / "result.json").read_text()) == result
    assert [len(history.steps) for history in histories.values()] == [6, 3]
    assert len(result["right"]) == len(result["SRCC"]) == result["photos"] == 5
    assert len(result["boxes"]["fcdb"]["IoU"]) == 2
    state, card = checkpoints.load_weights(folder / "weights.safetensors", "asm_net")
    assert (card["pattern"], card["backbone"], card["stride"]) == (
        "cross_rectangle",
        "mobilenet_v2",
        8,
    )
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert files.file_hash(folder / "weights.safetensors") == result["checkpoint_hash"]
    cropper = cropnb.load("asm_net", weights=folder / "weights.safetensors")
    scores = [cropper.score(sample.photo(), sample.boxes) for sample in trial.parts["test"].samples]
    right = [
        metrics.ranking.pair_counts(s, t.scores, 0.3)[0].item()
        for s, t in zip(scores, trial.parts["test"])
    ]
    assert sum(right) == pytest.approx(sum(result["right"]), rel=0.02)


def test_a_finished_run_is_not_trained_again(tiny_run, monkeypatch):
    trial, (_, _, result) = tiny_run
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    assert trial.finished("cross_rectangle", 0) == result
    assert trial.finished("λ=0.1", 0) == result  # the same run under its other name
    assert trial.finished("cross_rectangle", 1) is None
    again = trial.run("cross_rectangle", 0)[2]
    for name in ("right", "SRCC", "config_hash"):
        assert again[name] == result[name]


def test_the_stem_stays_as_it_is(tmp_path):
    profile = Profile(4, 2, 2, epochs=1, batch=4, stem=4)
    trial = Experiment("scenes", "cpc", "tiny", profile, out=None, init="random", progress=False)
    torch.manual_seed(0)
    before = AsmNet(weights=None).state_dict()
    after = trial.run("cross_rectangle", 0)[0].state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed
    assert not any(
        name.startswith(tuple(f"backbone.units.{i}." for i in range(4))) for name in changed
    )
    assert any(name.startswith("backbone.units.4.") for name in changed)


def runs_of(share, seeds=3, photos=60, variant="cross_rectangle"):
    draw = torch.Generator().manual_seed(len(variant))
    result = []
    for _ in range(seeds):
        right = (torch.full((photos,), 100 * share) + torch.randn(photos, generator=draw)).tolist()
        result.append(
            {
                "variant": variant, "right": right, "pairs": [100.0] * photos, "photos": photos, "minutes": 1.0,
                "settings": {"backbone": "mobilenet_v2"}, "init": "imagenet", "config_hash": "x", "boxes": {},
                **{name: [0.5] * photos for name in rows.RANKING},
            }
        )  # fmt: skip
    return result


def test_rows_and_claims(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    shares = {
        "grid_1x1": 0.6, "grid_1x3": 0.7, "grid_3x1": 0.75, "grid_5x5": 0.8, "cross_rectangle": 0.85, "λ=0": 0.82,
        "λ=0.1, mean over pairs": 0.86,
    }  # fmt: skip
    from cropnb.reproduction import Context

    context = Context("asm_net", "scenes", ["--record"], seeds=(0, 1, 2), profile="cpu")
    found = rows.of(
        context,
        {name: runs_of(share, variant=name) for name, share in shares.items()},
        "cpc",
        False,
    )
    ledger.record("asm_net", found)
    one = lambda **wanted: ledger.one("asm_net", **wanted)  # noqa: E731
    assert one(table="Table 1", row="grid_1x1", column="Accuracy").ours == pytest.approx(
        60, abs=0.5
    )
    assert (
        one(table="Figure 5", row="λ=0.1").ours
        == one(table="Table 1", row=recipe.MAIN, column="Accuracy").ours
    )
    assert one(table="Figure 5", row="λ=0.1 less λ=0").ours == pytest.approx(3, abs=0.5)
    assert one(table="Figure 5", row="λ=0.1 less λ=0, mean over pairs").ours == pytest.approx(
        4, abs=0.5
    )
    verdicts = {row.row: row.verdict for row in ledger.find("asm_net", table="claim")}
    assert verdicts == {
        "one score a pixel is not enough": "holds",
        "1 × 3 beats 3 × 1": "contradicted",
        "cross-rectangle beats 5 × 5": "holds",
        "λ = 0.1 beats no saliency": "holds",
        "cross-rectangle beats 1 × 1 by ten points": "holds",
    }
    near = {"cross_rectangle": runs_of(0.68), "grid_1x1": runs_of(0.6, variant="grid_1x1")}
    (ten,) = [row for row in rows.claims(context, near, False) if "ten points" in row.row]
    assert ten.verdict == "contradicted"  # eight points are not ten
    assert not any(row.paper_value for row in ledger.read("asm_net"))


def test_the_papers_rows_wait_for_photos(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    waiting = rows.pending()
    values = {(row.table, row.row, row.column): row.paper_value for row in waiting}
    assert len(values) == 7 + 1 + 2 + 2 + 3
    assert values["Table 1", "cross_rectangle", "Accuracy"] == 87.59
    assert values["Figure 5", "λ=0.1 less λ=0", "Accuracy"] == 3.22
    assert values["Table 3", "ASM-Net", "IoU"] == 0.8486
    assert values["Table 4", "ASM-Net", "SRCC"] == 0.766
    assert all(row.verdict == "pending" and "--record" in row.note for row in waiting)
    assert {row.dataset for row in waiting} == {"cpc", "fcdb", "flms", "gaicd"}


def test_the_program_records_and_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(program, "shipped", lambda method: tmp_path / "shipped.safetensors")
    monkeypatch.setitem(recipe.PROFILES, "smoke", TINY)
    common = ["--init", "random", "--device", "cpu", "--out", str(tmp_path / "runs"), "--record"]
    assert program.main([*common, "--form", "gaicd", "--frozen", "--boxes", "flms", "--ship"]) == 0
    found = {
        (row.table, row.row, row.column): row
        for row in ledger.read("asm_net")
        if row.verdict != "pending"
    }
    assert set(found) == {
        *(("Table 4", "ASM-Net, frozen backbone", column) for column in rows.RANKING),
        *(("Table 3", "ASM-Net, frozen backbone", column) for column in ("IoU", "Disp")),
    }
    for row in found.values():
        assert row.images == 5
        assert row.verdict == "measured"
        assert "random start" in row.note
        assert row.command.startswith("python -m cropnb.asm_net --init random")
    assert "form of flms" in found["Table 3", "ASM-Net, frozen backbone", "IoU"].note
    cropper = cropnb.load("asm_net", weights=tmp_path / "shipped.safetensors")
    assert {"dataset", "profile", "commit", "scores", "seed", "init", "photos"} <= set(
        cropper.method.card
    )
    assert len(cropper(torch.rand(3, 100, 150), k=3)) == 3
    assert "SRCC" in capsys.readouterr().out


def test_the_program_answers_missing_data_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    assert program.main(["--dataset", "cpc", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
