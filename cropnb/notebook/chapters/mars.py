"""Figures of the chapter on Mars: maps and their crops, ratios and their weights."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cropnb.croppers.windows import largest_window
from cropnb.mars.cropper import MapCrop, Prediction
from cropnb.mars.photos import long_side_size
from cropnb.notebook.comparison import METHOD_COLORS
from cropnb.notebook.drawing import (
    draw_arrow,
    draw_block,
    draw_boxes,
    draw_photos,
    loss_curve,
)
from cropnb.notebook.training_curves import validation_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cropnb.checkpoints import History
    from cropnb.notebook.tables import Markdown
    from cropnb.notebook.training_curves import LineDrawing

_SKY, _GRAY = METHOD_COLORS["mars"], "gray"
_NETWORK_LOOKS = {  # of lines: in colour the method alone
    "Mars": (_SKY, "-"),
    "no ARS-FTM": ("black", "--"),
    "no ARS-PWP": ("black", ":"),
    "no ARS-FTM, no ARS-PWP": ("black", "-"),
    "scalar ratio": (_GRAY, "-"),
    "nearest embedding": (_GRAY, "--"),
    "ratios left out": (_GRAY, "-."),
}
_STRIDE = 4  # pixels of what the network sees in a cell of the shipped networks' maps
_RATIO_NAMES = {"1:2": 1 / 2, "3:4": 3 / 4, "1:1": 1.0, "4:3": 4 / 3, "2:1": 2.0}


def centred_window(aspect: float, width: float, height: float) -> list[float]:
    """The largest window of a ratio in the middle of a photo, x1 y1 x2 y2."""
    w, h = largest_window(width, height, aspect)
    return [(width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2]


def cell_size(photo: Image.Image) -> tuple[float, float]:
    """Width and height of a map's cell in pixels of its photo."""
    seen = long_side_size(*photo.size)
    return _STRIDE * photo.width / seen[0], _STRIDE * photo.height / seen[1]


def maps_and_crops(photo: Image.Image, seen: Prediction, names: Sequence[str]) -> None:
    """A row for each ratio: the map, and on the photo the crop and the centred window."""
    import matplotlib.pyplot as plt

    width = 7.0
    height = len(names) * (0.35 + width / 2 * photo.height / photo.width)
    _, panels = plt.subplots(len(names), 2, figsize=(width, height), squeeze=False)
    for row, values, box, name in zip(panels, seen.maps, seen.boxes, names, strict=True):
        row[0].imshow(values, cmap="magma", vmin=0, vmax=1)
        row[0].axis("off")
        x1, y1, x2, y2 = box.tolist()
        window = centred_window((x2 - x1) / (y2 - y1), *photo.size)
        draw_boxes(row[1], photo, [window, box.tolist()], colors=[_GRAY, _SKY])
        row[0].set_title(f"{name}: the map")
        row[1].set_title("Mars and the centred window")


def overview() -> None:
    """The network's diagram, Figures 2 to 4 in one."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(1, 1, figsize=(9, 3.1))
    for x1, x2 in ((0.4, 1.0), (1.85, 2.4), (3.4, 4.05), (4.4, 4.82), (6.15, 6.62), (7.48, 8.02)):
        draw_arrow(ax, (x1, 2.4), (x2, 2.4))
    draw_arrow(ax, (2.9, 2.15), (2.9, 1.6))
    draw_arrow(ax, (4.22, 1.62), (4.22, 2.24))
    draw_arrow(ax, (4.2, 0.56), (4.2, 1.1), dashed=True)
    draw_arrow(ax, (3.25, 1.35), (3.62, 1.35))
    draw_arrow(ax, (0.65, 0.3), (1.35, 0.3))
    draw_arrow(ax, (2.25, 0.3), (3.3, 0.3))
    draw_arrow(ax, (4.95, 0.4), (6.85, 2.13), dashed=True)
    draw_block(ax, 0.15, 2.4, "photo")
    draw_block(ax, 1.4, 2.4, "backbone\nto 1/16", "blue")
    draw_block(ax, 2.9, 2.4, "feature map\n16 × 11 × 96", "blue")
    draw_block(ax, 4.22, 2.4, "+")
    draw_block(ax, 5.5, 2.4, "1 × 1 convolutions,\n2 deconvolutions", "blue")
    draw_block(ax, 7.05, 2.4, "ARS-PWP\n96 → 1", "orange", dashed=True)
    draw_block(ax, 8.35, 2.4, "map\n64 × 43")
    draw_block(ax, 2.9, 1.35, "mean:\nf_ara, 96")
    draw_block(ax, 4.22, 1.35, "ARS-FTM 96 × 96\nf_ars, 96", "orange", dashed=True)
    draw_block(ax, 0.35, 0.3, "ratio τ")
    draw_block(ax, 1.8, 0.3, "embedding\n512 numbers", "green")
    draw_block(ax, 4.1, 0.3, "meta-learners\n512 → 96 · 96 and 96", "green")
    ax.set(xlim=(-0.2, 8.9), ylim=(-0.05, 2.8))
    ax.axis("off")


def spacing(ratios: Tensor) -> None:
    """Chosen ratios (N,) on the axis of τ and on that of log τ."""
    import matplotlib.pyplot as plt

    _, (top, bottom) = plt.subplots(2, 1, figsize=(7.5, 1.9))
    for ax, places in ((top, ratios), (bottom, ratios.log())):
        ax.plot(places, torch.zeros(len(places)), "|", markersize=14, color=_SKY)
        for name, ratio in _RATIO_NAMES.items():
            at = ratio if ax is top else math.log(ratio)
            ax.annotate(name, (at, 0), (0, 10), textcoords="offset points", ha="center", fontsize=9)
        ax.set(yticks=[], ylim=(-1, 1.6))
        ax.spines["left"].set_visible(False)
    top.set_xlabel("τ", labelpad=-2)
    bottom.set_xlabel("log τ", labelpad=-2)


def shares(ratios: Tensor, shares_by_kind: Mapping[str, Tensor]) -> None:
    """The share (R, N) of each of N vectors at ratios (R,), a panel for each way to mix them."""
    import matplotlib.pyplot as plt

    _, panels = plt.subplots(1, len(shares_by_kind), figsize=(6.4, 1.7), sharey=True)
    for ax, (kind, values) in zip(panels, shares_by_kind.items(), strict=True):
        ax.plot(ratios.log2(), values)
        ax.set(title=kind, xlabel="log₂ τ")
    panels[0].set_ylabel("share")


def failures(patches: Mapping[str, Tensor], crops: Mapping[str, MapCrop]) -> None:
    """Six maps, by name, of which white lies above θ, each with its crop and the crop's centre."""
    import matplotlib.pyplot as plt

    _, panels = plt.subplots(2, 3, figsize=(6.8, 3.3))
    for ax, (name, patch) in zip(panels.flat, patches.items(), strict=True):
        white = np.repeat(np.uint8(255 * patch.numpy())[:, :, None], 3, axis=2)
        draw_boxes(ax, white, crops[name].boxes[0].tolist(), colors=_SKY)
        ax.plot(*crops[name].medians[0, :2], "o", color=_SKY, markersize=5)
        ax.set_title(name, fontsize=10)


def loss(history: "History") -> "Figure":
    """The loss of each step beside that of a coin toss."""
    figure = loss_curve(history, smooth=min(8, len(history.steps)), color=_SKY)
    figure.set_size_inches(5.4, 2.6)
    ax = figure.axes[0]
    ax.axhline(math.log(2), color="gray", linewidth=0.8)
    where = {"xytext": (0, 4), "textcoords": "offset points", "fontsize": 9}
    ax.annotate("a coin toss, log 2", (1, math.log(2)), **where)
    return figure


def trained_curves() -> "LineDrawing | Markdown":
    """How the networks whose backbone learns were trained: in the method's colour Mars itself, the
    others in black and grey, each with a line of its own.
    """
    return validation_figure("mars", _NETWORK_LOOKS, profile="trained")


def thresholds(means: Mapping[float, float], best: float) -> None:
    """The mean IoU at each θ, with the best one and the paper's."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(1, 1, figsize=(5.4, 2.3))
    ax.plot(list(means), list(means.values()), color=_SKY)
    ax.plot(best, means[best], "o", color="black", label=f"best, θ = {best:g}")
    ax.axvline(0.4, color="gray", linewidth=0.8, linestyle="--", label="the paper's 0.4")
    ax.set(xlabel="θ", ylabel="mean IoU, training photos")
    ax.legend()


def weights_path(similar: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
    """Of each network the similarity (N, N) of any two ratios' matrices, and the share (N,) of
    their variation that the first directions hold.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(8.0, 2.4), width_ratios=(1, 1, 1.1))
    for ax, (name, values) in zip(panels, similar.items(), strict=False):
        look = {"extent": (-1, 1, -1, 1), "origin": "lower", "cmap": "viridis"}
        picture = ax.imshow(values, vmin=0, vmax=1, **look)
        ax.set(title=name, xlabel="log₂ τ", ylabel="log₂ τ")
    figure.colorbar(picture, ax=panels[1], label="similarity")
    for (name, values), line in zip(held.items(), ("o--", "o-"), strict=True):
        face = "white" if line == "o--" else _SKY
        panels[2].plot(
            range(1, 21), values[:20], line, color=_SKY, mfc=face, markersize=4, label=name
        )
    panels[2].set(title="variation held", xlabel="number of directions", ylim=(0, 1.05))
    panels[2].legend(loc="lower right")


def above(ratios: Tensor, areas: Mapping[str, Mapping[str, Tensor]]) -> None:
    """The share of the map above θ at ratios (R,): a panel a network, a line a photo."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(areas), figsize=(7.6, 2.4), sharey=True)
    for ax, (network, lines) in zip(panels, areas.items(), strict=True):
        for (name, values), look in zip(lines.items(), ("-", "--", ":", "-."), strict=False):
            ax.plot(ratios.log2(), 100 * values, look, color=_SKY, label=name, linewidth=1.4)
        ax.set(title=network, xlabel="log₂ τ")
    panels[0].set_ylabel("% of the map above θ")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9)


def lengths(octaves: Tensor, continued: Tensor, limited: Tensor) -> None:
    """The length of the embedding over log₂ τ, for the two answers beyond 1/2 and 2."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(1, 1, figsize=(6.4, 2.4))
    ax.plot(octaves, continued, "--", color="black", label="the line continued")
    ax.plot(octaves, limited, color=_SKY, label="the last vector kept (ours)")
    ax.set(xlabel="log₂ τ", ylabel="length of E(τ)", yscale="log")
    ax.legend()


def masked_and_cut(photo: Image.Image, seen: Prediction, names: Sequence[str]) -> None:
    """A column for each ratio: the map, the photo darkened by it, and the crop."""
    import matplotlib.pyplot as plt

    _, panels = plt.subplots(3, len(names), figsize=(6.6, 7.6), squeeze=False)
    for column, values, box, name in zip(panels.T, seen.maps, seen.boxes, names, strict=True):
        size = (photo.height, photo.width)
        mask = F.interpolate(values[None, None], size, mode="bilinear")[0, 0]  # (H, W)
        x1, y1, x2, y2 = box.round().int().tolist()
        column[0].imshow(values, cmap="magma", vmin=0, vmax=1)
        column[1].imshow(np.uint8(np.array(photo) * mask[:, :, None].numpy()))
        column[2].imshow(np.asarray(photo.crop((x1, y1, x2, y2))))
        for ax, what in zip(column, ("map", "photo under the map", "crop"), strict=True):
            ax.set_title(f"{name}, {what}")
            ax.axis("off")


def crops_of_photos(pictures: Mapping[str, tuple[Image.Image, Tensor]]) -> None:
    """Photos, by title, with the centred window and boxes by smartcrop, GAIC and Mars."""
    draw_photos(pictures, colors=[_GRAY, "black", METHOD_COLORS["gaic"], _SKY])
