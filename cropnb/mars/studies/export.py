"""Mars as two networks: one looks at the photo, the other draws the map of any ratio."""

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
        """Once a photo."""
        return self.mars.features(photo)


class MapOfRatio(nn.Module):
    """Features (1, c, h, w) and a ratio (1,) → logits (h', w') of «this cell lies in the crop»."""

    def __init__(self, mars: Mars) -> None:
        super().__init__()
        self.mars = mars

    def forward(self, features: Tensor, aspect: Tensor) -> Tensor:
        """Once a ratio; the predictor's weights come from the ratio (Sec. 3.3)."""
        weights = self.mars.meta(self.mars.embedding(aspect))
        upsampled = self.mars.upsampler(self.mars.add_global(features, weights))
        # the predictor as a weighted sum of channels: (1, C_out, h', w') → (h', w')
        return (upsampled * weights.predictor[:, :, None, None]).sum(dim=1)[0]


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
