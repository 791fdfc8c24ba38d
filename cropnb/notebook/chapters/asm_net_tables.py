"""Tables of the chapter on ASM-Net."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cropnb import ledger, methods
from cropnb.asm_net import PATTERNS
from cropnb.ledger import Row
from cropnb.notebook import claims as claim_tables
from cropnb.notebook.chapters.asm_net import FROZEN, TRAININGS, pattern_name, table_1_row
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import (
    ledger_grid,
    markdown_table,
    measured_row,
    measured_rows,
    with_interval,
)

if TYPE_CHECKING:
    from torch import Tensor

    from cropnb.paper import Paper

_PROFILES = {"cpu": "profile cpu", "trained": "trained from c3_3 on"}
# What the ledger calls the beginnings of the search, where a page says more.
_BEGINNINGS = {"the paper's windows": "sliding windows, this book's"}


def contributions(names: Sequence[str], won: "Tensor", lost: "Tensor", gain: "Tensor") -> Markdown:
    """What each partition (L,) adds to two crops, the largest gain first, and their sums."""
    lines = [
        [names[index], *(f"{float(one[index]):+.3f}" for one in (won, lost, gain))]
        for index in gain.argsort(descending=True).tolist()
    ]
    lines.append(["together", *(f"{float(one.sum()):+.3f}" for one in (won, lost, gain))])
    heads = ["partition", "adds to the winner", "adds to the loser", "difference"]
    return markdown_table(heads, lines)


def table_1(printed: "Paper") -> Markdown:
    """Table 1 as it is printed beside our rows on scenes, the best of them first."""
    rows = {how: {name: table_1_row(name, how) for name in PATTERNS} for how in TRAININGS}
    first, *_ = rows.values()
    measured = [how for how, by_pattern in rows.items() if any(by_pattern.values())]
    lines = []
    for name in sorted(filter(first.get, PATTERNS), key=lambda name: -first[name].ours):
        own = name in printed.tables["Table 1"].own
        value = f"{printed.tables['Table 1'].value(name, 'Accuracy'):.2f}" if own else None
        line = [pattern_name(name), PATTERNS[name].partitions, value]
        lines.append([*line, *(_with_seeds(rows[how][name]) for how in measured)])
    ours = [f"ours, 500 scenes: {how} [95 %]" for how in measured]
    return markdown_table(["pattern", "L", "printed, CPC", *ours], lines)


def _with_seeds(row: Row | None) -> str | None:
    """An accuracy with its interval, and how many trainings it is the mean of."""
    return row and f"{with_interval(row, '.2f')}, {_counted(len(row.seeds), 'seed')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def claims() -> Markdown:
    """The paper's claims on Table 1 and Figure 5 by paired differences, with their verdicts; the
    networks whose backbone learned first, those that nobody has run last.
    """
    from cropnb.runs import waiting  # here, for this module has a function of that name

    rows = ledger.find("asm_net", column="Accuracy")
    rows = [row for row in rows if row.table.startswith("claim")]
    lines = []
    for row in sorted(rows, key=lambda row: (row.table, row.profile)):
        trained = _training(row, row.table)
        size = f"{row.images} × {len(row.seeds)}"
        points = with_interval(row, "+.2f")
        lines.append([row.row, trained, points, size, ledger.verdict_text(row)])
    for row in waiting.claims("asm_net"):
        lines.append([row.row, _training(row, row.table), None, None, "not run"])
    heads = ["claim", "trained", "difference, points [95 %]", "scenes × seeds", "verdict"]
    return markdown_table(heads, lines, "llrrl")


def figure_5() -> Markdown:
    """What λ = 0.1 adds to λ = 0: as it is printed, and by our paired differences."""
    rows = [r for r in ledger.find("asm_net", table="Figure 5") if " less " in r.row]
    lines = []
    for row in sorted(rows, key=lambda row: (row.dataset, row.profile)):
        value = f"{row.paper_value:+.2f}" if row.paper_value is not None else None
        trained = _training(row, row.row) if row.ours is not None else None
        name = row.row.removesuffix(FROZEN)
        ours, seeds = with_interval(row, "+.2f"), len(row.seeds) or None
        lines.append([name, row.dataset, trained, value, ours, seeds])
    heads = ["difference in points", "photos", "trained", "printed", "ours [95 %]", "seeds"]
    return markdown_table(heads, lines, "lllrrr")


def figure_7(measures: Sequence[str]) -> Markdown:
    """The best quarter of crops beside the worst, with the verdict on their difference."""
    rows = {(r.dataset, r.row, r.column): r for r in ledger.find("asm_net", table="Figure 7")}
    lines = []
    for column in measures:
        for dataset in ("gaicd", "scenes"):
            for kind in ("", ", crops of middling size"):
                keys = [f"{which} quarter{kind}" for which in ("best", "worst")]
                pair = [rows.get((dataset, key, column)) for key in keys]
                claim = rows.get((dataset, f"high scores reach the corners{kind}", column))
                if all(pair):
                    cells = [with_interval(row, ".1f") for row in pair]
                    less = claim and f"{claim.verdict}: {with_interval(claim, '+.1f')}"
                    where = [dataset, kind.removeprefix(", ") or "all crops"]
                    lines.append([column, *where, *cells, less])
    quarters = ["best quarter [95 %]", "worst quarter [95 %]", "best less worst"]
    return markdown_table(["number", "annotations", "crops", *quarters], lines, "lllrrl")


def best_crops(printed: "Paper") -> Markdown:
    """Tables 2 and 3: the best crop on scenes, with windows of every size and without the small
    ones, between the centred crop and a panel member, and what is printed for the photographs.
    """
    columns = {"IoU": "IoU", "Disp": "BDE"}  # the paper's name and that of the scenes' rows
    lines = []
    for table, form in {"Table 2": "fcdb", "Table 3": "flms"}.items():
        own = printed.tables[table]
        values = [f"{own.value('ASM-Net', one):g}" for one in columns]
        lines.append([f"ASM-Net on {form.upper()}, printed", *values, None, None, own.photos])
        names = {  # the ledger's table and row
            "one panel member": (table, "one panel member"),
            "ASM-Net, no small windows": ("search windows", f"{form}, none small"),
            "ASM-Net, windows of every size": (table, "ASM-Net"),
            f"ASM-Net{FROZEN}, windows of every size": (table, f"ASM-Net{FROZEN}"),
            "centred crop": (table, "centred crop"),
        }
        for name, (where, row) in names.items():
            rows = [
                measured_row("asm_net", table=where, row=row, column=one, dataset="scenes")
                or measured_row("scenes", table=form, row=row, column=columns[one])
                for one in columns
            ]
            cells = [row and with_interval(row) for row in rows]
            scenes = next((row.images for row in rows if row), None)
            lines.append([f"{name}, scenes in {form.upper()}'s form", None, None, *cells, scenes])
    heads = ["", "IoU, photographs", "Disp", "IoU, scenes [95 %]", "Disp [95 %]", "pictures"]
    return markdown_table(heads, lines)


def search_windows() -> Markdown:
    """What leaving small windows out adds to the IoU, and below it how the limit was chosen."""
    rows = [row for row in ledger.find("asm_net", table="search windows") if row.worth_having]
    grid = claim_tables.claims_grid(rows, f"{rows[0].images} scenes a form, paired differences")
    return Markdown(f"{grid}\n\n*{rows[0].note}*")


def beginnings() -> Markdown:
    """Where the search on photographs may begin, by the overlap that its crop can expect."""
    table = "where the search begins, held out, taught photographs"
    rows = ledger.find("asm_net", table=table)
    rows = [replace(row, row=_BEGINNINGS.get(row.row, row.row)) for row in rows]
    return ledger_grid(rows, "held-out photos", ("expected IoU",), ".3f")


def table_4(kind: str = "") -> Markdown:
    """Table 4 on scenes, or on another kind of crops such as `layouts`, with GAIC, the best first.

    A row says what of its network learned, where rows differ in that.

    Args:
        kind: what follows the table's name in the ledger.
    """
    ending = f", {kind}" * bool(kind)
    rows = measured_rows("asm_net", table=f"Table 4{ending}")
    rows += measured_rows("gaic", table=f"baseline{ending}")
    if len({row.profile for row in rows}) > 1:
        rows = [replace(row, row=_with_training(row)) for row in rows]
    order = {row.row: -row.ours for row in rows if row.column == "SRCC"}
    rows.sort(key=lambda row: order[row.row])
    columns = ["SRCC", "Acc 5", "Acc 10"]
    return ledger_grid(rows, f"ours, {kind or 'scenes'}", columns, ".3g", photos="photos")


def _with_training(row: Row) -> str:
    """The method's name and what of its network learned; a row on a frozen backbone says so."""
    name = methods.title(row.row)
    return name if row.row.endswith(FROZEN) else f"{name}, {_PROFILES[row.profile]}"


def _training(row: Row, name: str) -> str:
    """The key of `TRAININGS` for a row whose name, or its table's, may end with `FROZEN`."""
    key = (FROZEN if name.endswith(FROZEN) else "", row.profile)
    return next(how for how, one in TRAININGS.items() if one == key)


def waiting() -> Markdown:
    """The printed numbers that nothing here could measure, with what is missing."""
    places: dict[str, Counter[str]] = {}
    for row in ledger.find("asm_net", verdict="pending"):
        places.setdefault(row.note, Counter())[row.table] += 1
    lines = [
        ["; ".join(f"{table}: {_counted(n, 'number')}" for table, n in tables.items()), note]
        for note, tables in places.items()
    ]
    return markdown_table(["waits", "what is missing"], lines, "ll")
