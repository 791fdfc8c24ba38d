"""Which methods there are, what each is for, how it does on photographs, and which is the default.

`cropnb methods` and the default of `cropnb.load` read this; nothing here imports PyTorch or a
method.
"""

import ast
import re
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from cropnb import ledger
from cropnb.errors import CropnbError

# Without a required ratio "center_window" is the whole photo, the largest window of the photo's own
# ratio; with one "full" is that window too.
BASELINES = {"full": 1.0, "center": 0.9, "center_window": 1.0}
_BASELINES_ARE_FOR = {
    "full": "the photo as it is; of a ratio, the same as center_window",
    "center": "the middle 90 % of each side; of a ratio, those of its largest window",
    "center_window": "the largest centred window of the ratio",
}

PHOTOGRAPHS = "photographs"  # the ledger's file, written by `python -m cropnb.evaluation`
MEASURE = "IoU"
QUESTIONS = 2  # asked of each method: without a ratio, and with that of the true crop
# What `load` takes where the ledger isn't at hand, as in an installed package; a test holds it to
# what the book's ledger says.
FALLBACK = "mars"


def _find_methods() -> dict[str, str]:
    """Name -> module of each subpackage that has `load_cropper`, without importing any."""
    starts = sorted(Path(__file__).parent.glob("*/__init__.py"))
    return {
        path.parent.name: f"cropnb.{path.parent.name}"
        for path in starts
        if "load_cropper" in _defined(path)
    }


@cache
def _defined(path: Path) -> dict[str, str | None]:
    """The names at the top of a module; where one is a text, that text."""
    text = path.read_text("utf-8")
    if "load_cropper" not in text:
        return {}
    tree = ast.parse(text)
    names: dict[str, str | None] = {"__doc__": ast.get_docstring(tree)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: None for alias in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            names[node.targets[0].id] = value if isinstance(value, str) else None
    return names


METHODS = _find_methods()


def names() -> list[str]:
    """What `cropnb.load` takes: the methods, then the baselines."""
    return [*METHODS, *BASELINES]


def purpose(name: str) -> str:
    """What a method is for, in a line: `PURPOSE` of its module, or the first line of what it says
    about itself.
    """
    if name in BASELINES:
        return _BASELINES_ARE_FOR[name]
    defined = _defined(Path(__file__).parent / name / "__init__.py")
    return defined.get("PURPOSE") or (defined.get("__doc__") or "").partition("\n")[0]


def on_photographs(name: str | None = None) -> list[ledger.Row]:
    """The ledger's rows of IoU on photographs, of one method or of all; none without the ledger.

    Raises `LedgerError` for a damaged ledger.
    """
    return [
        row
        for row in ledger.read(PHOTOGRAPHS)
        if row.column == MEASURE and row.ours is not None and name in (None, row.row)
    ]


def default() -> str:
    """The method that is taken when none is named: the best on photographs by the ledger.

    The best gains most over the centred window, photo by photo: the mean over what all methods are
    asked, without a ratio and with that of the true crop. Baselines don't count, for they don't
    look at the photo, and nor does a method that was asked only one of the two. A gain may be
    negative; `cropnb methods` says so. `FALLBACK` where there is no ledger to read.
    """
    try:
        rows = on_photographs()
    except CropnbError:
        return FALLBACK
    gains: dict[str, dict[str, list[float]]] = {}  # method → question → a gain of each data set
    for row in rows:
        if row.row in METHODS and (own := gain(row)):
            gains.setdefault(row.row, {}).setdefault(row.table, []).append(own.mean)
    means = {
        name: fmean(fmean(values) for values in questions.values())
        for name, questions in sorted(gains.items())
        if len(questions) >= QUESTIONS
    }
    return max(means, key=means.__getitem__) if means else FALLBACK


class Gain(NamedTuple):
    """IoU above that of a baseline, paired by photo, with its 95 % interval."""

    baseline: str
    mean: float
    low: float
    high: float


_GAIN = re.compile(r"less (\w+): ([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]")


def gain(row: ledger.Row) -> Gain | None:
    """By how much a row beats the centred window, as its note says it: "less center: +0.031 …";
    None for the centred window itself.
    """
    match = _GAIN.match(row.note)
    return match and Gain(match[1], *map(float, match.groups()[1:]))


def verdict(row: ledger.Row) -> str:
    """The same in words: what it gains, loses, or neither as far as the photos can tell."""
    own = gain(row)
    if own is None or own.low == own.high == 0:
        return ""
    span = f"{own.mean:+.3f} [{own.low:+.3f}, {own.high:+.3f}]"
    if own.low > 0:
        return f"beats {own.baseline} by {span}"
    if own.high < 0:
        return f"doesn't beat {own.baseline}: {span}"
    return f"can't be told from {own.baseline}: {span}"
