"""Photographs with fixations, and photographs without any label."""

import json

import pytest
import torch
from PIL import Image

from cropnb.datasets import gaze, unlabelled
from cropnb.errors import CropnbError, DatasetMissing, ImageError


@pytest.fixture
def folder(tmp_path):
    """Both sets with a few small photos."""
    for name, count in (("osie", 6), ("crowd", 4)):
        place = tmp_path / "gaze" / name
        place.mkdir(parents=True)
        fixations = {}
        for number in range(count):
            Image.new("RGB", (48, 32), (number, 0, 0)).save(place / f"{number:03d}.jpg")
            fixations[f"{number:03d}"] = [[[0.5, 0.5, 200], [1.2, 0.1, 90]], [[0.25, 0.75, 120]]]
        (place / "fixations.json").write_text(json.dumps(fixations))
    return tmp_path


def test_viewers_and_what_lies_beyond_the_photo(folder):
    photos = gaze.load("all", folder / "gaze")
    assert len(photos) == 10
    sample = photos[0]
    assert sample.name == "osie/000"
    assert sample.size == (48, 32)
    # The fixation at x = 1.2 lies beyond the photo and is left out.
    assert torch.allclose(sample.fixations[:, :2], torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
    assert sample.viewers.tolist() == [0, 1]
    assert sample.image().shape == (3, 32, 48)


def test_splits_share_no_photo(folder, monkeypatch):
    monkeypatch.setattr(gaze, "HELD_OUT", 1)
    names = {
        split: {sample.name for sample in gaze.load(split, folder / "gaze").samples}
        for split in gaze.SPLITS
    }
    assert len(names["test"]) == len(names["val"]) == 2
    assert not names["train"] & (names["val"] | names["test"])
    assert not names["val"] & names["test"]
    assert sum(map(len, names.values())) == 10


def test_a_photo_that_nobody_looked_at_is_left_out_and_so_is_one_that_is_gone(folder):
    path = folder / "gaze" / "osie" / "fixations.json"
    content = json.loads(path.read_text())
    content["000"], content["999"] = [[], []], [[[0.5, 0.5, 1]]]
    path.write_text(json.dumps(content))
    names = [sample.name for sample in gaze.load("all", folder / "gaze").samples]
    assert "osie/000" not in names
    assert "osie/999" not in names
    assert "osie/001" in names


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"000": 7}',
        '{"000": [[[0.5, 0.5]]]}',
        '{"000": [[["a", 0.5, 1]]]}',
        '{"../000": [[[0.5, 0.5, 1]]]}',
        '{"a": [], "A": []}',
        "{",
    ],
)
def test_damaged_fixations_are_named(folder, content):
    path = folder / "gaze" / "osie" / "fixations.json"
    path.write_text(content)
    with pytest.raises(DatasetMissing, match=r"fixations\.json"):
        gaze.load("all", folder / "gaze")


def test_photos_without_fixations_are_no_gaze_dataset(tmp_path):
    (tmp_path / "osie").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "osie" / "1.jpg")
    with pytest.raises(DatasetMissing, match="photos alone"):
        gaze.load("all", tmp_path)
    with pytest.raises(CropnbError, match="splits"):
        gaze.load("validation", tmp_path)


def test_unlabelled_photos_and_their_masks_of_any_size(folder, tmp_path):
    masks = folder / "photos" / "saliency"
    masks.mkdir(parents=True)
    Image.new("L", (96, 96), 255).save(masks / "osie__000.png")
    further = tmp_path / "further"
    further.mkdir()
    Image.new("RGB", (5, 7), (255, 255, 255)).save(further / "osie__001.png")
    Image.new("L", (9, 9)).save(further / "osie__000.png")  # the first folder's wins
    photos = {one.name: one for one in unlabelled.load(root=folder, masks=[further])}
    assert len(photos) == 10
    assert unlabelled.read_mask(photos["osie/000"].mask).shape == (96, 96)
    assert unlabelled.read_mask(photos["osie/001"].mask).mean() == 1
    assert photos["osie/002"].mask is None
    assert photos["crowd/000"].mask is None


def test_a_mask_that_is_no_picture_and_a_folder_without_photos(folder, tmp_path):
    path = tmp_path / "osie__000.png"
    path.write_text("no picture")
    with pytest.raises(ImageError):
        unlabelled.read_mask(path)
    with pytest.raises(DatasetMissing, match="bsds500"):
        unlabelled.load(["bsds500"], root=folder)


def test_the_real_sets(real_data):
    if not (real_data / "gaze").is_dir():
        pytest.skip("no gaze photos in CROPNB_DATA")
    photos = gaze.load("all", real_data / "gaze")
    assert len(photos) > 1000
    assert all(len(sample.fixations) for sample in photos.samples)
