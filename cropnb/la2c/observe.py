"""What the agent sees: crops of many photos, resized with antialiasing as Pillow does it, in one
batched call.

Pillow's bilinear filter is a triangle as wide as the reduction, and separable. So every row of a
crop is a weighted sum of a few rows of the photo: an embedding bag over the photo's rows, once for
x and once for y.
"""

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms

from cropnb import boxes as box_math
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, ImageError
from cropnb.la2c.rules import MIN_PHOTO

# pixels: a photo's shorter side is reduced to it, twice what the network sees of the whole photo
RESOLUTION = 448


class Album:
    """Photos and their true boxes on the device, each resized once and padded to a common size.

    pixels (N, W, 3 · H) bytes, columns first; kept (N, 2) width and height of what is kept; sizes
    (N, 2) those of the photo itself; truths (N, M, 4) in the photo's own pixels, valid (N, M) false
    where a photo has fewer than M.

    Raises `ImageError` for a photo with a side below 30 pixels, `BoxError` for true boxes that are
    bad, leave their photo, or are scored views instead, `DatasetMissing` for a sample without its
    photo.
    """

    channels = 3

    def __init__(
        self, dataset: CropDataset | list[Sample], device: str = "cpu", resolution: int = RESOLUTION
    ) -> None:
        self.samples = list(dataset)
        truths = pad_truths(self.samples)
        photos = [_photo(sample, resolution) for sample in self.samples]
        across, down = (max(photo.shape[axis] for photo in photos) for axis in (2, 1))
        pixels = torch.zeros(len(photos), across, 3, down, dtype=torch.uint8)
        for index, photo in enumerate(photos):
            pixels[index, : photo.shape[2], :, : photo.shape[1]] = photo.permute(2, 0, 1)
        self.pixels = pixels.flatten(2).to(device)
        self.kept = torch.tensor(
            [(photo.shape[2], photo.shape[1]) for photo in photos], device=device
        )
        self.sizes = torch.tensor([sample.size for sample in self.samples], device=device)
        self.truths, self.valid = (part.to(device) for part in truths)

    def __len__(self) -> int:
        return len(self.samples)


def _photo(sample: Sample, resolution: int) -> Tensor:
    image = sample.image()
    check_photo(sample.name, image)
    height, width = image.shape[-2:]
    image = (image * 255).round().to(torch.uint8)
    if min(width, height) <= resolution:
        return image
    scale = resolution / min(width, height)
    return transforms.resize(
        image, [max(round(height * scale), 1), max(round(width * scale), 1)], antialias=True
    )


def check_photo(name: str, image: Tensor) -> None:
    """Raise `ImageError` for a photo (3, H, W) on which 1/30 of a side is less than a pixel."""
    height, width = image.shape[-2:]
    if min(width, height) < MIN_PHOTO:
        raise ImageError(
            f"{name} is {width} × {height}; an agent that moves edges by 1/30 needs {MIN_PHOTO} "
            "pixels on each side"
        )


def pad_truths(samples: list[Sample]) -> tuple[Tensor, Tensor]:
    """True boxes (N, M, 4) in pixels, and which of them are there (N, M). Raises `BoxError` as
    `Album`.
    """
    if not samples:
        raise BoxError("the dataset has no photo to play on; give one at least")
    drawn = [_truths(sample) for sample in samples]
    most = max(len(boxes) for boxes in drawn)
    padded, valid = (
        torch.zeros(len(drawn), most, 4, dtype=torch.float64),
        torch.zeros(len(drawn), most).bool(),
    )
    padded[..., 2:] = 1.0  # what fills up the places is a box all the same
    for index, boxes in enumerate(drawn):
        padded[index, : len(boxes)], valid[index, : len(boxes)] = boxes, True
    return padded, valid


def _truths(sample: Sample) -> Tensor:
    if sample.scores is not None:
        raise BoxError(
            f"{sample.name} has scored views; the game needs true boxes, as those of fcdb or "
            "cuhk_icd"
        )
    if not sample.has_photo:
        sample.photo()  # says that it is missing
    width, height = sample.size
    boxes = box_math.check(
        sample.boxes, width=width, height=height, name=f"the true boxes of {sample.name}"
    )
    if boxes.ndim != 2 or not len(boxes):
        raise BoxError(
            f"{sample.name} has true boxes of shape {tuple(boxes.shape)}; one (1, 4) at least is "
            "needed"
        )
    return boxes.double()


def taps(low: Tensor, high: Tensor, length: Tensor, size: int, count: int) -> tuple[Tensor, Tensor]:
    """Which pixels make up each of `size` pixels along one axis, and with what weights (summing to
    1).

    low, high (B,): the crop's edges in pixels; length (B,): pixels of the photo; count: taps that
        are enough for the
        largest reduction. Returns places (B, size, count), whole numbers inside the photo, and
        weights of the same shape.
    """
    scale = (high - low) / size  # (B,) pixels of the photo for one of the crop
    support = scale.clamp(min=1.0)[:, None]
    steps = torch.arange(size, device=low.device)
    centre = low[:, None] + (steps + 0.5) * scale[:, None]  # (B, size)
    first = (centre - support - 0.5).ceil()
    place = first[..., None] + torch.arange(count, device=low.device)
    weight = (1 - (place + 0.5 - centre[..., None]).abs() / support[..., None]).clamp(min=0)
    weight = weight * ((place >= 0) & (place < length[:, None, None]))
    place = torch.minimum(place.clamp(min=0), length[:, None, None] - 1)
    # These weights are multiples of 2 to the power of −25, so a sum in double precision is exact:
    # the same however many taps of weight zero the other crops of the batch add.
    return place.long(), weight / weight.sum(-1, keepdim=True, dtype=torch.float64).float()


def cut(
    desk: Tensor, rows: Tensor, kept: Tensor, boxes_norm: Tensor, size: int, channels: int = 3
) -> Tensor:
    """Crops (B, C, size, size), as `photo.resize((size, size), BILINEAR, box)` of Pillow to within
    2/255.

    desk (E, W, C · H): the photos as floats, columns first; rows (B,): which of them; kept (B, 2):
        their width and
        height; boxes_norm (B, 4): the crops as shares of these. Feature maps are cut in the same
        way as pixels.
    """
    across, down = desk.shape[1], desk.shape[2] // channels
    boxes = (boxes_norm * torch.cat([kept, kept], -1)).float()
    # As many taps as the largest reduction needs. To know it a GPU would have to be waited for:
    # there the bound does.
    known = len(boxes) and not boxes.is_cuda
    longest = float((boxes[:, 2:] - boxes[:, :2]).max()) if known else max(across, down)
    count = int(2 * max(longest / size, 1)) + 2
    number = torch.arange(len(rows), device=rows.device)[:, None, None]
    place, weight = taps(boxes[:, 0], boxes[:, 2], kept[:, 0], size, count)
    # (B, size, C · H)
    columns = _bag(desk.flatten(0, 1), place + rows[:, None, None] * across, weight)
    by_row = columns.view(-1, size, channels, down).permute(0, 3, 2, 1).reshape(-1, channels * size)
    place, weight = taps(boxes[:, 1], boxes[:, 3], kept[:, 1], size, count)
    crops = _bag(by_row, place + number * down, weight)  # (B, size, C · size)
    return crops.view(-1, size, channels, size).permute(0, 2, 1, 3)


def to_bytes(crops: Tensor) -> Tensor:
    """Crops of 0…255, rounded."""
    return crops.add(0.5).clamp(0, 255).to(torch.uint8)


def _bag(table: Tensor, place: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of rows of `table` (R, C): place, weight (B, size, taps) → (B, size, C)."""
    flat = place.flatten(0, 1)
    found = functional.embedding_bag(
        flat, table, per_sample_weights=weight.to(table.dtype).flatten(0, 1), mode="sum"
    )
    return found.view(*place.shape[:2], -1)
