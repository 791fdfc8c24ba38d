"""Figures of the chapter on metrics: blind croppers, two boxes, precision and recall, intervals."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cropnb.notebook.drawing import COLORS, draw_outline

if TYPE_CHECKING:
    from torch import Tensor

    from cropnb.metrics import Difference, Interval


def claim(
    sides: Sequence[float],
    means: Sequence[float],
    tolerances: Sequence[float],
    hits: Sequence[float],
) -> None:
    """What two blind croppers reach.

    Args:
        sides: (N,), of a centred box, as shares of the photo's sides.
        means: (N,), its mean IoU with the chosen crop.
        tolerances: (M,), the IoU that counts as a hit.
        hits: (M,), on how many photos ten fixed boxes hit, in per cent.
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(8, 2.9))
    left.plot(sides, means, "o-", color="gray")
    left.set(xlabel="size of a centred box, as a share of each side", ylim=(0, 0.8))
    left.set_ylabel("mean IoU with the chosen crop")
    right.plot(tolerances, hits, color="black")
    for eps in (0.85, 0.9, 1):
        right.axvline(eps, color="gray", linewidth=1, linestyle=":")
    right.set(xlabel="IoU that counts as a hit", ylim=(0, 105))
    right.set_ylabel("photos hit by ten fixed boxes, %")


def guesses(true: "Tensor", titled: Mapping[str, "Tensor"], width: int, height: int) -> None:
    """A true box (4,) in black and a guess (4,) in yellow, a panel each, under the guess's title.

    Args:
        true: x1 y1 x2 y2 in the photo's pixels.
        titled: the guesses by their titles.
        width: of the photo.
        height: of the photo.
    """
    import matplotlib.pyplot as plt

    _, panels = plt.subplots(1, len(titled), figsize=(8, 2.3), squeeze=False)
    for ax, (title, guess) in zip(panels.flat, titled.items(), strict=True):
        # On white, yellow needs a dark edge. The true box lies on top, where the two share a side.
        for color, thick in ((COLORS["black"], 4.6), (COLORS["yellow"], 3.2)):
            draw_outline(ax, guess, color=color, linewidth=thick)
        draw_outline(ax, true, color=COLORS["black"])
        ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xticks=[], yticks=[])
        ax.spines[["top", "right"]].set_visible(True)
        ax.spines[:].set_color("gray")
        ax.set_title(title)


def precision_recall(
    recalls: Sequence[float], read: Sequence[float], points: Iterable[tuple[float, float]]
) -> None:
    """A curve of precision over recall, and the area that average precision is.

    Args:
        recalls: (N,), at which COCO reads the curve.
        read: (N,), the precision that it reads.
        points: recall and precision after each prediction.
    """
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(4.8, 2.8))
    ax.fill_between(recalls, read, step="post", color="gray", alpha=0.2)
    ax.plot(recalls, read, drawstyle="steps-post", color="black", label="read at 101 recalls")
    look = {"color": "gray", "linewidth": 1, "label": "after each prediction"}
    ax.plot(*zip(*points, strict=True), "o--", **look)
    ax.set(xlabel="recall", ylabel="precision", ylim=(0, 1.05))
    ax.legend(loc="lower left")


def intervals(
    counts: Sequence[int],
    alone: Mapping[str, Sequence["Interval"]],
    differences: Sequence["Difference"],
) -> None:
    """Intervals over the number of photos: of each cropper alone, and of the paired difference.

    Args:
        counts: (N,), of photos.
        alone: (N,) intervals by the cropper's name.
        differences: (N,), of the croppers' difference photo by photo.
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
    looks = ((0.97, "gray"), (1.03, "black"))
    for (shift, color), (name, spans) in zip(looks, alone.items(), strict=True):
        means, reach = _bars(spans)
        places = np.array(counts) * shift
        left.errorbar(places, means, reach, fmt="o", capsize=3, color=color, label=name)
    means, reach = _bars(differences)
    right.axhspan(-0.02, 0.02, color="gray", alpha=0.15)
    right.errorbar(counts, means, reach, fmt="o", capsize=3, color="black")
    for ax, title in ((left, "mean IoU"), (right, "their difference, paired")):
        ax.set(xscale="log", xlabel="photos", title=title)
        ax.set_xticks(counts, counts)
        ax.minorticks_off()
    left.legend()


def _bars(spans: Sequence["Interval | Difference"]) -> tuple[np.ndarray, np.ndarray]:
    """Means (N,), and how far below and above them the intervals reach (2, N)."""
    mean, low, high = np.array([(span.mean, span.low, span.high) for span in spans]).T
    return mean, np.stack([mean - low, high - mean])
