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


def test_datasets_joined_train_on_all_and_are_measured_on_the_last(monkeypatch):
    real = datasets.load

    def load(name, split="test", **options):  # taught photographs are scenes of another seed here
        data = real("scenes", split, **options, seed=7 if name == "taught" else 0)
        return CropDataset(name, split, data.form, data.root, data.samples)

    monkeypatch.setattr(datasets, "load", load)
    assert datasets.takes_form("scenes+taught")
    train, val, test = datasets.splits("scenes+taught", "cpc", 3, 2, 2)
    apart = [datasets.splits(name, "cpc", 3, 2, 2) for name in ("scenes", "taught")]
    assert (train.name, val.name, test.name) == ("scenes+taught", "taught", "taught")
    assert (len(train), len(val), len(test)) == (6, 2, 2)
    for sample, expected in zip(train, [*apart[0][0], *apart[1][0]], strict=True):
        assert torch.equal(sample.boxes, expected.boxes)
    assert torch.equal(train.samples[-1].scores, apart[1][0][-1].scores)
    assert [one.name for one in train.samples[2:4]] == [train[2].name, train[3].name]
    for mixed, own in zip((val, test), apart[1][1:], strict=True):
        pairs = zip(mixed, own, strict=True)
        assert all(torch.equal(one.boxes, other.boxes) for one, other in pairs)


def test_datasets_of_different_forms_are_not_joined(monkeypatch):
    parts = [CropDataset("gaicd", part, "gaicd", None, []) for part in ("train", "val", "test")]
    splits = datasets.splits
    monkeypatch.setattr(
        datasets,
        "splits",
        lambda name, *options: parts if name == "gaicd" else splits(name, *options),
    )
    with pytest.raises(CropnbError, match="gaicd has that of gaicd"):
        splits("scenes+gaicd", "cpc", 2, 1, 1)
    assert len(splits("scenes+gaicd", "gaicd", 2, 1, 1)[0]) == 2
