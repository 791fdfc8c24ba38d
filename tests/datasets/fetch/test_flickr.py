"""FCDB's photos, one by one from a site that has lost some of them."""

import io
import json

import pytest
from PIL import Image

from cropnb.datasets.fetch import flickr
from cropnb.errors import DownloadError

from .conftest import PAGE, answer, drop, jpeg, visible, zipped

NAMES = (
    "present_b.jpg",
    "gone_c.jpg",
    "placeholder_c.jpg",
    "cut_b.jpg",
    "small_o.jpg",
    "page_b.jpg",
    "busy_b.jpg",
)


@pytest.fixture
def fcdb(catalogue, site):
    entries = [{"url": f"{site.address}/{name}", "crop": [10, 20, 60, 50]} for name in NAMES]
    lists = {"cropping_training_set.json": entries[:4], "cropping_testing_set.json": entries[4:]}
    catalogue.serve(
        "fcdb", {name: json.dumps(content).encode() for name, content in lists.items()}, published=7
    )
    picture = io.BytesIO()
    Image.new("RGB", (50, 40)).save(picture, "PNG")
    site.files |= {
        "/present_b.jpg": jpeg(100, 80),
        "/busy_b.jpg": jpeg(100, 80),
        "/small_o.jpg": jpeg(50, 40),
    }
    site.files |= {
        "/cut_b.jpg": jpeg(100, 80)[:3000],
        "/placeholder_c.jpg": picture.getvalue(),
        "/page_b.jpg": PAGE,
    }
    site.faults["/busy_b.jpg"] = [answer(429, Retry_After="0"), drop(1000)]
    return catalogue


EXPECTED = {
    "present_b.jpg": "present",
    "gone_c.jpg": "gone",
    "placeholder_c.jpg": "gone",
    "cut_b.jpg": "damaged",
    "small_o.jpg": "other size",
    "page_b.jpg": "failed",
    "busy_b.jpg": "present",
}


def test_every_photo_is_accounted_for(fcdb, site):
    report = flickr.obtain(fcdb.job())
    assert (report.done, report.annotated, report.photos) == (True, 7, 2)
    assert flickr.statuses(fcdb.folder / "fcdb") == EXPECTED
    assert report.notes == ["photos: 2 present, 2 gone, 1 damaged, 1 other size, 1 failed"]
    assert visible(fcdb.folder)[-3:] == [
        "fcdb/photos.json",
        "fcdb/photos/busy_b.jpg",
        "fcdb/photos/present_b.jpg",
    ]
    # What failed is asked for again, what is gone isn't, unless it is wished.
    site.requests.clear()
    site.files |= {
        "/page_b.jpg": jpeg(100, 80),
        "/cut_b.jpg": jpeg(100, 80),
        "/gone_c.jpg": jpeg(100, 80),
    }
    assert flickr.obtain(fcdb.job()).photos == 4
    assert {path for path, _ in site.requests} == {"/page_b.jpg", "/cut_b.jpg"}
    site.requests.clear()
    assert not flickr.obtain(fcdb.job()).done
    assert flickr.is_complete(fcdb.job())
    assert site.requests == []
    assert flickr.obtain(fcdb.job(), retry=True).photos == 5


def test_a_photo_that_was_removed_is_fetched_again(fcdb):
    fcdb.site.files |= {"/page_b.jpg": jpeg(100, 80), "/cut_b.jpg": jpeg(100, 80)}
    flickr.obtain(fcdb.job())
    assert flickr.is_complete(fcdb.job())
    (fcdb.folder / "fcdb/photos/present_b.jpg").unlink()
    assert not flickr.is_complete(fcdb.job())
    assert flickr.obtain(fcdb.job()).photos == 4
    assert (fcdb.folder / "fcdb/photos/present_b.jpg").exists()


def test_the_authors_archive_of_photos(fcdb, site, tmp_path):
    archive = tmp_path / "fcdb_photos.zip"
    photos = {f"data/{name}": jpeg(100, 80) for name in NAMES[:2]} | {
        "data/unlisted.jpg": jpeg(100, 80)
    }
    archive.write_bytes(zipped({**photos, f"data/{NAMES[4]}": jpeg(50, 40)}))
    report = flickr.obtain(fcdb.job(), [archive])
    assert report.photos == 2
    assert not any(path.endswith(".jpg") for path, _ in site.requests)
    assert flickr.statuses(fcdb.folder / "fcdb")["gone_c.jpg"] == "present"
    assert not (fcdb.folder / "fcdb/photos/unlisted.jpg").exists()


def test_nobody_can_be_reached(fcdb, site, monkeypatch):
    for name in NAMES:
        site.faults[f"/{name}"] = [answer(503)] * 9
    monkeypatch.setattr(flickr, "WORKERS", 1)
    with pytest.raises(DownloadError, match=r"no photo can be fetched.*busy \(503\)"):
        flickr.obtain(fcdb.job())
    assert not list((fcdb.folder / "fcdb").glob("photos/*"))
    site.faults.clear()
    assert flickr.obtain(fcdb.job()).photos == 2


def test_offline_says_how_to_get_them(fcdb, monkeypatch):
    flickr.obtain(fcdb.job())
    (fcdb.folder / "fcdb/photos.json").unlink()
    monkeypatch.setenv("CROPNB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="CROPNB_OFFLINE=1 forbids fetching 5 photos"):
        flickr.obtain(fcdb.job())


def test_a_link_within_the_archive_reaches_no_photo(fcdb, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / NAMES[0]).symlink_to("/etc/passwd")
    flickr.obtain(fcdb.job(), [tmp_path / "folder"])
    assert visible(fcdb.folder)[-1] == "fcdb/photos.json"
