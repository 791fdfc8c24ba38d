"""Photos and their good crops in the form that the set predictor learns from."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms.v2 import functional
from tqdm.auto import tqdm

from cropnb import boxes as box_math
from cropnb import checkpoints
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError
from cropnb.images import resize_short_side, short_side_size
from cropnb.set_prediction.losses import Labels
from cropnb.set_prediction.model import SetPredictionCropper, pad, to_centred

# Sec. 4.3: good crops have a higher score than four in GAICD and than two in CPC. CPC's scores as
# the dataset gives them, and those of the scenes in its form, average 0.66 and hardly reach two;
# there the best fifth of crops counts.
GOOD = {"gaicd": 4.0, "gaicd_v2": 4.0, "cpc": 1.2}
LONG_SIDE = 1333  # pixels at most, as the multi-scale augmentation of DETR has it


def good_crops(scores: Tensor, threshold: float = 4.0, at_least: bool = False) -> Tensor:
    """Which candidates are good: scores (N,) → booleans (N,).

    Above the threshold (Sec. 4.3), or with `at_least` from it on (Sec. 3.2). Where none is, those
    of the highest score
    are: every photo teaches something. Raises CropnbError where there are no scores.
    """
    if not len(scores):
        raise CropnbError("a photo without scored crops has no good one; leave it out")
    good = scores >= threshold if at_least else scores > threshold
    return good if bool(good.any()) else scores == scores.max()


class CropPhotos:
    """A dataset's photos as bytes with the given short side, their good crops, and all scored ones.

    A photo is read when it is first asked for: a run on features that were computed before asks for
    none. A dataset of true boxes, such as FLMS, has these as good crops and no scores. Boxes are
    divided by the sides of the photo, so that they hold at every size.
    """

    def __init__(
        self,
        dataset: CropDataset,
        short_side: int | None = 256,
        device: str | torch.device = "cpu",
        at_least: bool = False,
    ) -> None:
        self.dataset, self.short_side, self.device = dataset, short_side, torch.device(device)
        self._photos: dict[int, Tensor] = {}
        self.crops: list[Tensor] = []
        self.scored: list[Tensor] = []
        self.scores: list[Tensor] = []
        for sample in dataset:
            boxes = box_math.normalize(sample.boxes, *sample.size).float()
            good = slice(None)
            if sample.scores is not None:
                good = good_crops(sample.scores, GOOD.get(dataset.form, 4.0), at_least)
                self.scored.append(boxes.to(self.device))
                self.scores.append(sample.scores.float().to(self.device))
            self.crops.append(to_centred(boxes[good]).to(self.device))

    def __len__(self) -> int:
        return len(self.crops)

    def photo(self, index: int, mirrored: bool = False) -> Tensor:
        """(1, 3, H, W) in 0…1, turned left to right if wanted."""
        if index not in self._photos:
            image = self.dataset[index].image()
            image = resize_to(image, self.short_side) if self.short_side else image
            self._photos[index] = (image * 255).round().to(torch.uint8)
        photo = self._photos[index].to(self.device)[None].float() / 255
        return photo.flip(-1) if mirrored else photo

    def labels(self, batch: Sequence[int], mirrored: Sequence[bool] | None = None) -> Labels:
        """What is known about a batch of photos."""
        turns = mirrored or [False] * len(batch)
        crops = [
            mirror(self.crops[i]) if turn else self.crops[i]
            for i, turn in zip(batch, turns, strict=True)
        ]
        if not self.scores:
            return Labels(crops)
        scored = [
            mirror_corners(self.scored[i]) if turn else self.scored[i]
            for i, turn in zip(batch, turns, strict=True)
        ]
        return Labels(crops, scored, [self.scores[i] for i in batch])

    def best(self, index: int) -> Tensor:
        """The crop of the highest score (4,), corners divided by the sides; of several the first."""
        return self.scored[index][self.scores[index].argmax()]


class FrozenFeatures:
    """The maps of a backbone that isn't trained, computed once for each photo and its mirror image.

    cache: a file to keep them in for later runs; it has to be of the same photos and the same
        backbone.
    """

    def __init__(
        self,
        model: SetPredictionCropper,
        photos: CropPhotos,
        mirrored: bool,
        progress: bool = True,
        cache: Path | None = None,
    ) -> None:
        self._kept: dict[tuple[int, bool], Tensor] = {}
        turns = (False, True) if mirrored else (False,)
        if cache is not None and cache.exists():
            kept = load_file(cache)
            if len(kept) == len(photos) * len(turns):
                self._kept = {
                    (int(name[:-1]), name[-1] == "m"): value for name, value in kept.items()
                }
                return
        model.eval()
        with torch.inference_mode():
            for index in tqdm(
                range(len(photos)), desc="features", unit="photo", disable=not progress
            ):
                for turn in turns:
                    self._kept[index, turn] = model.features(photos.photo(index, turn)).half()
        if cache is not None:
            names = {
                f"{index}{'m' if turn else '-'}": value
                for (index, turn), value in self._kept.items()
            }
            checkpoints.save_weights(cache, names, {"method": "features"})

    def __call__(self, index: int, mirrored: bool = False) -> Tensor:
        """(1, C, h, w) in single precision."""
        return self._kept[index, mirrored].float()

    def batch(
        self, batch: Sequence[int], mirrored: Sequence[bool] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Several photos of any size, padded: (B, C, h, w) and their mask."""
        return pad(
            [self(i, turn) for i, turn in zip(batch, mirrored or [False] * len(batch), strict=True)]
        )


def resize_to(image: Tensor, short_side: int) -> Tensor:
    """A photo (3, H, W) with this short side, and a long one of 1333 pixels at most, as DETR
    resizes.
    """
    height, width = image.shape[-2:]
    longest = max(short_side_size(width, height, short_side))
    return resize_short_side(image, min(short_side, short_side * LONG_SIDE // longest)).clamp(0, 1)


def change_colours(photo: Tensor, draw: torch.Generator) -> Tensor:
    """Contrast and saturation between one half and one and a half, as GAIC trains (Sec. 4.3 refers
    to it).
    """
    contrast, saturation = (0.5 + torch.rand(2, generator=draw)).tolist()
    return functional.adjust_saturation(functional.adjust_contrast(photo, contrast), saturation)


def mirror_corners(corners: Tensor) -> Tensor:
    """Corners (..., 4), divided by the sides, in the photo turned left to right."""
    x1, y1, x2, y2 = corners.unbind(-1)
    return torch.stack([1 - x2, y1, 1 - x1, y2], dim=-1)


def mirror(centred: Tensor) -> Tensor:
    """The same of boxes given by centre, width and height."""
    x, y, width, height = centred.unbind(-1)
    return torch.stack([1 - x, y, width, height], dim=-1)


def rate_groups(
    model: nn.Module, backbone: nn.Module, rate: float, backbone_rate: float | None
) -> list[dict]:
    """Two groups of parameters: the backbone's, at a lower rate, and all others. A frozen backbone
    is left out.
    """
    own = {id(parameter) for parameter in backbone.parameters()}
    groups = [
        {
            "params": [p for p in model.parameters() if id(p) not in own and p.requires_grad],
            "lr": rate,
        }
    ]
    if backbone_rate is not None:
        groups.append(
            {"params": [p for p in backbone.parameters() if p.requires_grad], "lr": backbone_rate}
        )
    return groups
