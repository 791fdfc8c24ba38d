"""One way to ask any method for crops, tried with methods whose answers are known beforehand."""

import dataclasses
import functools
import importlib
import io
import pickle
import statistics
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

import cropnb
from cropnb import candidates, croppers, ledger, methods
from cropnb.boxes import check
from cropnb.croppers import batches
from cropnb.errors import BoxError, CropnbError, ImageError, SaveError, WeightsUnavailable
from cropnb.ratios import parse_ratio


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
        assert Fraction(*crop.image().size) == Fraction(aspect).limit_denominator(100)
        assert crop.image().width == pytest.approx(x2 - x1, rel=0.12)


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


@pytest.mark.parametrize("aspect", [0, -1.5, float("nan"), float("inf"), "wide", True, [16, 9, 4]])
def test_what_is_no_ratio_is_refused(toy, photo, aspect):
    for cropper in (toy, cropnb.load("center")):
        with pytest.raises(BoxError, match="16 / 9"):
            cropper(photo, aspect=aspect)


def test_a_ratio_without_a_window_is_refused(toy, photo):
    for cropper in (toy, cropnb.load("center_window")):
        with pytest.raises(BoxError, match=r"120 × 90|120 x 90"):
            cropper(photo, aspect=1000)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None, np.float64(2), "3"])
def test_k_is_a_whole_number_from_1(toy, photo, k):
    with pytest.raises(CropnbError, match="whole number from 1"):
        toy(photo, k=k)


@pytest.mark.parametrize("k", [np.int64(2), np.uint8(2), torch.tensor(2)])
def test_k_may_be_any_kind_of_integer(toy, photo, k):
    assert len(toy(photo, k=k)) == 2


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
        # Methods that name a sharpness rank by expected overlap, see tests/test_preference.py.
        if getattr(cropper.method, "sharpness", None) is None:
            scores = [crop.score for crop in crops]
            assert scores == sorted(scores, reverse=True)
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


@pytest.mark.parametrize("name", [*croppers.METHODS, "center_window"])
@pytest.mark.parametrize("size", [(400, 400), (641, 427)])
def test_of_a_ratio_every_method_gives_whole_pixels_of_exactly_that_ratio(name, size, methods_at):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    for aspect in (4 / 5, "16:9", (3, 2)):
        crop = methods_at(name)(pixels, aspect=aspect)[0]
        crop_width, crop_height = crop.image().size
        assert Fraction(crop_width, crop_height) == parse_ratio(aspect)
        x1, _, x2, _ = crop.box.tolist()
        assert crop_width == pytest.approx(x2 - x1, abs=parse_ratio(aspect).numerator / 2 + 1)
        small = methods_at(name)(pixels, size=(40, 50))[0].image()
        assert small.size == (40, 50)


@pytest.fixture(scope="session")
def methods_at():
    return functools.cache(cropnb.load)


@pytest.fixture(scope="session")
def pictures():
    """Photos of three shapes, some larger than what networks are shown."""
    rng = np.random.default_rng(1)
    sizes = [(90, 120), (300, 200), (90, 120), (1100, 1500), (300, 200)]
    coarse = [rng.integers(0, 256, (5, 6, 3), np.uint8) for _ in sizes]
    return [
        Image.fromarray(pixels).resize(size[::-1])
        for pixels, size in zip(coarse, sizes, strict=True)
    ]


@pytest.mark.parametrize("name", [*croppers.METHODS, "center"])
@pytest.mark.parametrize("aspect", [None, "4:5"])
def test_a_list_of_photos_gives_the_list_of_what_each_gives(name, aspect, pictures, methods_at):
    cropper = methods_at(name)
    together = cropper(pictures, aspect=aspect)
    assert len(together) == len(pictures)
    for picture, crops in zip(pictures, together, strict=True):
        alone = cropper(picture, aspect=aspect)
        assert [crop.score is None for crop in crops] == [crop.score is None for crop in alone]
        for a, b in zip(alone, crops, strict=True):
            assert a.box.tolist() == pytest.approx(b.box.tolist(), abs=0.02)
            assert (a.score or 0) == pytest.approx(b.score or 0, abs=1e-4)


@pytest.mark.parametrize("name", [*croppers.METHODS, "center"])
@pytest.mark.parametrize("aspect", [None, "4:5"])
def test_a_batch_is_answered_as_its_photos_are(name, aspect, pictures, methods_at):
    cropper, request = methods_at(name), croppers.Request.of(aspect=aspect)
    looks = [cropper._look(picture, request) for picture in pictures]
    for look, (boxes, scores) in zip(looks, cropper._find(looks, request), strict=True):
        alone, alone_scores = cropper._find([look], request)[0]
        assert boxes[0].tolist() == pytest.approx(alone[0].tolist(), abs=0.02)
        if scores is not None:
            # Candidates that are liked alike may change places.
            assert sorted(scores.tolist()) == pytest.approx(sorted(alone_scores.tolist()), abs=1e-4)


def test_threads_are_given_back_and_heavy_photos_go_in_alone(toy, photo):
    before = torch.get_num_threads()
    assert len(toy([photo] * 50)) == 50
    assert torch.get_num_threads() == before
    budget, held, most = batches.Budget(100), [0], [0]

    def work(entries):
        for _, weight in entries:
            with budget.of(weight):
                held[0] += weight
                most[0] = max(most[0], held[0])
                time.sleep(0.005)
                held[0] -= weight
        return [place for place, _ in entries]

    weights = [40, 40, 40, 500, 40, 90, 40, 40] * 2
    for together in (1, 3):
        results = batches.in_threads(iter(weights), work, jobs=6, together=together)
        assert list(results) == list(range(16))
    assert most[0] == 500


@pytest.mark.parametrize(
    ("number", "handfuls"), [(3, [1, 1, 1]), (8, [2] * 4), (18, [4] * 4 + [2])]
)
def test_photos_are_taken_by_the_handful_and_every_thread_gets_two(number, handfuls):
    sizes = []

    def work(entries):
        sizes.append(len(entries))
        if entries[0][0] == 0:
            raise RuntimeError("the whole handful")
        return [source for _, source in entries]

    results = list(batches.in_threads(list(range(number)), work, jobs=2))
    assert sorted(sizes) == sorted(handfuls)
    broken = [isinstance(result, RuntimeError) for result in results]
    assert broken == [place < handfuls[0] for place in range(number)]
    assert results[handfuls[0] :] == list(range(handfuls[0], number))


def test_a_batch_that_is_left_unfinished_waits_for_no_thread():
    # The garbage collector may close it while a thread starts, which must not wait for another.
    go_on = threading.Event()

    def work(entries):
        if entries[0][0]:
            go_on.wait(60)
        return [source for _, source in entries]

    results = batches.in_threads(iter(range(8)), work, jobs=2)
    assert next(results) == 0
    start = time.monotonic()
    results.close()
    took = time.monotonic() - start
    go_on.set()
    assert took < 30


def test_a_handful_is_no_heavier_than_it_may_be():
    parts = list(batches.by_weight([5, 5, 20, 1, 0, 9, 1], most=10))
    assert parts == [
        (slice(0, 2), 10), (slice(2, 3), 20), (slice(3, 6), 10), (slice(6, 7), 1)
    ]  # fmt: skip
    assert list(batches.by_weight([])) == []


def test_a_list_says_which_of_its_photos_is_none(toy, photo):
    assert toy([]) == []
    with pytest.raises(ImageError) as caught:
        toy([photo, b"no photo", photo])
    assert "photo 1 of the list" in caught.value.__notes__


@pytest.mark.parametrize("where", ["cpu", "cuda"])  # of which each has its way to make batches
def test_what_is_wrong_with_one_photo_of_a_batch_leaves_the_others_alone(photo, where):
    class Choosy(Centred):
        device = where

        def see(self, image):
            return image

        def score_all(self, seen, sizes, boxes):
            if any(size == (50, 50) for size in sizes):
                raise RuntimeError("not this one")
            return [-box[:, 0] for box in boxes]

    cropper = croppers.Cropper(Choosy())
    photos = [photo, Image.new("RGB", (50, 50)), Image.new("RGB", (3, 3)), photo]
    results = list(cropper.stream(iter(photos), croppers.Request.of()))
    assert [type(result) for result in results] == [list, RuntimeError, ImageError, list]


def test_four_threads_may_share_one_cropper(pictures, methods_at):
    for name in ("mars", "gaic"):
        cropper = methods_at(name)
        work = [(picture, ratio) for picture in pictures[:4] for ratio in (None, "3:2")] * 2
        expected = [cropper(picture, aspect=ratio)[0].box for picture, ratio in work]
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(cropper, picture, aspect=ratio) for picture, ratio in work]
            for job, box in zip(jobs, expected, strict=True):
                assert torch.allclose(job.result()[0].box, box, atol=1e-3)


def test_more_kinds_of_photos(toy, photo, tmp_path):
    expected = toy(photo)[0].box.tolist()
    photo.save(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    pixels = np.asarray(photo)
    bytes_tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    for form in (content, io.BytesIO(content), bytes_tensor, bytes_tensor / 255 * (1 + 1e-6)):
        assert toy(form)[0].box.tolist() == expected
    with open(tmp_path / "photo.png", "rb") as file:
        assert toy(file)[0].box.tolist() == expected
    assert toy(pixels[..., 0])[0].image().mode == "L"


def test_boxes_and_scores_are_ordinary_tensors(toy, photo):
    box = toy(photo)[0].box
    assert not box.is_inference()
    scores = toy.score(photo, box[None])
    assert not scores.is_inference()
    moved = torch.zeros(4, requires_grad=True)
    ((box + moved) * scores).sum().backward()
    assert moved.grad.tolist() == pytest.approx([scores.item()] * 4)


def test_a_pickled_crop_opens_its_file_again_and_carries_no_photo(toy, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    crop = toy(tmp_path / "photo.png", aspect="1:1")[0]
    packed = pickle.dumps(crop)
    assert len(packed) < 3000
    again = pickle.loads(packed)
    assert (again.pixels, again.score) == (crop.pixels, crop.score)
    assert np.array_equal(np.asarray(again.image()), np.asarray(crop.image()))
    Image.new("RGB", (80, 60)).save(tmp_path / "photo.png")
    with pytest.raises(ImageError, match="has changed since it was cropped"):
        pickle.loads(packed).image()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_pickled_crop_of_a_photo_without_a_file_carries_its_own_pixels(toy, kind):
    top = np.iinfo(kind).max
    pixels = np.random.default_rng(0).integers(0, top, (600, 800, 3), kind, endpoint=True)
    crop = toy(pixels, aspect="1:1", size=(100, 100))[0]
    left, upper, right, lower = crop.pixels
    again = pickle.loads(pickle.dumps(crop))
    assert again.pixels == crop.pixels
    assert (
        len(pickle.dumps(crop))
        < (right - left) * (lower - upper) * 3 * top.bit_length() // 8 + 4000
    )
    assert np.array_equal(again.cut().array(), crop.cut().array())
    assert again.cut().array().dtype == kind
    assert pickle.loads(pickle.dumps(again)).pixels == crop.pixels


def test_a_pickled_cropper_crops(photo):
    again = pickle.loads(pickle.dumps(cropnb.load("center")))
    assert again(photo)[0].box.tolist() == [6, 4.5, 114, 85.5]


def test_save_keeps_the_ratio_and_may_refuse_to_replace(toy, photo, tmp_path):
    crop = toy(photo, size="20x25")[0]
    crop.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (20, 25)
    with pytest.raises(CropnbError, match="isn't overwritten"):
        crop.save(tmp_path / "out.png", overwrite=False)
    larger = toy(photo, size=(400, 500), enlarge=True)[0]
    assert larger.image().size == (400, 500)
    with pytest.raises(BoxError, match="isn't of the ratio"):
        toy(photo, size=(400, 500), aspect=1)


def test_the_default_gains_most_over_the_centred_window_on_photographs():
    rows = [row for row in methods.on_photographs() if row.row in croppers.METHODS]
    centred = {
        row.table: row.ours
        for row in methods.on_photographs()
        if row.row in ("center", "center_window") and not methods.difference(row)
    }
    assert len(centred) == len(methods.QUESTIONS)
    means = {
        name: statistics.mean(row.ours - centred[row.table] for row in rows if row.row == name)
        for name in {row.row for row in rows}
    }
    assert methods.default() == max(means, key=means.get)
    assert cropnb.load().name == methods.default()
    assert methods.default() == methods.FALLBACK, "set FALLBACK to what the ledger says"


def test_the_default_follows_the_ledger(tmp_path, monkeypatch):
    row = dataclasses.replace(methods.on_photographs("vrn")[0], low=0, high=1)
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    assert methods.default() == methods.FALLBACK  # nothing there

    def record(name, free, required, ours=0.5, **place):
        gains = {"no required aspect ratio": free, "aspect ratio of the true crop": required}
        rows = [
            dataclasses.replace(
                row,
                row=name,
                table=table,
                ours=ours,
                note=f"less center: {gain:+.3f} [{gain - 0.1:+.3f}, {gain + 0.1:+.3f}], paired",
                **place,
            )
            for table, gain in gains.items()
            if gain is not None
        ]
        ledger.record("photographs", rows)
        return rows

    record("center", 0.4, 0.4)  # a baseline doesn't count
    first = record("gaic", -0.1, 0.05)
    record("vrn", 0.1, -0.2, ours=0.9)  # on easier photos
    record("la2c", None, 0.4)  # was asked only one of the two
    assert methods.default() == "gaic"
    assert methods.difference(first[0]) == methods.Difference("center", -0.1, -0.2, 0.0)
    record("vrn", 0.3, 0.3, dataset="flms")  # another set counts as much
    assert methods.default() == "vrn"
    (tmp_path / "photographs.json").write_text("[{")
    assert methods.default() == methods.FALLBACK


@pytest.mark.parametrize(
    ("note", "verdict"),
    [
        ("less center: +0.031 [+0.002, +0.060], paired", methods.BEATS),
        ("less center: -0.020 [-0.040, -0.010]; x", methods.BELOW),
        ("less center: -0.020 [-0.040, +0.010]", methods.LEVEL),
        ("less center_window: +0.000 [+0.000, +0.000], paired", methods.LEVEL),
        ("what the others are compared with", None),
    ],
)
def test_whether_a_method_beats_the_centred_window(note, verdict):
    less = methods.difference(dataclasses.replace(methods.on_photographs("vrn")[0], note=note))
    assert (less and less.verdict) == verdict


def test_an_end_above_zero_is_neither_noted_nor_shown_as_zero():
    less = methods.Difference("center_window", 0.0209527, 0.0001321, 0.0449320)
    note = methods.difference_note("center_window", less)
    assert note == "less center_window: +0.020953 [+0.000132, +0.044932], paired by photo"
    noted = methods.difference(dataclasses.replace(methods.on_photographs("vrn")[0], note=note))
    assert noted.verdict == methods.BEATS
    assert str(noted) == "+0.0210 [+0.0001, +0.0449]"
    assert str(methods.Difference("full", 0.0, 0.0, 0.0)) == "+0.000 [+0.000, +0.000]"


def test_a_crop_never_replaces_its_own_photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (60, 40)).save(path)
    before = path.read_bytes()
    (tmp_path / "other.png").symlink_to(path)
    crop = cropnb.load("center")(path)[0]
    for name in (path, str(path), tmp_path / "other.png"):
        with pytest.raises(SaveError, match="is the photo itself"):
            crop.save(name)
    assert path.read_bytes() == before
    crop.save(tmp_path / "crop.png")
    assert Image.open(tmp_path / "crop.png").size == (54, 36)


@pytest.mark.parametrize("limit", ["x", 0, -1, True, float("nan")])
def test_a_limit_that_is_no_number_of_pixels_is_not_the_photos_fault(limit):
    with pytest.raises(CropnbError, match="limit is a number of pixels"):
        cropnb.load("center")(Image.new("RGB", (60, 40)), limit=limit)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": []}, "no method"),
        ({"name": "vrn", "weights": 5}, "weights are a path"),
        ({"name": "vrn", "device": "meta"}, "'meta' can't be used"),
        ({"name": "center", "device": "tpu"}, "'tpu' can't be used"),
    ],
)
def test_what_is_no_name_no_weights_or_no_device_is_said(asked, message):
    with pytest.raises(CropnbError, match=message):
        cropnb.load(**asked)


def test_a_folder_of_weights_is_called_one(tmp_path):
    with pytest.raises(WeightsUnavailable, match="is a folder"):
        cropnb.load("vrn", weights=tmp_path)


def test_a_ratio_without_any_window_is_a_typed_error():
    photo = Image.new("RGB", (400, 300))
    with pytest.raises(BoxError, match="no window of a photo of 400 × 300 and of the ratio 200"):
        cropnb.load("asm_net")(photo, aspect=200)


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
