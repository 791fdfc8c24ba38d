"""What the command prints, and how it survives a closed pipe and names that no terminal shows."""

import os
import sys
from typing import Any


def never_fail() -> None:
    """Neither on names that are no text, of which printing one must not end a batch, nor where the
    standard streams are closed, as some services start programs.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # and no photo gets its number
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """Print a line to standard output. Where nobody reads any more, as after `| head`, go on in
    silence.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _mute()


def flush() -> None:
    """What is still to be printed, such as argparse's help, goes out here and not while Python
    ends.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()


def write(content: bytes) -> None:
    """Bytes to standard output."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _mute()


def error(text: str) -> None:
    """A line to standard error, above a progress bar if there is one."""
    line = f"cropnb: {text}"
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """In place of Python's own form of a warning."""
    error(f"warning: {one_line(str(message))}")


def one_line(text: str) -> str:
    """On one line, and without characters that a terminal would obey."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in " ".join(text.split())
    )


def reason(error: BaseException) -> str:
    """Why it failed, in a line that names only files that the reader knows."""
    from cropnb.errors import CropnbError

    if isinstance(error, CropnbError):
        return one_line(str(error))
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        name = error.filename
        shown = name and not os.path.basename(os.fsdecode(name)).startswith(".")
        return one_line(f"{os.fsdecode(name)}: {error.strerror}" if shown else error.strerror)
    return one_line(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _mute() -> None:
    """Nobody reads: whatever else is printed goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
