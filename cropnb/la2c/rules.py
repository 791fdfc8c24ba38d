"""What an action does to a box, and what it pays (Sec. 3.1). Plain batched torch functions.

A box is held in cells of a lattice laid over the photo, whole numbers (B, 4) in the order left,
top, right, bottom; `to_pixels` gives it in pixels. All environments and every analysis use these
functions, so they can't differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cropnb.errors import CropnbError

STEP_LIMIT = 40  # actions of an episode; the paper says "such as cutting up to 20 times"
# pixels of a photo's shorter side: below, a cell of the lattice is less than a pixel
MIN_PHOTO = 30
TRUTHS = ("best", "mean")
REWARDS = ("iou_sign", "iou_difference", "aesthetic")
MAX_ASPECT, ASPECT_COST, STEP_COST = 2.0, 5.0, 0.001  # of A2-RL's reward


@dataclass(frozen=True)
class ActionSet:
    """What an agent can do. `moves` says for each action by how many cells each edge moves; the
    last action stops.

    A move that would leave the photo, or make a side shorter than `least` cells, is not made: the
    box stays.
    """

    name: str
    divisions: int  # cells along each side of the photo
    least: int  # cells that a side keeps
    names: tuple[str, ...]
    moves: tuple[tuple[int, int, int, int], ...]  # left, top, right, bottom

    def __len__(self) -> int:
        return len(self.names)

    @property
    def stop(self) -> int:
        """The number of the action that ends the episode."""
        return len(self.names) - 1

    def table(self, device: torch.device | str = "cpu") -> Tensor:
        """The moves as (A, 4) whole numbers."""
        return torch.tensor(self.moves, device=device)

    def mirror(self) -> list[int]:
        """For each action the number of the one that does the same to the photo's mirror image."""
        return [
            self.moves.index((-right, top, -left, bottom))
            for left, top, right, bottom in self.moves
        ]


_LA2C = {
    "left out": (-1, 0, 0, 0),
    "top out": (0, -1, 0, 0),
    "right out": (0, 0, 1, 0),
    "bottom out": (0, 0, 0, 1),
    "left in": (1, 0, 0, 0),
    "top in": (0, 1, 0, 0),
    "right in": (0, 0, -1, 0),
    "bottom in": (0, 0, 0, -1),
    "stop": (0, 0, 0, 0),
}
_A2RL = {
    "shrink": (1, 1, -1, -1),
    "to top left": (0, 0, -1, -1),
    "to top right": (1, 0, 0, -1),
    "to bottom left": (0, 1, -1, 0),
    "to bottom right": (1, 1, 0, 0),
    "shift left": (-1, 0, -1, 0),
    "shift up": (0, -1, 0, -1),
    "shift right": (1, 0, 1, 0),
    "shift down": (0, 1, 0, 1),
    "narrower": (1, 0, -1, 0),
    "wider": (-1, 0, 1, 0),
    "lower": (0, 1, 0, -1),
    "higher": (0, -1, 0, 1),
    "stop": (0, 0, 0, 0),
}
ACTIONS = {
    # Four edges out, four in, by 1/30 of the side, and stop (Sec. 3.1). The smallest crop is ours.
    "la2c": ActionSet("la2c", 30, 6, tuple(_LA2C), tuple(_LA2C.values())),
    # The same with twice the stride, which the paper says is less accurate.
    "la2c, 1/15": ActionSet("la2c, 1/15", 15, 3, tuple(_LA2C), tuple(_LA2C.values())),
    # A2-RL: fourteen actions on a lattice of 1/20; a side never falls to 4/20.
    "a2rl": ActionSet("a2rl", 20, 5, tuple(_A2RL), tuple(_A2RL.values())),
}


def action_set(name: str | ActionSet) -> ActionSet:
    """An action set by name; `CropnbError` for a name that none has."""
    if isinstance(name, ActionSet):
        return name
    if name not in ACTIONS:
        raise CropnbError(f"there are no actions {name!r}; there are {', '.join(ACTIONS)}")
    return ACTIONS[name]


def whole_photo(count: int, actions: ActionSet, device: torch.device | str = "cpu") -> Tensor:
    """The box that every episode starts from, (count, 4) in cells."""
    box = torch.tensor([0, 0, actions.divisions, actions.divisions], device=device)
    return box.repeat(count, 1)


def move(cells: Tensor, chosen: Tensor, actions: ActionSet) -> Tensor:
    """Boxes after an action each; a move that isn't possible leaves the box.

    Args:
        cells: (..., 4) boxes in cells.
        chosen: (...) numbers of actions.

    Returns:
        (..., 4) in cells.
    """
    moved = cells + actions.table(cells.device)[chosen]
    inside = (moved[..., :2] >= 0).all(-1) & (moved[..., 2:] <= actions.divisions).all(-1)
    possible = inside & (moved[..., 2:] - moved[..., :2] >= actions.least).all(-1)
    return torch.where(possible[..., None], moved, cells)


def to_pixels(cells: Tensor, sizes: Tensor, actions: ActionSet) -> Tensor:
    """Boxes in pixels, double precision.

    Args:
        cells: (..., 4) boxes in cells.
        sizes: (..., 2) width and height of their photos.

    Returns:
        (..., 4).
    """
    return cells.double() / actions.divisions * torch.cat([sizes, sizes], -1)


def overlap(boxes: Tensor, truths: Tensor, valid: Tensor, how: str) -> Tensor:
    """The IoU that an episode is about.

    Args:
        boxes: (..., 4) in pixels.
        truths: (..., M, 4) true boxes in pixels.
        valid: (..., M), false where a photo has fewer than M true boxes.
        how: with the "best" matching true box, or the "mean" over them.

    Returns:
        (...).

    Raises:
        CropnbError: another `how`.
    """
    boxes, truths = boxes.double()[..., None, :], truths.double()
    high, low = (
        torch.minimum(boxes[..., 2:], truths[..., 2:]),
        torch.maximum(boxes[..., :2], truths[..., :2]),
    )
    shared = (high - low).clamp(min=0).prod(-1)  # (..., M)
    sides = (one[..., 2:] - one[..., :2] for one in (boxes, truths))
    areas = sum(side.prod(-1) for side in sides)  # (..., M)
    ious = torch.where(valid, shared / (areas - shared), 0.0)
    if how == "mean":
        return ious.sum(-1) / valid.sum(-1)
    if how == "best":
        return ious.amax(-1)
    raise CropnbError(f"truths are matched by {' or '.join(TRUTHS)}, not {how!r}")


def iou_sign(before: Tensor, after: Tensor) -> Tensor:
    """+IoU where the IoU rose, −IoU where it fell, else 0; the IoU is that after the action
    (Eq. 1). (...) → (...).

    An action that stops, or that can't be made, leaves the IoU and so pays nothing.
    """
    return torch.sign(after - before) * after


def iou_difference(before: Tensor, after: Tensor) -> Tensor:
    """By how much the IoU rose, (...). Summed over an episode it is the whole gain: it can't be
    farmed.
    """
    return after - before


def aesthetic_sign(before: Tensor, after: Tensor, step: Tensor, aspect: Tensor) -> Tensor:
    """A2-RL's reward, (...): the sign of the score's change, less 0.001 · step, less 5 for a ratio
    outside 0.5 … 2.

    Args:
        before: (...) the score before the action.
        after: (...) the score after it.
        step: (...) number of the action, from 1.
        aspect: (...) the new width / height.
    """
    narrow = torch.maximum(aspect, 1 / aspect) > MAX_ASPECT
    return torch.sign(after - before) - STEP_COST * step - ASPECT_COST * narrow


def average_steps(steps: Tensor) -> Tensor:
    """The mean number of actions a photo, the stop among them, (..., photos) → (...) (Eq. 7)."""
    return torch.as_tensor(steps, dtype=torch.float64).mean(-1)


def check_actions(chosen: Tensor, count: int, actions: ActionSet) -> Tensor:
    """Actions of `count` episodes as whole numbers (count,). `CropnbError` for any other shape,
    type or value.
    """
    chosen = torch.as_tensor(chosen)
    if chosen.shape != (count,) or chosen.is_floating_point() or chosen.dtype == torch.bool:
        raise CropnbError(
            f"{count} whole numbers are needed as actions, not {tuple(chosen.shape)} of "
            f"{chosen.dtype}"
        )
    chosen = chosen.long()
    if ((chosen < 0) | (chosen >= len(actions))).any():
        raise CropnbError(f"actions lie in 0…{len(actions) - 1}, and these are {chosen.tolist()}")
    return chosen


def check_choice(value: str, choices: Sequence[str], what: str) -> str:
    """`value` if it is one of the choices; `CropnbError` otherwise."""
    if value not in choices:
        raise CropnbError(f"{what} is one of {', '.join(choices)}, not {value!r}")
    return value
