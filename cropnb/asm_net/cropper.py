"""Asking a trained ASM-Net for crops, and for its score map.

The search has two stages (Sec. 3.3): some 900 windows first, then what lies around the ten best.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from cropnb import backbones, candidates, checkpoints, croppers, guards, metrics
from cropnb.asm_net import patterns
from cropnb.asm_net.model import AsmNet, Levels, ScoredPhotos, prepare
from cropnb.asm_net.patterns import Pattern
from cropnb.asm_net.pooling import composition_pool
from cropnb.asm_net.pooling.circles import circle_pool, inscribed
from cropnb.boxes import area
from cropnb.errors import BoxError, CropnbError, WeightsUnavailable

SHAPES = ("rectangle", "circle")
BEST = 10  # crops of the first stage whose neighbourhood is searched
MOVES = (-1.0, 0.0, 1.0)
SHIFT = 1 / 40  # of the photo's side: a quarter of the first stage's step
STRETCH = 1.05  # of a crop's size, and of its aspect ratio


class AsmCropper:
    """A trained network, its batch normalisations folded into the convolutions, ready to search
    photos of any size.

    Args:
        model: is copied.
        card: of its weights.
    """

    name = "asm_net"
    shared = True  # threads may ask it at a time

    def __init__(
        self, model: AsmNet, card: Mapping[str, object], device: str | torch.device = "cpu"
    ) -> None:
        self.card, self.device, self.pattern = card, torch.device(device), model.pattern
        self.sharpness = guards.sharpness(card)
        self.ordered = self.sharpness is not None
        # Where people's boxes are asked for, no smaller crops than people rate; see `search`.
        self.least_area = candidates.LEAST_AREA if self.ordered else 0.0
        self.model = copy.deepcopy(model).eval()
        self.model.backbone = backbones.fuse_for_inference(self.model.backbone)
        # Channels last is the order in which the convolutions read: half the time on a CPU.
        self.model.to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def score_map(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 → its aesthetic score map (L, h, w), on the network's device.

        The map covers the whole photo, in fewer pixels: give the photo's size wherever it is
        pooled.
        """
        photo = self.see(image)[None].contiguous(memory_format=torch.channels_last)
        return self.model(photo)[0].contiguous().float()

    def see(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 as the network reads it."""
        return prepare(image.to(self.device))

    @torch.inference_mode()
    def propose_all(
        self,
        seen: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        aspects: Sequence[float | None],
    ) -> list[tuple[Tensor, Tensor]]:
        """`propose` for photos of these sizes (width, height), of which `see` made `seen`; those of
        one shape go through the network together.
        """
        answers: list[tuple[Tensor, Tensor]] = [(torch.empty(0, 4), torch.empty(0))] * len(seen)
        for places in croppers.by_shape(seen):
            photos = torch.stack([seen[place] for place in places])  # (B, 3, h, w)
            maps = self.model(photos.contiguous(memory_format=torch.channels_last)).float()
            for place, score_map in zip(places, maps, strict=True):
                boxes, scores = search(
                    score_map.contiguous(),
                    *sizes[place],
                    self.pattern,
                    aspects[place],
                    sharpness=self.sharpness,
                    least_area=self.least_area,
                    rated=self.ordered,
                )
                answers[place] = boxes.cpu(), scores.cpu()
        return answers

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, Tensor]:
        """Every crop of the two-stage search, best first: boxes (N, 4) in the photo's pixels,
        scores (N,).
        """
        height, width = image.shape[-2:]
        boxes, scores = search(
            self.score_map(image),
            width,
            height,
            self.pattern,
            aspect,
            sharpness=self.sharpness,
            least_area=self.least_area,
            rated=self.ordered,
        )
        return boxes.cpu(), scores.cpu()

    def propose_circles(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Circular crops, best first (Sec. 4.5): the squares around them (N, 4), scores (N,) of
        (Eq. 9).
        """
        height, width = image.shape[-2:]
        score_map = self.score_map(image)
        boxes, scores = search(score_map, width, height, self.pattern, shape="circle")
        return boxes.cpu(), scores.cpu()

    def score_boxes(self, image: Tensor, boxes: Tensor) -> Tensor:
        """The crop-level score (N,) of boxes (N, 4) in the photo's pixels; only those of one photo
        can be compared.

        Raises:
            BoxError: a crop with less than a pixel for each cell of the pattern.
        """
        size = (image.shape[-1], image.shape[-2])
        return composition_pool(self.score_map(image), boxes, self.pattern, size, rule="area").cpu()


def search(
    score_map: Tensor,
    width: int,
    height: int,
    pattern: Pattern,
    aspect: float | None = None,
    shape: str = "rectangle",
    sharpness: float | None = None,
    least_area: float = 0.0,
    rated: bool = False,
) -> tuple[Tensor, Tensor]:
    """All crops that both stages looked at (Sec. 3.3), best first.

    With a sharpness best is the largest expected overlap with what a person would draw, see
    `croppers.preference`.

    Args:
        score_map: (L, H, W), of any size.
        width, height: of the photo.
        aspect: the required width / height.
        shape: for a "circle" the boxes are the squares around the circles.
        sharpness: β; None ranks by the score, as the paper does.
        least_area: share of the photo that a crop keeps at least, such as a quantile of the
            training crops' areas: `studies/least_area.py`. At a required ratio the share is of the
            largest window.
        rated: without a required ratio the first stage looks at the crops that people rate, GAICD's
            grid anchors, in place of windows that slide over the photo: `studies/first_stage.py`.

    Returns:
        Boxes (N, 4) in pixels of the photo, and scores (N,).

    Raises:
        BoxError: no window fits.
        CropnbError: an unknown shape, a circle of another ratio than 1, or a `least_area` that is
            no share.
    """
    if not 0 <= least_area <= 1:
        raise CropnbError(f"least_area is a share of the photo, 0…1, not {least_area}")
    if shape not in SHAPES:
        raise CropnbError(f"there is no shape {shape!r}; there are {', '.join(SHAPES)}")
    if shape == "circle":
        if aspect not in (None, 1):
            raise CropnbError(f"a circle is as wide as it is high; leave the ratio {aspect} out")
        aspect = 1.0
    first = _windows(width, height, aspect, pattern, rated).to(score_map.device)
    if not len(first):
        raise BoxError(
            f"no window of a photo of {width} × {height}"
            + ("" if aspect is None else f" and of the ratio {float(aspect):.6g}")
            + " has a pixel for each cell of the pattern; take a larger photo or another ratio"
        )
    least = least_area * (width * height if aspect is None else float(area(first).max()))
    first = first[area(first) >= least]
    scores = _score(score_map, first, (width, height), pattern, shape)
    sides = first[:, 2] - first[:, 0]  # (N,)
    sizes = None if aspect is None else sides / sides.amax()
    liked = croppers.preference(first, scores, sharpness, sizes)
    best = liked.topk(min(BEST, len(scores))).indices
    second = neighbourhood(first[best], width, height, keep_ratio=aspect is not None)
    second = second[_large_enough(second, pattern) & (area(second) >= least)]
    boxes = torch.cat([first, second])
    second_scores = _score(score_map, second, (width, height), pattern, shape)
    if sharpness is None:
        liked = torch.cat([scores, second_scores])
    else:  # the neighbours crowd around a few windows, so they don't count as truths
        liked = croppers.preference(boxes, scores, sharpness, sizes, truths=first)
    order = liked.argsort(descending=True, stable=True)
    return boxes[order], torch.cat([scores, second_scores])[order]


def neighbourhood(boxes: Tensor, width: int, height: int, keep_ratio: bool = False) -> Tensor:
    """Slightly moved, resized and stretched versions of boxes (N, 4) that stay inside the photo:
    (M, 4).

    Every combination of three places along each axis, three sizes and, unless `keep_ratio`, three
    ratios, but for the boxes themselves. The paper varies the same four and prints no steps.
    """
    moves = torch.tensor(MOVES, dtype=torch.double, device=boxes.device)
    ratios = moves.new_zeros(1) if keep_ratio else moves
    right, down, size, ratio = torch.cartesian_prod(moves, moves, moves, ratios).unbind(1)
    boxes = boxes.double()
    centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2  # (N, 1, 2)
    side = boxes[:, None, 2:] - boxes[:, None, :2]
    photo = moves.new_tensor([width, height])
    centre = centre + torch.stack([right, down], dim=1) * SHIFT * photo  # (N, steps, 2)
    side = side * STRETCH ** torch.stack([size + ratio / 2, size - ratio / 2], dim=1)
    varied = torch.cat([centre - side / 2, centre + side / 2], dim=-1)  # (N, steps, 4)
    changed = (right != 0) | (down != 0) | (size != 0) | (ratio != 0)
    inside = (varied[..., :2] >= 0).all(-1) & (varied[..., 2:] <= photo).all(-1) & changed
    # Rounded to single precision a border may end a hair outside.
    return torch.minimum(varied[inside].float(), photo.float().repeat(2))


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _windows(
    width: int, height: int, aspect: float | None, pattern: Pattern, rated: bool
) -> Tensor:
    """First-stage windows, or anchors that people rated, with at least a pixel for each cell."""
    if aspect is not None:
        scales = candidates.SLIDING_SCALES
        boxes = candidates.aspect_windows(width, height, aspect, 895, scales=scales)
    else:
        boxes = candidates.grid_anchors(width, height) if rated else torch.empty(0, 4)
        if not len(boxes):  # the limits of the grid leave nothing of a panorama
            boxes = candidates.sliding_windows(width, height)
    return boxes[_large_enough(boxes, pattern)]


def _large_enough(boxes: Tensor, pattern: Pattern) -> Tensor:
    cells = boxes.new_tensor([pattern.columns, pattern.rows])
    return ((boxes[:, 2:] - boxes[:, :2]) >= cells).all(-1)


def _score(
    score_map: Tensor, boxes: Tensor, size: tuple[int, int], pattern: Pattern, shape: str
) -> Tensor:
    """(N,) scores of boxes, or of the circles in them."""
    if shape == "circle":
        return circle_pool(score_map, inscribed(boxes), pattern, size)
    return composition_pool(score_map, boxes, pattern, size, rule="area")


@torch.no_grad()
def crop_scores(model: AsmNet, photos: ScoredPhotos, levels: Levels) -> list[Tensor]:
    """The crop-level scores (N,) of each photo."""
    model.eval()
    scores: dict[int, Tensor] = {}
    for batch in photos.batches(range(len(photos)), levels, at_once=32):
        score_map = batch.score_map(model)  # (B, L, h, w)
        pooled = composition_pool(score_map, batch.boxes, model.pattern, batch.size)  # (B, N)
        scores |= zip(batch.indices, pooled.cpu(), strict=True)
    return [scores[index] for index in range(len(photos))]


def pair_counts(
    scores: Sequence[Tensor], photos: ScoredPhotos, delta: float
) -> tuple[Tensor, Tensor]:
    """Pairs ranked rightly, and all pairs, of each photo: two tensors (photos,)."""
    pairs = zip(scores, photos.mos, strict=True)
    counts = [metrics.ranking.pair_counts(one, mos, delta) for one, mos in pairs]
    right, count = zip(*counts, strict=True)
    return torch.stack(right), torch.stack(count)


def pair_accuracy(model: AsmNet, photos: ScoredPhotos, delta: float, levels: Levels) -> float:
    """The share of all pairs of a dataset that is ranked rightly (Sec. 4.3)."""
    right, pairs = pair_counts(crop_scores(model, photos, levels), photos, delta)
    return float(right.sum() / pairs.sum())


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> AsmCropper:
    """A trained ASM-Net, with the backbone, the pattern and the stride that its card names.

    Raises:
        WeightsUnavailable: there are no weights.
        CheckpointError: they are those of another method.
    """
    path = Path(weights) if weights is not None else croppers.shipped("asm_net", "scenes")
    if not path.exists():
        raise WeightsUnavailable(
            f"no weights of asm_net at {path}; train them: python -m cropnb.asm_net --profile cpu"
        )
    state, card = checkpoints.load_weights(path, "asm_net")
    with guards.fields(path):
        built = {name: card[name] for name in ("backbone", "pattern")}
        built["stride"] = guards.whole(card, "stride", 1, 32)
        guards.sharpness(card)
        patterns.find(built["pattern"])
    model = guards.build(path, lambda: AsmNet(**built, weights=None), state)
    checkpoints.load_into(model, state, path)
    return AsmCropper(model, card, device)
