"""The aesthetic score of a crop, written down in full: seven terms of 0 … 1 and their weights.

Every term takes a scene and crops `(N, 4)` and answers `(N,)`. Terms are rounded to thousandths and
weights are whole, so that a sum of them is exact and no machine ranks two crops differently from
another.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cropnb.boxes import check
from cropnb.datasets.scenes.describe import Scene, Thing

WEIGHTS = {
    "power_point": 22,
    "look_room": 14,
    "headroom": 10,
    "horizon": 16,
    "whole": 14,
    "clean": 14,
    "content": 10,
}


def score_terms(scene: Scene, boxes: Tensor | np.ndarray) -> dict[str, Tensor]:
    """Each term of the score, 0 … 1, for crops `(N, 4)` in pixels: a dictionary of `(N,)` float32
    tensors.

    Raises:
        BoxError: boxes that are not boxes.
    """
    return {
        name: torch.from_numpy(row / 1000).float()
        for name, row in zip(TERMS, term_matrix(scene, boxes), strict=True)
    }


def aesthetic_score(scene: Scene, boxes: Tensor | np.ndarray) -> Tensor:
    """The score without noise, 0 … 1, for crops `(N, 4)` in pixels: the weighted mean of the terms,
    `(N,)`.
    """
    weights = np.array(list(WEIGHTS.values()))
    return torch.from_numpy(weights @ term_matrix(scene, boxes) / (1000 * weights.sum())).float()


def power_point(scene: Scene, crop: np.ndarray) -> np.ndarray:
    """The centre of the main subject near one of the four points where the thirds of the crop
    cross.

    1 on such a point, 0 from a quarter of the crop on.
    """
    u, v = _centre(scene.main, crop)
    dx = np.minimum(np.abs(u - 1 / 3), np.abs(u - 2 / 3))
    dy = np.minimum(np.abs(v - 1 / 3), np.abs(v - 2 / 3))
    return np.clip(1 - 4 * np.sqrt(dx * dx + dy * dy), 0, 1)


def look_room(scene: Scene, crop: np.ndarray) -> np.ndarray:
    """More room before the main subject than behind it: the share of the free width that lies
    ahead.

    0 up to a share of 0.35, 1 from 0.6 to 0.8, back to 0.5 when all of it lies ahead.
    A subject that looks nowhere needs none: always 1.
    """
    x1, _, x2, _ = scene.main.box
    left = np.clip(x1 - crop[:, 0], 0, None)
    right = np.clip(crop[:, 2] - x2, 0, None)
    if scene.main.facing == 0:
        return np.ones(len(crop))
    ahead = right if scene.main.facing > 0 else left
    share = ahead / np.maximum(left + right, 1)
    return np.clip(np.minimum((share - 0.35) / 0.25, 1 - (share - 0.8) / 0.4), 0, 1)


def headroom(scene: Scene, crop: np.ndarray) -> np.ndarray:
    """Room above the main subject, as a share of the crop's height: neither glued to the frame nor
    lost below.

    0 when it touches the upper edge, 1 from 0.12 to 0.4, 0 again from 0.7 on.
    """
    room = (scene.main.box[1] - crop[:, 1]) / (crop[:, 3] - crop[:, 1])
    return np.clip(np.minimum(room / 0.12, (0.7 - room) / 0.3), 0, 1)


def horizon(scene: Scene, crop: np.ndarray) -> np.ndarray:
    """The horizon on the upper or the lower third. 1 on a third, 0 a sixth away (halfway, for one)
    and out of sight.
    """
    height = (scene.horizon - crop[:, 1]) / (crop[:, 3] - crop[:, 1])
    return np.clip(1 - 6 * np.minimum(np.abs(height - 1 / 3), np.abs(height - 2 / 3)), 0, 1)


def whole(scene: Scene, crop: np.ndarray) -> np.ndarray:
    """No subject cut by the frame. A subject is all in or all out, or it costs: fully from an
    eighth cut off on.

    Smaller subjects cost less, by their area as a share of the main subject's.
    """
    cost = np.zeros(len(crop))
    for thing in scene.subjects:
        seen = visible(thing, crop)
        cost = cost + thing.area / scene.main.area * np.minimum(8 * np.minimum(seen, 1 - seen), 1)
    return np.clip(1 - cost, 0, 1)


def clean(scene: Scene, crop: np.ndarray) -> np.ndarray:
    """No distractor. Each costs an equal share, fully as soon as half of it is in the crop."""
    if not scene.distractors:
        return np.ones(len(crop))
    cost = np.zeros(len(crop))
    for thing in scene.distractors:
        cost = cost + np.minimum(2 * visible(thing, crop, (scene.width, scene.height)), 1)
    return 1 - cost / len(scene.distractors)


def content(scene: Scene, crop: np.ndarray) -> np.ndarray:
    """Enough kept: the subjects (by area), times the share of the photo: enough from 0.45 on,
    nothing at 0.1.
    """
    visible_area, area = np.zeros(len(crop)), 0
    for thing in scene.subjects:
        visible_area = visible_area + thing.area * visible(thing, crop)
        area = area + thing.area
    share = (crop[:, 2] - crop[:, 0]) * (crop[:, 3] - crop[:, 1]) / (scene.width * scene.height)
    return visible_area / area * np.clip((share - 0.1) / 0.35, 0, 1)


TERMS: dict[str, Callable[[Scene, np.ndarray], np.ndarray]] = {
    "power_point": power_point,
    "look_room": look_room,
    "headroom": headroom,
    "horizon": horizon,
    "whole": whole,
    "clean": clean,
    "content": content,
}


def visible(thing: Thing, crop: np.ndarray, photo: tuple[int, int] | None = None) -> np.ndarray:
    """Share of a thing's box inside each crop `(N, 4)`; with `photo = (width, height)` of the part
    in the photo.
    """
    x1, y1, x2, y2 = thing.box
    if photo is not None:
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, photo[0]), min(y2, photo[1])
    wide = np.clip(np.minimum(crop[:, 2], x2) - np.maximum(crop[:, 0], x1), 0, None)
    high = np.clip(np.minimum(crop[:, 3], y2) - np.maximum(crop[:, 1], y1), 0, None)
    return wide * high / ((x2 - x1) * (y2 - y1))


def term_matrix(scene: Scene, boxes: Tensor | np.ndarray) -> np.ndarray:
    """The terms in thousandths, `(7, N)` int64, in the order of `WEIGHTS`."""
    crop = check(torch.as_tensor(boxes)).double().reshape(-1, 4).numpy()
    return np.stack([np.rint(1000 * term(scene, crop)).astype(np.int64) for term in TERMS.values()])


def _centre(thing: Thing, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centre of a thing as a share of each crop's width and height."""
    x1, y1, x2, y2 = thing.box
    u = ((x1 + x2) / 2 - crop[:, 0]) / (crop[:, 2] - crop[:, 0])
    v = ((y1 + y2) / 2 - crop[:, 1]) / (crop[:, 3] - crop[:, 1])
    return u, v
