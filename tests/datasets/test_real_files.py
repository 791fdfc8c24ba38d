"""The readers on the real annotation files, where `CROPNB_DATA` has them: the counts that the
papers print.
"""

from pathlib import Path

import pytest
import torch

from cropnb import boxes as box_math
from cropnb import candidates, datasets


def need(real_data: Path, name: str) -> Path:
    if not (real_data / name).is_dir():
        pytest.skip(f"CROPNB_DATA has no {name}")
    return real_data / name


@pytest.mark.parametrize(
    ("split", "photos", "views"), [("train", 1036, 89506), ("test", 200, 17347)]
)
def test_gaicd_counts(real_data, split, photos, views):
    dataset = datasets.load("gaicd", split, root=need(real_data, "gaicd"))
    assert len(dataset) == photos
    assert sum(len(sample.boxes) for sample in dataset) == views
    scores = torch.cat([sample.scores for sample in dataset])
    assert scores.min() >= 1
    assert scores.max() <= 5


def test_gaicd_boxes_are_the_grid_anchors_of_the_size_that_they_imply(real_data):
    """With rows and columns swapped, or a size off by a few pixels, hardly any photo would fit."""
    folder = need(real_data, "gaicd")
    exact = 0
    for sample in [
        *datasets.load("gaicd", "train", root=folder),
        *datasets.load("gaicd", "test", root=folder),
    ]:
        box_math.check(sample.boxes, width=sample.width, height=sample.height)
        anchors = candidates.grid_anchors(*sample.size)
        exact += {tuple(box) for box in sample.boxes.tolist()} == {
            tuple(box) for box in anchors.tolist()
        }
    assert exact == 1235  # of 1236: one photo has a narrower grid


def test_fcdb_counts(real_data):
    folder = need(real_data, "fcdb")
    test, train = (
        datasets.load("fcdb", "test", root=folder),
        datasets.load("fcdb", "train", root=folder),
    )
    assert (len(test), len(train)) == (345, 1369)
    first = test[0]
    assert first.name == "6931423716_4fb31feac6_c.jpg"
    assert first.boxes.tolist() == [[3, 130, 800, 409]]
    if not test.photo_count:
        pytest.skip("CROPNB_DATA has no photos of FCDB")
    for sample in test.with_photos():
        assert sample.photo().size == sample.size
        box_math.check(sample.boxes, width=sample.width, height=sample.height)


def test_flms_counts(real_data):
    dataset = datasets.load("flms", root=need(real_data, "flms"))
    assert len(dataset) == 500
    counts = torch.tensor([len(sample.boxes) for sample in dataset])
    assert counts.sum() == 4988
    assert counts.max() == 10
    # Most of the photos are 1024 wide and the crops as wide as they like; swapped columns would be
    # 1024 high.
    right = torch.cat([sample.boxes for sample in dataset])[:, 2]
    bottom = torch.cat([sample.boxes for sample in dataset])[:, 3]
    assert right.median() > bottom.median()
    # Drawn from the far corner, and sorted:
    turned = next(sample for sample in dataset if sample.name == "465190454_Large.jpg")
    assert turned.boxes[0].tolist() == [76, 68, 779, 1006]
