"""The scenes in the form of every real dataset, and the reference rows: how hard they are."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from cropnb import boxes as box_math
from cropnb import candidates, datasets, ledger
from cropnb.datasets import scenes
from cropnb.datasets.scenes import __main__ as program
from cropnb.datasets.scenes import forms, reference
from cropnb.datasets.scenes.canvas import UNIT, Canvas
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.panel import HIGH, LOW, PANEL, PHOTOGRAPHERS, Annotator, rating
from cropnb.datasets.scenes.reference import CEILING, CENTRE, GAP, LIMIT, MEMBER, PRIOR
from cropnb.errors import CropnbError, DatasetMissing
from cropnb.runs.context import Context


def labels(sample) -> bytes:
    parts = [
        part
        for part in (sample.boxes, sample.scores, sample.raters, sample.aspects)
        if part is not None
    ]
    return b"".join(part.numpy().astype("<f4").tobytes() for part in parts)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("gaicd", "0c0581b1523ca545"),
        ("gaicd_v2", "0c0581b1523ca545"),
        ("cpc", "db56f630bb04c0df"),
        ("fcdb", "a43a0ffa1ac903cb"),
        ("flms", "c0ed43dad688f1dc"),
        ("fat", "e0909b6eadeccc9b"),
        ("cuhk_icd", "d4c669288cb8caf6"),
    ],
)
def test_labels_have_the_recorded_bytes(form, expected):
    digest = hashlib.sha256(
        b"".join(labels(sample) for sample in scenes.load("train", form, size=6))
    )
    assert digest.hexdigest()[:16] == expected


@pytest.mark.parametrize("form", scenes.SIZES)
def test_every_form_gives_samples_of_drawn_photos(form):
    for sample in datasets.load("scenes", "val", form=form, size=5):
        photo, image = sample.photo(), sample.image()
        assert photo.size == (sample.width, sample.height)
        assert image.shape == (3, sample.height, sample.width)
        assert image.min() >= 0
        assert image.max() <= 1
        box_math.check(sample.boxes, width=sample.width, height=sample.height)
        assert torch.equal(sample.boxes, sample.boxes.round())


@pytest.mark.parametrize("form", ["gaicd", "gaicd_v2"])
def test_gaicd_form_is_dense_scores_on_grid_anchors(form):
    dataset = scenes.load("train", form, size=150)
    for sample in dataset:
        assert torch.equal(sample.boxes, candidates.grid_anchors(sample.width, sample.height))
        assert sample.raters.shape == (7, len(sample.boxes))
        assert set(sample.raters.unique().tolist()) <= {1, 2, 3, 4, 5}
        torch.testing.assert_close(sample.scores, sample.raters.mean(0))
    assert {len(sample.boxes) for sample in dataset} == {90, 87, 75, 83}
    mos = torch.cat([sample.scores for sample in dataset])
    assert mos.mean() == pytest.approx(2.95, abs=0.1)  # GAICD's mean and deviation
    assert mos.std() == pytest.approx(0.8, abs=0.08)
    assert mos.min() >= 1
    assert mos.max() <= 5


def test_cpc_form_is_24_crops_in_four_ratios_with_votes():
    for sample in scenes.load("train", "cpc", size=40):
        ratio = box_math.aspect(sample.boxes).reshape(4, 6)
        torch.testing.assert_close(
            ratio, torch.tensor([1, 4 / 3, 3 / 4, 16 / 9])[:, None].expand(4, 6), atol=0.02, rtol=0
        )
        assert sample.raters.shape == (6, 24)
        for row in sample.raters:
            assert row.unique().tolist() == [0, 1, 2]
            # the better half of every ratio
            assert (row > 0).reshape(4, 6).sum(1).tolist() == [3, 3, 3, 3]
            assert (row == 2).sum() == 4
        torch.testing.assert_close(sample.scores, sample.raters.mean(0))


def test_fcdb_form_is_one_box():
    dataset = scenes.load("train", "fcdb", size=40)
    assert {tuple(sample.boxes.shape) for sample in dataset} == {(1, 4)}
    assert all(sample.scores is None and sample.aspects is None for sample in dataset)


def test_flms_form_is_up_to_ten_boxes_of_people_who_differ():
    counts = [len(sample.boxes) for sample in scenes.load("train", "flms", size=60)]
    assert max(counts) == 10
    assert 7 <= min(counts) < 10
    for sample in scenes.load("train", "flms", size=10):
        assert len(sample.boxes.unique(dim=0)) > len(sample.boxes) // 2


def test_fat_form_is_boxes_of_required_ratios():
    seen = set()
    for sample in scenes.load("train", "fat", size=60):
        assert 1 <= len(sample.boxes) <= 3
        assert sample.aspects.shape == (len(sample.boxes),)
        torch.testing.assert_close(box_math.aspect(sample.boxes), sample.aspects, atol=0, rtol=0.04)
        assert len(sample.aspects.unique()) == len(sample.aspects)
        seen |= {round(aspect, 3) for aspect in sample.aspects.tolist()}
    assert min(seen) == 0.5
    assert max(seen) == 2
    assert len(seen) == 9


def test_cuhk_form_keeps_each_photographers_taste():
    """The second one likes wide crops and the third tight ones, in this order in every photo."""
    dataset = scenes.load("train", "cuhk_icd", size=60)
    share = torch.stack([box_math.area(s.boxes) / (s.width * s.height) for s in dataset])
    first, wide, tight = share.mean(0).tolist()
    assert tight + 0.1 < first < wide - 0.1
    assert (share[:, 1] > share[:, 2]).float().mean() > 0.9


@pytest.mark.parametrize("form", scenes.SIZES)
def test_a_smaller_size_is_a_prefix_and_order_does_not_matter(form):
    few, many = scenes.load("test", form, size=4), scenes.load("test", form, size=9)
    names = [sample.name for sample in many]
    assert len(set(names)) == 9
    forms.make_sample.cache_clear()
    backwards = {index: labels(many[index]) for index in reversed(range(4))}
    forms.make_sample.cache_clear()
    assert [labels(sample) for sample in few] == [backwards[index] for index in range(4)]
    assert [sample.name for sample in few] == names[:4]


def test_a_test_split_goes_on_behind_its_standard_scenes():
    usual, longer = scenes.load("test"), scenes.load("test", size=forms.MOST_TEST_SCENES)
    assert (len(usual), len(longer)) == (200, 2000)
    assert labels(longer[199]) == labels(usual[199])
    names = [sample.name for sample in longer[190:210]]
    assert len(set(names)) == 20
    # GAICD's second release has the same scenes, and more of them.
    assert labels(longer[201]) == labels(scenes.load("test", "gaicd_v2")[201])


def test_splits_and_seeds_differ():
    keys = (("train", 0), ("val", 0), ("test", 0), ("train", 1))
    first = {(split, seed): scenes.load(split, size=3, seed=seed)[0] for split, seed in keys}
    assert len({labels(sample) for sample in first.values()}) == 4
    assert len({sample.name for sample in first.values()}) == 4


def test_standard_sizes():
    assert {form: tuple(sizes.values()) for form, sizes in scenes.SIZES.items()} == {
        "gaicd": (1036, 200, 200),
        "gaicd_v2": (2636, 200, 500),
        "cpc": (4000, 500, 500),
        "fcdb": (4000, 500, 500),
        "flms": (4000, 500, 500),
        "fat": (4000, 500, 500),
        "cuhk_icd": (4000, 500, 500),
    }
    assert len(scenes.load("train")) == 1036


def test_what_there_is_not_is_refused():
    with pytest.raises(CropnbError, match="forms gaicd"):
        scenes.load("test", form="ava")
    with pytest.raises(CropnbError, match="splits train"):
        scenes.load("dev")
    with pytest.raises(CropnbError, match="1 to 2000"):
        scenes.load("test", size=2001)
    with pytest.raises(CropnbError, match="1 to 2000"):
        scenes.load("test", size=0)
    for split in ("train", "val"):
        with pytest.raises(CropnbError, match=f"1 to {scenes.SIZES['gaicd'][split]}"):
            scenes.load(split, size=scenes.SIZES["gaicd"][split] + 1)
    with pytest.raises(IndexError):
        scenes.load("test", size=3)[3]


def test_samples_travel_to_the_workers_of_a_loader():
    dataset = scenes.load("test", size=4)
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[2].image(), dataset[2].image())
    assert dataset[-1].name == dataset[3].name
    assert [sample.name for sample in dataset.samples[1:3]] == [dataset[1].name, dataset[2].name]
    assert len(dataset.with_photos()) == 4
    with pytest.raises(DatasetMissing):
        type(dataset[0])("x", 1, 1, dataset[0].boxes).image()


# ---- the panel
# --------------------------------------------------------------------------------------------------


def test_a_rating_is_one_to_five_stars_in_equal_steps():
    quarter = (HIGH - LOW) // 4
    stars = rating(
        np.array(
            [LOW - 500, LOW, LOW + quarter, LOW + 2 * quarter, LOW + 3 * quarter, HIGH, HIGH + 500]
        )
    )
    assert stars.tolist() == [1, 1, 2, 3, 4, 5, 5]
    # to the nearest
    assert rating(np.array([LOW + quarter // 2 - 1, LOW + quarter // 2 + 1])).tolist() == [1, 2]


def test_an_opinion_is_taste_and_size_and_kindness_and_noise():
    terms = np.zeros((7, 3), np.int64)
    terms[0] = 1000  # the subject on a power point, and nothing else
    share = np.array([0, 500, 1000])
    weights = (1, 1, 1, 1, 1, 1, 2)
    assert Annotator(weights, 200, 30, 0).opinion(terms, share, Dice(1)).tolist() == [155, 255, 355]
    noisy = Annotator(weights, 0, 0, 100).opinion(
        np.zeros((7, 20_000), np.int64), np.zeros(20_000, int), Dice(1)
    )
    assert noisy.std() == pytest.approx(100, rel=0.05)


def test_the_panel_has_tastes_of_its_own():
    assert PANEL[:3] == PHOTOGRAPHERS
    assert len(set(PANEL)) == len(PANEL) == 19
    sizes = [person.size for person in PANEL]
    assert min(sizes) < -100
    assert max(sizes) > 100


def test_the_first_rater_is_not_always_the_same_person():
    """Seven of the panel are drawn for every photo; a fixed seven would make the MOS one taste."""
    people = {
        tuple(sorted(PANEL.index(p) for p in forms.draw_people(Dice(0, n), 7))) for n in range(50)
    }
    assert len(people) > 45
    assert all(len(set(group)) == 7 for group in people)


# ---- how hard the scenes are
# ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    return {
        form: reference.reference(form, train=150, test=80)
        for form in scenes.SIZES
        if form != "gaicd_v2"
    }


@pytest.mark.parametrize("form", [form for form in scenes.SIZES if form != "gaicd_v2"])
def test_the_prior_closes_little_of_the_gap(measured, form):
    rows = measured[form]
    for column in reference.columns(rows):
        assert rows[CEILING][column].mean() > rows[CENTRE][column].mean() + 0.1
        assert reference.gap_closed(rows, column).mean < LIMIT, column


@pytest.mark.parametrize("form", [form for form in scenes.SIZES if form != "gaicd_v2"])
def test_noise_sets_a_ceiling_and_one_person_stays_below_it(measured, form):
    rows = measured[form]
    column = "SRCC" if form in reference.RANKING_FORMS else "IoU"
    ceiling, member, prior = (rows[name][column].mean() for name in (CEILING, MEMBER, PRIOR))
    assert ceiling < 0.96
    assert prior + 0.05 < member < ceiling - 0.02


def test_the_standard_sizes_recorded_the_same(measured):
    """What the ledger says about the full sizes: every share of the gap below the limit."""
    rows = ledger.find("scenes", row=GAP)
    for row in rows:
        (values,) = ledger.differences(row)
        assert len(values) == row.images
        assert sum(values) / len(values) == pytest.approx(row.ours, abs=0.01)
    assert {row.table for row in rows} == set(scenes.SIZES)
    assert all(row.verdict == "holds" and row.ours < 100 * LIMIT for row in rows)
    # The small trial lies near the recorded ceiling, so that the recorded one belongs to these
    # scenes.
    row = ledger.one("scenes", table="gaicd", row=CEILING, column="SRCC")
    assert measured["gaicd"][CEILING]["SRCC"].mean() == pytest.approx(row.ours, abs=0.03)


def test_gap_closed_is_the_share_of_the_way():
    rows = {
        name: {"IoU": torch.tensor([value, value])}
        for name, value in ((CENTRE, 0.4), (PRIOR, 0.5), (CEILING, 0.9))
    }
    assert reference.gap_closed(rows, "IoU").mean == pytest.approx(0.2)
    assert reference.gap_shares(rows, "IoU").tolist() == pytest.approx([0.2, 0.2])
    assert reference.columns(rows) == ["IoU"]


def test_the_shares_of_photos_have_the_mean_and_the_spread_of_the_ratio():
    rng = torch.Generator().manual_seed(0)
    centre = torch.rand(400, generator=rng)
    rows = {
        CENTRE: {"IoU": centre},
        PRIOR: {"IoU": centre + 0.1 * torch.randn(400, generator=rng) + 0.05},
        CEILING: {"IoU": centre + 0.2 * torch.rand(400, generator=rng) + 0.3},
    }
    shares = reference.gap_shares(rows, "IoU")
    gain, gap = rows[PRIOR]["IoU"] - centre, rows[CEILING]["IoU"] - centre
    assert float(shares.mean()) == pytest.approx(float(gain.sum() / gap.sum()), abs=1e-6)
    drawn = torch.randint(400, (2000, 400), generator=rng)
    ratios = gain[drawn].sum(1) / gap[drawn].sum(1)
    assert float(shares.std()) / 20 == pytest.approx(float(ratios.std()), rel=0.1)
    # A share is below the limit where prior − centre − limit · (ceiling − centre) is below zero.
    over = (gain - LIMIT * gap).mean() > 0
    assert bool(shares.mean() > LIMIT) == bool(over)


def test_the_rows_carry_their_differences(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    rows = {
        name: {"IoU": torch.tensor(values), "BDE": torch.tensor(values)}
        for name, values in ((CENTRE, [0.4, 0.5]), (PRIOR, [0.4, 0.6]), (CEILING, [0.9, 1.0]))
    }
    context = Context(reference.NAME, ledger.SCENES, ["--reference"])
    ledger.record(reference.NAME, reference.ledger_rows(context, "fcdb", rows, 0.1))
    (row,) = ledger.find(reference.NAME, row=GAP)
    (values,) = ledger.differences(row)
    assert values == pytest.approx([0, 20], abs=1e-4)
    assert row.ours == pytest.approx(10)
    assert (row.margin, row.below, row.images) == (100 * LIMIT, True, 2)


def test_ledger_rows_say_when_the_claim_is_contradicted():
    rows = {
        name: {"IoU": torch.tensor([value] * 3)}
        for name, value in ((CENTRE, 0.4), (PRIOR, 0.8), (CEILING, 0.9))
    }
    context = Context(reference.NAME, ledger.SCENES, ["--reference"])
    recorded = {row.row: row for row in reference.ledger_rows(context, "fcdb", rows, 0.1)}
    assert recorded[GAP].verdict == "contradicted"
    assert recorded[GAP].ours == pytest.approx(80)
    assert recorded[PRIOR].ours == pytest.approx(0.8)
    for row in recorded.values():
        row.check()


def test_the_lattice_of_a_ratio_is_inside_and_has_the_ratio():
    windows = reference._lattice(384, 256, (9, 16))
    box_math.check(windows, width=384, height=256)
    torch.testing.assert_close(
        box_math.aspect(windows), torch.full((len(windows),), 9 / 16), atol=0.01, rtol=0
    )
    centre = reference._lattice(384, 256, (1, 1), scales=(100,), places=(0.5,))
    assert centre.tolist() == [[64, 0, 320, 256]]


def test_the_choices_of_a_free_hand_are_no_methods_windows():
    windows = forms.choices(384, 256)
    assert len(windows) > 1000
    assert len(windows.unique(dim=0)) == len(windows)
    box_math.check(windows, width=384, height=256)
    slid = {tuple(box) for box in candidates.sliding_windows(384, 256).round().tolist()}
    assert sum(tuple(box) in slid for box in windows.tolist()) < 0.1 * len(windows)


# ---- the painter and the program
# ------------------------------------------------------------------------------------


def test_shapes_cover_their_area():
    """Either direction round gives the same polygon, and smooth edges keep its area."""
    points = [(100, 90), (900, 200), (700, 810), (240, 600)]
    area = (
        abs(
            sum(
                a[0] * b[1] - b[0] * a[1]
                for a, b in zip(points, points[1:] + points[:1], strict=True)
            )
        )
        / 2
    )
    covers = []
    for order in (points, points[::-1]):
        canvas = Canvas(64, 64)
        canvas.polygon(order, (200, 200, 200))
        covers.append(canvas.pixels[..., 0].copy())
    assert np.array_equal(*covers)
    assert covers[0].sum() / 200 == pytest.approx(area / UNIT**2, rel=0.01)
    canvas = Canvas(64, 64)
    canvas.ellipse(500, 500, 300, 200, (200, 200, 200))
    assert canvas.pixels[..., 0].sum() / 200 == pytest.approx(np.pi * 300 * 200 / UNIT**2, rel=0.02)


def test_opacity_blends_and_what_lies_outside_is_left_out():
    canvas = Canvas(20, 10)
    canvas.rectangle(-50, -50, 5 * UNIT, 100 * UNIT, (200, 100, 0), 128)
    assert canvas.pixels[:, :5].reshape(-1, 3).tolist() == [[100, 50, 0]] * 50
    assert (canvas.pixels[:, 5:] == 0).all()
    canvas.ellipse(-500, -500, 80, 80, (255, 255, 255))
    canvas.polygon([(900, 0), (950, 0), (950, 50)], (255, 255, 255))
    assert canvas.array().max() == 100


def test_the_program_writes_a_sheet_and_records_only_standard_sizes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    program.main(["--sheet", str(tmp_path / "sheet.png"), "--split", "test"])
    assert Image.open(tmp_path / "sheet.png").size == (1440, 720)
    trial = ["--reference", "--form", "gaicd", "--train", "20", "--test", "10"]
    assert program.main(trial) == 0
    assert GAP in capsys.readouterr().out
    assert program.main([*trial, "--record"]) == 2
    assert "standard sizes" in capsys.readouterr().err
    assert ledger.read("scenes") == []
    monkeypatch.setitem(forms.SIZES, "fcdb", {"train": 20, "val": 5, "test": 10})
    program.main(["--reference", "--form", "fcdb"])
    assert ledger.read("scenes") == []
    program.main(["--reference", "--form", "fcdb", "--record"])
    assert {row.row for row in ledger.read("scenes")} == {
        CEILING,
        MEMBER,
        PRIOR,
        CENTRE,
        GAP,
    }
    assert (
        ledger.read("scenes")[0].command
        == "python -m cropnb.datasets.scenes --reference --form fcdb --record"
    )
    assert program.main([]) == 2
    assert "nothing to do" in capsys.readouterr().err
