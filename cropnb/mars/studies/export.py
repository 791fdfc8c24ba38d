"""Mars as two networks: one looks at the photo, the other draws the map of any ratio."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import checkpoints, guards
from cropnb.export import Exported, Network
from cropnb.mars.cropper import THRESHOLD
from cropnb.mars.model import Mars
from cropnb.mars.photos import LONG_SIDE
from cropnb.mars.ratio import HIGHEST, LOWEST


class Look(nn.Module):
    """A photo (1, 3, H, W) → features (1, c, h, w), the same for all ratios."""

    def __init__(self, mars: Mars) -> None:
        super().__init__()
        self.mars = mars

    def forward(self, photo: Tensor) -> Tensor:
        return self.mars.features(photo)


class MapOfRatio(nn.Module):
    """Features (1, c, h, w) and a ratio (1,) → logits (h', w') of «this cell lies in the crop»."""

    def __init__(self, mars: Mars) -> None:
        super().__init__()
        self.mars = mars

    def forward(self, features: Tensor, aspect: Tensor) -> Tensor:
        weights = self.mars.meta(self._embedded(aspect))
        upsampled = self.mars.upsampler(self.mars.add_global(features, weights))
        # the predictor as a weighted sum of channels: (1, C_out, h', w') → (h', w')
        return (upsampled * weights.predictor[:, :, None, None]).sum(dim=1)[0]

    def _embedded(self, aspect: Tensor) -> Tensor:
        """E(τ) (Eq. 7) in single precision, the only one of a browser's graphics card."""
        embedding = self.mars.embedding
        if embedding.kind != "interpolated":
            return embedding(aspect)
        step = 2 * math.log(2) / (embedding.number - 1)
        place = (aspect.clamp(LOWEST, HIGHEST).log() + math.log(2)) / step  # (1,)
        lower = place.clamp(0, embedding.number - 2).floor()
        share = (place - lower)[:, None]
        lower = lower.long()
        return (1 - share) * embedding.vectors(lower) + share * embedding.vectors(lower + 1)


def parts(weights: Path) -> Exported:
    """Mars of a checkpoint."""
    state, card = checkpoints.load_weights(weights, "mars")
    model = Mars(**card["arguments"], weights=None).eval()
    checkpoints.load_into(model, state, weights)
    photo = torch.rand(1, 3, 171, 256)
    with torch.inference_mode():
        features = model.features(photo)
    networks = [
        Network(
            "look",
            Look(model),
            {"photo": photo},
            ("features",),
            {"photo": (2, 3), "features": (2, 3)},
        ),
        Network(
            "map",
            MapOfRatio(model),
            {"features": features.clone(), "aspect": torch.tensor([1.5])},
            ("logits",),
            {"features": (2, 3), "logits": (0, 1)},
        ),
    ]
    facts = {
        "kind": "map",
        "long_side": LONG_SIDE,
        "out_stride": model.out_stride,
        "threshold": guards.fraction(card, "threshold", THRESHOLD),
        "lowest": LOWEST,
        "highest": HIGHEST,
    }
    return Exported(networks, facts, card)
