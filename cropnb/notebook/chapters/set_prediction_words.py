"""What rows of the ledger say, in words: lines that the chapter prints where a sentence could be
false after the next run.

Each function returns a Markdown list. Two numbers are told apart where their 95 % intervals don't
meet, which asks for more than a paired difference does; where the ledger has that, it stands beside
them. Verdicts on claims are the ledger's.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from cropnb import ledger, paper
from cropnb.ledger import Row
from cropnb.notebook.tables import with_interval
from cropnb.set_prediction.cropper import COUNTS, THRESHOLDS
from cropnb.set_prediction.recipe import METHOD

PROFILE = "cpu"  # of the chapter's tables
# The audit's table of anchors that are the same for every photo and cover the training photos'
# *best* crops.
COVER, COVERING = "content-blind, first of the tied", "fixed anchors that cover the training crops"
LESS_COVERING = "the same predictions, less fixed anchors"  # photo by photo, of the shipped network
CHOICE = "choice of the epoch"
FROM_LAST, FLATTERED = "best on validation less last", "best on test less best on validation"
MISSING, ALIKE = "not measured yet", "not told apart"


def one(table: str, row: str, column: str, name: str = METHOD.name) -> Row | None:
    """A measured row on scenes; of those of several profiles the chapter's."""
    rows = ledger.find(name, table=table, row=row, column=column, dataset=ledger.SCENES)
    rows = [each for each in rows if each.ours is not None]
    return min(rows, key=lambda each: each.profile != PROFILE, default=None)


def place(first: Row, second: Row) -> str:
    """Where the first number lies to the second: by their intervals, or by the numbers alone where
    one has none.
    """
    if None in (first.low, first.high, second.low, second.high):
        return "above" if first.ours > second.ours else "not above"
    if first.low > second.high:
        return "surely above"
    return "surely below" if first.high < second.low else ALIKE


def against(
    table: str, columns: Sequence[str], pairs: Sequence[tuple[str, str]], spec: str = ".1f"
) -> str:
    """Rows of a table beside others of it, a line for each pair and column."""
    lines = []
    for first, second in pairs:
        for column in columns:
            values = _values(one(table, first, column), one(table, second, column), spec)
            lines.append(f"- {column}: «{first}» against «{second}»: {values}")
    return "\n".join(lines)


def beside_fixed_anchors(form: str = "") -> str:
    """ACC 1/N of the network against that of anchors that are the same for every photo; where the
    audit has the difference photo by photo, of the shipped network, it ends the line.

    Args:
        form: what the ledger adds to the tables' names, such as ", v2".
    """
    lines = []
    for eps in THRESHOLDS:
        for count in COUNTS:
            column = f"ACC 1/{count}"
            ours = one(f"Table 1{form}", f"Ours (ε = {eps:.2f})", column)
            fixed_column = f"{column}, ε = {eps:.2f}"
            fixed = one(f"{COVER}{form}", COVERING, fixed_column, name="audit")
            text = _values(ours, fixed, ".1f")
            less = one(f"{LESS_COVERING}{form}", METHOD.name, fixed_column, name="audit")
            if less:
                text += f"; photo by photo on {less.images} scenes, the shipped network less "
                points = with_interval(less, "+.1f").replace("-", "−")
                text += f"these anchors: {points}, **{_against_zero(less)}**"
            lines.append(f"- {fixed_column}: the network against these anchors: {text}")
    return "\n".join(lines)


def _values(first: Row | None, second: Row | None, spec: str) -> str:
    if first is None or second is None:
        return MISSING
    return f"{first.ours:{spec}} against {second.ours:{spec}}, **{place(first, second)}**"


def _against_zero(difference: Row) -> str:
    """What the interval of a paired difference says."""
    if difference.low > 0:
        return "surely above"
    return "surely below" if difference.high < 0 else ALIKE


def claims(table: str, fewer: str | None = None) -> str:
    """A line for each claim that a table decides: the points that were measured and those that are
    printed, whether their signs agree and these lie inside of our intervals, and the verdicts.

    Args:
        table: of claims, such as "claim, v2".
        fewer: the same claims on fewer scenes, whose differences are set beside.
    """
    lines, printed = [], paper.read(METHOD.name)
    added = ", CPC" if table.endswith(", CPC") else ""  # the paper has tables of CPC alone
    for claim in printed.claims:
        rows = _by_column(table, claim["name"])
        if not rows:
            continue
        text = f"- **{claim['name']}**: {_span(row.ours for row in rows.values())} points"
        cells = {column: printed.cells(claim["name"], column) for column in rows}
        gaps = {column: printed.difference(of, added) for column, of in cells.items()}
        gaps = {column: gap for column, gap in gaps.items() if gap is not None}
        if gaps:
            alike = sum(gap * rows[column].ours > 0 for column, gap in gaps.items())
            inside = sum(rows[one].low <= gap <= rows[one].high for one, gap in gaps.items())
            text += f", in print {_span(gaps.values())}: the same sign in {alike} of {len(gaps)}"
            text += f", inside of our interval in {inside}"
        counts = Counter(row.says for row in rows.values())
        says = ", ".join(f"{verdict} in {count}" for verdict, count in counts.items())
        text += f"; of {len(rows)} columns **{says}**"
        others = _by_column(fewer, claim["name"]) if fewer else {}
        if both := [(row, others[column]) for column, row in rows.items() if column in others]:
            apart = sum(place(*pair) != ALIKE for pair in both)
            span = _span(other.ours for _, other in both)
            text += f"; with fewer scenes {span}, told apart from these in {apart} of {len(both)}"
        lines.append(text)
    return "\n".join(lines) or f"- {table}: {MISSING}"


def _by_column(table: str, name: str) -> dict[str, Row]:
    rows = {column: one(table, name, column) for column in METHOD.claim_columns}
    return {column: row for column, row in rows.items() if row}


def epochs() -> str:
    """What choosing the epoch on validation does to AP, a line for each form of the scenes."""
    rows = {
        row.row: row
        for row in ledger.find("audit", table=CHOICE)
        if row.ours is not None and row.column.startswith("AP")
    }
    lines = []
    for name, row in rows.items():
        run, _, rule = name.partition(f", {FROM_LAST}")
        if run == name or rule or not run.startswith(f"{METHOD.name}, "):
            continue
        form = run.rpartition("-")[0].partition("-")[2]  # run: such as …, scenes-gaicd-cpu
        verdict = "gains" if row.low > 0 else "loses" if row.high < 0 else "can't be told from it"
        line = f"- {form}: the best on validation against the last epoch: {_span([row.ours])}, "
        flattered = rows[f"{run}, {FLATTERED}"].ours
        lines.append(f"{line}**{verdict}**; the best on test is {flattered:.1f} higher still")
    return "\n".join(lines) or f"- {CHOICE}: {MISSING}"


def _span(values: Iterable[float]) -> str:
    """«+1.2 to +3.4», or one number where both ends read the same; zero has no sign."""
    values = list(values)
    rounded = [round(value, 1) for value in (min(values), max(values))]
    ends = [f"{value:+.1f}" if value else "0.0" for value in rounded]
    return " to ".join(dict.fromkeys(ends)).replace("-", "−")
