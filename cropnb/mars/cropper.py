"""Asking Mars for crops: one photo, any ratios; the weights for a ratio are predicted once."""

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cropnb import backbones, checkpoints, guards
from cropnb.croppers import by_shape, shipped
from cropnb.errors import ImageError, WeightsUnavailable
from cropnb.images import Photo, read_photo, to_tensor
from cropnb.mars.model import Mars, MarsForRatio
from cropnb.mars.photos import prepare
from cropnb.mars.postprocess import THRESHOLD, MapCrop, crops_from_maps
from cropnb.mars.ratio import check_ratios

REMEMBERED = 64  # ratios whose weights a cropper keeps
_CHANGING = threading.Lock()  # held while a cropper's memory of ratios changes


class Prediction(NamedTuple):
    """What Mars sees in one photo for R required ratios; boxes and medians in pixels of that photo."""

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
    for. Raises ImageError and BoxError for a photo or ratios that can't be used.
    """
    image = _tensor(photo)
    aspects = check_ratios(aspects)
    device = next(model.parameters()).device
    shown = prepare(image.to(device))
    features = model.features(shown[None].contiguous(memory_format=torch.channels_last))
    logits = model.head(features.expand(len(aspects), -1, -1, -1), model.ratio_weights(aspects))
    size = (image.shape[-1], image.shape[-2])
    maps, crops = _finish(model, logits, aspects.to(device), shown, size, threshold)
    return Prediction(maps.cpu(), *(part.cpu() for part in crops))


def _tensor(photo: Photo) -> Tensor:
    if (
        isinstance(photo, Tensor)
        and photo.is_floating_point()
        and photo.ndim == 3
        and photo.shape[0] == 3
    ):
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
    size: tuple[int, int],
    threshold: float,
) -> tuple[Tensor, MapCrop]:
    height, width = shown.shape[-2:]
    maps = (
        logits[:, : -(-height // model.out_stride), : -(-width // model.out_stride)]
        .float()
        .sigmoid()
    )
    photo = torch.tensor(size, dtype=torch.float32, device=maps.device)
    cell = model.out_stride * photo / torch.tensor([width, height], device=maps.device)
    return maps, crops_from_maps(maps, aspects, cell, photo, threshold)


class MarsCropper:
    """A trained Mars, its batch normalisations folded into the convolutions.

    Attributes:
        threshold: θ, found on the training photos.
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
        """A photo (3, H, W) in 0…1 → the crop (1, 4) of the ratio; without one, of the photo's own."""
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
            for place, feature in zip(places, features, strict=True):
                width, height = sizes[place]
                aspect = width / height if aspects[place] is None else float(aspects[place])
                logits = self.for_ratio(aspect).head(feature[None])
                ratio = torch.tensor([aspect], dtype=torch.float32, device=self.device)
                crop = _finish(
                    self.model, logits, ratio, seen[place], (width, height), self.threshold
                )[1]
                answers[place] = crop.boxes.cpu(), None
        return answers

    def predict(self, photo: Photo, aspects: float | Sequence[float] | Tensor) -> Prediction:
        """`predict` with this model and its own threshold."""
        return predict(self.model, photo, aspects, self.threshold)


class FixedShape:
    """Mars for one ratio and one size of photos, from pixels to the crop in one call: for many
    photos a second.

    On a GPU everything, post-processing included, is recorded once as a CUDA graph and replayed, in
    half precision if asked for; elsewhere the same function runs as it is. `call(image)` takes a
    photo (3, height, width) in 0…1 that has its longest side at 256 already and returns the crop
    (4,) in its pixels, on the device. The tensor is overwritten by the next call.

    compiled: let `torch.compile` fuse what lies between the convolutions first.
    """

    def __init__(
        self,
        cropper: MarsCropper,
        aspect: float,
        height: int,
        width: int,
        half: bool = False,
        compiled: bool = False,
    ) -> None:
        device = cropper.device
        kind = torch.float16 if half and device.type == "cuda" else torch.float32
        self._model = copy.deepcopy(cropper.for_ratio(aspect)).to(kind)
        self._input = torch.zeros(1, 3, height, width, dtype=kind, device=device).to(
            memory_format=torch.channels_last
        )
        stride = self._model.mars.out_stride
        ratio = torch.tensor([aspect], dtype=torch.float32, device=device)
        photo = torch.tensor([width, height], dtype=torch.float32, device=device)
        cell = torch.tensor([stride, stride], dtype=torch.float32, device=device)
        down, across = -(-height // stride), -(-width // stride)

        def run(images: Tensor) -> Tensor:
            maps = self._model(images)[:, :down, :across].float().sigmoid()
            return crops_from_maps(maps, ratio, cell, photo, cropper.threshold).boxes[0]

        self._run: Callable[[Tensor], Tensor] = torch.compile(run) if compiled else run
        self._graph = None
        if device.type == "cuda":
            self._record(device)

    def _record(self, device: torch.device) -> None:
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.inference_mode(), torch.cuda.stream(aside):
            for _ in range(3):  # libraries choose their kernels before the recording
                self._run(self._input)
        torch.cuda.current_stream(device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._output = self._run(self._input)

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        self._input.copy_(image[None], non_blocking=True)
        if self._graph is None:
            return self._run(self._input)
        self._graph.replay()
        return self._output


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> MarsCropper:
    """A trained Mars; what it was built with stands in its checkpoint's card.

    Raises `WeightsUnavailable` without weights, `CheckpointError` for those of another method.
    """
    path = Path(weights) if weights is not None else shipped("mars")
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
