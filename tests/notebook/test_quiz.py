"""Quizzes: every option teaches, and all of it stands in plain HTML."""

from html.parser import HTMLParser

import pytest

from cropnb.errors import ExerciseError
from cropnb.notebook import quiz
from cropnb.notebook.quiz import Question, Quiz, quizzes

SOME = Quiz(
    name="chapter.group",
    closes="A section",
    subject="`code` & more",
    questions=(Question("Is *this* < that?", 2, (("yes", "No, it is not."), ("no", "So it is."))),),
)


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
    questions = quiz(name).questions
    assert 3 <= len(questions) <= 5
    assert len({question.right for question in questions}) > 1, "always the same place"
    for question in questions:
        assert 1 <= question.right <= len(question.options)
        assert len(question.options) >= 3
        assert len({text for text, _ in question.options}) == len(question.options)
        for text, why in question.options:
            assert len(why.split()) >= 3, why
            assert why.endswith("."), why
            assert why != text


def test_no_question_is_asked_twice() -> None:
    asked = [question.ask for one in quizzes().values() for question in one.questions]
    assert len(asked) == len(set(asked))


def test_guessing_by_place_or_length_does_not_pay() -> None:
    questions = [question for one in quizzes().values() for question in one.questions]
    for place in (1, 2, 3):
        share = sum(question.right == place for question in questions) / len(questions)
        assert share < 0.4, f"option {place} is right too often"
    lengths = [[len(text) for text, _ in question.options] for question in questions]
    longest = [
        question.right == of_options.index(max(of_options)) + 1
        for question, of_options in zip(questions, lengths, strict=True)
    ]
    assert sum(longest) / len(questions) < 0.5, "the longest option is right too often"


@pytest.mark.parametrize("name", quizzes())
def test_the_page_opens_each_option_without_a_script(name: str) -> None:
    asked = quiz(name)
    shown = asked._repr_html_()
    tags = _Tags()
    tags.feed(shown)
    assert not tags.open
    assert set(tags.seen) <= {"p", "strong", "details", "summary", "code", "em"}
    options = sum(len(question.options) for question in asked.questions)
    # one more folds the whole
    assert tags.seen.count("details") == tags.seen.count("summary") == options + 1
    # never by colour alone
    assert shown.count("✓ Right.") == len(asked.questions)
    assert shown.count("✗ No.") == options - len(asked.questions)
    assert f"{len(asked.questions)} questions on {asked.subject[:5]}" in shown
    assert len(shown.encode()) < 4000, "a notebook has room for few bytes"


def test_what_a_quiz_shows() -> None:
    shown = SOME._repr_html_()
    assert "questions on <code>code</code> &amp; more</summary>" in shown
    assert "<strong>Question 1.</strong> Is <em>this</em> &lt; that?</p>" in shown
    right = "<summary>b) no</summary><p><strong>✓ Right.</strong> So it is.</p>"
    wrong = "<summary>a) yes</summary><p><strong>✗ No.</strong> No, it is not.</p>"
    assert right in shown
    assert wrong in shown
    assert repr(SOME) == "Quiz chapter.group: 1 questions"


def test_a_quiz_that_is_not_there_is_told() -> None:
    with pytest.raises(ExerciseError, match=r"no quiz 'vrn.gian'; there are: asm_net.idea"):
        quiz("vrn.gian")
