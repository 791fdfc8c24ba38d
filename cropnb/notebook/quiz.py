"""Quizzes that need neither kernel nor script: every option opens and says why it is right or not.

The questions are data, a file a chapter in the folder `quizzes`. A quiz is called after its chapter
and its group of sections, such as `vrn.gain`, and stands at the end of the section that it closes.
"""

import html
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from cropnb.errors import ExerciseError


@dataclass(frozen=True)
class Question:
    """What is asked, and the options, each with what a reader learns from choosing it.

    Attributes:
        right: the number of the right option, counted from 1.
    """

    ask: str
    right: int
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, repr=False)
class Quiz:
    """The questions of one group of sections, as HTML for the notebook and for the page.

    Attributes:
        closes: the heading of the section at whose end it stands.
        subject: what it asks about, in words that follow «questions on».
    """

    name: str
    closes: str
    subject: str
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return f"Quiz {self.name}: {len(self.questions)} questions"

    def _repr_html_(self) -> str:
        # Folded, so that a page with a quiz for each group is no wall of them.
        head = f"<strong>Check yourself</strong>: {len(self.questions)} questions on "
        parts = [_question(number, item) for number, item in enumerate(self.questions, start=1)]
        return (
            f'<details class="cropnb-quiz"><summary>{head}{_inline(self.subject)}</summary>\n'
            "<p>Choose an option: it opens and says why it is right or not.</p>\n"
            + "\n".join(parts)
            + "\n</details>"
        )


@cache
def quizzes() -> dict[str, Quiz]:
    """All quizzes by their names, those of a chapter in the order in which they stand there."""
    files = resources.files("cropnb.notebook").joinpath("quizzes").iterdir()
    return {
        quiz.name: quiz
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".toml")
        for quiz in _read(file.name.removesuffix(".toml"), file.read_text("utf-8"))
    }


def _read(chapter: str, text: str) -> list[Quiz]:
    """The quizzes of one file."""
    return [
        Quiz(
            name=f"{chapter}.{group}",
            closes=entry["closes"],
            subject=entry["subject"],
            questions=tuple(
                Question(
                    ask=item["ask"],
                    right=item["right"],
                    options=tuple((text, why) for text, why in item["options"]),
                )
                for item in entry["questions"]
            ),
        )
        for group, entry in tomllib.loads(text).items()
    ]


def quiz(name: str) -> Quiz:
    """The quiz of a group of sections. A click or the Enter key on an option opens what it teaches.

    Args:
        name: of the quiz: its chapter and its group, such as `vrn.gain`.

    Raises:
        ExerciseError: for a name that no quiz has.
    """
    if name not in quizzes():
        raise ExerciseError(f"there is no quiz {name!r}; there are: {', '.join(quizzes())}")
    return quizzes()[name]


def _question(number: int, item: Question) -> str:
    options = []
    for place, (text, why) in enumerate(item.options, start=1):
        verdict = "✓ Right." if place == item.right else "✗ No."
        # The letter tells options apart where a viewer draws no triangle before them.
        options.append(
            f"<details><summary>{'abcdef'[place - 1]}) {_inline(text)}</summary>"
            f"<p><strong>{verdict}</strong> {_inline(why)}</p></details>"
        )
    ask = f"<p><strong>Question {number}.</strong> {_inline(item.ask)}</p>"
    return ask + "\n" + "\n".join(options)


def _inline(text: str) -> str:
    """A sentence as HTML, with `code` and *emphasis*."""
    escaped = html.escape(text, quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return re.sub(r"(?<!\w)\*([^*\s][^*]*)\*(?!\w)", r"<em>\1</em>", escaped)
