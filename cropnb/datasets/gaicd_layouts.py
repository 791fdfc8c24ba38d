"""GAICD's crops and scores on drawings of what a detector saw in its photos, for the photos
themselves can't be had everywhere.

Layout: that of GAICD, with or without its photos, and in the same folder
`objects/SPLIT/NAME.txt`, or `objects/NAME.txt` as published. A line of a text file is an object's
box:
    `y1 x1 y2 x2`,
    rows first, in pixels of the photo; a box without area fills the list up and is no object.
"""

import math
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cropnb.datasets import base, checked, gaicd
from cropnb.datasets.base import CropDataset, Sample
from cropnb.datasets.folders import PART_OF
from cropnb.errors import BoxError

GROUND = 160  # the grey of a layout without objects
FILLED = 3  # tenths of a box's colour in its fill; what lies below shines through
OUTLINE = 128  # an outline is the short side's part of this wide


def load(
    split: str = "test", root: str | os.PathLike | None = None, name: str = "gaicd_layouts"
) -> CropDataset:
    """Load the layouts of GAICD v1 (1036 / 200), or with `name="gaicd_v2_layouts"` of version 2.

    Names, sizes, crops and scores are those of GAICD, and so is the folder. The photo of a sample
    is `draw_layout` of its `objects`, at the size of the photo; a photo without an object gives an
    empty layout.

    Raises:
        DatasetMissing: when annotations or boxes aren't there, or a line isn't four numbers.
        BoxError: when a box is inverted, or lies outside of its photo.
    """
    whole = PART_OF[name]
    base.check_split(name, split, gaicd.SPLITS[whole])
    photos = gaicd.load(split, root, whole)
    folder = base.require(photos.root, f"objects/{split}", "objects")
    samples = [_with_layout(sample, folder / f"{sample.name}.txt") for sample in photos.samples]
    return CropDataset(name, split, photos.form, photos.root, samples)


def _with_layout(sample: Sample, path: Path) -> Sample:
    objects = read_objects(path, *sample.size)
    layout = partial(layout_of, objects, *sample.size)
    return replace(sample, objects=objects, load_photo=layout)


def read_objects(path: Path, width: int, height: int) -> Tensor:
    """The boxes of a photo's objects, (M, 4) in pixels; (0, 4) for an empty file.

    Boxes without area are left out: the detector fills its list of ten up with them.

    Raises:
        DatasetMissing: when the file isn't there, or a line isn't four numbers.
        BoxError: when a box is inverted, or lies outside of the photo.
    """
    rows = []
    for line, text in enumerate(checked.read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = [float(word) for word in text.split()]
        except ValueError:
            row = []
        if len(row) != 4 or not all(abs(value) <= checked.LARGEST_SIDE for value in row):
            raise checked.broken(
                path, f"expected `y1 x1 y2 x2` and found {checked.short(text)}", line
            )
        y1, x1, y2, x2 = row
        if x1 > x2 or y1 > y2:
            raise BoxError(f"{path}, line {line}: the box y1 x1 y2 x2 = {text!r} is inverted")
        if x1 < x2 and y1 < y2:
            rows.append((x1, y1, x2, y2))
    return base.true_boxes(rows or torch.zeros(0, 4), str(path), width, height)


def layout_of(objects: Tensor, width: int, height: int) -> Image.Image:
    """`draw_layout` as a PIL image."""
    return Image.fromarray(draw_layout(objects, width, height))


def draw_layout(objects: Tensor, width: int, height: int) -> np.ndarray:
    """A picture of boxes, (H, W, 3) uint8: all that a layout shows of its photo.

    On grey ground each box has a translucent fill, so that overlaps can be seen, and an outline.
    Its colour goes from red to blue with the root of its share of the photo. Smaller boxes lie on
    larger ones. All is computed in whole numbers, so that the bytes are the same everywhere.

    Args:
        objects: (M, 4) in pixels.
    """
    canvas = np.full((height, width, 3), GROUND, dtype=np.uint8)
    edge = max(min(width, height) // OUTLINE, 1)
    corners = objects.round().int().tolist()
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in corners]
    for index in sorted(range(len(corners)), key=lambda one: (-areas[one], corners[one])):
        x1, y1, x2, y2 = corners[index]
        level = min(math.isqrt(areas[index] * 255 * 255 // (width * height)), 255)
        colour = np.array([255 - level, 48, level], dtype=np.uint16)
        region = canvas[y1:y2, x1:x2]
        region[:] = (region * np.uint16(10 - FILLED) + colour * np.uint16(FILLED)) // 10
        for side in (region[:edge], region[-edge:], region[:, :edge], region[:, -edge:]):
            side[:] = colour
    return canvas
