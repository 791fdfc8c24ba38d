"""What the steps share: errors of the disk in words, room on it, hashes, and one run at a time."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm.auto import tqdm

from cropnb.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
BLOCK = 1 << 20


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what the system says about a full or forbidden disk into a StorageError that names the
    place.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, StorageError) or error.errno not in (*FULL, *FORBIDDEN):
            raise
        if error.errno in FULL:
            what = (
                "the disk is full; make room and run the command again, it goes on where it stopped"
            )
        else:
            what = (
                "nothing may be written there; choose another folder with CROPNB_DATA, or change "
                "its permissions"
            )
        raise StorageError(f"{error.filename or place}: {what} ({error.strerror})") from error


def need_room(folder: Path, wanted: int, purpose: str) -> None:
    """Raise StorageError unless the disk below `folder` has `wanted` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise StorageError(
            f"{folder}: {purpose} needs {megabytes(wanted)} and {megabytes(free)} are free; "
            "make room and run the command again"
        )


def megabytes(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count / 1e6:,.1f} MB"


def sha256_of(path: Path, progress: bool = False) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as stream,
        bytes_bar(path.stat().st_size, f"checking {path.name}", progress) as bar,
    ):
        while block := stream.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def bytes_bar(total: int | None, description: str, progress: bool, initial: int = 0) -> tqdm:
    """A progress bar that counts bytes."""
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit="B",
        unit_scale=True,
        disable=not progress,
        leave=False,
    )


@contextmanager
def only_one(folder: Path, say: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Hold the folder's lock; wait for another run that holds it. The system lifts it when a
    process dies.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is at work in {folder}; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
