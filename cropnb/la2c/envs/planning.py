"""What the environment allows: the greedy ceiling of the lattice, and perfect play on one photo by
value iteration over every box.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cropnb.errors import CropnbError
from cropnb.la2c import rules
from cropnb.la2c.envs.batched import Outcome

Pay = Callable[[Tensor, Tensor], Tensor]  # (IoU before, IoU after) → reward, as rules.iou_sign
HORIZON = 150  # steps that value iteration looks ahead; an episode has at most 40


def neighbours(cells: Tensor, actions: rules.ActionSet) -> Tensor:
    """Where each action leads, (..., A, 4), from boxes (..., 4) in cells."""
    every = torch.arange(len(actions), device=cells.device).expand(*cells.shape[:-1], -1)
    return rules.move(cells[..., None, :].expand(*every.shape, 4), every, actions)


def oracle(
    truths: Tensor,
    sizes: Tensor,
    valid: Tensor | None = None,
    match: str = "best",
    actions: str | rules.ActionSet = "la2c",
    step_limit: int = 200,
) -> Outcome:
    """Follow the IoU greedily from the whole photo until no action raises it: the ceiling of the
    lattice.

    Args:
        truths: (N, M, 4) true boxes in pixels.
        sizes: (N, 2) width and height of the photos.
        valid: (N, M), by default all.

    Returns:
        Boxes (N, 4) in pixels and the steps, the stop among them.
    """
    chosen = rules.action_set(actions)
    truths, sizes = truths.double(), torch.as_tensor(sizes).double()
    valid = torch.ones(truths.shape[:2], dtype=torch.bool) if valid is None else valid
    cells = rules.whole_photo(len(truths), chosen, truths.device)  # (N, 4)
    steps = torch.zeros(len(truths), dtype=torch.long)  # (N,)
    going = torch.ones(len(truths), dtype=torch.bool)  # (N,)
    for _ in range(step_limit):
        around = neighbours(cells, chosen)  # (N, A, 4)
        pixels = rules.to_pixels(around, sizes[:, None].expand(-1, len(chosen), -1), chosen)
        reached = rules.overlap(pixels, truths[:, None], valid[:, None], match)  # (N, A)
        best = reached.argmax(1)  # (N,)
        better = going & (reached.amax(1) > reached[:, chosen.stop] + 1e-12)
        steps += going.long()
        cells = torch.where(better[:, None], around[torch.arange(len(around)), best], cells)
        going = better
        if not going.any():
            break
    return Outcome(rules.to_pixels(cells, sizes, chosen), steps, ~going)


def to_cells(boxes: Tensor, sizes: Tensor, actions: str | rules.ActionSet = "la2c") -> Tensor:
    """The nearest boxes (N, 4) of the lattice, in cells."""
    chosen = rules.action_set(actions)
    sizes = torch.as_tensor(sizes, dtype=torch.float64)
    return (boxes.double() / torch.cat([sizes, sizes], -1) * chosen.divisions).round().long()


@dataclass(frozen=True)
class Plan:
    """The best that can be done from each of the N boxes of the lattice.

    Attributes:
        cells: (N, 4) the boxes.
        iou: (N,) with the true boxes.
        following: (N, A) number of the box that an action leads to.
        rewards: (N, A).
        values: (N,) the return of perfect play.
        best: (N,) the first action of it.
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

    def stops(self, limit: int = rules.STEP_LIMIT) -> bool:
        """Whether perfect play from the whole photo ends by itself."""
        return self.actions.stop in self.follow(limit)[1]


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

    Of equally good actions the last is taken, so an agent that gains nothing by going on stops.

    Args:
        truths: (M, 4) in pixels of a photo of `size` (width, height).
        how: "best" or "mean" over the true boxes.

    Raises:
        CropnbError: a γ outside of 0…1.
    """
    if not 0 <= gamma <= 1:
        raise CropnbError(f"γ is {gamma}; a discount lies between 0 and 1")
    actions = rules.action_set(actions)
    cells, following = lattice(actions)  # (N, 4), (N, A)
    boxes = rules.to_pixels(cells, torch.tensor([size]), actions)  # (N, 4)
    iou = rules.overlap(boxes, truths[None], torch.ones(1, len(truths), dtype=torch.bool), how)
    rewards = reward(iou[:, None].expand(following.shape), iou[following]).float()  # (N, A)
    continues = torch.ones(len(actions))  # (A,)
    continues[actions.stop] = 0.0  # after stop nothing comes
    values = torch.zeros(len(cells))  # (N,)
    for _ in range(horizon):
        gains = rewards + gamma * continues * values[following]  # (N, A)
        values = gains.amax(-1)  # (N,)
    best = len(actions) - 1 - (gains.flip(-1) >= values[:, None] - 1e-6).int().argmax(-1)  # (N,)
    return Plan(
        cells=cells,
        iou=iou,
        following=following,
        rewards=rewards,
        values=values,
        best=best,
        actions=actions,
    )


@lru_cache(maxsize=2)
@torch.inference_mode(False)
def lattice(actions: rules.ActionSet) -> tuple[Tensor, Tensor]:
    """Every box of the lattice, (N, 4) in cells, and the number of the box that each action leads
    to, (N, A).
    """
    sides = torch.combinations(torch.arange(actions.divisions + 1))  # every pair low < high
    sides = sides[sides[:, 1] - sides[:, 0] >= actions.least]  # (S, 2)
    every = torch.arange(len(sides))
    horizontal, vertical = sides[torch.cartesian_prod(every, every)].unbind(1)  # (N, 2) each
    cells = torch.stack([horizontal, vertical], -1).flatten(1)  # (N, 4)
    number = torch.zeros(actions.divisions + 1, actions.divisions + 1, dtype=torch.long)
    number[sides[:, 0], sides[:, 1]] = every
    left, top, right, bottom = neighbours(cells, actions).unbind(-1)  # (N, A) each
    return cells, number[left, right] * len(sides) + number[top, bottom]


def farming_gamma(
    truths: Tensor,
    size: tuple[int, int],
    *,
    actions: str | rules.ActionSet = "la2c",
    how: str = "best",
) -> float:
    """The γ above which, at the best box of a photo, a step away and back pays more under the
    reward of the paper (Eq. 1) than to stop.

    The step away costs the lower IoU and the step back pays the higher one: −low + γ · high > 0.
    The smallest low / high among the neighbours counts. Somewhere else on the lattice farming may
    pay a little earlier.
    """
    perfect = plan(truths, size, 0.0, actions=actions, how=how, horizon=1)
    best = int(perfect.iou.argmax())
    around = perfect.iou[perfect.following[best]]  # (A,)
    return float((around[around < perfect.iou[best]] / perfect.iou[best]).min())


def stopping_gamma(
    truth: Tensor, size: tuple[int, int], actions: str | rules.ActionSet = "la2c", digits: int = 7
) -> float:
    """The γ up to which perfect play under the reward of the paper (Eq. 1) stops in time; above it,
    the pay of going to and fro wins.

    Found by halving 0…1 `digits` times with `plan`, so exact to 2 to the power of −`digits`. Never
    above `farming_gamma`: one may farm elsewhere than at the best box.

    Args:
        truth: (4,) in pixels of a photo of `size`.
    """
    low, high = 0.0, 1.0
    for _ in range(digits):
        middle = (low + high) / 2
        perfect = plan(truth.reshape(1, 4), size, middle, actions=actions, horizon=HORIZON)
        low, high = (middle, high) if perfect.stops(HORIZON) else (low, middle)
    return low
