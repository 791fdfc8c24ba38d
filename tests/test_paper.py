"""What is quoted of other methods says where it was read."""

import json
import re
from pathlib import Path

import pytest

from cropnb import paper
from cropnb.errors import CropnbError
from cropnb.notebook import quoted_table

BOOK = Path(__file__).parents[1] / "book"
LINE = """
[[quoted]]
method = "M"
year = 2024
dataset = "FCDB"
numbers = { IoU = 0.7 }
source = "its page"
address = "https://example.org/m"
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "field.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_quoted_number_was_read_at_an_address() -> None:
    entries = paper.field()
    assert len(entries) >= 20
    for one in entries:
        assert one.address.startswith("https://"), one
        assert one.source, one
        assert one.numbers, one
    assert any("GAICD v2" in one.dataset for one in entries)


def test_every_key_of_a_quoted_method_is_a_reference_that_the_page_cites() -> None:
    keys = {one.key for one in paper.field() if one.key}
    references = (BOOK / "references.bib").read_text(encoding="utf-8")
    assert keys <= set(re.findall(r"^@\w+\{(\w+),", references, re.MULTILINE))
    cells = json.loads((BOOK / "compare/reproduction.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    cited = {key for keys in re.findall(r"\{cite:[pt]\}`([^`]+)`", text) for key in keys.split(",")}
    assert keys <= cited


@pytest.mark.parametrize(
    "address",
    ["", 'address = ""', 'address = "its product page"', 'address = "http://example.org"'],
)
def test_a_number_without_an_address_is_refused(tmp_path: Path, address: str) -> None:
    text = LINE.replace('address = "https://example.org/m"', address)
    with pytest.raises(CropnbError, match="M, FCDB: give `address`, beginning with https://"):
        paper.field(_written(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{ IoU = 0.7 }", "{}"),
        ("{ IoU = 0.7 }", "{ IoU = nan }"),
        ("{ IoU = 0.7 }", '{ IoU = "0.7" }'),
        ("source = ", "sourse = "),
        ("[[quoted]]", "[[quote]]"),
        ("2024", "20 24"),
    ],
)
def test_what_is_no_quoted_number_is_refused(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(CropnbError, match=r"field\.toml can't be read as quoted numbers"):
        paper.field(_written(tmp_path, LINE.replace(old, new)))


def test_the_table_links_the_page_where_a_number_was_read(tmp_path: Path) -> None:
    text = LINE + 'note = "a ratio, given"\n'
    (one,) = paper.field(_written(tmp_path, text))
    line = quoted_table([one]).splitlines()[-1]
    link = "[its page](https://example.org/m); a ratio, given"
    assert line == f"| M | 2024 | FCDB | IoU\N{NO-BREAK SPACE}0.700 | {link} |"


def test_quoted_numbers_keep_the_decimals_of_their_page(tmp_path: Path) -> None:
    numbers = '{ IoU = 0.7334, SRCC = 0.79, "Acc 10" = 78 }'
    (one,) = paper.field(_written(tmp_path, LINE.replace("{ IoU = 0.7 }", numbers)))
    shown = quoted_table([one]).replace("\N{NO-BREAK SPACE}", " ")
    assert "IoU 0.7334, SRCC 0.790, Acc 10 78.0" in shown
