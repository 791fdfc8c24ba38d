"""The figures and tables of the chapter on set prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from cropnb import ledger
from cropnb.ledger import Row
from cropnb.notebook.comparison import METHOD_COLORS
from cropnb.notebook.drawing import COLORS, draw_arrow, draw_block, draw_estimates, draw_outline
from cropnb.notebook.printed import printed_table
from cropnb.notebook.source import Markdown, escaped, folded
from cropnb.notebook.tables import (
    count_verdicts,
    ledger_grid,
    markdown_table,
    measured_row,
    measured_rows,
    with_interval,
)
from cropnb.paper import Paper, Table
from cropnb.runs import waiting

if TYPE_CHECKING:
    from torch import Tensor

    from cropnb.runs import Profile

LEDGER = "set_prediction"
OURS = METHOD_COLORS["set_prediction"]
GRID = METHOD_COLORS["gaic"]  # whose anchors lie on a grid
# The profile of the chapter's tables, and the one whose networks are compared with anchors.
PROFILE, TRAINED = "cpu", "trained"
_TRAINED_ROWS = "Networks whose last stages learned too, for 8 epochs; they were still learning"
# The rows of Tables 1 and 2 that the text speaks of; the others are one click away.
SPOKEN_OF = ("Ours", "w/o smoothing", "SD", "content-blind set")
# What claims are decided on, where they don't say.
CLAIMED = ("ε = 0.85, K = 10", "ε = 0.85, K = 40", "ε = 0.90, K = 40")
# Lines for the steps of one quantity: other colours would stand for other methods.
_STEPS = [(line, COLORS["black"]) for line in ("-", "--", "-.", ":")] + [("-", OURS), ("--", OURS)]
_TOLERANCE = " (ε = "  # before the tolerance in a row's name


def claim(table: Table, mus: Sequence[float]) -> None:
    """The claim in one figure: AP over μ, as the paper's Figure 6 has it, and ours.

    Args:
        table: the paper's, with a row for each μ that the text gives.
        mus: those that we measured.
    """
    import matplotlib.pyplot as plt

    column = table.columns[0]
    printed = {float(row.partition("= ")[2]): table.value(row, column) for row in table.rows}
    wanted = {"table": table.name, "column": column, "dataset": "scenes", "profile": PROFILE}
    rows = {mu: measured_row(LEDGER, row=f"μ = {mu:g}", **wanted) for mu in mus}
    rows = {mu: row for mu, row in rows.items() if row}
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    left.plot(list(printed), list(printed.values()), "ko")
    draw_estimates(right, list(rows), list(rows.values()), fmt="o", color=OURS)
    left.set(title=f"printed: {table.photos} photographs of GAICD v2", ylabel=f"AP, {column}")
    scenes = sorted({row.images for row in rows.values()}) or [0]
    right.set(title=f"ours: {' to '.join(map(str, scenes))} Composed Scenes")
    for ax in (left, right):
        ax.set(xlabel="μ, the highest soft label", xlim=(-0.08, 1))
        ax.grid(axis="y", alpha=0.3)


def network() -> None:
    """The paper's Figure 2: the network on the left, what trains it on the right."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(8.6, 3.8))
    for start, end, dashed in (
        ((0.62, 2.6), (1.0, 2.6), False),
        ((2.1, 2.6), (2.48, 2.6), False),
        ((3.1, 2.38), (3.1, 1.73), False),
        ((1.65, 1.4), (2.33, 1.4), False),
        ((3.88, 1.5), (4.88, 2.4), False),
        ((3.88, 1.3), (4.68, 0.4), False),
        ((5.62, 2.4), (7.0, 1.5), True),
        ((5.82, 0.4), (7.0, 1.3), True),
        ((7.6, 2.48), (7.6, 1.63), True),
        ((7.6, 0.48), (7.6, 1.17), True),
    ):
        draw_arrow(ax, start, end, dashed=dashed)
    draw_block(ax, 0.3, 2.6, "photo")
    draw_block(ax, 1.55, 2.6, "backbone\na map of cells", "blue")
    draw_block(ax, 3.1, 2.6, "encoder\ncells look at cells", "blue")
    draw_block(ax, 1.05, 1.4, "90 anchors\nlearned vectors", "orange")
    draw_block(ax, 3.1, 1.4, "decoder\nanchors look at\nanchors, then at cells", "green")
    draw_block(ax, 5.25, 2.4, "box head\n90 crops", "purple")
    draw_block(ax, 5.25, 0.4, "validity head\n90 probabilities", "purple")
    draw_block(ax, 7.6, 2.6, "good crops of the photo", "gray", dashed=True)
    draw_block(ax, 7.6, 1.4, "matching (Eq. 2)\nand loss (Eq. 3)", "gray", dashed=True)
    draw_block(ax, 7.6, 0.25, "soft labels\nof the unmatched", "gray", dashed=True)
    ax.set(xlim=(-0.1, 8.8), ylim=(-0.1, 3.0))
    ax.axis("off")


def good_crop_counts(counts: "Tensor") -> None:
    """A histogram of the number of good crops a scene, (scenes,)."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 2.6))
    ax.hist(counts.numpy(), bins=range(1, int(counts.max()) + 2), color=COLORS["black"])
    ax.set(xlabel="good crops of a scene", ylabel="scenes")


def focal_losses(p: "Tensor", losses: Mapping[float, "Tensor"]) -> None:
    """The focal loss (P,) of each label over the predicted validity `p` (P,), its lowest point
    marked.
    """
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 3))
    for (label, loss), (line, shade) in zip(losses.items(), _STEPS, strict=False):
        ax.plot(p, loss, line, color=shade, label=f"label {label:g}")
        ax.plot(p[loss.argmin()], loss.min(), "o", color=shade)
    ax.set(xlabel="predicted validity", ylabel="focal loss", ylim=(-0.02, 0.6))
    ax.legend(ncols=2)


def anchor_starts(starts: "Tensor", moved: "Tensor", epochs: Sequence[int]) -> None:
    """Where anchors start, at three moments, and how far they have moved.

    Args:
        starts: (E, Q, 4), x1 y1 x2 y2 divided by the sides.
        moved: (E, Q), the mean move of an edge since before training.
        epochs: (E,).
    """
    import matplotlib.pyplot as plt

    _, panels = plt.subplots(2, 2, figsize=(8, 4.6))
    *squares, last = panels.flat
    for ax, index in zip(squares, (0, len(starts) // 2, len(starts) - 1), strict=True):
        for box in starts[index].tolist():
            draw_outline(ax, box, color=OURS, alpha=0.35, linewidth=0.8)
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], title=f"epoch {epochs[index]}")
    for quantile, marker in zip((0.1, 0.5, 0.9), "vo^", strict=True):
        line = moved.quantile(quantile, dim=1)
        last.plot(epochs, line, f"{marker}-", color=OURS, label=f"{quantile:.0%} moved less")
    last.set(xlabel="epoch", title="move of an edge, as a share of the side")
    last.legend()


def soft_labels(
    scores: "Tensor", ramps: Mapping[float, "Tensor"], v: "Tensor", minima: Mapping[str, "Tensor"]
) -> None:
    """(Eq. 4) for several μ, and where the focal loss of a soft label has its minimum.

    Args:
        scores: (S,).
        ramps: the labels (S,) by μ.
        v: labels (V,).
        minima: the validities (V,) of the least loss by what counts as the miss.
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
    for (mu, labels), (line, shade) in zip(ramps.items(), _STEPS, strict=False):
        left.plot(scores, labels, line, color=shade, label=f"{mu:g}")
    left.set(xlabel="score of the neighbour", ylabel="label")
    left.set_title("equation 4 (the paper's Figure 6a)")
    left.legend(title="μ")
    for (miss, validities), look in zip(minima.items(), ("-", ":"), strict=False):
        right.plot(v, validities, look, color=COLORS["black"], label=f"miss {miss}")
    right.set(xlabel="label", ylabel="validity of the least focal loss")
    right.set_title("where the loss really pushes")
    right.legend()


def quality_and_validity(panels: Mapping[str, Sequence[tuple["Tensor", "Tensor"]]]) -> None:
    """The paper's Figure 7: each crop as a point, and the mean validity of each quality.

    Args:
        panels: by their titles, for each photo: estimated quality and validity of its crops, (P,)
            each.
    """
    import matplotlib.pyplot as plt
    import torch

    _, axes = plt.subplots(1, len(panels), figsize=(8, 3.4), sharey=True, squeeze=False)
    for ax, (title, pairs) in zip(axes.flat, panels.items(), strict=True):
        quality, validity = (torch.cat(part) for part in zip(*pairs, strict=True))
        ax.plot(quality, validity, ".", color=OURS, alpha=0.2, markersize=4, rasterized=True)
        values = quality.unique()
        means = [float(validity[quality == value].mean()) for value in values]
        ax.plot(values, means, color=COLORS["black"], label="mean")
        ax.set(xlabel="estimated quality", title=title, ylim=(0, 1))
    axes[0, 0].set(ylabel="validity")
    axes[0, 0].legend(loc="upper left")


def figure_7(shipped: Mapping[str, Sequence[tuple["Tensor", "Tensor"]]]) -> Markdown:
    """The paper's Figure 7 of the self-distilled network, as it is there.

    Args:
        shipped: the panels of the network that ships, drawn as long as the self-distilled one
            isn't measured.

    Returns:
        Which of them is drawn.
    """
    from cropnb.set_prediction.studies import scatter

    panels = scatter.read("SD")
    if panels is None:
        quality_and_validity(shipped)
        return Markdown(
            "Drawn is the shipped network, which was taught by quality guidance: the "
            f"self-distilled one is {_waits('figures-sd')}."
        )
    # Both kinds name the test photos' panel first.
    quality_and_validity(dict(zip(shipped, panels.values(), strict=True)))
    photos = max(map(len, panels.values()))
    return Markdown(f"Drawn is the self-distilled network, on {photos} scenes of each part.")


def measured_table(
    table: str, entry: str, head: str, columns: Sequence[str], spec: str
) -> Markdown:
    """Our rows of a table on Composed Scenes, or what measures them.

    Args:
        entry: of the plan, without the paper's name.
        head: what stands above the rows' names.
        columns: in this order; those that no row has are left out.
        spec: how the numbers are written.
    """
    rows = measured_rows(LEDGER, table=table, dataset="scenes")
    if not rows:
        return Markdown(f"*{head}: {_waits(entry)}*")
    there = [column for column in columns if any(row.column == column for row in rows)]
    return ledger_grid(rows, head, there, spec, photos="scenes")


def sets_against_anchors() -> Markdown:
    """Sets beside GAIC's anchors where the last stages of both were trained alike, a table for each
    kind of truths.
    """
    columns = [f"ε = 0.85, {one}" for one in ("ACC 1/5", "ACC 1/10", "K = 5", "K = 10", "K = 40")]
    columns.append("ε = 0.85, good crops with an anchor near")
    tables = {
        "": ("against-anchors", "truths on the grid"),
        ", truths off the grid": ("against-anchors-off-grid", "the same networks, truths off it"),
        ", CPC": ("against-anchors-cpc", "trained and tested off the grid, in CPC's form"),
    }
    parts = [
        measured_table(f"sets against anchors{added}", entry, head, columns, ".3g")
        for added, (entry, head) in tables.items()
    ]
    return Markdown("\n\n".join(parts))


def one_crop() -> Markdown:
    """One crop beside a set that was trained alike, and the verdicts."""
    from cropnb.set_prediction.studies.one_crop import APART, NEAR, REACHED, TABLE

    reached = [f"a crop within ε = {eps} of the best one" for eps in ("0.85", "0.90")]
    columns = [*reached, REACHED, APART, f"AP, ε = {NEAR}"]
    place = (TABLE, "one-crop-rows", "one crop against a set", columns, ".3g")
    parts = [measured_table(*place)]
    claimed = [f"ε = 0.85, ACC 1/{count}" for count in (1, 5, 10)] + ["ε = 0.90, ACC 1/1"]
    names = ("one best crop is ambiguous", "several crops find the best one")
    if any(ledger.find(LEDGER, table="claim", row=name) for name in names):
        parts.append(differences("claim", claimed, names))
    return Markdown("\n\n".join(parts))


def _waits(entry: str) -> str:
    """What an entry of the plan says of rows that aren't there."""
    return f"not measured yet (`make reproduce ONLY={LEDGER}/{entry}`)"


def beside_print(paper: Paper, *tables: str) -> Markdown:
    """Tables as the paper prints them, each with ours below it."""
    parts = []
    for name in tables:
        values = [value for row in paper.tables[name].rows.values() for value in row]
        spec = ".1f" if max(values) > 1 else ".3f"
        parts += [printed_table(paper.tables[name]), scenes_table(name, spec=spec)]
    return Markdown("\n\n".join(parts))


def scenes_table(table: str, spec: str = ".1f") -> Markdown:
    """Our rows of a table, on Composed Scenes; of a long one those that the text speaks of, ordered
    by tolerance. The others unfold, and so do those of the network whose last stages are trained.

    Args:
        table: of the ledger.
        spec: how the numbers are written.
    """
    look = {"head": "ours, Composed Scenes", "spec": spec, "photos": "scenes"}
    measured = measured_rows(LEDGER, table=table, dataset="scenes")
    rows = [row for row in measured if row.profile == PROFILE]
    chosen, others = rows, []
    if any(_TOLERANCE in row.row for row in rows):
        rows.sort(key=lambda row: row.row.partition(_TOLERANCE)[2])
        chosen = [row for row in rows if row.row.partition(_TOLERANCE)[0] in SPOKEN_OF]
        others = [row for row in rows if row not in chosen]
    parts = [ledger_grid(chosen, **look)]
    if others:
        parts.append(folded("The other ways to label", ledger_grid(others, **look)))
    if trained := [row for row in measured if row.profile == TRAINED]:
        parts.append(folded(_TRAINED_ROWS, ledger_grid(trained, **look)))
    return Markdown("\n\n".join(parts))


def differences(
    table: str, columns: Sequence[str] = CLAIMED, names: Sequence[str] | None = None
) -> Markdown:
    """Claims as paired differences: a line each, with verdicts; then those that nobody has run.

    Args:
        columns: of what was measured; claims about other ones are left out.
        names: of the claims, by default all.
    """
    rows = [row for row in ledger.find(LEDGER, table=table) if row.column in columns]
    rows = [row for row in rows if names is None or row.row in names]
    columns = [column for column in columns if any(row.column == column for row in rows)]
    lines = []
    for name in dict.fromkeys(row.row for row in rows):
        cells = {row.column: row for row in rows if row.row == name}
        pair, *remarks = next(iter(cells.values())).note.split("; ")
        kinds = ("still rising", "too short")
        ends = [remark for remark in remarks if remark.startswith(kinds)]
        compared = "; ".join([pair.removesuffix(", AP in points"), *ends])
        line = [_difference(cells[column]) if column in cells else None for column in columns]
        lines.append([Markdown(f"**{escaped(name)}**<br>{escaped(compared)}"), *line])
    counted = ", ".join(sorted({f"{row.images} scenes, {len(row.seeds)} seeds" for row in rows}))
    waits = [row for row in waiting.claims(LEDGER, table) if row.column in columns]
    for name in dict.fromkeys(row.row for row in waits if names is None or row.row in names):
        asked = [row.column for row in waits if row.row == name]
        line = ["not run" if column in asked else None for column in columns]
        lines.append([Markdown(f"**{escaped(name)}**<br>{_entry(waits, name)}"), *line])
    table_text = markdown_table([f"points; {counted}", *columns], lines)
    return Markdown(f"{table_text}\n\n*{count_verdicts(rows)}*")


def _entry(waits: Sequence[Row], name: str) -> str:
    """The entry of the plan, with its minutes, for which a claim waits."""
    return escaped(next(row.note for row in waits if row.row == name).partition(", not run yet")[0])


def _difference(row: Row) -> Markdown:
    """A difference with its interval, and its verdict below."""
    number = with_interval(row, "+.1f").replace(" ", "\N{NO-BREAK SPACE}")
    return Markdown(f"{number}<br>*{escaped(ledger.verdict_text(row))}*")


def best_crop_anchors(form: str = "") -> Markdown:
    """The audit's content-blind set, chosen to reach the training photos' *best* crops.

    Args:
        form: what the ledger adds to the table's name, such as ", v2".
    """
    table = f"content-blind, first of the tied{form}"
    name = "fixed anchors that cover the training crops"
    rows = measured_rows("audit", table=table, row=name, dataset="scenes")
    columns = [row.column for row in rows if "ACC" in row.column and "1.00" not in row.column]
    return ledger_grid(rows, "the audit's content-blind set", columns, photos="scenes")


def scale_bias() -> Markdown:
    """(Sec. 5) Crops' areas less the good ones', and the share of good crops that is reached."""
    rows = measured_rows(LEDGER, table="Section 5", dataset="scenes")
    lines = [[row.row, row.column, with_interval(row, ".1f"), row.images, row.note] for row in rows]
    return markdown_table(["", "measured", "ours", "scenes", ""], lines, "llrrl")


def epoch_choices() -> Markdown:
    """AP by the rule that chooses the epoch, a column for each form of the scenes."""
    rows = [
        row
        for row in measured_rows("audit", table="choice of the epoch")
        if row.row.startswith(LEDGER) and row.column.startswith("AP")
    ]
    cells: dict[str, dict[str, Row]] = {}
    for row in rows:
        _, run, choice = row.row.split(", ", 2)  # run: such as scenes-gaicd-cpu
        cells.setdefault(choice, {})[run.split("-")[1]] = row
    heads = [
        f"{form}, {row.images} scenes, {row.note.partition(',')[0]}"
        for form, row in next(iter(cells.values())).items()
    ]
    lines = []
    for choice, by_form in cells.items():
        lines.append([choice, *(with_interval(row, ".1f") for row in by_form.values())])
    return markdown_table([rows[0].column, *heads], lines)


def profile_table(profiles: Mapping[str, "Profile"]) -> Markdown:
    """What each profile trains, a column each; fields that no profile sets are left out."""
    settings = {name: asdict(profile) for name, profile in profiles.items()}
    fields = dict.fromkeys(field for values in settings.values() for field in values)
    lines = []
    for field in fields:
        line = [_setting(values.get(field)) for values in settings.values()]
        if any(line):
            lines.append([field.replace("_", " "), *line])
    return markdown_table(["", *settings], lines)


def _setting(value: object) -> object:
    """A setting as the table prints it; a long list by its ends."""
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else f"{value[0]} to {value[-1]}"
    return value or None
