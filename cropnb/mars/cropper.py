"""Asking Mars for crops: from a predicted map to a crop (Sec. 3.4), and one photo, any ratios; the
weights for a ratio are predicted once.
"""

import copy
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cropnb import backbones, checkpoints, guards
from cropnb.croppers import by_shape, shipped
from cropnb.errors import BoxError, CropnbError, ImageError, WeightsUnavailable
from cropnb.images import Photo, read_photo, to_tensor
from cropnb.mars.model import Mars, MarsForRatio
from cropnb.mars.photos import prepare
from cropnb.mars.ratio import check_ratios

THRESHOLD = 0.4  # θ in the paper, from a grid search on its training photos (Sec. 4.1)
REMEMBERED = 64  # ratios whose weights a cropper keeps
_CHANGING = threading.Lock()  # held while a cropper's memory of ratios changes


class MapCrop(NamedTuple):
    """What the post-processing finds in R maps, all in pixels of the photo."""

    boxes: Tensor  # (R, 4)
    # (R, 4): x and y of the centre, width and height, before the ratio and the border are respected
    medians: Tensor
    thresholds: Tensor  # (R,): θ, or what stood in for it where nothing lay above


def crops_from_maps(
    maps: Tensor,
    aspects: Tensor,
    cell: Tensor,
    photo: Tensor,
    threshold: float = THRESHOLD,
    inside: Tensor | None = None,
) -> MapCrop:
    """Predicted maps (R, h, w) in 0…1 → crops of the required ratios (R,) (Sec. 3.4).

    As printed: binarise at θ; the medians of the coordinates of all cells above it are the centre;
    the median of the columns' sums that are not zero is the height, that of the rows' sums the
    width; one of the two is reduced to the ratio. What the paper leaves open: a median of an even
    count is the middle of the two; where nothing lies above θ, half of the map's maximum takes its
    place; a window across the border is moved inside; one that is larger than the photo is shrunk,
    ratio kept.

    There is no loop and nothing waits for the device, so a CUDA graph can hold all of it.

    Args:
        cell: (2,) or (R, 2), width and height of a map's cell in pixels of the photo.
        photo: (2,) or (R, 2), its width and height.
        inside: booleans (R, h, w), False on padding.

    Raises:
        CropnbError: a threshold outside 0…1, or maps of another shape.
        BoxError: not one ratio a map.
    """
    if maps.ndim != 3 or 0 in maps.shape:
        raise CropnbError(f"maps have the shape (R, h, w), not {tuple(maps.shape)}")
    if not 0 <= threshold < 1:
        raise CropnbError(f"the threshold is {threshold}; it lies in 0…1")
    if aspects.shape != maps.shape[:1]:
        raise BoxError(f"{len(maps)} maps need as many ratios, not {tuple(aspects.shape)}")
    if inside is not None:
        maps = maps.masked_fill(~inside, -1.0)
    ones = maps > threshold  # (R, h, w)
    empty = ~ones.flatten(1).any(1)  # (R,)
    half = maps.flatten(1).amax(1) / 2  # (R,)
    ones = torch.where(empty[:, None, None], maps >= half[:, None, None], ones)  # (R, h, w)
    thresholds = torch.where(empty, half, torch.full_like(half, threshold))  # (R,)

    columns = ones.sum(1)  # (R, w), heights
    rows = ones.sum(2)  # (R, h), widths
    # Half a cell on, to the middle of each.
    centre = torch.stack([_median_place(columns), _median_place(rows)], dim=1) + 0.5  # (R, 2)
    extent = torch.stack([_median_of_nonzero(rows), _median_of_nonzero(columns)], dim=1)  # (R, 2)
    cell, photo = cell.to(maps), photo.to(maps)
    centre = centre * cell  # (R, 2) in pixels
    extent = extent * cell  # (R, 2)
    medians = torch.cat([centre, extent], dim=1)  # (R, 4)

    ratio = aspects.to(maps)  # (R,)
    width = torch.minimum(extent[:, 0], extent[:, 1] * ratio)  # (R,)
    height = torch.minimum(extent[:, 1], extent[:, 0] / ratio)  # (R,)
    sides = torch.stack([width, height], dim=1)  # (R, 2)
    sides = sides * (photo / sides).amin(1, keepdim=True).clamp(max=1)
    # Against the last bit of the multiplication.
    sides = torch.minimum(sides, photo.expand_as(sides))
    first = torch.minimum((centre - sides / 2).clamp(min=0), photo - sides)  # (R, 2)
    last = torch.minimum(first + sides, photo.expand_as(sides))  # (R, 2)
    return MapCrop(torch.cat([first, last], dim=1), medians, thresholds)


def _median_place(counts: Tensor) -> Tensor:
    """The median (R,) of coordinates of which place i holds counts[:, i], (R, n)."""
    total, reached = counts.sum(1, keepdim=True), counts.cumsum(1)  # (R, 1), (R, n)
    # The place of the value number (total + 1) // 2, from one.
    lower = (reached < (total + 1) // 2).sum(1)  # (R,)
    upper = (reached < total // 2 + 1).sum(1)  # (R,)
    return (lower + upper).float() / 2


def _median_of_nonzero(values: Tensor) -> Tensor:
    """The median (R,) of those values of each row of (R, n), zero or above, that aren't zero."""
    ordered = values.sort(1).values.float()  # (R, n), the zeros first
    number, zeros = (values > 0).sum(1), (values == 0).sum(1)  # (R,) each
    places = torch.stack([zeros + (number - 1).clamp(min=0) // 2, zeros + number // 2], dim=1)
    middle = ordered.gather(1, places.clamp(max=values.shape[1] - 1))  # (R, 2)
    return middle.sum(1) / 2


class Prediction(NamedTuple):
    """What Mars sees in one photo for R required ratios; boxes and medians in its pixels."""

    maps: Tensor  # (R, h, w) in 0…1: how likely each cell lies in the crop
    boxes: Tensor  # (R, 4)
    # (R, 4): centre x, centre y, width, height, before ratio and border are respected
    medians: Tensor
    threshold: Tensor  # (R,): θ, or half of the map's maximum where nothing lay above


@torch.inference_mode()
def predict(
    model: Mars,
    photo: Photo,
    aspects: float | Sequence[float] | Tensor,
    threshold: float = THRESHOLD,
) -> Prediction:
    """Maps and crops of a photo for several ratios at once; what doesn't depend on the ratio is
    computed once.

    A ratio beyond 1/2…2 gets the weights of the nearer end and a window of the ratio that was asked
    for.

    Raises:
        ImageError, BoxError: a photo or ratios that can't be used.
    """
    image = _tensor(photo)
    aspects = check_ratios(aspects)
    device = next(model.parameters()).device
    shown = prepare(image.to(device))
    features = model.features(shown[None].contiguous(memory_format=torch.channels_last))
    logits = model.head(features.expand(len(aspects), -1, -1, -1), model.ratio_weights(aspects))
    size = (image.shape[-1], image.shape[-2])
    maps, crops = _finish(
        model, logits, aspects=aspects.to(device), shown=shown, size=size, threshold=threshold
    )
    return Prediction(maps.cpu(), *(part.cpu() for part in crops))


def _tensor(photo: Photo) -> Tensor:
    """(3, H, W) in 0…1 of whatever a photo is given as."""
    floats = isinstance(photo, Tensor) and photo.is_floating_point()
    if floats and photo.ndim == 3 and photo.shape[0] == 3:
        if 0 in photo.shape or not torch.isfinite(photo).all():
            raise ImageError(
                f"a photo as a tensor holds finite numbers in 0…1; this one is {tuple(photo.shape)}"
            )
        return photo.float()
    return to_tensor(read_photo(photo))


def _finish(
    model: Mars,
    logits: Tensor,
    aspects: Tensor,
    shown: Tensor,
    size: tuple[int, int] | Sequence[tuple[int, int]],
    threshold: float,
) -> tuple[Tensor, MapCrop]:
    """Maps in 0…1 without padding, and their crops in pixels of the photo, or of each map's own."""
    height, width = shown.shape[-2:]
    maps = (
        logits[:, : -(-height // model.out_stride), : -(-width // model.out_stride)]
        .float()
        .sigmoid()
    )  # (R, h, w)
    photo = torch.tensor(size, dtype=torch.float32, device=maps.device)  # (2,) or (R, 2)
    cell = model.out_stride * photo / torch.tensor([width, height], device=maps.device)
    return maps, crops_from_maps(maps, aspects, cell, photo, threshold)


class MarsCropper:
    """A trained Mars, its batch normalisations folded into the convolutions.

    Attributes:
        threshold: θ, searched on the training photos.
        card: what its checkpoint says about itself.
    """

    name = "mars"
    shared = True  # threads may ask it at a time

    def __init__(
        self, model: Mars, card: dict | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.card, self.device = card or {}, torch.device(device)
        self.threshold = float(self.card.get("threshold", THRESHOLD))
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.model.backbone = backbones.fuse_for_inference(self.model.backbone)
        # Channels last is the order in which the convolutions read: half the time on a CPU.
        self.model.to(self.device, memory_format=torch.channels_last)
        self._models: OrderedDict[float, MarsForRatio] = OrderedDict()

    def for_ratio(self, aspect: float) -> MarsForRatio:
        """The network for one ratio; the last 64 are kept."""
        with _CHANGING:
            if aspect in self._models:
                self._models.move_to_end(aspect)
                return self._models[aspect]
        network = self.model.for_ratio(aspect)
        with _CHANGING:
            self._models[aspect] = network
            if len(self._models) > REMEMBERED:
                self._models.popitem(last=False)
        return network

    @torch.inference_mode()
    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, None]:
        """A photo (3, H, W) in 0…1 → the crop (1, 4) of the ratio; without one, of the photo's."""
        size = (image.shape[-1], image.shape[-2])
        return self.propose_all([self.see(image)], [size], [aspect])[0]

    def see(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 as the network reads it."""
        return prepare(image.to(self.device))

    @torch.inference_mode()
    def propose_all(
        self,
        seen: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        aspects: Sequence[float | None],
    ) -> list[tuple[Tensor, None]]:
        """`propose` for photos of these sizes (width, height), of which `see` made `seen`; those of
        one shape go through the backbone together, and each ratio has its own head.
        """
        answers: list[tuple[Tensor, None]] = [(torch.empty(0, 4), None)] * len(seen)
        for places in by_shape(seen):
            photos = torch.stack([seen[place] for place in places])  # (B, 3, h, w)
            features = self.model.features(photos.contiguous(memory_format=torch.channels_last))
            ratios = [
                sizes[place][0] / sizes[place][1] if aspects[place] is None else aspects[place]
                for place in places
            ]
            for ratio in dict.fromkeys(ratios):  # each has a head of its own
                rows = [row for row, own in enumerate(ratios) if own == ratio]
                own = [places[row] for row in rows]
                crops = self._crops(features[rows], ratio, photos, [sizes[place] for place in own])
                for place, box in zip(own, crops.boxes.cpu(), strict=True):
                    answers[place] = box[None], None
        return answers

    def _crops(
        self, features: Tensor, aspect: float, shown: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> MapCrop:
        """Features (B, c, h, w) of photos of these sizes → their crops of one ratio."""
        logits = self.for_ratio(float(aspect)).head(features)  # (B, h, w)
        ratios = torch.full((len(features),), float(aspect), device=self.device)  # (B,)
        return _finish(
            self.model, logits, aspects=ratios, shown=shown, size=sizes, threshold=self.threshold
        )[1]

    def predict(self, photo: Photo, aspects: float | Sequence[float] | Tensor) -> Prediction:
        """`predict` with this model and its own threshold."""
        return predict(self.model, photo, aspects, self.threshold)


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> MarsCropper:
    """A trained Mars; what it was built with stands in its checkpoint's card.

    Raises:
        WeightsUnavailable: there are no weights.
        CheckpointError: they are of another method, or damaged.
    """
    path = Path(weights) if weights is not None else shipped("mars", "scenes")
    if not path.exists():
        raise WeightsUnavailable(
            f"no weights of mars at {path}; train them: python -m cropnb.mars --profile cpu"
        )
    state, card = checkpoints.load_weights(path, "mars")
    with guards.fields(path):
        arguments = dict(card["arguments"])
        guards.fraction(card, "threshold", THRESHOLD)
    model = guards.build(path, lambda: Mars(**arguments, weights=None), state)
    checkpoints.load_into(model, state, path)
    return MarsCropper(model, card, device)
