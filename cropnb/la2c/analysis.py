"""What the game allows: the greedy ceiling of the lattice, and the γ up to which perfect play ever
stops.
"""

import torch
from torch import Tensor

from cropnb.la2c import planning, rules
from cropnb.la2c.play import Outcome


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

    truths (N, M, 4) in pixels of photos of sizes (N, 2); valid (N, M), by default all. Returns
    boxes (N, 4) in pixels and the steps, the stop among them.
    """
    chosen = rules.action_set(actions)
    truths, sizes = truths.double(), torch.as_tensor(sizes).double()
    valid = torch.ones(truths.shape[:2], dtype=torch.bool) if valid is None else valid
    cells = rules.whole_photo(len(truths), chosen, truths.device)
    steps = torch.zeros(len(truths), dtype=torch.long)
    going = torch.ones(len(truths), dtype=torch.bool)
    for _ in range(step_limit):
        found = neighbours(cells, chosen)  # (N, A, 4)
        pixels = rules.to_pixels(found, sizes[:, None].expand(-1, len(chosen), -1), chosen)
        reached = rules.overlap(pixels, truths[:, None], valid[:, None], match)  # (N, A)
        best = reached.argmax(1)
        better = going & (reached.amax(1) > reached[:, chosen.stop] + 1e-12)
        steps += going.long()
        cells = torch.where(better[:, None], found[torch.arange(len(found)), best], cells)
        going = better
        if not going.any():
            break
    return Outcome(rules.to_pixels(cells, sizes, chosen), steps, ~going)


def to_cells(boxes: Tensor, sizes: Tensor, actions: str | rules.ActionSet = "la2c") -> Tensor:
    """The nearest boxes (N, 4) of the lattice, in cells."""
    chosen = rules.action_set(actions)
    sizes = torch.as_tensor(sizes, dtype=torch.float64)
    return (boxes.double() / torch.cat([sizes, sizes], -1) * chosen.divisions).round().long()


def stopping_gamma(
    truth: Tensor, size: tuple[int, int], actions: str | rules.ActionSet = "la2c", digits: int = 7
) -> float:
    """The γ up to which perfect play under Equation 1 stops in time; above it, the pay of going to
    and fro wins.

    truth (4,) in pixels of a photo of `size`. Found by halving 0…1 `digits` times with
    `planning.plan`, so exact to 2 to the power of −`digits`. Never above `planning.farming_gamma`:
    one may farm elsewhere than at the best box.
    """
    low, high = 0.0, 1.0
    for _ in range(digits):
        middle = (low + high) / 2
        found = planning.plan(truth.reshape(1, 4), size, middle, actions=actions, horizon=150)
        stops = found.actions.stop in found.follow(limit=150)[1]
        low, high = (middle, high) if stops else (low, middle)
    return low
