"""All methods side by side, from the ledger: what they cost, and how they do on photographs."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cropnb import ledger, methods
from cropnb.notebook.drawing import COLORS
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

# One colour a method; baselines are black.
METHOD_COLORS: dict[str, str] = {
    "la2c": COLORS["blue"],
    "asm_net": COLORS["orange"],
    "vrn": COLORS["green"],
    "gaic": COLORS["vermilion"],
    "mars": COLORS["sky"],
    "set_prediction": COLORS["purple"],
}
_SHIPPED, _SCENES_ONLY = "as shipped", "scenes only"
# as `cropnb.runs.rows.measured` writes it: "48 of 345 listed photos, and the interval is …"
_LISTED = re.compile(r"\d+ of (\d+) listed photos")


def draw_costs(ax: "Axes", question: str) -> None:
    """IoU on photographs against milliseconds a photo, a point for each method and baseline that
    has both in the ledger.

    Args:
        ax: where to draw.
        question: of `cropnb.methods.QUESTIONS`.
    """
    taken = {row.row: row.ours for row in _measured("speed", methods.costs_of(question))}
    rows = [row for row in _people(question) if row.row in taken]
    if not rows:
        ax.set_title("not measured yet")
        return
    labels = []
    for row in rows:
        color = METHOD_COLORS.get(row.row, "black")
        marker = "o" if row.row in METHOD_COLORS else "D"
        ax.plot(taken[row.row], row.ours, marker, color=color, markersize=8)
        labels.append((taken[row.row], row.ours, methods.TITLES.get(row.row, row.row)))
    low, high = min(taken.values()), max(taken.values())
    ax.set(
        xscale="log",
        xlim=(low / 2.5, high * 4),
        title=f"{methods.QUESTIONS[question]}, {rows[0].images} photos",
        xlabel="milliseconds a photo, one thread",
        ylabel="IoU with people's crops",
    )
    ax.margins(y=0.15)
    place_labels(ax, labels)


def place_labels(ax: "Axes", labels: Iterable[tuple[float, float, str]]) -> "list[Annotation]":
    """Name points such that no name lies on another name or point.

    Args:
        ax: with its points and limits, which stay as they are.
        labels: x, y and the name of each point.
    """
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    labels = list(labels)
    ax.figure.draw_without_rendering()  # fixes where things are, in pixels
    around = [ax.transData.transform((x, y)) for x, y, _ in labels]
    taken = [Bbox.from_extents(x - 6, y - 6, x + 6, y + 6) for x, y in around]
    heights = (sign * 9 * step for step in range(9) for sign in (1, -1))
    sides = [(dx, dy) for dy in heights for dx in (9, -9)]
    placed = []
    for x, y, name in sorted(labels, key=lambda label: label[1]):
        for dx, dy in sides:
            text = ax.annotate(
                name,
                (x, y),
                (dx, dy),
                textcoords="offset points",
                ha="left" if dx > 0 else "right",
                va="center",
                fontsize=9,
                arrowprops={"arrowstyle": "-", "linewidth": 0.6} if dy else None,
            )
            text.get_window_extent()  # puts it into its place
            box = Text.get_window_extent(text)  # without its line
            if not any(box.overlaps(other) for other in taken) and _inside(ax, box):
                break
            if (dx, dy) != sides[-1]:
                text.remove()
        taken.append(box)
        placed.append(text)
    return placed


def _inside(ax: "Axes", box: object) -> bool:
    window = ax.get_window_extent()
    return window.x0 <= box.x0 and box.x1 <= window.x1 and window.y0 <= box.y0 <= box.y1


def draw_differences(ax: "Axes", question: str) -> None:
    """IoU less that of the centred window, with 95 % intervals: filled for the weights that ship,
    hollow for those that saw scenes only.

    Args:
        ax: where to draw.
        question: of `cropnb.methods.QUESTIONS`.
    """
    shipped, scenes = (methods.compared(question, only) for only in (False, True))
    names = [name for name in METHOD_COLORS if name in shipped or name in scenes][::-1]
    both = bool(shipped and scenes)
    for pairs, face, shift, label in (
        (shipped, None, 0.14 * both, _SHIPPED),
        (scenes, "white", -0.14 * both, _SCENES_ONLY),
    ):
        for name, (_, less) in pairs.items():
            ax.errorbar(
                less.mean,
                names.index(name) + shift,
                xerr=[[less.mean - less.low], [less.high - less.mean]],
                fmt="o" if face is None else "s",
                capsize=3,
                color=METHOD_COLORS[name],
                markerfacecolor=face or METHOD_COLORS[name],
            )
        if pairs:
            fill = face or "black"
            marker = "o" if face is None else "s"
            ax.plot([], [], marker, color="black", markerfacecolor=fill, label=label)
    ax.axvline(0, color="black", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(names)), [methods.TITLES[name] for name in names])
    ax.set(title=methods.QUESTIONS[question], xlabel="IoU less the centred window's")


def difference_table(question: str, rows: Sequence[ledger.Row] | None = None) -> Markdown:
    """Every row of IoU on photographs: its paired difference to the centred window, what that says,
    and, where photos of the list are gone, what it would say if it were `widened` for them.

    Args:
        question: of `cropnb.methods.QUESTIONS`.
        rows: by default those on photographs with the crops that people drew.
    """
    rows, lines = _people(question) if rows is None else rows, []
    gone = any(_LISTED.search(row.note) for row in rows)
    for row in sorted(rows, key=lambda row: -row.ours):
        less = methods.difference(row)
        cells = [_one_line(with_interval(row)), less and _one_line(str(less))]
        says = [less and _one_line(less.verdict)]
        if gone:
            stays = less and widened(row, less).verdict == less.verdict
            says.append(less and ("the same" if stays else "not told"))
        lines.append([methods.title(row.row), *cells, *says])
    measure = rows[0].column if rows else "IoU"
    heads = [methods.QUESTIONS[question], measure, "less the centred window", ""]
    heads += ["if widened"] * gone
    return markdown_table(heads, lines, "lrrl" + "l" * gone)


def widened(row: ledger.Row, less: methods.Difference) -> methods.Difference:
    """The difference of a row, its ends moved out for the photos of the list that are gone, as
    `metrics.with_missing` moves those of means. How much differences scatter between photos is
    taken from the width of the interval.
    """
    from cropnb.metrics.intervals import MISSING_SHIFT

    listed = _LISTED.search(row.note)
    gone = 1 - row.images / int(listed[1]) if listed else 0.0
    deviation = (less.high - less.low) / (2 * 1.96) * row.images**0.5
    out = gone * MISSING_SHIFT * deviation
    return replace(less, low=less.low - out, high=less.high + out)


def photographs_table(name: str) -> Markdown:
    """One method's rows of IoU on photographs: its weights that ship, those that saw scenes alone
    where they have a row, and the centred window.
    """
    kinds = {name: _SHIPPED, name + methods.SCENES_ONLY: _SCENES_ONLY}
    lines = []
    for question, asked in methods.QUESTIONS.items():
        for row in _people(question):
            less = methods.difference(row)
            if row.row not in kinds and less:
                continue
            cells = [_one_line(with_interval(row)), less and _one_line(str(less))]
            label = kinds.get(row.row, "centred window")
            words = [_one_line(asked), _one_line(label)]
            lines.append([*words, *cells, less and _one_line(less.verdict), row.images])
    heads = ["FCDB", "weights", "IoU", "less the centred window", "", "photos"]
    return markdown_table(heads, lines, "llrrlr")


def cost_table() -> Markdown:
    """Milliseconds, memory and parameters of every method and baseline, as far as the ledger has
    them.
    """
    tables = {methods.costs_of(question): asked for question, asked in methods.QUESTIONS.items()}
    rows = {(row.row, row.table, row.column): row for row in ledger.read("speed")}
    keys = [(table, "ms a photo") for table in tables]
    keys += [(methods.COSTS, column) for column in ("MB at most", "million parameters")]
    names = dict.fromkeys(name for name, table, _ in rows if table.startswith(methods.COSTS))
    lines = []
    for name in names:
        cells = [rows.get((name, *key)) for key in keys]
        lines.append([methods.title(name), *(cell and f"{cell.ours:.3g}" for cell in cells)])
    heads = [f"ms, {asked}" for asked in tables.values()]
    return markdown_table(["", *heads, "MB at most", "million parameters"], lines)


def training_table(trained_on: str) -> Markdown:
    """How the networks that ship were trained, from the cards of their weights: on what, which part
    of the backbone learned, and for how long.

    Args:
        trained_on: "scenes" or "photographs"; where a method has weights for photographs alone,
            its line is of these.
    """
    from safetensors import safe_open

    from cropnb import croppers, guards
    from cropnb.runs import plan
    from cropnb.runs.identity import plain

    lines = []
    for name in METHOD_COLORS:
        path = croppers.weights_path(name, trained_on)
        if not path.exists():
            path = croppers.weights_path(name, "photographs")
        with safe_open(path, framework="pt") as stream:
            card = guards.card(path, stream.metadata()["card"])
        data = str(card["dataset"]).replace("scenes+taught", "scenes and taught photographs")
        method, profile = plan.method_named(name), card["profile"]
        if isinstance(profile, str):  # of a card that keeps the name alone
            profile = plain(method.profiles[profile])
        backbone = method.learned(profile)
        lines.append([methods.title(name), data, backbone, f"{card['minutes']:.0f}", card["seed"]])
    heads = ["network", "learned from", "backbone", "minutes", "seed"]
    return markdown_table(heads, lines, "lllrr")


def scenes_table() -> Markdown:
    """What every method's weights for photographs reach on scenes of its own form, beside those
    that saw scenes alone, and the difference paired by scene.
    """
    rows = {(row.row, row.column): row for row in ledger.read("shipped")}
    lines = []
    for (name, column), row in rows.items():
        alone = rows.get((name + methods.SCENES_ONLY, column))
        less = methods.difference(row)
        if alone and less:
            # per cent and pixels have one decimal, shares three
            digits = 1 if max(alone.ours, row.ours) > 1 else 3
            cells = [_one_line(with_interval(one, f".{digits}f")) for one in (alone, row)]
            lines.append(
                [methods.title(name), column, *cells, _one_line(less.text(digits)), row.images]
            )
    heads = ["", "measure", "saw scenes only", "saw photographs too", "difference", "scenes"]
    return markdown_table(heads, lines, "llrrrr")


def _people(question: str) -> list[ledger.Row]:
    """The rows of IoU with the crops that people drew."""
    rows = methods.on_photographs()
    return [row for row in rows if (row.table, row.dataset) == (question, methods.PEOPLE)]


def _measured(name: str, table: str) -> list[ledger.Row]:
    return [row for row in ledger.find(name, table=table) if row.ours is not None]


def _one_line(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")
