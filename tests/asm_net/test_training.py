"""Data, training runs, ledger rows and the program."""

import importlib
import json
from dataclasses import replace

import pytest
import torch

import cropnb
from cropnb import checkpoints, datasets, files, ledger, metrics, paper, training
from cropnb.asm_net import AsmNet
from cropnb.asm_net import model as reading
from cropnb.asm_net.cropper import crop_scores, pair_accuracy
from cropnb.asm_net.model import ScoredPhotos, photo_and_saliency
from cropnb.asm_net.recipe import (
    METHOD,
    Profile,
    Variant,
    from_cache,
    from_photos,
    step,
)
from cropnb.asm_net.studies import best_crops, tables
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, CropnbError
from cropnb.runs import Experiment, FeatureCache, Result, plan, program, record, waiting
from cropnb.runs.context import Context
from cropnb.saliency import spectral_residual

TINY = Profile(10, 4, 5, head_epochs=2, head_batch=4, epochs=1, batch=4)
SHIPPED_FIELDS = {"dataset", "profile", "commit", "scores", "seed", "init", "photos"}


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


def read(dataset, delta=None):
    """A dataset as the network reads it, held in memory."""
    pixels = FeatureCache(
        lambda number, view: photo_and_saliency(dataset[number].image()),
        len(dataset),
        progress=False,
        dtype=torch.uint8,
    )
    return ScoredPhotos(dataset, pixels, delta)


def features(photos, network, count):
    """What a network makes of the first photos of a dataset."""
    with torch.no_grad():
        return FeatureCache(
            lambda number, view: [level[0] for level in network.levels(photos.images([number]))],
            count,
            progress=False,
        )


def nothing(numbers, mirrored):
    """For batches whose features nobody asks for."""
    return []


def experiment(profile=TINY, **options):
    return Experiment(
        METHOD, **{"profile": profile, "init": "random", "progress": False, **options}
    )


def test_batches_hold_the_photos_of_the_dataset(scenes):
    photos = read(scenes)
    assert len(photos) == 8
    for index in range(8):
        (batch,) = photos.batches([index], nothing)
        images = photos.images([index])
        sample = scenes[index]
        width, height = batch.size
        assert min(width, height) == 64
        assert width % 32 == height % 32 == 0
        assert images.shape == (1, 3, height, width)
        torch.testing.assert_close(batch.mos[0], sample.scores)
        share = sample.boxes / torch.tensor([sample.width, sample.height] * 2)
        torch.testing.assert_close(batch.boxes[0] / torch.tensor([width, height] * 2), share)
        salient = spectral_residual(images[0])
        cells = salient.unfold(0, height // 8, height // 8).unfold(1, width // 8, width // 8)
        expected = cells.mean((-1, -2))
        torch.testing.assert_close(batch.saliency_at((8, 8))[0], expected, rtol=0, atol=0.01)


def test_photos_of_one_size_come_together(scenes):
    photos = read(scenes)
    together = list(photos.batches(range(8), nothing))
    assert len({batch.size for batch in together}) == len(together) < 8
    assert sorted(index for batch in together for index in batch.indices) == list(range(8))
    in_parts = list(photos.batches(range(8), nothing, at_once=2))
    assert max(len(batch.mos) for batch in in_parts) == 2
    for batch in in_parts:
        for index, mos in zip(batch.indices, batch.mos, strict=True):
            torch.testing.assert_close(mos, scenes[index].scores)


def test_mirroring_flips_photo_boxes_and_saliency(scenes):
    photos = read(scenes)
    (plain,) = photos.batches([0], nothing)
    (flipped,) = photos.batches([0], nothing, mirrored=True)
    image, mirrored = photos.images([0]), photos.images([0], mirrored=True)
    torch.testing.assert_close(mirrored.flip(-1), image)
    torch.testing.assert_close(flipped.saliency.flip(-1), plain.saliency)
    x1, y1, x2, y2 = plain.boxes[0, 5].round().int().tolist()
    a1, b1, a2, b2 = flipped.boxes[0, 5].round().int().tolist()
    torch.testing.assert_close(mirrored[..., b1:b2, a1:a2].flip(-1), image[..., y1:y2, x1:x2])
    torch.testing.assert_close(flipped.mos, plain.mos)


@torch.no_grad()
def test_frozen_features_are_the_networks(tmp_path):
    trial = experiment(out=tmp_path)
    network = trial.model(trial.run(METHOD.main, 0))
    photos = trial.photos("train")
    first, again = (
        from_cache(METHOD.frozen_features(one, "train", network), "cpu")
        for one in (trial, experiment(out=tmp_path))
    )
    for index in range(len(photos)):
        score_maps = [
            next(photos.batches([index], levels)).score_map(network)
            for levels in (from_photos(network, photos), first, again)
        ]
        torch.testing.assert_close(score_maps[1], score_maps[0], rtol=0, atol=5e-3)
        assert torch.equal(score_maps[1], score_maps[2])
    with pytest.raises(CropnbError, match="not mirrored"):
        next(photos.batches([0], first, mirrored=True))


def test_photos_are_decoded_once_for_every_run(tmp_path, monkeypatch):
    trial = experiment(out=tmp_path)
    (batch,) = trial.photos("val").batches([0], nothing)
    image = trial.photos("val").images([0])

    def refuse(*arguments):
        raise AssertionError("decoded although it was kept")

    monkeypatch.setattr(Sample, "image", refuse)
    photos = experiment(out=tmp_path).photos("val")
    (again,) = photos.batches([0], nothing)
    assert torch.equal(photos.images([0]), image)
    assert torch.equal(again.saliency, batch.saliency)


def test_photos_without_a_pair_are_left_out_of_training():
    def sample(name, scores):
        boxes = torch.tensor([[0.0, 0.0, 60.0, 60.0], [10.0, 10.0, 64.0, 64.0]])
        photo = datasets.load("scenes", "train", form="cpc", size=1)[0].photo().resize((64, 64))
        return Sample(name, 64, 64, boxes, scores=torch.tensor(scores), load_photo=lambda: photo)

    both = CropDataset(
        "cpc", "train", "cpc", None, [sample("flat", [1.0, 1.1]), sample("steep", [1.0, 2.0])]
    )
    photos = read(both, 0.3)
    assert (len(photos), photos.left_out) == (1, 1)
    assert next(photos.batches([0], nothing)).mos.tolist() == [[1.0, 2.0]]
    assert len(read(both)) == 2
    with pytest.raises(
        CropnbError, match=r"no photo of cpc \(train\) has a pair at delta = 1\.5; lower it"
    ):
        read(both, 1.5)


def test_true_boxes_teach_nothing():
    with pytest.raises(BoxError, match="no scored crops"):
        read(datasets.load("scenes", "train", form="fcdb", size=1))
    with pytest.raises(CropnbError, match="no delta for fcdb; it learns from cpc, gaicd"):
        experiment(dataset="fcdb").run(METHOD.main, 0)


def test_a_step_is_the_mean_over_photos_whatever_their_sizes(scenes, model):
    photos = read(scenes, 0.3)
    levels = from_cache(features(photos, model, len(scenes)), "cpu")
    compute = step(model, photos, Variant(weight=2.0), 0.3, levels, mirror=False)
    rng = torch.Generator()
    together = compute(list(range(8)), rng)
    apart = [compute([index], rng) for index in range(8)]
    for name in ("loss", "ranking", "saliency"):
        torch.testing.assert_close(
            together[name], torch.stack([part[name] for part in apart]).mean()
        )
    torch.testing.assert_close(together["loss"], together["ranking"] + 2 * together["saliency"])
    mean = step(model, photos, Variant(per_pair=True), 0.3, levels, mirror=False)
    per_pair = mean(list(range(8)), rng)
    assert per_pair["ranking"] < together["ranking"] / 50


def test_training_finds_the_map_that_made_the_scores(scenes, model):
    """Features of noise, scored by a hidden map with the pattern: what was learned has to rank
    other crops too.
    """
    torch.manual_seed(1)
    photos, hidden = read(scenes), AsmNet(weights=None)
    shapes = [[level.shape for level in features(photos, model, 8).levels(i)] for i in range(8)]
    cache = FeatureCache(
        lambda number, view: [torch.randn(shape) for shape in shapes[number]], 8, progress=False
    )
    levels = from_cache(cache, "cpu")
    for index in range(8):
        size = torch.tensor(next(photos.batches([index], nothing)).size)
        corner = torch.rand(len(photos.mos[index]), 2) * size / 2
        photos.boxes[index] = torch.cat([corner, corner + size / 2], dim=-1)
    for index, scores in enumerate(crop_scores(hidden, photos, levels)):
        photos.mos[index] = 2 * (scores - scores.mean()) / scores.std()
    network = AsmNet(weights=None)
    network.head.convolution.weight.data.zero_()
    compute = step(network, photos, Variant(), 0.3, levels, mirror=False)
    history = training.train(network.head, compute, 8, training.Recipe(15, 1e-2, 8), progress=False)
    losses = history.column("loss")
    assert losses[-1] < 0.3 * losses[0]
    assert pair_accuracy(network, photos, 0.3, levels) > 0.9


def test_every_variant_of_the_paper_is_there():
    printed = paper.read("asm_net")
    assert set(printed.tables["Table 1"].rows) == set(tables.TABLE_1) <= set(METHOD.variants)
    points = {row for row in printed.tables["Figure 5"].rows if "less" not in row}
    assert points == {*tables.FIGURE_5, tables.MAIN_POINT}
    assert set(tables.FIGURE_5) <= set(METHOD.variants)
    assert METHOD.variants["λ=10"] == Variant("cross_rectangle", 10.0)
    assert METHOD.variants["λ=10, mean over pairs"].per_pair
    assert METHOD.variants[METHOD.main].weight == 0.1
    assert set(METHOD.groups["table"]) | set(METHOD.groups["figure"]) == set(METHOD.variants)
    for equation in printed.equations:
        module, _, name = equation["function"].rpartition(".")
        function = getattr(importlib.import_module(module), name)
        assert f"(Eq. {equation['number']})" in function.__doc__


def test_what_does_not_matter_does_not_tell_runs_apart(monkeypatch):
    def identity(**changed):
        monkeypatch.setitem(METHOD.profiles, "smoke", Profile(1, 1, 1, **changed))
        return experiment("smoke").run(METHOD.main, 0).config_hash

    assert identity(head_epochs=2) == identity(head_epochs=2, learning_rate=5.0, stem=4)
    assert identity(head_epochs=2) != identity(head_epochs=3)
    assert identity(epochs=2) != identity(epochs=2, learning_rate=5.0)
    assert identity(epochs=2) != identity(epochs=2, stem=4)


def test_the_form_decides_delta_and_so_the_run():
    cpc, gaicd = experiment(form="cpc"), experiment(form="gaicd")
    assert (METHOD.delta(cpc), METHOD.delta(gaicd)) == (0.3, 0.9)
    assert gaicd.run(METHOD.main, 0).identity["delta"] == 0.9
    frozen = experiment("cpu", frozen=True).profile
    assert (frozen.epochs, frozen.head_epochs, frozen.stem) == (0, 2, 0)


def test_cpc_is_measured_on_its_validation_photos(tmp_path, monkeypatch):
    def fake(name, split):
        samples = [
            Sample(f"{split}{i}", 9, 9, torch.zeros(1, 4), load_photo=lambda: None)
            for i in range(10)
        ]
        return CropDataset(name, split, "cpc", tmp_path, samples)

    monkeypatch.setattr(datasets, "load", fake)
    parts = experiment(Profile(None, 3, None), dataset="cpc").parts
    train, held, test = (parts[name] for name in ("train", "val", "test"))
    assert [len(train), len(held), len(test)] == [7, 3, 10]
    assert {sample.name for sample in test.samples} == {f"val{i}" for i in range(10)}
    assert {s.name for s in (*train.samples, *held.samples)} == {f"train{i}" for i in range(10)}
    assert test.split == "val"


@pytest.mark.parametrize("profile", METHOD.profiles)
@pytest.mark.parametrize("form", METHOD.forms)
def test_every_profile_fits_every_form(profile, form):
    """Scenes in GAICD's form have fewer validation photos than the profiles ask for, and none may
    be taken twice.
    """
    parts = experiment(profile, form=form).parts
    wanted = METHOD.profiles[profile]
    there = [len(datasets.load("scenes", split, form=form)) for split in ("train", "val", "test")]
    asked = (wanted.train_photos, wanted.validation_photos, wanted.test_photos)
    expected = [
        most if number is None else min(number, most)
        for number, most in zip(asked, there, strict=True)
    ]
    assert [len(part) for part in parts.values()] == expected
    assert [part.split for part in parts.values()] == ["train", "val", "test"]


def test_how_many_scenes_there_are_bounds_no_photographs():
    alone = experiment("photographs", form="gaicd").profile
    joined = experiment("photographs", form="gaicd", dataset="scenes+taught").profile
    assert alone.train_photos == len(datasets.load("scenes", "train", form="gaicd"))
    assert joined.train_photos is None


def test_the_accuracy_counts_pairs_and_not_photos():
    values = tables.accuracies(torch.tensor([8.0, 1.0]), torch.tensor([10.0, 30.0]))
    assert values.mean() == pytest.approx(9 / 40)  # and not the mean of 80 % and 3 %
    even = tables.accuracies(torch.tensor([8.0, 1.0]), torch.tensor([10.0, 10.0]))
    assert even.tolist() == pytest.approx([0.8, 0.1])


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    trial = experiment(out=tmp_path_factory.mktemp("runs"))
    return trial, trial.train(METHOD.main, 0)


def test_a_run_leaves_weights_and_results(tiny_run):
    trial, (network, histories, result) = tiny_run
    folder = trial.run(METHOD.main, 0).folder
    assert json.loads((folder / "result.json").read_text())["columns"] == result.columns
    assert [len(history.steps) for history in histories.values()] == [6, 3]
    assert list(result.columns) == list(METHOD.columns)
    assert {len(values) for values in result.columns.values()} == {result.photos} == {5}
    state, card = checkpoints.load_weights(folder / "weights.safetensors", "asm_net")
    assert (card["pattern"], card["backbone"], card["stride"]) == (
        "cross_rectangle",
        "mobilenet_v2",
        8,
    )
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert files.file_hash(folder / "weights.safetensors") == result.checkpoint_hash
    cropper = cropnb.load("asm_net", weights=folder / "weights.safetensors")
    test = trial.parts["test"]
    scores = [cropper.score(sample.photo(), sample.boxes) for sample in test.samples]
    counts = [
        metrics.ranking.pair_counts(one, sample.scores, 0.3)
        for one, sample in zip(scores, test, strict=True)
    ]
    right, pairs = (sum(part).item() for part in zip(*counts, strict=True))
    assert right == pytest.approx(sum(result.details["right"]), rel=0.02)
    assert pairs == sum(result.details["pairs"])
    assert result.means()["Accuracy"] == pytest.approx(right / pairs, rel=0.02)


def test_a_finished_run_is_not_trained_again(tiny_run, monkeypatch):
    trial, (_, _, result) = tiny_run
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    assert trial.finished(METHOD.main, 0) == result
    assert trial.finished(METHOD.main, 1) is None
    assert trial.train(METHOD.main, 0)[2] == result


@pytest.mark.parametrize("stage", ["head", "whole"])
def test_a_killed_run_ends_with_the_same_bits(stage, tmp_path):
    profile = replace(TINY, epochs=0) if stage == "head" else replace(TINY, head_epochs=0)
    network, _, result = experiment(profile, out=None).train(METHOD.main, 0)
    experiment(profile, out=tmp_path).train(METHOD.main, 0, max_steps=2)
    again, histories, continued = experiment(profile, out=tmp_path).train(METHOD.main, 0)
    assert list(histories) == [stage]
    assert continued.columns == result.columns
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_the_stem_stays_as_it_is():
    trial = experiment(Profile(4, 2, 2, epochs=1, batch=4, stem=4), out=None)
    torch.manual_seed(0)
    before = AsmNet(weights=None).state_dict()
    after = trial.train(METHOD.main, 0)[0].state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed
    assert not any(
        name.startswith(tuple(f"backbone.units.{i}." for i in range(4))) for name in changed
    )
    assert any(name.startswith("backbone.units.4.") for name in changed)


def test_a_stem_computed_once_trains_like_one_computed_each_time(tmp_path):
    """Up to half precision: the same draws, the same units trained, and a kill costs nothing."""
    plain = Profile(6, 2, 3, epochs=2, batch=4, stem=4)
    fast = replace(plain, stem=0, trunk_from="c2_2")
    network, histories, _ = experiment(fast, out=None).train(METHOD.main, 0)
    expected, plain_histories, _ = experiment(plain, out=None).train(METHOD.main, 0)
    torch.testing.assert_close(
        histories["whole"].column("loss"),
        plain_histories["whole"].column("loss"),
        rtol=0.02,
        atol=0,
    )
    before = experiment(plain, out=None)
    start = before.model(before.run(METHOD.main, 0)).state_dict()
    state, other = network.state_dict(), expected.state_dict()
    for name, value in start.items():
        assert torch.equal(state[name], value) == torch.equal(other[name], value), name
    experiment(fast, out=tmp_path).train(METHOD.main, 0, max_steps=1)
    again = experiment(fast, out=tmp_path).train(METHOD.main, 0)[0].state_dict()
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert experiment(fast).run(METHOD.main, 0) != experiment(plain).run(METHOD.main, 0)


def runs_of(variant, share, seeds=3, photos=60):
    rng = torch.Generator().manual_seed(len(variant))
    settings = {"variant": vars(METHOD.variants[variant]), "profile": {"backbone": "mobilenet_v2"}}
    for seed in range(seeds):
        right = 100 * share + torch.randn(photos, generator=rng)
        accuracies = tables.accuracies(right, torch.full((photos,), 100.0))
        columns = {"Accuracy": accuracies.tolist()}
        columns |= {name: [0.5] * photos for name in tables.RANKING}
        yield Result(
            method="asm_net",
            variant=variant,
            dataset="scenes",
            form="cpc",
            profile="cpu",
            init="imagenet",
            frozen=False,
            seed=seed,
            split="test",
            photos=photos,
            minutes=1.0,
            device="CPU",
            commit="0",
            config_hash="x",
            settings=settings,
            validation=[],
            columns=columns,
        )


def test_rows_and_claims(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    shares = {
        "grid_1x1": 0.6,
        "grid_1x3": 0.7,
        "grid_3x1": 0.75,
        "grid_5x5": 0.8,
        "cross_rectangle": 0.85,
        "λ=0": 0.82,
        "λ=0.1, mean over pairs": 0.86,
        "λ=100, mean over pairs": 0.9,
    }
    context = Context("asm_net", "scenes", ["--record"], seeds=(0, 1, 2), profile="cpu")
    results = {name: list(runs_of(name, share)) for name, share in shares.items()}
    # These photos aren't those of the experiment, whose middle says nothing of them.
    monkeypatch.setattr(type(METHOD), "blind", lambda self, experiment: {})
    ledger.record("asm_net", record.rows(context, experiment(out=None), results))
    one = lambda **wanted: ledger.one("asm_net", **wanted)  # noqa: E731
    assert one(table="Table 1", row="grid_1x1", column="Accuracy").ours == pytest.approx(
        60, abs=0.5
    )
    point = one(table="Figure 5", row="λ=0.1")
    assert point.ours == one(table="Table 1", row=METHOD.main, column="Accuracy").ours
    too_short = "validation is too short to say whether it was still rising"
    assert point.note == f"last epoch, mobilenet_v2, λ = 0.1; {too_short}"
    assert one(table="Figure 5", row="λ=0.1 less λ=0").ours == pytest.approx(3, abs=0.5)
    assert one(table="Figure 5", row="λ=0.1 less λ=0, mean over pairs").ours == pytest.approx(
        4, abs=0.5
    )
    assert "divided by its pairs" in one(table="Figure 5", row="λ=0.1, mean over pairs").note
    verdicts = {row.row: row.verdict for row in ledger.find("asm_net", table="claim")}
    assert verdicts == {
        "one score a pixel is not enough": "holds",
        "1 × 3 beats 3 × 1": "contradicted",
        "cross-rectangle beats 5 × 5": "holds",
        "λ = 0.1 beats no saliency": "holds",
        "λ = 0.1 beats no saliency, mean over pairs": "holds",
        "λ = 0.1 beats λ = 100, mean over pairs": "contradicted",
        "cross-rectangle beats 1 × 1 by ten points": "holds",
    }
    near = {"cross_rectangle": 0.68, "grid_1x1": 0.6}
    near = {name: list(runs_of(name, share)) for name, share in near.items()}
    claims = record.claims(context, experiment(out=None), near)
    (ten,) = [row for row in claims if "ten points" in row.row]
    assert ten.verdict == "contradicted"  # eight points are not ten
    half_a_point = {"cross_rectangle": 0.605, "grid_5x5": 0.6}
    half_a_point = {
        name: list(runs_of(name, share, photos=2000)) for name, share in half_a_point.items()
    }
    (claim,) = record.claims(context, experiment(out=None), half_a_point)
    assert claim.verdict == "trivial"  # less than the point that is worth having
    assert not any(row.paper_value for row in ledger.read("asm_net"))


def test_the_papers_rows_wait_for_photos(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    monkeypatch.setenv("CROPNB_PLAN", str(PLAN))
    rows = waiting.pending("asm_net")
    values = {(row.table, row.row, row.column): row.paper_value for row in rows}
    assert len(values) == 7 + 1 + 2 + 2 + 3
    assert values["Table 1", "cross_rectangle", "Accuracy"] == 87.59
    assert values["Figure 5", "λ=0.1 less λ=0", "Accuracy"] == 3.22
    assert values["Table 3", "ASM-Net", "IoU"] == 0.8486
    assert values["Table 4", "ASM-Net", "SRCC"] == 0.766
    assert all(row.verdict == "pending" and "--record" in row.note for row in rows)
    assert {row.dataset for row in rows} == {"cpc", "fcdb", "flms", "gaicd"}


PLAN = plan.plan_file()  # before a test names other results


def test_the_program_records_and_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CROPNB_PLAN", str(PLAN))
    monkeypatch.setattr(program, "weights_path", lambda *asked: tmp_path / "shipped.safetensors")
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    shared = ["--init", "random", "--device", "cpu", "--out", str(tmp_path / "runs"), "--record"]
    shared += ["--form", "gaicd", "--frozen"]
    assert program.main(METHOD, [*shared, "--ship"]) == 0
    assert best_crops.main([*shared, "--boxes", "flms"]) == 0
    rows = {
        (row.table, row.row, row.column): row
        for row in ledger.read("asm_net")
        if row.verdict != "pending"
    }
    assert set(rows) == {
        *(("Table 4", "ASM-Net, frozen backbone", column) for column in tables.RANKING),
        *(("Table 3", "ASM-Net, frozen backbone", column) for column in ("IoU", "Disp")),
    }
    for row in rows.values():
        assert row.images == 5
        assert row.verdict == "measured"
        assert "random start" in row.note
        assert row.checkpoint_hash
        assert row.seeds == (0,)
        assert "--init random" in row.command
        assert "--out" not in row.command
    box = rows["Table 3", "ASM-Net, frozen backbone", "IoU"]
    assert "form of flms" in box.note
    assert box.command.startswith("python -m cropnb.asm_net.studies.best_crops")
    cropper = cropnb.load("asm_net", weights=tmp_path / "shipped.safetensors")
    assert set(cropper.method.card) >= SHIPPED_FIELDS
    assert len(cropper(torch.rand(3, 100, 150), k=3)) == 3
    assert "SRCC" in capsys.readouterr().out


def test_best_crops_need_a_finished_run(tmp_path, capsys):
    assert best_crops.main(["--init", "random", "--device", "cpu", "--out", str(tmp_path)]) == 2
    assert "no run of cross_rectangle is finished" in capsys.readouterr().err


def test_the_program_answers_missing_data_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    assert program.main(METHOD, ["--dataset", "cpc", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
