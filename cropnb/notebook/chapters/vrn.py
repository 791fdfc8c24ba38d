"""Figures and tables of the chapter on VRN."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cropnb.ledger import Row
from cropnb.notebook.comparison import METHOD_COLORS
from cropnb.notebook.drawing import (
    draw_arrow,
    draw_block,
    draw_boxes,
    draw_estimates,
    draw_photos,
)
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table
from cropnb.notebook.training_curves import validation_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from cropnb.datasets.base import Sample
    from cropnb.notebook.training_curves import LineDrawing
    from cropnb.paper import Table

_VARIANTS = ("baseline", "FS", "RGL", "FS + RGL")
# The whole method has VRN's colour; its parts have colours that no figure of the chapter gives to
# another method.
_VARIANT_COLORS = {"FS": "black", "RGL": "grey", "FS + RGL": METHOD_COLORS["vrn"]}
_SUBTRACTED = "mean-subtracted targets"
_CONTROLS = {"baseline": "black", _SUBTRACTED: "#CC79A7"}  # what has neither part
_SCORED = {"gaicd": "GAICD, people", "scenes": "Composed Scenes"}  # by whom
_FROZEN = ", frozen backbone"
_OFFSETS = (0.0, 0.5, 1.0)  # deviations of the added number
_SERIES = {"Acc 1/5": ("o", None), "Acc 1/10": ("s", "white")}  # marker, filling


def ablation(printed: "Table", ours: Mapping[str, Sequence[Row]]) -> "Figure":
    """Acc 1/5 and Acc 1/10 of the four rows of Table 2: printed in black, ours in VRN's colour.

    Args:
        printed: Table 2.
        ours: by the titles of their panels: rows of one kind of data.
    """
    import matplotlib.pyplot as plt

    figure, (left, *panels) = plt.subplots(1, 1 + len(ours), figsize=(8.4, 3.4))
    for shift, (column, (marker, face)) in enumerate(_SERIES.items()):
        look = {"fmt": f"{marker}-", "markerfacecolor": face, "label": column}
        values = [printed.value(row, column) for row in _VARIANTS]
        left.errorbar(_VARIANTS, values, color="black", **look)
        for ax, rows in zip(panels, ours.values(), strict=True):
            measured = {row.row.removesuffix(_FROZEN): row for row in rows if row.column == column}
            places = [place for place, name in enumerate(_VARIANTS) if name in measured]
            draw_estimates(
                ax,
                [place + 0.16 * shift for place in places],
                [measured[_VARIANTS[place]] for place in places],
                color=METHOD_COLORS["vrn"],
                **look,
            )
    left.set(ylabel="%")
    left.legend(loc="lower right")
    for ax, title in zip((left, *panels), ("printed: photographs", *ours), strict=True):
        ax.set(title=title, xticks=range(4), xlim=(-0.4, 3.5))
        ax.set_xticklabels(_VARIANTS, rotation=30, ha="right")
    return figure


def offsets(rows: Sequence[Row], columns: Sequence[str] = ("SRCC", "Acc 5")) -> "Figure":
    """What a number that is added to all training scores of a photo does: a panel a column, the
    deviation of that number across.

    Args:
        rows: of baseline and FS, such as «FS, offset 0.5, frozen backbone», and of mean-subtracted
            targets, which no such number changes, so that one row stands for all; others are left
            out.
        columns: of Table 2.
    """
    import matplotlib.pyplot as plt

    looks = {
        "baseline": ("s--", "grey", -0.01),
        "FS": ("o-", "black", 0.01),
        _SUBTRACTED: ("^:", _CONTROLS[_SUBTRACTED], 0.03),
    }
    figure, axes = plt.subplots(1, len(columns), figsize=(8, 3))
    for ax, column in zip(axes, columns, strict=True):
        for name, (fmt, color, shift) in looks.items():
            chosen = {}
            for row in rows:
                variant, _, offset = row.row.removesuffix(_FROZEN).partition(", offset ")
                if (variant, row.column) == (name, column):
                    same = _OFFSETS if name == _SUBTRACTED else (float(offset or 0),)
                    chosen |= dict.fromkeys(same, row)
            places = sorted(chosen)
            shifted = [place + shift for place in places]
            draw_estimates(
                ax, shifted, [chosen[at] for at in places], fmt=fmt, color=color, label=name
            )
        ax.set(title=column, xlabel="deviation of the added number", xticks=_OFFSETS)
    axes[0].legend(loc="lower left")
    return figure


def settled_on(rows: Sequence[Row], photos: int) -> str:
    """How many of these claims the first photos settle by themselves, from the differences that are
    on record with the rows.
    """
    import numpy as np

    from cropnb import ledger, metrics

    settled = 0
    for row in rows:
        differences = np.asarray(ledger.differences(row))[:, :photos]  # (seeds, photos)
        gain = metrics.compare(differences, np.zeros_like(differences))
        settled += gain.low > 0 or gain.high < 0
    return f"of {len(rows)} differences the first {photos} photos settle {settled}"


def scores_of_photos(scores: Sequence["Tensor"]) -> "Figure":
    """The opinion scores (N,) of the views of scenes, a box diagram each, in the given order."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 2.8))
    ax.boxplot(
        [mos.numpy() for mos in scores],
        widths=0.6,
        medianprops={"color": "black", "linewidth": 2.5},
        flierprops={"markersize": 3},
    )
    ax.set(xlabel=f"{len(scores)} scenes, ordered by their median", ylabel="MOS of their views")
    return figure


def facts_table(rows: Iterable[Row]) -> Markdown:
    """Figure 1's two facts as the ledger has them, a column each for people's scores and those of
    the simulated annotators.
    """
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        ends = "" if row.low is None else f" [{row.low:.1f}, {row.high:.1f}]"
        cells.setdefault(row.row, {})[row.dataset] = f"{row.ours:.1f}{ends}"
    lines = [[name, *(line.get(dataset) for dataset in _SCORED)] for name, line in cells.items()]
    return markdown_table(["per cent", *_SCORED.values()], lines)


def spread_of_scores(rows: Sequence[Row]) -> "Figure":
    """Percentiles over photos of their mean score and of the deviation within them."""
    import matplotlib.pyplot as plt

    facts = ("deviation of the scores within a photo", "mean score of a photo")
    panels = {"gaicd": "GAICD, training photos", "scenes": "Composed Scenes, training photos"}
    figure, axes = plt.subplots(1, len(panels), figsize=(8, 1.9), sharex=True, sharey=True)
    for ax, (dataset, title) in zip(axes, panels.items(), strict=True):
        for place, fact in enumerate(facts):
            at = {r.column: r.ours for r in rows if (r.dataset, r.row) == (dataset, fact)}
            if at:
                for low, high, width in (("5 %", "95 %", 3), ("25 %", "75 %", 8)):
                    ax.plot([at[low], at[high]], [place, place], color="black", linewidth=width)
                ax.plot(at["50 %"], place, "o", color="white", markersize=4)
        ax.set(title=title, xlabel="opinion score", ylim=(-0.6, 1.6))
        ax.set_yticks(range(len(facts)), ["deviation within", "mean of a photo"])
    return figure


def diagram() -> "Figure":
    """VRN from the photo to its two scores, the paper's Figure 2; dashed is training only."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(8.6, 2.6))
    for x1, y1, x2, y2, dashed in (
        (0.65, 1, 0.92, 1, False),
        (2.0, 1, 2.28, 1, False),
        (3.3, 1, 3.62, 1, False),
        (4.85, 1.2, 5.25, 1.6, False),
        (4.85, 0.8, 5.25, 0.4, True),
        (6.75, 1.6, 7.05, 1.6, False),
        (6.75, 0.4, 7.05, 0.4, True),
    ):
        draw_arrow(ax, (x1, y1), (x2, y2), dashed=dashed)
    draw_block(ax, 0.3, 1, "photo")
    draw_block(ax, 1.45, 1, "MobileNetV2\nthree depths", "blue")
    draw_block(ax, 2.8, 1, "1 × 1 conv\n32 channels", "blue")
    draw_block(ax, 4.25, 1, "feature splitter\nw  and  1 − w", "orange")
    draw_block(ax, 6.0, 1.6, "w ⊙ feature\nRoIAlign + RoDAlign", "green")
    draw_block(ax, 6.0, 0.4, "(1 − w) ⊙ feature\nRoIAlign", "purple", dashed=True)
    draw_block(ax, 7.95, 1.6, "view-wise learner\nMOS − mean", "green")
    draw_block(ax, 7.95, 0.4, "image-wise learner\nmean (training only)", "purple", dashed=True)
    ax.set(xlim=(-0.1, 8.9), ylim=(0, 2))
    ax.axis("off")
    return figure


def kept_and_discarded(sample: "Sample", view: int, roi: "Tensor", rod: "Tensor") -> "Figure":
    """A view on its photo, and the mean over channels of its two grids (C, 9, 9)."""
    import matplotlib.pyplot as plt

    figure, (photo, *maps) = plt.subplots(1, 3, figsize=(8.6, 2.9), width_ratios=(2, 1, 1))
    draw_boxes(photo, sample.photo(), sample.boxes[view], colors="black")
    photo.set_title("one view of the photo")
    x1, y1, x2, y2 = sample.boxes[view].tolist()
    shapes = {
        "RoIAlign: kept": (roi, (y2 - y1) / (x2 - x1)),
        "RoDAlign: discarded": (rod, sample.height / sample.width),
    }
    for ax, (title, (cells, aspect)) in zip(maps, shapes.items(), strict=True):
        ax.imshow(cells.abs().mean(0).numpy(), cmap="magma", aspect=aspect)
        ax.set(title=title, xticks=[], yticks=[])
    return figure


def similarities(scores: "Tensor", tents: Mapping[float, "Tensor"]) -> "Figure":
    """σ against predicted scores (P,), a line for each annotated score."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(5.8, 2.8))
    for (mos, similarity), line in zip(tents.items(), ("-", "--", ":"), strict=False):
        ax.plot(scores, similarity, line, color="black", label=f"annotated {mos:g}")
    ax.set(xlabel="predicted score s", ylabel="similarity σ")
    ax.legend()
    return figure


def size_table(rows: Sequence[Row]) -> Markdown:
    """The ranking gain before training: the median over photos, its smallest and largest value."""
    values = {(row.row, row.dataset, row.column): row.ours for row in rows}
    quantities = dict.fromkeys((row.row, row.column.rsplit(", ", 1)[0]) for row in rows)
    lines = []
    for reading, quantity in quantities:
        cells = []
        for dataset in _SCORED:
            middle, low, high = (
                values.get((reading, dataset, f"{quantity}, {word}"))
                for word in ("median", "smallest", "largest")
            )
            cells.append(None if middle is None else f"{middle:.3g} [{low:.3g} … {high:.3g}]")
        lines.append([reading, quantity, *cells])
    heads = ["reading", "median [smallest … largest]", *_SCORED.values()]
    return markdown_table(heads, lines, "llrr")


def gradient_norms(norms: Mapping[str, Iterable[float]]) -> "Figure":
    """The gradient's norm at each step, by the trial's name, on a logarithmic axis.

    Without a bound a line is solid; with the gain as a mean it is dotted.
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.4, 3.2))
    for name, values in norms.items():
        variant = name.split(", rate")[0]
        line = ":" if variant.endswith(", mean") else "-" if "no bound" in name else "--"
        color = _VARIANT_COLORS[variant.removesuffix(", mean")]
        steps = range(1, 1 + len(values))
        ax.plot(steps, values, line, color=color, linewidth=1.6, label=name)
    ax.axhline(1, color="grey", linewidth=0.8)
    ax.set(yscale="log", xlabel="step", title="norm of the gradient, before any bound is applied")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure


def adam_steps(sizes: Mapping[int, "Tensor"]) -> "Figure":
    """How large Adam's steps are after a large gradient, by how many times it was as large."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 2.6))
    for (ratio, values), line in zip(sizes.items(), ("k-", "k--", "k:"), strict=False):
        ax.plot(range(len(values)), values, line, label=f"first gradient {ratio:,} times as large")
    ax.set(yscale="log", xlabel="step", ylabel="step / learning rate")
    ax.legend()
    return figure


def trials(rows: Sequence[Row]) -> "Figure":
    """SRCC of the study's trials with its interval, by learning rate and bound.

    Filled: β as a sum, or no gain; hollow: β as a mean.
    """
    import matplotlib.pyplot as plt

    rows = [row for row in rows if row.column == "SRCC"]
    setting = {row.row: row.row.split(", rate ")[1] for row in rows}
    places = {name: place for place, name in enumerate(sorted(set(setting.values())))}
    variants = dict.fromkeys(row.row.split(", rate ")[0] for row in rows)
    figure, ax = plt.subplots(figsize=(7.4, 3.2))
    for shift, variant in enumerate(variants):
        own = [row for row in rows if row.row.startswith(f"{variant}, rate")]
        draw_estimates(
            ax,
            [places[setting[row.row]] + 0.12 * (shift - (len(variants) - 1) / 2) for row in own],
            own,
            fmt="os^Dv"[shift],
            color=_VARIANT_COLORS[variant.removesuffix(", mean")],
            markerfacecolor="white" if variant.endswith(", mean") else None,
            label=variant,
        )
    ax.set(ylabel="SRCC, held-out scenes", xlim=(-0.5, len(places) - 0.5))
    ax.set_xticks(range(len(places)), [f"rate {name}".replace(", ", "\n") for name in places])
    figure.legend(loc="outside lower center", ncols=len(variants))
    return figure


def training_curves(history: Any) -> "Figure":
    """The loss and its parts as running medians, and the SRCC on validation photos."""
    import matplotlib.pyplot as plt

    window = min(32, len(history.steps))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=(2, 1))
    for name, line in zip(history.names, ("-", "--", "-.", ":"), strict=False):
        medians = history.column(name).unfold(0, window, 1).median(dim=1).values
        color = "black" if left.lines else METHOD_COLORS["vrn"]  # the whole loss comes first
        left.plot(range(window, len(history.steps) + 1), medians, line, color=color, label=name)
    left.set(yscale="log", xlabel="step", ylabel=f"loss, median of {window} steps")
    left.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    epochs = range(1, len(history.validation) + 1)
    right.plot(epochs, history.validation, "o-", color=METHOD_COLORS["vrn"])
    right.set(xlabel="epoch", ylabel="SRCC, validation photos", xticks=epochs)
    return figure


def validation_curves(**wanted: object) -> "LineDrawing | Markdown":
    """How recorded trainings went, see `cropnb.notebook.validation_figure`: a colour for each part
    of the method, dashed where the ranking gain is a mean, dots for what has neither part.
    """
    looks = {variant: (color, "-") for variant, color in _VARIANT_COLORS.items()}
    looks |= {f"{variant}, mean": (color, "--") for variant, (color, _) in looks.items()}
    looks |= {variant: (color, ":") for variant, color in _CONTROLS.items()}
    return validation_figure("vrn", looks, **wanted)


def two_choices(pictures: Mapping[str, tuple[Any, "Tensor"]]) -> "Figure":
    """Photos with the views (2, 4) that GAIC and VRN score best, by their titles.

    GAIC's name stands above its upper left corner and VRN's within its lower right one: views that
    lie on each other keep both names.
    """
    colors = {"GAIC": METHOD_COLORS["gaic"], "VRN": METHOD_COLORS["vrn"]}
    figure = draw_photos(pictures, colors=list(colors.values()))
    for ax, (_, views) in zip(figure.axes, pictures.values(), strict=False):
        (x1, y1, _, _), (_, _, x2, y2) = views.tolist()
        corners = {"GAIC": (x1, y1, "left"), "VRN": (x2, y2, "right")}
        for name, (x, y, side) in corners.items():
            note = {"facecolor": colors[name], "edgecolor": "none", "boxstyle": "square,pad=0.25"}
            look = {"color": "white", "fontsize": 10, "bbox": note}
            ax.text(x, y, name, ha=side, va="bottom", clip_on=False, **look)
    return figure


def split_features(parts: Mapping[str, tuple[Any, "Tensor", "Tensor"]]) -> "Figure":
    """Photos, each with the means over channels of its view-wise and image-wise feature
    (1, C, h, w), by the photos' names.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(parts), 3, figsize=(8.8, 2.0 * len(parts)), squeeze=False)
    for line, (name, (photo, *features)) in zip(axes, parts.items(), strict=True):
        line[0].imshow(photo)
        for ax, feature in zip(line[1:], features, strict=True):
            ax.imshow(feature[0].mean(0).numpy(), cmap="magma", aspect="auto")
        for ax, title in zip(line, (name, "view-wise", "image-wise"), strict=True):
            ax.set(title=title, xticks=[], yticks=[])
    return figure
