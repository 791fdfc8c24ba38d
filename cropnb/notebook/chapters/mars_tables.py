"""Tables of the chapter on Mars: its networks, claims and speeds, printed and from the ledger."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from cropnb import ledger, methods
from cropnb.epoch_shares import COMPUTED
from cropnb.epoch_shares import TABLE as SHARES
from cropnb.ledger import Row
from cropnb.mars.model import VARIANTS
from cropnb.mars.studies.bench import speed_rows
from cropnb.notebook.printed import printed_column
from cropnb.notebook.source import Markdown, escaped
from cropnb.notebook.tables import (
    markdown_table,
    measured_row,
    measured_rows,
    measured_speeds,
    speed_table,
    with_interval,
)
from cropnb.paper import Paper

TRAINED = "trained from c3_3 on"  # the backbone of the weights for photographs


def counts(rows: Sequence[Row], printed: Paper, sharpest: int | None = None) -> Markdown:
    """Printed parameter counts beside ours, by how little room a count has before it rounds to
    another number; only so many of the sharpest, or all in the paper's order.
    """
    order = [(table, row) for table, values in printed.tables.items() for row in values.own]
    room = {id(row): row.note.rpartition("slack ")[2] for row in rows}
    if sharpest is None:
        chosen = sorted(rows, key=lambda row: order.index((row.table, row.row)))
    else:
        by_room = sorted(rows, key=lambda row: int(room[id(row)].replace(",", "")))
        chosen = by_room[:sharpest]
    lines = []
    for row in chosen:
        exact = row.note.partition(" parameters")[0]
        numbers = [f"{row.paper_value:.1f}M", f"{row.ours:.1f}M", exact, room[id(row)]]
        lines.append([row.table, row.row, *numbers, row.verdict])
    heads = ["table", "row", "paper", "ours", "counted", "room", "verdict"]
    return markdown_table(heads, lines, "llrrrrl")


def networks(rows: Sequence[Row], main: str = "Mars") -> Markdown:
    """IoU and offset of the trained networks of Tables 1 to 6, each once: the paper's model, and
    what differs from it table by table.
    """
    names = {place: name for name, variant in VARIANTS.items() for place in variant.cells}
    cells: dict[str, dict[str, Row]] = {}
    for row in rows:
        cells.setdefault(names[row.table, row.row], {})[row.column] = row
    order = sorted(cells, key=lambda name: (name != main, VARIANTS[name].cells[0][0]))
    lines = []
    for name in order:
        iou, offset = cells[name]["IoU"], cells[name]["Offset"]
        place = "all" if name == main else VARIANTS[name].cells[0][0].removeprefix("Table ")
        row = "the paper's model" if name == main else VARIANTS[name].cells[0][1]
        empty = iou.note.partition("nothing above θ in ")[2].partition(";")[0]
        numbers = [with_interval(iou), with_interval(offset, ".1f"), empty]
        numbers = [text.replace(" ", "\N{NO-BREAK SPACE}") for text in numbers]
        lines.append([place, row, *numbers, iou.images, len(iou.seeds)])
    heads = ["table", "row", "IoU", "offset, px", "nothing above θ", "photos", "seeds"]
    return markdown_table(heads, lines, "llrrrrr")


def ladder(**run: object) -> dict[str, Row]:
    """IoU at FAT's required ratios, from the centred window to the noise-free ceiling, by name.

    Args:
        run: fields of the ledger's rows of Mars that tell its trainings apart.
    """
    ends = {row.row: row for row in ledger.find("scenes", table="fat", column="IoU")}
    return {
        "largest centred window": ledger.one("mars", table="baseline", column="IoU", **run),
        "content-blind prior": ends["content-blind prior"],
        "Mars, backbone frozen": ledger.one(
            "mars", table="Table 3", row="both", column="IoU", **run
        ),
        f"Mars as it ships, {TRAINED}": ledger.one("shipped", row="mars", column="IoU"),
        "one panel member": ends["one panel member"],
        "noise-free ceiling": ends["noise-free ceiling"],
    }


def claims(
    printed: Paper, decided: Mapping[tuple[str, str], Row], only_decided: bool = False
) -> Markdown:
    """What the paper claims of its own networks, with the gain and the verdict in both columns; all
    claims, or those that were decided.
    """
    lines = []
    for claim in printed.claims:
        if "rival" in claim:  # another method's network; see `table_7_scenes`
            continue
        line, rows = [claim["says"], claim["where"]], []
        for column, digits in (("IoU", 3), ("Offset", 1)):
            # a claim may be about some of the ratios only, as «IoU, 2:3 and 3:2»
            own = next((one for one in claim.get("columns", ()) if one.startswith(column)), column)
            row = decided.get((claim["name"], own))
            gain = row and _gain(row, digits)
            waits = "not run" if own in claim.get("columns", [own]) else None
            line += [gain, ledger.verdict_text(row) if row else waits]
            rows += [row] if row else []
        if rows or not only_decided:
            lines.append(line)
    heads = ["claim", "where", "gain in IoU", "verdict", "in offset, px", "verdict"]
    return markdown_table(heads, lines, "llrlrl")


def _gain(row: Row, digits: int) -> str:
    # adding zero turns −0.0 into 0
    mean, low, high = (round(value, digits) + 0.0 for value in (row.ours, row.low, row.high))
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def table_7(printed: Paper) -> Markdown:
    """What Table 7 prints at the required ratio, a line a method."""
    columns = [("FAT", "Offset"), ("FCDB", "BDE"), ("HCDB", "BDE")]
    tables = {name: printed.tables[f"Table 7, {name}"] for name, _ in columns}
    methods, written, heads = tables["FAT"].rows, [], []
    for name, error in columns:
        table = tables[name]
        for part in ("IoU", error):
            values = [table.value(row, part) if row in table.rows else None for row in methods]
            written.append(printed_column(values))
            heads.append(f"{name}, {part}")
    lines = [[method, *cells] for method, *cells in zip(methods, *written, strict=True)]
    return markdown_table(["printed in Table 7", *heads], lines)


def table_7_scenes(names: Sequence[str]) -> Markdown:
    """Table 7's protocol on scenes in the form of these of its datasets, and what the network that
    ships reaches in FAT's; below it Mars against a search among windows, paired by photo.
    """
    measured = measured_rows("mars", dataset="scenes")
    rows = {(row.table, row.row, row.column): row for row in measured}
    for row in ledger.find("shipped", row="mars"):
        rows["Table 7, FAT", f"Mars as it ships, {TRAINED}", row.column] = row
    specs = {"IoU": ".3f", "Offset": ".1f", "BDE": ".3f"}
    lines = []
    for name in names:
        table = f"Table 7, {name}"
        for asked in dict.fromkeys(row for place, row, _ in rows if place == table):
            pair = {part: rows.get((table, asked, part)) for part in specs}
            numbers = [row and with_interval(row, specs[part]) for part, row in pair.items()]
            named = asked.replace("Mars, MobileNetV2", "Mars, backbone frozen")
            lines.append([name, named, *numbers, pair["IoU"].images])
    heads = ["scenes in the form of", "cropper", "IoU", "offset, px", "BDE", "photos"]
    return Markdown("\n\n".join([markdown_table(heads, lines, "llrrrr"), *against_windows(names)]))


def against_windows(names: Sequence[str]) -> list[str]:
    """A sentence for each of these forms in which Mars and a search among windows were compared
    photo by photo.
    """
    by_form: dict[str, dict[str, Row]] = {}
    for row in ledger.find("mars", row="beats sliding windows", dataset="scenes"):
        form = row.table.partition(", ")[2] or "FAT"
        by_form.setdefault(form, {})[row.column] = row
    sentences = []
    for name in names:
        if rows := by_form.get(name):
            parts = [
                f"{what} {_gain(rows[column], digits)}, "
                f"{escaped(ledger.verdict_text(rows[column]))}"
                for column, digits, what in (
                    ("IoU", 3, "in IoU"),
                    ("Offset", 1, "in the offset, pixels nearer,"),
                )
            ]
            sentences.append(
                f"Photo by photo on {rows['IoU'].images} scenes in the form of {name}, Mars as it "
                "ships against GAIC among 1 140 windows of the ratio, of sizes between the usual "
                f"ones: {'; '.join(parts)}."
            )
    return sentences


def window_sizes() -> Markdown:
    """What it is worth to a sliding-window method that true crops have the sizes of its windows."""
    from cropnb.mars.studies.table7 import NEAREST, OTHER_SIZES, SAME_SIZE, USUAL_SIZES

    rows = {(row.row, row.column): row for row in measured_rows("mars", table="1140 windows, FAT")}
    if not rows:
        return Markdown("*How many true crops have a window's size isn't measured yet.*")
    same, nearest = (
        [rows[size, column] for size in (USUAL_SIZES, OTHER_SIZES)]
        for column in (SAME_SIZE, NEAREST)
    )
    gap = nearest[1].note.rpartition("largest: ")[2].partition(", paired")[0]
    text = (
        f"Of the true crops of {same[0].images} scenes {same[0].ours:.0f} % have the size of one "
        f"of these windows; of as many windows with sizes between them ({OTHER_SIZES}) it is "
        f"{same[1].ours:.0f} %. But the right size needn't lie in the right place: the nearest "
        f"usual window overlaps a true crop by {nearest[0].ours:.3f} on average, the nearest of "
        f"the others by {nearest[1].ours:.3f}, paired by photo {escaped(gap)}. About so much a "
        "method that chooses among windows may owe to the coincidence."
    )
    names = ("gaic, 1140 windows", "gaic, 1140 windows of other sizes")
    asked = [measured_row("mars", table="Table 7, FAT", row=name, column="IoU") for name in names]
    if None in asked:
        return Markdown(f"{text} GAIC itself wasn't asked among both on the same scenes yet.")
    before, after = map(with_interval, asked)
    return Markdown(f"{text} GAIC among the others reaches an IoU of {after}; it was {before}.")


def photographs(asked: str, names: Sequence[str] | None = None) -> Markdown:
    """IoU and BDE on FCDB's photographs, best first: of these croppers, or of all.

    Args:
        asked: a table of the ledger `photographs`.
    """
    rows = {(row.row, row.column): row for row in measured_rows("photographs", table=asked)}
    overlap = [row for (_, column), row in rows.items() if column == "IoU"]
    lines = []
    for row in sorted(overlap, key=lambda row: -row.ours):
        if names is None or row.row in names:
            less = row.note.partition(", paired")[0].partition(";")[0]
            numbers = map(with_interval, (row, rows[row.row, "BDE"]))
            lines.append([methods.title(row.row), *numbers, less])
    return markdown_table(["FCDB, true ratio given", "IoU", "BDE", "IoU, paired"], lines, "lrrl")


def profiles(known: Mapping[str, Any]) -> Markdown:
    """The settings of the profiles, a column each; None becomes a dash."""
    fields = [field.name for field in dataclasses.fields(next(iter(known.values())))]
    lines = [[name, *(getattr(one, name) for one in known.values())] for name in fields]
    return markdown_table(["setting", *known], lines)


def speeds() -> Markdown:
    """Mars' own speeds of the ledger, each with its unit and device, and where an epoch goes."""
    others = ("times as fast as the paper's model", COMPUTED)
    rows = [row for row in measured_speeds("Mars") if row.column not in others]
    shares = [[row.column, f"{row.ours:.0f} %"] for row in rows if row.table == SHARES]
    measured = speed_table(row for row in rows if row.table != SHARES)
    of_an_epoch = markdown_table(["an epoch, trained from c3_3 on", "of its time"], shares)
    return Markdown(f"{measured}\n\n{of_an_epoch}")


def speed_ratios(printed: Paper, tables: Sequence[str]) -> Markdown:
    """The speed of rows of these tables over that of the paper's model: printed, and ours."""
    measured = {row.row: row for row in measured_speeds("Mars")}
    base = printed.tables["Table 1"].value("mobilenet_v2 c4_6", "Speed")
    lines = []
    for variant, (table, row) in speed_rows().items():
        if table in tables:
            ours = measured.get(f"Mars, {variant}")
            theirs = printed.tables[table].value(row, "Speed")
            numbers = [f"{theirs:.0f}", f"{theirs / base:.2f}", ours and with_interval(ours, ".2f")]
            lines.append([table, row, *numbers])
    heads = ["table", "row", "paper, photos a second", f"over its {base:.0f}", "ours, over ours"]
    return markdown_table(heads, lines, "llrrr")
