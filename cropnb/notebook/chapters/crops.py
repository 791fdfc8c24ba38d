"""Figures of the chapter on crops: boxes, the rule of the grid anchors, coverage, composition."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

from cropnb.notebook.comparison import METHOD_COLORS
from cropnb.notebook.drawing import COLORS, draw_boxes, draw_outline, draw_photos

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image
    from torch import Tensor

# One colour a family of candidates in all figures: that of the method that searches it.
FAMILY_COLORS: dict[str, str] = {
    "grid anchors": METHOD_COLORS["gaic"],
    "sliding windows": METHOD_COLORS["asm_net"],
    "aspect windows": METHOD_COLORS["mars"],
    "one centred box": "gray",
}


def claim(photo: "Image", anchors: "Tensor", near: Mapping[str, "Tensor"]) -> None:
    """The anchors on a photo, and beside it the share of wanted crops below each IoU.

    Args:
        photo: what the anchors lie on.
        anchors: (N, 4), in its pixels.
        near: by the name of a family, the IoU (M,) of each wanted crop with its nearest candidate.
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    draw_boxes(left, photo, [])
    for box in anchors.tolist():
        draw_outline(left, box, color="white", linewidth=0.6, alpha=0.7)
    left.set_title(f"{len(anchors)} grid anchors")
    for name, values in near.items():
        share = np.linspace(0, 1, len(values))
        right.plot(values.sort().values, share, color=FAMILY_COLORS[name], label=name)
    right.set(xlabel="IoU of the nearest candidate", ylabel="share of random crops below")
    right.set_xlim(0.4, 1)
    right.legend(loc="upper left")


def coordinates(photo: "Image", box: Sequence[float]) -> None:
    """A box on a photo with its two corners named and its edges marked along the axes."""
    import matplotlib.pyplot as plt

    x1, y1, x2, y2 = (float(edge) for edge in box)
    _, ax = plt.subplots(figsize=(4.8, 3))
    draw_boxes(ax, photo, [x1, y1, x2, y2], colors="yellow")
    ax.set(xlabel="x", ylabel="y (down)")
    ax.set(xticks=[0, x1, x2, photo.width], yticks=[0, y1, y2, photo.height])
    look = {"color": "white", "fontsize": 11, "arrowprops": {"color": "white", "width": 1}}
    ax.annotate("(x1, y1)", (x1, y1), (x1 - 130, y1 - 30), **look)
    ax.annotate("(x2, y2)", (x2, y2), (x2 + 40, y2 + 50), **look)


def two_boxes(photo: "Image", first: "Tensor", second: "Tensor", title: str) -> None:
    """Two boxes (4,) on a photo, called A and B."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(4.8, 3.3))
    pair = [first.tolist(), second.tolist()]
    draw_boxes(ax, photo, pair, ["A", "B"], ["black", "yellow"]).set_title(title)


def rule_steps(photo: "Image", small: Sequence[int], thin: Sequence[int]) -> None:
    """The four steps of the grid-anchor rule on four copies of a photo.

    Args:
        photo: what the grid lies on.
        small: a box in cells that the third step drops, as the columns and rows of its two corners.
        thin: the same for the fourth step.
    """
    cell = np.array([photo.width, photo.height] * 2) / 12
    dropped = [(np.array(cells) + 0.5) * cell for cells in (small, thin)]
    titles = ["1. twelve by twelve cells", "2. corners in two thirds"]
    titles += ["3. too small: dropped", "4. too thin: dropped"]
    pictures = dict(zip(titles, [(photo, box) for box in ([], [], *dropped)], strict=True))
    panels = _panels(pictures, "vermilion")
    for k in range(1, 12):
        for ax in panels[:2]:
            ax.axvline(k * cell[0], color="white", linewidth=0.5)
            ax.axhline(k * cell[1], color="white", linewidth=0.5)
    for first, color in ((0, COLORS["yellow"]), (8, "white")):
        places = np.arange(first, first + 4) + 0.5
        x, y = np.meshgrid(places * cell[0], places * cell[1])
        panels[1].plot(x, y, "o", markersize=5, color=color, markeredgecolor="black")


def families(photo: "Image", shown: Mapping[str, "Tensor"], counts: Mapping[str, int]) -> None:
    """Some candidates of each family, a picture each.

    Args:
        photo: what they lie on.
        shown: by the family's name, the boxes (N, 4) to draw.
        counts: how many candidates the family has in all.
    """
    pictures = {f"{counts[name]} {name}": (photo, []) for name in shown}
    for ax, (name, boxes) in zip(_panels(pictures), shown.items(), strict=False):
        color = next(color for family, color in FAMILY_COLORS.items() if family in name)
        for box in boxes.tolist():
            draw_outline(ax, box, color=color, linewidth=0.9)


def coverage_curve(edges: Sequence[float], means: Mapping[str, Sequence[float]]) -> None:
    """The mean IoU of the nearest candidate against the size of the wanted crop.

    Args:
        edges: (N + 1,) of the classes of size, shares of the photo.
        means: (N,) by the family's name.
    """
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(6.4, 3))
    middles = (np.array(edges[:-1]) + np.array(edges[1:])) / 2
    for name, values in means.items():
        ax.plot(middles, values, "o-", color=FAMILY_COLORS[name], label=name)
    ax.axvline(0.5, color="gray", linewidth=1, linestyle=":")
    ax.set(xlabel="share of the photo that the wanted crop keeps", ylim=(0, 1))
    ax.set_ylabel("mean IoU of the nearest")
    ax.legend(loc="lower right")


def chosen_crops(shares: "Tensor", near: "Tensor", photos: int) -> None:
    """How large the crops are that people chose, and how near a grid anchor comes to each.

    Args:
        shares: (N,), of the photo.
        near: (N,), the IoU of the nearest anchor.
        photos: how many photos the crops are from.
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True)
    left.hist(shares, bins=20, range=(0, 1), color=COLORS["black"])
    left.axvline(0.5, color="gray", linestyle=":")
    left.set(xlabel="share of the photo kept", ylabel="crops")
    left.set_title(f"{len(shares)} crops, {photos} photos")
    right.hist(near, bins=20, range=(0, 1), color=FAMILY_COLORS["grid anchors"])
    right.set_xlabel("IoU of the nearest grid anchor")


def rules(photo: "Image", crop: Sequence[float], lines: Mapping[str, Sequence[float]]) -> None:
    """A crop with the lines of one rule of composition in each picture.

    Args:
        photo: what is cropped.
        crop: x1 y1 x2 y2 in its pixels.
        lines: by the rule's name, the shares of the crop's sides at which its lines lie; none
            stands for the diagonals.
    """
    panels = _panels(dict.fromkeys(lines, (photo, crop)), "yellow")
    for ax, shares in zip(panels, lines.values(), strict=True):
        draw_rule(ax, crop, shares)


def draw_rule(ax: "Axes", box: Sequence[float], shares: Sequence[float]) -> None:
    """Draw the lines of a rule into a box; no shares stand for the diagonals."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    look: dict[str, Any] = {"color": "white", "linewidth": 1.2}
    for share in shares:
        ax.plot([x1 + share * (x2 - x1)] * 2, [y1, y2], **look)
        ax.plot([x1, x2], [y1 + share * (y2 - y1)] * 2, **look)
    if not shares:
        ax.plot([x1, x2], [y1, y2], [x1, x2], [y2, y1], **look)


def saliency(
    photos: Mapping[str, "Image"], maps: Mapping[str, "Tensor"], points: Mapping[str, "Tensor"]
) -> None:
    """The photos' maps of saliency (H, W), each with a point (2,)."""
    pictures = {}
    for name, values in maps.items():
        grey = np.uint8(255 * (values / values.max()).numpy())  # (H, W)
        shown = PIL.Image.fromarray(grey).resize(photos[name].size)
        pictures[name] = (shown.convert("RGB"), [])
    for ax, name in zip(_panels(pictures), maps, strict=True):
        _draw_point(ax, points[name])


def crops_by_thirds(
    photos: Mapping[str, "Image"], crops: Mapping[str, "Tensor"], points: Mapping[str, "Tensor"]
) -> None:
    """Each photo with its crop (4,), the crop's thirds and the point (2,) that they follow."""
    pictures = {name: (photo, crops[name]) for name, photo in photos.items()}
    for ax, name in zip(_panels(pictures, "yellow"), photos, strict=True):
        draw_rule(ax, crops[name].tolist(), (1 / 3, 2 / 3))
        _draw_point(ax, points[name])


def _panels(pictures: Mapping[str, Any], colors: str | None = None) -> "list[Axes]":
    """What `draw_photos` draws, 320 pixels wide each: larger, the chapter would pass a megabyte."""
    figure = draw_photos(pictures, colors)
    figure.set_dpi(80)
    return figure.axes


def _draw_point(ax: "Axes", point: "Tensor") -> None:
    """A vermilion dot, as in the figure to drag."""
    ax.plot(*point.tolist(), "o", color=COLORS["vermilion"], markeredgecolor="white", markersize=9)
