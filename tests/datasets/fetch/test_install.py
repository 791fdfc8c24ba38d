"""A whole dataset from a site that misbehaves: after each failure a reader finds nothing
half-written.
"""

import json
import os
import re
import signal
import tempfile
import time
from pathlib import Path

import pytest

from cropnb.datasets.fetch import install, photos
from cropnb.errors import ArchiveError, DatasetMissing, DownloadError, ImageError

from .conftest import (
    PAGE,
    Catalogue,
    answer,
    drop,
    jpeg,
    sha256,
    slow,
    small_gaicd,
    visible,
    zipped,
)

FILES = small_gaicd()
ARCHIVE = zipped(FILES)
KINDS = (("images", "jpg"), ("annotations", "txt"))
TRAIN = [f"gaicd/{kind}/train/{number}.{end}" for number in (1, 2, 4, 5) for kind, end in KINDS]
TEST = ["gaicd/annotations/test/0.txt", "gaicd/annotations/test/3.txt"]
PLACED = sorted([*TRAIN, *TEST, "gaicd/images/test/0.jpg", "gaicd/images/test/3.jpg"])


@pytest.fixture
def gaicd(catalogue: Catalogue) -> Catalogue:
    catalogue.serve("gaicd", {"GAIC.zip": ARCHIVE}, published=6)
    return catalogue


def fails(catalogue: Catalogue, error: type[Exception], match: str, **options: object) -> None:
    with pytest.raises(error, match=match):
        install.obtain(catalogue.job(**options))
    assert visible(catalogue.folder) == []
    assert not (catalogue.folder / ".fetch/gaicd/unpacked").exists()


def succeeds(catalogue: Catalogue) -> install.Report:
    report = install.obtain(catalogue.job())
    assert (report.done, report.annotated, report.photos) == (True, 6, 6)
    assert visible(catalogue.folder) == PLACED
    return report


def test_a_second_run_does_nothing(gaicd, site):
    succeeds(gaicd)
    assert not list((gaicd.folder / ".fetch/gaicd").glob("*.zip"))
    asked = len(site.requests)
    again = install.obtain(gaicd.job())
    assert (again.done, again.annotated, again.photos) == (False, 6, 6)
    assert len(site.requests) == asked


def test_a_photo_that_was_removed_is_fetched_again(gaicd):
    succeeds(gaicd)
    (gaicd.folder / "gaicd/images/test/0.jpg").unlink()
    succeeds(gaicd)


def test_an_unknown_hash_is_recorded_by_the_first_download_which_says_so(catalogue, site):
    catalogue.serve("gaicd", {"GAIC.zip": ARCHIVE}, known=False, published=6)
    (note,) = succeeds(catalogue).notes
    assert sha256(ARCHIVE) in note
    assert "nobody had recorded" in note
    receipt = json.loads((catalogue.folder / ".fetch/gaicd/receipts.json").read_text())["GAIC.zip"]
    assert (receipt["sha256"], receipt["size"]) == (sha256(ARCHIVE), len(ARCHIVE))
    # From now on the site may not give anything else:
    (catalogue.folder / "gaicd/images/test/0.jpg").unlink()
    site.files["/GAIC.zip"] = zipped(small_gaicd(9))
    with pytest.raises(DownloadError, match=r"another SHA-256.*recorded by the first download"):
        install.obtain(catalogue.job())
    assert len(visible(catalogue.folder)) == 11  # and what was there stays
    install.obtain(catalogue.job(trusted=[sha256(site.files["/GAIC.zip"])]))
    assert len(visible(catalogue.folder)) == 18


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        (answer(404), DownloadError, "404"),
        (answer(200, PAGE, Content_Type="text/html"), DownloadError, "Quota exceeded"),
        (answer(200, ARCHIVE[:-500]), DownloadError, "bytes|damaged"),
        (
            answer(200, zipped({"../../gaicd/images/test/0.jpg": jpeg(9, 9)})),
            DownloadError,
            "bytes|climbs",
        ),
        (
            answer(200, zipped({"other/list.txt": b"1"})),
            (DownloadError, DatasetMissing),
            "bytes|no folder 'images'",
        ),
    ],
    ids=["404", "a web page", "cut short", "climbs out", "another archive"],
)
def test_what_sites_send_instead(catalogue, site, known, fault, error, match):
    catalogue.serve("gaicd", {"GAIC.zip": ARCHIVE}, known=known, published=6)
    site.faults["/GAIC.zip"] = [fault]
    fails(catalogue, error, match)
    succeeds(catalogue)


def test_a_dropped_connection_and_a_busy_site_on_the_way(gaicd, site):
    site.faults["/GAIC.zip"] = [drop(len(ARCHIVE) // 2), answer(429, Retry_After="0")]
    succeeds(gaicd)


def test_a_photo_that_does_not_decode_is_left_out_and_named(catalogue):
    files = {**FILES, "GAIC/images/train/4.jpg": FILES["GAIC/images/train/4.jpg"][:2000]}
    catalogue.serve("gaicd", {"GAIC.zip": zipped(files)}, published=6)
    report = install.obtain(catalogue.job())
    assert list(report.damaged) == ["images/train/4.jpg"]
    assert "truncated" in report.damaged["images/train/4.jpg"]
    assert visible(catalogue.folder) == [
        path for path in PLACED if path != "gaicd/images/train/4.jpg"
    ]
    assert not install.obtain(catalogue.job()).done


def test_many_photos_that_do_not_decode_are_a_damaged_archive(catalogue, site):
    files = {
        name: content[:2000] if name.endswith("jpg") else content for name, content in FILES.items()
    }
    catalogue.serve("gaicd", {"GAIC.zip": zipped(files)}, known=False, published=6)
    fails(catalogue, ImageError, r"6 of 6 photos don't decode")
    site.files["/GAIC.zip"] = ARCHIVE
    succeeds(catalogue)


def test_every_photo_is_decoded_to_its_last_pixel(tmp_path):
    whole = jpeg(200, 100)
    for name, content in {
        "a.jpg": whole,
        "b.jpg": whole[:-300],
        "c.JPG": b"",
        "d.png": b"\x89PNG",
    }.items():
        (tmp_path / name).write_bytes(content)
    assert {path.name for path in photos.damaged(list(photos.photos_below(tmp_path)), False)} == {
        "b.jpg",
        "c.JPG",
        "d.png",
    }


def test_an_archive_without_an_annotation_is_refused(catalogue):
    files = {name: content for name, content in FILES.items() if name != "GAIC/annotations/4.txt"}
    catalogue.serve("gaicd", {"GAIC.zip": zipped(files)}, published=6)
    fails(catalogue, DatasetMissing, "1 photos of train have no annotations, among them 4")


@pytest.mark.parametrize("kind", ["the archive", "under another name", "an unpacked folder"])
def test_what_a_person_fetched_is_taken_from_a_path(gaicd, site, tmp_path, kind):
    path = tmp_path / "downloads" / ("GAIC.zip" if kind == "the archive" else "gaic (1).zip")
    path.parent.mkdir()
    path.write_bytes(ARCHIVE)
    if kind == "an unpacked folder":
        install.open_archive(path, tmp_path / "unpacked", False)
        path = tmp_path / "unpacked"
    before = sorted(path.rglob("*"))
    install.obtain(gaicd.job(), [path])
    assert visible(gaicd.folder) == PLACED
    assert path.exists()
    assert sorted(path.rglob("*")) == before
    assert site.requests == []


def test_a_wrong_file_from_a_path_is_named_and_may_be_trusted(gaicd, tmp_path):
    other = tmp_path / "GAIC.zip"
    other.write_bytes(zipped(small_gaicd(9)))
    with pytest.raises(DownloadError, match=f"--trust {sha256(other.read_bytes())}"):
        install.obtain(gaicd.job(), [other])
    with pytest.raises(DatasetMissing, match="check the path"):
        install.obtain(gaicd.job(), [tmp_path / "nowhere.zip"])
    (tmp_path / "page.zip").write_bytes(PAGE)
    with pytest.raises(ArchiveError, match="web page that was saved"):
        install.obtain(gaicd.job(trusted=[sha256(PAGE)]), [tmp_path / "page.zip"])
    assert visible(gaicd.folder) == []
    install.obtain(gaicd.job(trusted=[sha256(other.read_bytes())]), [other])
    assert len(visible(gaicd.folder)) == 18


def test_files_that_cannot_be_told_apart(catalogue, tmp_path):
    catalogue.serve("flms", {"release_data.tar": b"", "image.tar": b""})
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"any of release_data\.tar, image\.tar: rename it"):
        install.obtain(catalogue.job(), [tmp_path / "x.tar"])


def test_a_full_disk(gaicd):
    """The system refuses to write more than half of the archive; then it doesn't."""
    code, message = gaicd.run(largest_file=len(ARCHIVE) // 2)
    assert code == 2
    assert re.match(
        r"StorageError: .*disk is full.*goes on where it stopped", message.splitlines()[-1]
    )
    assert visible(gaicd.folder) == []
    assert 0 < (gaicd.folder / ".fetch/gaicd/GAIC.zip.part").stat().st_size <= len(ARCHIVE) // 2
    succeeds(gaicd)
    assert gaicd.site.asked("/GAIC.zip")[-1]["Range"].startswith("bytes=")


def test_a_disk_that_fills_up_while_unpacking(gaicd):
    largest = max(len(content) for content in FILES.values())
    job = gaicd.job()
    job.work.mkdir(parents=True)
    (job.work / "GAIC.zip").write_bytes(ARCHIVE)
    gaicd.site.faults["/GAIC.zip"] = [answer(404)]  # it is there already
    code, message = gaicd.run(largest_file=largest - 500)
    gaicd.site.faults.clear()
    assert (code, message.splitlines()[-1].split(":")[0]) == (2, "StorageError")
    assert visible(gaicd.folder) == []
    succeeds(gaicd)


def test_too_little_room_is_noticed_before_anything_is_fetched(gaicd, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10_000}))
    fails(gaicd, DownloadError, r"needs 0\.\d MB and 0\.0 MB are free")
    monkeypatch.undo()
    monkeypatch.delenv("CROPNB_OFFLINE", raising=False)


def test_a_folder_that_may_not_be_written_to(gaicd):
    """As nobody, for whom the folder is closed (root may write everywhere). Then it is opened."""
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        gaicd.folder = Path(open_to_all) / "data"
        gaicd.folder.mkdir()
        os.chmod(gaicd.folder, 0o555)
        code, message = gaicd.run(nobody=True)
        assert (code, message.split(":")[0]) == (2, "StorageError"), message
        assert "choose another folder with CROPNB_DATA" in message
        assert visible(gaicd.folder) == []
        os.chmod(gaicd.folder, 0o755)
        succeeds(gaicd)


def until(condition, process) -> None:
    end = time.monotonic() + 40
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def test_killed_while_downloading(gaicd, site):
    site.faults["/GAIC.zip"] = [slow(0.2)]
    process = gaicd.start()
    part = gaicd.folder / ".fetch/gaicd/GAIC.zip.part"
    until(lambda: part.exists() and part.stat().st_size, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert visible(gaicd.folder) == []
    arrived = part.stat().st_size
    assert 0 < arrived < len(ARCHIVE)
    succeeds(gaicd)
    assert site.asked("/GAIC.zip")[-1]["Range"] == f"bytes={arrived}-"


def test_killed_while_unpacking(catalogue):
    files = small_gaicd(300)
    catalogue.serve("gaicd", {"GAIC.zip": zipped(files)}, published=300)
    process = catalogue.start()
    unpacked = catalogue.folder / ".fetch/gaicd/unpacked"
    until(lambda: len(list(unpacked.rglob("*.jpg"))) > 5, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert visible(catalogue.folder) == []
    assert unpacked.exists()
    report = install.obtain(catalogue.job())
    assert (report.annotated, report.photos) == (300, 300)
    assert not unpacked.exists()


@pytest.mark.parametrize("moment", ["after the first rename", "after the second"])
def test_killed_while_the_dataset_is_replaced(gaicd, monkeypatch, moment):
    (gaicd.folder / "gaicd").mkdir(parents=True)
    (gaicd.folder / "gaicd/test.txt").write_text("mine")
    rename, renamed = os.rename, []

    def killed(*paths: object) -> None:
        if len(renamed) == (1 if moment == "after the first rename" else 2):
            raise KeyboardInterrupt
        renamed.append(paths)
        rename(*paths)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        install.obtain(gaicd.job())
    monkeypatch.undo()
    monkeypatch.delenv("CROPNB_OFFLINE", raising=False)
    monkeypatch.setattr(install.manifest, "entry", lambda name: gaicd.entry)
    install.obtain(gaicd.job())
    assert visible(gaicd.folder) == sorted([*PLACED, "gaicd/test.txt"])
    assert (gaicd.folder / "gaicd/test.txt").read_text() == "mine"


def test_two_scripts_at_once_fetch_it_once(gaicd, site):
    site.faults["/GAIC.zip"] = [slow(0.1)]
    first = gaicd.start()
    until(lambda: site.requests, first)
    second = gaicd.start()
    assert [process.communicate(timeout=60)[0].splitlines()[-1] for process in (first, second)] == [
        "done",
        "nothing to do",
    ]
    assert len(site.asked("/GAIC.zip")) == 1
    assert visible(gaicd.folder) == PLACED
