"""Asking a trained ASM-Net for crops, and for its score map."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cropnb import backbones, checkpoints, croppers, guards
from cropnb.asm_net import patterns, search
from cropnb.asm_net.model import AsmNet
from cropnb.asm_net.photos import prepare
from cropnb.asm_net.pooling import composition_pool
from cropnb.errors import WeightsUnavailable


class AsmCropper:
    """A trained network, its batch normalisations folded into the convolutions, ready to search
    photos of any size.
    """

    name = "asm_net"
    shared = True  # threads may ask it at a time

    def __init__(self, model: AsmNet, card: dict, device: str | torch.device = "cpu") -> None:
        self.card, self.device, self.pattern = card, torch.device(device), model.pattern
        self.model = copy.deepcopy(model).eval()
        self.model.backbone = backbones.fuse_for_inference(self.model.backbone)
        # Channels last is the order in which the convolutions read: half the time on a CPU.
        self.model.to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def score_map(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 → its aesthetic score map (L, h, w), on the network's device.

        The map covers the whole photo, in fewer pixels: give the photo's size wherever it is
        pooled.
        """
        photo = self.see(image)[None].contiguous(memory_format=torch.channels_last)
        return self.model(photo)[0].contiguous().float()

    def see(self, image: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 as the network reads it."""
        return prepare(image.to(self.device))

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
            maps = self.model(photos.contiguous(memory_format=torch.channels_last)).float()
            for place, score_map in zip(places, maps, strict=True):
                boxes, scores = search.search(
                    score_map.contiguous(), *sizes[place], self.pattern, aspects[place]
                )
                answers[place] = boxes.cpu(), scores.cpu()
        return answers

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, Tensor]:
        """Every crop of the two-stage search, best first: boxes (N, 4) in the photo's pixels,
        scores (N,).
        """
        height, width = image.shape[-2:]
        boxes, scores = search.search(self.score_map(image), width, height, self.pattern, aspect)
        return boxes.cpu(), scores.cpu()

    def propose_circles(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Circular crops, best first (Section 4.5): the squares around them (N, 4), scores (N,) of
        equation 9.
        """
        height, width = image.shape[-2:]
        boxes, scores = search.search(
            self.score_map(image), width, height, self.pattern, shape="circle"
        )
        return boxes.cpu(), scores.cpu()

    def score_boxes(self, image: Tensor, boxes: Tensor) -> Tensor:
        """The crop-level score (N,) of boxes (N, 4) in the photo's pixels; only those of one photo
        can be compared.

        Raises `BoxError` for a crop with less than a pixel for each cell of the pattern.
        """
        size = (image.shape[-1], image.shape[-2])
        return composition_pool(self.score_map(image), boxes, self.pattern, size, rule="area").cpu()


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> AsmCropper:
    """A trained ASM-Net, with the backbone, the pattern and the stride that its card names.

    Raises `WeightsUnavailable` without weights, `CheckpointError` for those of another method.
    """
    path = Path(weights) if weights is not None else croppers.shipped("asm_net")
    if not path.exists():
        raise WeightsUnavailable(
            f"no weights of asm_net at {path}; train them: python -m cropnb.asm_net --profile cpu"
        )
    state, card = checkpoints.load_weights(path, "asm_net")
    with guards.fields(path):
        built = {name: card[name] for name in ("backbone", "pattern")}
        built["stride"] = guards.whole(card, "stride", 1, 32)
        patterns.find(built["pattern"])
    model = guards.build(path, lambda: AsmNet(**built, weights=None), state)
    checkpoints.load_into(model, state, path)
    return AsmCropper(model, card, device)
