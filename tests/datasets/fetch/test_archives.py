"""Archives from strangers: refused where they would write elsewhere or without end, and unpacked in
little memory.
"""

import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cropnb.datasets import memory
from cropnb.datasets.fetch import archives
from cropnb.errors import ArchiveError

from .conftest import zipped

GOOD = {"set/images/a.jpg": os.urandom(50_000), "set/list.txt": b"1 2 3\n" * 2000}


def unpack(content: bytes, folder: Path, name: str = "set.zip") -> list[str]:
    path = folder / name
    path.write_bytes(content)
    count = archives.unpack(path, folder / "out", progress=False)
    paths = sorted(
        str(file.relative_to(folder / "out"))
        for file in (folder / "out").rglob("*")
        if file.is_file()
    )
    assert count == len(paths)
    return paths


def tarred(
    files: dict[str, bytes], mode: str = "w", extra: tuple[tarfile.TarInfo, ...] = ()
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [zipped(GOOD), tarred(GOOD), tarred(GOOD, "w:gz"), tarred(GOOD, "w:xz")],
    ids=["zip", "tar", "gz", "xz"],
)
def test_each_kind_of_archive(content, tmp_path):
    assert unpack(content, tmp_path) == sorted(GOOD)
    for name, expected in GOOD.items():
        assert (tmp_path / "out" / name).read_bytes() == expected
    assert archives.is_archive(tmp_path / "set.zip")


def test_what_systems_leave_in_archives_is_left_out(tmp_path):
    litter = {"__MACOSX/set/._a.jpg": b"x", "set/.DS_Store": b"x", "set/Thumbs.db": b"x"}
    assert unpack(zipped({**GOOD, **litter}), tmp_path) == sorted(GOOD)


def test_backslashes_separate_folders(tmp_path):
    assert unpack(zipped({"set\\images\\a.jpg": b"x"}), tmp_path) == ["set/images/a.jpg"]


@pytest.mark.parametrize(
    ("kind", "share"),
    [(kind, share) for kind in ("zip", "gz") for share in (0.1, 0.5, 0.9, 0.999)]
    + [("tar", 0.1), ("tar", 0.5)],
)
def test_an_archive_that_is_cut_short(tmp_path, kind, share):
    content = {"zip": zipped(GOOD), "tar": tarred(GOOD), "gz": tarred(GOOD, "w:gz")}[kind]
    with pytest.raises(ArchiveError, match="cut short or damaged"):
        unpack(content[: int(share * len(content))], tmp_path)


def test_a_tar_that_is_cut_between_two_entries(tmp_path):
    content = tarred(GOOD)
    first_entry = 512 + -(-50_000 // 512) * 512
    with pytest.raises(ArchiveError, match="end is missing"):
        unpack(content[:first_entry], tmp_path)


def test_a_zip_with_a_wrong_byte(tmp_path):
    content = bytearray(zipped({"a.jpg": GOOD["set/images/a.jpg"]}))
    content[20_000] ^= 1
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(bytes(content), tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/outside.txt", "absolute path"),
        ("C:\\outside.txt", "absolute path"),
        ("../outside.txt", "climbs out"),
        ("set/../../outside.txt", "climbs out"),
        ("set\\..\\..\\outside.txt", "climbs out"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_entries_that_leave_their_folder(tmp_path, kind, name, reason):
    files = {**GOOD, name: b"outside"}
    with pytest.raises(ArchiveError, match=reason):
        unpack(zipped(files) if kind == "zip" else tarred(files), tmp_path)
    assert not list(tmp_path.rglob("outside.txt"))
    assert not Path("/outside.txt").exists()


def test_a_link_in_a_zip(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("set/images")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(tmp_path / "victim"))
        archive.writestr("set/images/a.txt", "written through the link")
    (tmp_path / "victim").mkdir()
    with pytest.raises(ArchiveError, match=r"'set/images' is a link"):
        unpack(buffer.getvalue(), tmp_path)
    assert not list((tmp_path / "victim").iterdir())


@pytest.mark.parametrize(
    ("kind", "word"),
    [(tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "link"), (tarfile.CHRTYPE, "device")],
)
def test_links_and_devices_in_a_tar(tmp_path, kind, word):
    info = tarfile.TarInfo("set/odd")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(ArchiveError, match=f"'set/odd' is a {word}"):
        unpack(tarred(GOOD, extra=(info,)), tmp_path)
    assert not (tmp_path / "out" / "set" / "odd").exists()


@pytest.fixture
def strict(monkeypatch):
    """A limit that takes little time to reach."""
    monkeypatch.setattr(archives, "ALWAYS_FINE", 1 << 20)


def test_a_zip_bomb_writes_nothing(tmp_path, strict):
    bomb = zipped({"bomb.txt": bytes(12_000_000)})
    assert len(bomb) < 20_000
    with pytest.raises(ArchiveError, match=r"12\.0 MB or more"):
        unpack(bomb, tmp_path)
    assert not list((tmp_path / "out").rglob("*"))


def test_a_zip_bomb_that_lies_about_its_size(tmp_path, strict):
    bomb = bytearray(zipped({"bomb.txt": bytes(12_000_000)}))
    true_size = (12_000_000).to_bytes(4, "little")
    assert bomb.count(true_size) == 2
    with pytest.raises(ArchiveError):
        unpack(bytes(bomb.replace(true_size, (1000).to_bytes(4, "little"))), tmp_path)
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 1000


def test_a_packed_tar_that_unpacks_without_end(tmp_path, strict):
    with pytest.raises(ArchiveError, match="times its size"):
        unpack(tarred({f"{number}.txt": bytes(400_000) for number in range(9)}, "w:gz"), tmp_path)
    assert (
        sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= archives.ALWAYS_FINE
    )


def test_two_entries_of_one_name(tmp_path):
    with pytest.raises(ArchiveError, match="two entries"):
        unpack(tarred(GOOD, extra=(tarfile.TarInfo("set/list.txt"),)), tmp_path)
    assert (tmp_path / "out/set/list.txt").read_bytes() == GOOD["set/list.txt"]


def test_what_is_no_archive(tmp_path):
    with pytest.raises(ArchiveError, match="cut short or damaged"):
        unpack(b"<html>", tmp_path)
    assert not archives.is_archive(tmp_path / "set.zip")


PAIRS = [("set/a.jpg", "set/A.jpg"), ("Set/a.jpg", "set/b.jpg"), ("é.jpg", "e\u0301.jpg")]


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
@pytest.mark.parametrize("names", PAIRS)
def test_names_that_differ_in_case_or_unicode_form_alone(tmp_path, pack, names):
    with pytest.raises(ArchiveError, match="differ in case or Unicode form alone"):
        unpack(pack(dict.fromkeys(names, b"1")), tmp_path)


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
@pytest.mark.parametrize("name", ["a" * 300, "é" * 130, "/".join(["folder"] * 200)])
def test_names_that_no_disk_takes(tmp_path, pack, name):
    with pytest.raises(ArchiveError, match="too long"):
        unpack(pack({name: b"1"}), tmp_path)


def test_a_name_without_end_is_not_read(tmp_path):
    # A GNU long name of 100 MB: tarfile would read it whole before anyone can look at it.
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 100_000_000
    with tarfile.open(tmp_path / "long.tar.gz", "w:gz") as archive:
        archive.addfile(info, io.BytesIO(b"a" * info.size))
        archive.addfile(tarfile.TarInfo("a.txt"))
    with pytest.raises(ArchiveError, match="have no end"):
        archives.unpack(tmp_path / "long.tar.gz", tmp_path / "out", progress=False)
    assert memory_of_refusing(tmp_path / "long.tar.gz") < 80


def memory_of_refusing(archive: Path) -> float:
    """Megabytes at most of a process that tries to unpack a refused archive."""
    program = memory._UNPACK.replace(
        "archives.unpack(",
        "import contextlib\nwith contextlib.suppress(ValueError, OSError): archives.unpack(",
    )
    command = [sys.executable, "-c", program, str(archive), str(archive.with_suffix(".out"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6


def test_headers_without_end_are_counted(tmp_path, monkeypatch):
    # Attributes of no entry, one after the other: none of them counts as an entry.
    header = tarfile.TarInfo().create_pax_global_header({"comment": "a" * 20_000})
    (tmp_path / "set.tar.gz").write_bytes(gzip.compress(header * 100 + tarred(GOOD)))
    with pytest.raises(ArchiveError, match="have no end"):
        archives.unpack(tmp_path / "set.tar.gz", tmp_path / "out", progress=False)
    # and all of them together, where each is small enough
    monkeypatch.setattr(archives, "ALL_HEADERS", 100_000)
    with pytest.raises(ArchiveError, match="have no end"):
        unpack(tarred({f"{number}.txt": b"1" for number in range(200)}), tmp_path)


def test_what_is_left_out_counts_as_well(tmp_path, strict):
    with pytest.raises(ArchiveError, match="times its size"):
        unpack(tarred({f"__MACOSX/{i}": bytes(400_000) for i in range(9)}, "w:gz"), tmp_path)


@pytest.mark.parametrize("sixty_four", [False, True])
def test_a_zip_with_a_directory_that_fills_the_memory(tmp_path, sixty_four):
    content = bytearray(zipped(GOOD))
    if sixty_four:
        record = b"PK\x06\x06" + bytes(36) + (1 << 40).to_bytes(8, "little") + bytes(8)
        content[content.rfind(b"PK\x05\x06") : 0] = record
    else:
        place = content.rfind(b"PK\x05\x06") + 12
        content[place : place + 4] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(ArchiveError, match="directory of"):
        unpack(bytes(content), tmp_path)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_packed_tar_with_wrong_bytes(tmp_path, mode):
    content = bytearray(tarred(GOOD, mode))
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    with pytest.raises(ArchiveError, match="cut short or damaged"):
        unpack(bytes(content), tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_memory_does_not_grow_with_the_archive(tmp_path, kind):
    memory.write_archive(tmp_path / "set", kind, files=6, size=16 << 20)
    assert memory.peak(tmp_path / "set", tmp_path / "out") < 80


@pytest.mark.slow
def test_two_gigabytes_are_unpacked_in_less_than_300_megabytes(tmp_path):
    if shutil.disk_usage(tmp_path).free < 6e9:
        pytest.skip("the disk has no room for an archive of 2 GB and what is in it")
    memory.write_archive(tmp_path / "set", "zip", files=2000)
    try:
        assert (tmp_path / "set").stat().st_size > 2e9
        assert memory.peak(tmp_path / "set", tmp_path / "out") < memory.MOST
    finally:
        (tmp_path / "set").unlink()
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
