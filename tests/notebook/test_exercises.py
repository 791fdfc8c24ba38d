"""An answer is told what is wrong with it, and nothing of it is ever run."""

import os
import re

import numpy as np
import pytest
import torch

from cropnb.errors import CropnbError, ExerciseError
from cropnb.notebook import check
from cropnb.notebook.exercises import exercises, graded, scaffold, unfilled

CHECKED = {label: entry for label, entry in exercises().items() if "asks" in entry}


def _listed(answer: float | list[float]) -> list[float]:
    return answer if isinstance(answer, list) else [answer]


@pytest.mark.parametrize("label", CHECKED)
def test_the_right_answer_is_right_and_every_hint_is_reached(label: str) -> None:
    entry = CHECKED[label]
    right = _listed(entry["answer"])
    assert graded(label, entry["answer"]) == (True, "Right.")
    for place, wrong, text in entry["hints"]:
        if isinstance(wrong, str):
            wrong = right[place - 1] + {"above": 1.37, "below": -1.37}[wrong] * (
                1 + abs(right[place - 1])
            )
        answer = [*right[: place - 1], wrong, *right[place:]]
        good, sentence = graded(label, answer)
        assert not good, f"{wrong} counts as right"
        assert sentence.endswith(text), f"{wrong}: {sentence}"


def test_what_is_wrong_decides_what_is_said() -> None:
    assert "swapped" in graded("vrn-ties", (1.8992, 1.8503))[1]
    assert "per cent" in graded("audit-tries", [83.2, 0.972])[1]
    assert graded("audit-tries", [83.2, 90.0])[1] == "Not yet: number 2: too small."
    assert "its sign" in graded("la2c-farm", -0.9677)[1]
    assert graded("vrn-ties", 1.85)[1].startswith("You gave 1 of 2 numbers. Asked for: β")
    assert "not finite" in graded("la2c-farm", float("nan"))[1]


@pytest.mark.parametrize(
    "answer",
    [
        (1.8503, 1.8992),
        [1.8503, 1.8992],
        np.array([1.8503, 1.8992]),
        torch.tensor([1.8503, 1.8992]),
        [torch.tensor(1.8503), np.float64(1.8992)],
    ],
    ids=["tuple", "list", "array", "tensor", "mixed"],
)
def test_numbers_of_any_kind_are_read(answer: object) -> None:
    assert graded("vrn-ties", answer)[0]


def test_nothing_of_an_answer_is_executed(capsys: pytest.CaptureFixture) -> None:
    ran = []

    class Answer(float):
        def __float__(self) -> float:
            ran.append("float")
            return 0.9677

        def __eq__(self, other: object) -> bool:
            ran.append("eq")
            return True

        __hash__ = float.__hash__

    class Numbers(list):
        def __iter__(self):
            ran.append("iter")
            return iter([0.9677])

    for answer in (lambda: ran.append("call"), Answer(0.9677), Numbers(), "ran.append('text')"):
        check("la2c-farm", answer)
        assert capsys.readouterr().out.startswith("That is no number. Asked for: the least γ")
    assert graded("la2c-farm", [np.array(["0.9677"])])[0] is False
    assert not ran


def test_an_unknown_exercise_is_told_with_those_there_are() -> None:
    with pytest.raises(ExerciseError, match=r"no answer of 'vrn-3'.*vrn-ties"):
        check("vrn-3", 1)
    with pytest.raises(CropnbError, match="la2c-hack"):
        check("la2c-hack", 1)


def test_a_cell_to_try_in_runs_as_it_is_and_differs_in_the_blanks_only() -> None:
    solution = "p, gap = 0.69, 0.01\nneeded = 2 * 1.96**2 * p * (1 - p) / gap**2\n\nprint(needed)"
    cell = scaffold("repro-resolve", solution)
    assert all(line.startswith("#") for line in cell.splitlines())
    names: dict[str, object] = {"check": os.abort}
    exec(cell, names)
    filled = re.escape(unfilled(cell)).replace("____", "(.+)")
    assert re.fullmatch(filled, solution)[1] == "2 * 1.96**2 * p * (1 - p) / gap**2"
    assert 'check("repro-resolve", answer)' in cell


def test_a_blank_that_is_not_in_the_solution_is_told() -> None:
    with pytest.raises(ExerciseError, match="repro-resolve: the solution has no"):
        scaffold("repro-resolve", "print(1)")
