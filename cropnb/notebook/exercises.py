"""Exercises: the solution with blanks to fill in, and an answer to an answer.

What is left blank, what is right and what wrong answers show is data, in `exercises.toml`.
"""

import math
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch

from cropnb.errors import ExerciseError

BLANK = "____"
_HEAD = "# Fill in each ____, take the outer # away (Ctrl + /) and run the cell."


@cache
def exercises() -> dict[str, dict[str, Any]]:
    """What `exercises.toml` says of each exercise, by its label."""
    text = resources.files("cropnb.notebook").joinpath("exercises.toml").read_text("utf-8")
    return tomllib.loads(text)


def check(label: str, answer: Any) -> None:
    """Print whether an answer to an exercise is right, and if not, what may have gone wrong.

    The answer is read as numbers and compared. Nothing in it is called or evaluated.

    Args:
        label: of the exercise, such as `vrn-ties`.
        answer: a number, or a sequence, array or tensor of numbers.

    Raises:
        ExerciseError: for a label that no exercise has.
    """
    print(graded(label, answer)[1])


def graded(label: str, answer: Any) -> tuple[bool, str]:
    """Whether an answer is right, and the sentence that `check` prints.

    Raises:
        ExerciseError: for a label that no exercise has, or one without a single right answer.
    """
    entry = exercises().get(label, {})
    if "asks" not in entry:
        checked = ", ".join(name for name, item in exercises().items() if "asks" in item)
        raise ExerciseError(f"no answer of {label!r} can be checked; these can: {checked}")
    asked = f"Asked for: {entry['asks']}."
    numbers = _numbers(answer)
    right = entry["answer"] if isinstance(entry["answer"], list) else [entry["answer"]]
    if numbers is None:
        return False, f"That is no number. {asked}"
    if len(numbers) != len(right):
        wanted = "one number" if len(right) == 1 else f"{len(right)} numbers"
        return False, f"You gave {len(numbers)} of {wanted}. {asked}"
    tolerance = entry.get("tolerance", 0.001)
    tolerances = tolerance if isinstance(tolerance, list) else [tolerance] * len(right)
    for place, (mine, value, room) in enumerate(
        zip(numbers, right, tolerances, strict=True), start=1
    ):
        if not math.isfinite(mine):
            return False, f"Not yet: {_which(place, len(right))}is not finite. {asked}"
        if abs(mine - value) > room + 1e-9:
            hint = _hint(entry["hints"], place, mine, value, room)
            return False, f"Not yet: {_which(place, len(right))}{hint}"
    return True, "Right."


def _which(place: int, count: int) -> str:
    return "" if count == 1 else f"number {place}: "


def _hint(
    hints: Sequence[Sequence[Any]], place: int, mine: float, value: float, room: float
) -> str:
    """The first hint that fits: for this very value, for its side, or for any number."""
    of_place = [(wrong, text) for where, wrong, text in hints if where == place]
    for wrong, text in of_place:
        # As near as the printed digits of a wrong value tell it.
        if not isinstance(wrong, str) and abs(mine - wrong) <= max(room / 2, 0.006 * abs(wrong)):
            return text
    for factor, text in (
        (100.0, "a hundred times too large: a share and per cent are mixed up."),
        (0.01, "a hundredth of it: a share and per cent are mixed up."),
        (-1.0, "right but for its sign."),
    ):
        if value and abs(mine - factor * value) <= abs(factor) * room:
            return text
    side = "above" if mine > value else "below"
    for wrong, text in of_place:
        if wrong == side:
            return text
    return "too large." if side == "above" else "too small."


def _numbers(answer: Any) -> list[float] | None:
    """The numbers of an answer, or None where it holds anything else."""
    # No method of an object of an unknown type is called.
    if type(answer) in (torch.Tensor, np.ndarray):
        if type(answer) is np.ndarray and answer.dtype.kind not in "biuf":
            return None
        answer = answer.reshape(-1).tolist()
    parts = answer if type(answer) in (list, tuple) else [answer]
    numbers = []
    for part in parts:
        if type(part) is torch.Tensor and part.numel() == 1:
            part = part.item()
        if type(part) not in (int, float, bool) and not isinstance(part, np.number | np.bool_):
            return None
        if isinstance(part, complex | np.complexfloating):
            return None
        numbers.append(float(part))
    return numbers


def scaffold(label: str, solution: str) -> str:
    """The cell to try in: the solution with its blanks, as a comment, so that it runs as it is.

    Args:
        label: of the exercise.
        solution: its code.

    Raises:
        ExerciseError: where a blank of `exercises.toml` is not in the solution, or not in order.
    """
    entry = exercises().get(label)
    if entry is None:
        raise ExerciseError(f"{label} is not in cropnb/notebook/exercises.toml")
    pieces, rest = [], solution
    for blank in entry["blanks"]:
        before, blank_there, rest = rest.partition(blank)
        if not blank_there:
            raise ExerciseError(
                f"{label}: the solution has no {blank!r} after the blanks before it"
            )
        pieces.append(before)
    lines = [_HEAD, *BLANK.join([*pieces, rest]).rstrip().splitlines()]
    if "asks" in entry:
        lines += [
            "",
            "from cropnb.notebook import check",
            "",
            *_wrapped(f"# answer: {entry['asks']}"),
            f"answer = {BLANK}",
            f'check("{label}", answer)',
        ]
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _wrapped(comment: str, width: int = 74) -> list[str]:
    import textwrap

    return textwrap.wrap(comment, width, subsequent_indent="#   ")


def unfilled(cell: str) -> str:
    """The code of a cell to try in, without its first line and its call of `check`, and with the
    comment taken away: the solution but for its blanks.
    """
    code = "\n".join(line.removeprefix("#").removeprefix(" ") for line in cell.splitlines()[1:])
    return code.partition("\n\nfrom cropnb.notebook import check\n")[0]
