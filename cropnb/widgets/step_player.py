"""An agent that crops step by step: recorded episodes to walk through, and the reader in the
agent's place.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError, CropnbError
from cropnb.images import read_photo
from cropnb.widgets.base import Figure, checked_boxes, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

YOU = "you"  # `shown` while the reader acts
MATCHES = ("mean", "best")


class StepPlayer(Figure):
    """Recorded episodes with the policy's probabilities, value, reward and IoU, and a pad to crop
    by oneself.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        truths: (M, 4) or (4,) true boxes in pixels of the photo, from which the reward follows.
        moves: by name of the action, how many cells of the lattice it moves the left, top, right
            and bottom edge (x to the right, y down). An action that moves no edge ends the episode.
        episodes: by name, what an agent did on this photo: an object with `boxes` (T + 1, 4),
            `actions` (T,), `probabilities` (T, A), `values` (T,), `rewards` (T,) and `ious` (T +
            1,), the first box being the start.
        divisions: cells of the lattice along each side of the photo.
        least: cells that each side of a crop keeps; a move that goes further, or leaves the photo,
            does nothing.
        limit: after so many actions the reader's episode is over.
        match: "mean" pays by the mean IoU over the true boxes, "best" by that of the best match.
        gamma: where the discount starts, 0.5 to 1.
        shown: name of the episode shown first, or "you" for the reader's own.
        alt: what is on the photo, in words.

    `taken` holds the reader's actions, `step` the step of a recorded episode; `values()` gives what
    the figure shows.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for boxes that are bad or leave the photo, and episodes whose parts don't fit each
            other.
        CropnbError: for any other setting that makes no sense.
    """

    _esm = program("step_player.js", "episodes.js")
    _css = Figure._css + (Path(__file__).parent / "step_player.css").read_text("utf-8")
    truths = traitlets.List().tag(sync=True)
    actions = traitlets.List().tag(sync=True)
    moves = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    episodes = traitlets.List().tag(sync=True)
    rules = traitlets.Dict().tag(sync=True)
    shown = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    taken = traitlets.List().tag(sync=True)
    gamma = traitlets.Float().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        truths: Any,
        moves: Mapping[str, Sequence[int]],
        episodes: Mapping[str, Any] | None = None,
        *,
        divisions: int = 30,
        least: int = 6,
        limit: int = 40,
        match: str = "best",
        gamma: float = 0.9,
        shown: str | None = None,
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        truths = torch.as_tensor(box_math.check(truths, name="truths")).reshape(-1, 4)
        table = [[int(shift) for shift in move] for move in moves.values()]
        if not table or any(len(move) != 4 for move in table):
            raise CropnbError(
                "moves is empty or has a move without four numbers; give {name: (left, top, "
                "right, bottom)}"
            )
        if not (1 <= least <= divisions and limit >= 1):
            raise CropnbError(
                f"least {least}, divisions {divisions}, limit {limit}: 1 ≤ least ≤ divisions and "
                "1 ≤ limit"
            )
        if match not in MATCHES:
            raise CropnbError(f"match is {match!r}; choose from {', '.join(MATCHES)}")
        episodes = episodes or {}
        names = list(episodes)
        state = {
            "truths": checked_boxes(truths, *image.size, "truths"),
            "actions": list(moves),
            "moves": table,
            "names": names,
            "episodes": [_recorded(name, episodes[name], len(table), image.size) for name in names],
            "rules": {"divisions": divisions, "least": least, "limit": limit, "match": match},
            "shown": shown if shown is not None else (names[-1] if names else YOU),
            "step": 0,
            "taken": [],
            "gamma": float(gamma),
        }
        super().__init__(image, alt, "Step player", state)

    @traitlets.validate("shown")
    def _check_shown(self, proposal: Any) -> str:
        if proposal["value"] not in (*self.names, YOU):
            raise CropnbError(
                f"there is no episode {proposal['value']!r}; choose from "
                f"{', '.join((*self.names, YOU))}"
            )
        return proposal["value"]

    @traitlets.validate("gamma")
    def _check_gamma(self, proposal: Any) -> float:
        if not 0.5 <= proposal["value"] <= 1:
            raise CropnbError(f"gamma is {proposal['value']}; the slider goes from 0.5 to 1")
        return proposal["value"]

    @traitlets.validate("step")
    def _check_step(self, proposal: Any) -> int:
        if proposal["value"] < 0:
            raise CropnbError(f"step is {proposal['value']}; the first one is 0")
        return proposal["value"]

    @traitlets.validate("taken")
    def _check_taken(self, proposal: Any) -> list[int]:
        if not all(
            isinstance(action, int) and 0 <= action < len(self.moves)
            for action in proposal["value"]
        ):
            raise CropnbError(
                f"taken is {proposal['value']}; actions are numbers from 0 to {len(self.moves) - 1}"
            )
        return proposal["value"]

    def values(self) -> dict[str, float]:
        """`iou`, `reward` (of the last action), `return` (the discounted rewards so far), and for a
        recorded step that has one the agent's `value`."""
        reading = self.shown == YOU
        episode = (
            play_out(self.taken, self.moves, self._truths(), self._image.size, **self.rules)
            if reading
            else None
        )
        episode = episode or self.episodes[self.names.index(self.shown)]
        count = len(episode["actions"])
        at = count if reading else min(self.step, count)
        values = {
            "iou": episode["ious"][at],
            "reward": episode["rewards"][at - 1] if at else 0.0,
            "return": sum(
                reward * self.gamma**k for k, reward in enumerate(episode["rewards"][:at])
            ),
        }
        return values if reading or at == count else {**values, "value": episode["values"][at]}

    def _truths(self) -> Tensor:
        return torch.tensor(self.truths, dtype=torch.float64)

    def _summary(self) -> str:
        values = self.values()
        ends = [
            f"{name}: {len(e['actions'])} steps to IoU {e['ious'][-1]:.3f}"
            for name, e in zip(self.names, self.episodes, strict=True)
        ]
        return "; ".join(ends) or f"IoU {values['iou']:.3f} before the first step"

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        last = [episode["boxes"][-1] for episode in self.episodes]
        # people black, the last agent in LA2C's colour, those before it grey
        colors = ["black"] * len(self.truths) + ["gray"] * (len(last) - 1) + ["blue"]
        draw_boxes(
            ax,
            self._image,
            [*self.truths, *last],
            ["true box"] * len(self.truths) + self.names,
            colors,
        )


def play_out(
    taken: Sequence[int],
    moves: Sequence[Sequence[int]],
    truths: Tensor,
    size: tuple[int, int],
    *,
    divisions: int,
    least: int,
    limit: int,
    match: str,
) -> dict[str, list]:
    """The episode that follows from a list of actions, from the whole photo on: boxes, actions,
    LA2C's rewards (Eq. 1) and ious, as the page computes them. Actions after the end are left
    out."""
    cells = [0, 0, divisions, divisions]
    sides = torch.tensor([*size, *size], dtype=torch.float64) / divisions
    boxes, actions = [torch.tensor(cells) * sides], []
    for action in taken:
        moved = [cell + shift for cell, shift in zip(cells, moves[action], strict=True)]
        fits = min(moved) >= 0 and max(moved) <= divisions
        if fits and min(moved[2] - moved[0], moved[3] - moved[1]) >= least:
            cells = moved
        boxes.append(torch.tensor(cells) * sides)
        actions.append(int(action))
        if not any(moves[action]) or len(actions) >= limit:
            break
    overlaps = box_math.pairwise_iou(torch.stack(boxes), truths)  # (T + 1, M)
    ious = (overlaps.mean(1) if match == "mean" else overlaps.amax(1)).tolist()
    rewards = [
        after if after > before else -after if after < before else 0.0
        for before, after in itertools.pairwise(ious)
    ]
    return {
        "boxes": torch.stack(boxes).tolist(),
        "actions": actions,
        "rewards": rewards,
        "ious": ious,
    }


def _recorded(name: str, episode: Any, count: int, size: tuple[int, int]) -> dict[str, list]:
    """An episode as lists, checked."""
    rounded = {
        part: np.round(
            np.asarray(torch.as_tensor(getattr(episode, part)).detach().cpu(), dtype=float), 5
        )
        for part in ("probabilities", "values", "rewards", "ious")
    }
    actions = [int(action) for action in episode.actions]
    boxes = checked_boxes(episode.boxes, *size, f"the boxes of {name!r}")
    steps = len(actions)
    shapes = {
        "probabilities": (steps, count),
        "values": (steps,),
        "rewards": (steps,),
        "ious": (steps + 1,),
    }
    wrong = [part for part, shape in shapes.items() if rounded[part].shape != shape]
    if len(boxes) != steps + 1 or wrong:
        raise BoxError(
            f"episode {name!r} has {steps} actions, {len(boxes)} boxes; "
            f"of another length: {', '.join(wrong) or 'boxes'}"
        )
    if not all(0 <= action < count for action in actions) or not all(
        np.isfinite(v).all() for v in rounded.values()
    ):
        raise BoxError(
            f"episode {name!r} holds an action that moves doesn't name, or a number that is not "
            "finite"
        )
    return {
        "boxes": boxes,
        "actions": actions,
        **{part: value.tolist() for part, value in rounded.items()},
    }
