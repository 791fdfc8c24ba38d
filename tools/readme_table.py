"""Write the README's and the playground's tables from the ledger, between their markers.

python tools/readme_table.py
"""

from collections import Counter
from pathlib import Path

from cropnb import ledger, methods
from cropnb.notebook.source import escaped

ROOT = Path(__file__).resolve().parent.parent
README, PLAYGROUND = ROOT / "README.md", ROOT / "book" / "compare" / "playground.md"
LOOP = "100 photos one by one, "
VERDICTS = [
    "exact",
    "within",
    "contradicts",
    "holds",
    "contradicted",
    "unsettled",
    "trivial",
    "says nothing",
    "measured",
    "not_comparable",
    "pending",
]


def table() -> str:
    """One line a ledger file: how many of its rows have which verdict."""
    counts = {name: Counter(row.says for row in ledger.read(name)) for name in ledger.names()}
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


def photographs() -> str:
    """One line a method: its IoU less that of the centred window on the same photos, for either
    question, and the verdict.
    """
    pairs = {question: methods.compared(question) for question in methods.QUESTIONS}
    heads = ["method", *(f"{asked}: IoU less the window's" for asked in methods.QUESTIONS.values())]
    lines = [heads, ["---", *["---"] * len(pairs)]]
    for name in dict.fromkeys(name for methods_of in pairs.values() for name in methods_of):
        chosen = " (default)" if name == methods.default() else ""
        line = [f"`{name}`{chosen}"]
        for question in pairs:
            _, less = pairs[question].get(name, (None, None))
            line.append("not measured" if less is None else f"{less}: {less.verdict}")
        lines.append(line)
    rows = [row for question in pairs.values() for row, _ in question.values()]
    if not rows:
        return "Nothing is measured on photographs yet."
    photos = ", ".join(
        sorted({f"{row.images} photos of {escaped(row.dataset.upper())}" for row in rows})
    )
    says = f"Measured on {photos}, paired by photo, with 95 % intervals."
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", says])


def many_photos() -> str:
    """By how much one call or command for many photos beats one for each of them."""
    ratios = {row.row: row.ours for row in ledger.find("speed", table="seconds, as a ratio")}
    loops = {
        name.removeprefix(LOOP): ratio for name, ratio in ratios.items() if name.startswith(LOOP)
    }
    if not loops or "100 commands" not in ratios:
        return "How much faster that is has not been measured yet."
    least, most = min(loops, key=loops.__getitem__), max(loops, key=loops.__getitem__)
    return (
        f"On two cores, one call for 100 small photos is {loops[least]:.1f} (`{least}`) to "
        f"{loops[most]:.1f} (`{most}`) times as fast as a loop over one loaded cropper. It can't "
        "be much more there: photos are read while the network computes, but the network of a loop "
        f"uses both cores, too. One command for all of them is {ratios['100 commands']:.0f} times "
        "as fast as a command each, which would load PyTorch every time."
    )


BLOCKS = {"results": table, "photographs": photographs, "many-photos": many_photos}


def updated(text: str) -> str:
    """A page's text with the tables whose markers it has, as the ledger has them now."""
    for name, block in BLOCKS.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start in text:
            before, _, rest = text.partition(start)
            _, _, after = rest.partition(end)
            text = f"{before}{start}\n{block()}\n{end}{after}"
    return text


if __name__ == "__main__":
    for page in (README, PLAYGROUND):
        page.write_text(updated(page.read_text("utf-8")), "utf-8")
