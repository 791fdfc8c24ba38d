"""What the chapters print and draw with: source code from the package, pictures with boxes, tables
from the ledger.
"""

import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cropnb.errors import BoxError, ImageError, LedgerError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by readers with any of the common colour-vision deficiencies,
# and its names. Yellow comes last: on white it is too pale for a line.
COLORS: dict[str, str] = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "sky": "#56B4E9",
    "purple": "#CC79A7",
    "black": "#000000",
    "yellow": "#F0E442",
}

# The photographs that scikit-image carries inside its package, with the credits of its own README.
_PHOTOS: dict[str, str] = {
    "astronaut": "Eileen Collins, NASA, public domain",
    "coffee": "Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0",
    "chelsea": "Stéfan van der Walt, CC0",
    "rocket": "SpaceX, public domain",
}

_LEDGER_HEADS: dict[str, str] = {
    "table": "Table",
    "row": "Row",
    "column": "Number",
    "paper_value": "Paper",
    "dataset": "Measured on",
    "ours": "Ours [95 %]",
    "ours_photographs": "Ours, photographs [95 %]",
    "ours_scenes": "Ours, Composed Scenes [95 %]",
    "images": "Photos",
    "verdict": "Verdict",
}
_LEDGER_COLUMNS = ("row", "column", "paper_value", "ours", "images", "verdict")
_OURS = ("ours_photographs", "ours_scenes")
_NUMBERS = {"paper_value", "ours", *_OURS, "low", "high", "images", "minutes"}


class Markdown(str):
    """A string that a notebook and the rendered page show as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)


def show_source(*objects: Any) -> Markdown:
    """The source of functions, classes or methods as one highlighted code block each, under the
    name of its module.

    The text is read from the package when the cell runs, so what the page prints is what the tests
    ran. Raises TypeError for an object that has no Python source.
    """
    blocks = []
    for item in objects:
        item = inspect.unwrap(item.fget if isinstance(item, property) else item)
        try:
            source = textwrap.dedent(inspect.getsource(item)).rstrip()
        except (OSError, TypeError) as error:
            raise TypeError(
                f"{item!r} has no Python source to show; pass a function, method or class."
            ) from error
        blocks.append(f"```python\n# {item.__module__}\n{source}\n```")
    return Markdown("\n\n".join(blocks))


def style(photographs: bool = False) -> None:
    """Set matplotlib up for the book: the palette `COLORS`, readable sizes, files of the same bytes
    on every run.

    `photographs`: cells' pictures become JPEG files. A photograph as PNG is five times as large.
    """
    import matplotlib as mpl

    mpl.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 100,
            "figure.figsize": (7.0, 3.6),
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "axes.prop_cycle": mpl.cycler(color=list(COLORS.values())),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.labelsize": 10.5,
            "axes.grid": False,
            "grid.alpha": 0.3,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.frameon": False,
            # carried by matplotlib, so every machine draws the same letters
            "font.family": "DejaVu Sans",
            "font.size": 10.5,
            "lines.linewidth": 1.8,
            "image.interpolation": "antialiased",
            "svg.hashsalt": "cropnb",
            "pdf.fonttype": 42,
        }
    )
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
        from matplotlib_inline.config import InlineBackend
    except ImportError:
        return
    if get_ipython() is None:
        return
    # Cells' pictures without the version of the program that drew them. Kept in the configuration
    # too, which IPython reads again when the first picture is drawn.
    kwargs = {"pil_kwargs": {"quality": 80}} if photographs else {"metadata": {"Software": None}}
    backend = InlineBackend.instance(parent=get_ipython())
    backend.print_figure_kwargs = {"bbox_inches": "tight", **kwargs}
    backend.figure_formats = {"jpeg" if photographs else "png"}
    set_matplotlib_formats("jpeg" if photographs else "png")


def draw_boxes(
    ax: "Axes",
    image: Any,
    boxes: Any,
    labels: Sequence[str] | None = None,
    colors: Sequence[str] | str | None = None,
) -> "Axes":
    """Draw a photo and boxes on it.

    `image`: what `cropnb.images.read_photo` takes. `boxes`: (N, 4) or (4,), x1 y1 x2 y2 in the
        photo's pixels; an empty
        sequence draws none. `labels`: one text a box. `colors`: one colour for all, one a box, or
        names of `COLORS`.
    Raises BoxError for boxes of another shape, ImageError for a photo that can't be read.
    """
    from cropnb.images import read_photo

    photo = read_photo(image)
    boxes = np.asarray(boxes, dtype=float)
    boxes = boxes.reshape(-1, 4) if boxes.size == 0 or boxes.shape == (4,) else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise BoxError(f"Expected boxes of shape (N, 4), got {tuple(boxes.shape)}.")
    if labels is not None and len(labels) != len(boxes):
        raise BoxError(f"{len(labels)} labels for {len(boxes)} boxes; give one label a box.")
    palette = [colors] if isinstance(colors, str) else list(colors or COLORS.values())
    ax.imshow(np.asarray(photo), extent=(0, photo.width, photo.height, 0))
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        color = palette[index % len(palette)]
        color = COLORS.get(color, color)
        # A white line below the coloured one keeps the box visible on any photo.
        for line_color, line_width in (("white", 4.0), (color, 2.0)):
            ax.plot(
                [x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=line_color, linewidth=line_width
            )
        if labels is not None:
            note = {"facecolor": color, "edgecolor": "none", "boxstyle": "square,pad=0.25"}
            ink = (
                "black" if color in (COLORS["orange"], COLORS["sky"], COLORS["yellow"]) else "white"
            )
            ax.text(
                x1,
                y1,
                labels[index],
                color=ink,
                bbox=note,
                va="bottom",
                ha="left",
                fontsize=9,
                clip_on=False,
            )
    ax.set(xlim=(0, photo.width), ylim=(photo.height, 0), xticks=[], yticks=[])
    ax.set_aspect("equal")
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def _number(value: float | str | None) -> str:
    """A number with at most four significant digits; a dash where there is none."""
    if value is None:
        return "–"
    # adding zero turns −0.0 into 0
    return value if isinstance(value, str) else f"{value + 0.0:.4g}"


def _cell(row: Any, column: str) -> str:
    if column in ("ours_photographs", "ours_scenes"):
        return _cell(row, "ours") if _is_scenes(row) == (column == "ours_scenes") else ""
    if column == "ours":
        interval = (
            ""
            if row.low is None or row.high is None
            else f" [{_number(row.low)}, {_number(row.high)}]"
        )
        return _number(row.ours) + interval
    value = getattr(row, column)
    if column in ("paper_value", "low", "high", "minutes", "detectable", "worth_having"):
        return _number(value)
    if column == "verdict":
        from cropnb import ledger

        return ledger.verdict_text(row)
    return "–" if value is None or value == "" else str(value).replace("|", "\\|")


def _is_scenes(row: Any) -> bool:
    return row.dataset.startswith("scenes")


def _split_ours(columns: Iterable[str], rows: Sequence[Any]) -> list[str]:
    """Numbers from drawn scenes and numbers from photographs never share a column."""
    mixed = len({_is_scenes(row) for row in rows}) == 2
    return [part for name in columns for part in (_OURS if mixed and name == "ours" else (name,))]


def ledger_table(
    name: str, table: str | None = None, columns: Iterable[str] | None = None
) -> Markdown:
    """The rows of a paper's ledger as a Markdown table: the paper's value beside ours with its
    interval and verdict.

    `name`: the ledger's file in `book/results`, such as "vrn". `table`: only the rows of this table
        of the paper.
    `columns`: fields of `cropnb.ledger.Row`, by default row, column, paper_value, ours, images and
        verdict.
        Where the rows mix photographs and Composed Scenes, ours is printed in two columns, one for
        each.
    Raises LedgerError for an unknown field or when no row is left to print.
    """
    from cropnb import ledger

    rows = [row for row in ledger.read(name) if table is None or str(row.table) == str(table)]
    if not rows:
        wanted = f"rows of table {table!r}" if table is not None else "rows"
        raise LedgerError(
            f"The ledger {name!r} has no {wanted}; run the method, or check the name."
        )
    columns = list(columns) if columns is not None else list(_LEDGER_COLUMNS)
    if table is None and "table" not in columns:
        columns = ["table", *columns]
    known = [field.name for field in dataclasses.fields(ledger.Row)]
    for column in columns:
        if column not in known:
            raise LedgerError(
                f"A ledger row has no field {column!r}; choose from {', '.join(known)}."
            )
    columns = _split_ours(columns, rows)
    if len({row.profile for row in rows if row.profile}) > 1:  # the same row, trained in two ways
        rows = [
            dataclasses.replace(row, row=f"{row.row} ({row.profile})") if row.profile else row
            for row in rows
        ]
    heads = [_LEDGER_HEADS.get(column, column.replace("_", " ").capitalize()) for column in columns]
    rules = ["--:" if column in _NUMBERS else ":--" for column in columns]
    lines = [heads, rules, *([_cell(row, column) for column in columns] for row in rows)]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def loss_curve(history: Any, smooth: int = 1) -> "Figure":
    """The loss of a training run, step by step.

    `history`: what `cropnb.training.train` returns, or names with their losses, or one list of
        losses. `smooth`: draw
        the running mean over so many steps, and the steps themselves pale behind it.
    Raises ValueError where there is no loss to draw.
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    # the cell shows the returned figure; open, pyplot would show it a second time
    plt.close(figure)
    curves = _curves(history)
    if not curves or any(len(losses) == 0 for losses in curves.values()):
        raise ValueError("No losses to draw; train for at least one step.")
    for (name, losses), color in zip(
        curves.items(), itertools.cycle(COLORS.values()), strict=False
    ):
        steps = np.arange(1, len(losses) + 1)
        if 1 < smooth <= len(losses):
            ax.plot(steps, losses, color=color, alpha=0.25, linewidth=1)
            means = np.convolve(losses, np.full(smooth, 1 / smooth), mode="valid")
            ax.plot(
                steps[smooth - 1 :], means, color=color, label=f"{name}, mean of {smooth} steps"
            )
        else:
            ax.plot(steps, losses, color=color, label=name)
    ax.set(xlabel="step", ylabel="loss")
    ax.grid(axis="y", alpha=0.3)
    ax.legend()
    return figure


def _curves(history: Any) -> dict[str, np.ndarray]:
    if hasattr(history, "steps"):
        columns = np.asarray(history.steps, dtype=float).reshape(-1, len(history.names))
        history = dict(zip(history.names, columns.T, strict=True))
    curves = history if isinstance(history, Mapping) else {"loss": history}
    return {name: np.asarray(losses, dtype=float) for name, losses in curves.items()}


def sample_photos() -> dict[str, tuple[Image.Image, str]]:
    """Photographs that scikit-image carries, by name, each with its credit. Nothing is downloaded."""
    try:
        from skimage import data
    except ImportError as error:
        raise ImageError(
            "The sample photographs come with scikit-image: pip install scikit-image."
        ) from error
    return {
        name: (Image.fromarray(getattr(data, name)()), credit) for name, credit in _PHOTOS.items()
    }
