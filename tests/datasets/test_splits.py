"""Training, validation and test part of any dataset: nothing of one part is in another."""

import pytest
import torch

from cropnb import datasets
from cropnb.datasets import CropDataset, Sample
from cropnb.errors import CropnbError


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def install(splits):
        def load(name, split):
            if split not in splits:
                raise CropnbError(f"no split {split}")
            samples = [
                Sample(f"{split}{i}", 9, 9, torch.zeros(1, 4), load_photo=lambda: None)
                for i in range(10)
            ]
            return CropDataset(name, split, "gaicd", tmp_path, samples)

        monkeypatch.setattr(datasets, "load", load)

    return install


def test_without_a_validation_split_training_photos_are_held_out(fake):
    fake(("train", "test"))
    train, held_out, test = datasets.splits("gaicd", "gaicd", None, 3, None)
    assert [len(train), len(held_out), len(test)] == [7, 3, 10]
    assert {sample.name[:5] for sample in held_out.samples} == {"train"}
    assert not {sample.name for sample in train.samples} & {
        sample.name for sample in held_out.samples
    }
    assert [part.split for part in (train, held_out, test)] == ["train", "val", "test"]


def test_a_validation_split_of_its_own_is_used(fake):
    fake(("train", "val", "test"))
    train, held_out, test = datasets.splits("gaicd_v2", "gaicd", 4, 3, 2)
    assert [len(train), len(held_out), len(test)] == [4, 3, 2]
    assert {sample.name[:3] for sample in held_out.samples} == {"val"}


def test_scenes_come_in_the_form_that_is_asked_for():
    parts = datasets.splits("scenes", "flms", 3, 2, 1)
    assert [len(part) for part in parts] == [3, 2, 1]
    assert {part.form for part in parts} == {"flms"}
