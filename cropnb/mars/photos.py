"""Photos as Mars sees them: longest side 256, aspect ratio unchanged, with a true crop for each
required ratio; and photos of different shapes in one batch, with the padding out of the way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as TF
from tqdm.auto import tqdm

from cropnb import boxes as box_math
from cropnb import metrics
from cropnb.backbones import Trunk
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, ImageError
from cropnb.images import MAX_RATIO
from cropnb.training import generator

LONG_SIDE = 256
BAND = 0.1  # octaves around a ratio that training leaves out
MULTIPLE = 32  # the deepest stride of a backbone: padded sides divide evenly all the way down


def long_side_size(width: float, height: float, size: int = LONG_SIDE) -> tuple[int, int]:
    """Width and height after scaling the longer side to `size`.

    Raises:
        ImageError: one side is more than 40 times the other.
    """
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageError(
            f"the photo is {width:g} × {height:g}; sides may differ by a factor of {MAX_RATIO} at "
            "most"
        )
    scale = size / max(width, height)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def prepare(image: Tensor, stretch: float = 1.0) -> Tensor:
    """A photo (3, H, W) in 0…1 at longest side 256, bilinear and antialiased.

    Args:
        stretch: makes it that much wider before; what had the ratio τ has τ · stretch then.
    """
    width, height = long_side_size(image.shape[-1] * stretch, image.shape[-2])
    if image.shape[-2:] == (height, width):
        return image
    return TF.resize(image, [height, width], antialias=True).clamp(0, 1)


class Augmentations:
    """The views of each photo: view 0 is the photo itself, the others are mirrored and stretched.

    A set with a handful of required ratios trains a handful of the embeddings; the ratios between
    are never asked for. A photo that is made wider by a little asks for a ratio that is larger by
    as much, so that all of them get their turn. FAT has crops of every ratio and needs none of
    this.

    Args:
        photos: how many there are.
        views: of each photo.
        octaves: the stretch is at most a factor of 2^octaves, either way, drawn evenly in the
            logarithm.

    Attributes:
        stretch: (P, views) how much wider a view is than its photo.
        mirrored: (P, views) whether it is turned left to right: every second one.
    """

    def __init__(self, photos: int, views: int = 1, octaves: float = 0.0) -> None:
        self.views = views
        shares = torch.rand(photos, views, generator=generator(0, "looks"))  # (P, views)
        self.stretch = torch.exp2((2 * shares - 1) * octaves)
        self.stretch[:, 0] = 1.0
        self.mirrored = (torch.arange(views) % 2 == 1).expand(photos, views)


class RatioPhotos:
    """A dataset of true crops for required ratios (FAT's form), A annotations on P photos. Photos
    are read when first shown, and kept as bytes.

    Args:
        dataset: with true boxes; without required ratios the true crop's own is asked for.
        views, octaves: see `Augmentations`.

    Attributes:
        owner: (A,) the photo that each annotation belongs to.
        boxes_norm: (A, 4) true boxes, divided by width and height of their photo.
        aspects: (A,) required ratios.
        sizes: (P, 2) width and height of each photo as it was annotated.

    Raises:
        BoxError: photos with scored candidates, or without boxes.
    """

    def __init__(
        self, dataset: CropDataset, views: int = 1, octaves: float = 0.0, progress: bool = True
    ) -> None:
        self._samples: list[Sample] = []
        self._bytes: dict[int, Tensor] = {}
        owner, boxes, aspects, sizes = [], [], [], []
        name = f"{dataset.name} {dataset.split}"
        bar = tqdm(dataset, desc=name, unit="photo", disable=not progress)
        for number, sample in enumerate(bar):
            if sample.scores is not None or not len(sample.boxes):
                raise BoxError(
                    f"{sample.name} has no true boxes; Mars learns from a dataset such as fat"
                )
            self._samples.append(sample)
            sizes.append(torch.tensor(sample.size, dtype=torch.float32))
            boxes.append(sample.boxes.float() / sizes[-1].repeat(2))
            aspects.append(asked_ratios(sample))
            owner += [number] * len(sample.boxes)
        self.owner, self.sizes = torch.tensor(owner), torch.stack(sizes)
        self.boxes_norm, self.aspects = torch.cat(boxes), torch.cat(aspects).float()
        self.augmentations = Augmentations(len(self), views, octaves)

    def __len__(self) -> int:
        return len(self._samples)

    def photo(self, index: int, view: int = 0) -> Tensor:
        """A view of a photo, (3, H, W) in 0…1."""
        if index not in self._bytes:
            image = prepare(self._samples[index].image())
            self._bytes[index] = (image * 255).round().to(torch.uint8)
        stretch = float(self.augmentations.stretch[index, view])
        photo = prepare(self._bytes[index].float() / 255, stretch)
        return photo.flip(-1) if self.augmentations.mirrored[index, view] else photo

    def boxes(self, annotations: Tensor, views: Tensor, sizes: Tensor) -> Tensor:
        """True boxes (B, 4) of annotations (B,) in pixels of views (B,) that have these sizes
        (B, 2).
        """
        mirrored = self.augmentations.mirrored[self.owner[annotations], views]  # (B,)
        x1, y1, x2, y2 = self.boxes_norm[annotations].unbind(1)
        left = torch.where(mirrored, 1 - x2, x1)
        right = torch.where(mirrored, 1 - x1, x2)
        return torch.stack([left, y1, right, y2], dim=1) * sizes.repeat(1, 2)

    def ratios(self, annotations: Tensor, views: Tensor) -> Tensor:
        """The ratios (B,) that annotations (B,) ask of views (B,)."""
        stretch = self.augmentations.stretch[self.owner[annotations], views]
        return self.aspects[annotations] * stretch

    def without(self, ratios: Sequence[float]) -> Tensor:
        """Which views of which annotations ask for none of these ratios, nor for one within a
        tenth of an octave of them: (A, views).
        """
        asked = self.aspects[:, None] * self.augmentations.stretch[self.owner]  # (A, views)
        apart = (asked.log2()[..., None] - torch.tensor(ratios).log2()).abs()  # (A, views, R)
        return (apart > BAND).all(-1)

    def centred(self) -> Tensor:
        """The largest centred window of each required ratio, (A, 4) in pixels."""
        sizes, aspects = self.sizes[self.owner], self.aspects
        width = torch.minimum(sizes[:, 0], sizes[:, 1] * aspects)
        height = torch.minimum(sizes[:, 1], sizes[:, 0] / aspects)
        sides = torch.stack([width, height], dim=1)
        return torch.cat([(sizes - sides) / 2, (sizes + sides) / 2], dim=1)

    def compare(self, boxes: Tensor, annotations: Tensor | None = None) -> dict[str, Tensor]:
        """IoU, centre offset in pixels and BDE, (B,) each, of crops (B, 4) in pixels of the photos,
        against the true boxes of annotations (B,), by default of all.
        """
        chosen = slice(None) if annotations is None else annotations
        sizes = self.sizes[self.owner[chosen]].repeat(1, 2)  # (B, 4)
        truths = (self.boxes_norm[chosen] * sizes).double()
        boxes = boxes.double()
        return {
            "IoU": box_math.iou(boxes, truths),
            "Offset": metrics.center_offset(boxes, truths),
            "BDE": ((boxes - truths) / sizes).abs().mean(1),
        }

    def per_photo_of(self, values: Tensor, ratios: Sequence[float]) -> Tensor:
        """The mean of values (A,) over each photo's annotations that ask for one of these ratios,
        (P,); NaN where none does.
        """
        asked = torch.isclose(self.aspects[:, None], torch.tensor(ratios), rtol=1e-4).any(1)
        total, count = torch.zeros(2, len(self), dtype=torch.float64)
        total.index_add_(0, self.owner[asked], values[asked].double())
        count.index_add_(0, self.owner[asked], torch.ones(int(asked.sum()), dtype=torch.float64))
        return total / count

    def per_photo(self, values: Tensor, by_annotation: bool = True) -> Tensor:
        """Values (A,) → (P,).

        Args:
            by_annotation: the mean over photos is the mean over annotations, as the paper prints
                FAT's: a photo with more of them than others weighs more by as much. Otherwise all
                photos weigh the same.
        """
        total = torch.zeros(len(self), dtype=torch.float64)
        total.index_add_(0, self.owner, values.double())
        each = self.owner.bincount(minlength=len(self))
        return total / (len(values) / len(self) if by_annotation else each)


def asked_ratios(sample: Sample) -> Tensor:
    """The ratio (N,) that each true box of a sample is asked for at: the required one, or, as in
    FCDB and FLMS, the true crop's own (Sec. 4.3).
    """
    if sample.aspects is not None:
        return sample.aspects
    width, height = (sample.boxes[:, 2:] - sample.boxes[:, :2]).unbind(1)
    return width / height


def collate(photos: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Photos (3, H, W) of any shapes as one batch, padded below and to the right.

    Returns:
        The batch (B, 3, H', W'), and (B, 2) width and height of each photo within its frame.

    Raises:
        ImageError: no photo, or other shapes.
    """
    if not photos or any(
        photo.ndim != 3 or photo.shape[0] != 3 or 0 in photo.shape for photo in photos
    ):
        raise ImageError(
            "a batch holds photos (3, H, W), one at least; these are "
            f"{[tuple(photo.shape) for photo in photos]}"
        )
    sizes = torch.tensor([[photo.shape[-1], photo.shape[-2]] for photo in photos])
    width, height = (-(-side // MULTIPLE) * MULTIPLE for side in sizes.amax(0).tolist())
    batch = photos[0].new_zeros(len(photos), 3, height, width)
    # A copy a photo; there is no computation here.
    for frame, photo in zip(batch, photos, strict=True):
        frame[:, : photo.shape[-2], : photo.shape[-1]] = photo
    return batch, sizes.to(batch.device)


def cells(sizes: Tensor, stride: int) -> Tensor:
    """How many cells (…, 2) wide and high a map of this stride is of photos of `sizes` (…, 2); a
    part of a cell counts.
    """
    return -(-sizes // stride)


def valid(counts: Tensor, height: int, width: int) -> Tensor:
    """Where a padded map is photo: booleans (B, height, width) from cells (B, 2) of each photo."""
    columns = torch.arange(width, device=counts.device) < counts[:, :1]  # (B, width)
    rows = torch.arange(height, device=counts.device) < counts[:, 1:]  # (B, height)
    return rows[:, :, None] & columns[:, None, :]


@contextmanager
def padding_as_zero(backbone: nn.Module, sizes: Tensor | None, height: int) -> Iterator[None]:
    """Within it, each layer that reads neighbours finds zeros beyond the photo, just as at a
    frame's own border.

    So a photo gets the same features in a batch as alone. Without it the normalisations turn
    padding into something else than zero, and every further layer carries that one cell deeper into
    the photo.

    Args:
        sizes: (B, 2), width and height of each photo, or None where nothing is padded.
        height: of the padded frames.
    """
    masks: dict[tuple[int, int], Tensor] = {}

    def clear(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        shape = (x.shape[-2], x.shape[-1])
        if shape not in masks:
            masks[shape] = valid(cells(sizes, height // shape[0]), *shape)[:, None].to(x.dtype)
        return (x * masks[shape],)

    layers = [] if sizes is None else filter(_reads_neighbours, backbone.modules())
    handles = [layer.register_forward_pre_hook(clear) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def trunk_features(trunk: Trunk, maps: Tensor, sizes: Tensor) -> Tensor:
    """What a backbone gives at its one cut, from the maps of its stem.

    Args:
        trunk: behind the stem, as `backbones.split` gives it.
        maps: (B, C, h, w) of the stem, padded below and to the right.
        sizes: (B, 2), width and height of each photo in pixels.

    Returns:
        (B, c, h', w'), on each photo's own cells the same as `Mars.features` before `narrow`; what
        lies beyond them has no meaning, as there.
    """
    step = MULTIPLE // trunk.stride
    height, width = maps.shape[-2:]
    maps = F.pad(maps, (0, -width % step, 0, -height % step))
    with padding_as_zero(trunk, sizes, maps.shape[-2] * trunk.stride):
        return trunk(maps)[0]


def _reads_neighbours(module: nn.Module) -> bool:
    """Whether a layer sees beyond a cell."""
    # Max pooling follows a ReLU wherever it stands here, so zero is below all that it compares.
    return isinstance(module, nn.MaxPool2d) or (
        isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    )


def masked_mean(features: Tensor, counts: Tensor | None) -> Tensor:
    """Global average pooling (B, c, h, w) → (B, c), over the photo's cells only: counts (B, 2), or
    None for all.
    """
    if counts is None:
        return features.mean(dim=(2, 3))
    inside = valid(counts, *features.shape[-2:])[:, None].to(features.dtype)  # (B, 1, h, w)
    return (features * inside).sum(dim=(2, 3)) / counts.prod(1, keepdim=True).to(features.dtype)
