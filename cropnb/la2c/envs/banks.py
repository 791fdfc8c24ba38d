"""Photos and their true boxes on the device: what an environment plays on."""

from collections.abc import Sequence

import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, ImageError
from cropnb.la2c.rules import MIN_PHOTO

# pixels: a photo's shorter side is reduced to it, twice what the network sees of the whole photo
RESOLUTION = 448


class ImageBank:
    """Photos and their true boxes on the device, each resized once and padded to a common size.

    Attributes:
        images: (N, W, 3 · H) bytes, columns first.
        image_sizes: (N, 2) width and height of each in `images`.
        sizes: (N, 2) width and height of the photo itself.
        truths: (N, M, 4) true boxes in the photo's own pixels.
        valid: (N, M), false where a photo has fewer than M true boxes.

    Raises:
        ImageError: a photo with a side below 30 pixels.
        BoxError: true boxes that are bad, leave their photo, or are scored views instead.
        DatasetMissing: a sample without its photo.
    """

    channels = 3

    def __init__(
        self,
        dataset: CropDataset | Sequence[Sample],
        device: torch.device | str = "cpu",
        resolution: int = RESOLUTION,
    ) -> None:
        self._set_boxes(list(dataset), device)
        photos = [_photo(sample, resolution) for sample in self.samples]
        self._set_shape([(photo.shape[2], photo.shape[1]) for photo in photos])
        images = torch.zeros(len(photos), *self.shape, dtype=torch.uint8)  # (N, W, 3 · H)
        for row, photo in zip(images, photos, strict=True):
            view = row.view(self.shape[0], self.channels, -1)  # (W, 3, H)
            view[: photo.shape[2], :, : photo.shape[1]] = photo.permute(2, 0, 1)
        self.images = images.to(device)

    def _set_boxes(self, samples: list[Sample], device: torch.device | str) -> None:
        self.samples, self.device = samples, torch.device(device)
        self.truths, self.valid = (part.to(device) for part in pad_truths(samples))
        self.sizes = torch.tensor([sample.size for sample in samples], device=device)

    def _set_shape(self, image_sizes: list[tuple[int, int]]) -> None:
        self.image_sizes = torch.tensor(image_sizes, device=self.device)
        width, height = (max(sides) for sides in zip(*image_sizes, strict=True))
        self.shape = (width, self.channels * height)  # of one image, padded

    def read(self, photos: Tensor) -> Tensor:
        """Images as numbers that can be summed: photos (K,) → (K, W, C · H) in half precision."""
        return self.images[photos].half()

    def __len__(self) -> int:
        return len(self.samples)


def _photo(sample: Sample, resolution: int) -> Tensor:
    """A photo (3, H, W) in bytes, its shorter side at most `resolution`."""
    image = sample.image()
    check_photo(sample.name, image)
    height, width = image.shape[-2:]
    image = (image * 255).round().to(torch.uint8)
    if min(width, height) <= resolution:
        return image
    scale = resolution / min(width, height)
    sides = [max(round(height * scale), 1), max(round(width * scale), 1)]
    return TF.resize(image, sides, antialias=True)


def check_photo(name: str, image: Tensor) -> None:
    """Raise `ImageError` for a photo (3, H, W) on which 1/30 of a side is less than a pixel."""
    height, width = image.shape[-2:]
    if min(width, height) < MIN_PHOTO:
        raise ImageError(
            f"{name} is {width} × {height}; an agent that moves edges by 1/30 needs {MIN_PHOTO} "
            "pixels on each side"
        )


def pad_truths(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """True boxes (N, M, 4) in pixels, and which of them are there (N, M).

    Raises:
        BoxError: as `ImageBank`.
    """
    if not samples:
        raise BoxError("the dataset has no photo to play on; give one at least")
    truths = [_truths(sample) for sample in samples]
    most = max(len(boxes) for boxes in truths)
    # What fills up the places is a box all the same.
    padded = torch.tensor([0.0, 0, 1, 1], dtype=torch.float64).repeat(len(truths), most, 1)
    valid = torch.zeros(len(truths), most, dtype=torch.bool)  # (N, M)
    for index, boxes in enumerate(truths):
        padded[index, : len(boxes)], valid[index, : len(boxes)] = boxes, True
    return padded, valid


def _truths(sample: Sample) -> Tensor:
    """The true boxes of one photo, checked, (M, 4) in double precision."""
    if sample.scores is not None:
        raise BoxError(
            f"{sample.name} has scored views; the environment needs true boxes, as those of fcdb "
            "or cuhk_icd"
        )
    if not sample.has_photo:
        sample.photo()  # says that it is missing
    width, height = sample.size
    name = f"the true boxes of {sample.name}"
    boxes = box_math.check(sample.boxes, width=width, height=height, name=name)
    if boxes.ndim != 2 or not len(boxes):
        raise BoxError(
            f"{sample.name} has true boxes of shape {tuple(boxes.shape)}; one (1, 4) at least is "
            "needed"
        )
    return boxes.double()
