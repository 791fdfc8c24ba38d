"""Asking the set predictor for crops: it proposes all of its anchors' boxes, each with its
validity.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cropnb import backbones, candidates, croppers, guards, metrics
from cropnb.errors import BoxError
from cropnb.set_prediction.labels import CropPhotos, Features, resize_to
from cropnb.set_prediction.model import Predictions, SetPredictionCropper, pad

COUNTS, DETECTIONS, THRESHOLDS = (5, 10), (5, 10, 40), (0.85, 0.90)  # N, K and ε of the tables
LEAST = 1.0  # pixels that a proposed crop is wide and high at least
# Of a required ratio, chosen on validation photos of taught photographs:
# `studies/required_ratio.py`.
SHARPNESS = 10.0  # how likely each crop of the set is the one that is wanted
RATIO_SHARPNESS = 5.0  # how likely each window is, by its expected overlap with them


class CropPredictions(NamedTuple):
    """What the model predicts for one photo, best first; `metrics.average_precision` takes a list
    of them.

    Attributes:
        xyxy: (Q, 4) divided by the photo's sides.
        validity: (Q,).
    """

    xyxy: Tensor
    validity: Tensor


def ranked(predictions: Predictions) -> list[CropPredictions]:
    """The last layer's crops of each photo, the most valid first, on the CPU. Of equal validity the
    first anchor.
    """
    validity, order = predictions.validity.float().cpu().sort(dim=1, descending=True, stable=True)
    xyxy = predictions.xyxy.float().cpu()  # (B, Q, 4)
    return [CropPredictions(xyxy[i][order[i]], validity[i]) for i in range(len(validity))]


@torch.no_grad()
def predict(
    model: SetPredictionCropper,
    photos: CropPhotos,
    features: Features | None = None,
    batch_size: int = 16,
) -> list[CropPredictions]:
    """The crops of every photo, the most valid first.

    Args:
        features: the photos' maps, where they were computed before.
    """
    model.eval()
    if features is None:

        def features(indices: Sequence[int], mirrored: Sequence[bool]) -> list[Tensor]:
            return [model.features(photos.photo(index)) for index in indices]

    predictions: list[CropPredictions] = []
    for batch in torch.arange(len(photos)).split(batch_size):
        maps, mask = pad(features(batch.tolist(), [False] * len(batch)))
        predictions += ranked(model.from_features(maps, mask))
    return predictions


def set_accuracy(
    predictions: Sequence[CropPredictions], photos: CropPhotos, count: int, eps: float
) -> Tensor:
    """ACC 1/N (Eq. 7) for each photo, (photos,): whether one of the first `count` crops comes near
    the best labelled one.
    """
    hits = [
        metrics.set_acc_1n(one.xyxy, photos.best(index).cpu(), count, eps)
        for index, one in enumerate(predictions)
    ]
    return torch.stack(hits)


class SetCropper:
    """A trained network, its batch normalisations folded into the convolutions, ready to propose
    crops.

    Args:
        short_side: of the photos that the network sees, in pixels.
    """

    name = "set_prediction"
    shared = True  # threads may ask it at a time
    ordered = True

    def __init__(
        self,
        model: SetPredictionCropper,
        short_side: int,
        card: dict | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.card, self.device = card or {}, torch.device(device)
        self.short_side, self.sharpness = short_side, guards.sharpness(self.card)
        self.model = copy.deepcopy(model).eval()
        self.model.backbone = backbones.fuse_for_inference(self.model.backbone)
        # Channels last is the order in which the convolutions read: half the time on a CPU.
        self.model.to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, Tensor]:
        """All crops of a photo, the most valid first; where the card names a `sharpness`, before
        them the one of the largest expected overlap with the others, see `croppers.preference`.

        The network is free of ratios. Of a required one come the windows of that ratio, by their
        expected overlap; see `windows_of_ratio`.

        Args:
            image: (3, H, W) in 0…1.
            aspect: width / height.

        Returns:
            Boxes (Q, 4) in the photo's pixels and their validities (Q,); of a required ratio
            windows (N, 4) and their expected overlaps (N,).
        """
        size = (image.shape[-1], image.shape[-2])
        return self.propose_all([self.see(image)], [size], [aspect])[0]

    def see(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 at the short side that the network was trained with."""
        return resize_to(image.to(self.device), self.short_side)

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
            predictions = self.model(photos.contiguous(memory_format=torch.channels_last))
            for place, crops in zip(places, ranked(predictions), strict=True):
                boxes, aspect = _in_pixels(crops.xyxy, *sizes[place]), aspects[place]
                answers[place] = (
                    likeliest_first(boxes, crops.validity, self.sharpness)
                    if aspect is None
                    else windows_of_ratio(boxes, crops.validity, sizes[place], aspect)
                )
        return answers


def likeliest_first(
    boxes: Tensor, validity: Tensor, sharpness: float | None
) -> tuple[Tensor, Tensor]:
    """The crop of a set that may expect to overlap most with the one that is wanted comes to the
    front; the others keep their order, for a set is there to differ.

    Args:
        boxes: (Q, 4).
        validity: (Q,).
        sharpness: β of `croppers.preference`; None changes nothing.
    """
    if sharpness is None:
        return boxes, validity
    first = int(croppers.preference(boxes, validity, sharpness).argmax())
    order = [first, *(place for place in range(len(boxes)) if place != first)]
    return boxes[order], validity[order]


def windows_of_ratio(
    boxes: Tensor,
    validity: Tensor,
    size: tuple[int, int],
    aspect: float,
    sharpness: float = SHARPNESS,
    ratio_sharpness: float | None = RATIO_SHARPNESS,
) -> tuple[Tensor, Tensor]:
    """Windows of a ratio, and how much each may expect to overlap with a good crop, if that is one
    of the proposed boxes, softmax(sharpness · validity).

    To cut the ratio out of the most valid box alone makes a small crop smaller still, and forgets
    what the other boxes say. That overlap is then a window's score, and sizes are as likely as
    people draw them, see `croppers.preference`: the set's crops are free of a ratio, and windows
    that fit into them are smaller than what people draw.

    Args:
        boxes: (Q, 4) in pixels.
        validity: (Q,).
        size: width and height of the photo.
        ratio_sharpness: β of `croppers.preference`; None ranks by the overlap with the set.

    Returns:
        Windows (N, 4) in pixels, the best first, and their overlaps with the set (N,).
    """
    try:
        windows = candidates.aspect_windows(*size, aspect)
    except BoxError:  # a photo of a few pixels, or a ratio that is hardly in it
        windows = windows_within(boxes, aspect)
    overlaps = metrics.expected_iou(windows, (sharpness * validity).softmax(0), boxes)  # (N,)
    sides = windows[:, 2] - windows[:, 0]
    liked = croppers.preference(windows, overlaps, ratio_sharpness, sides / sides.amax())
    order = liked.argsort(descending=True, stable=True)
    return windows[order], overlaps[order]


def windows_within(boxes: Tensor, aspect: float) -> Tensor:
    """The largest window of a ratio in each box (N, 4), with the same centre: (N, 4)."""
    centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    width = torch.minimum(sides[:, 0], sides[:, 1] * aspect)  # (N,)
    half = torch.stack([width, width / aspect], dim=1) / 2  # (N, 2)
    return torch.cat([centre - half, centre + half], dim=1)


def _in_pixels(xyxy: Tensor, width: int, height: int) -> Tensor:
    """Boxes (N, 4) in shares → pixels, a pixel wide and high at least and inside the photo."""
    size = xyxy.new_tensor([width, height])
    first = torch.minimum((xyxy[:, :2] * size).clamp(min=0), size - LEAST)
    second = torch.minimum(torch.maximum(xyxy[:, 2:] * size, first + LEAST), size)
    return torch.cat([first, second], dim=1)


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> SetCropper:
    """The light model with trained weights, those of `weights` or those that come with the method.

    Raises:
        WeightsUnavailable: there are no weights.
        CheckpointError: those of another method or another model.
    """
    model = SetPredictionCropper.light(None)
    card = croppers.load_trained("set_prediction", model, weights)
    with guards.fields(weights or croppers.shipped("set_prediction", "scenes")):
        # Cards of before `short_side` hold the whole profile.
        sides = card if "short_side" in card else {"short_side": card["profile"]["test_side"]}
        short_side = guards.whole(sides, "short_side", 32, 4096)
    return SetCropper(model, short_side, card, device)
