"""Salient masks by a network that stands for ISNet."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cropnb.datasets import masks, unlabelled
from cropnb.errors import DatasetMissing, WeightsUnavailable


@pytest.fixture
def package(tmp_path):
    """A model of ten bytes in three pieces."""
    folder = tmp_path / "dist"
    folder.mkdir()
    pieces = {"c1": b"0123", "a2": b"4567", "b3": b"89"}
    for name, content in pieces.items():
        (folder / name).write_bytes(content)
    index = {masks.MODEL: {"size": 10, "chunks": [{"hash": name} for name in pieces]}}
    (folder / "resources.json").write_text(json.dumps(index))
    return folder


def test_pieces_are_joined_in_the_order_of_the_index(package):
    assert masks.join_model(package) == b"0123456789"


@pytest.mark.parametrize("damage", ["piece", "short", "index", "json"])
def test_a_package_that_lacks_something_is_named(package, damage):
    if damage == "piece":
        (package / "a2").unlink()
    elif damage == "short":
        (package / "a2").write_bytes(b"4")
    else:
        (package / "resources.json").write_text("{}" if damage == "index" else "{")
    with pytest.raises(WeightsUnavailable, match=r"dist"):
        masks.join_model(package)


def test_what_the_network_reads_and_what_becomes_of_its_answer():
    photo = Image.new("RGB", (40, 20), (0, 128, 255))
    values = masks.network_input(photo)
    assert values.shape == (1, 3, 1024, 1024)
    assert values[0, :, 5, 5].tolist() == [-0.5, 0.0, pytest.approx(127 / 256)]
    answer = np.zeros((1, 1, 1024, 1024), dtype=np.float32)
    answer[..., :512] = 2.0  # clipped
    mask = masks.mask_image(answer)
    assert mask.size == (96, 96)
    assert mask.getpixel((0, 0)) == 255
    assert mask.getpixel((95, 95)) == 0


def test_only_what_is_missing_is_made(tmp_path):
    photos = tmp_path / "photos" / "bsds500"
    photos.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (30, 20), (number * 100,) * 3).save(photos / f"{number}.jpg")
    out, asked = tmp_path / "masks", []

    def network(values):
        asked.append(values.mean())
        return np.full((1, 1, 8, 8), 0.5, dtype=np.float32)

    photographs = unlabelled.load(["bsds500"], root=tmp_path)
    assert masks.write(photographs[:2], network, out, progress=False) == 2
    assert masks.write(photographs, network, out, progress=False) == 1
    assert len(asked) == 3
    again = unlabelled.load(["bsds500"], root=tmp_path, masks=[out])
    assert all(one.mask for one in again)
    assert torch.allclose(unlabelled.read_mask(again[0].mask), torch.tensor(128 / 255), atol=0.01)
    with pytest.raises(DatasetMissing):
        masks.write([], network, out)


def test_two_processes_share_the_work(tmp_path):
    photos, out = tmp_path / "photos" / "bsds500", tmp_path / "masks"
    photos.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (30, 20)).save(photos / f"{number}.jpg")
    photographs = unlabelled.load(["bsds500"], root=tmp_path)
    answer = np.full((1, 1, 8, 8), 0.5, dtype=np.float32)

    def network(values):
        """While the first mask is made, another process makes those of the second half."""
        if not out.joinpath("bsds500__2.png").exists():
            masks.write(photographs[2:], lambda _: answer, out, progress=False)
        return answer

    assert masks.write(photographs, network, out, progress=False) == 2
    assert len(list(out.iterdir())) == 4
