"""Unpack zip and tar archives from strangers: in little memory, and never outside of the folder
that is meant.

An archive is refused as a whole when one of its entries has an absolute path or climbs out with
`..`, is a link or a device, or when it would unpack to far more than photos can be compressed; also
when its names are too long, or two differ in case or Unicode form alone, or its headers have no
end. What
was unpacked before such an entry came up is left to the caller, who unpacks into a folder of its
own and removes it.
"""

import bz2
import errno
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from cropnb.datasets import checked
from cropnb.datasets.fetch import storage
from cropnb.errors import ArchiveError

LARGEST_RATIO = 20  # unpacked over packed size; JPEG has 1, lists of numbers about 5
ALWAYS_FINE = 64 << 20  # bytes: a small archive of text may be packed tighter
MOST_ENTRIES = 200_000
LARGEST_HEADER = 1 << 20  # bytes of what stands before one entry of a tar: names, attributes
ALL_HEADERS = 256 << 20  # bytes of them all, and of a zip's directory, which is read at once
LONGEST_PART, LONGEST_PATH = 255, 1024  # bytes, which is what file systems take
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
    ValueError,
    OverflowError,
    struct.error,
)


@dataclass(frozen=True)
class _Entry:
    """A file in an archive: its path as the archive has it, its size, and how to read it."""

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
    except (*BROKEN, OSError) as error:
        # A place before the beginning of the file is what a wrong directory of a zip points to.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ArchiveError(
            f"{archive} is cut short or damaged ({error}); remove it and fetch it again"
        ) from error


def _zip_entries(archive: Path, folder: Path, limit: int) -> Iterator[_Entry]:
    _check_directory(archive)
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
    with _unpacked(archive) as packed:
        stream = _Metered(archive, packed)
        # a stream: nothing is kept of the entries that went by
        with tarfile.open(fileobj=stream, mode="r|") as opened:
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
                stream.allow(info.size)
                yield _Entry(info.name, info.size, kind, lambda info=info: opened.extractfile(info))
        while stream.read(storage.BLOCK):
            pass  # only at its end does what it is packed with tell whether the bytes are right


def _unpacked(archive: Path) -> IO[bytes]:
    """The bytes of a tar archive, whatever it is packed with."""
    with archive.open("rb") as stream:
        start = stream.read(6)
    openers = {PACKED[0]: gzip.open, PACKED[1]: bz2.open, PACKED[2]: lzma.open}
    for signature, opener in openers.items():
        if start.startswith(signature):
            return opener(archive)
    return archive.open("rb")


class _Metered:
    """A stream that is read no further than the next entry may begin.

    `tarfile` reads names and attributes of an entry whole, however long they say they are, and goes
    through any number of them before it gives the entry.
    """

    def __init__(self, archive: Path, stream: IO[bytes]) -> None:
        self._archive, self._stream = archive, stream
        self._done, self._allowed = 0, LARGEST_HEADER
        self._data = 0

    def allow(self, size: int) -> None:
        """An entry of `size` bytes has begun."""
        self._data += size
        self._allowed = self._done + size + LARGEST_HEADER

    def read(self, size: int) -> bytes:
        """The next bytes. Raises ArchiveError beyond what is allowed."""
        try:
            block = self._stream.read(size)
        except OSError as error:
            if error.errno is not None:
                raise
            # the unpackers' word for damaged data
            raise tarfile.ReadError(str(error)) from error
        self._done += len(block)
        if self._done > self._allowed or self._done - self._data > ALL_HEADERS:
            raise ArchiveError(
                f"{self._archive}: the names and attributes of its entries have no end; nothing of "
                "it is used"
            )
        return block


def _check_directory(archive: Path) -> None:
    """Refuse a zip whose directory is too large to be read at once, as `zipfile` reads it."""
    with archive.open("rb") as stream:
        stream.seek(max(0, archive.stat().st_size - (1 << 16) - 200))
        end = stream.read()
    places = ((b"PK\5\6", 12, "<L", 0xFFFFFFFF), (b"PK\6\6", 40, "<Q", None))
    for signature, offset, form, elsewhere in places:
        start = end.rfind(signature) + offset
        if start >= offset and start + struct.calcsize(form) <= len(end):
            (size,) = struct.unpack_from(form, end, start)
            if size != elsewhere and size > ALL_HEADERS:
                raise ArchiveError(f"{archive} has a directory of {storage.megabytes(size)}")


def _check_tar_end(archive: Path) -> None:
    """Refuse a plain tar that was cut between two entries: only its last block tells."""
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
    names = _Names(archive)
    for number, entry in enumerate(entries, start=1):
        path = _inside(archive, entry)
        if number > MOST_ENTRIES:
            raise ArchiveError(
                f"{archive} has more than {MOST_ENTRIES:,} entries; no dataset here has"
            )
        total += entry.size  # also of what is left out: a packed tar is unpacked to get past it
        _check_total(archive, total, limit)
        if path is None:
            continue
        names.add(path)
        if entry.kind == "folder":
            continue
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


class _Names:
    """The paths of an archive's entries, as disks see them that ignore case or Unicode form."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._known: dict[tuple[str, ...], str] = {}

    def add(self, path: PurePosixPath) -> None:
        """Raises ArchiveError for a file or folder that differs from another in that alone."""
        place: tuple[str, ...] = ()
        for part in path.parts:
            place = (*place, checked.same_file(part))
            before = self._known.setdefault(place, part)
            if before != part:
                raise ArchiveError(
                    f"{self._archive}: the names {before!r} and {part!r} differ in case or Unicode "
                    "form alone; nothing of this archive is used"
                )


def _new_file(archive: Path, entry: _Entry, target: Path) -> IO[bytes]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(
            f"{archive}: two entries want the path {entry.path!r}; nothing of it is used"
        ) from error


def _too_long(path: PurePosixPath) -> bool:
    parts = [len(part.encode(errors="surrogateescape")) for part in path.parts]
    return max(parts) > LONGEST_PART or sum(parts) + len(parts) > LONGEST_PATH


def _inside(archive: Path, entry: _Entry) -> PurePosixPath | None:
    """A path below the folder, None for what no one wants; ArchiveError for one outside of it."""
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
    elif _too_long(path):
        raise ArchiveError(
            f"{archive}: the entry {entry.path[:60]!r}… has a name that is too long; nothing of "
            "this archive is used"
        )
    else:
        return None if any(part in IGNORED for part in path.parts) else path
    raise ArchiveError(
        f"{archive}: the entry {entry.path!r} {what}; nothing of this archive is used"
    )
