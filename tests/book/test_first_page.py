"""The book's first page leads into every chapter with a picture, and tells what the ledger has."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from build_book import BOOK
from PIL import Image

from cropnb import ledger, methods
from cropnb.errors import CropnbError
from cropnb.notebook import first_page, gallery

PAGE = nbformat.read(BOOK / "index.ipynb", as_version=4)
TEXT = "\n".join(cell.source for cell in PAGE.cells if cell.cell_type == "markdown")


def printed(cell_id: str) -> str:
    """The Markdown that a cell of the page gave."""
    cell = next(cell for cell in PAGE.cells if cell.id == cell_id)
    return cell.outputs[0].data["text/markdown"]


def test_every_chapter_has_a_picture_a_sentence_and_a_link() -> None:
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text("utf-8"))
    chapters = [
        chapter["file"]
        for part in contents["parts"]
        if part["caption"] != "Reference"
        for chapter in part["chapters"]
    ]
    card = re.compile(
        r":::\{grid-item-card\} \[[^\]]+\]\(([^)]+)\.(?:ipynb|md)\)\n\n"
        r"!\[(.+)\]\((\S+)\)\n\n(.+)\n\n.+\n:::"
    )
    cards = card.findall(TEXT)
    assert [page for page, *_ in cards] == chapters
    assert len({picture for *_, picture, _ in cards}) == len(chapters)
    for _, alt, picture, sentence in cards:
        with Image.open(BOOK / picture) as image:
            assert min(image.size) >= 300
        assert len(alt.split()) >= 5
        assert sentence.endswith((".", "?"))


def test_the_pictures_are_what_the_shipped_weights_draw(tmp_path: Path) -> None:
    """One of them drawn anew: the same up to the last digit of a crop's edge."""
    only = {"vrn": gallery.PICTURES["vrn"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "PICTURES", only)
        (path,) = gallery.write(tmp_path)
    drawn, committed = (
        np.asarray(Image.open(file).convert("RGB"), dtype=float)
        for file in (path, BOOK / "pictures/vrn.webp")
    )
    assert np.abs(drawn - committed).mean() < 2, "run `make refresh`"


def test_what_came_out_is_what_the_ledger_has() -> None:
    text = printed("first-findings")
    assert text == str(first_page.findings()), "run `make refresh ONLY=index`"
    sentences = text.splitlines()
    assert len(sentences) == 5
    for question, sentence in zip(methods.QUESTIONS, sentences, strict=False):
        for name, (_, less) in methods.compared(question).items():
            place = sentence.index(methods.TITLES[name])
            beats = place < sentence.index("a centred window")
            assert beats == (less.verdict == methods.BEATS)
    verdicts = [row.says for name in first_page.PAPERS for row in ledger.read(name)]
    assert f"{verdicts.count('contradicted')} came out the other way" in sentences[3]


def test_the_hours_are_those_of_the_chapters() -> None:
    text = printed("first-hours")
    assert text == str(first_page.ways_through()), "run `make refresh ONLY=index`"
    hours = [
        float(number.replace("½", ".5")) for number in re.findall(r"\| (\d*½?) hours? \|", text)
    ]
    whole = float(re.search(r"about (\d+½?) hours", text)[1].replace("½", ".5"))
    assert whole == pytest.approx(sum(hours), abs=1)
    assert text.count("\n- **") == 2


def test_a_chapter_that_tells_no_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_page, "_chapter", lambda name: "# Title\n\n**Time**: a while.")
    with pytest.raises(CropnbError, match="foundations/crops"):
        first_page.ways_through()


@pytest.mark.parametrize(
    ("minutes", "hours"),
    [(20, "½ hour"), (60, "1 hour"), (100, "1½ hours"), (145, "2½ hours"), (700, "11½ hours")],
)
def test_hours_are_told_to_the_half(minutes: int, hours: str) -> None:
    assert first_page._hours(minutes) == hours


def test_every_method_has_a_title() -> None:
    assert set(methods.TITLES) == set(methods.METHODS)
