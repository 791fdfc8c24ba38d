"""Perfect play on one photo, by value iteration over every box of the lattice: what a reward asks
for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cropnb.errors import CropnbError
from cropnb.la2c import rules

Pay = Callable[[Tensor, Tensor], Tensor]  # (IoU before, IoU after) → reward, as rules.iou_sign


@dataclass(frozen=True)
class Plan:
    """The best that can be done from each of the N boxes of the lattice.

    cells (N, 4); iou (N,) with the true boxes; following (N, A) number of the box that an action
    leads to; rewards (N, A); values (N,) the return of perfect play; best (N,) the first action of
    it.
    """

    cells: Tensor
    iou: Tensor
    following: Tensor
    rewards: Tensor
    values: Tensor
    best: Tensor
    actions: rules.ActionSet

    @property
    def start(self) -> int:
        """The number of the whole photo."""
        return int((self.cells == rules.whole_photo(1, self.actions)).all(-1).nonzero()[0])

    def follow(self, limit: int = rules.STEP_LIMIT) -> tuple[list[int], list[int]]:
        """Perfect play from the whole photo on: numbers of the boxes (T + 1) and actions (T), at
        most `limit`.
        """
        places, taken = [self.start], []
        while len(taken) < limit and self.actions.stop not in taken:
            taken.append(int(self.best[places[-1]]))
            places.append(int(self.following[places[-1], taken[-1]]))
        return places, taken


def plan(
    truths: Tensor,
    size: tuple[int, int],
    gamma: float,
    *,
    reward: Pay = rules.iou_sign,
    actions: str | rules.ActionSet = "la2c",
    how: str = "best",
    horizon: int = 100,
) -> Plan:
    """Value iteration, V(s) ← max over a of r(s, a) + γ V(s'), `horizon` times from V = 0.

    truths (M, 4) in pixels of a photo of `size` (width, height); how: "best" or "mean" over the
    true boxes. Of equally good actions the last is taken, so an agent that gains nothing by going
    on stops. Raises `CropnbError` for a γ outside of 0…1.
    """
    if not 0 <= gamma <= 1:
        raise CropnbError(f"γ is {gamma}; a discount lies between 0 and 1")
    actions = rules.action_set(actions)
    cells, following = lattice(actions)
    boxes = rules.to_pixels(cells, torch.tensor([size]), actions)
    iou = rules.overlap(boxes, truths[None], torch.ones(1, len(truths), dtype=torch.bool), how)
    rewards = reward(iou[:, None].expand(following.shape), iou[following]).float()
    keeps = torch.ones(len(actions))
    keeps[actions.stop] = 0.0  # after stop nothing comes
    values = torch.zeros(len(cells))
    for _ in range(horizon):
        gains = rewards + gamma * keeps * values[following]
        values = gains.amax(-1)
    best = len(actions) - 1 - (gains.flip(-1) >= values[:, None] - 1e-6).int().argmax(-1)
    return Plan(cells, iou, following, rewards, values, best, actions)


@lru_cache(maxsize=2)
def lattice(actions: rules.ActionSet) -> tuple[Tensor, Tensor]:
    """Every box of the lattice, (N, 4) in cells, and the number of the box that each action leads
    to, (N, A).
    """
    sides = torch.combinations(torch.arange(actions.divisions + 1))  # every pair low < high
    sides = sides[sides[:, 1] - sides[:, 0] >= actions.least]
    across = torch.arange(len(sides)).repeat_interleave(len(sides))
    down = torch.arange(len(sides)).repeat(len(sides))
    cells = torch.stack([sides[across, 0], sides[down, 0], sides[across, 1], sides[down, 1]], 1)
    number = torch.zeros(actions.divisions + 1, actions.divisions + 1, dtype=torch.long)
    number[sides[:, 0], sides[:, 1]] = torch.arange(len(sides))
    every = torch.arange(len(actions)).expand(len(cells), -1)
    moved = rules.move(cells[:, None].expand(-1, len(actions), -1), every, actions)  # (N, A, 4)
    return cells, number[moved[..., 0], moved[..., 2]] * len(sides) + number[
        moved[..., 1], moved[..., 3]
    ]


def farming_gamma(
    truths: Tensor,
    size: tuple[int, int],
    *,
    actions: str | rules.ActionSet = "la2c",
    how: str = "best",
) -> float:
    """The γ above which, at the best box of a photo, a step away and back pays more under Equation
    1 than to stop.

    The step away costs the lower IoU and the step back pays the higher one: −low + γ · high > 0.
    The smallest low / high among the neighbours counts. Somewhere else on the lattice farming may
    pay a little earlier.
    """
    found = plan(truths, size, 0.0, actions=actions, how=how, horizon=1)
    best = int(found.iou.argmax())
    around = found.iou[found.following[best]]
    return float((around[around < found.iou[best]] / found.iou[best]).min())
