"""Files whole at any moment: written beside the old one, then renamed. Locks on folders."""

import fcntl
import glob
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from cropnb.errors import WriteError


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they aren't there; `WriteError` when that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content so that a reader, or a kill at any moment, sees the old or the new
    one whole.

    What a killed writer of the same file left behind is cleared away first.

    Raises:
        WriteError: the disk is full, or the folder is missing or may not be written to.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """`write_atomically` for files that belong together: none takes its name before all of them
    are on the disk.
    """
    temporaries: dict[Path, str] = {}
    path = Path()
    try:
        with ExitStack() as streams:
            for path, content in contents.items():
                _clear_left_overs(path)
                stream, temporaries[path] = _locked_temporary(path)
                streams.enter_context(stream)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
                os.chmod(temporaries[path], 0o644)
            for path, temporary in temporaries.items():
                os.replace(temporary, path)
    except BaseException as error:
        for temporary in temporaries.values():
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def _locked_temporary(path: Path) -> tuple[IO[bytes], str]:
    """A new file beside `path`, locked while open: who can lock it knows its writer to be dead."""
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        stream = os.fdopen(handle, "wb")
        fcntl.flock(stream, fcntl.LOCK_EX)
        # Between the two calls another writer may have taken it for a left-over.
        if os.path.exists(temporary):
            return stream, temporary
        stream.close()


def _clear_left_overs(path: Path) -> None:
    """Remove the temporary files of writers that are dead."""
    for left_over in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with suppress(OSError), left_over.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left_over.unlink()


def unwritable(path: Path, error: OSError) -> WriteError:
    """What is raised when the system can't write a file."""
    reason = error.strerror or str(error)
    return WriteError(f"{path} can't be written ({reason}); free space, or choose another folder")


def file_hash(path: str | Path) -> str:
    """The first twelve hexadecimal digits of a file's SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


@contextmanager
def locked(folder: Path, waiting: str = "") -> Iterator[None]:
    """Hold a folder for this process; another one that wants it waits.

    The lock is on the folder itself: no lock file is left behind, and the system lifts it when the
    process dies.

    Args:
        folder: exists.
        waiting: printed once to standard error when another process holds the folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
