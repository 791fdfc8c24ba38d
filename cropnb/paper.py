"""What papers print, as data: each method's `paper.toml`, typed in once and read by chapter, ledger
and tests, and `field.toml`, what is quoted of other methods.
"""

import functools
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cropnb.errors import CropnbError

Cell = tuple[str, str, str]  # table, row and column


@dataclass(frozen=True)
class Table:
    """One printed table, in the paper's units.

    Attributes:
        name: as the paper numbers it, such as "Table 2".
        caption: what it shows, in our words.
        dataset: which the numbers were measured on.
        split: of that dataset.
        photos: how many the split has.
        columns: the names of its columns.
        own: the rows of the paper's own method and ablations.
        rows: row → a value for each column; None where the paper prints a dash.
    """

    name: str
    caption: str
    dataset: str
    split: str
    photos: int
    columns: tuple[str, ...]
    own: tuple[str, ...]
    rows: dict[str, tuple[float | None, ...]]

    def value(self, row: str, column: str) -> float | None:
        """The printed number of a cell; None where the paper prints a dash.

        Raises:
            KeyError: no row of this name.
            ValueError: no column of this name.
        """
        return self.rows[row][self.columns.index(column)]


@dataclass(frozen=True)
class Paper:
    """One `paper.toml`; all but the citation are its entries, in its order.

    Attributes:
        citation: title, authors, venue and key.
        tables: name → table.
        equations: number, name and the function that computes it.
        claims: name, better, worse, and what bounds them. A `rival` is the method of the worse
            side; a `study` decides what finished runs alone don't; a `headline` is what the paper
            is for; `printed` says for a column where the paper prints the difference, where its
            sides don't stand in one of our tables: the better side's cell and the worse side's, or
            the cell of the difference itself. A cell is table, row and, if it has another name
            there, column.
        mistakes: where the paper contradicts itself.
        details: what the paper leaves open: number, name, chosen, why.
        outcome: of reproducing it, in words: scope, easy, hard.
    """

    citation: dict[str, str]
    tables: dict[str, Table]
    equations: tuple[dict, ...]
    claims: tuple[dict, ...]
    mistakes: tuple[dict, ...]
    details: tuple[dict, ...]
    outcome: dict[str, str]

    def cells(self, claim: str, column: str) -> list[Cell]:
        """The cells that a claim of this name names for a column; see `claims`."""
        named = next((one for one in self.claims if one["name"] == claim), {})
        cells = named.get("printed", {}).get(column, ())
        return [(table, row, *(of or (column,))) for table, row, *of in cells]

    def difference(self, cells: Sequence[Cell], added: str = "") -> float | None:
        """The first cell less the second, or the one cell that prints a difference; None without
        cells.

        Args:
            cells: as `cells` has them.
            added: to the names of tables, such as ", CPC"; None where one of them isn't there.
        """
        if not cells or any(table + added not in self.tables for table, _, _ in cells):
            return None
        first, *second = (self.tables[table + added].value(row, of) for table, row, of in cells)
        return first - second[0] if second else first


@dataclass(frozen=True)
class Quoted:
    """Numbers that a page prints of another method, on one dataset.

    Attributes:
        method: its name, and what sets this entry apart from others of the name.
        year: of the method.
        dataset: as the page has it.
        numbers: name → value.
        source: whose page it is, in words.
        address: of the page, where the numbers were read.
        key: of the method's own paper in `book/references.bib`; empty where it has none.
        note: what else the numbers depend on; empty where nothing is known.
    """

    method: str
    year: int
    dataset: str
    numbers: dict[str, float]
    source: str
    address: str
    key: str = ""
    note: str = ""


def known(method: str) -> bool:
    """Whether a method has a paper with tables of its own; GAIC, a baseline, has none."""
    return _path(method).exists()


def read(method: str) -> Paper:
    """The paper of one method, such as `vrn`.

    Raises:
        CropnbError: the method has none, or its file can't be read.
    """
    path = _path(method)
    if not known(method):
        raise CropnbError(
            f"{method!r} has no paper.toml; look into the folders of cropnb for those that have"
        )
    return parse(path)


def field(path: Path | None = None) -> tuple[Quoted, ...]:
    """What is printed elsewhere of other methods, quoted and not measured, in the file's order.

    Args:
        path: a file of the form of `field.toml`, by default that one.

    Raises:
        CropnbError: when it can't be read, or quotes a number without saying where it was read.
    """
    path = path or Path(__file__).with_name("field.toml")
    try:
        entries = _toml(path.read_text(encoding="utf-8"))["quoted"]
        return tuple(_quoted(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise CropnbError(f"{path} can't be read as quoted numbers ({error!r:.300})") from error


def parse(path: Path) -> Paper:
    """What a file of the form of `paper.toml` holds.

    Raises:
        CropnbError: when it is no TOML, or has another form; naming the file.
    """
    try:
        content = _toml(path.read_text(encoding="utf-8"))
        tables = {}
        for entry in content.get("table", []):
            table = _table(entry)
            tables[table.name] = table
        kinds = ("equation", "claim", "mistake", "detail")
        lists = [tuple(dict(item) for item in content.get(kind, [])) for kind in kinds]
        outcome = dict(content.get("outcome", {}))
        return Paper(dict(content["paper"]), tables, *lists, outcome)
    # Other than a RecursionError, which means that it is nested too deep, they name the place.
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise CropnbError(f"{path} can't be read as a paper ({error!r:.200})") from error


@functools.lru_cache(maxsize=16)  # a chapter asks for its paper in nearly every cell
def _toml(text: str) -> dict[str, Any]:
    """What a TOML file of this text holds."""
    return tomllib.loads(text)


def _table(entry: dict) -> Table:
    """One `[[table]]` of the file, checked; NaN stands for a dash."""
    rows = {
        str(name): tuple(None if math.isnan(value) else value for value in values)
        for name, values in entry["rows"].items()
    }
    lists = {"columns": tuple(entry["columns"]), "own": tuple(entry["own"]), "rows": rows}
    table = Table(**{**entry, **lists})
    for name, values in rows.items():
        if len(values) != len(table.columns):
            raise ValueError(f"{table.name}, {name}: {len(values)} of {len(table.columns)} values")
    if not isinstance(table.name, str) or not isinstance(table.photos, int):
        raise ValueError("a table has a name and a number of photos")
    return table


def _quoted(entry: dict) -> Quoted:
    """One `[[quoted]]` of the file, checked."""
    named = f"{entry.get('method')}, {entry.get('dataset')}"
    if not re.fullmatch(r"https://[^\s()]+", entry.get("address", "")):
        raise ValueError(
            f"{named}: give `address`, beginning with https://, of the page where it was read"
        )
    quoted = Quoted(**entry)
    if not quoted.numbers or not all(map(math.isfinite, quoted.numbers.values())):
        raise ValueError(f"{named}: `numbers` has a name and a value for each number")
    return quoted


def _path(method: str) -> Path:
    """The file of a method, whether it is there or not."""
    return Path(__file__).parent / method / "paper.toml"
