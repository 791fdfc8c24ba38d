"""Scenes whose scored windows lie on no grid.

GAICD's people rated grid anchors and nothing else, so a method that ranks the same anchors can't
miss a good crop, and one that may answer with any box gains nothing by it. Here the people who rate
a scene in GAICD's form rate as many windows of any place, size and ratio. Their good ones are what
«globality» is about.
"""

import numpy as np
import torch

from cropnb.datasets.base import CropDataset, Sample
from cropnb.datasets.scenes import forms
from cropnb.datasets.scenes.describe import SPLITS, Scene, describe
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.panel import rating

WINDOWS = 90  # of a scene: as many as a photo of 4 : 3 has anchors


def load(split: str = "test", size: int | None = None, seed: int = 0) -> CropDataset:
    """The scenes of GAICD's form, in its order, with scores of windows off the grid.

    Args:
        split: "train", "val" or "test".
        size: how many photos, the first ones of the split.
        seed: of the scenes.

    Raises:
        CropnbError: as `forms.load`.
    """
    scenes = forms.load(split, "gaicd", size, seed)
    samples = [rated(describe(seed, index, split)) for index in range(len(scenes))]
    return CropDataset(scenes.name, split, scenes.form, None, samples)


def rated(scene: Scene) -> Sample:
    """A scene with windows drawn at random among those that someone who may draw any box chooses
    from, and the ratings of its seven people.
    """
    dice = Dice(scene.seed, SPLITS[scene.split], scene.index, 2 + list(forms.SIZES).index("gaicd"))
    people = forms.draw_people(dice, forms.RATERS)  # as in GAICD's form: its first throw
    windows = forms.choices(scene.width, scene.height)  # (M, 4)
    order = np.argsort(dice.many(0, 1 << 40, len(windows)), kind="stable")
    boxes = windows[torch.from_numpy(order[:WINDOWS])]  # (90, 4)
    stars = torch.from_numpy(rating(forms.opinions(scene, boxes, people, dice))).float()  # (7, 90)
    return forms.sample_of(scene, boxes, scores=stars.mean(0), raters=stars)
