"""Write the README's table of results from the ledger, between its markers.

python tools/readme_table.py
"""

from collections import Counter
from pathlib import Path

from cropnb import ledger

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- results -->", "<!-- /results -->"
VERDICTS = [
    "exact",
    "within",
    "contradicts",
    "holds",
    "contradicted",
    "unsettled",
    "trivial",
    "measured",
    "not_comparable",
    "pending",
]


def table() -> str:
    """One line a ledger file: how many of its rows have which verdict."""
    counts = {name: Counter(row.verdict for row in ledger.read(name)) for name in ledger.names()}
    shown = [verdict for verdict in VERDICTS if any(count[verdict] for count in counts.values())]
    if not shown:
        return "The ledger is empty."
    lines = [
        ["ledger", *(verdict.replace("_", " ") for verdict in shown)],
        ["---", *["--:"] * len(shown)],
    ]
    lines += [
        [f"`{name}`", *(str(count[verdict] or "") for verdict in shown)]
        for name, count in counts.items()
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def updated(text: str) -> str:
    """A README's text with the table as the ledger has it now."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
