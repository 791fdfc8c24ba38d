"""Which methods there are, what each is for, how it does on photographs, and which is the default.

`cropnb methods` and the default of `cropnb.load` read this; nothing here imports PyTorch or a
method.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from cropnb import ledger
from cropnb.errors import CropnbError, LedgerError

if TYPE_CHECKING:
    from cropnb import metrics

# Without a required ratio "center_window" is the whole photo, the largest window of the photo's own
# ratio; with one "full" is that window too.
BASELINES = {"full": 1.0, "center": 0.9, "center_window": 1.0}
_BASELINES_ARE_FOR = {
    "full": "the photo as it is; of a ratio, the same as center_window",
    "center": "the middle 90 % of each side; of a ratio, those of its largest window",
    "center_window": "the largest centred window of the ratio",
}

PHOTOGRAPHS = "photographs"  # the ledger's file, written by `python -m cropnb.evaluation`
MEASURE, PEOPLE = "IoU", "fcdb"  # PEOPLE drew the crops that the methods are compared on
# What is asked of each method, and how tables head it.
QUESTIONS = {
    "no required aspect ratio": "no ratio asked",
    "aspect ratio of the true crop": "its ratio given",
}
COSTS = "a crop of a photograph"  # the table of what it costs, by `python -m cropnb.costs`
# How text, figures and tables name them, in the order of the book; code names what `load` takes.
TITLES = {
    "la2c": "LA2C",
    "asm_net": "ASM-Net",
    "vrn": "VRN",
    "gaic": "GAIC",
    "mars": "Mars",
    "set_prediction": "Set prediction",
}
SCENES_ONLY = ", scenes only"  # after a method's name: its weights that never saw a photograph
# What a paired difference to the centred window says, by the sign of both ends of its interval.
BEATS, LEVEL, BELOW = "beats it", "can't be told from it", "stays below it"
# What `load` takes where the ledger isn't at hand, as in an installed package; a test holds it to
# what the book's ledger says.
FALLBACK = "set_prediction"


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

    Raises:
        LedgerError: a damaged ledger.
    """
    return [
        row
        for row in ledger.read(PHOTOGRAPHS)
        if row.column == MEASURE and row.ours is not None and name in (None, row.row)
    ]


def default() -> str:
    """The method that is taken when none is named: the best on photographs by the ledger.

    The best gains most IoU over the centred window on the same photos (or loses least), as a mean
    over what it was asked: without a ratio, and with that of the true crop. Baselines don't count,
    for they don't look at the photo, and nor does a method that was asked only one of the two.
    `FALLBACK` where there is no ledger to read.
    """
    gains: dict[str, dict[str, list[float]]] = {}  # method → question → a gain of each data set
    try:
        for row in on_photographs():
            if row.row in METHODS and (less := difference(row)):
                gains.setdefault(row.row, {}).setdefault(row.table, []).append(less.mean)
    except CropnbError:
        return FALLBACK
    means = {
        name: fmean(fmean(values) for values in questions.values())
        for name, questions in sorted(gains.items())
        if len(questions) >= len(QUESTIONS)
    }
    return max(means, key=means.__getitem__) if means else FALLBACK


def title(name: str) -> str:
    """How a reader knows what a row of the ledger is called: a method by its `TITLES`, also with
    `SCENES_ONLY` behind it, and anything else as it is.
    """
    method = name.removesuffix(SCENES_ONLY)
    return TITLES[method] + name[len(method) :] if method in TITLES else name


@dataclass(frozen=True)
class Difference:
    """A row's mean IoU less that of the centred window on the same photos, with its 95 % interval,
    and the verdict: `BEATS`, `LEVEL` or `BELOW`.
    """

    reference: str
    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`BEATS`, `LEVEL` or `BELOW`: on which side of 0 the interval lies, or neither."""
        if self.low > 0:
            return BEATS
        return BELOW if self.high < 0 else LEVEL

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 3) -> str:
        """The difference and its interval with so many decimals, and with more where an end would
        read as the zero that it isn't: on which side of zero it lies is the verdict.
        """
        ends = [end for end in (self.low, self.high) if end]
        while digits < NOTE_DIGITS and not all(round(end, digits) for end in ends):
            digits += 1
        mean, *written = (_signed(value, digits) for value in (self.mean, self.low, self.high))
        return f"{mean} [{', '.join(written)}]"


NOTE_DIGITS = 6  # of a difference in a note; with three an end above 0 was written as 0


def difference_note(reference: str, less: "metrics.Difference") -> str:
    """How the note of a row tells its paired difference from another one, as `difference` reads it:
    "less center: +0.031204 [+0.004150, +0.058301], paired by photo".

    Args:
        reference: the other row.
        less: this row's mean less the other's, and the interval.
    """
    mean, low, high = (f"{value:+.{NOTE_DIGITS}f}" for value in (less.mean, less.low, less.high))
    return f"less {reference}: {mean} [{low}, {high}], paired by photo"


_NUMBER = r"([+-]\d+\.\d+)"
_DIFFERENCE = re.compile(rf"less ([\w ]+): {_NUMBER} \[{_NUMBER}, {_NUMBER}\]")


def difference(row: ledger.Row) -> Difference | None:
    """By how much a row beats the centred window, or what its note names in place of it; None for
    that itself.

    Raises:
        LedgerError: for a row whose note doesn't say it.
    """
    match = _DIFFERENCE.match(row.note)
    if match is not None:
        return Difference(match[1], *map(float, match.groups()[1:]))
    if row.note.startswith("less "):
        raise LedgerError(f"the note of row {row.key} tells no difference: {row.note!r}")
    return None


def costs_of(question: str) -> str:
    """The ledger's table of the milliseconds of a question of `QUESTIONS`."""
    return f"{COSTS}, {question}"


def compared(question: str, scenes_only: bool = False) -> dict[str, tuple[ledger.Row, Difference]]:
    """Of one question of `QUESTIONS`, every method's row and its difference to the centred window,
    the best first; methods that have no such row are left out.

    Args:
        question: the table of the ledger.
        scenes_only: of the weights that never saw a photograph, where they have a row.
    """
    suffix = SCENES_ONLY if scenes_only else ""
    asked = [row for row in on_photographs() if (row.table, row.dataset) == (question, PEOPLE)]
    rows = {row.row: row for row in asked}
    pairs = {
        name: (rows[name + suffix], less)
        for name in METHODS
        if name + suffix in rows and (less := difference(rows[name + suffix]))
    }
    return dict(sorted(pairs.items(), key=lambda pair: -pair[1][1].mean))


def summary(question: str, scenes_only: bool = False) -> str:
    """Which methods beat the centred window, which can't be told from it and which stay below it,
    in one sentence.
    """
    pairs = compared(question, scenes_only)
    if not pairs:
        return "Nothing is measured yet."
    groups = {BEATS: "Beat the centred window", LEVEL: "can't be told from it", BELOW: "below it"}
    parts = [f"{says}: {_names(pairs, verdict)}" for verdict, says in groups.items()]
    return f"{'; '.join(parts)}."


def _names(pairs: dict[str, tuple[ledger.Row, Difference]], verdict: str) -> str:
    """The methods of a verdict, or none."""
    return ", ".join(name for name, (_, less) in pairs.items() if less.verdict == verdict) or "none"


def _signed(value: float, digits: int = 3) -> str:
    """With its sign, and no zero that is negative."""
    return f"{value + 0.0:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
