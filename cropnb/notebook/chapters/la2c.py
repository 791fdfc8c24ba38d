"""Figures of the chapter on LA2C: an agent's steps, its rewards, its training; its tables stand in
`la2c_tables`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cropnb.la2c import learner, rules
from cropnb.ledger import Row
from cropnb.notebook.chapters.la2c_tables import at_limit, centred_crop
from cropnb.notebook.comparison import METHOD_COLORS, place_labels
from cropnb.notebook.drawing import draw_arrow, draw_block, draw_boxes, draw_estimates
from cropnb.notebook.tables import measured_row

if TYPE_CHECKING:
    from cropnb.checkpoints import History
    from cropnb.datasets.base import Sample
    from cropnb.paper import Paper
    from cropnb.widgets import StepPlayer

_BLUE, _GREY = METHOD_COLORS["la2c"], "#9A9A9A"
_HOLLOW = {"markerfacecolor": "white"}
# Agents and the marks that they bear, in print and in ours; what is no LA2C is black.
_LOOKS: dict[str, dict[str, Any]] = {
    "LA2C": {"fmt": "o", "color": _BLUE},
    "LA2C-LSTM": {"fmt": "s", "color": _BLUE, **_HOLLOW},
    "A2-RL": {"fmt": "D", "color": "black"},
    "oracle, 1/30": {"fmt": "^", "color": "black", **_HOLLOW},
    "oracle, 1/20": {"fmt": "v", "color": "black", **_HOLLOW},
}
# What the ledger calls them, where it has another name.
_ROWS = {"oracle, 1/30": "la2c", "oracle, 1/20": "a2rl"}
# Agents under step limits: the variant, its profile, and a look of its own.
_LIMITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "LA2C, shipped": ("LA2C", "cpu", {"fmt": "o-", "color": _BLUE}),
    "LA2C, 12 000 updates": ("LA2C", "long", {"fmt": "^:", "color": _BLUE, **_HOLLOW}),
    "LA2C-LSTM, 12 000 updates": ("LA2C-LSTM", "long", {"fmt": "s--", "color": _BLUE, **_HOLLOW}),
    "A2-RL, 12 000 updates": ("A2-RL", "long", {"fmt": "D-.", "color": "black"}),
}


def claim(printed: "Paper", profile: str) -> None:
    """Steps and IoU of LA2C, LA2C-LSTM and A2-RL: as printed, and ours beside both oracles."""
    import matplotlib.pyplot as plt

    quality, effort = printed.tables["Table 2"], printed.tables["Table 3"]
    _, panels = plt.subplots(1, 2, figsize=(8, 4))
    places: list[list[tuple[float, float, str]]] = [[], []]
    for name in quality.rows:
        if name in _LOOKS:
            steps, iou = effort.value(name, "steps"), quality.value(name, "IoU")
            panels[0].errorbar(steps, iou, **{**_LOOKS[name], "markersize": 9})
            places[0].append((steps, iou, name))
    for name, steps, iou in _steps_and_iou(profile):
        draw_estimates(panels[1], [steps.ours], [iou], **_LOOKS[name], markersize=8)
        places[1].append((steps.ours, iou.ours, name))
    titles = ("printed: photographs of FCDB", f"ours: Composed Scenes, profile {profile}")
    for ax, title, named in zip(panels, titles, places, strict=True):
        ax.set(title=title, xlabel="steps a photo", ylabel="IoU with the true box")
        ax.margins(0.25)
        place_labels(ax, named)


def _steps_and_iou(profile: str) -> Iterator[tuple[str, Row, Row]]:
    """Name, steps and IoU of the agents that the claim speaks of, and of both oracles."""
    for name in _LOOKS:
        of = ("oracle", "") if "oracle" in name else ("variants", profile)
        wanted = {"table": of[0], "profile": of[1], "row": _ROWS.get(name, name)}
        wanted["dataset"] = "scenes"
        steps, iou = (measured_row("la2c", column=column, **wanted) for column in ("steps", "IoU"))
        if steps and iou:
            yield name, steps, iou


def moves(photo: Any, here: Tensor, after: Tensor, names: Sequence[str]) -> None:
    """A crop (4,) and, an arrow each, where its edges are after the actions (A, 4) in pixels."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(6.8, 4.7))
    draw_boxes(ax, photo, here, colors=[_BLUE])
    look = {"arrowstyle": "-|>", "color": "black", "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
    note = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
    text = {"ha": "center", "va": "center", "fontsize": 10, "bbox": note}
    middle = (here[:2] + here[2:]) / 2  # (2,) x, y
    for name, box in zip(names, after, strict=True):
        for edge in (box != here).nonzero().flatten().tolist():
            along, inward = edge % 2, (box[edge] > here[edge]) == (edge < 2)
            start = middle.clone()
            # out and in lie side by side, so that no arrow covers another
            start[1 - along] += (here[3 - along] - here[1 - along]) * (0.12 if inward else -0.12)
            start[along] = here[edge]
            end = start.clone()
            end[along] = box[edge]
            ax.annotate("", end.tolist(), start.tolist(), arrowprops=look)
            ax.text(*(end + 1.4 * (end - start)).tolist(), name, **text)
    still = [name for name, box in zip(names, after, strict=True) if torch.equal(box, here)]
    ax.set_title(f"no change: {', '.join(still)}")


def signed_bars(
    names: Sequence[str], values: Tensor, spread: Tensor | None = None, **labels: str
) -> None:
    """A bar for each action, blue above zero and grey below; `labels` go to `Axes.set`."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(6.4, 2.9))
    colors = [_BLUE if value > 0 else _GREY for value in values]
    reach = None if spread is None else spread.tolist()
    ax.barh(names, values.tolist(), xerr=reach, color=colors, capsize=3)
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(**labels)


def player(
    sample: "Sample", episodes: Mapping[str, Any] | None = None, **look: Any
) -> "StepPlayer":
    """The figure in which a reader takes LA2C's steps, or watches recorded `episodes`."""
    from cropnb.widgets import StepPlayer

    nine = rules.ACTIONS["la2c"]
    named = dict(zip(nine.names, nine.moves, strict=True))
    look = {"least": nine.least, "alt": "A drawn scene of Composed Scenes", **look}
    return StepPlayer(sample.photo(), sample.boxes, named, episodes, **look)


def episode(ious: Tensor, rewards: Tensor, weighted: Tensor, gamma: float) -> None:
    """IoU (T + 1,) of an episode, its rewards (T,) and what they count, discounted."""
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(8, 2.9))
    left.plot(ious, "o-", color=_BLUE)
    left.set(xlabel="step", ylabel="IoU", title="the oracle's episode")
    steps = range(len(rewards))
    right.bar(steps, rewards.tolist(), color=_GREY, label="reward")
    right.bar(steps, weighted.tolist(), width=0.5, color=_BLUE, label=f"reward · {gamma:g}$^t$")
    title = f"return: the blue bars sum to {weighted.sum():.2f}"
    right.set(xlabel="step", ylim=(0, 1.35), title=title)
    right.legend(ncols=2, loc="upper left")


def histogram(values: Tensor, marks: Mapping[str, float] | None = None, **labels: str) -> None:
    """How often which value occurs, with named marks; `labels` go to `Axes.set`."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(6.4, 2.6))
    ax.hist(values, bins=40 if len(values) > 100 else 25, color=_GREY)
    for (name, value), line in zip((marks or {}).items(), ("-", "--", ":"), strict=False):
        ax.axvline(value, color="black", linestyle=line, label=f"{name} {value:.2f}")
    if marks:
        ax.legend(loc="upper left")
    ax.set(**labels)


def lines(values: Mapping[str, Tensor], first: int = 0, **labels: str) -> None:
    """A line (T,) for each name, from the place `first` on; `labels` go to `Axes.set`."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 2.9))
    marks = ({"marker": "o"}, {"marker": "s", "linestyle": "--", **_HOLLOW})
    for (name, line), marker in zip(values.items(), marks, strict=False):
        look = {"markersize": 4.5, "linewidth": 1.2, **marker} if len(values) > 1 else {}
        ax.plot(range(first, first + len(line)), line, color=_BLUE, label=name, **look)
    if len(values) > 1:
        ax.legend()
    ax.set(**labels)


def chances(names: Sequence[str], before: Tensor, after: Tensor, label: str) -> None:
    """The chance of each action (A,) before and after learning."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 2.6))
    places = range(len(names))
    ax.bar([place - 0.2 for place in places], before.tolist(), 0.4, color=_GREY, label="before")
    ax.bar([place + 0.2 for place in places], after.tolist(), 0.4, color=_BLUE, label=label)
    ax.set_xticks(places, [name.replace(" ", "\n") for name in names])
    ax.set(ylabel="chance", ylim=(0, 1.3 * float(max(before.max(), after.max()))))
    ax.legend(ncols=2, loc="upper left")


def loop() -> None:
    """Environment and agent, and what training keeps of their play, after the paper's Figure 2."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(8.6, 3))
    draw_block(ax, 1.0, 1.5, "environment\nphoto · crop\ntrue box", "orange")
    draw_block(ax, 4.0, 1.5, "MobileNetV2\nfeatures of the crop", "blue")
    draw_block(ax, 6.6, 2.1, "actor: 9 logits\n→ chances", "green")
    draw_block(ax, 6.6, 0.9, "critic: value V(s)", "purple", dashed=True)
    storage = "storage of a rollout: rewards, values, chances → losses"
    draw_block(ax, 4.0, 0.25, storage, "gray", dashed=True)
    draw_arrow(ax, (1.75, 1.5), (3.1, 1.5), "observation\n224 × 224", (2.42, 1.78))
    draw_arrow(ax, (4.9, 1.65), (5.85, 2.05))
    draw_arrow(ax, (4.9, 1.35), (5.85, 0.95), dashed=True)
    drawn = "action, drawn from the chances"
    draw_arrow(ax, (6.2, 2.45), (1.0, 2.05), drawn, (3.7, 3.06), bend=0.22)
    draw_arrow(ax, (1.0, 1.0), (2.2, 0.35), "reward", (1.35, 0.52), dashed=True)
    draw_arrow(ax, (6.3, 0.62), (5.85, 0.4), dashed=True)
    draw_arrow(ax, (7.15, 2.05), (5.75, 0.1), dashed=True, bend=-0.95)
    ax.set(xlim=(0, 8.0), ylim=(0, 3.2))
    ax.axis("off")


def training_curves(history: "History", window: int = 20) -> None:
    """Five columns of a training, each the mean over `window` updates."""
    import matplotlib.pyplot as plt

    names = {"reward a step": "reward", "critic's loss": "value", "entropy": "entropy"}
    curves = {}
    for name, column in names.items():
        curves[name] = history.column(column).unfold(0, window, window).mean(1)
    for name, column in {"IoU at the end": "iou", "steps": "length"}.items():
        curves[name] = learner.per_episode(history, column, window)
    _, panels = plt.subplots(2, 3, figsize=(8, 4.2))
    for ax, (name, values) in zip(panels.flat, curves.items(), strict=False):
        ax.plot(window * torch.arange(1, len(values) + 1), values, color=_BLUE)
        ax.set(title=name, xlabel="update")
    undecided = math.log(len(rules.ACTIONS["la2c"]))  # all chances equal
    panels[0, 2].axhline(undecided, color="black", linewidth=0.8, linestyle=":")
    panels[0, 2].set_ylim(0, 2.4)
    panels[1, 2].set_visible(False)


def trainings(histories: Mapping[str, "History"], window: int = 30) -> None:
    """IoU and steps of the episodes of several trainings."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(8, 3.3))
    titles = {"iou": "IoU at the end", "length": "steps of an episode"}
    looks = ({"color": _BLUE}, {"color": "black", "ls": "--"}, {"color": _GREY, "ls": "-."})
    for ax, (column, title) in zip(panels, titles.items(), strict=True):
        for (label, history), look in zip(histories.items(), looks, strict=False):
            values = learner.per_episode(history, column, window)
            ax.plot(window * torch.arange(1, len(values) + 1), values, label=label, **look)
        ax.set(xlabel="update", title=title)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def step_limits() -> None:
    """The ledger's IoU of four agents where a step limit cuts them off, and the centred crop's."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 3.8))
    for name, (variant, profile, look) in _LIMITS.items():
        reached, walked = (at_limit(variant, column, profile) for column in ("IoU", "steps"))
        if reached:
            steps = [walked[limit].ours for limit in reached]
            first = next(iter(reached.values()))
            label = f"{name}, seeds: {len(first.seeds)}"
            draw_estimates(ax, steps, list(reached.values()), label=label, **look)
            ax.set_title(f"{first.images} scenes")
    if middle := centred_crop():
        ax.axhline(middle.ours, color=_GREY, linewidth=1.2)
        ax.axhspan(middle.low, middle.high, color=_GREY, alpha=0.2, linewidth=0)
        note = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        ax.annotate("centred crop", (1, middle.ours), **note)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.18))
    ax.set(xlabel="steps a photo, where the limit cuts off", ylabel="IoU with the true box")
