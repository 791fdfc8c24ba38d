"""What annotation files are trusted with: names that are names, numbers that are numbers, and no
more of either than a dataset can have. Without torch, as the scripts that fetch datasets need it
too.
"""

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cropnb.errors import DatasetMissing

LARGEST_SIDE = 1_000_000  # pixels; no photo is wider, and single precision still tells two apart
LONGEST_NAME = 255  # bytes, which is what file systems take
LARGEST_FILE = 256 << 20  # bytes of an annotation file
MOST_ENTRIES = 1_000_000
MATLAB_SECONDS = 30
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def broken(path: Path, what: str, line: int | None = None) -> DatasetMissing:
    """The error for a file that is there but can't be used: half copied, or of another form."""
    place = f"{path}, line {line}" if line else f"{path}"
    return DatasetMissing(
        f"{place}: {what}. The file is incomplete or has another form; fetch the dataset again"
    )


def read_text(path: Path) -> str:
    """The text of an annotation file. DatasetMissing when it is none, or too large to be one."""
    try:
        if not path.is_file():
            raise broken(path, "no file")
        if path.stat().st_size > LARGEST_FILE:
            raise broken(path, f"larger than {LARGEST_FILE >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(path, f"no UTF-8 text ({error.reason})") from error
    except DatasetMissing:
        raise
    except OSError as error:
        raise broken(path, f"it can't be read ({error.strerror})") from error


def read_json(path: Path) -> Any:
    """What a JSON file holds. DatasetMissing naming the line where it stops being JSON."""
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path) -> Any:
    """What a text from the file `path` holds as JSON. Raises as `read_json`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise broken(path, f"no JSON from here on ({error.msg})", error.lineno) from error
    except RecursionError as error:
        raise broken(path, "JSON that is nested too deep") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise broken(path, f"no JSON ({error})") from error


def photo_name(name: Any, path: Path, place: str) -> str:
    """A photo's name if it is the name of a file: no path, nothing hidden in it, not too long.

    Args:
        name: what the annotation file says.
        path: of that file, for the error.
        place: where in it, for the error.

    Raises:
        DatasetMissing: for anything else.
    """
    if not isinstance(name, str):
        problem = f"a photo's name is a text, not {short(name)}"
    elif name in ("", ".", "..") or "/" in name or "\\" in name or name[1:2] == ":":
        problem = f"{short(name)} is a path or nothing, not the name of a photo"
    elif _CONTROLS.search(name):
        problem = f"the name {short(name)} has control characters"
    elif len(name.encode()) > LONGEST_NAME:
        problem = f"the name {short(name)} is longer than {LONGEST_NAME} bytes"
    else:
        return name
    raise broken(path, f"{place}: {problem}")


def distinct_names(names: Iterable[str], path: Path) -> None:
    """Refuse names that differ in case or Unicode form alone: on some disks they are one file.

    Raises:
        DatasetMissing: naming the two.
    """
    known: dict[str, str] = {}
    for name in names:
        before = known.setdefault(same_file(name), name)
        if before != name:
            raise broken(
                path, f"{short(before)} and {short(name)} differ in case or Unicode form alone"
            )


def same_file(name: str) -> str:
    """What two names of one file share on a disk that ignores case or Unicode form."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def whole(value: Any) -> int:
    """A side of a photo in pixels; ValueError for anything but a whole number that one can have."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_SIDE:
        raise ValueError(f"{short(value)} is no number of pixels")
    return value


def numbers(values: Any, count: int | None = None) -> list[float]:
    """A list of finite numbers; ValueError or TypeError for anything else, texts too."""
    if not isinstance(values, list) or (count is not None and len(values) != count):
        raise ValueError(f"{short(values)} is no list of {count or 'some'} numbers")
    for value in values:
        # Not finite are NaN, infinities, and what is so large that no comparison holds.
        if type(value) not in (int, float) or not -1e30 < value < 1e30:
            raise ValueError(f"{short(value)} is no number")
    return [float(value) for value in values]


def entries(path: Path, what: str) -> list[Any]:
    """The list that a JSON file holds. DatasetMissing when it holds none, or an endless one."""
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise broken(path, f"expected a list of {what}")
    if len(content) > MOST_ENTRIES:
        raise broken(path, f"{len(content):,} entries, and no dataset has {MOST_ENTRIES:,}")
    return content


def photo_files(*folders: Path) -> dict[str, Path]:
    """Name → path of the files in some folders, of equal names the one in the first."""
    files: dict[str, Path] = {}
    for folder in reversed(folders):
        if folder.is_dir():
            with os.scandir(folder) as listing:
                files |= {entry.name: Path(entry.path) for entry in listing if entry.is_file()}
    return files


class Listed(NamedTuple):
    """A photo of FCDB's list: its name, its place on Flickr, and its crop: x, y, width, height."""

    name: str
    url: str
    crop: list[float]


def fcdb_list(path: Path) -> list[Listed]:
    """The photos that a list of FCDB names. DatasetMissing when it is no such list."""
    listed = []
    for number, entry in enumerate(entries(path, "crops"), start=1):
        try:
            url, crop = entry["url"], numbers(entry["crop"], 4)
            name = url.rpartition("/")[2]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise broken(
                path, f"entry {number} has no `url` and `crop` of x y width height ({error!r})"
            ) from error
        listed.append(Listed(photo_name(name, path, f"entry {number}"), url, crop))
    distinct_names((photo.name for photo in listed), path)
    return listed


def matlab_records(path: Path) -> list[tuple[str, list[list[float]]]]:
    """Name and boxes of each record of FLMS's MATLAB file, as they stand there.

    A damaged file can crash SciPy's reader together with the process, or make it ask for any
    amount of memory. So it is read by a process of its own, with limits on time and memory.

    Raises:
        DatasetMissing: when it is no such file.
    """
    command = [sys.executable, "-P", str(Path(__file__).with_name("_matlab.py")), str(path)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    form = "no MATLAB file with `img_gt` of `filename` and `bbox`"
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            env=environment,
            timeout=MATLAB_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise broken(path, f"{form} (not read in {MATLAB_SECONDS} seconds)") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1][:200] if lines else f"its reader died of signal {-done.returncode}"
        raise broken(path, f"{form} ({reason})")
    return [(name, boxes) for name, boxes in json.loads(done.stdout)]


def short(value: Any) -> str:
    """The beginning of a value's repr."""
    try:
        return repr(value)[:60]
    except (ValueError, RecursionError):
        return type(value).__name__
