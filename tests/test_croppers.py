"""One way to ask any method for crops, tried with methods whose answers are known beforehand."""

import importlib
import subprocess
import sys
import types
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

import cropnb
from cropnb import candidates, croppers
from cropnb.boxes import check
from cropnb.errors import BoxError, CropnbError, ImageError, WeightsUnavailable


class Centred:
    """Scores a box by how near its centre is to the photo's left border."""

    name = "toy"

    def __init__(self):
        self.seen = []

    def candidates(self, width, height, aspect=None):
        if aspect is None:
            return candidates.grid_anchors(width, height)
        return candidates.aspect_windows(width, height, aspect)

    def score_boxes(self, image, boxes):
        self.seen.append((tuple(image.shape), image.dtype, float(image.min()), float(image.max())))
        return -(boxes[:, 0] + boxes[:, 2]) / 2


class Two:
    """Proposes two boxes, the worse one first."""

    name = "two"

    def propose(self, image, aspect=None):
        return torch.tensor([[0.0, 0, 10, 10], [5.0, 5, 20, 20]]), torch.tensor([0.25, 0.75])


@pytest.fixture
def photo():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))


@pytest.fixture
def toy(monkeypatch):
    """A method as a module, found by its name like every other."""
    module = types.ModuleType("toy_method")
    module.load_cropper = lambda weights, device: Centred()
    monkeypatch.setitem(sys.modules, "toy_method", module)
    monkeypatch.setitem(croppers.METHODS, "toy", "toy_method")
    return cropnb.load("toy")


def test_the_best_candidates_come_first_in_pixels_of_the_photo(toy, photo):
    crops = toy(photo, k=5)
    every = candidates.grid_anchors(120, 90)
    scores = toy.score(photo, every)
    assert [crop.score for crop in crops] == scores.sort(descending=True).values[:5].tolist()
    first = every[scores == scores.max()][0]  # of equal scores, the first candidate
    assert crops[0].box.tolist() == first.tolist()
    assert toy.method.seen[0][:2] == ((3, 90, 120), torch.float32)
    assert toy.method.seen[0][3] <= 1
    assert "toy" in repr(toy)
    assert "120 × 90" in repr(crops[0])


def test_the_crop_is_cut_out_of_the_photo(toy, photo):
    crop = toy(photo)[0]
    left, top, right, bottom = crop.pixels
    assert np.array_equal(np.asarray(crop.image()), np.asarray(photo)[top:bottom, left:right])


def test_a_path_an_array_and_a_tensor_give_the_same_crop(toy, photo, tmp_path):
    photo.save(tmp_path / "photo.png")
    array = np.asarray(photo)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1) / 255
    boxes = [
        toy(form)[0].box.tolist()
        for form in (photo, str(tmp_path / "photo.png"), tmp_path / "photo.png", array, tensor)
    ]
    assert all(box == boxes[0] for box in boxes)


def test_boxes_are_in_pixels_of_the_upright_photo(toy, photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    crop = toy(tmp_path / "turned.png")[0]
    assert crop.box.tolist() == toy(photo)[0].box.tolist()
    assert np.array_equal(np.asarray(crop.image()), np.asarray(toy(photo)[0].image()))


@pytest.mark.parametrize("aspect", [16 / 9, 1, 9 / 16, Fraction(4, 3), 2.5])
def test_a_required_ratio_is_kept(toy, photo, aspect):
    for crop in toy(photo, k=3, aspect=aspect):
        x1, y1, x2, y2 = crop.box.tolist()
        assert (x2 - x1) / (y2 - y1) == pytest.approx(float(aspect), rel=1e-4)
        assert crop.image().width == round(x2 - x1)
        assert crop.image().height == round(y2 - y1)


@pytest.mark.parametrize("size", [(600, 100), (100, 500)])
def test_a_panorama_has_candidates_too(toy, size):
    assert len(candidates.grid_anchors(*size)) == 0
    crop = toy(Image.new("RGB", size))[0]
    x1, y1, x2, y2 = crop.box.tolist()
    assert (x2 - x1) / (y2 - y1) == pytest.approx(size[0] / size[1], rel=1e-3)


def test_a_proposing_method_is_sorted_by_its_scores_and_gives_fewer_crops_with_a_warning(photo):
    cropper = croppers.Cropper(Two())
    assert [crop.score for crop in cropper(photo, k=2)] == [0.75, 0.25]
    with pytest.warns(UserWarning, match="two found only 2 of the 3 crops"):
        assert len(cropper(photo, k=3)) == 2
    with pytest.raises(CropnbError, match="scores no boxes"):
        cropper.score(photo, torch.tensor([[0.0, 0, 10, 10]]))


@pytest.mark.parametrize(
    ("name", "aspect", "box"),
    [
        ("full", None, [0, 0, 120, 90]),
        ("full", 1, [15, 0, 105, 90]),
        ("center", None, [6, 4.5, 114, 85.5]),
        ("center", 1, [19.5, 4.5, 100.5, 85.5]),
        ("center_window", None, [0, 0, 120, 90]),
        ("center_window", 2, [0, 15, 120, 75]),
        ("center_window", 0.5, [37.5, 0, 82.5, 90]),
    ],
)
def test_baselines(photo, name, aspect, box):
    crops = cropnb.load(name)(photo, aspect=aspect)
    assert len(crops) == 1
    assert crops[0].box.tolist() == pytest.approx(box)
    assert crops[0].score is None
    assert "no score" in repr(crops[0])


def test_rounding_to_pixels_keeps_the_ratio_and_stays_inside(photo):
    crop = croppers.Crop(torch.tensor([0.4, 0.6, 30.6, 30.4]), None, photo)
    assert crop.pixels == (0, 1, 30, 31)  # corners rounded one by one would give 31 × 29
    assert croppers.Crop(torch.tensor([119.8, 89.8, 120.0, 90.0]), None, photo).pixels == (
        119,
        89,
        120,
        90,
    )
    assert croppers.Crop(torch.tensor([0.0, 0.0, 120.0, 90.0]), None, photo).pixels == (
        0,
        0,
        120,
        90,
    )


def test_one_pixel_is_enough_for_a_baseline_and_too_little_to_choose_in(toy):
    pixel = Image.new("RGB", (1, 1))
    for name in croppers.BASELINES:
        assert cropnb.load(name)(pixel)[0].image().size == (1, 1)
    with pytest.raises(
        ImageError, match="1 × 1, too small for toy to choose in; each side needs 16"
    ):
        toy(pixel)
    with pytest.raises(ImageError, match="1 × 900"):
        toy(Image.new("RGB", (1, 900)))
    with pytest.raises(ImageError, match="too small"):
        toy.score(pixel, torch.tensor([[0.0, 0, 1, 1]]))
    assert len(toy(Image.new("RGB", (16, 16)))) == 1


GOOD_BOX = [10.0, 10.0, 50.0, 40.0]
BAD_BOXES = {
    "inverted": ([[50.0, 10, 10, 40]], "inverted"),
    "upside down": ([[10.0, 40, 50, 10]], "inverted"),
    "empty": ([[10.0, 10, 10, 40]], "empty"),
    "a point": ([[10.0, 10, 10, 10]], "empty"),
    "NaN": ([[float("nan"), 10, 50, 40]], "not finite"),
    "infinite": ([[10.0, 10, float("inf"), 40]], "not finite"),
    "outside": ([[10.0, 10, 121, 40]], "leaves the photo of 120 x 90"),
    "negative": ([[-1.0, 10, 50, 40]], "leaves the photo"),
    "normalised to 0…100": ([[10.0, 10, 50, 100]], "leaves the photo"),
    "the second of two": ([GOOD_BOX, [10.0, 40, 50, 10]], "box 1"),
    "three numbers": ([[10.0, 10, 50]], "4"),
    "five numbers": ([[10.0, 10, 50, 40, 1]], "4"),
    "a single box": (GOOD_BOX, r"boxes\[None\]"),
    "a batch": ([[GOOD_BOX]], r"\(N, 4\)"),
    "a number": (7.0, "4"),
    "ragged": ([GOOD_BOX, [1.0]], "numbers"),
    "text": ("10 10 50 40", "numbers"),
    "nothing": (None, "numbers"),
    "a mask": (torch.ones(2, 4, dtype=torch.bool), "bool"),
}


@pytest.mark.parametrize("name", BAD_BOXES)
def test_bad_boxes_are_refused_with_what_to_do(toy, photo, name):
    value, message = BAD_BOXES[name]
    with pytest.raises(BoxError, match=message):
        toy.score(photo, value)


@pytest.mark.parametrize(
    "good",
    [
        torch.tensor([GOOD_BOX, [0, 0, 120, 90]]),
        torch.tensor([[10, 10, 50, 40], [0, 0, 120, 90]]),
        np.array([GOOD_BOX, [0, 0, 120, 90]]),
        [[10, 10, 50, 40], [0, 0, 120, 90]],
    ],
    ids=["floats", "integers", "array", "lists"],
)
def test_good_boxes_are_scored_in_their_order(toy, photo, good):
    assert toy.score(photo, good).tolist() == [-30, -60]


def test_no_boxes_have_no_scores(toy, photo):
    assert toy.score(photo, torch.zeros(0, 4)).shape == (0,)


@pytest.mark.parametrize("aspect", [0, -1.5, float("nan"), float("inf"), "wide", True, [16, 9]])
def test_what_is_no_ratio_is_refused(toy, photo, aspect):
    for cropper in (toy, cropnb.load("center")):
        with pytest.raises(BoxError, match="16 / 9"):
            cropper(photo, aspect=aspect)


def test_a_ratio_without_a_window_is_refused(toy, photo):
    for cropper in (toy, cropnb.load("center_window")):
        with pytest.raises(BoxError, match=r"120 × 90|120 x 90"):
            cropper(photo, aspect=1000)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_k_is_a_whole_number_from_1(toy, photo, k):
    with pytest.raises(CropnbError, match="whole number from 1"):
        toy(photo, k=k)


def test_scores_that_are_not_finite_are_not_ranked(toy, photo, monkeypatch):
    monkeypatch.setattr(
        toy.method, "score_boxes", lambda image, boxes: torch.full((len(boxes),), float("nan"))
    )
    with pytest.raises(CropnbError, match="not finite"):
        toy(photo)


def test_an_unknown_method_is_answered_with_those_there_are():
    with pytest.raises(CropnbError, match=r"'mona_lisa'.*full, center, center_window"):
        cropnb.load("mona_lisa")


def test_methods_are_those_whose_module_can_load_a_cropper():
    assert croppers.METHODS  # at least the baseline that VRN stands on
    for name, module in croppers.METHODS.items():
        assert module == f"cropnb.{name}"
        assert callable(importlib.import_module(module).load_cropper)
    assert not {"datasets", "widgets"} & set(croppers.METHODS)


def test_weights_that_are_not_there_are_an_error(tmp_path):
    for name in croppers.METHODS:
        with pytest.raises(WeightsUnavailable, match="there is no file"):
            cropnb.load(name, weights=tmp_path / "none.safetensors")
    with pytest.raises(CropnbError, match="no weights; leave them out"):
        cropnb.load("center", weights=tmp_path / "none.safetensors")


def test_a_device_that_is_not_there_is_an_error(monkeypatch, toy):
    with pytest.raises(CropnbError, match=r"'abacus'.*use cpu"):
        cropnb.load("toy", device="abacus")


@pytest.mark.parametrize("name", sorted(croppers.METHODS))
def test_each_method_crops_with_the_weights_that_it_comes_with(name, photo):
    try:
        cropper = cropnb.load(name)
    except WeightsUnavailable as error:
        pytest.skip(f"{name} comes without weights: {error}")
    best = cropper(photo)[0]
    check(best.box[None], width=photo.width, height=photo.height)
    if best.score is None:  # a method that finds one crop and does not rate it
        with pytest.warns(UserWarning, match="found only 1 of the 3"):
            crops = cropper(photo, k=3)
    else:
        crops = cropper(photo, k=3)
        assert [crop.score for crop in crops] == sorted(
            (crop.score for crop in crops), reverse=True
        )
    boxes = torch.stack([crop.box for crop in crops])
    assert boxes[0].equal(best.box)
    if hasattr(cropper.method, "score_boxes"):
        assert cropper.score(photo, boxes).tolist() == pytest.approx(
            [crop.score for crop in crops], abs=1e-4
        )
    else:
        with pytest.raises(CropnbError, match="scores no boxes"):
            cropper.score(photo, boxes)
    x1, y1, x2, y2 = cropper(photo, aspect=16 / 9)[0].box.tolist()
    assert (x2 - x1) / (y2 - y1) == pytest.approx(16 / 9, rel=1e-3)


def test_submodules_come_when_they_are_asked_for():
    assert cropnb.croppers is croppers
    assert cropnb.load is croppers.load
    assert {"boxes", "datasets", "load", "metrics"} <= set(dir(cropnb))
    with pytest.raises(AttributeError, match="no attribute 'mona_lisa'"):
        cropnb.mona_lisa  # noqa: B018
    assert not hasattr(cropnb, "_private")


def test_importing_the_package_does_not_import_torch():
    code = "import cropnb, cropnb.cli, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
