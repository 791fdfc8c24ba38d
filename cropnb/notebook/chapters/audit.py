"""Figures of the chapter on the audit: what fixed crops hit, two metrics, what needs no pixel."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cropnb.notebook.comparison import METHOD_COLORS
from cropnb.notebook.drawing import draw_boxes, draw_outline

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from cropnb.metrics import Interval

# the line of each tolerance, and the marker of what is printed for it
_TOLERANCES: dict[float, tuple[str, str]] = {0.85: ("-", "o"), 0.90: ("--", "s"), 1.00: (":", "D")}
_SOURCES = (("gray", "o"), ("gray", "s"), ("black", "^"), ("black", "D"))  # none of them a method


def fixed_crops(
    shares: Mapping[float, np.ndarray],
    halves: Mapping[float, np.ndarray],
    printed: Mapping[float, Sequence[float]],
) -> None:
    """On how many photos one of N fixed crops hits, for each tolerance, and what a paper prints.

    Args:
        shares: by the tolerance, (N,) per cent of the photos with one crop, two, and so on.
        halves: (N,), half the width of their 95 % intervals.
        printed: the method's own numbers with five and with ten crops.
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.2))
    ours = METHOD_COLORS["set_prediction"]
    for eps, share in shares.items():
        (line, marker), counts = _TOLERANCES[eps], np.arange(1, len(share) + 1)
        ax.plot(counts, share, line, color="black", label=f"ε = {eps:.2f}, fixed crops")
        low, high = share - halves[eps], share + halves[eps]
        ax.fill_between(counts, low, high, color="gray", alpha=0.2, linewidth=0)
        if eps in printed:
            label = f"ε = {eps:.2f}, set prediction, as printed"
            ax.plot([5, 10], printed[eps], marker, color=ours, markersize=8, label=label)
    ax.set(xlabel="crops that count, N", ylabel="photos hit, %", ylim=(0, 100))
    ax.set_xticks([1, 5, 10, 15, 20])
    ax.set_title("GAICD v1, 200 test photos, annotations only")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)


def two_metrics(photo: "Image", liked: "Tensor", shown: "Tensor") -> None:
    """What Acc 1/5 and ACC 1/5 ask of one ranking: people's crops black, the ranking's grey.

    Args:
        photo: what the crops lie on.
        liked: (N, 4), people's best crop first.
        shown: (N, 4), the method's first crop first.
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for ax, theirs, ours in ((left, liked[:5], shown[:1]), (right, liked[:1], shown[:5])):
        draw_boxes(ax, photo, [])
        for boxes, color in ((theirs, "black"), (ours, "gray")):
            for box in boxes.tolist():
                draw_outline(ax, box, color="white", linewidth=4)
                draw_outline(ax, box, color=color, linewidth=2)
    left.set_title("Acc 1/5: five of theirs, one of ours")
    right.set_title("ACC 1/5: one of theirs, five of ours")


def without_a_pixel(
    ways: Mapping[str, Mapping[str, "Interval"]], printed: Mapping[str, Mapping[str, float]]
) -> None:
    """How far each source of knowledge gets from a random order to a printed number.

    Args:
        ways: by the column, then by the source: the share of the way.
        printed: by the column, then by the method: the share of its printed number.
    """
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 4.2))
    for place, (column, sources) in enumerate(ways.items()):
        for number, (name, way) in enumerate(sources.items()):
            y, (color, marker) = place + (number - 1.5) * 0.15, _SOURCES[number]
            ax.plot([way.low, way.high], [y, y], color=color, linewidth=2)
            label = None if place else name
            ax.plot(way.mean, y, marker, color=color, markersize=7, label=label)
        for name, at in printed[column].items():
            ax.plot([at, at], [place - 0.35, place + 0.35], color="black", linewidth=1)
            ax.text(at, place - 0.37, name, ha="center", va="bottom", fontsize=8)
    ax.set(yticks=range(len(ways)), yticklabels=list(ways), ylim=(len(ways) - 0.4, -0.7))
    ax.set_xlabel("share of the way from a random order to GAIC's printed number")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=2, frameon=False)
