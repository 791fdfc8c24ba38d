"""Layouts: GAICD's crops and scores on drawings of the objects' boxes, whatever the files hold."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from cropnb import datasets
from cropnb.datasets import gaicd_layouts, prepared
from cropnb.errors import BoxError, CropnbError, DatasetMissing
from cropnb.metrics import srcc

# For 240 × 120 pixels, anchors lie at 10 … 230 and at 5 … 115.
CROPS = "5 10 115 230 3.14\n15 30 105 190 -2\n5 50 95 210 2.5\n"
OBJECTS = "10 20 60 100\n30 80 110 200\n1 0 1 1\n"


def make(root: Path, objects: str | bytes | None = OBJECTS, folder: str = "objects/test") -> Path:
    (root / "annotations/test").mkdir(parents=True)
    (root / "annotations/test/one.txt").write_text(CROPS)
    (root / folder).mkdir(parents=True)
    if objects is not None:
        content = objects.encode() if isinstance(objects, str) else objects
        (root / folder / "one.txt").write_bytes(content)
    return root


def load(root: Path) -> datasets.Sample:
    return datasets.load("gaicd_layouts", "test", root=root)[0]


@pytest.mark.parametrize("folder", ["objects/test", "objects"])
def test_a_layout_has_gaicds_crops_and_scores_and_the_objects_boxes(tmp_path, folder):
    sample = load(make(tmp_path, folder=folder))
    assert sample.size == (240, 120)
    assert sample.boxes.tolist() == [[10, 5, 230, 115], [50, 5, 210, 95]]
    assert sample.scores.tolist() == pytest.approx([3.14, 2.5])
    # rows first in the file, and what has no area fills the list up
    assert sample.objects.tolist() == [[20, 10, 100, 60], [80, 30, 200, 110]]
    assert sample.photo().size == (240, 120)
    dataset = datasets.load("gaicd_layouts", "test", root=tmp_path)
    assert (dataset.name, dataset.form, dataset.photo_count) == ("gaicd_layouts", "gaicd", 1)


def test_version_2_is_read_from_its_own_folder(tmp_path, monkeypatch):
    make(tmp_path / "gaicd_v2")
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    assert datasets.load("gaicd_v2_layouts", "test").root == tmp_path / "gaicd_v2"
    with pytest.raises(CropnbError, match="splits train, test"):
        datasets.load("gaicd_layouts", "val")
    with pytest.raises(DatasetMissing, match="annotations/test"):
        datasets.load("gaicd_layouts", "test")


def test_the_picture_shows_ground_fill_outline_and_overlap(tmp_path):
    picture = np.asarray(load(make(tmp_path)).photo())
    assert picture.shape == (120, 240, 3)
    ground = [gaicd_layouts.GROUND] * 3
    assert picture[0, 0].tolist() == picture[119, 239].tolist() == ground
    only_first, only_second, both = picture[20, 40], picture[100, 150], picture[45, 90]
    outline = picture[10, 40]
    colours = [tuple(colour) for colour in (only_first, only_second, both, outline, ground)]
    assert len(set(map(str, colours))) == 5
    # the smaller box, the first, is redder; the overlap is darker than either fill
    assert int(only_first[0]) - int(only_first[2]) > int(only_second[0]) - int(only_second[2])
    assert both.sum() < min(only_first.sum(), only_second.sum())
    assert picture[10:60, 20:100].sum() < 3 * gaicd_layouts.GROUND * 50 * 80
    # rows and columns change places in no coordinate: nothing is drawn beside the boxes
    drawn = (picture != gaicd_layouts.GROUND).any(axis=2)
    expected = np.zeros_like(drawn)
    expected[10:60, 20:100] = expected[30:110, 80:200] = True
    assert (drawn == expected).all()


def test_the_bytes_are_the_same_everywhere_and_in_any_order_of_the_boxes():
    boxes = torch.tensor([[3.0, 5, 40, 30], [10, 2, 33, 63], [0, 0, 96, 64], [50, 50, 51, 51]])
    picture = gaicd_layouts.draw_layout(boxes, 96, 64)
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == "71ad3dfa0375f76c"
    assert (gaicd_layouts.draw_layout(boxes.flip(0), 96, 64) == picture).all()


@pytest.mark.parametrize(
    ("objects", "count"),
    [("", 0), ("\n \n", 0), ("10 20 60 100", 1), ("10 20 60 100\n" * 20, 20), ("0 0 120 240", 1)],
    ids=["empty", "blank", "one", "twenty", "the whole photo"],
)
def test_any_number_of_objects_is_a_layout(tmp_path, objects, count):
    sample = load(make(tmp_path, objects))
    assert sample.objects.shape == (count, 4)
    assert (np.asarray(sample.photo()) != gaicd_layouts.GROUND).any() == bool(count)


@pytest.mark.parametrize(
    ("objects", "error", "match"),
    [
        (None, DatasetMissing, r"one\.txt: no file"),
        ("10 20 60\n", DatasetMissing, r"one\.txt, line 1: expected `y1 x1 y2 x2`"),
        ("10 20 60 100 0.9\n", DatasetMissing, "expected `y1 x1 y2 x2`"),
        ("1 2 3 4\n10 nan 60 100\n", DatasetMissing, r"line 2.*nan"),
        ("10 20 inf 100\n", DatasetMissing, "line 1"),
        ("a b c d\n", DatasetMissing, "expected"),
        (b"\xff\xfe\x00", DatasetMissing, "UTF-8"),
        ("60 20 10 100\n", BoxError, "line 1.*inverted"),
        ("10 20 60 300\n", BoxError, "outside of its photo of 240 × 120"),
        # columns first, as in no file of GAICD: the boxes leave the photo
        ("20 10 100 60\n80 30 200 110\n", BoxError, "outside of its photo"),
    ],
)
def test_odd_files_are_named(tmp_path, objects, error, match):
    with pytest.raises(error, match=match):
        load(make(tmp_path, objects))


def test_without_any_boxes_the_folder_is_named(tmp_path):
    make(tmp_path, None, "elsewhere")
    with pytest.raises(DatasetMissing, match=r"objects/test isn't there"):
        load(tmp_path)


def test_objects_are_scaled_with_the_crops(tmp_path):
    dataset = datasets.load("gaicd_layouts", "test", root=make(tmp_path), short_side=60)
    assert dataset[0].size == (120, 60) == dataset[0].photo().size
    assert dataset[0].objects.tolist() == [[10, 5, 50, 30], [40, 15, 100, 55]]
    whole = datasets.load("gaicd_layouts", "test", root=tmp_path)
    assert whole[0].objects.tolist() == [[20, 10, 100, 60], [80, 30, 200, 110]]
    bare = datasets.CropDataset("x", "test", "gaicd", None, [datasets.Sample("a", 8, 6, CORNERS)])
    assert prepared.resized(bare, 3)[0].objects is None


CORNERS = torch.tensor([[0.0, 0, 8, 6]])


def test_scenes_name_their_things():
    sample = datasets.load("scenes", "test", form="gaicd", size=1)[0]
    assert len(sample.objects) >= 1
    picture = np.asarray(sample.photo()).astype(int)
    for x1, y1, x2, y2 in sample.objects.int().tolist():
        assert picture[max(y1, 0) : y2, max(x1, 0) : x2].std() > 0


@pytest.fixture
def real_layouts(real_data):
    if not (real_data / "gaicd/objects").is_dir():
        pytest.skip("CROPNB_DATA has no gaicd/objects, so the layouts of GAICD are not tested")
    return datasets.load("gaicd_layouts", "test", root=real_data / "gaicd")


def test_the_real_layouts_are_those_of_gaicds_samples(real_layouts, real_data):
    photos = datasets.load("gaicd", "test", root=real_data / "gaicd")
    assert len(real_layouts) == real_layouts.photo_count == 200
    for layout, photo in zip(real_layouts, photos, strict=True):
        assert (layout.name, layout.size) == (photo.name, photo.size)
        assert torch.equal(layout.boxes, photo.boxes)
        assert torch.equal(layout.scores, photo.scores)
        assert 1 <= len(layout.objects) <= 10


def test_boxes_with_rows_and_columns_exchanged_say_less_of_the_scores(real_layouts):
    """How much of the objects a crop cuts says something of its score; of the wrong boxes less."""

    def mean_srcc(exchanged: bool) -> float:
        values = []
        for sample in real_layouts:
            size = torch.tensor([sample.width, sample.height] * 2)
            objects, crops = sample.objects / size, sample.boxes / size
            if exchanged:
                objects = objects[:, [1, 0, 3, 2]]
            low = torch.maximum(objects[:, None, :2], crops[None, :, :2])  # (M, N, 2)
            high = torch.minimum(objects[:, None, 2:], crops[None, :, 2:])
            inside = (high - low).clamp(min=0).prod(-1)
            share = inside / (objects[:, 2:] - objects[:, :2]).prod(-1)[:, None]  # (M, N)
            values.append(srcc(share.mean(0), sample.scores))
        return float(torch.stack(values).mean())

    assert mean_srcc(False) > mean_srcc(True) + 0.05
