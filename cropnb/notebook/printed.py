"""What a paper prints, as Markdown: its tables, its claims, its mistakes, what it leaves open; and
what is quoted of other methods.
"""

from collections import Counter
from collections.abc import Sequence

from cropnb.notebook.source import Markdown, escaped
from cropnb.notebook.tables import markdown_table
from cropnb.paper import Paper, Quoted, Table

# How papers write the datasets' names.
_TITLES: dict[str, str] = {
    "gaicd": "GAICD v1",
    "gaicd_v2": "GAICD v2",
    "cpc": "CPC",
    "fcdb": "FCDB",
    "flms": "FLMS",
    "fat": "FAT",
    "cuhk_icd": "CUHK-ICD",
}


def printed_column(values: Sequence[float | None]) -> list[str | None]:
    """Numbers of one column of a table as papers print them: a float has lost the zeros at its end.

    A number gets as many decimals as most of the column have, or one more where a third of them
    have that; it keeps its own where they are more.
    """
    own = [0 if value is None else len(f"{value:g}".partition(".")[2]) for value in values]
    counts = Counter(places for places, value in zip(own, values, strict=True) if value is not None)
    usual = max(counts, key=lambda places: (counts[places], places), default=0)
    written: list[str | None] = []
    for places, value in zip(own, values, strict=True):
        lost = 3 * counts[places + 1] >= counts.total()
        decimals = max(places + lost, usual)
        written.append(None if value is None else f"{value:.{decimals}f}")
    return written


def printed_table(table: Table, columns: Sequence[str] | None = None) -> Markdown:
    """A table of a paper as it is printed, with a line on what it was measured on.

    Args:
        table: one of `cropnb.paper.Paper.tables`.
        columns: only these of its columns.
    """
    columns = table.columns if columns is None else columns
    written = [
        printed_column([table.value(row, column) for row in table.rows]) for column in columns
    ]
    lines = [[row, *cells] for row, *cells in zip(table.rows, *written, strict=True)]
    place = "" if table.name == "text" else f"{table.name}: "  # a sentence has no number
    data = _TITLES.get(table.dataset, table.dataset)
    caption = f"{place}{table.caption}; {table.photos} photographs of {data}, {table.split}."
    return Markdown(f"{markdown_table(['printed', *columns], lines)}\n\n*{caption}*")


def printed_claims(paper: Paper) -> Markdown:
    """What a paper claims in words, a line each, with the place."""
    return Markdown(
        "\n".join(f"- *{one['name']}*: {one['says']} ({one['where']})" for one in paper.claims)
    )


def printed_mistakes(paper: Paper) -> Markdown:
    """Where a paper contradicts itself or leaves two readings, numbered, with the reading that we
    took.
    """
    return Markdown(
        "\n".join(
            f"{number}. **{item['name'][0].upper() + item['name'][1:]}** "
            f"({item['where']}). {item['what']} *What we took: {item['reading']}*"
            for number, item in enumerate(paper.mistakes, start=1)
        )
    )


def printed_details(paper: Paper) -> Markdown:
    """What a paper leaves open, with what we took and why, as a table."""
    lines = [
        (item["number"], *(Markdown(item[field]) for field in ("name", "chosen", "why")))
        for item in paper.details
    ]
    return markdown_table(["", "open point", "what we took", "why"], lines, "rlll")


def quoted_table(entries: Sequence[Quoted]) -> Markdown:
    """Numbers of other methods, a line each, with a link to the page where they were read."""
    lines = []
    for one in entries:
        pairs = [f"{name} {_quoted(value)}" for name, value in one.numbers.items()]
        # a line of a narrow column ends between two numbers, not within one
        numbers = ", ".join(pair.replace(" ", "\N{NO-BREAK SPACE}") for pair in pairs)
        note = f"; {escaped(one.note)}" if one.note else ""
        read = Markdown(f"[{escaped(one.source)}]({one.address}){note}")
        lines.append([one.method, one.year, one.dataset, numbers, read])
    return markdown_table(["method", "year", "dataset", "quoted", "read at"], lines, "lrlll")


def _quoted(value: float) -> str:
    """A percentage with one decimal, a number below 1 with three, or with its own where it has
    more.
    """
    return (
        f"{value:.1f}"
        if value >= 1
        else f"{value:.3f}"
        if value == round(value, 3)
        else f"{value:g}"
    )
