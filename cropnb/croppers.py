"""One way to ask any method for crops of any photo:
`cropnb.load("vrn")("photo.jpg", k=5, aspect=16 / 9)`.

A method is a subpackage of `cropnb` whose `__init__.py` has a function
`load_cropper(weights, device)`. What that returns is either a scoring method, which rates the
candidates that it is given, or a proposing one, which finds boxes itself. Nothing here knows one by
name.
"""

import importlib
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from cropnb import boxes as box_math
from cropnb import candidates, checkpoints
from cropnb.errors import BoxError, CropnbError, ImageError, WeightsUnavailable
from cropnb.images import Photo, read_photo, to_tensor

MIN_SIDE = 16  # pixels; in less than that there is nothing to choose between


class ScoringMethod(Protocol):
    """Rates candidates: GAIC, VRN and their kin."""

    name: str

    def candidates(self, width: int, height: int, aspect: float | None = None) -> Tensor:
        """The boxes (N, 4) to choose from, in pixels; with `aspect` all of that ratio."""

    def score_boxes(self, image: Tensor, boxes: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 and boxes (N, 4) in its pixels -> scores (N,), higher is better."""


class ProposingMethod(Protocol):
    """Finds crops itself. It may have `score_boxes` too."""

    name: str

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, Tensor | None]:
        """A photo (3, H, W) in 0…1 -> boxes (N, 4) in its pixels and scores (N,), or None when best
        come first.
        """


@dataclass(frozen=True, eq=False)
class Crop:
    """One crop of one photo.

    Attributes:
        box: (4,) x1 y1 x2 y2 in pixels of the upright photo.
        score: the method's, higher is better and comparable within one photo only; None where it
            gives none.
        photo: the whole photo, RGB and upright.
    """

    box: Tensor
    score: float | None
    photo: Image.Image

    @property
    def pixels(self) -> tuple[int, int, int, int]:
        """The box in whole pixels, one at least. Its sides are rounded, not its corners: that keeps
        the ratio.
        """
        x1, y1, x2, y2 = self.box.tolist()
        left, right = _whole(x1, x2, self.photo.width)
        top, bottom = _whole(y1, y2, self.photo.height)
        return left, top, right, bottom

    def image(self) -> Image.Image:
        """The crop as an RGB image."""
        return self.photo.crop(self.pixels)

    def __repr__(self) -> str:
        score = "no score" if self.score is None else f"score {self.score:.4g}"
        return f"Crop({list(self.pixels)} of {self.photo.width} × {self.photo.height}, {score})"


class Cropper:
    """A method, ready to crop photos."""

    def __init__(self, method: ScoringMethod | ProposingMethod):
        self.method = method
        self.name = method.name

    def __repr__(self) -> str:
        return f"Cropper({self.name!r})"

    @torch.inference_mode()
    def __call__(self, photo: Photo, k: int = 1, aspect: float | None = None) -> list[Crop]:
        """The `k` best crops of a photo, best first.

        A scoring method gives its `k` best candidates, which may overlap as much as candidates do;
        of equal scores the first candidate wins. With fewer good crops than `k` there are fewer,
        with a warning.

        Args:
            photo: a path, a PIL image, an (H, W, 3) uint8 array, or a (3, H, W) float tensor in
                0…1.
            aspect: the required width / height. A method that is free of ratios takes its best
                candidate of this one.

        Raises:
            ImageError: for a photo that can't be read, or is too small or too narrow to choose in.
            BoxError: for a ratio that has no window in the photo.
            CropnbError: for a `k` below 1.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise CropnbError(f"k is the number of crops, a whole number from 1, not {k!r}")
        picture = read_photo(photo)
        if aspect is not None:
            aspect = check_aspect(aspect, *picture.size)
        found, scores = self._find(picture, aspect)
        if scores is not None:
            if not torch.isfinite(scores).all():
                raise CropnbError(
                    f"{self.name} gave scores that are not finite; its weights may be damaged"
                )
            best = scores.argsort(descending=True, stable=True)
            found, scores = found[best], scores[best]
        if len(found) < k:
            warnings.warn(
                f"{self.name} found only {len(found)} of the {k} crops that were asked for",
                stacklevel=2,
            )
        values = [None] * len(found) if scores is None else scores.tolist()
        return [
            Crop(box.clone(), value, picture) for box, value in zip(found[:k], values, strict=False)
        ]

    @torch.inference_mode()
    def score(self, photo: Photo, boxes: Tensor) -> Tensor:
        """The method's scores (N,) of boxes (N, 4) in pixels of the upright photo, higher is
        better.

        Raises:
            ImageError: as for cropping.
            BoxError: when a box is inverted, empty, not finite or outside, or the shape isn't (N,
                4).
            CropnbError: when the method scores no boxes.
        """
        if not hasattr(self.method, "score_boxes"):
            raise CropnbError(
                f"{self.name} scores no boxes that it is given; use a method that rates candidates"
            )
        picture = read_photo(photo)
        boxes = box_math.check(boxes, width=picture.width, height=picture.height)
        if boxes.ndim != 2:
            raise BoxError(
                f"boxes have the shape (N, 4), not {tuple(boxes.shape)}; for one box use "
                "boxes[None]"
            )
        if not len(boxes):
            return boxes.new_zeros(0)
        _check_room(self.name, picture)
        return self.method.score_boxes(to_tensor(picture), boxes).float().cpu()

    def _find(self, picture: Image.Image, aspect: float | None) -> tuple[Tensor, Tensor | None]:
        width, height = picture.size
        if hasattr(self.method, "propose"):
            found, scores = self.method.propose(to_tensor(picture), aspect)
        else:
            _check_room(self.name, picture)
            found = self.method.candidates(width, height, aspect)
            if not len(found):  # the limits of the grid leave nothing of a panorama
                found = candidates.aspect_windows(width, height, aspect or width / height)
            scores = self.method.score_boxes(to_tensor(picture), found)
        return found.float().cpu(), None if scores is None else scores.float().cpu()


class CentredWindow:
    """The baselines, which don't look at the photo: a centred window with a share of the sides of
    the largest one.
    """

    def __init__(self, name: str, share: float):
        self.name, self.share = name, share

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, None]:
        """(3, H, W) -> one box (1, 4): the largest window of the ratio, or the photo, with its
        sides times `share`.
        """
        height, width = image.shape[-2:]
        across, down = largest_window(width, height, aspect)
        half = torch.tensor([across, down], dtype=torch.float64) * self.share / 2
        centre = torch.tensor([width, height], dtype=torch.float64) / 2
        return torch.cat([centre - half, centre + half])[None].float(), None


# Without a required ratio "center_window" is the whole photo, the largest window of the photo's own
# ratio; with one "full" is that window too.
BASELINES = {"full": 1.0, "center": 0.9, "center_window": 1.0}


def _find_methods() -> dict[str, str]:
    """Name -> module of each subpackage that has `load_cropper`, found without importing any."""
    folder = Path(__file__).parent
    starts = sorted(folder.glob("*/__init__.py"))
    return {
        path.parent.name: f"cropnb.{path.parent.name}"
        for path in starts
        if "load_cropper" in path.read_text("utf-8")
    }


METHODS = _find_methods()


def names() -> list[str]:
    """What `load` takes: the methods, then the baselines."""
    return [*METHODS, *BASELINES]


def load(
    name: str, weights: str | os.PathLike | None = None, device: str | torch.device = "cpu"
) -> Cropper:
    """A cropper by the name of its method, or of a baseline.

    Args:
        name: a method such as "vrn", or "full" (the whole photo), "center" (90 % of each side) or
            "center_window" (the largest centred window of the required ratio).
        weights: a checkpoint of the method; by default the one that it comes with.
        device: where it computes.

    Raises:
        CropnbError: for a name that no method has, or a device that isn't there.
        WeightsUnavailable: when there are no weights, saying how to get them.
        CheckpointError: when the weights are damaged, or belong to another method.
    """
    if name not in METHODS and name not in BASELINES:
        raise CropnbError(f"there is no method {name!r}; there are {', '.join(names())}")
    if weights is not None and name in BASELINES:
        raise CropnbError(f"{name} is a baseline and has no weights; leave them out")
    if weights is not None and not Path(weights).is_file():
        raise WeightsUnavailable(
            f"there is no file {weights}; leave weights out to use those that come with {name}"
        )
    if name in BASELINES:
        return Cropper(CentredWindow(name, BASELINES[name]))
    device = _checked_device(device)
    return Cropper(importlib.import_module(METHODS[name]).load_cropper(weights, device))


def shipped(method: str) -> Path:
    """Where the weights that come with a method lie, if it has any."""
    return Path(__file__).parent / method / "weights.safetensors"


def load_trained(
    method: str, model: nn.Module, weights: str | os.PathLike | None = None
) -> dict[str, object]:
    """Put trained weights into `model`, those of `weights` or those that come with the method;
    returns their card.

    Raises:
        WeightsUnavailable: when there are none, with the command that trains them.
        CheckpointError: when they are damaged, another method's or another model's.
    """
    path = Path(weights) if weights is not None else shipped(method)
    if not path.exists():
        train = f"python -m cropnb.{method} --profile cpu"
        raise WeightsUnavailable(f"no weights of {method} at {path}; train them: {train}")
    state, card = checkpoints.load_weights(path, method)
    checkpoints.load_into(model, state, path)
    return card


def check_aspect(aspect: float, width: int, height: int) -> float:
    """A required ratio as a float. BoxError unless a window of it, a pixel wide and high, fits into
    the photo.
    """
    try:
        value = float(aspect)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(aspect, bool) or not math.isfinite(value) or value <= 0:
        raise BoxError(
            f"an aspect ratio is width / height, a number above 0 such as 16 / 9, not {aspect!r}"
        )
    across, down = largest_window(width, height, value)
    if min(across, down) < 1:
        raise BoxError(
            f"no window of the ratio {value:.4g} fits into a photo of {width} × {height}"
        )
    return value


def largest_window(width: int, height: int, aspect: float | None = None) -> tuple[float, float]:
    """Sides in pixels of the largest window of a ratio in a photo; without a ratio those of the
    photo.
    """
    if aspect is None:
        return width, height
    return min(width, height * aspect), min(height, width / aspect)


def _check_room(name: str, picture: Image.Image) -> None:
    if min(picture.size) < MIN_SIDE:
        raise ImageError(
            f"the photo is {picture.width} × {picture.height}, too small for {name} to choose in; "
            f"each side needs {MIN_SIDE} pixels at least"
        )


def _checked_device(device: str | torch.device) -> str:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise CropnbError(
            f"the device {str(device)!r} can't be used here ({reason}); use cpu"
        ) from error
    return str(device)


def _whole(first: float, second: float, side: int) -> tuple[int, int]:
    length = min(max(round(second - first), 1), side)
    start = min(max(round(first), 0), side - length)
    return start, start + length
