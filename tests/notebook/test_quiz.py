"""Quizzes: every option teaches, and all of it stands in plain HTML."""

from html.parser import HTMLParser

import pytest

from cropnb.errors import ExerciseError
from cropnb.notebook import quiz
from cropnb.notebook.quiz import quizzes


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", quizzes())
def test_three_to_five_questions_and_every_option_explained(name: str) -> None:
    questions = quizzes()[name]
    assert 3 <= len(questions) <= 5
    assert len({question["right"] for question in questions}) > 1, "always the same place"
    for question in questions:
        assert 1 <= question["right"] <= len(question["options"])
        assert len(question["options"]) >= 3
        assert len({text for text, _ in question["options"]}) == len(question["options"])
        for _, why in question["options"]:
            assert len(why.split()) >= 4, why


@pytest.mark.parametrize("name", quizzes())
def test_the_page_opens_each_option_without_a_script(name: str) -> None:
    shown = quiz(name)._repr_html_()
    tags = _Tags()
    tags.feed(shown)
    assert not tags.open
    assert set(tags.seen) <= {"div", "p", "strong", "details", "summary", "code", "em"}
    options = sum(len(question["options"]) for question in quizzes()[name])
    assert tags.seen.count("details") == tags.seen.count("summary") == options
    # never by colour alone
    assert shown.count("✓ Right.") == len(quizzes()[name])
    assert shown.count("✗ No.") == options - len(quizzes()[name])
    assert len(shown) < 8000


def test_a_quiz_that_is_not_there_is_told() -> None:
    with pytest.raises(ExerciseError, match="no quiz 'vnr'; there are: crops"):
        quiz("vnr")
