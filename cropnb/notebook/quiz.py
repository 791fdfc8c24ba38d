"""Quizzes that need neither kernel nor script: every option opens and says why it is right or not.

The questions are data, in `quizzes.toml`.
"""

import html
import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from cropnb.errors import ExerciseError


@cache
def quizzes() -> dict[str, list[dict[str, Any]]]:
    """The questions of each quiz, by its name."""
    text = resources.files("cropnb.notebook").joinpath("quizzes.toml").read_text("utf-8")
    return tomllib.loads(text)


class Quiz:
    """Some questions as HTML, for the notebook and for the page. `quiz` makes it."""

    def __init__(self, name: str, questions: list[dict[str, Any]]) -> None:
        self.name = name
        self.questions = questions

    def __repr__(self) -> str:
        return f"Quiz {self.name}: {len(self.questions)} questions"

    def _repr_html_(self) -> str:
        parts = [_question(number, item) for number, item in enumerate(self.questions, start=1)]
        return '<div class="cropnb-quiz">\n' + "\n".join(parts) + "\n</div>"


def quiz(name: str) -> Quiz:
    """The quiz of a chapter. A click or the Enter key on an option opens what it teaches.

    Args:
        name: of the quiz, such as `vrn`.

    Raises:
        ExerciseError: for a name that no quiz has.
    """
    if name not in quizzes():
        raise ExerciseError(f"there is no quiz {name!r}; there are: {', '.join(quizzes())}")
    return Quiz(name, quizzes()[name])


def _question(number: int, item: dict[str, Any]) -> str:
    options = []
    for place, (text, why) in enumerate(item["options"], start=1):
        verdict = "✓ Right." if place == item["right"] else "✗ No."
        # The letter tells options apart where a viewer draws no triangle before them.
        options.append(
            f"<details><summary>{'abcdef'[place - 1]}) {_inline(text)}</summary>"
            f"<p><strong>{verdict}</strong> {_inline(why)}</p></details>"
        )
    ask = f"<p><strong>Question {number}.</strong> {_inline(item['ask'])}</p>"
    return ask + "\n" + "\n".join(options)


def _inline(text: str) -> str:
    """A sentence as HTML, with `code` and *emphasis*."""
    escaped = html.escape(text, quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return re.sub(r"(?<!\w)\*([^*\s][^*]*)\*(?!\w)", r"<em>\1</em>", escaped)
