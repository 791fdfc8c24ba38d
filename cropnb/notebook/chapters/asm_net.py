"""Figures of the chapter on ASM-Net; its tables stand in `asm_net_tables`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cropnb.asm_net import PATTERNS, Pattern
from cropnb.notebook.comparison import METHOD_COLORS
from cropnb.notebook.drawing import draw_boxes, draw_estimates, draw_photos, style
from cropnb.notebook.tables import measured_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image
    from torch import Tensor

    from cropnb.ledger import Row
    from cropnb.paper import Paper
    from cropnb.training import History

FROZEN = ", frozen backbone"  # how the rows of such networks end
OURS = METHOD_COLORS["asm_net"]
TABLE_1 = {"table": "Table 1", "column": "Accuracy", "dataset": "scenes"}
LEARNED = "trained but for four units"  # what the profile `cpu` does to the backbone
# How the networks of Table 1 were trained: what the ledger's rows end with, and their profile.
TRAININGS = {
    "frozen backbone": (FROZEN, "cpu"),
    LEARNED: ("", "cpu"),
    "trained from c3_3 on": ("", "trained"),
}
DPI = 80  # there are many pictures, and the page stays under a megabyte
QUALITY = 66  # of the chapter's JPEG files
_RIGHTLY = "pairs ranked rightly, %"


def pattern_name(name: str) -> str:
    """A pattern as the paper writes it: `grid_1x3` is 1 × 3."""
    return name.removeprefix("grid_").replace("_", "-").replace("x", " × ")


def table_1_row(pattern: str, training: str) -> "Row | None":
    """Our accuracy of a pattern on scenes, by a key of `TRAININGS`; None where none is measured."""
    ending, profile = TRAININGS[training]
    return measured_row("asm_net", row=pattern + ending, profile=profile, **TABLE_1)


def draw_lines(
    ax: "Axes",
    pattern: Pattern,
    box: Sequence[float],
    color: str = "white",
    frame: bool = False,
) -> None:
    """Draw the borders between a pattern's partitions inside a crop (4,), and perhaps around it."""
    left, top, right, bottom = (float(edge) for edge in box)
    for x1, y1, x2, y2 in pattern.outline().tolist():
        if frame or not (x1 == x2 in (0, 1) or y1 == y2 in (0, 1)):
            x = [left + (right - left) * x1, left + (right - left) * x2]
            y = [top + (bottom - top) * y1, top + (bottom - top) * y2]
            ax.plot(x, y, color=color, linewidth=1.2)


def _subplots(
    rows: int = 1, columns: int = 1, photographs: bool = True, **look: Any
) -> tuple["Figure", Any]:
    """Matplotlib's, in the chapter's resolution; as JPEG, or as PNG where that is smaller."""
    import matplotlib.pyplot as plt

    style(photographs, QUALITY)
    return plt.subplots(rows, columns, dpi=DPI, **look)


def _photos(pictures: Mapping[str, tuple[Any, Any]], colors: str = "black") -> "Figure":
    """Photos two in a row, each 310 pixels wide."""
    style(photographs=True, quality=QUALITY)
    figure = draw_photos(pictures, colors)
    figure.set_dpi(DPI)
    return figure


def draw_table_1(printed: "Paper") -> None:
    """Draw Table 1 as it is printed, in black, and our rows on scenes, on an axis of their own."""
    table = printed.tables["Table 1"]
    places = range(len(table.own))
    _, (left, right) = _subplots(1, 2, figsize=(8.4, 2.9), sharey=True)
    left.plot([table.value(name, "Accuracy") for name in table.own], places, "ko")
    for training, marker, face in zip(TRAININGS, "oos", (OURS, "white", "white"), strict=True):
        rows = [table_1_row(name, training) for name in table.own]
        taken = [place for place in places if rows[place]]
        look = {"color": OURS, "markerfacecolor": face, "label": training}
        if taken:
            measured = [row for row in rows if row]
            draw_estimates(right, taken, measured, across=True, fmt=marker, **look)
    left.set(title=f"printed: {table.photos:,} photographs of CPC".replace(",", " "))
    left.set_yticks(places, [pattern_name(name) for name in table.own])
    left.invert_yaxis()
    right.set_title("ours: 500 Composed Scenes")
    # The rows of rings and of the 5 × 5 grid leave room on their left.
    right.legend(loc="center left", bbox_to_anchor=(0, 0.41), borderaxespad=0)
    for ax in (left, right):
        ax.set_xlabel(_RIGHTLY)
        ax.grid(axis="x", alpha=0.3)


def draw_window(photo: Any, box: Any, title: str) -> None:
    """Draw one window (4,) of a photo in black."""
    _, ax = _subplots(figsize=(4.4, 3))
    draw_boxes(ax, photo, box, colors="black")
    ax.set_title(title)


def draw_rules(
    photo: Any,
    crops: Mapping[str, "Tensor"],
    pattern: Pattern,
    by_rule: Mapping[str, "Tensor"],
) -> None:
    """Draw crops (4,) of one photo with a pattern, and below each its score by every rule, (N,)."""
    figure = _photos({title: (photo, box) for title, box in crops.items()}, "black")
    for index, (ax, box) in enumerate(zip(figure.axes, crops.values(), strict=False)):
        draw_lines(ax, pattern, box)
        lines = [f"rule «{rule}»: {scores[index]:.3f}" for rule, scores in by_rule.items()]
        ax.set_xlabel("\n".join(lines))


def draw_patterns(patterns: Mapping[str, Pattern] = PATTERNS) -> None:
    """Draw patterns as squares, one colour a partition."""
    columns = min(5, len(patterns))
    rows = -(-len(patterns) // columns)
    figure, panels = _subplots(
        rows, columns, False, figsize=(1.6 * columns, 1.9 * rows), squeeze=False
    )
    for ax in panels.flat[len(patterns) :]:
        figure.delaxes(ax)
    for ax, pattern in zip(panels.flat, patterns.values(), strict=False):
        shades = pattern.cells * 7 % 20  # neighbours get colours that differ
        look = {"cmap": "tab20", "vmin": 0, "vmax": 19, "alpha": 0.55}
        ax.imshow(shades, extent=(0, 1, 1, 0), interpolation="nearest", **look)
        draw_lines(ax, pattern, (0, 0, 1, 1), color="black", frame=True)
        ax.set(xticks=[], yticks=[], xlabel=f"L = {pattern.partitions}")
        ax.set_title(pattern_name(pattern.name), fontsize=10)


def draw_thresholds(deltas: Sequence[float], left: Sequence[float], right: Sequence[float]) -> None:
    """Draw by δ how many of all pairs are left, and how many of those are in the right order."""
    _, ax = _subplots(figsize=(5.6, 2.6))
    ax.plot(deltas, left, "k:", label="pairs that are left")
    ax.plot(deltas, right, "k-", label="of them in the right order")
    ax.set(xlabel="δ", ylabel="share", ylim=(0, 1.05))
    ax.legend()


def draw_saliency(
    photos: Mapping[str, Any],
    saliency: Mapping[str, "Tensor"],
    boxes: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Draw photos, each with a box (4,) where there is one, above their saliency maps (H, W)."""
    _, panels = _subplots(2, len(photos), figsize=(8.6, 3.8), squeeze=False)
    for (top, bottom), (name, photo) in zip(panels.T, photos.items(), strict=True):
        draw_boxes(top, photo, boxes[name] if boxes else [], colors="black")
        bottom.imshow(saliency[name], cmap="magma")
        top.set(title=name, xticks=[], yticks=[])
        bottom.set(xticks=[], yticks=[])


def draw_training(history: "History") -> None:
    """Draw both losses by the step, and how many pairs are ranked rightly by the epoch."""
    _, (*losses, accuracy) = _subplots(1, 3, figsize=(8.6, 2.6))
    for ax, name in zip(losses, ("ranking", "saliency"), strict=True):
        ax.plot(range(1, len(history.steps) + 1), history.column(name), color=OURS)
        ax.set(title=f"{name} loss", xlabel="step", ylim=(0, None))
    epochs = range(1, len(history.validation) + 1)
    accuracy.plot(epochs, [100 * share for share in history.validation], "o-", color=OURS)
    accuracy.set(title=_RIGHTLY, xlabel="epoch")


def draw_partitions(
    photo: "Image",
    crops: Mapping[str, "Tensor"],
    means: Mapping[str, "Tensor"],
    pattern: Pattern,
    middle: float,
    reach: float,
) -> None:
    """Draw crops (4,) of one photo with each partition's mean score (L,), as a number and a tint:
    red up to `reach` below the middle, blue as far above it.
    """
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2, foreground="black")]
    look = {"vmin": middle - reach, "vmax": middle + reach, "interpolation": "nearest"}
    figure = _photos({title: (photo, box) for title, box in crops.items()}, "orange")
    for ax, (title, box) in zip(figure.axes, crops.items(), strict=False):
        left, top, right, bottom = box.tolist()
        tints = means[title][pattern.cells]  # (rows, columns)
        ax.imshow(tints, "RdBu", alpha=0.5, extent=(left, right, bottom, top), **look)
        draw_lines(ax, pattern, box)
        for partition, mean in enumerate(means[title].tolist()):
            row, column = _label_cell(pattern, partition)
            x, y = left + (right - left) * column, top + (bottom - top) * row
            text = {"ha": "center", "va": "center", "fontsize": 9, "path_effects": halo}
            ax.text(x, y, f"{mean:.1f}", color="white", **text)
        ax.set(xlim=(0, photo.width), ylim=(photo.height, 0))


def _label_cell(pattern: Pattern, partition: int) -> tuple[float, float]:
    """Where a partition's number stands, in 0…1 from the top and the left: in its middle cell."""
    own = (pattern.cells == partition).nonzero().float() + 0.5  # (cells, 2)
    off = (own - own.mean(0)).square()
    off[:, 1] *= 1.02  # of two cells equally near, the one beside the middle line
    row, column = own[off.sum(1).argmin()].tolist()
    return row / pattern.rows, column / pattern.columns


def draw_crop_maps(
    photo: "Image", boxes: "Tensor", values: Sequence["Tensor"], titles: Sequence[str]
) -> None:
    """Draw crops (N, 4) of one photo, filled with the scores (h, w) that count in each."""
    import torch

    shades = torch.cat([scores.flatten() for scores in values])
    limits = {"vmin": float(shades.quantile(0.02)), "vmax": float(shades.quantile(0.98))}
    figure = _photos({title: (photo, boxes[i]) for i, title in enumerate(titles)}, "black")
    for ax, box, scores in zip(figure.axes, boxes.tolist(), values, strict=False):
        left, top, right, bottom = box
        ax.imshow(scores, "magma", alpha=0.75, extent=(left, right, bottom, top), **limits)
        ax.set(xlim=(0, photo.width), ylim=(photo.height, 0))


def draw_thetas(
    photos: Mapping[str, Any],
    saliency: Mapping[str, "Tensor"],
    maps: Mapping[str, Mapping[str, tuple["Tensor", "Tensor"]]],
) -> None:
    """Draw θ_avg beside θ_std, a row for each λ, below the photo and its saliency.

    Args:
        photos: by name.
        saliency: (H, W) by the photo's name.
        maps: θ_avg and θ_std (h, w) by the photo's name and λ.
    """
    rows = sum(1 + len(by_weight) for by_weight in maps.values())
    _, panels = _subplots(rows, 2, figsize=(8.0, 2.9 * rows))  # 310 pixels each
    lines = iter(panels)
    for name, by_weight in maps.items():
        pictures = {name: (photos[name], saliency[name])} | by_weight
        for title, pair in pictures.items():
            heads = (name, "saliency") if title == name else (f"θ_avg, {title}", f"θ_std, {title}")
            for ax, values, head in zip(next(lines), pair, heads, strict=True):
                ax.imshow(values, cmap="magma", aspect="auto", interpolation="bilinear")
                ax.set(title=head, xticks=[], yticks=[])


def draw_figure_5() -> None:
    """Draw the accuracy by λ on a frozen backbone: the ranking loss as a sum over pairs, as it is
    printed, and as their mean.
    """
    weights = ["0", "0.01", "0.1", "1", "10", "100"]
    _, ax = _subplots(figsize=(6.6, 3))
    kinds = {FROZEN: "sum over pairs, as printed", f", mean over pairs{FROZEN}": "mean over pairs"}
    for shift, (ending, label) in enumerate(kinds.items()):
        wanted = {**TABLE_1, "table": "Figure 5", "profile": "cpu"}
        rows = [measured_row("asm_net", row=f"λ={one}{ending}", **wanted) for one in weights]
        places = [place for place, row in enumerate(rows) if row]
        look = {"color": OURS, "markerfacecolor": "white" if shift else OURS, "label": label}
        shifted = [place + 0.1 * shift for place in places]
        fmt = "s--" if shift else "o-"
        draw_estimates(ax, shifted, [rows[place] for place in places], fmt=fmt, **look)
    ax.set(xticks=range(len(weights)), xticklabels=weights, xlabel="λ", ylabel=_RIGHTLY)
    ax.legend()


def draw_ratios(photos: Mapping[str, "Image"], crops: Mapping[str, Mapping[str, "Tensor"]]) -> None:
    """Draw each photo with the best crop (4,) of each ratio, named at its left edge, and the circle
    inside of the square that is called so.
    """
    from matplotlib.patches import Circle

    figure = _photos({title: (photo, []) for title, photo in photos.items()})
    for ax, (title, photo) in zip(figure.axes, photos.items(), strict=False):
        by_ratio = {name: box.tolist() for name, box in crops[title].items() if name != "circle"}
        draw_boxes(ax, photo, list(by_ratio.values()), colors="orange")
        for step, (name, (left, top, _, bottom)) in enumerate(by_ratio.items()):
            # along the left edge, each at another height: edges often coincide
            y = top + (bottom - top) * (step + 0.5) / len(by_ratio)
            note = {"facecolor": OURS, "edgecolor": "none", "boxstyle": "square,pad=0.2"}
            ax.text(left, y, name, ha="left", va="center", fontsize=9, bbox=note)
        if "circle" in crops[title]:
            left, top, right, bottom = crops[title]["circle"].tolist()
            middle, radius = ((left + right) / 2, (top + bottom) / 2), (right - left) / 2
            for color, width in (("white", 4.0), ("black", 2.0)):
                ax.add_patch(Circle(middle, radius, fill=False, color=color, linewidth=width))


def draw_gaps(sides: "Tensor", gaps: "Tensor") -> None:
    """Draw how far the two equations lie apart (N,) by the shorter side of the crop (N,)."""
    _, ax = _subplots(figsize=(5.6, 2.6))
    ax.semilogy(sides, gaps.clamp(min=1e-4), ".", color=OURS, markersize=4)
    ax.set(xlabel="shorter side of the crop, pixels", ylabel="difference / deviation of scores")
