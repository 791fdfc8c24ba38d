"""The cache of scaled photos gives the bits of scaling on the spot, and notices other photos."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cropnb import datasets
from cropnb.datasets import prepared
from cropnb.errors import DatasetMissing
from cropnb.images import resize_short_side

SIZES = {"a": (600, 480), "b": (480, 700), "c": (512, 512)}


def save(path: Path, size: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=90)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "gaicd"
    for seed, (name, (width, height)) in enumerate(SIZES.items()):
        last = [round(11.5 / 12 * side) for side in (height, width)]
        (folder / "annotations/test").mkdir(parents=True, exist_ok=True)
        (folder / f"annotations/test/{name}.txt").write_text(f"20 40 {last[0]} {last[1]} 3.5\n")
        save(folder / f"images/test/{name}.jpg", (width, height), seed)
    (folder / "annotations/test/d.txt").write_text("5 10 115 230 3\n")  # without a photo
    return folder


def pixels(dataset: datasets.CropDataset) -> dict[str, torch.Tensor]:
    return {sample.name: sample.image() for sample in dataset if sample.has_photo}


def test_prepared_photos_are_those_that_are_scaled_on_the_spot(root, monkeypatch):
    whole = datasets.load("gaicd", "test", root=root)
    before = datasets.load("gaicd", "test", root=root, short_side=256)
    assert not prepared.is_prepared(whole)
    count, size = prepared.prepare("gaicd", "test", root=root, progress=False)
    assert (count, size) == (3, 3 * 256 * (320 + 373 + 256))
    assert prepared.is_prepared(whole)
    expected = {
        sample.name: np.asarray(resize_short_side(sample.photo(), 256))
        for sample in whole
        if sample.has_photo
    }
    on_the_spot = pixels(before)
    monkeypatch.setattr(
        "cropnb.photos.OpenedPhoto.rgb", lambda photo: pytest.fail("the original was decoded")
    )
    cached = datasets.load("gaicd", "test", root=root, short_side=256)
    for name, image in pixels(pickle.loads(pickle.dumps(cached.with_photos()))).items():
        assert torch.equal(image, on_the_spot[name])
        assert np.array_equal((image.permute(1, 2, 0) * 255).round().byte().numpy(), expected[name])


def test_boxes_are_scaled_with_the_photo(root):
    whole = datasets.load("gaicd", "test", root=root)
    small = datasets.load("gaicd", "test", root=root, short_side=256)
    for one, other in zip(small, whole, strict=True):
        assert min(one.size) == 256
        if one.has_photo:
            assert one.photo().size == one.size
        ratio = torch.tensor([*one.size, *one.size]) / torch.tensor([*other.size, *other.size])
        assert torch.allclose(one.boxes, other.boxes * ratio)
        assert torch.equal(one.scores, other.scores)
    assert small.photo_count == whole.photo_count == 3


def test_a_second_preparation_does_nothing(root):
    prepared.prepare("gaicd", "test", root=root, progress=False)
    file = root / "prepared/256/test.pixels"
    before = file.stat().st_mtime_ns
    prepared.prepare("gaicd", "test", root=root, progress=False)
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change", ["another photo", "a photo more", "pixels cut short", "no index", "a broken index"]
)
def test_a_cache_that_no_longer_fits_is_not_used(root, change):
    prepared.prepare("gaicd", "test", root=root, progress=False)
    folder = root / "prepared/256"
    if change == "another photo":
        save(root / "images/test/b.jpg", SIZES["b"], 9)
        os.utime(root / "images/test/b.jpg", (1, 1))
    elif change == "a photo more":
        save(root / "images/test/d.jpg", (240, 120), 9)
    elif change == "pixels cut short":
        os.truncate(folder / "test.pixels", 1000)
    elif change == "no index":
        (folder / "test.json").unlink()
    else:
        (folder / "test.json").write_text("{")
    dataset = datasets.load("gaicd", "test", root=root)
    assert not prepared.is_prepared(dataset)
    small = prepared.resized(dataset)
    for one, other in zip(small, dataset, strict=True):
        if one.has_photo:
            assert np.array_equal(
                np.asarray(one.photo()), np.asarray(resize_short_side(other.photo(), 256))
            )
    prepared.prepare("gaicd", "test", root=root, progress=False)
    assert prepared.is_prepared(datasets.load("gaicd", "test", root=root))


def test_what_was_interrupted_leaves_nothing(root, monkeypatch):
    calls = []

    def interrupted(photo, side):
        calls.append(photo)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return resize_short_side(photo, side)

    monkeypatch.setattr(prepared, "resize_short_side", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepared.prepare("gaicd", "test", root=root, progress=False)
    assert not list((root / "prepared").rglob("*.*"))


def test_without_photos_there_is_nothing_to_prepare(root):
    for path in root.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(DatasetMissing, match="only annotations"):
        prepared.prepare("gaicd", "test", root=root)


def test_scenes_are_scaled_on_the_spot():
    whole = datasets.load("scenes", "test", form="gaicd", size=2)
    small = datasets.load("scenes", "test", form="gaicd", size=2, short_side=128)
    assert min(small[0].size) == 128
    assert small[0].photo().size == small[0].size
    assert torch.allclose(
        small[0].boxes.amax() / max(small[0].size),
        whole[0].boxes.amax() / max(whole[0].size),
        atol=0.01,
    )
