"""One file from a site that misbehaves: the right error or the right bytes, and the next run
succeeds.
"""

import email.utils
import time
from pathlib import Path

import pytest

from cropnb.datasets.fetch import download, headers
from cropnb.datasets.fetch.manifest import Source
from cropnb.errors import DownloadError

from .conftest import PAGE, Site, answer, confirmation, drop, sha256, unmeasured

CONTENT = bytes(range(256)) * 1600  # 409 600
OTHER = CONTENT[::-1]


def source(site: Site, content: bytes | None = CONTENT, **changed: object) -> Source:
    facts = (
        {"size": len(content), "sha256": sha256(content), "known_from": "reported"}
        if content
        else {}
    )
    return Source(
        "set.zip", "press the button", **{"url": f"{site.address}/set.zip", **facts, **changed}
    )


def get(wanted: Source, folder: Path) -> bytes:
    return download.fetch(wanted, folder, wanted.sha256, progress=False, patience=0.01).read_bytes()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def _content(site: Site) -> None:
    site.files["/set.zip"] = CONTENT


def test_a_file_is_fetched_once(site, tmp_path):
    assert get(source(site), tmp_path) == CONTENT
    assert files(tmp_path) == ["set.zip"]
    assert get(source(site), tmp_path) == CONTENT
    assert len(site.requests) == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_broken_connection_is_resumed_by_a_range_request(site, tmp_path, known):
    site.faults["/set.zip"] = [drop(150_000), drop(100_000)]
    assert get(source(site, CONTENT if known else None), tmp_path) == CONTENT
    first, second, third = site.asked("/set.zip")
    assert "Range" not in first
    starts = [
        int(headers["Range"].removeprefix("bytes=").removesuffix("-"))
        for headers in (second, third)
    ]
    assert 80_000 < starts[0] <= 150_000
    assert starts[0] + 30_000 < starts[1] <= starts[0] + 100_000
    assert second["If-Range"].startswith('"')
    # what lay between two pieces comes twice, and no more
    assert site.sent < len(CONTENT) + 140_000
    assert files(tmp_path) == ["set.zip"]


def test_what_arrived_is_kept_for_the_next_run(site, tmp_path):
    site.faults["/set.zip"] = [drop(200_000), *[answer(503)] * 5]
    with pytest.raises(DownloadError, match=r"busy \(503\).*kept"):
        get(source(site), tmp_path)
    assert "set.zip" not in files(tmp_path)
    before = site.sent
    assert get(source(site), tmp_path) == CONTENT
    assert site.sent - before < 300_000


def test_a_file_that_changed_meanwhile_is_fetched_anew(site, tmp_path):
    site.faults["/set.zip"] = [drop(150_000)]

    def change(handler, body):
        site.files["/set.zip"] = OTHER
        handler.serve(OTHER)

    site.faults["/set.zip"].append(change)
    assert get(source(site, OTHER), tmp_path) == OTHER


@pytest.mark.parametrize(("ranges", "marks"), [(False, True), (True, False)])
def test_sites_without_ranges_or_without_marks_of_versions(site, tmp_path, ranges, marks):
    site.ranges, site.marks = ranges, marks
    site.faults["/set.zip"] = [drop(150_000)]
    assert get(source(site, None), tmp_path) == CONTENT
    assert ("Range" in site.asked("/set.zip")[1]) == marks
    # a hash would notice two parts of different versions, so the rest may be asked for
    if not marks:
        (tmp_path / "set.zip").unlink()
        site.faults["/set.zip"] = [drop(150_000)]
        assert get(source(site), tmp_path) == CONTENT
        assert "Range" in site.asked("/set.zip")[-1]


def test_a_part_that_is_whole_already_is_not_asked_for_again(site, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert get(source(site), tmp_path) == CONTENT
    assert site.sent == 0


def test_a_part_that_is_longer_than_the_file_starts_again(site, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(CONTENT + b"more")
    assert get(source(site), tmp_path) == CONTENT


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_is_not_asked_for_twice(site, tmp_path, status):
    site.faults["/set.zip"] = [answer(status)]
    with pytest.raises(
        download.Gone, match=rf"no such file \({status}\).*press the button.*--from"
    ):
        get(source(site), tmp_path)
    assert len(site.requests) == 1
    assert files(tmp_path) == []
    assert get(source(site), tmp_path) == CONTENT


def test_a_refusal_is_an_error_at_once(site, tmp_path):
    site.faults["/set.zip"] = [answer(403)]
    with pytest.raises(DownloadError, match=r"refuses.*403"):
        get(source(site), tmp_path)
    assert len(site.requests) == 1


def test_a_busy_site_is_given_the_time_that_it_asks_for(site, tmp_path):
    site.faults["/set.zip"] = [answer(429, Retry_After="1")]
    start = time.monotonic()
    assert get(source(site), tmp_path) == CONTENT
    assert time.monotonic() - start > 0.95


def test_a_site_that_asks_for_an_hour_is_left_for_another_day(site, tmp_path):
    site.faults["/set.zip"] = [answer(429, Retry_After="3600")]
    with pytest.raises(DownloadError, match="wait for 3600 s"):
        get(source(site), tmp_path)
    assert get(source(site), tmp_path) == CONTENT


def test_retry_after_as_seconds_and_as_a_date():
    assert headers.retry_after("7") == 7
    assert headers.retry_after(email.utils.formatdate(time.time() + 30)) == pytest.approx(30, abs=2)
    assert headers.retry_after(email.utils.formatdate(time.time() - 30)) == 0
    assert headers.retry_after("soon") is None
    assert headers.retry_after(None) is None


@pytest.mark.parametrize("declared", ["text/html; charset=utf-8", "application/zip"])
def test_a_web_page_instead_of_the_archive(site, tmp_path, declared):
    site.faults["/set.zip"] = [answer(200, PAGE, Content_Type=declared)]
    with pytest.raises(DownloadError, match=r"web page \(«Quota exceeded»\).*press the button"):
        get(source(site, None), tmp_path)
    assert files(tmp_path) == []
    assert get(source(site, None), tmp_path) == CONTENT


def test_a_page_of_confirmation_is_answered(site, tmp_path):
    site.files["/big"] = CONTENT
    site.faults["/set.zip"] = [
        answer(200, confirmation(f"{site.address}/big"), Content_Type="text/html")
    ]
    assert get(source(site), tmp_path) == CONTENT
    assert site.requests[-1][0] == "/big?id=7&confirm=t"


def test_a_confirmed_download_that_breaks_is_resumed(site, tmp_path):
    site.files["/big"] = CONTENT
    site.faults["/set.zip"] = [answer(200, confirmation("/big"), Content_Type="text/html")]
    site.faults["/big"] = [drop(150_000)]
    assert get(source(site), tmp_path) == CONTENT
    assert "Range" in site.asked("/big")[1]


@pytest.mark.parametrize(
    "page",
    [
        confirmation("/big", question='<input type="email" name="mail">'),
        confirmation("/big", question='<input type="checkbox" name="agreed">'),
        confirmation("/big").replace(b'method="get"', b'method="post"'),
        confirmation("http://elsewhere.example/big"),
    ],
    ids=["asks for an address", "asks to agree", "sends with POST", "leads elsewhere"],
)
def test_a_page_that_wants_a_person_says_what_to_do(site, tmp_path, page):
    site.files["/big"] = CONTENT
    site.faults["/set.zip"] = [answer(200, page, Content_Type="text/html")]
    with pytest.raises(
        DownloadError,
        match="By hand: press the button; then run the script again with `--from FILE`",
    ):
        get(source(site), tmp_path)
    assert site.asked("/big") == []


def test_a_confirmation_that_never_ends(site, tmp_path):
    page = answer(200, confirmation("/set.zip"), Content_Type="text/html")
    site.faults["/set.zip"] = [page] * 5
    with pytest.raises(DownloadError, match="again and again"):
        get(source(site), tmp_path)
    assert len(site.requests) == 2


def test_a_file_of_another_length_is_refused_before_it_is_fetched(site, tmp_path):
    site.files["/set.zip"] = CONTENT * 20
    with pytest.raises(DownloadError, match=r"8,192,000 bytes, not 409,600"):
        get(source(site), tmp_path)
    assert files(tmp_path) == []
    site.files["/set.zip"] = CONTENT
    assert get(source(site), tmp_path) == CONTENT


def test_a_file_of_another_length_that_was_not_announced(site, tmp_path):
    site.faults["/set.zip"] = [unmeasured(CONTENT[:300_000])]
    with pytest.raises(DownloadError, match="300,000 bytes instead of 409,600"):
        get(source(site), tmp_path)
    assert files(tmp_path) == []
    assert get(source(site), tmp_path) == CONTENT


def test_a_file_with_another_hash_is_thrown_away(site, tmp_path):
    site.files["/set.zip"] = OTHER
    with pytest.raises(
        DownloadError,
        match=rf"another SHA-256 than the {sha256(CONTENT)}.*as others have printed it",
    ):
        get(source(site), tmp_path)
    assert files(tmp_path) == []
    site.files["/set.zip"] = CONTENT
    assert get(source(site), tmp_path) == CONTENT


def test_a_file_on_the_disk_with_another_hash_is_fetched_again(site, tmp_path):
    (tmp_path / "set.zip").write_bytes(OTHER)
    assert get(source(site), tmp_path) == CONTENT


def test_nothing_is_asked_for_offline(site, tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="CROPNB_OFFLINE=1 forbids"):
        get(source(site), tmp_path)
    assert site.requests == []


def test_a_site_that_is_not_there(site, tmp_path):
    with pytest.raises(
        DownloadError,
        match=r"connection broke.*given up after 5 attempts.*By hand: press the button",
    ):
        get(source(site, url="http://127.0.0.1:9/set.zip"), tmp_path)
    with pytest.raises(DownloadError, match="no address"):
        get(source(site, url="gopher://x/set.zip"), tmp_path)


def test_a_source_without_an_address_says_how_to_get_it(tmp_path):
    with pytest.raises(
        DownloadError, match=r"no program can fetch set\.zip.*ask the authors.*--from FILE"
    ):
        download.fetch(Source("set.zip", "ask the authors"), tmp_path)
