"""The set predictor (Sec. 3.3): a backbone, a conditional encoder and decoder, 90 learnable
anchors, two heads.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_convert

from cropnb import backbones
from cropnb.errors import BoxError, CropnbError, ImageError
from cropnb.set_prediction.attention import (
    DecoderLayer,
    EncoderLayer,
    cell_embedding,
    point_embedding,
)

# The last stage of the backbone. MobileNetV2's is thin, so the last map of the stage before it is
# pooled beside it.
CUTS = {"resnet50": ("c5_3",), "mobilenet_v2": ("c4_7", "c5_4")}
# validity of every anchor before training, as for any detector trained with the focal loss
PRIOR = 0.01


@dataclass
class Predictions:
    """What the decoder's L layers predict for B photos, the last layer last.

    Attributes:
        logits: (L, B, Q); their sigmoid is the validity.
        boxes: (L, B, Q, 4) as cxcywh: centre x, centre y, width, height, divided by the photo's
            sides.
    """

    logits: Tensor
    boxes: Tensor

    @property
    def validity(self) -> Tensor:
        """(B, Q) of the last layer, 0…1."""
        return self.logits[-1].sigmoid()

    @property
    def xyxy(self) -> Tensor:
        """(B, Q, 4) of the last layer, divided by the photo's sides and cut off at its border."""
        return to_xyxy(self.boxes[-1]).clamp(0, 1)


def to_xyxy(boxes: Tensor) -> Tensor:
    """Boxes (..., 4): centre x, centre y, width, height → x1, y1, x2, y2."""
    return box_convert(boxes, "cxcywh", "xyxy")


def to_cxcywh(boxes: Tensor) -> Tensor:
    """Boxes (..., 4): x1, y1, x2, y2 → centre x, centre y, width, height, as in (Eq. 1)."""
    return box_convert(boxes, "xyxy", "cxcywh")


class Perceptron(nn.Sequential):
    """Linear layers with ReLU between them: widths[0] → … → widths[-1]."""

    def __init__(self, *widths: int) -> None:
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers[:-1])


class SetPredictionCropper(nn.Module):
    """Photos → for each of the anchors a crop and its validity.

    The defaults are the paper's: ResNet50, six encoder and six decoder layers of 256 channels, 90
    anchors. `light()` is the one with MobileNetV2.

    An anchor's reference point follows from its vector q_i, and its box is a step away from that
    point. With `anchor_boxes` each anchor has a whole box of its own to step away from instead,
    learned too, which can be laid where good crops lie before training (`start_from`): not in the
    paper, and what a short training needs.

    Args:
        weights: "imagenet", or None for a random start.
        dilated: keep the last stage at 1/16 of the photo's resolution.
        anchors: how many crops are predicted.

    Raises:
        CropnbError: sizes that don't fit each other.
        WeightsUnavailable: no ImageNet weights.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        weights: str | None = "imagenet",
        *,
        dilated: bool = False,
        channels: int = 256,
        heads: int = 8,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        hidden: int = 2048,
        anchors: int = 90,
        dropout: float = 0.1,
        anchor_boxes: bool = False,
    ) -> None:
        super().__init__()
        if channels % 4 or channels % heads:
            raise CropnbError(f"{channels} channels: give a multiple of 4 and of the {heads} heads")
        if min(encoder_layers, decoder_layers, anchors) < 1 or backbone not in CUTS:
            raise CropnbError(
                f"at least one layer and one anchor are needed, and a backbone of {', '.join(CUTS)}"
            )
        if dilated and backbone != "resnet50":
            raise CropnbError("only ResNet50 has a dilated last stage here")
        self.channels = channels
        self.backbone = backbones.build(backbone, CUTS[backbone], weights)
        if dilated:
            _dilate(self.backbone)
        self.reduce = nn.Conv2d(sum(self.backbone.channels), channels, 1)
        self.encoder = nn.ModuleList(
            EncoderLayer(channels, heads, hidden, dropout) for _ in range(encoder_layers)
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(channels, heads, hidden, dropout, first=index == 0)
            for index in range(decoder_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.anchors = nn.Parameter(torch.randn(anchors, channels))  # q_i
        # where an anchor looks first
        self.reference = None if anchor_boxes else Perceptron(channels, channels, 2)
        # before the sigmoid
        self.anchor_boxes = nn.Parameter(torch.zeros(anchors, 4)) if anchor_boxes else None
        self.scale = Perceptron(channels, channels, channels)  # how widely, after what it has seen
        self.box_head = Perceptron(channels, channels, channels, 4)
        self.validity_head = nn.Linear(channels, 1)
        self._reset()

    @classmethod
    def light(cls, weights: str | None = "imagenet", **changed: object) -> "SetPredictionCropper":
        """The small one, for a CPU: MobileNetV2, one encoder and two decoder layers of 96 channels,
        anchor boxes.

        It has no dropout: drawing it takes half of a step on a CPU, and a short training hardly
        overfits.
        """
        small = {"channels": 96, "heads": 8, "encoder_layers": 1, "decoder_layers": 2}
        small |= {"hidden": 384, "anchor_boxes": True, "dropout": 0.0}
        return cls("mobilenet_v2", weights, **{**small, **changed})

    def forward(self, images: Tensor) -> Predictions:
        """Photos (B, 3, H, W) in 0…1, all of one size; several sizes: `features` of each, then
        `pad`.
        """
        return self.from_features(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Photos (B, 3, H, W) in 0…1 → (B, C, H / 32, W / 32), rounded up; twice as fine where
        dilated.

        Raises:
            ImageError: photos of another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ImageError(f"photos have the shape (B, 3, H, W), not {tuple(images.shape)}")
        return self.join(self.backbone(images))

    @staticmethod
    def join(maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C, h, w) of the backbone's cuts at the resolution of the last, joined."""
        *finer, last = maps
        pooled = [F.adaptive_avg_pool2d(level, last.shape[-2:]) for level in finer]
        return torch.cat([*pooled, last], dim=1)

    def from_features(self, features: Tensor, mask: Tensor | None = None) -> Predictions:
        """Feature maps → crops and validities.

        Args:
            features: (B, C, h, w).
            mask: (B, h, w), true inside each photo; None where all are of one size.
        """
        memory = self.reduce(features).flatten(2).transpose(1, 2)  # (B, T, C), T = h w
        whole = features.new_ones(features[:, 0].shape, dtype=torch.bool)  # (B, h, w)
        places = cell_embedding(whole if mask is None else mask, self.channels)  # (B, T, C)
        mask = None if mask is None else mask.flatten(1)  # (B, T)
        for layer in self.encoder:
            memory = layer(memory, places, mask)
        anchors = self.anchors.expand(len(features), -1, -1)  # (B, Q, C)
        start = self.starts()  # (Q, 4)
        sought = point_embedding(start[:, :2].sigmoid(), self.channels)  # (Q, C)
        x = torch.zeros_like(anchors)  # (B, Q, C)
        layers = []
        for index, layer in enumerate(self.decoder):
            scaled = (sought if index == 0 else sought * self.scale(x)).expand_as(x)  # (B, Q, C)
            x = layer(
                x, anchors, places_sought=scaled, memory=memory, places=places, mask=mask
            )  # (B, Q, C)
            layers.append(self.norm(x))
        states = torch.stack(layers)  # (L, B, Q, C)
        boxes = (self.box_head(states) + start).sigmoid()  # (L, B, Q, 4)
        return Predictions(self.validity_head(states).squeeze(-1), boxes)

    def start_from(self, crops: Tensor, good: float, seed: int = 0) -> "SetPredictionCropper":
        """Lay the untrained anchor boxes where good crops lie: at the centres of as many clusters
        of them.

        Args:
            crops: good crops of the training photos (N, 4) as cxcywh.
            good: how many a photo has; the validity at the start follows from it.

        Raises:
            BoxError: fewer crops than anchors.
            CropnbError: a model without anchor boxes.
        """
        if self.anchor_boxes is None:
            raise CropnbError(
                "this model has no anchor boxes to lay somewhere; build it with anchor_boxes=True"
            )
        if crops.ndim != 2 or crops.shape[-1] != 4 or len(crops) < len(self.anchors):
            raise BoxError(
                f"crops have the shape {tuple(crops.shape)}: give (N, 4), one an anchor at least"
            )
        centres = _clusters(crops, len(self.anchors), seed)  # (Q, 4)
        share = torch.tensor(good / len(self.anchors)).clamp(PRIOR, 0.5)
        with torch.no_grad():
            self.anchor_boxes.copy_(centres.clamp(0.01, 0.99).logit())
            self.validity_head.bias.fill_(float(share.logit()))
        return self

    def starts(self) -> Tensor:
        """Where boxes start from, (Q, 4) before the sigmoid: the reference point, or the anchor's
        own box.
        """
        if self.anchor_boxes is not None:
            return self.anchor_boxes
        return F.pad(self.reference(self.anchors), (0, 2))

    def _reset(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1 and not name.startswith(("backbone.", "anchor")):
                nn.init.xavier_uniform_(parameter)
        nn.init.zeros_(self.box_head[-1].weight)
        nn.init.zeros_(self.box_head[-1].bias)
        nn.init.constant_(self.validity_head.bias, float(torch.tensor(PRIOR).logit()))


def pad(maps: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Feature maps (1, C, h, w) of several photos → (B, C, h', w') and the mask (B, h', w'), None
    if all are equal.
    """
    height, width = (max(part.shape[side] for part in maps) for side in (-2, -1))
    if all(part.shape[-2:] == (height, width) for part in maps):
        return torch.cat(maps), None
    grown = [F.pad(part, (0, width - part.shape[-1], 0, height - part.shape[-2])) for part in maps]
    mask = torch.zeros(len(maps), height, width, dtype=torch.bool, device=maps[0].device)
    for index, part in enumerate(maps):
        mask[index, : part.shape[-2], : part.shape[-1]] = True
    return torch.cat(grown), mask


def _dilate(backbone: backbones.Backbone) -> None:
    """ResNet50's last stage without its stride: the same filters reach twice as far instead."""
    first, *others = backbone.units[-3:]
    first.conv2.stride = first.downsample[0].stride = (1, 1)
    for block in others:
        block.conv2.dilation = block.conv2.padding = (2, 2)


def _clusters(points: Tensor, count: int, seed: int, rounds: int = 20) -> Tensor:
    """The centres (count, D) of points (N, D): Lloyd's rounds from `count` of them at random."""
    points = points.double().cpu()
    rng = torch.Generator().manual_seed(seed)
    centres = points[torch.randperm(len(points), generator=rng)[:count]].clone()
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(1)  # (N,)
        total = torch.zeros_like(centres).index_add_(0, nearest, points)  # (count, D)
        members = torch.bincount(nearest, minlength=count)[:, None]  # (count, 1)
        centres = torch.where(members > 0, total / members.clamp(min=1), centres)
    return centres.float()
