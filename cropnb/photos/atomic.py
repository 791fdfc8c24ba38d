"""Files that are whole or not there: written beside their place, then renamed."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cropnb.errors import SaveError

_cleared: set[str] = set()  # folders that this process has looked into for left-overs


@contextmanager
def replacing(path: Path, overwrite: bool = True, modified: int | None = None) -> Iterator[Path]:
    """A temporary file to write; afterwards it has the name `path`, or after an error is gone.

    Args:
        overwrite: False leaves a file that is there, and is an error.
        modified: the modification time to give it, in nanoseconds.

    Raises:
        SaveError: naming `path`, for whatever the system says.
    """
    if not overwrite and os.path.lexists(path):
        raise SaveError(f"{path} is there already, and isn't overwritten; give another name")
    temporary: Path | None = None
    handle = -1
    try:
        _clear_left_overs(path.parent)
        # the temporary name is short whatever the photo's is
        name = path.parent / f".cropnb-{secrets.token_hex(6)}.part"
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        temporary = name
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield temporary
        with suppress(FileNotFoundError):
            os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        if modified is not None:
            os.utime(temporary, ns=(modified, modified))
        if overwrite:
            os.replace(temporary, path)
        else:
            _rename_if_free(temporary, path)
    except FileExistsError as error:
        raise SaveError(
            f"{path} is there already, and isn't overwritten; give another name"
        ) from error
    except OSError as error:
        reason = error.strerror or _without(str(error), temporary, path)
        raise SaveError(f"{path} can't be written: {reason}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if handle >= 0:
            os.close(handle)


def _clear_left_overs(folder: Path) -> None:
    """Remove what killed runs left in a folder, once: nobody holds their files any more."""
    if (place := os.path.abspath(folder)) in _cleared:
        return
    _cleared.add(place)
    for left_over in folder.glob(f".cropnb-{'[0-9a-f]' * 12}.part"):
        with suppress(OSError), left_over.open("rb") as stream:
            # One of these seconds may not be locked yet.
            if time.time() - os.fstat(stream.fileno()).st_mtime > 60:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left_over.unlink()


def _rename_if_free(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a renaming, never onto a file that came meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.rename(temporary, path)


def _without(text: str, temporary: Path | None, path: Path) -> str:
    return text.replace(str(temporary), str(path)) if temporary else text
