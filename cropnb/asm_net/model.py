"""ASM-Net: a fully convolutional network that draws a map of scores, a channel for each partition
(Sec. 3.1), and photos as it reads them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cropnb import backbones
from cropnb.asm_net import patterns
from cropnb.asm_net.losses import ranks_above
from cropnb.asm_net.patterns import Pattern
from cropnb.asm_net.pooling import composition_pool
from cropnb.datasets.base import CropDataset
from cropnb.errors import BoxError, CropnbError, ImageError
from cropnb.images import resize_short_side, short_side_size
from cropnb.saliency import spectral_residual

if TYPE_CHECKING:
    from cropnb.runs import FeatureCache

# Which layers are joined is not printed. Ours: the last unit of the strides 8, 16 and 32, and for
# VGG16 the last convolution of its blocks 3, 4 and 5.
CUTS = {"mobilenet_v2": ("c3_3", "c4_7", "c5_4"), "vgg16": ("c2_3", "c3_3", "c4_3")}
SHORT_SIDE = 256
MULTIPLE = 32  # a photo's sides are multiples of it, so that all depths agree on where a pixel lies


class AsmNet(nn.Module):
    """Photos (B, 3, H, W) in 0…1, sides multiples of 32 → aesthetic score maps (B, L, H / stride,
    W / stride).

    Args:
        backbone: "vgg16", the paper's, or "mobilenet_v2".
        pattern: how a crop is divided.
        weights: "imagenet", or None for a random start.
        stride: 1 as in the paper makes a map of the photo's resolution, interpolated between
            features whose finest stride is 8 (VGG16: 4).

    Raises:
        WeightsUnavailable: the backbone's weights are not here.
    """

    def __init__(
        self,
        backbone: str = "mobilenet_v2",
        pattern: str | Pattern = "cross_rectangle",
        weights: str | None = "imagenet",
        stride: int = 8,
    ) -> None:
        super().__init__()
        self.pattern, self.stride = patterns.find(pattern), stride
        self.backbone = backbones.build(backbone, CUTS[backbone], weights)
        self.head = ScoreHead(self.backbone.channels, self.pattern.partitions)

    def forward(self, images: Tensor) -> Tensor:
        """Photos (B, 3, H, W) → aesthetic score maps (B, L, H / stride, W / stride)."""
        return self.head(self.levels(images), self.map_size(images))

    def levels(self, images: Tensor) -> list[Tensor]:
        """The feature maps of each depth, (B, C, H / 2ˣ, W / 2ˣ) each.

        Raises:
            ImageError: a side of the photos is no multiple of 32.
        """
        if images.shape[-1] % MULTIPLE or images.shape[-2] % MULTIPLE:
            raise ImageError(
                f"a photo of {tuple(images.shape)}: resize both sides to multiples of {MULTIPLE}"
            )
        return self.backbone(images)

    def map_size(self, images: Tensor) -> tuple[int, int]:
        """Height and width of the score map of photos (..., H, W)."""
        return images.shape[-2] // self.stride, images.shape[-1] // self.stride

    def score(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Crop-level scores (B, N) of photos (B, 3, H, W) and boxes (B, N, 4) in their pixels."""
        size = images.shape[-1], images.shape[-2]
        return composition_pool(self(images), boxes, self.pattern, size)


class ScoreHead(nn.Module):
    """The 1 × 1 convolution of the joined features to L channels, done before they are upsampled
    and joined.

    A 1 × 1 convolution mixes channels and upsampling mixes places, both linearly: so each depth can
    be scored where it is small, and L channels be upsampled instead of hundreds. `joined_first` is
    the order of the paper.
    """

    def __init__(self, channels: Sequence[int], partitions: int) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.convolution = nn.Conv2d(sum(channels), partitions, kernel_size=1)

    def forward(self, levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Feature maps (B, C, h, w) of each depth → (B, L, height, width)."""
        weights = self.convolution.weight.split(self.channels, dim=1)  # (L, C, 1, 1) a level
        # (B, L, h, w) a level
        scored = [F.conv2d(level, weight) for level, weight in zip(levels, weights, strict=True)]
        bias = self.convolution.bias.view(-1, 1, 1)  # (L, 1, 1)
        return sum(_upsample(level, size) for level in scored) + bias

    def joined_first(self, levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The same function in the paper's order: upsample, join, convolve."""
        return self.convolution(torch.cat([_upsample(level, size) for level in levels], dim=1))


def _upsample(level: Tensor, size: tuple[int, int]) -> Tensor:
    if level.shape[-2:] == size:
        return level
    return F.interpolate(level, size, mode="bilinear", align_corners=False)


def prepare(image: Tensor) -> Tensor:
    """A photo (3, H, W) in 0…1 with its short side at 256 pixels and both sides rounded to 32.

    Its values are those of 8 bits: photos are kept as bytes for training, and MobileNetV2 tells the
    difference.
    """
    return (resize_short_side(image, SHORT_SIDE, MULTIPLE).clamp(0, 1) * 255).round() / 255


def photo_and_saliency(image: Tensor) -> list[Tensor]:
    """A photo (3, H, W) in 0…1 as it is kept for training: prepared (3, h, w) and its saliency
    (h / 4, w / 4), both in bytes.
    """
    photo = prepare(image)
    # A quarter of the photo's resolution is more than the saliency's own 64 × 64.
    saliency = F.interpolate(spectral_residual(photo)[None, None], scale_factor=0.25, mode="area")
    return [(values * 255).round().to(torch.uint8) for values in (photo, saliency[0, 0])]


# (numbers of photos of one size, mirrored) → their feature maps, (B, C, h, w) a depth
Levels = Callable[[Sequence[int], bool], list[Tensor]]


@dataclass(frozen=True)
class Batch:
    """Photos of one size.

    Attributes:
        indices: of the photos.
        size: width and height.
        boxes: (B, N, 4) in pixels of the photos.
        mos: (B, N).
        saliency: (B, h, w) in 0…1.
        levels: feature maps, (B, C, h, w) a depth.
    """

    indices: list[int]
    size: tuple[int, int]
    boxes: Tensor
    mos: Tensor
    saliency: Tensor
    levels: list[Tensor]

    def score_map(self, model: AsmNet) -> Tensor:
        """(B, L, height, width) by the network's head."""
        width, height = self.size
        return model.head(self.levels, (height // model.stride, width // model.stride))

    def saliency_at(self, size: tuple[int, int]) -> Tensor:
        """The saliency of each pixel of a score map (B, h, w), the mean of what it covers."""
        return F.adaptive_avg_pool2d(self.saliency, size).clamp(0, 1)


class ScoredPhotos:
    """A dataset with scored crops, read in batches of photos of one size.

    Attributes:
        numbers: of the photos, in the dataset.
        boxes: (N, 4) in pixels of the photo as it is kept, a tensor a photo.
        mos: (N,) a photo.
        left_out: how many photos have no pair to learn from.

    Args:
        dataset: its annotations are read at once.
        pixels: the dataset's photos and saliency maps in bytes, as `photo_and_saliency` makes
            them.
        delta: photos without a pair of crops whose scores differ by it are left out; None keeps
            all.

    Raises:
        BoxError: a sample without scores.
        CropnbError: no photo has a pair.
    """

    def __init__(
        self,
        dataset: CropDataset,
        pixels: "FeatureCache",
        delta: float | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.pixels, self.device = pixels, torch.device(device)
        self.numbers: list[int] = []
        self.boxes: list[Tensor] = []
        self.mos: list[Tensor] = []
        self._groups: list[tuple[int, int, int]] = []  # height, width, N
        for number, sample in enumerate(dataset):
            if sample.scores is None or not len(sample.boxes):
                raise BoxError(
                    f"{sample.name} has no scored crops; ASM-Net learns from a dataset such as "
                    "cpc or gaicd"
                )
            mos = sample.scores.float()
            if delta is not None and not bool(ranks_above(mos, delta).any()):
                continue
            width, height = short_side_size(*sample.size, SHORT_SIDE, MULTIPLE)
            scale = torch.tensor([width / sample.width, height / sample.height] * 2)
            self.numbers.append(number)
            self.boxes.append((sample.boxes * scale).float())
            self.mos.append(mos)
            self._groups.append((height, width, len(mos)))
        self.left_out = len(dataset) - len(self)
        if not self.numbers:
            raise CropnbError(
                f"no photo of {dataset.name} ({dataset.split}) has a pair at delta = {delta}; "
                "lower it"
            )

    def __len__(self) -> int:
        return len(self.numbers)

    def images(self, numbers: Sequence[int], mirrored: bool = False) -> Tensor:
        """Photos of one size by their numbers in the dataset, (B, 3, H, W) in 0…1."""
        return self._bytes(numbers, 0, mirrored)

    def batches(
        self,
        indices: Sequence[int],
        levels: Levels,
        mirrored: bool = False,
        at_once: int | None = None,
    ) -> Iterator[Batch]:
        """The photos of these indices, a batch for each size among them.

        Args:
            levels: where their feature maps come from.
            mirrored: turn photos left to right.
            at_once: the most photos of a batch.
        """
        groups: dict[tuple[int, int, int], list[int]] = {}
        for index in indices:
            groups.setdefault(self._groups[index], []).append(index)
        for (height, width, _), members in sorted(groups.items()):
            step = at_once or len(members)
            for start in range(0, len(members), step):
                own = members[start : start + step]
                numbers = [self.numbers[index] for index in own]
                boxes = torch.stack([self.boxes[index] for index in own])  # (B, N, 4)
                if mirrored:
                    x1, y1, x2, y2 = boxes.unbind(-1)
                    boxes = torch.stack([width - x2, y1, width - x1, y2], dim=-1)
                yield Batch(
                    indices=own,
                    size=(width, height),
                    boxes=boxes.to(self.device),
                    mos=torch.stack([self.mos[index] for index in own]).to(self.device),
                    saliency=self._bytes(numbers, 1, mirrored),
                    levels=levels(numbers, mirrored),
                )

    def _bytes(self, numbers: Sequence[int], level: int, mirrored: bool) -> Tensor:
        """Photos or saliency maps in 0…1."""
        values = torch.stack([self.pixels.levels(number)[level] for number in numbers])
        values = values.to(self.device).float() / 255
        return values.flip(-1) if mirrored else values


def from_photos(model: AsmNet, photos: ScoredPhotos) -> Levels:
    """Feature maps computed at each call, by a backbone that is trained."""
    return lambda numbers, mirrored: model.levels(
        photos.images(numbers, mirrored).contiguous(memory_format=torch.channels_last)
    )


def from_cache(
    cache: "FeatureCache", device: torch.device, trunk: backbones.Trunk | None = None
) -> Levels:
    """Feature maps that were computed before, or what a trunk makes of those of a stem.

    The maps that it returns raise `CropnbError` for mirrored photos that weren't kept.
    """

    def levels(numbers: Sequence[int], mirrored: bool) -> list[Tensor]:
        if mirrored and cache.views < 2:
            raise CropnbError("features of these photos are kept as they are, not mirrored")
        maps = cache(numbers, [int(mirrored)] * len(numbers), device)
        return maps if trunk is None else trunk(maps[0])

    return levels
