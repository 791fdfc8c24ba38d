"""An aesthetic score for photographs, for A2-RL's reward: composed scenes bring their own."""

from typing import Protocol

import torch
from torch import Tensor

from cropnb.datasets.base import Sample
from cropnb.images import Photo
from cropnb.la2c import rules


class Scorer(Protocol):
    """Scores crops of a photo, as `cropnb.croppers.Cropper` does."""

    def score(self, photo: Photo, boxes: Tensor) -> Tensor:
        """(N,) for boxes (N, 4) in pixels, higher is better."""


class LatticeJudge:
    """What another network makes of a photo's crops: (sample, boxes (N, 4)) → (N,).

    An episode asks for one box after the other, and each would cost a pass through the network. But
    its boxes lie on a lattice, so all of them are scored together when a photo is first asked for.
    """

    def __init__(self, scorer: Scorer, actions: str | rules.ActionSet) -> None:
        self.scorer, self.actions = scorer, rules.action_set(actions)
        cells, least = self.actions.divisions, self.actions.least
        self._sides = torch.combinations(torch.arange(cells + 1))  # (S, 2) first and last cell
        self._sides = self._sides[self._sides.diff(dim=1).squeeze(1) >= least]
        self._number = torch.full((cells + 1, cells + 1), -1)
        self._number[self._sides[:, 0], self._sides[:, 1]] = torch.arange(len(self._sides))
        self._scores: dict[str, Tensor] = {}  # of a photo, (S, S) by the numbers of its sides

    def __call__(self, sample: Sample, boxes: Tensor) -> Tensor:
        """The scores (N,) of boxes of the lattice."""
        if sample.name not in self._scores:
            self._scores[sample.name] = self._all(sample)
        width, height = sample.size
        shares = boxes.cpu().double() / torch.tensor([width, height] * 2)  # (N, 4)
        left, top, right, bottom = (shares * self.actions.divisions).round().long().unbind(1)
        places = (self._number[left, right], self._number[top, bottom])
        return self._scores[sample.name][places]

    def _all(self, sample: Sample) -> Tensor:
        """Every box of the lattice, (S, S)."""
        count = len(self._sides)
        x, y = self._sides[:, None].expand(-1, count, -1), self._sides[None].expand(count, -1, -1)
        cells = torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)  # (S, S, 4)
        boxes = rules.to_pixels(cells.flatten(0, 1), torch.tensor(sample.size), self.actions)
        return self.scorer.score(sample.photo(), boxes.float()).view(count, count)
