"""What every row of the ledger has to be before anything is computed or printed from it.

The files are edited by hand now and then, merged, and handed on, so reading them checks all that
writing them checks: types, finite numbers, readable text, intervals, verdicts that follow.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cropnb.errors import LedgerError

Check = Callable[[Any], str]  # a value -> what is wrong with it, or nothing

_NAME = re.compile(r"\w[\w-]*(\.[\w-]+)*", re.ASCII)
# What no text in the ledger needs: control characters, lone surrogates, and the invisible ones that
# hide text, reorder it or break a line.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_LONGEST = 10_000  # characters of one text
_LARGEST = 2**63  # whole numbers beyond this are no counts, and no floats either


def checked_name(name: str) -> str:
    """The name of a ledger file, which is no path: letters, digits, `_`, `-`, and dots between.

    Raises:
        LedgerError: for any other.
    """
    if not isinstance(name, str) or len(name) > 100 or not _NAME.fullmatch(name):
        raise LedgerError(
            f"{name!r} is no name of a ledger file; it has letters, digits, _ and - only"
        )
    return name


def checks(types: Mapping[str, Any]) -> dict[str, Check]:
    """Field -> what refuses a value of its annotated type, for `field_problems`.

    Args:
        types: str, bool, int, float, one of these or None, or a tuple of whole numbers.
    """
    return {name: _CHECKS[kind] for name, kind in types.items()}


def field_problems(row: Any, checks: Mapping[str, Check]) -> list[str]:
    """What is wrong with the single values of a row, each told with the name of its field."""
    problems = []
    for name, check in checks.items():
        problem = check(getattr(row, name))
        if problem:
            problems.append(f"{name} {problem}")
    return problems


def number_problems(row: Any, verdict: Callable[..., str], decimals: Callable[..., int]) -> list:
    """What doesn't hold between the numbers of a row whose single values are right.

    Args:
        row: a row of the ledger.
        verdict: (printed, ours, low, high) -> the verdict that follows.
        decimals: how many digits after the point a printed number has.
    """
    problems = []
    if (row.low is None) != (row.high is None):
        problems.append("an interval has both low and high")
    for name in ("images", "minutes"):
        value = getattr(row, name)
        if value is not None and value < 0:
            problems.append(f"{name} is {value}, below zero")
    if row.paper_value is None or row.ours is None:
        return problems
    digits = max(decimals(row.paper_value), 1)
    equal = round(row.ours, digits) == round(row.paper_value, digits)
    if row.verdict == "exact" and not equal:
        problems.append(
            f"verdict 'exact' doesn't follow from {row.ours} and a printed {row.paper_value}"
        )
    if row.verdict == "within" and equal:
        problems.append("verdict 'within' doesn't follow; 'exact' does")
    if row.verdict == "within" and row.low is None:
        problems.append("verdict 'within' needs an interval")
    if row.verdict == "contradicts":
        low, high = (row.ours, row.ours) if row.low is None else (row.low, row.high)
        follows = verdict(row.paper_value, row.ours, low, high)
        if follows != "contradicts":
            problems.append(f"verdict 'contradicts' doesn't follow; {follows!r} does")
    return problems


def no_ledger(path: Path, error: Exception) -> LedgerError:
    """What to say of a file that can't be read as a ledger."""
    return LedgerError(f"{path} is no ledger file ({error}); restore it from git")


def parse(path: Path, content: bytes, known: set[str], needed: set[str]) -> list[dict[str, Any]]:
    """The rows of one file as JSON gives them, with no unknown and no missing field.

    Args:
        path: of the file, for what is said of it.
        content: of the file.
        known: the fields that a row may have.
        needed: those that it must have.

    Raises:
        LedgerError: when the file is no list of such objects, naming the first row that isn't one.
    """
    try:
        rows = json.loads(content.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise no_ledger(path, error) from error
    if not isinstance(rows, list):
        raise LedgerError(f"{path} is no ledger file (it holds no list); restore it from git")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise LedgerError(f"{path}, row {number}: it is no object; restore the file from git")
        if row.keys() - known:
            unknown = ", ".join(shown(name) for name in sorted(row.keys() - known))
            raise LedgerError(f"{path}, row {number}: unknown fields: {unknown}")
        if needed - row.keys():
            missing = ", ".join(sorted(needed - row.keys()))
            raise LedgerError(f"{path}, row {number}: missing fields: {missing}")
    return rows


def shown(value: Any, longest: int = 60) -> str:
    """The beginning of a value's repr, which has no control characters."""
    try:
        return repr(value)[:longest]
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return type(value).__name__


def _refuse(constant: str) -> None:
    """ValueError for NaN and the infinities."""
    raise ValueError(f"{constant} is no number that JSON knows")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the file; ValueError for a field that is there twice."""
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError("a row has one field twice")
    return row


def _text(value: Any) -> str:
    """What is wrong with a text."""
    if not isinstance(value, str):
        return f"is no text but {shown(value)}"
    if len(value) > _LONGEST:
        return f"has {len(value)} characters, more than {_LONGEST}"
    # Nearly every text is printable, and asking that is ten times as fast as the search.
    if not value.isprintable() and (control := _CONTROLS.search(value)):
        return f"has the control character {control[0]!r}"
    return ""


def _whole(value: Any) -> str:
    """What is wrong with a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        return f"is no whole number but {shown(value)}"
    return "" if abs(value) < _LARGEST else "is too large"


def _number(value: Any) -> str:
    """What is wrong with a number."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"is {value}"
    problem = _whole(value)
    return f"is no number but {shown(value)}" if problem.startswith("is no") else problem


def _flag(value: Any) -> str:
    """What is wrong with a truth value."""
    return "" if isinstance(value, bool) else f"is neither true nor false but {shown(value)}"


def _wholes(value: Any) -> str:
    """What is wrong with a tuple of whole numbers."""
    if not isinstance(value, tuple):
        return f"is no list of whole numbers but {shown(value)}"
    return next((problem for problem in map(_whole, value) if problem), "")


def _optional(check: Check) -> Check:
    """The same check, which lets None pass."""
    return lambda value: "" if value is None else check(value)


_CHECKS = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _flag,
    str | None: _optional(_text),
    int | None: _optional(_whole),
    float | None: _optional(_number),
    bool | None: _optional(_flag),
    tuple[int, ...]: _wholes,
}
