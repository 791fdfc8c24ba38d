"""The seven readers on small copies in the real layouts, each with numbers that a mixed-up column
would change.
"""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from cropnb import datasets
from cropnb.datasets.base import CropDataset, Sample, dataset_root, held_out, true_boxes
from cropnb.datasets.gaicd import size_from_anchors
from cropnb.errors import BoxError, CropnbError, DatasetMissing, ImageError


def save_photo(path: Path, width: int, height: int, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (200, 100, 50)).save(path, **options)


def save_text(path: Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# For 240 × 120 pixels, anchors lie at 10, 30, 50, 70 … 170, 190, 210, 230 and at 5, 15, 25, 35 …
# 85, 95, 105, 115.
GAICD = "5 10 115 230 3.14\n15 30 105 190 -2\n5 50 95 210 2.5\n"


def make_gaicd(root: Path, splits=("train", "test")):
    for split in splits:
        save_text(root / f"annotations/{split}/one.txt", GAICD)
        save_text(root / f"annotations/{split}/two.txt", "5 10 115 230 4\n")
        save_photo(root / f"images/{split}/one.jpg", 240, 120)


def make_cpc(root: Path, count: int = 3):
    content = {"scores": [[3, 1], [2, 1], [7, 1]], "bboxes": [[10, 20, 110, 80], [0, 0, 60, 90]]}
    for number in range(count):
        save_text(
            root / f"CollectedAnnotationsRaw/{number}.jpg.txt", json.dumps(json.dumps(content))
        )
    save_photo(root / "images/0.jpg", 120, 90)


def make_fcdb(root: Path, photos: str = "photos"):
    entries = [
        {
            "url": "https://farm8.staticflickr.com/72/a_b.jpg",
            "flickr_photo_id": 1,
            "crop": [10, 20, 60, 50],
        },
        {
            "url": "https://farm8.staticflickr.com/72/gone_c.jpg",
            "flickr_photo_id": 2,
            "crop": [0, 0, 9, 8],
        },
    ]
    save_text(root / "cropping_testing_set.json", json.dumps(entries))
    save_text(root / "cropping_training_set.json", json.dumps(entries[1:]))
    save_photo(root / photos / "a_b.jpg", 100, 80)


def make_flms(root: Path, tables=None):
    if tables is None:
        tables = [
            [[20, 10, 70, 90], [-1, -1, -1, -1]],
            [[60, 90, 5, 10], [0, 0, 8, 9]],
        ]  # the third from its far corner
    records = np.zeros((len(tables), 1), dtype=[("filename", "O"), ("bbox", "O")])
    for number, table in enumerate(tables):
        records[number, 0] = (f"{number}_Large.jpg", np.array(table, np.int32))
    root.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / "500_image_dataset.mat", {"img_gt": records})
    save_photo(root / "image/0_Large.jpg", 100, 80)


def make_fat(root: Path):
    entry = {
        "name": "a.jpg",
        "width": 100,
        "height": 80,
        "boxes": [[0, 0, 80, 40], [10, 5, 50, 45]],
        "aspects": [2, 1],
    }
    save_text(root / "test.json", json.dumps([entry, {**entry, "name": "b.jpg"}]))
    save_text(root / "train.json", json.dumps([entry]))
    save_photo(root / "images/a.jpg", 100, 80)


def make_cuhk_icd(root: Path, count: int = 2):
    photo = "{}\\{}.jpg\n5 75 10 90\n0 80 0 99\n6 70 20 80\n"
    save_text(
        root / "Cropping parameters.txt",
        "".join(photo.format("animal", number) for number in range(count)),
    )
    save_photo(root / "All_Images/0.jpg", 100, 80)


MAKE = {
    "gaicd": make_gaicd,
    "gaicd_v2": lambda root: make_gaicd(root, ("train", "val", "test")),
    "cpc": make_cpc,
    "fcdb": make_fcdb,
    "flms": make_flms,
    "fat": make_fat,
    "cuhk_icd": make_cuhk_icd,
}
SPLIT = {"cpc": "all", "cuhk_icd": "all"}  # the others have a list of test photos


@pytest.fixture(params=MAKE)
def name(request):
    return request.param


def test_gaicd_swaps_rows_and_columns_and_drops_what_nobody_annotated(tmp_path):
    make_gaicd(tmp_path)
    dataset = datasets.load("gaicd", "test", root=tmp_path)
    first, second = dataset
    assert first.boxes.tolist() == [[10, 5, 230, 115], [50, 5, 210, 95]]
    assert first.scores.tolist() == pytest.approx([3.14, 2.5])
    assert (first.name, first.size, first.has_photo) == ("one", (240, 120), True)
    # the size from the anchors
    assert (second.name, second.size, second.has_photo) == ("two", (240, 120), False)
    assert dataset.form == "gaicd"


def test_gaicd_v2_has_a_validation_split_and_its_own_folder(tmp_path, monkeypatch):
    make_gaicd(tmp_path / "gaicd_v2", ("train", "val", "test"))
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    dataset = datasets.load("gaicd_v2", "val")
    assert (dataset.name, dataset.split, dataset.form, len(dataset)) == (
        "gaicd_v2",
        "val",
        "gaicd",
        2,
    )
    with pytest.raises(CropnbError, match="train, test, not 'val'"):
        datasets.load("gaicd", "val")


@pytest.mark.parametrize(
    ("width", "height"), [(1024, 683), (683, 1024), (240, 120), (1023, 577), (50, 49)]
)
def test_the_size_of_a_photo_follows_from_its_anchors(width, height):
    last = torch.tensor([[0.0, 0.0, int(11.5 / 12 * width + 0.5), int(11.5 / 12 * height + 0.5)]])
    assert size_from_anchors(last) == (width, height)


def test_cpc_averages_over_raters(tmp_path):
    make_cpc(tmp_path)
    sample = datasets.load("cpc", "all", root=tmp_path)[0]
    assert sample.boxes.tolist() == [[10, 20, 110, 80], [0, 0, 60, 90]]
    assert sample.raters.tolist() == [[3, 1], [2, 1], [7, 1]]
    assert sample.scores.tolist() == [4, 1]  # the median would be 3
    assert sample.size == (120, 90)


def test_cpc_is_split_the_same_way_everywhere_and_without_overlap(tmp_path):
    make_cpc(tmp_path, count=27)
    names = {
        split: [sample.name for sample in datasets.load("cpc", split, root=tmp_path)]
        for split in ("train", "val")
    }
    assert len(names["val"]) == 5  # 2 000 of 10 797
    assert sorted(names["train"] + names["val"]) == sorted(f"{number}.jpg" for number in range(27))
    assert names["val"] == ["0.jpg", "14.jpg", "19.jpg", "26.jpg", "5.jpg"]


def test_held_out_names_do_not_depend_on_the_order():
    names = [f"{number}.jpg" for number in range(100)]
    assert held_out(names, 10) == held_out(reversed(names), 10)
    assert len(held_out(names, 10)) == 10


@pytest.mark.parametrize("photos", ["photos", "images"])
def test_fcdb_takes_width_and_height_and_the_end_of_the_address(tmp_path, photos):
    make_fcdb(tmp_path, photos)
    dataset = datasets.load("fcdb", "test", root=tmp_path)
    first, second = dataset
    assert (first.name, first.size) == ("a_b.jpg", (100, 80))
    assert first.boxes.tolist() == [[10, 20, 70, 70]]
    assert first.scores is None
    assert (second.width, second.height) == (None, None)
    with pytest.raises(DatasetMissing, match=r"size of gone_c\.jpg"):
        second.size  # noqa: B018
    assert [sample.name for sample in datasets.load("fcdb", "train", root=tmp_path)] == [
        "gone_c.jpg"
    ]


def test_flms_drops_missing_crops_and_sorts_corners(tmp_path):
    make_flms(tmp_path)
    first, second = datasets.load("flms", root=tmp_path)
    assert first.boxes.tolist() == [[10, 20, 90, 70]]
    assert first.size == (100, 80)
    assert second.boxes.tolist() == [[10, 5, 90, 60], [0, 0, 9, 8]]


def test_fat_gives_the_required_ratios(tmp_path):
    make_fat(tmp_path)
    first, second = datasets.load("fat", root=tmp_path)
    assert first.boxes.tolist() == [[0, 0, 80, 40], [10, 5, 50, 45]]
    assert first.aspects.tolist() == [2, 1]
    assert second.size == (100, 80)  # from the list: its photo isn't there
    assert not second.has_photo


def test_cuhk_icd_reads_rows_before_columns_from_three_photographers(tmp_path):
    make_cuhk_icd(tmp_path)
    first, second = datasets.load("cuhk_icd", "all", root=tmp_path)
    assert (first.name, second.name) == ("0.jpg", "1.jpg")
    assert first.boxes.tolist() == [[10, 5, 90, 75], [0, 0, 99, 80], [20, 6, 80, 70]]
    assert first.size == (100, 80)
    alone = datasets.load("cuhk_icd", "all", root=tmp_path, photographer=3)[0]
    assert alone.boxes.tolist() == [[20, 6, 80, 70]]
    with pytest.raises(CropnbError, match="1, 2 and 3"):
        datasets.load("cuhk_icd", "all", root=tmp_path, photographer=0)


def test_the_test_set_of_cuhk_icd_is_the_listed_one_or_a_hash(tmp_path):
    make_cuhk_icd(tmp_path, count=19)
    test = [sample.name for sample in datasets.load("cuhk_icd", "test", root=tmp_path)]
    train = [sample.name for sample in datasets.load("cuhk_icd", "train", root=tmp_path)]
    assert (len(test), len(set(test + train))) == (3, 19)  # 150 of 950
    save_text(tmp_path / "test.txt", "animal\\4.jpg\n9.jpg\n")
    assert [sample.name for sample in datasets.load("cuhk_icd", "test", root=tmp_path)] == [
        "4.jpg",
        "9.jpg",
    ]
    assert len(datasets.load("cuhk_icd", "train", root=tmp_path)) == 17
    save_text(tmp_path / "test.txt", "unknown.jpg\n")
    with pytest.raises(DatasetMissing, match=r"unknown\.jpg"):
        datasets.load("cuhk_icd", "test", root=tmp_path)


def test_photos_are_counted_filtered_and_read(tmp_path, name):
    MAKE[name](tmp_path)
    dataset = datasets.load(name, SPLIT.get(name, "test"), root=tmp_path)
    assert isinstance(dataset, CropDataset)
    assert dataset.photo_count == 1 < len(dataset)
    with_photos = dataset.with_photos()
    assert len(with_photos) == with_photos.photo_count == 1
    assert with_photos.root == tmp_path
    sample = pickle.loads(pickle.dumps(with_photos[0]))  # as a DataLoader's workers get it
    image = sample.image()
    assert image.shape == (3, sample.height, sample.width)
    assert image.mean(dim=(1, 2)).tolist() == pytest.approx(
        [200 / 255, 100 / 255, 50 / 255], abs=0.02
    )
    absent = next(sample for sample in dataset if not sample.has_photo)
    with pytest.raises(DatasetMissing, match=r"only its annotations.*with_photos"):
        absent.image()
    assert absent.boxes.dtype == torch.float32
    assert "photos" in repr(dataset)
    assert "no photo" in repr(absent)


def test_annotations_alone_are_enough(tmp_path, name):
    MAKE[name](tmp_path)
    for photo in tmp_path.rglob("*.jpg"):
        photo.unlink()
    dataset = datasets.load(name, SPLIT.get(name, "test"), root=tmp_path)
    assert len(dataset) >= 2
    assert dataset.photo_count == 0
    with pytest.raises(DatasetMissing, match="none of the"):
        dataset.with_photos()


def test_a_missing_dataset_says_what_to_do(tmp_path, monkeypatch, name):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    with pytest.raises(DatasetMissing, match=r"data_scripts/status\.py.*CROPNB_DATA") as caught:
        datasets.load(name, SPLIT.get(name, "test"))
    assert str(tmp_path / name) in str(caught.value)


def test_a_photo_whose_header_is_damaged_is_an_image_error(tmp_path, name):
    MAKE[name](tmp_path)
    photo = min(
        path for path in tmp_path.rglob("*.jpg") if "test" in path.parts or name[:5] != "gaicd"
    )
    photo.write_bytes(photo.read_bytes()[:20])
    with pytest.raises(ImageError, match=photo.name):
        datasets.load(name, SPLIT.get(name, "test"), root=tmp_path)


def test_a_photo_of_another_size_than_the_annotated_one_is_refused(tmp_path, name):
    MAKE[name](tmp_path)
    for photo in tmp_path.rglob("*.jpg"):
        save_photo(photo, 50, 40)
    with pytest.raises(BoxError, match=r"another size|fetch"):
        datasets.load(name, SPLIT.get(name, "test"), root=tmp_path)


def test_a_split_that_a_dataset_does_not_have_is_named_with_those_it_has(tmp_path, name):
    with pytest.raises(CropnbError, match=rf"{name} has the splits .*, not 'holiday'"):
        datasets.load(name, "holiday", root=tmp_path)


def test_an_unknown_dataset_is_answered_with_the_known_ones():
    with pytest.raises(
        CropnbError, match=r"'coco'.*gaicd, gaicd_v2, .*cpc, fcdb, flms, fat, cuhk_icd, scenes"
    ):
        datasets.load("coco")


def test_scenes_are_loaded_through_the_same_function():
    pytest.importorskip("cropnb.datasets.scenes")
    dataset = datasets.load("scenes", split="test", form="fcdb", size=2, seed=0)
    assert (len(dataset), dataset.form, dataset.photo_count) == (2, "fcdb", 2)


def double_json(**content):
    return json.dumps(json.dumps(content))


fcdb_crop = {"url": "https://x/a_b.jpg", "crop": [10, 20, 60, 50]}
BROKEN = [
    (
        "gaicd",
        "annotations/test/one.txt",
        "5 10 115 230 3\n5 10 115\n",
        DatasetMissing,
        r"one\.txt, line 2.*5 10 115",
    ),
    ("gaicd", "annotations/test/one.txt", "5 10 115 230 3 7\n", DatasetMissing, "line 1"),
    ("gaicd", "annotations/test/one.txt", "\n5 10 115 230 good\n", DatasetMissing, "line 2"),
    ("gaicd", "annotations/test/one.txt", "5 10 nan 230 3\n", DatasetMissing, "line 1"),
    ("gaicd", "annotations/test/one.txt", "5 10 115 230 -1\n", DatasetMissing, "line 1.*score"),
    ("gaicd", "annotations/test/one.txt", "115 10 5 230 3\n", BoxError, "line 1.*inverted"),
    ("gaicd", "annotations/test/one.txt", "", DatasetMissing, r"one\.txt: no crop"),
    ("gaicd", "annotations/test/one.txt", "\ud800", DatasetMissing, "UTF-8"),
    (
        "gaicd",
        "images/test/three.jpg",
        "",
        DatasetMissing,
        r"1 photos have no annotations, among them three\.jpg",
    ),
    ("cpc", "CollectedAnnotationsRaw/0.jpg.txt", "{", DatasetMissing, r"0\.jpg\.txt, line 1"),
    (
        "cpc",
        "CollectedAnnotationsRaw/0.jpg.txt",
        '"{"',
        DatasetMissing,
        "no JSON from here on",
    ),
    (
        "cpc",
        "CollectedAnnotationsRaw/0.jpg.txt",
        double_json(scores=[[1]]),
        DatasetMissing,
        "`bboxes`",
    ),
    (
        "cpc",
        "CollectedAnnotationsRaw/0.jpg.txt",
        double_json(scores=[[1, 2], [1]], bboxes=[]),
        DatasetMissing,
        "tables",
    ),
    (
        "cpc",  # a row for each crop instead of each rater
        "CollectedAnnotationsRaw/0.jpg.txt",
        double_json(scores=[[1, 2, 3], [1, 2, 3]], bboxes=[[0, 0, 9, 9], [0, 0, 8, 8]]),
        DatasetMissing,
        r"\(2, 3\) and \(2, 4\)",
    ),
    (
        "cpc",
        "CollectedAnnotationsRaw/0.jpg.txt",
        double_json(scores=[[1]], bboxes=[[0, 0, 500, 50]]),
        BoxError,
        "0.jpg.txt.*outside",
    ),
    ("cpc", "images/9.jpg", "", DatasetMissing, r"9\.jpg"),
    (
        "fcdb",
        "cropping_testing_set.json",
        '[\n{"url":\n',
        DatasetMissing,
        r"testing_set\.json, line 3",
    ),
    ("fcdb", "cropping_testing_set.json", "[]", DatasetMissing, "list"),
    (
        "fcdb",
        "cropping_testing_set.json",
        json.dumps([fcdb_crop, {"url": "b"}]),
        DatasetMissing,
        "entry 2.*crop",
    ),
    (
        "fcdb",
        "cropping_testing_set.json",
        json.dumps([{**fcdb_crop, "crop": [1, 2, 3]}]),
        DatasetMissing,
        "entry 1",
    ),
    (
        "fcdb",
        "cropping_testing_set.json",
        json.dumps([{**fcdb_crop, "crop": [1, 2, 0, 9]}]),
        BoxError,
        "empty",
    ),
    (
        "fcdb",
        "cropping_testing_set.json",
        json.dumps([{**fcdb_crop, "crop": [1, 2, 150, 9]}]),
        BoxError,
        "outside",
    ),
    ("flms", "500_image_dataset.mat", "no MATLAB file", DatasetMissing, "MATLAB"),
    ("fat", "test.json", '{"name": "a.jpg"}', DatasetMissing, "list"),
    ("fat", "test.json", '[{"name": "a.jpg"}]', DatasetMissing, "entry 1"),
    (
        "fat",
        "test.json",
        '[{"name": "b", "width": 9, "height": 9, "boxes": [[0, 0, 5, 5]], "aspects": []}]',
        DatasetMissing,
        r"entry 1 \(b\)",
    ),
    (
        "fat",
        "test.json",
        '[{"name": "b", "width": 9, "height": 9, "boxes": [[0, 0, 5, 5]], "aspects": [3]}]',
        DatasetMissing,
        "outside of 0.5…2",
    ),
    (
        "cuhk_icd",
        "Cropping parameters.txt",
        "a\\1.jpg\n5 75 10 90\n0 80 0 99\n",
        DatasetMissing,
        "four lines",
    ),
    (
        "cuhk_icd",
        "Cropping parameters.txt",
        "a\\1.jpg\n5 75 10 90\n0 80 0\n6 70 20 80\n",
        DatasetMissing,
        "line 3",
    ),
    (
        "cuhk_icd",
        "Cropping parameters.txt",
        "a\\1.jpg\n5 75 10 90\n80 0 0 99\n6 70 20 80\n",
        BoxError,
        "line 3.*invert",
    ),
]


@pytest.mark.parametrize(("name", "file", "content", "error", "message"), BROKEN)
def test_half_loaded_data_names_the_file_and_the_line(
    tmp_path, name, file, content, error, message
):
    MAKE[name](tmp_path)
    (tmp_path / file).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(error, match=message):
        datasets.load(name, SPLIT.get(name, "test"), root=tmp_path)


@pytest.mark.parametrize(
    ("tables", "error", "message"),
    [
        ([[[-1, -1, -1, -1]]], DatasetMissing, "0_Large.jpg has no crop"),
        ([[[1, 2, 3]]], DatasetMissing, "no list of 4 numbers"),
        ([[[5, 5, 5, 9]]], BoxError, "0_Large.jpg.*empty"),
        ([[[0, 0, 300, 9]]], BoxError, "outside"),
    ],
)
def test_broken_crops_of_flms(tmp_path, tables, error, message):
    make_flms(tmp_path, tables)
    with pytest.raises(error, match=message):
        datasets.load("flms", root=tmp_path)


@pytest.mark.parametrize("folder", ["annotations/test", "annotations"])
def test_an_empty_folder_is_not_an_empty_dataset(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DatasetMissing):
        datasets.load("gaicd", root=tmp_path)
    (tmp_path / "CollectedAnnotationsRaw").mkdir()
    with pytest.raises(DatasetMissing, match="no annotations"):
        datasets.load("cpc", "all", root=tmp_path)


def test_boxes_that_reach_over_the_border_a_little_are_cut_off_there():
    assert true_boxes([[-1, 0, 101, 80.5]], "here", 100, 80).tolist() == [[0, 0, 100, 80]]
    with pytest.raises(BoxError, match=r"here: the box \[0.0, 0.0, 103.0, 80.0\]"):
        true_boxes([[0, 0, 100, 80], [0, 0, 103, 80]], "here", 100, 80)
    with pytest.raises(BoxError, match="NaN"):
        true_boxes([[0, 0, float("nan"), 80]], "here")


def test_where_a_dataset_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_DATA", "/data")
    assert dataset_root("fcdb") == Path("/data/fcdb")
    assert dataset_root("fcdb", tmp_path) == tmp_path
    monkeypatch.delenv("CROPNB_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert dataset_root("fcdb") == tmp_path / "cropnb" / "fcdb"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dataset_root("fcdb") == tmp_path / ".cache" / "cropnb" / "fcdb"


def test_the_size_of_a_turned_photo_is_that_of_the_upright_one(tmp_path):
    make_fcdb(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    save_photo(tmp_path / "photos/a_b.jpg", 80, 100, exif=exif)
    sample = datasets.load("fcdb", root=tmp_path)[0]
    assert sample.size == (100, 80)
    assert sample.image().shape == (3, 80, 100)


def test_a_sample_can_be_made_without_files():
    sample = Sample(
        "drawn", 4, 3, torch.tensor([[0.0, 0, 4, 3]]), load_photo=lambda: Image.new("RGB", (4, 3))
    )
    assert sample.size == (4, 3)
    assert sample.image().shape == (3, 3, 4)
