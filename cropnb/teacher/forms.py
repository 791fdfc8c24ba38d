"""What the teacher says of a photo, in the form of each real dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.candidates import grid_anchors
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.forms import FAT_ASPECTS, cpc_picks, cpc_windows
from cropnb.teacher.teacher import LEAST_AREA, SHARPNESS, STRETCH, Teacher, best, mos

RATER_NOISE = 500  # thousandths of a point of MOS by which a person differs from the mean
DRAWERS = 10  # people who draw a box where several do
RATIOS = 3  # boxes of a photo where ratios are required
# What a crop of the whole photo is worth more to a photographer than one of half of it, in points:
# one cuts by the content alone, one likes wide crops, one tight ones.
WIDTHS = (0.0, 1.5, -1.5)

Labels = dict[str, Tensor]  # "boxes", and where there are: "scores", "raters", "aspects"


@dataclass(frozen=True)
class Seen:
    """A photo as the teacher sees it."""

    teacher: Teacher
    attention: Tensor  # (32, 32)
    size: tuple[int, int]  # width, height

    def scores(self, crops: Tensor) -> Tensor:
        """See `Teacher.scores`."""
        return self.teacher.scores(self.attention, self.size, crops)

    @cached_property
    def posterior(self) -> tuple[Tensor, Tensor]:
        """See `Teacher.posterior`, where any ratio may be drawn."""
        return self.teacher.posterior(self.attention, self.size)

    def of_ratio(self, aspect: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """See `Teacher.posterior`."""
        return self.teacher.posterior(self.attention, self.size, aspect)


def _gaicd(seen: Seen, dice: Dice) -> Labels:
    """Grid anchors with mean opinion scores."""
    anchors = grid_anchors(*seen.size)
    return {"boxes": anchors, "scores": mos(seen.scores(anchors))}


def _cpc(seen: Seen, dice: Dice) -> Labels:
    """24 crops of four ratios, picked by six people who differ from the teacher by their noise."""
    crops = cpc_windows(*seen.size, dice)
    points = (1000 * STRETCH * seen.scores(crops)).round().long().numpy()
    raters = torch.from_numpy(cpc_picks(points + dice.bell(RATER_NOISE, 6, len(crops)))).float()
    return {"boxes": crops, "scores": raters.mean(0), "raters": raters}


def _fcdb(seen: Seen, dice: Dice) -> Labels:
    """The box of largest expected overlap."""
    return {"boxes": best(*seen.posterior)[None]}


def _flms(seen: Seen, dice: Dice) -> Labels:
    """Boxes of ten people, drawn from the posterior."""
    windows, probabilities = seen.posterior
    return {"boxes": windows[drawn(probabilities, DRAWERS, dice)]}


def _fat(seen: Seen, dice: Dice) -> Labels:
    """For three required ratios the box of largest expected overlap."""
    order = dice.many(0, 1 << 40, len(FAT_ASPECTS)).argsort(kind="stable")
    aspects = [FAT_ASPECTS[number] for number in order[:RATIOS]]
    return {
        "boxes": torch.stack([best(*seen.of_ratio(aspect)) for aspect in aspects]),
        "aspects": torch.tensor([width / height for width, height in aspects]),
    }


def _cuhk_icd(seen: Seen, dice: Dice) -> Labels:
    """A box of each of three photographers, always in the same order."""
    windows, probabilities = seen.posterior
    shares = box_math.area(windows) / (seen.size[0] * seen.size[1])  # (N,)
    wide = (shares - LEAST_AREA) / (1 - LEAST_AREA)  # (N,), 0…1
    chosen = []
    for worth in WIDTHS:
        own = probabilities * (SHARPNESS * worth * wide).exp()
        chosen.append(windows[drawn(own / own.sum(), 1, dice)])
    return {"boxes": torch.cat(chosen)}


FORMS: dict[str, Callable[[Seen, Dice], Labels]] = {
    "gaicd": _gaicd,
    "cpc": _cpc,
    "fcdb": _fcdb,
    "flms": _flms,
    "fat": _fat,
    "cuhk_icd": _cuhk_icd,
}


def drawn(probabilities: Tensor, count: int, dice: Dice) -> Tensor:
    """Independent draws from probabilities (N,): places (count,)."""
    steps = 1 << 30
    points = torch.from_numpy(dice.many(0, steps - 1, count)).double() / steps  # (count,)
    edges = probabilities.double().cumsum(0)
    return torch.searchsorted(edges / edges[-1], points).clamp(max=len(probabilities) - 1)
