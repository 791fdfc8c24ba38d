"""Figures and tables of the chapter on data: layouts, where people crop, terms, tastes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cropnb import ledger, methods
from cropnb.datasets.bias import EDGES, QUARTILES
from cropnb.notebook.drawing import COLORS, draw_boxes, draw_outline, draw_photos
from cropnb.notebook.source import Markdown, escaped
from cropnb.notebook.tables import markdown_table, with_interval

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from cropnb.datasets.base import Sample

# The lower quarter, the median and the upper quarter of each edge of the crops that people like.
Quartiles = Mapping[str, Mapping[str, float]]


def claim(photo: "Image", boxes: "Tensor", truth: "Tensor", raters: "Tensor", srcc: float) -> None:
    """The best crop of a photo beside each rater's favourite, and mean rating over true score.

    Args:
        photo: what the crops lie on.
        boxes: (N, 4), its candidates.
        truth: (N,), their score without noise.
        raters: (raters, N), what each rater gives them.
        srcc: the rank correlation of the mean rating with the score.
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    draw_boxes(left, photo, boxes[raters.argmax(1)].unique(dim=0), colors="black")
    draw_boxes(left, photo, boxes[truth.argmax()], ["best score"], "yellow")
    right.plot(truth, raters.double().mean(0), "o", markersize=4, color="black")
    right.set(xlabel="score without noise", ylabel="mean of seven ratings")
    right.set_title(f"rank correlation {srcc:.2f}")


def layouts(pictures: Mapping[str, tuple["Image", "Tensor", "Image", "Tensor"]]) -> None:
    """Photos with boxes of objects, below each the layout of these boxes, and the same as a map.

    Args:
        pictures: by a name, the photo, its boxes (N, 4) in pixels, the layout and the map (H, W).
    """
    import matplotlib.pyplot as plt

    shapes = [(photo.width, photo.height) for photo, *_ in pictures.values()]
    widths = [width / height for width, height in shapes]
    size = (3.1 * sum(widths), 3 * 3.1 + 0.3)  # all panels 300 pixels high
    _, panels = plt.subplots(3, len(pictures), figsize=size, squeeze=False, width_ratios=widths)
    for line, (photo, objects, layout, density) in zip(panels.T, pictures.values(), strict=True):
        draw_boxes(line[0], photo, objects, colors="black")
        line[1].imshow(layout)
        extent = (0, photo.width, photo.height, 0)
        line[2].imshow(density, extent=extent, cmap="gray", vmin=0, vmax=1)
        for ax in line[1:]:
            ax.axis("off")
    titles = ("photo and boxes", "its layout", "as a map")
    for ax, title in zip(panels[:, 0], titles, strict=True):
        ax.set_title(title)


def where_people_crop(squares: Mapping[str, Quartiles]) -> None:
    """A square for each title, three in a row: the box of the median edges, and in a pale band the
    middle half of each edge.
    """
    import matplotlib.pyplot as plt

    rows = -(-len(squares) // 3)
    _, panels = plt.subplots(rows, 3, figsize=(8, 2.8 * rows), squeeze=False)
    for ax, (title, quartiles) in zip(panels.flat, squares.items(), strict=False):
        low, middle, high = ([quartiles[edge][name] for edge in EDGES[:4]] for name in QUARTILES)
        outer, inner = (low[0], low[1], high[2], high[3]), (high[0], high[1], low[2], low[3])
        for (x1, y1, x2, y2), color in ((outer, "#cccccc"), (inner, "white")):
            ax.fill([x1, x2, x2, x1], [y1, y1, y2, y2], color=color, linewidth=0)
        draw_outline(ax, middle, color=COLORS["black"])
        share_text = f"keeps {quartiles['share kept']['median']:.0%}"
        ax.text(0.5, 0.5, share_text, ha="center", va="center")
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect="equal", title=title)
        ax.spines[["top", "right"]].set_visible(True)


def drawn(photos: Sequence[np.ndarray]) -> None:
    """Photos of three to two in two columns, without titles."""
    import matplotlib.pyplot as plt

    rows = -(-len(photos) // 2)
    _, panels = plt.subplots(rows, 2, figsize=(8, 2.7 * rows), squeeze=False)
    for ax, photo in zip(panels.flat, photos, strict=True):
        draw_boxes(ax, photo, [])


def crops_of_a_term(
    photo: np.ndarray, name: str, crops: Sequence[tuple["Tensor", "Tensor"]]
) -> None:
    """Crops cut out of a photo, with lines at their thirds and a term's value above each.

    Args:
        photo: (H, W, 3).
        name: of the term.
        crops: each crop (4,), whole pixels, with the term's value ().
    """
    import matplotlib.pyplot as plt

    _, panels = plt.subplots(1, len(crops), figsize=(7.2, 3), squeeze=False)
    for ax, (crop, value) in zip(panels.flat, crops, strict=True):
        x1, y1, x2, y2 = crop.int().tolist()
        draw_boxes(ax, photo[y1:y2, x1:x2], [])
        ax.set_title(f"{name.replace('_', ' ')} {value:.2f}")
        for third in (1 / 3, 2 / 3):
            ax.axvline((x2 - x1) * third, color="white", linewidth=0.8)
            ax.axhline((y2 - y1) * third, color="white", linewidth=0.8)


def tastes(terms: Sequence[str], weights: np.ndarray, sizes: Sequence[float]) -> None:
    """What each term is worth to each person, and who likes crops wide.

    Args:
        terms: (T,), their names.
        weights: (people, T), in per cent.
        sizes: (people,), above zero for those who like wide crops.
    """
    import matplotlib.pyplot as plt

    options = {"figsize": (8, 4), "height_ratios": (3, 1), "sharex": True}
    figure, (above, below) = plt.subplots(2, 1, **options)
    shades = above.imshow(weights.T, cmap="cividis", aspect="auto")
    above.set_yticks(range(len(terms)), [name.replace("_", " ") for name in terms])
    figure.colorbar(shades, ax=above, label="% of the weight")
    below.bar(range(len(sizes)), sizes, color="gray")
    below.axhline(0, color="black", linewidth=0.8)
    below.set(xticks=range(len(sizes)), ylabel="likes it wide")
    below.set_xlabel("member of the panel (0 to 2 are the three photographers)")


def in_each_form(samples: Mapping[str, "Sample"]) -> None:
    """One scene in the form of each dataset: its true boxes, or the three best of its candidates.

    Args:
        samples: by the name of the form.
    """
    pictures = {}
    for form, sample in samples.items():
        boxes, title = sample.boxes, f"{form}: {len(sample.boxes)} drawn"
        if sample.scores is not None:
            boxes = boxes[sample.scores.argsort(descending=True)[:3]]
            title = f"{form}: 3 best of {len(sample.boxes)}"
        pictures[title] = (sample.photo(), boxes)
    draw_photos(pictures, "black").set_dpi(80)


def ceilings(counts: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
    """What a perfect judge reaches over the number of people who rate a crop.

    Args:
        counts: (N,), of people.
        values: (N,) by the measure's name.
    """
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(6, 2.8))
    for (name, reached), line in zip(values.items(), ("o-", "s--"), strict=False):
        ax.plot(counts, reached, line, color="black", label=name)
    ax.set(xlabel="people who rate a crop", ylabel="ceiling", xticks=counts, ylim=(0.5, 1))
    ax.legend()


def reference_table(pairs: Sequence[tuple[str, str]]) -> Markdown:
    """The four reference rows of the scenes' ledger, a line for each form and measure."""
    from cropnb.datasets.scenes import reference

    names = (reference.CEILING, reference.MEMBER, reference.PRIOR, reference.CENTRE)
    lines = []
    for form, column in pairs:
        rows = {row.row: row for row in ledger.find("scenes", table=form, column=column)}
        gap = rows.get(reference.GAP)
        last = f"{gap.ours:.1f} %, {gap.verdict}" if gap else "less is better"
        values = (with_interval(rows[name], ".3g") for name in names)
        lines.append([form, column, *values, last, rows[reference.CEILING].images])
    heads = ["form", "number", "ceiling", "one person", "blind prior", "centred crop"]
    heads += [f"gap closed < {reference.LIMIT:.0%}", "photos"]
    return markdown_table(heads, lines, "l" * len(heads))


def teacher_table(rows: Sequence[ledger.Row]) -> Markdown:
    """The teacher's labels against people's own, a line a number."""
    lines = []
    for row in rows:
        less = methods.difference(row)
        value = with_interval(row, ".3f")
        lines.append([row.table, row.row, row.column, value, row.images, less and str(less)])
    heads = ["measured on", "with", "", "value [95 %]", "photos", "less the centred window"]
    return markdown_table(heads, lines, "lllrrr")


def speed_lines(rows: Sequence[ledger.Row], memory: Sequence[ledger.Row]) -> Markdown:
    """How fast photos are read, and what a process takes in memory at most."""
    lines = []
    for row in rows:
        taken = f"{with_interval(row, '.3g')} {row.column}"
        taken = taken.replace(" times ", " times as long as ")
        line = f"{row.row} take {taken} ({row.images} photos a round; {row.note})"
        lines.append(f"- {escaped(line)}")
    for row in memory:
        line = f"{row.row} takes {row.ours:.0f} {row.column} at most ({row.note})"
        lines.append(f"- {escaped(line)}")
    return Markdown("\n".join(lines))
