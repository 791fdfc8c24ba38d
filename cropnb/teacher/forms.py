"""What the teacher says of a photo, in the form of each real dataset."""

from collections.abc import Callable

import torch
from torch import Tensor

from cropnb import boxes
from cropnb.candidates import grid_anchors
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.forms import FAT_ASPECTS, cpc_picks, cpc_windows
from cropnb.teacher.teacher import LEAST_AREA, SHARPNESS, STRETCH, Teacher, mos

RATER_NOISE = 500  # thousandths of a point of MOS by which a person differs from the mean
DRAWERS = 10  # people who draw a box where several do
RATIOS = 3  # boxes of a photo where ratios are required
# What a crop of the whole photo is worth more to a photographer than one of half of it, in points:
# one cuts by the content alone, one likes wide crops, one tight ones.
WIDTHS = (0.0, 1.5, -1.5)

Labels = dict[str, Tensor]  # "boxes", and where there are: "scores", "raters", "aspects"


def _gaicd(teacher: Teacher, attention: Tensor, size: tuple[int, int], dice: Dice) -> Labels:
    """Grid anchors with mean opinion scores."""
    anchors = grid_anchors(*size)
    return {"boxes": anchors, "scores": mos(teacher.scores(attention, size, anchors))}


def _cpc(teacher: Teacher, attention: Tensor, size: tuple[int, int], dice: Dice) -> Labels:
    """24 crops of four ratios, picked by six people who differ from the teacher by their noise."""
    crops = cpc_windows(*size, dice)
    points = (1000 * STRETCH * teacher.scores(attention, size, crops)).round().long().numpy()
    raters = torch.from_numpy(cpc_picks(points + dice.bell(RATER_NOISE, 6, len(crops)))).float()
    return {"boxes": crops, "scores": raters.mean(0), "raters": raters}


def _fcdb(teacher: Teacher, attention: Tensor, size: tuple[int, int], dice: Dice) -> Labels:
    """The box of largest expected overlap."""
    return {"boxes": teacher.best(attention, size)[None]}


def _flms(teacher: Teacher, attention: Tensor, size: tuple[int, int], dice: Dice) -> Labels:
    """Boxes of ten people, drawn from the posterior."""
    windows, probabilities = teacher.posterior(attention, size)
    return {"boxes": windows[drawn(probabilities, DRAWERS, dice)]}


def _fat(teacher: Teacher, attention: Tensor, size: tuple[int, int], dice: Dice) -> Labels:
    """For three required ratios the box of largest expected overlap."""
    order = dice.many(0, 1 << 40, len(FAT_ASPECTS)).argsort(kind="stable")
    aspects = [FAT_ASPECTS[number] for number in order[:RATIOS]]
    return {
        "boxes": torch.stack([teacher.best(attention, size, aspect) for aspect in aspects]),
        "aspects": torch.tensor([width / height for width, height in aspects]),
    }


def _cuhk_icd(teacher: Teacher, attention: Tensor, size: tuple[int, int], dice: Dice) -> Labels:
    """A box of each of three photographers, always in the same order."""
    windows, probabilities = teacher.posterior(attention, size)
    shares = boxes.area(windows) / (size[0] * size[1])  # (N,)
    wide = (shares - LEAST_AREA) / (1 - LEAST_AREA)  # (N,), 0…1
    chosen = []
    for worth in WIDTHS:
        own = probabilities * (SHARPNESS * worth * wide).exp()
        chosen.append(windows[drawn(own / own.sum(), 1, dice)])
    return {"boxes": torch.cat(chosen)}


FORMS: dict[str, Callable[[Teacher, Tensor, tuple[int, int], Dice], Labels]] = {
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
