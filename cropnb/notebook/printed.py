"""What a paper prints, as Markdown: its tables, its claims, its mistakes, what it leaves open."""

from collections.abc import Sequence

from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table
from cropnb.paper import Paper, Table

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


def printed_table(table: Table, columns: Sequence[str] | None = None, spec: str = "g") -> Markdown:
    """A table of a paper as it is printed, with a line on what it was measured on.

    Args:
        table: one of `cropnb.paper.Paper.tables`.
        columns: only these of its columns.
        spec: how the numbers are written, as in an f-string.
    """
    columns = table.columns if columns is None else columns
    values = {row: [table.value(row, column) for column in columns] for row in table.rows}
    lines = [
        [row, *(None if value is None else f"{value:{spec}}" for value in line)]
        for row, line in values.items()
    ]
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
