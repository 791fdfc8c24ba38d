"""The reproduction ledger: one JSON file a paper under `book/results`, one row for every number
that is claimed.

Only a run writes a row, and a row names the command that repeats it. Chapters print from here, so
prose can't drift from what was measured.
"""

import fcntl
import glob
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import IO, get_type_hints

from cropnb import ledger_rules
from cropnb.errors import LedgerError, WriteError

VERDICTS = {
    "exact": "equals the printed number to its last digit",
    "within": "the interval holds the printed number",
    "contradicts": "the interval does not hold the printed number",
    "not_comparable": (
        "measured, but the printed number was taken under conditions that we can't have"
    ),
    "pending": "not measured yet; the note says what is missing",
    "holds": "a claim made in words, which our runs support",
    "fails": "a claim made in words, which our runs do not support",
    "measured": "our own number, which has no printed counterpart",
}
PHOTOGRAPHS, SCENES = "photographs", "scenes"


@dataclass(frozen=True)
class Row:
    """One number: what is printed, what we measured, on what, and how to measure it again.

    `ours`, `low` and `high` are the mean and its 95 % interval in the unit of the column
    (accuracies in per cent). `images` is the number of photos that the number stands on; `seeds`
    lists the seeds of the training runs.
    """

    paper: str  # the file's name: vrn, gaicd_baselines, scenes, …
    table: str  # "Table 2", "claim", "reference", …
    row: str
    column: str
    dataset: str
    split: str
    verdict: str
    paper_value: float | None = None
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    images: int | None = None
    seeds: tuple[int, ...] = ()
    profile: str = ""  # of a trained method: smoke, cpu or full
    device: str = ""
    minutes: float | None = None
    command: str = ""
    commit: str = ""
    config_hash: str = ""
    checkpoint_hash: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes a row unique in its file; recording replaces the row of the same key."""
        return (self.table, self.row, self.column, self.dataset, self.split, self.profile)

    def check(self) -> None:
        """Raise `LedgerError` when the row breaks a rule of the ledger."""
        problems = ledger_rules.field_problems(self, _CHECKS)
        if problems:
            raise LedgerError(f"row {ledger_rules.shown(self.key, 400)}: " + "; ".join(problems))
        problems = ledger_rules.number_problems(self, verdict, _decimals)
        if self.verdict not in VERDICTS:
            problems.append(f"verdict {self.verdict!r} is none of {', '.join(VERDICTS)}")
        if self.verdict == "pending":
            if not self.note:
                problems.append("a pending row says in its note what is missing")
            if self.ours is not None:
                problems.append("a pending row has no measured value")
        elif self.ours is None or not self.command or not self.images:
            problems.append("a measured row has ours, images and the command that repeats it")
        if self.verdict in ("exact", "within", "contradicts") and self.paper_value is None:
            problems.append(f"verdict {self.verdict!r} needs the paper's value")
        ends = (self.low, self.ours, self.high)
        if None not in ends and not self.low <= self.ours <= self.high:
            problems.append(f"the interval {self.low} … {self.high} does not hold {self.ours}")
        if (
            self.verdict == "within"
            and None not in (self.low, self.high)
            and self.paper_value is not None
        ):
            # A printed number is rounded: half a unit of its last digit belongs to it.
            slack = 0.5 * 10 ** -_decimals(self.paper_value)
            if not self.low - slack <= self.paper_value <= self.high + slack:
                problems.append(
                    f"the interval {self.low} … {self.high} does not hold the paper's "
                    f"{self.paper_value}"
                )
        if problems:
            raise LedgerError(f"row {self.key}: " + "; ".join(problems))


_CHECKS = ledger_rules.checks(get_type_hints(Row))
_NEEDED = {field.name for field in fields(Row) if field.default is MISSING}


def _decimals(value: float) -> int:
    text = repr(value)
    return len(text.split(".")[1]) if "." in text and "e" not in text else 0


def verdict(paper_value: float, ours: float, low: float, high: float) -> str:
    """`exact`, `within` or `contradicts`, at the number of digits that the paper prints."""
    digits = max(_decimals(paper_value), 1)
    if round(ours, digits) == round(paper_value, digits):
        return "exact"
    slack = 0.5 * 10**-digits
    return "within" if low - slack <= paper_value <= high + slack else "contradicts"


def folder() -> Path:
    """`$CROPNB_RESULTS`, or `book/results` of this checkout."""
    return Path(os.environ.get("CROPNB_RESULTS") or Path(__file__).parents[1] / "book" / "results")


def read(name: str) -> list[Row]:
    """All rows of one file, in file order; an empty list when nothing was recorded yet.

    Raises `LedgerError` when the file is no ledger, and for a row that `record` would refuse.
    """
    path = folder() / f"{ledger_rules.checked_name(name)}.json"
    if not path.exists():
        return []
    rows: dict[tuple[str, ...], Row] = {}
    for number, fields_of_row in enumerate(
        ledger_rules.parse(path, set(_CHECKS), _NEEDED), start=1
    ):
        seeds = fields_of_row.get("seeds", ())
        row = Row(**{**fields_of_row, "seeds": tuple(seeds) if type(seeds) is list else seeds})
        try:
            row.check()
        except LedgerError as error:
            raise LedgerError(f"{path}, row {number}: {error}") from error
        if row.paper != name:
            raise LedgerError(f"{path}, row {number}: row {row.key} belongs to {row.paper!r}")
        if row.key in rows:
            raise LedgerError(f"{path}, row {number}: row {row.key} is there twice")
        rows[row.key] = row
    return list(rows.values())


def names() -> list[str]:
    """The ledger's files, without their ending."""
    return sorted(path.stem for path in folder().glob("*.json"))


def find(name: str, **wanted: object) -> list[Row]:
    """Rows of one file whose fields equal `wanted`, such as `table="Table 2", column="Acc 1/5"`."""
    return [
        row
        for row in read(name)
        if all(getattr(row, key) == value for key, value in wanted.items())
    ]


def one(name: str, **wanted: object) -> Row:
    """The single row that matches; `LedgerError` when there are none or several."""
    rows = find(name, **wanted)
    if len(rows) != 1:
        raise LedgerError(f"{len(rows)} rows of {name!r} match {wanted}; one was asked for")
    return rows[0]


def record(name: str, rows: Row | Iterable[Row]) -> None:
    """Write rows into a file, each replacing the row of the same key.

    Whole or not at all: the new file is written beside the old one and then takes its name, under a
    lock that makes two runs wait for each other. Raises `LedgerError` before anything is written.
    """
    rows = [rows] if isinstance(rows, Row) else list(rows)
    ledger_rules.checked_name(name)
    for row in rows:
        if row.paper != name:
            raise LedgerError(f"row {row.key} belongs to {row.paper!r}, not to {name!r}")
        row.check()
    make_folder(folder())
    with _locked(folder()):
        merged = {row.key: row for row in read(name)}
        merged.update({row.key: row for row in rows})
        text = (
            json.dumps([_compact(row) for row in merged.values()], indent=1, ensure_ascii=False)
            + "\n"
        )
        write_atomically(folder() / f"{name}.json", text.encode("utf-8"))


def _compact(row: Row) -> dict[str, object]:
    return {key: value for key, value in asdict(row).items() if value not in (None, "", (), [])}


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    # A lock on the folder itself leaves no lock file behind, and the system lifts it when the
    # process dies.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they aren't there; `WriteError` when that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content so that a reader, or a kill at any moment, sees the old or the new
    one whole.

    What a killed writer of the same file left behind is cleared away first. Raises `WriteError`
    when the disk is full, or the folder is missing or may not be written to.
    """
    temporary = None
    try:
        _clear_left_overs(path)
        stream, temporary = _locked_temporary(path)
        with stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def _locked_temporary(path: Path) -> tuple[IO[bytes], str]:
    """A new file beside `path`, locked as long as it is open: who can lock it knows that its writer
    is dead.
    """
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        stream = os.fdopen(handle, "wb")
        fcntl.flock(stream, fcntl.LOCK_EX)
        # Between the two calls another writer may have taken it for a left-over.
        if os.path.exists(temporary):
            return stream, temporary
        stream.close()


def _clear_left_overs(path: Path) -> None:
    for left_over in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with suppress(OSError), left_over.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left_over.unlink()


def _unwritable(path: Path, error: OSError) -> WriteError:
    reason = error.strerror or str(error)
    return WriteError(f"{path} can't be written ({reason}); free space, or choose another folder")


def current_commit() -> str:
    """The short hash of the checked-out commit; `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def this_command(module: str) -> str:
    """The shell command that repeats the running program: `python -m MODULE` with the arguments it
    was given.
    """
    return " ".join(["python", "-m", module, *sys.argv[1:]])
