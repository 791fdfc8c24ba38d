"""The reproduction ledger: one JSON file a paper under `book/results`, one row for every number
that is claimed.

Only a run writes a row, and a row names the command that repeats it. Chapters print from here, so
prose can't drift from what was measured.
"""

import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import get_type_hints

from cropnb import files, ledger_claims, ledger_rules
from cropnb.errors import LedgerError
from cropnb.ledger_claims import (
    LITTLE,
    claim_verdict,
    detectable_of,
    photos_to_settle,
    verdict_of,
    verdict_text,
)

__all__ = [
    "CLAIM_VERDICTS",
    "LAYOUTS",
    "LITTLE",
    "PHOTOGRAPHS",
    "SCENES",
    "TAUGHT",
    "VERDICTS",
    "Row",
    "claim_verdict",
    "current_commit",
    "detectable_of",
    "differences",
    "find",
    "folder",
    "kind",
    "names",
    "one",
    "photos_to_settle",
    "read",
    "record",
    "verdict",
    "verdict_of",
    "verdict_text",
]

VERDICTS = {
    "exact": "equals the printed number to its last digit",
    "within": "the interval holds the printed number",
    "contradicts": "the interval does not hold the printed number",
    "not_comparable": (
        "measured, but the printed number was taken under conditions that we can't have"
    ),
    "pending": "not measured yet; the note says what is missing",
    **ledger_claims.VERDICTS,
    "measured": "our own number, which has no printed counterpart",
}
CLAIM_VERDICTS = tuple(ledger_claims.VERDICTS)
PHOTOGRAPHS, SCENES, LAYOUTS, TAUGHT = "photographs", "scenes", "layouts", "taught"


@dataclass(frozen=True)
class Row:
    """One number: what is printed, what we measured, on what, and how to measure it again.

    `ours`, `low` and `high` are the mean and its 95 % interval in the unit of the column
    (accuracies in per cent). `images` is the number of photos that the number stands on; `seeds`
    lists the seeds of the training runs.

    A claim has more, in the same unit: `margin`, the boundary where it isn't zero; `below`, whether
    the number is to stay below it; `worth_having`, the difference that is worth having, where one
    was named beforehand; `detectable`, the smallest distance from the boundary that these photos
    and seeds could have settled (80 % power, 5 % two-sided); `detectable_seeds`, what stays of that
    with these seeds however many photos are added; `void`, why the comparison says nothing, such as
    an arm that is no better than the middle of the photo. Its `differences`, (seeds, photos), are
    written into a file of their own; the function of the same name reads them.
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
    margin: float | None = None
    below: bool = False
    worth_having: float | None = None
    detectable: float | None = None
    detectable_seeds: float | None = None
    void: str = ""
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
    differences: Sequence[Sequence[float]] | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> tuple[str, ...]:
        """What makes a row unique in its file; recording replaces the row of the same key."""
        return (self.table, self.row, self.column, self.dataset, self.split, self.profile)

    @property
    def says(self) -> str:
        """Its verdict, or "says nothing" for a claim whose comparison is `void`."""
        return "says nothing" if self.void else self.verdict

    def check(self) -> None:
        """See that the row keeps the rules of the ledger.

        Raises:
            LedgerError: the row's key and what is wrong with it.
        """
        problems = ledger_rules.field_problems(self, _CHECKS)
        if problems:
            raise LedgerError(f"row {ledger_rules.shown(self.key, 400)}: " + "; ".join(problems))
        problems = ledger_rules.number_problems(self, verdict, _decimals)
        problems += ledger_claims.problems(self)
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


_CHECKS = ledger_rules.checks(
    {name: kind for name, kind in get_type_hints(Row).items() if name != "differences"}
)
_NEEDED = {field.name for field in fields(Row) if field.default is MISSING}


def _decimals(value: float) -> int:
    """How many digits a printed number has after the point."""
    text = repr(value)
    return len(text.split(".")[1]) if "." in text and "e" not in text else 0


def verdict(paper_value: float, ours: float, low: float, high: float) -> str:
    """How a printed number and ours agree, at the number of digits that the paper prints.

    Args:
        paper_value: the printed number.
        ours: the measured one.
        low: the lower end of its interval.
        high: the upper end.

    Returns:
        `exact`, `within` or `contradicts`; half a unit of the last printed digit belongs to it.
    """
    digits = max(_decimals(paper_value), 1)
    if round(ours, digits) == round(paper_value, digits):
        return "exact"
    slack = 0.5 * 10**-digits
    return "within" if low - slack <= paper_value <= high + slack else "contradicts"


def kind(dataset: str) -> str:
    """What a dataset shows: `PHOTOGRAPHS`, `SCENES` that are drawn, `LAYOUTS` of photographs, or
    `TAUGHT` photographs; of several joined by "+" the last, which is tested, beside what was mixed
    in: "scenes+taught". Numbers of two kinds never share a column.
    """
    if "+" in dataset:
        return "+".join(map(kind, dataset.split("+")))
    if dataset.startswith((SCENES, TAUGHT)):
        return SCENES if dataset.startswith(SCENES) else TAUGHT
    return LAYOUTS if dataset.endswith(f"_{LAYOUTS}") else PHOTOGRAPHS


def folder() -> Path:
    """`$CROPNB_RESULTS`, or `book/results` of this checkout."""
    return Path(os.environ.get("CROPNB_RESULTS") or Path(__file__).parents[1] / "book" / "results")


def read(name: str, where: Path | None = None) -> list[Row]:
    """All rows of one file, in file order; an empty list when nothing was recorded yet.

    Args:
        name: of the file, without folder and ending.
        where: another folder than `folder()`.

    Raises:
        LedgerError: the file is no ledger, or holds a row that `record` would refuse.
    """
    path = (where or folder()) / f"{ledger_rules.checked_name(name)}.json"
    if not path.exists():
        return []
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ledger_rules.no_ledger(path, error) from error
    return list(_rows(name, path, content))


# A chapter asks for rows hundreds of times, and each of 1 000 rows is checked at each reading: what
# a file holds is checked once for each content that it has.
@functools.lru_cache(maxsize=32)
def _rows(name: str, path: Path, content: bytes) -> tuple[Row, ...]:
    """The checked rows of a file with this content."""
    rows: dict[tuple[str, ...], Row] = {}
    for number, fields_of_row in enumerate(
        ledger_rules.parse(path, content, set(_CHECKS), _NEEDED), start=1
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
    return tuple(rows.values())


def names(where: Path | None = None) -> list[str]:
    """The files of the ledger, or of one in another folder, without their ending."""
    return sorted(path.stem for path in (where or folder()).glob("*.json"))


def find(name: str, **wanted: object) -> list[Row]:
    """Rows of one file whose fields equal `wanted`, such as `table="Table 2", column="Acc 1/5"`."""
    return [
        row
        for row in read(name)
        if all(getattr(row, key) == value for key, value in wanted.items())
    ]


def one(name: str, **wanted: object) -> Row:
    """The single row that matches.

    Raises:
        LedgerError: there are none or several.
    """
    rows = find(name, **wanted)
    if len(rows) != 1:
        raise LedgerError(f"{len(rows)} rows of {name!r} match {wanted}; one was asked for")
    return rows[0]


def record(
    name: str, rows: Row | Iterable[Row], instead_of: Callable[[Row], bool] = lambda row: False
) -> None:
    """Write rows into a file, each replacing the row of the same key.

    Whole or not at all: the new file is written beside the old one and then takes its name, under a
    lock that makes two runs wait for each other.

    Args:
        name: of the file, without folder and ending.
        rows: one row, or several.
        instead_of: whether a row that the file has goes, where none of `rows` replaces it.

    Raises:
        LedgerError: a row breaks a rule; nothing is written.
        WriteError: the folder can't be written to.
    """
    rows = [rows] if isinstance(rows, Row) else list(rows)
    ledger_rules.checked_name(name)
    for row in rows:
        if row.paper != name:
            raise LedgerError(f"row {row.key} belongs to {row.paper!r}, not to {name!r}")
        row.check()
    files.make_folder(folder())
    with files.locked(folder()):
        written = {row.key: row for row in rows}
        there = {row.key: row for row in read(name) if row.key in written or not instead_of(row)}
        merged = there | written
        content = json.dumps(
            [_compact(row) for row in merged.values()], indent=1, ensure_ascii=False
        )
        contents = {folder() / f"{name}.json": f"{content}\n".encode()}
        path = _differences_path(name)
        recorded = ledger_claims.read_differences(path)
        changed = ledger_claims.merged_differences(recorded, rows, merged.values())
        if changed != recorded:
            files.make_folder(path.parent)
            contents[path] = ledger_claims.differences_text(changed).encode()
        files.write_together(contents)


def differences(row: Row, where: Path | None = None) -> list[list[float]] | None:
    """The paired differences behind a claim's row, to four significant digits.

    Args:
        row: as it was recorded.
        where: another folder than `folder()`.

    Returns:
        (seeds, photos), whose mean is the row's `ours`; None for a row recorded without them.

    Raises:
        LedgerError: the file is damaged.
    """
    return ledger_claims.differences_of(
        row, ledger_claims.read_differences(_differences_path(row.paper, where))
    )


def _differences_path(name: str, where: Path | None = None) -> Path:
    """Where the differences of one ledger file lie."""
    return (where or folder()) / "differences" / f"{ledger_rules.checked_name(name)}.json"


def _compact(row: Row) -> dict[str, object]:
    """A row as the file has it: without what is empty."""
    content = {name: getattr(row, name) for name in _CHECKS}
    empty = (None, "", (), [])
    return {
        name: value for name, value in content.items() if value not in empty and value is not False
    }


def current_commit() -> str:
    """The short hash of the checked-out commit; `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
