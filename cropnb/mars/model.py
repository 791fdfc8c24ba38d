"""Mars: a base model whose feature transformation and pixel-wise predictor are predicted from the
aspect ratio.

The paper's text leaves open where channels change and what the kernels are; its parameter counts
settle most of that (`cropnb.mars.studies.parameters`). Taught in `book/papers/mars.ipynb`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb import backbones
from cropnb.errors import CropnbError
from cropnb.mars.photos import MULTIPLE, cells, masked_mean, padding_as_zero
from cropnb.mars.ratio import MetaLearner, RatioEmbedding, RatioWeights, check_ratios

# ResNet50's 1024 and 2048 channels are reduced to this, or ARS-FTM alone would take 537 million
# numbers
WIDEST = 512


def cut_features(
    backbone: backbones.Backbone, images: Tensor, sizes: Tensor | None = None
) -> Tensor:
    """Photos (B, 3, H, W) → what the backbone gives at its one cut; sizes as in `Mars.features`.

    Raises:
        CropnbError: padded frames whose sides 32 doesn't divide.
    """
    height, width = images.shape[-2:]
    ragged = bool(height % MULTIPLE or width % MULTIPLE)
    if sizes is not None and ragged:
        raise CropnbError(
            f"frames of {width} × {height} with padding: both sides must be multiples of {MULTIPLE}"
        )
    # Its pooling drops an odd last row, which would be missing in the map.
    if ragged and backbone.name == "vgg16":
        sizes = torch.tensor([[width, height]], device=images.device).expand(len(images), 2)
        images = F.pad(images, (0, -width % MULTIPLE, 0, -height % MULTIPLE))
        columns, rows = cells(sizes[0], backbone.strides[0]).tolist()
        return cut_features(backbone, images, sizes)[..., :rows, :columns]
    with padding_as_zero(backbone, sizes, height):
        return backbone(images)[0]


class Upsampler(nn.Module):
    """(B, c, h, w) → (B, C_out, h · 2ⁿ, w · 2ⁿ): to C_out channels, then n deconvolutions that each
    double the sides.

    Deconvolutions of kernel 2 don't overlap, so a cell's descendants see no other cell: padding
    can't spread here.
    """

    def __init__(self, channels: int, out_channels: int, doublings: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, out_channels, 1)
        self.mix = nn.Conv2d(out_channels, out_channels, 1)
        self.deconvolutions = nn.ModuleList(
            nn.ConvTranspose2d(out_channels, out_channels, 2, 2) for _ in range(doublings)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, h, w) → (B, C_out, h · 2ⁿ, w · 2ⁿ)."""
        x = F.relu(self.reduce(x))  # (B, C_out, h, w)
        x = F.relu(self.mix(x))  # (B, C_out, h, w)
        for deconvolution in self.deconvolutions:
            x = F.relu(deconvolution(x))  # (B, C_out, 2 h, 2 w), and so on
        return x


class Mars(nn.Module):
    """Every row of Tables 1 to 6, by its arguments.

    Args:
        backbone, cut: the network that sees the photo and where it ends (Table 1).
        fc_layers: fully-connected layers of the meta-learners, 0…4 (Table 2); `neurons` of each,
            512 in the paper.
        embeddings, embedding_dim: number and dimension of the ratios' vectors (Table 5).
        out_channels, out_stride: C_out, and the photo's pixels a cell of the map: 16, 8, 4, 2 or 1
            (Table 6).
        ars_ftm, ars_pwp: whether the ratio decides the feature transformation and the predictor
            (Table 3). Without the first f_ars is f_ara; without the second a plain 1×1 convolution
            predicts.
        ratio_input: "interpolated", "nearest" or "scalar" (Table 4).
        weights: "imagenet" for the backbone, or None for a random start.

    `forward` takes photos (B, 3, H, W) in 0…1 with a ratio for each (B,), and their sizes (B, 2) as
    (width, height) where some are padded; it returns logits (B, h, w) of «this cell lies in the
    crop».

    Raises:
        CropnbError: what no table has a place for.
        WeightsUnavailable: as `backbones.build`.
    """

    def __init__(
        self,
        backbone: str = "mobilenet_v2",
        cut: str = "c4_6",
        fc_layers: int = 1,
        embeddings: int = 101,
        embedding_dim: int = 512,
        out_channels: int = 96,
        out_stride: int = 4,
        ars_ftm: bool = True,
        ars_pwp: bool = True,
        ratio_input: str = "interpolated",
        *,
        neurons: int = 512,
        weights: str | None = "imagenet",
    ) -> None:
        super().__init__()
        cut = "c5_1" if (backbone, cut) == ("vgg16", "pool5") else cut
        self.backbone = backbones.build(backbone, [cut], weights)
        (channels,), (self.stride,) = self.backbone.channels, self.backbone.strides
        # 16, 8, 4, 2, 1.
        strides = [self.stride >> doublings for doublings in range(self.stride.bit_length())]
        if out_stride not in strides:
            raise CropnbError(
                f"out_stride is {out_stride!r}; deconvolutions reach {', '.join(map(str, strides))}"
            )
        if out_channels < 1:
            raise CropnbError(f"out_channels is {out_channels}; the map needs one at least")
        self.out_stride = out_stride
        self.narrow = nn.Conv2d(channels, WIDEST, 1) if channels > WIDEST else None
        self.channels = min(channels, WIDEST)  # c of Figure 2
        self.upsampler = Upsampler(self.channels, out_channels, strides.index(out_stride))
        self.embedding = self.meta = None
        if ars_ftm or ars_pwp:
            self.embedding = RatioEmbedding(embeddings, embedding_dim, ratio_input)
            predicted = (self.channels if ars_ftm else None, out_channels if ars_pwp else None)
            self.meta = MetaLearner(self.embedding.width, *predicted, fc_layers, neurons)
        self.predictor = None if ars_pwp else nn.Conv2d(out_channels, 1, 1)

    def features(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Photos (B, 3, H, W) → the feature map before pooling, (B, c, h, w); independent of the
        ratio.

        Args:
            sizes: (B, 2), (width, height) of each photo in its frame; None where the frames hold
                nothing else. Padded frames have sides that 32 divides, as `photos.collate` gives
                them.
        """
        return self.narrowed(cut_features(self.backbone, images, sizes))

    def narrowed(self, features: Tensor) -> Tensor:
        """What the backbone gives at its cut → (B, c, h, w), at most 512 channels."""
        return features if self.narrow is None else F.relu(self.narrow(features))

    def ratio_weights(self, aspects: Tensor | float) -> RatioWeights:
        """The weights W = φ(τ; W′) that B ratios ask for (Eq. 3): those of (Eq. 5) and (Eq. 6).

        Raises:
            BoxError: what is no ratio.
        """
        if self.meta is None:
            return RatioWeights(None, None)
        aspects = check_ratios(aspects).to(next(self.meta.parameters()).device)
        return self.meta(self.embedding(aspects))

    def head(self, features: Tensor, weights: RatioWeights, counts: Tensor | None = None) -> Tensor:
        """Feature maps (B, c, h, w) and weights for each → logits (B, h', w') at the output's
        stride.

        The weights differ from sample to sample; both products run as one batched multiplication.

        Args:
            counts: (B, 2), cells along width and height of each photo in `features`, where some are
                padded.
        """
        return self.predict_cells(self.add_global(features, weights, counts), weights)

    def add_global(
        self, features: Tensor, weights: RatioWeights, counts: Tensor | None = None
    ) -> Tensor:
        """f_ara pooled, transformed to f_ars by each sample's ARS-FTM, and added to every cell
        (Figure 3).
        """
        pooled = masked_mean(features, counts)  # f_ara, (B, c)
        if weights.transform is not None:
            pooled = torch.bmm(weights.transform, pooled[:, :, None])[:, :, 0]  # f_ars, (B, c)
        return features + pooled[:, :, None, None]  # (B, c, h, w)

    def predict_cells(self, features: Tensor, weights: RatioWeights) -> Tensor:
        """(B, c, h, w) → logits (B, h', w'): upsampled, then each sample's ARS-PWP. No cell sees
        another one here.
        """
        upsampled = self.upsampler(features)  # (B, C_out, h', w')
        if weights.predictor is None:
            return self.predictor(upsampled)[:, 0]  # (B, h', w')
        logits = torch.bmm(weights.predictor[:, None], upsampled.flatten(2))  # (B, 1, h' · w')
        return logits.view(-1, *upsampled.shape[-2:])  # (B, h', w')

    def forward(
        self, images: Tensor, aspects: Tensor | float, sizes: Tensor | None = None
    ) -> Tensor:
        """F(x; W) with the W of each photo's ratio (Eq. 1), (Eq. 2)."""
        counts = None if sizes is None else cells(sizes, self.stride)
        return self.head(self.features(images, sizes), self.ratio_weights(aspects), counts)

    def for_ratio(self, aspect: float) -> "MarsForRatio":
        """The new model F(x; φ(τ; W′)) for one ratio (Eq. 4): its weights are predicted here, once,
        and not again for each photo.
        """
        return MarsForRatio(self, aspect)

    def meta_parameters(self) -> list[nn.Parameter]:
        """Those of the embedding and the meta-learners, which the paper decays more than the rest
        (Sec. 4.1).
        """
        return [] if self.meta is None else [*self.embedding.parameters(), *self.meta.parameters()]


class MarsForRatio(nn.Module):
    """Mars with the weights of one ratio plugged in (Sec. 3.3): photos (B, 3, H, W) → logits (B,
    h', w').
    """

    def __init__(self, mars: Mars, aspect: float) -> None:
        super().__init__()
        self.mars, self.aspect = mars, float(check_ratios(aspect)[0])
        with torch.no_grad():
            weights = mars.ratio_weights(self.aspect)
        self.register_buffer("transform", weights.transform, persistent=False)
        self.register_buffer("predictor", weights.predictor, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Photos (B, 3, H, W) → logits (B, h', w') for the ratio that is plugged in."""
        return self.head(self.mars.features(images))

    def head(self, features: Tensor) -> Tensor:
        """Features (B, c, h, w) of photos without padding → logits (B, h', w')."""
        number = len(features)
        expanded = (
            None if w is None else w.expand(number, *w.shape[1:])
            for w in (self.transform, self.predictor)
        )
        return self.mars.head(features, RatioWeights(*expanded))


@dataclass(frozen=True)
class Variant:
    """The arguments of `Mars`, the (table, row) cells where the paper prints this network, and the
    ratios that its training never asks for.
    """

    arguments: Mapping[str, object] = field(default_factory=dict)
    cells: tuple[tuple[str, str], ...] = ()
    left_out: tuple[float, ...] = ()


def _row(table: str, row: str, **arguments: object) -> Variant:
    """A network that one table has."""
    return Variant(arguments, ((table, row),))


# Two of the nine ratios that scenes ask for, one on either side of 1:1.
LEFT_OUT = (2 / 3, 3 / 2)

# The rows of the paper's tables; its own network stands in all of them.
VARIANTS = {
    "Mars": Variant(
        {},
        (
            ("Table 1", "mobilenet_v2 c4_6"),
            ("Table 2", "FC 512 x 1"),
            ("Table 3", "both"),
            ("Table 4", "interpolated"),
            ("Table 5", "101 x 512"),
            ("Table 6", "1/4, 96"),
        ),
    ),
    "mobilenet_v2 c3_3": _row("Table 1", "mobilenet_v2 c3_3", backbone="mobilenet_v2", cut="c3_3"),
    "mobilenet_v2 c4_3": _row("Table 1", "mobilenet_v2 c4_3", backbone="mobilenet_v2", cut="c4_3"),
    "mobilenet_v2 c5_1": _row("Table 1", "mobilenet_v2 c5_1", backbone="mobilenet_v2", cut="c5_1"),
    "vgg16 c3_3": _row("Table 1", "vgg16 c3_3", backbone="vgg16", cut="c3_3"),
    "vgg16 c4_1": _row("Table 1", "vgg16 c4_1", backbone="vgg16", cut="c4_1"),
    "vgg16 c4_3": _row("Table 1", "vgg16 c4_3", backbone="vgg16", cut="c4_3"),
    "vgg16 pool5": _row("Table 1", "vgg16 pool5", backbone="vgg16", cut="pool5"),
    "resnet50 c3_4": _row("Table 1", "resnet50 c3_4", backbone="resnet50", cut="c3_4"),
    "resnet50 c4_3": _row("Table 1", "resnet50 c4_3", backbone="resnet50", cut="c4_3"),
    "resnet50 c4_6": _row("Table 1", "resnet50 c4_6", backbone="resnet50", cut="c4_6"),
    "resnet50 c5_1": _row("Table 1", "resnet50 c5_1", backbone="resnet50", cut="c5_1"),
    "FC x 0": _row("Table 2", "FC 512 x 0", fc_layers=0),
    "FC x 2": _row("Table 2", "FC 512 x 2", fc_layers=2),
    "FC x 3": _row("Table 2", "FC 512 x 3", fc_layers=3),
    "FC x 4": _row("Table 2", "FC 512 x 4", fc_layers=4),
    "no ARS-FTM, no ARS-PWP": _row("Table 3", "neither", ars_ftm=False, ars_pwp=False),
    "no ARS-FTM": _row("Table 3", "without ARS-FTM", ars_ftm=False),
    "no ARS-PWP": _row("Table 3", "without ARS-PWP", ars_pwp=False),
    "scalar ratio": _row("Table 4", "scalar", ratio_input="scalar"),
    "nearest embedding": _row("Table 4", "nearest", ratio_input="nearest"),
    "11 embeddings": _row("Table 5", "11 x 512", embeddings=11),
    "201 embeddings": _row("Table 5", "201 x 512", embeddings=201),
    "501 embeddings": _row("Table 5", "501 x 512", embeddings=501),
    "dimension 128": _row("Table 5", "101 x 128", embedding_dim=128),
    "dimension 256": _row("Table 5", "101 x 256", embedding_dim=256),
    "dimension 1024": _row("Table 5", "101 x 1024", embedding_dim=1024),
    "resolution 1/16": _row("Table 6", "1/16, 96", out_stride=16),
    "resolution 1/8": _row("Table 6", "1/8, 96", out_stride=8),
    "resolution 1/2": _row("Table 6", "1/2, 96", out_stride=2),
    "resolution 1": _row("Table 6", "1, 96", out_stride=1),
    "32 channels": _row("Table 6", "1/4, 32", out_channels=32),
    "64 channels": _row("Table 6", "1/4, 64", out_channels=64),
    "128 channels": _row("Table 6", "1/4, 128", out_channels=128),
    "256 channels": _row("Table 6", "1/4, 256", out_channels=256),
    # Not in a table: (Sec. 3.2) says that ratios need not appear in training.
    "ratios left out": Variant(left_out=LEFT_OUT),
}
