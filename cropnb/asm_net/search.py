"""The two-stage search of Section 3.3: some 895 windows first, then what lies around the ten best."""

from functools import lru_cache

import torch
from torch import Tensor

from cropnb import candidates
from cropnb.asm_net.circles import circle_pool, inscribed
from cropnb.asm_net.patterns import Pattern
from cropnb.asm_net.pooling import composition_pool
from cropnb.errors import CropnbError

SHAPES = ("rectangle", "circle")
KEPT = 10  # crops of the first stage whose neighbourhood is searched
MOVES = (-1.0, 0.0, 1.0)
SHIFT = 1 / 40  # of the photo's side: a quarter of the first stage's step
STRETCH = 1.05  # of a crop's size, and of its aspect ratio


def search(
    score_map: Tensor,
    width: int,
    height: int,
    pattern: Pattern,
    aspect: float | None = None,
    shape: str = "rectangle",
) -> tuple[Tensor, Tensor]:
    """All crops that both stages looked at, best first: boxes (N, 4) in pixels of the photo, scores
    (N,).

    score_map: (L, H, W) of a photo of `width` × `height` pixels, of any size. aspect: the required
        width / height. For
        the shape "circle" the boxes are the squares around the circles. Raises `BoxError` where no
        window fits and `CropnbError` for an unknown shape, or a circle of another ratio than 1.
    """
    if shape not in SHAPES:
        raise CropnbError(f"there is no shape {shape!r}; there are {', '.join(SHAPES)}")
    if shape == "circle":
        if aspect not in (None, 1):
            raise CropnbError(f"a circle is as wide as it is high; leave the ratio {aspect} out")
        aspect = 1.0
    first = _windows(width, height, aspect, pattern).to(score_map.device)
    scores = _score(score_map, first, width, height, pattern, shape)
    best = scores.topk(min(KEPT, len(scores))).indices
    second = neighbourhood(first[best], width, height, keep_ratio=aspect is not None)
    second = second[_large_enough(second, pattern)]
    boxes = torch.cat([first, second])
    scores = torch.cat([scores, _score(score_map, second, width, height, pattern, shape)])
    order = scores.argsort(descending=True, stable=True)
    return boxes[order], scores[order]


def neighbourhood(boxes: Tensor, width: int, height: int, keep_ratio: bool = False) -> Tensor:
    """Slightly moved, resized and stretched versions of boxes (N, 4) that stay inside the photo:
    (M, 4).

    Every combination of three places along each axis, three sizes and, unless `keep_ratio`, three
    ratios, but for the boxes themselves. The paper varies the same four and prints no steps.
    """
    moves = torch.tensor(MOVES, dtype=torch.double, device=boxes.device)
    ratios = moves.new_zeros(1) if keep_ratio else moves
    along, down, size, ratio = torch.cartesian_prod(moves, moves, moves, ratios).unbind(1)
    boxes = boxes.double()
    centre, side = (
        (boxes[:, None, :2] + boxes[:, None, 2:]) / 2,
        boxes[:, None, 2:] - boxes[:, None, :2],
    )
    photo = moves.new_tensor([width, height])
    centre = centre + torch.stack([along, down], dim=1) * SHIFT * photo  # (N, steps, 2)
    side = side * STRETCH ** torch.stack([size + ratio / 2, size - ratio / 2], dim=1)
    varied = torch.cat([centre - side / 2, centre + side / 2], dim=-1)
    changed = (along != 0) | (down != 0) | (size != 0) | (ratio != 0)
    inside = (varied[..., :2] >= 0).all(-1) & (varied[..., 2:] <= photo).all(-1) & changed
    # Rounded to single precision a border may end a hair outside.
    return torch.minimum(varied[inside].float(), photo.float().repeat(2))


@lru_cache(maxsize=32)
def _windows(width: int, height: int, aspect: float | None, pattern: Pattern) -> Tensor:
    """The windows of the first stage; those with less than a pixel a cell are left out."""
    if aspect is None:
        boxes = candidates.sliding_windows(width, height)
    else:
        boxes = candidates.aspect_windows(
            width, height, aspect, 895, scales=candidates.SLIDING_SCALES
        )
    return boxes[_large_enough(boxes, pattern)]


def _large_enough(boxes: Tensor, pattern: Pattern) -> Tensor:
    return ((boxes[:, 2:] - boxes[:, :2]) >= boxes.new_tensor([pattern.columns, pattern.rows])).all(
        -1
    )


def _score(
    score_map: Tensor, boxes: Tensor, width: int, height: int, pattern: Pattern, shape: str
) -> Tensor:
    if shape == "circle":
        return circle_pool(score_map, inscribed(boxes), pattern, (width, height))
    return composition_pool(score_map, boxes, pattern, (width, height), rule="area")
