"""Pictures in one look: boxes on photos, numbers with their intervals, block diagrams, losses."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cropnb.errors import BoxError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cropnb.ledger import Row

# Okabe and Ito's palette, told apart by readers with any of the common colour-vision deficiencies,
# and its names. Yellow comes last: on white it is too pale for a line. Of boxes on pictures, what
# people drew or a formula knows is black, the reader's own or an example yellow, a window that
# never looks grey, and a method's crop has the method's colour (`METHOD_COLORS`).
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

# The same, pale: what a block of a diagram is filled with.
_TINTS: dict[str, str] = {
    "white": "white",
    "gray": "#f2f2f2",
    "blue": "#e8f1fa",
    "orange": "#fdebd3",
    "green": "#e4f4ee",
    "purple": "#f6e6ef",
}


def style(photographs: bool = False, quality: int | None = None) -> None:
    """Set matplotlib up for the book: the palette `COLORS`, readable sizes, files of the same bytes
    on every run.

    Args:
        photographs: cells' pictures become JPEG files. A photograph as PNG is five times as large.
        quality: of these files, from 1 to 95, and packed as tightly as can be; by default 75.
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
    tight = {"optimize": True, "progressive": True} if quality else {}
    jpeg = {"pil_kwargs": {"quality": quality or 75, **tight}}
    kwargs = jpeg if photographs else {"metadata": {"Software": None}}
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

    Args:
        ax: where to draw.
        image: what `cropnb.images.read_photo` takes.
        boxes: (N, 4) or (4,), x1 y1 x2 y2 in the photo's pixels; an empty sequence draws none.
        labels: one text a box.
        colors: one colour for all, or one a box; names of `COLORS`, or matplotlib's own.

    Raises:
        BoxError: for boxes of another shape, or another number of labels.
        ImageError: for a photo that can't be read.
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
        # A white line below the coloured one shows the box on any photo; below yellow it is black.
        under = "black" if color == COLORS["yellow"] else "white"
        for line_color, line_width in ((under, 4.0), (color, 2.0)):
            draw_outline(ax, (x1, y1, x2, y2), color=line_color, linewidth=line_width)
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


def draw_photos(
    pictures: Mapping[str, tuple[Any, Any]],
    colors: Sequence[str] | str | None = None,
    columns: int = 2,
    labels: Sequence[str] | None = None,
) -> "Figure":
    """Draw photos with boxes on them side by side; two in a row are 390 pixels wide each, large
    enough to judge a crop.

    Args:
        pictures: by their titles: the photo and its boxes, as `draw_boxes` takes them.
        colors: as `draw_boxes` takes them, the same in every picture.
        columns: how many in a row.
        labels: one text a box, the same in every picture.

    Raises:
        BoxError: for boxes of another shape, or another number of labels.
        ImageError: for a photo that can't be read.
        ValueError: for no picture, or less than one column.
    """
    import matplotlib.pyplot as plt

    from cropnb.images import read_photo

    if not pictures or columns < 1:
        raise ValueError(
            f"{len(pictures)} pictures in {columns} columns: give one or more of each."
        )
    drawn = [(title, read_photo(photo), boxes) for title, (photo, boxes) in pictures.items()]
    columns = min(columns, len(drawn))
    width = 8.0 / columns  # inches of one picture
    rows = [drawn[start : start + columns] for start in range(0, len(drawn), columns)]
    # A row is as high as its tallest photo and a title.
    heights = [
        0.35 + width * max(photo.height / photo.width for _, photo, _ in row) for row in rows
    ]
    figure, panels = plt.subplots(
        len(rows),
        columns,
        figsize=(8.0, sum(heights)),
        height_ratios=heights,
        squeeze=False,
        dpi=100,
        layout="constrained",
    )
    for ax in panels.flat[len(drawn) :]:
        ax.set_visible(False)
    for ax, (title, photo, boxes) in zip(panels.flat, drawn, strict=False):
        draw_boxes(ax, photo, boxes, labels=labels, colors=colors)
        ax.set_title(title)
    return figure


def draw_outline(ax: "Axes", box: Iterable[float], **look: Any) -> None:
    """Draw the four sides of a box, and no photo.

    Args:
        ax: where to draw.
        box: (4,), x1 y1 x2 y2.
        look: keywords of matplotlib's `Axes.plot`, such as `color` and `linewidth`.
    """
    x1, y1, x2, y2 = (float(edge) for edge in box)
    ax.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], **look)


def draw_estimates(
    ax: "Axes",
    places: Sequence[float],
    rows: Sequence["Row"],
    across: bool = False,
    **look: Any,
) -> None:
    """Draw the numbers of ledger rows, each with its 95 % interval.

    Args:
        ax: where to draw.
        places: where each row stands on the other axis.
        rows: measured rows of the ledger, with intervals; none draws nothing.
        across: draw the numbers along the x axis, and the places upwards; by default the numbers
            point upwards.
        look: keywords of matplotlib's `Axes.errorbar`, such as `fmt`, `label` and `color`.
    """
    if not rows:
        return
    means, low, high = np.array([(row.ours, row.low, row.high) for row in rows], dtype=float).T
    reach = np.stack([means - low, high - means])  # (2, N)
    look = {"fmt": "o", "capsize": 3, **look}
    if across:
        ax.errorbar(means, places, xerr=reach, **look)
    else:
        ax.errorbar(places, means, yerr=reach, **look)


def draw_block(
    ax: "Axes", x: float, y: float, text: str, color: str = "white", dashed: bool = False
) -> None:
    """Draw a block of a diagram.

    Args:
        ax: where to draw.
        x: where its middle stands.
        y: where its middle stands; up is up, as in any plot.
        text: what stands in it, and so makes its size.
        color: white, gray, blue, orange, green or purple, all of them pale.
        dashed: such as for a part that only training has.

    Raises:
        ValueError: for another colour.
    """
    if color not in _TINTS:
        raise ValueError(f"No tint {color!r} for a block; choose from {', '.join(_TINTS)}.")
    look = {"fc": _TINTS[color], "ec": "black", "ls": "--" if dashed else "-"}
    look["boxstyle"] = "round,pad=0.4"
    ax.text(x, y, text, ha="center", va="center", fontsize=8.5, bbox=look)


def draw_arrow(
    ax: "Axes",
    start: tuple[float, float],
    end: tuple[float, float],
    text: str = "",
    text_at: tuple[float, float] | None = None,
    dashed: bool = False,
    bend: float = 0.0,
) -> None:
    """Draw an arrow between the blocks of a diagram.

    Args:
        ax: where to draw.
        start: x and y of its tail.
        end: x and y of its head.
        text: what flows along it.
        text_at: the middle of the text; by default the middle of the arrow.
        dashed: such as for what only training does.
        bend: how far the arrow leaves the straight line, as a share of its length.
    """
    look = {"arrowstyle": "->", "linestyle": "--" if dashed else "-", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops={**look, "connectionstyle": f"arc3,rad={bend}"})
    if text:
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        ax.text(*(text_at or middle), text, fontsize=8, ha="center", va="center")


def loss_curve(history: Any, smooth: int = 1, color: str | None = None) -> "Figure":
    """The loss of a training run, step by step.

    Args:
        history: what `cropnb.training.train` returns, or names with their losses, or one list of
            losses.
        smooth: draw the running mean over so many steps, and the steps themselves pale behind it.
        color: of all its lines, such as the method's; by default each has one of `COLORS`.

    Raises:
        ValueError: where there is no loss to draw.
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    # the cell shows the returned figure; open, pyplot would show it a second time
    plt.close(figure)
    curves = _curves(history)
    if not curves or any(len(losses) == 0 for losses in curves.values()):
        raise ValueError("No losses to draw; train for at least one step.")
    colors = itertools.cycle([color] if color else COLORS.values())
    for (name, losses), color in zip(curves.items(), colors, strict=False):
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
    """Names and losses of whatever `loss_curve` takes."""
    if hasattr(history, "steps"):
        columns = np.asarray(history.steps, dtype=float).reshape(-1, len(history.names))
        history = dict(zip(history.names, columns.T, strict=True))
    curves = history if isinstance(history, Mapping) else {"loss": history}
    return {name: np.asarray(losses, dtype=float) for name, losses in curves.items()}
