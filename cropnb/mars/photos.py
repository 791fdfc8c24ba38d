"""Photos as Mars sees them, with a true crop for each required ratio: longest side 256, aspect
ratio unchanged.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torchvision.transforms.v2 import functional
from tqdm.auto import tqdm

from cropnb import backbones
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, ImageError
from cropnb.files import write_atomically
from cropnb.images import MAX_RATIO
from cropnb.mars.model import Mars, cut_features
from cropnb.mars.padding import cells, collate
from cropnb.training import generator

LONG_SIDE = 256


def long_side_size(width: float, height: float, size: int = LONG_SIDE) -> tuple[int, int]:
    """Width and height after scaling the longer side to `size`. ImageError when one is 40 times the
    other or more.
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

    stretch: makes it that much wider before; what had the ratio τ has τ · stretch then.
    """
    width, height = long_side_size(image.shape[-1] * stretch, image.shape[-2])
    if image.shape[-2:] == (height, width):
        return image
    return functional.resize(image, [height, width], antialias=True).clamp(0, 1)


class RatioPhotos:
    """A dataset of true crops for required ratios (FAT's form). Photos are read when first shown,
    and kept as bytes.

    Attributes:
        owner: (A,) the photo that each annotation belongs to.
        boxes_norm: (A, 4) true boxes, divided by width and height of their photo.
        aspects: (A,) required ratios. sizes: (P, 2) width and height of each photo as it was
            annotated.
    """

    def __init__(self, dataset: CropDataset, progress: bool = True) -> None:
        self._samples: list[Sample] = []
        self._kept: dict[int, Tensor] = {}
        owner, boxes, aspects, sizes = [], [], [], []
        name = f"{dataset.name} {dataset.split}"
        for number, sample in enumerate(
            tqdm(dataset, desc=name, unit="photo", disable=not progress)
        ):
            if sample.scores is not None or not len(sample.boxes):
                raise BoxError(
                    f"{sample.name} has no true boxes; Mars learns from a dataset such as fat"
                )
            self._samples.append(sample)
            sizes.append(torch.tensor(sample.size, dtype=torch.float32))
            boxes.append(sample.boxes.float() / sizes[-1].repeat(2))
            # Without a required ratio, as in FCDB and FLMS, it is the true crop's own (section
            # 4.3).
            own = (sample.boxes[:, 2] - sample.boxes[:, 0]) / (
                sample.boxes[:, 3] - sample.boxes[:, 1]
            )
            aspects.append(own if sample.aspects is None else sample.aspects)
            owner += [number] * len(sample.boxes)
        self.owner, self.sizes = torch.tensor(owner), torch.stack(sizes)
        self.boxes_norm, self.aspects = torch.cat(boxes), torch.cat(aspects).float()

    def __len__(self) -> int:
        return len(self._samples)

    def photo(self, index: int, mirrored: bool = False, stretch: float = 1.0) -> Tensor:
        """(3, H, W) in 0…1, also turned left to right or made wider."""
        if index not in self._kept:
            self._kept[index] = (
                (prepare(self._samples[index].image()) * 255).round().to(torch.uint8)
            )
        photo = prepare(self._kept[index].float() / 255, stretch)
        return photo.flip(-1) if mirrored else photo

    def boxes(self, annotations: Tensor, mirrored: Tensor, sizes: Tensor) -> Tensor:
        """True boxes (B, 4) in pixels of photos of `sizes` (B, 2), turned left to right where
        `mirrored` (B,).
        """
        x1, y1, x2, y2 = self.boxes_norm[annotations].unbind(1)
        x1, x2 = torch.where(mirrored, 1 - x2, x1), torch.where(mirrored, 1 - x1, x2)
        return torch.stack([x1, y1, x2, y2], dim=1) * sizes.repeat(1, 2)


class Looks:
    """How often each photo is shown, and how: look 0 is the photo itself, the others are mirrored
    and stretched.

    A set with a handful of required ratios trains a handful of the embeddings; the ratios between
    are never asked for. A photo that is made wider by a little asks for a ratio that is larger by
    as much, so that all of them get their turn. FAT has crops of every ratio and needs none of
    this.

    octaves: the stretch is at most a factor of 2^octaves, either way, drawn evenly in the
        logarithm.
    """

    def __init__(self, photos: int, number: int = 1, octaves: float = 0.0) -> None:
        self.number = number
        draw = torch.rand(photos, number, generator=generator(0, "looks"))
        self.stretch = torch.exp2((2 * draw - 1) * octaves)  # [P, looks]
        self.stretch[:, 0] = 1.0
        self.mirrored = (torch.arange(number) % 2 == 1).expand(photos, number)


class FrozenFeatures:
    """Feature maps of all looks at all photos, computed once for a backbone that isn't trained, in
    half precision.

    file: where they are kept for the next run, or None. Its name has to say what they are of.
    """

    def __init__(
        self,
        model: Mars,
        photos: RatioPhotos,
        looks: Looks,
        progress: bool = True,
        file: Path | None = None,
    ) -> None:
        if file is not None and file.exists():
            kept = load_file(file)
            self._maps, self.sizes = kept["maps"], kept["sizes"]
            return
        device = next(model.parameters()).device
        side = -(-LONG_SIDE // model.stride)
        network = backbones.fuse_for_inference(model.backbone).to(memory_format=torch.channels_last)
        shape = (len(photos), looks.number, model.backbone.channels[0], side, side)
        self._maps = torch.zeros(shape, dtype=torch.float16)
        self.sizes = torch.zeros(len(photos), looks.number, 2, dtype=torch.long)
        with torch.inference_mode():
            for index in tqdm(
                range(len(photos)), desc="features", unit="photo", disable=not progress
            ):
                for look in range(looks.number):
                    photo = photos.photo(
                        index, bool(looks.mirrored[index, look]), float(looks.stretch[index, look])
                    )
                    found = cut_features(network, photo[None].to(device))
                    self._maps[index, look, :, : found.shape[-2], : found.shape[-1]] = (
                        found[0].half().cpu()
                    )
                    self.sizes[index, look] = torch.tensor([photo.shape[-1], photo.shape[-2]])
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, save({"maps": self._maps, "sizes": self.sizes}))

    def __call__(
        self, model: Mars, photos: Sequence[int], looks: Tensor, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Features (B, c, h, w), padded to the largest of the batch, and the photos' sizes (B, 2)
        in pixels.
        """
        sizes = self.sizes[photos, looks]
        across, down = cells(sizes, model.stride).amax(0).tolist()
        maps = self._maps[photos, looks, :, :down, :across].to(device).float()
        return maps if model.narrow is None else torch.relu(model.narrow(maps)), sizes.to(device)


class LiveFeatures:
    """The same, computed in each step by a backbone that is trained too."""

    def __init__(self, photos: RatioPhotos, looks: Looks) -> None:
        self._photos, self._looks = photos, looks

    def __call__(
        self, model: Mars, photos: Sequence[int], looks: Tensor, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        pairs = zip(photos.tolist(), looks.tolist(), strict=True)
        shown = [
            self._photos.photo(
                i, bool(self._looks.mirrored[i, k]), float(self._looks.stretch[i, k])
            )
            for i, k in pairs
        ]
        images, sizes = collate(shown)
        images, sizes = images.to(device), sizes.to(device)
        return model.features(images, sizes), sizes
