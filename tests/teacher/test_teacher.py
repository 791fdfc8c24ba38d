"""The teacher: what it says of a photo, in every form, and the files that hold it."""

import json

import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from cropnb import boxes as box_math
from cropnb import datasets, metrics
from cropnb.attention import AttentionReadout
from cropnb.attention.model import CUTS
from cropnb.backbones import build
from cropnb.datasets import taught, unlabelled
from cropnb.datasets.scenes.dice import Dice
from cropnb.errors import BoxError, CropnbError, DatasetMissing
from cropnb.gaic.recipe import METHOD as GAIC
from cropnb.layout import LayoutNetwork
from cropnb.runs import Experiment
from cropnb.teacher import labels
from cropnb.teacher.forms import FORMS, Seen, drawn
from cropnb.teacher.prior import photo_size, size_shares
from cropnb.teacher.teacher import LEAST_AREA, Teacher, best, large_enough, mos

SIZE = (120, 80)


class Inside(nn.Module):
    """Likes crops that are full of what draws the eye, and dislikes to lose much of the photo."""

    def from_features(self, seen):
        around = seen[..., :400].unflatten(-1, (20, 20))  # (B, N, 20, 20), the crop and its margin
        share = seen[..., 800 + 6]  # (B, N), of the photo
        return 8 * around[..., 4:16, 4:16].mean((-1, -2)) + 2 * share


def _teacher(*networks):
    torch.manual_seed(0)
    backbone, sizes = build("mobilenet_v2", CUTS, None).eval(), torch.tensor([[0.0, 0, 0.9, 0.9]])
    return Teacher(backbone, AttentionReadout().eval(), networks, size_shares([sizes]))


@pytest.fixture
def teacher():
    return _teacher(Inside())


@pytest.fixture
def left():
    """Attention on a thing in the left third."""
    attention = torch.zeros(32, 32)
    attention[10:22, 3:9] = 1
    return attention


def test_attention_of_a_photo_with_and_without_a_mask(teacher):
    image = torch.rand(3, 80, 120)
    guessed = teacher.attention(image)
    assert guessed.shape == (32, 32)
    assert guessed.max() == pytest.approx(1)
    mask = torch.zeros(96, 96)
    mask[:, :48] = 1
    shown = teacher.attention(image, mask)
    assert not torch.equal(shown, guessed)
    assert shown[:, :16].sum() > shown[:, 16:].sum()


def test_the_posterior_follows_attention_and_keeps_to_sizes_that_people_scored(teacher, left):
    windows, probabilities = teacher.posterior(left, SIZE)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert (box_math.area(windows) >= LEAST_AREA * SIZE[0] * SIZE[1]).all()
    mirrored_windows, mirrored = teacher.posterior(left.flip(-1), SIZE)
    centers = (windows[:, 0] + windows[:, 2]) / 2
    # What draws the eye lies left, so boxes lie left; in the mirror they lie right.
    assert (
        (centers @ probabilities)
        < SIZE[0] / 2
        < ((mirrored_windows[:, 0] + mirrored_windows[:, 2]) / 2 @ mirrored)
    )


def test_of_a_required_ratio_the_windows_have_it(teacher, left):
    windows, _ = teacher.posterior(left, SIZE, (1, 1))
    sides = windows[:, 2:] - windows[:, :2]
    assert torch.allclose(sides[:, 0], sides[:, 1], atol=1)
    assert sides.amin() >= 0.59 * 80


def test_the_best_window_is_that_of_largest_expected_overlap_not_the_likeliest():
    windows = torch.tensor(
        [[0.0, 0, 10, 10], [8.0, 0, 18, 10], [10.0, 0, 20, 10], [12.0, 0, 22, 10]]
    )
    probabilities = torch.tensor([0.3, 0.23, 0.24, 0.23])
    assert torch.equal(best(windows, probabilities), windows[2])
    slow = [
        sum(
            float(box_math.iou(one, other)) * float(weight)
            for other, weight in zip(windows, probabilities, strict=True)
        )
        for one in windows
    ]
    assert torch.allclose(metrics.expected_iou(windows, probabilities), torch.tensor(slow))


def test_sizes_of_one_ratio_count_against_the_largest_window():
    windows = torch.tensor([[0.0, 0, 40, 80], [0.0, 0, 28, 56], [0.0, 0, 20, 40]])
    assert large_enough(windows, SIZE, one_ratio=True).tolist() == [True, True, False]
    assert not large_enough(windows, SIZE, one_ratio=False).any()  # each below half of the photo


@pytest.mark.parametrize("turned", [False, True])
def test_the_size_of_a_photo_of_which_only_boxes_are_known(turned):
    boxes = torch.tensor([[10.0, 30, 1024, 700], [0.0, 0, 800, 660]])
    if turned:
        boxes = boxes[:, [1, 0, 3, 2]]
    size = photo_size(boxes)
    assert sorted(size) == [pytest.approx(768), 1024]  # 4:3 is the narrowest that holds them
    assert (size[1] > size[0]) == turned
    assert photo_size(torch.tensor([[0.0, 0, 500, 500]])) == (500, 500)


def test_mos_stays_on_the_scale():
    assert mos(torch.tensor([-9.0, 0.0, 9.0])).tolist() == [1.0, pytest.approx(2.95), 5.0]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_labels_of_its_dataset(teacher, left, form):
    seen = Seen(teacher, left, SIZE)
    own = FORMS[form](seen, Dice(5))
    boxes = own["boxes"]
    box_math.check(boxes, width=SIZE[0], height=SIZE[1])
    counts = {"fcdb": 1, "flms": 10, "fat": 3, "cuhk_icd": 3, "cpc": 24}
    assert len(boxes) == counts.get(form, len(boxes))
    if form == "gaicd":
        assert own["scores"].shape == boxes.shape[:1]
        assert own["scores"].std() > 0
    if form == "cpc":
        assert own["raters"].shape == (6, 24)
        assert own["raters"].mean() == pytest.approx(2 / 3, abs=1e-3)
    if form == "fat":
        sides = boxes[:, 2:] - boxes[:, :2]
        assert torch.allclose(sides[:, 0] / sides[:, 1], own["aspects"], rtol=0.05)
    again = FORMS[form](Seen(teacher, left, SIZE), Dice(5))
    assert all(torch.equal(own[name], again[name]) for name in own)


def test_photographers_differ_in_how_wide_they_crop(teacher, left):
    shares = torch.stack(
        [
            box_math.area(FORMS["cuhk_icd"](Seen(teacher, left, SIZE), Dice(number))["boxes"])
            for number in range(40)
        ]
    ).mean(0)
    assert shares[1] > shares[0] > shares[2]  # by content, wide, tight


def test_draws_follow_their_probabilities():
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    counts = drawn(probabilities, 4000, Dice(1)).bincount(minlength=4) / 4000
    assert torch.allclose(counts, probabilities, atol=0.03)
    assert counts[1] == 0


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with twelve photos of one set."""
    folder = tmp_path / "data" / "photos" / "bsds500"
    folder.mkdir(parents=True)
    for number in range(12):
        photo = Image.new("RGB", SIZE, "white")
        ImageDraw.Draw(photo).ellipse((5 * number, 20, 5 * number + 30, 60), fill="red")
        photo.save(folder / f"{number:02d}.jpg")
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(taught, "HELD_OUT", 2)
    return tmp_path / "data"


@pytest.fixture
def written(teacher, data, tmp_path):
    photographs = unlabelled.load(["bsds500"])
    labels.write(teacher, tmp_path / "taught", photographs, {"teacher": "toy"}, progress=False)
    return tmp_path / "taught"


def test_labels_are_read_in_every_form_and_splits_share_no_photo(written):
    for form in taught.FORMS:
        parts = {split: taught.load(split, written, form) for split in taught.SPLITS}
        names = [{sample.name for sample in part.samples} for part in parts.values()]
        assert [len(part) for part in names] == [8, 2, 2]
        assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
        sample = parts["train"][0]
        assert sample.image().shape == (3, 80, 120)
        assert (sample.scores is not None) == (form in ("gaicd", "gaicd_v2", "cpc"))
    assert taught.card(written)["photos"] == 12
    assert len(taught.load("train", written, size=3)) == 3


def test_what_a_killed_call_has_labelled_is_not_labelled_again(written, teacher, data, monkeypatch):
    before = (written / taught.LABELS).read_bytes()
    monkeypatch.setattr(labels, "label", lambda *given: pytest.fail("labelled again"))
    labels.write(teacher, written, unlabelled.load(["bsds500"]), {"teacher": "toy"}, progress=False)
    assert (written / taught.LABELS).read_bytes() == before
    with pytest.raises(pytest.fail.Exception):  # another teacher's labels are others
        labels.write(
            teacher, written, unlabelled.load(["bsds500"]), {"teacher": "new"}, progress=False
        )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda all: all.update(format=7), DatasetMissing),
        (lambda all: all.update(photos={}), DatasetMissing),
        (lambda all: all.update(photos=[]), DatasetMissing),
        (lambda all: _first(all).pop("gaicd"), DatasetMissing),
        (lambda all: _first(all).update(width="wide"), DatasetMissing),
        (lambda all: _first(all)["gaicd"].update(scores=[1.0]), BoxError),
        (lambda all: _first(all)["gaicd"].update(boxes=[[1, 2, 3]]), DatasetMissing),
        (lambda all: _first(all)["gaicd"]["boxes"].__setitem__(0, [9, 9, 1, 1]), BoxError),
        (lambda all: _first(all)["gaicd"]["boxes"].__setitem__(0, [0, 0, 999, 9]), BoxError),
        (lambda all: _first(all).update(path="/etc/passwd"), DatasetMissing),
        (lambda all: _first(all).update(path="../secret.jpg"), DatasetMissing),
        (lambda all: _first(all).update(path="photos/bsds500/gone.jpg"), DatasetMissing),
    ],
)
def test_damaged_labels_are_named(written, change, error):
    path = written / taught.LABELS
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(error, match=r"labels\.json|gone"):
        _read_all(written)


def _read_all(folder):
    return [taught.load(split, folder) for split in taught.SPLITS]


def _first(content):
    return next(iter(content["photos"].values()))


def test_without_labels_the_error_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetMissing, match=r"python -m cropnb\.teacher labels"):
        taught.load()
    with pytest.raises(CropnbError, match="forms"):
        taught.load(form="aesthetics")
    with pytest.raises(CropnbError, match="splits"):
        taught.load("trial")


def test_scenes_and_taught_photographs_are_joined_for_training(written, monkeypatch):
    monkeypatch.setattr(taught, "RUNS", written)
    train, val, test = datasets.splits("scenes+taught", "gaicd", 5, 2, 2)
    assert (len(train), len(val), len(test)) == (10, 2, 2)
    assert val.name == test.name == "taught"
    assert {sample.name.partition("/")[0] for sample in train.samples[5:]} == {"bsds500"}


def test_a_layout_network_fits_into_the_teacher(left):
    torch.manual_seed(1)
    own = _teacher(LayoutNetwork().eval(), LayoutNetwork().eval())
    crops = torch.tensor([[0.0, 0, 100, 70], [20.0, 10, 120, 80]])
    sizes, crops_norm = torch.tensor([SIZE]).float(), box_math.normalize(crops, *SIZE)[None]
    single = [net(left[None], sizes, crops_norm)[0] for net in own.layouts]
    assert torch.allclose(own.scores(left, SIZE, crops), torch.stack(single).mean(0))


def test_a_run_on_labels_that_were_written_anew_is_another_run(written, monkeypatch, tmp_path):
    monkeypatch.setattr(taught, "RUNS", written)

    def runs() -> list[str]:
        names = ("scenes", "taught", "scenes+taught")
        experiments = [
            Experiment(GAIC, name, "gaicd", "photographs", out=tmp_path) for name in names
        ]
        return [experiment.run("GAIC", 0).config_hash for experiment in experiments]

    before = runs()
    content = json.loads((written / taught.LABELS).read_text())
    _first(content)["gaicd"]["scores"][0] += 0.5
    (written / taught.LABELS).write_text(json.dumps(content))
    after = runs()
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[2] != after[2]
    (written / taught.LABELS).unlink()
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path / "none"))
    assert datasets.labels_hash("scenes+taught") is None
