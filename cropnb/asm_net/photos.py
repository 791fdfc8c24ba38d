"""Photos with scored crops in the form that ASM-Net reads, and what a frozen backbone makes of
them.

Photos of one size lie in one tensor, so that a batch is read, scored and pooled size by size and
not photo by photo.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from cropnb import files
from cropnb.asm_net.losses import ranks_above
from cropnb.asm_net.model import MULTIPLE, AsmNet
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, CropnbError
from cropnb.images import resize_short_side
from cropnb.saliency import spectral_residual

SHORT_SIDE = 256
IN_BYTES = ("image", "saliency")  # kept as bytes, 0…255


@dataclass
class Batch:
    """Photos of one size: `images` (B, 3, H, W), or the feature maps `levels` of a frozen backbone.

    boxes (B, N, 4) in pixels of the photos, mos (B, N) and saliency (B, h, w) in 0…1; `size` is
    width and height.
    """

    size: tuple[int, int]
    boxes: Tensor
    mos: Tensor
    saliency: Tensor
    images: Tensor | None = None
    levels: list[Tensor] | None = None

    def score_map(self, model: AsmNet) -> Tensor:
        """(B, L, height, width) of the network; only its head is asked where the levels are there
        already.
        """
        levels = self.levels
        if levels is None:
            levels = model.levels(self.images.contiguous(memory_format=torch.channels_last))
        return model.head(levels, (self.size[1] // model.stride, self.size[0] // model.stride))

    def saliency_at(self, size: tuple[int, int]) -> Tensor:
        """The saliency of each pixel of a score map (B, h, w), the mean of what it covers."""
        return functional.adaptive_avg_pool2d(self.saliency, size).clamp(0, 1)


def prepare(image: Tensor) -> Tensor:
    """A photo (3, H, W) in 0…1 with its short side at 256 pixels and both sides rounded to 32.

    Its values are those of 8 bits: photos are kept as bytes for training, and MobileNetV2 tells the
    difference.
    """
    return (resize_short_side(image, SHORT_SIDE, MULTIPLE).clamp(0, 1) * 255).round() / 255


class ScoredPhotos:
    """A dataset with scored crops, read once; with a `model` its features are kept in place of the
    photos.

    delta: photos without a pair of crops whose scores differ by it are left out; `left_out` says
        how many. None keeps
        all. Raises `BoxError` for samples without scores and `CropnbError` when no photo has a
        pair.
    """

    def __init__(
        self,
        dataset: CropDataset,
        delta: float | None = None,
        model: AsmNet | None = None,
        device: str | torch.device = "cpu",
        cache: Path | None = None,
        progress: bool = True,
    ) -> None:
        self.device = torch.device(device)
        if cache is not None and cache.exists():
            self._groups = _load(cache)
        else:
            bar = tqdm(
                dataset, desc=f"{dataset.name} {dataset.split}", unit="photo", disable=not progress
            )
            self._groups = _grouped(dataset, bar, delta, _freezer(model, self.device))
            if cache is not None:
                _save(cache, self._groups)
        self._place = sorted(
            (int(n), *p) for p in _positions(self._groups) for n in [self._number(*p)]
        )
        self.left_out = len(dataset) - len(self._place)
        if not self._place:
            raise CropnbError(
                f"no photo of {dataset.name} ({dataset.split}) has a pair at delta = {delta}; "
                "lower it"
            )

    def __len__(self) -> int:
        return len(self._place)

    def _number(self, group: tuple, position: int) -> int:
        return int(self._groups[group]["number"][position])

    def batches(self, indices: Sequence[int], mirrored: bool = False) -> Iterator[Batch]:
        """The photos of these indices, a batch for each size among them; `mirrored` turns photos
        left to right.
        """
        chosen: dict[tuple, list[int]] = {}
        for index in indices:
            _, group, position = self._place[index]
            chosen.setdefault(group, []).append(position)
        for (height, width, _), positions in sorted(chosen.items()):
            kept = self._groups[height, width, _]
            read = {
                name: value[positions].to(self.device)
                for name, value in kept.items()
                if name != "number"
            }
            read = {
                name: value.float() / (255 if name in IN_BYTES else 1)
                for name, value in read.items()
            }
            levels = [read.pop(name) for name in sorted(read) if name.startswith("level")] or None
            boxes = read["boxes"]
            if mirrored:
                x1, y1, x2, y2 = boxes.unbind(-1)
                boxes = torch.stack([width - x2, y1, width - x1, y2], dim=-1)
            saliency, images = (
                value.flip(-1) if mirrored and value is not None else value
                for value in (read["saliency"], read.get("image"))
            )
            if mirrored and levels is not None:
                raise CropnbError(
                    "features of a frozen backbone are kept for photos as they are, not mirrored"
                )
            yield Batch((width, height), boxes, read["mos"], saliency, images, levels)

    def by_photo(
        self, compute: Callable[[Batch], Sequence[Tensor]], at_once: int = 32
    ) -> list[tuple[Tensor, ...]]:
        """What `compute` gives for each photo, in the dataset's order: it takes a batch and returns
        tensors (B, …).
        """
        found: dict[tuple, tuple[Tensor, ...]] = {}
        for group, kept in self._groups.items():
            own = [i for i, (_, name, _) in enumerate(self._place) if name == group]
            for part in torch.arange(len(kept["number"])).split(at_once):
                indices = [own[i] for i in part.tolist()]
                (batch,) = self.batches(indices)
                for index, values in zip(indices, zip(*compute(batch), strict=True), strict=True):
                    found[index] = values
        return [found[index] for index in range(len(self))]


def _freezer(model: AsmNet | None, device: torch.device) -> Callable[[Tensor], dict[str, Tensor]]:
    """What is kept of a photo (3, H, W): its bytes, or the features of a model in half precision."""
    if model is None:
        return lambda photo: {"image": (photo * 255).round().to(torch.uint8)}

    @torch.inference_mode()
    def features(photo: Tensor) -> dict[str, Tensor]:
        levels = model.eval().levels(photo[None].to(device))
        return {f"level{i}": level[0].half().cpu() for i, level in enumerate(levels)}

    return features


def _grouped(
    dataset: CropDataset, bar: tqdm, delta: float | None, keep: Callable
) -> dict[tuple, dict[str, Tensor]]:
    groups: dict[tuple, list[dict[str, Tensor]]] = {}
    for number, sample in enumerate(bar):
        entry = _read(sample, delta)
        if entry is not None:
            photo = entry.pop("photo")
            key = (photo.shape[1], photo.shape[2], len(entry["mos"]))
            groups.setdefault(key, []).append(
                {**entry, **keep(photo), "number": torch.tensor(number)}
            )
    return {
        key: {name: torch.stack([entry[name] for entry in entries]) for name in entries[0]}
        for key, entries in groups.items()
    }


def _read(sample: Sample, delta: float | None) -> dict[str, Tensor] | None:
    """One photo, or None when it has no pair of crops to learn from."""
    if sample.scores is None or not len(sample.boxes):
        raise BoxError(
            f"{sample.name} has no scored crops; ASM-Net learns from a dataset such as cpc or gaicd"
        )
    mos = sample.scores.float()
    if delta is not None and not bool(ranks_above(mos, delta).any()):
        return None
    image = sample.image()
    photo = prepare(image)
    (height, width), (new_height, new_width) = image.shape[-2:], photo.shape[-2:]
    # A quarter of the photo's resolution is more than the saliency's own 64 × 64.
    salient = functional.interpolate(
        spectral_residual(photo)[None, None], scale_factor=0.25, mode="area"
    )[0, 0]
    return {
        "photo": photo,
        "boxes": (
            sample.boxes * torch.tensor([new_width / width, new_height / height] * 2)
        ).float(),
        "mos": mos,
        "saliency": (salient * 255).round().to(torch.uint8),
    }


def _positions(groups: dict[tuple, dict[str, Tensor]]) -> Iterator[tuple[tuple, int]]:
    return (
        (key, position) for key, kept in groups.items() for position in range(len(kept["number"]))
    )


def _save(path: Path, groups: dict[tuple, dict[str, Tensor]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{h}.{w}.{n}.{name}": value
        for (h, w, n), kept in groups.items()
        for name, value in kept.items()
    }
    files.write_atomically(path, save(tensors))


def _load(path: Path) -> dict[tuple, dict[str, Tensor]]:
    groups: dict[tuple, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as stream:
        for key in stream.keys():  # noqa: SIM118
            height, width, count, name = key.split(".")
            groups.setdefault((int(height), int(width), int(count)), {})[name] = stream.get_tensor(
                key
            )
    return groups
