"""Unpack zip and tar archives from strangers: in little memory, and never outside of the folder
that is meant.

An archive is refused as a whole when one of its entries has an absolute path or climbs out with
`..`, is a link or a device, or when it would unpack to far more than photos can be compressed. What
was unpacked before such an entry came up is left to the caller, who unpacks into a folder of its
own and removes it.
"""

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from cropnb.datasets.fetch import storage
from cropnb.errors import ArchiveError

LARGEST_RATIO = 20  # unpacked over packed size; JPEG has 1, lists of numbers about 5
ALWAYS_FINE = 64 << 20  # bytes: a small archive of text may be packed tighter
MOST_ENTRIES = 200_000
ZIP, PACKED = b"PK", (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")  # how archives begin
IGNORED = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class _Entry:
    """A file in an archive: its path as the archive has it, its declared size, and how to read it."""

    path: str
    size: int
    kind: str  # "file", "folder", or what else it is
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip or a tar archive does, packed or not; it may be cut short
    further on.
    """
    with path.open("rb") as stream:
        start = stream.read(262)
    return start.startswith((ZIP, *PACKED)) or start[257:] == b"ustar"


def unpack(archive: Path, folder: Path, progress: bool = True) -> int:
    """Unpack an archive below a folder, and return how many files there were. Files are never
    overwritten.

    Raises:
        ArchiveError: when it is cut short, damaged, or would do what the module refuses, naming the
            entry.
        StorageError: when it can't be written.
    """
    try:
        limit = max(ALWAYS_FINE, LARGEST_RATIO * archive.stat().st_size)
        with storage.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with archive.open("rb") as stream:
                read = _zip_entries if stream.read(2) == ZIP else _tar_entries
            with storage.bytes_bar(None, f"unpacking {archive.name}", progress) as bar:
                return _write(read(archive, folder, limit), archive, folder, limit, bar.update)
    except BROKEN as error:
        raise ArchiveError(
            f"{archive} is cut short or damaged ({error}); remove it and fetch it again"
        ) from error


def _zip_entries(archive: Path, folder: Path, limit: int) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as opened:
        listed = opened.infolist()
        declared = sum(info.file_size for info in listed)
        _check_total(archive, declared, limit)
        storage.need_room(folder, declared, f"unpacking {archive.name}")
        for info in listed:
            mode = info.external_attr >> 16
            kind = "folder" if info.is_dir() else "file"
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "link" if stat.S_ISLNK(mode) else "device"
            yield _Entry(
                info.orig_filename, info.file_size, kind, lambda info=info: opened.open(info)
            )


def _tar_entries(archive: Path, folder: Path, limit: int) -> Iterator[_Entry]:
    _check_tar_end(archive)
    # a stream: nothing is kept of the entries that went by
    with tarfile.open(archive, "r|*") as opened:
        for info in opened:
            opened.members = []
            kind = (
                "file"
                if info.isreg()
                else "folder"
                if info.isdir()
                else "link"
                if info.issym()
                else "device"
            )
            kind = "link" if info.islnk() else kind
            yield _Entry(info.name, info.size, kind, lambda info=info: opened.extractfile(info))


def _check_tar_end(archive: Path) -> None:
    """A plain tar that was cut between two entries looks whole to `tarfile`; only its last block
    tells.
    """
    with archive.open("rb") as stream:
        if stream.read(262)[257:] != b"ustar":
            return  # packed: the packing has an end of its own
        stream.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
        if stream.read().strip(b"\0"):
            raise tarfile.ReadError("its end is missing")


def _check_total(archive: Path, total: int, limit: int) -> None:
    if total > limit:
        raise ArchiveError(
            f"{archive} would unpack to {storage.megabytes(total)} or more, {LARGEST_RATIO} times "
            "its size: "
            "no archive of photos does; remove it and fetch it again"
        )


def _write(
    entries: Iterator[_Entry],
    archive: Path,
    folder: Path,
    limit: int,
    advance: Callable[[int], object],
) -> int:
    files = total = 0
    for number, entry in enumerate(entries, start=1):
        path = _inside(archive, entry)
        if number > MOST_ENTRIES:
            raise ArchiveError(
                f"{archive} has more than {MOST_ENTRIES:,} entries; no dataset here has"
            )
        if path is None or entry.kind == "folder":
            continue
        total += entry.size
        _check_total(archive, total, limit)
        target = folder / path
        source = entry.open()
        if source is None:
            raise ArchiveError(f"{archive}: the entry {entry.path!r} can't be read")
        with source, _new_file(archive, entry, target) as stream:
            while block := source.read(storage.BLOCK):
                stream.write(block)
                advance(len(block))
        if target.stat().st_size != entry.size:
            raise EOFError(f"{entry.path} has {target.stat().st_size:,} of {entry.size:,} bytes")
        files += 1
    return files


def _new_file(archive: Path, entry: _Entry, target: Path) -> IO[bytes]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(
            f"{archive}: two entries want the path {entry.path!r}; nothing of it is used"
        ) from error


def _inside(archive: Path, entry: _Entry) -> PurePosixPath | None:
    """An entry's path below the folder; None for what no one wants. ArchiveError where it would
    leave the folder.
    """
    text = entry.path.replace("\\", "/")
    path = PurePosixPath(text)
    if entry.kind == "folder" and not path.parts:  # "./", the root itself
        return None
    if entry.kind not in ("file", "folder"):
        what = f"is a {entry.kind}"
    elif path.is_absolute() or text[1:2] == ":":
        what = "has an absolute path"
    elif ".." in path.parts:
        what = "climbs out of its folder"
    elif "\0" in text or not path.parts:
        what = "has no name"
    else:
        return None if any(part in IGNORED for part in path.parts) else path
    raise ArchiveError(
        f"{archive}: the entry {entry.path!r} {what}; nothing of this archive is used"
    )
