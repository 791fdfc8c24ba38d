"""Validation curves on record, drawn: how each training went, and how it ended."""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropnb import methods
from cropnb.notebook.drawing import COLORS
from cropnb.notebook.source import Markdown, folded
from cropnb.notebook.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cropnb.runs.validation import Curve

# How a line ends in the figures, by how its training did: marker and whether it is filled.
END_MARKS = {"rising": ("o", True), "flat": ("o", False), "too short": ("X", True)}
_END_WORDS = {
    "rising": "still rising at the end",
    "flat": "flat at the end",
    "too short": "too short to say",
}
# What the photos that are held out are scored by while a method learns.
SCORES = {
    "la2c": "mean IoU",
    "asm_net": "pairs ranked rightly",
    "vrn": "mean SRCC",
    "gaic": "mean SRCC",
    "layout": "mean SRCC",
    "mars": "mean IoU",
    "set_prediction": "AP, ε = 0.85,\nK = 10",
}
_TITLES = {**methods.TITLES, "layout": "The scorer of boxes"}
_DATASETS = {"scenes": "scenes", "taught": "taught photographs", "gaicd_layouts": "layouts"}
_FORMS = {"gaicd": "GAICD", "gaicd_v2": "GAICD v2", "cpc": "CPC", "fcdb": "FCDB", "fat": "FAT"}
# Told apart on white by all readers: yellow is too pale. Of more variants, each round has its line.
_LINE_COLORS = [color for name, color in COLORS.items() if name != "yellow"]
_LINE_STYLES = ("-", "--", ":", "-.")
_NAME_WIDTH = 20  # letters of a variant's name in a line beside its panel
_COLUMNS = 2  # panels side by side
_BESIDE = 8  # lines of names: with more a panel stands alone


# How much of a line's colour a pixel of it, of its edge, or of a band below it has, on white.
_SHADES = (1, 0.8, 0.6, 0.4, 0.24, 0.12, 0.06)
_BAND = 0.12  # how much of it a band has
_TEXT_COLORS = ("black", "gray", "white")  # of what isn't a line

Look = tuple[str, str]  # of a line: its colour and style, as matplotlib has them
_Kind = tuple[str, str, str, bool]  # of run: dataset, form, profile, and whether `--frozen`
_Panel = tuple[str, _Kind, list["Curve"]]  # a method's name, and its curves of one kind


@dataclass(frozen=True)
class LineDrawing:
    """A figure of lines, which a notebook keeps in few bytes: its PNG has a palette of the lines'
    colours, their shades on white, and bands of two of them on each other.

    Attributes:
        figure: as matplotlib has it.
    """

    figure: "Figure"

    def __repr__(self) -> str:
        return f"LineDrawing: {len(self.figure.axes)} panels"

    def _repr_png_(self) -> bytes:
        from matplotlib.colors import to_rgb
        from PIL import Image

        drawn, packed = io.BytesIO(), io.BytesIO()
        self.figure.savefig(drawn, format="png", bbox_inches="tight")
        lines = (line.get_color() for ax in self.figure.axes for line in ax.lines)
        colors = np.array([to_rgb(color) for color in dict.fromkeys((*lines, *_TEXT_COLORS))])
        shades = np.array(_SHADES)[:, None, None]  # (shades, 1, 1)
        alone = shades * colors + 1 - shades
        band = _BAND * colors + 1 - _BAND
        lapped = _BAND * colors[:, None] + (1 - _BAND) * band  # a band on another
        levels = np.concatenate([alone.reshape(-1, 3), lapped.reshape(-1, 3)])  # (N, 3)
        levels = (255 * levels).round().astype(np.uint8)
        palette = Image.new("P", (1, 1))
        palette.putpalette(levels.tobytes())
        image = Image.open(drawn).convert("RGB")
        image.quantize(palette=palette, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        return packed.getvalue()


def training_curves(*names: str) -> LineDrawing:
    """Every validation curve on record: a panel for each kind of run, a line for each variant, the
    mean over its seeds, with their range. A filled circle ends a line that was still rising, a
    hollow one a flat line, a cross one too short to say.

    Args:
        names: of methods, whose panels follow each other, those of few lines first.

    Raises:
        LedgerError: no curve of these methods is on record.
    """
    import matplotlib.pyplot as plt

    from cropnb.errors import LedgerError
    from cropnb.runs import validation

    panels: list[_Panel] = [
        (name, kind, curves)
        for name in names
        for kind, curves in _kinds(validation.read(name)).items()
    ]
    if not panels:
        raise LedgerError(f"no validation curves of {', '.join(names) or 'any method'} on record")
    panels.sort(key=lambda panel: (names.index(panel[0]), _lines_of(panel[2])))
    looks = {name: _looks(validation.read(name)) for name in names}
    # Two panels side by side; one with many lines has a row of its own, or its names would leave
    # it no room.
    rows: list[list[_Panel]] = []
    for panel in panels:
        beside = rows and len(rows[-1]) < _COLUMNS
        if beside and max(_lines_of(panel[2]), _lines_of(rows[-1][0][2])) <= _BESIDE:
            rows[-1].append(panel)
        else:
            rows.append([panel])
    heights = [max(2.2, 0.75 + 0.21 * max(_lines_of(of) for *_, of in row)) for row in rows]
    figure = plt.figure(figsize=(9.0, sum(heights) + 0.4), layout="constrained")
    plt.close(figure)  # the cell shows what it returns; open, pyplot would show it twice
    grid = figure.add_gridspec(len(rows), _COLUMNS, height_ratios=heights)
    for number, row in enumerate(rows):
        for column, (name, kind, curves) in enumerate(row):
            ax = figure.add_subplot(grid[number, column] if len(row) > 1 else grid[number, :])
            _draw_panel(ax, name, curves, looks[name])
            ax.set_title(_title(name, kind), loc="left")
    _explain_marks(figure, END_MARKS)
    return LineDrawing(figure)


def curve_numbers(*names: str) -> Markdown:
    """Where each line of `training_curves` begins and ends, as a folded table: what the figures
    show, for those who can't see them or want the numbers.

    Args:
        names: of methods.

    Raises:
        LedgerError: no curve of these methods is on record.
    """
    from cropnb.errors import LedgerError
    from cropnb.runs import validation

    rows = []
    for name in names:
        for kind, curves in _kinds(validation.read(name)).items():
            training = _title(name, kind).replace("\n", ", ")
            for curve in sorted(curves, key=lambda one: -_mean_of(one)[-1]):
                mean = _mean_of(curve)  # (validations,)
                ends = [f"{mean[place]:.3f}" for place in (0, -1)]
                word = _END_WORDS[curve.end]
                measure = SCORES[name].replace("\n", " ")
                counts = (len(curve.seeds), len(mean))
                rows.append((training, curve.variant, measure, *counts, *ends, word))
    if not rows:
        raise LedgerError(f"no validation curves of {', '.join(names) or 'any method'} on record")
    heads = ("trained on", "variant", "score", "seeds", "validations", "first", "last", "its end")
    table = markdown_table(heads, rows, align="lllrrrrl")
    return folded("The lines' first and last scores as numbers", table)


def validation_figure(
    name: str, looks: "Mapping[str, Look] | None" = None, **wanted: object
) -> LineDrawing | Markdown:
    """How recorded trainings of a method went, in one panel: a line for each variant as in
    `training_curves`.

    Args:
        name: of the method.
        looks: of those variants for which a chapter has looks of its own.
        wanted: values of `cropnb.runs.validation.Curve`, such as dataset and profile.

    Returns:
        The figure; a sentence where no curve of this kind was recorded.
    """
    import matplotlib.pyplot as plt

    from cropnb.runs import validation

    curves = [
        curve
        for curve in validation.read(name)
        if all(getattr(curve, field) == value for field, value in wanted.items())
    ]
    if not curves:
        return Markdown("*The validation scores of these trainings are not recorded.*")
    height = max(2.7, 1.0 + 0.21 * _lines_of(curves))
    figure, ax = plt.subplots(figsize=(7.4, height), layout="constrained")
    plt.close(figure)
    _draw_panel(ax, name, curves, _looks(curves) | dict(looks or {}))
    ax.set_title("mean over seeds and their range", loc="left")
    _explain_marks(figure, {curve.end for curve in curves})
    return LineDrawing(figure)


def _kinds(curves: "Sequence[Curve]") -> "dict[_Kind, list[Curve]]":
    """The curves by the kind of their run."""
    kinds: dict[_Kind, list[Curve]] = {}
    for curve in curves:
        key = (curve.dataset, curve.form, curve.profile, curve.frozen)
        kinds.setdefault(key, []).append(curve)
    return kinds


def _looks(curves: "Sequence[Curve]") -> dict[str, Look]:
    """Colour and style of each variant's line, the same in all panels of a method."""
    looks = {}
    for number, variant in enumerate(dict.fromkeys(curve.variant for curve in curves)):
        rounds, place = divmod(number, len(_LINE_COLORS))
        looks[variant] = (_LINE_COLORS[place], _LINE_STYLES[rounds % len(_LINE_STYLES)])
    return looks


def _end_look(end: str, color: str) -> dict[str, object]:
    """How a line's last point is marked, as keywords of matplotlib."""
    marker, filled = END_MARKS[end]
    fill = color if filled else "white"
    return {"marker": marker, "markersize": 6.5, "markerfacecolor": fill, "markeredgecolor": color}


def _draw_panel(
    ax: "Axes", name: str, curves: "Sequence[Curve]", looks: "Mapping[str, Look]"
) -> None:
    """The curves of one kind of run, with their names beside them."""
    for curve in curves:
        _draw_curve(ax, curve, *looks[curve.variant])
    longest = max(len(curve.scores[0]) for curve in curves)
    ax.set(xlabel="validations", ylabel=SCORES[name])
    ax.set(xticks=_ticks(longest), xlim=(0.7, longest + 0.5))
    ax.grid(axis="y", alpha=0.3)
    _name_lines(ax)


def _draw_curve(ax: "Axes", curve: "Curve", color: str, style: str) -> None:
    """The mean over seeds, their range, and how it ended."""
    scores, mean = np.array(curve.scores), _mean_of(curve)  # (seeds, validations), (validations,)
    places = np.arange(1, scores.shape[1] + 1)
    if len(scores) > 1:
        ax.fill_between(places, scores.min(0), scores.max(0), color=color, alpha=_BAND, linewidth=0)
    look = {"color": color, "linestyle": style, "linewidth": 1.6, "label": curve.variant}
    ax.plot(places, mean, markevery=[-1], **look, **_end_look(curve.end, color))


def _mean_of(curve: "Curve") -> np.ndarray:
    """The mean over seeds after each validation, (validations,)."""
    return np.array(curve.scores).mean(0)


def _name_lines(ax: "Axes") -> None:
    """The lines' names beside a panel, in the order in which the lines end, from the top."""
    lines = sorted(ax.lines, key=lambda line: -line.get_ydata()[-1])
    names = [_wrapped(str(line.get_label())) for line in lines]
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    ax.legend(lines, names, labelspacing=0.25, handlelength=2.2, **place)


def _lines_of(curves: "Sequence[Curve]") -> int:
    """How many lines of text the names of a panel take."""
    return sum(_wrapped(curve.variant).count("\n") + 1 for curve in curves)


def _wrapped(name: str) -> str:
    """A variant's name in lines of few letters."""
    return textwrap.fill(name, _NAME_WIDTH, break_on_hyphens=False)


def _ticks(longest: int) -> range:
    """Which validations the axis names."""
    step = 1 if longest <= 6 else 2 if longest <= 12 else 4
    return range(step, longest + 1, step)


def _explain_marks(figure: "Figure", ends: Iterable[str]) -> None:
    """Below the panels: how a line ends, in words, of those ends that occur."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color="black", label=_END_WORDS[end], **_end_look(end, "black"))
        for end in END_MARKS
        if end in ends
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))


def _title(name: str, kind: _Kind) -> str:
    """What the network learned from, and in which profile; whether its backbone learned."""
    from cropnb.runs import plan
    from cropnb.runs.identity import plain
    from cropnb.runs.method import FROZEN

    dataset, form, profile, frozen = kind
    photos = " and ".join(_DATASETS.get(part, part) for part in dataset.split("+"))
    how = [f"{_FORMS.get(form, form)}'s form", profile]
    if name in methods.METHODS:
        method = plan.method_named(name)
        learned = method.learned(plain(method.profiles[profile]))
        fixed = frozen or learned.startswith(FROZEN)  # an agent's may be another method's
        how.append("backbone frozen" if fixed else "backbone learned")
    return f"{_TITLES.get(name, name)}: {photos}\n{', '.join(how)}"
