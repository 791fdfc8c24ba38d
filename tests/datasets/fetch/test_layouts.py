"""Each dataset from archives as its authors pack them, with the real annotation files where they
are.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from cropnb import datasets
from cropnb.datasets.fetch import flickr, install, layouts
from cropnb.errors import ArchiveError, DatasetMissing, DownloadError

from .conftest import ANNOTATION, PAGE, Catalogue, answer, drop, jpeg, visible, zipped


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def need(real_data: Path, name: str) -> Path:
    if not (real_data / name).is_dir():
        pytest.skip(f"CROPNB_DATA has no {name}")
    return real_data / name


def loaded(catalogue: Catalogue, split: str, published: int) -> datasets.CropDataset:
    """Install what the catalogue serves, twice, and read it."""
    report = install.obtain(catalogue.job())
    assert (report.done, report.annotated) == (True, published)
    assert not install.obtain(catalogue.job()).done
    return datasets.load(catalogue.entry.name, split, root=catalogue.folder / catalogue.entry.name)


@pytest.mark.parametrize("version", ["gaicd", "gaicd_v2"])
def test_gaicd_with_real_annotations(catalogue, real_data, version):
    """Version 1 comes with all annotations in one folder, version 2 with one for each split."""
    root, files, counts = need(real_data, "gaicd"), {}, {"train": 3, "test": 2}
    if version == "gaicd_v2":
        counts["val"] = 1
    for split, count in counts.items():
        source = datasets.load("gaicd", "train" if split == "val" else split, root=root)
        for sample in source.samples[-count:] if split == "val" else source.samples[:count]:
            text = (root / "annotations" / source.split / f"{sample.name}.txt").read_bytes()
            files[f"GAIC/images/{split}/{sample.name}.jpg"] = jpeg(*sample.size)
            files[
                f"GAIC/annotations/{'' if version == 'gaicd' else f'{split}/'}{sample.name}.txt"
            ] = text
    catalogue.serve(version, {"GAIC.zip": zipped(files)}, published=len(files) // 2)
    test = loaded(catalogue, "test", len(files) // 2)
    real = datasets.load("gaicd", "test", root=root)
    assert [sample.name for sample in test] == [sample.name for sample in real.samples[:2]]
    for one, other in zip(test, real.samples[:2], strict=True):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.scores, other.scores)
        assert one.photo().size == one.size == other.size
    train = datasets.load(version, "train", root=catalogue.folder / version)
    assert (len(train), train.photo_count) == (3, 3)


def test_flms_with_its_real_annotations(catalogue, real_data):
    root = need(real_data, "flms")
    real = datasets.load("flms", root=root)
    photos = {}
    for sample in real.samples[:4]:
        width, height = sample.boxes[:, 2:].amax(dim=0).ceil().int().tolist()
        photos[f"image/{sample.name}"] = jpeg(width, height)
    lists = {
        "release/500_image_dataset.mat": (root / "500_image_dataset.mat").read_bytes(),
        "release/readme.txt": b"x",
    }
    catalogue.serve("flms", {"release_data.tar": tarred(lists), "image.tar": tarred(photos)})
    test = loaded(catalogue, "test", 500)
    assert test.photo_count == 4
    for one, other in zip(test, real, strict=True):
        assert torch.equal(one.boxes, other.boxes)
    assert test[0].size == test[0].photo().size


def test_fcdb_with_its_real_lists(catalogue, site, real_data, tmp_path):
    """All entries, four of them with photos; the others are gone."""
    root, lists, photos = need(real_data, "fcdb"), {}, {}
    for file in layouts.FCDB_LISTS:
        entries = json.loads((root / file).read_text())
        for entry in entries[:2]:
            x, y, width, height = entry["crop"]
            name = entry["url"].rpartition("/")[2]
            photos[name] = site.files[f"/{name}"] = jpeg(x + width, y + height)
        entries = entries[:12]  # or this would ask 1 714 times
        for entry in entries:
            entry["url"] = f"{site.address}/{entry['url'].rpartition('/')[2]}"
        lists[file] = json.dumps(entries).encode()
    catalogue.serve("fcdb", lists, published=24)
    report = flickr.obtain(catalogue.job())
    assert (report.annotated, report.photos) == (24, 4)
    for split in ("train", "test"):
        mine = datasets.load("fcdb", split, root=catalogue.folder / "fcdb")
        real = datasets.load("fcdb", split, root=root)
        assert mine.photo_count == 2
        for one, other in zip(mine, real.samples[:12], strict=True):
            assert (one.name, one.boxes.tolist()) == (other.name, other.boxes.tolist())
    assert {sample.name for sample in mine.with_photos()} < set(photos)


def test_cpc(catalogue):
    content = json.dumps(
        json.dumps({"scores": [[3, 1], [2, 1]], "bboxes": [[10, 20, 110, 80], [0, 0, 60, 90]]})
    ).encode()
    files = {f"CPCDataset/CollectedAnnotationsRaw/{name}.jpg.txt": content for name in "abc"}
    files |= {f"CPCDataset/images/{name}.jpg": jpeg(120, 90) for name in "abc"}
    files |= {"CPCDataset/raw_annotations/assignments-1.txt": b"not needed"}
    catalogue.serve("cpc", {"CPCDataset.tar.gz": tarred(files, "w:gz")}, published=3)
    dataset = loaded(catalogue, "all", 3)
    assert dataset.photo_count == 3
    assert dataset[0].scores.tolist() == [2.5, 1]


def cuhk_icd(count: int = 2, inner: bytes | None = None) -> bytes:
    lines = "".join(
        f"animal\\{number}.jpg\r\n5 75 10 90\r\n0 80 0 99\r\n6 70 20 80\r\n"
        for number in range(count)
    )
    photos = zipped({f"All_Images/{number}.jpg": jpeg(100, 80) for number in range(count)})
    return zipped(
        {
            "Cropping parameters.txt": lines.encode(),
            "All_Images.zip": inner or photos,
            "readme.txt": b"x",
        }
    )


def test_cuhk_icd_is_a_zip_within_a_zip(catalogue):
    catalogue.serve("cuhk_icd", {"cuhk_cropping.zip": cuhk_icd()}, published=2)
    dataset = loaded(catalogue, "all", 2)
    assert dataset.photo_count == 2
    assert dataset[0].boxes.tolist() == [[10, 5, 90, 75], [0, 0, 99, 80], [20, 6, 80, 70]]


def test_the_inner_zip_is_no_more_trusted_than_the_outer_one(catalogue):
    catalogue.serve(
        "cuhk_icd",
        {"cuhk_cropping.zip": cuhk_icd(inner=zipped({"../../x.jpg": b"x"}))},
        published=2,
    )
    with pytest.raises(ArchiveError, match="climbs out"):
        install.obtain(catalogue.job())
    assert not (catalogue.folder / "cuhk_icd").exists()


def test_fat_from_a_folder_in_the_documented_form(catalogue, tmp_path):
    entry = {"name": "a.jpg", "width": 100, "height": 80, "boxes": [[0, 0, 80, 40]], "aspects": [2]}
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    (folder / "images/a.jpg").write_bytes(jpeg(100, 80))
    for split in ("train", "test"):
        (folder / f"{split}.json").write_text(json.dumps([entry]))
    catalogue.serve("fat", {}, published=2)
    install.obtain(catalogue.job(), [folder])
    dataset = datasets.load("fat", root=catalogue.folder / "fat")
    assert (dataset.photo_count, dataset[0].aspects.tolist()) == (1, [2])
    assert (folder / "images/a.jpg").exists()


def test_what_is_missing_in_an_archive_is_named(catalogue):
    catalogue.serve(
        "flms",
        {"release_data.tar": tarred({"x.mat": b"x"}), "image.tar": tarred({"image/a.jpg": b"x"})},
    )
    with pytest.raises(
        DatasetMissing, match=r"no file '500_image_dataset\.mat'.*data_scripts/README\.md"
    ):
        install.obtain(catalogue.job())


def test_annotations_are_counted_by_their_names_alone(tmp_path):
    assert layouts.count("cpc", tmp_path / "cpc") == (0, 0)
    records = np.zeros((3, 1), dtype=[("filename", "O"), ("bbox", "O")])
    scipy.io.savemat(tmp_path / "500_image_dataset.mat", {"img_gt": records})
    assert layouts.count("flms", tmp_path) == (3, 0)
    (tmp_path / "500_image_dataset.mat").write_bytes(b"damaged")
    assert layouts.count("flms", tmp_path) == (0, 0)
    (tmp_path / "train.json").write_text("[1, 2")
    assert layouts.count("fat", tmp_path) == (0, 0)


def published_boxes(*names: str) -> bytes:
    """The repository of S2CNet: boxes of both versions, each in one folder for all splits."""
    files = {}
    for name in names:
        files[f"S2CNet-a51a/dataset/GAIC/bbox/{name}.txt"] = b"10 20 60 100\n1 0 1 1\n"
        files[f"S2CNet-a51a/dataset/GAIC-journal/bbox/{name}.txt"] = b"5 6 70 80\n"
    return zipped({**files, "S2CNet-a51a/README.md": b"code", "S2CNet-a51a/asset/a.png": b"x"})


def layouts_of(catalogue: Catalogue, version: str) -> install.Job:
    """A job that fetches the boxes beside annotations that are there."""
    catalogue.serve(
        f"{version}_layouts", {"S2CNet.zip": published_boxes("0", "1")}, known=False, published=2
    )
    for split, name in (("train", "0"), ("test", "1")):
        folder = catalogue.folder / version / "annotations" / split
        folder.mkdir(parents=True)
        (folder / f"{name}.txt").write_bytes(ANNOTATION)
    job = catalogue.job()
    job.folder = catalogue.folder / version
    return job


@pytest.mark.parametrize(
    ("version", "box"), [("gaicd", [20, 10, 100, 60]), ("gaicd_v2", [6, 5, 80, 70])]
)
def test_objects_come_beside_the_annotations_from_a_site_that_breaks_off(
    catalogue, site, version, box
):
    job = layouts_of(catalogue, version)
    site.faults["/S2CNet.zip"] = [drop(200), answer(429, Retry_After="0")]
    report = install.obtain(job)
    assert (report.done, report.annotated, report.photos) == (True, 2, 0)
    assert "nobody had recorded" in report.notes[0]
    assert visible(catalogue.folder) == [
        f"{version}/annotations/test/1.txt",
        f"{version}/annotations/train/0.txt",
        f"{version}/objects/0.txt",
        f"{version}/objects/1.txt",
    ]
    assert not install.obtain(job).done
    (sample,) = datasets.load(f"{version}_layouts", "test", root=job.folder)
    assert sample.objects.tolist() == [box]
    assert (catalogue.folder / ".fetch" / f"{version}_layouts" / "receipts.json").exists()


@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        (answer(404), DownloadError, "404"),
        (answer(200, PAGE, Content_Type="text/html"), DownloadError, "Quota exceeded"),
        (answer(200, published_boxes("0")[:-300]), DownloadError, "damaged|zip"),
        (answer(200, zipped({"S2CNet/README.md": b"moved"})), DatasetMissing, "folder 'GAIC'"),
    ],
    ids=["404", "a web page", "cut short", "another archive"],
)
def test_what_comes_instead_of_objects_leaves_the_folder_as_it_was(
    catalogue, site, fault, error, match
):
    job = layouts_of(catalogue, "gaicd")
    before = visible(catalogue.folder)
    site.faults["/S2CNet.zip"] = [fault]
    with pytest.raises(error, match=match):
        install.obtain(job)
    assert visible(catalogue.folder) == before
    assert install.obtain(job).annotated == 2
