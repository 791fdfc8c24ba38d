"""GAIC and VRN as two networks: one looks at the photo, the other scores any boxes of it."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb import checkpoints, guards, roi
from cropnb.export import Exported, Network
from cropnb.gaic.cropper import SCALES
from cropnb.gaic.model import ALIGN, Gaic, MultiScaleFeatures, ViewScorer
from cropnb.gaic.views import MULTIPLE, SHORT_SIDE


class Look(nn.Module):
    """A photo (1, 3, H, W) → the features that views are judged by (1, C, h, w), and what each
    point of RoDAlign adds to a view that leaves it out (P, hidden).
    """

    def __init__(self, features: nn.Module, reduce: nn.Module, learner: ViewScorer) -> None:
        super().__init__()
        self.features, self.reduce, self.learner = features, reduce, learner

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """One pass a photo; resizing is by constant factors, which ONNX has."""
        first, second, third = self.features.backbone(photo)  # strides 8, 16 and 32
        maps = [F.interpolate(first, scale_factor=0.5, mode="bilinear"), second]
        maps.append(F.interpolate(third, scale_factor=2.0, mode="bilinear"))
        reduced = self.reduce(torch.cat(maps, dim=1))  # (1, C, h, w)
        _, values = roi.discard_samples(reduced, ALIGN, MultiScaleFeatures.stride)  # (1, C, P)
        cells = values[0].reshape(-1, ALIGN * ALIGN, roi.SAMPLES**2).permute(1, 2, 0)
        share = torch.bmm(cells, self.learner.drop) / roi.SAMPLES**2  # (81, S², hidden)
        return reduced, share.reshape(-1, share.shape[-1])


class Score(nn.Module):
    """What `Look` saw, and boxes (N, 4) in pixels of the photo that it saw → scores (N,)."""

    def __init__(self, learner: ViewScorer) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, reduced: Tensor, share: Tensor, boxes: Tensor) -> Tensor:
        """What views keep by RoIAlign, and what RoDAlign leaves to them outside."""
        views = roi.roi_align(reduced, [boxes], ALIGN, MultiScaleFeatures.stride)  # (N, C, 9, 9)
        points, _ = roi.discard_samples(reduced, ALIGN, MultiScaleFeatures.stride)  # (P, 2)
        outside = roi.discarded(points, boxes).to(share.dtype)  # (N, P)
        hidden = self.learner.keep(views.flatten(1)) + outside @ share  # (N, hidden)
        return self.learner.rest(hidden).squeeze(1)


def two_networks(
    features: nn.Module, reduce: nn.Module, learner: ViewScorer, card: dict[str, object]
) -> Exported:
    """The networks of a learner of views, and what surrounds them.

    Args:
        reduce: joined features → those that views are judged by.
    """
    look = Look(features, reduce, learner).eval()
    photo = torch.rand(1, 3, 256, 384)
    with torch.inference_mode():
        reduced, share = look(photo)
    boxes = torch.tensor([[16.0, 16.0, 300.0, 200.0], [64.0, 32.0, 384.0, 256.0]])
    networks = [
        Network("look", look, {"photo": photo}, ("reduced", "share"), {"photo": (2, 3)}),
        Network(
            "score",
            Score(learner).eval(),
            {"reduced": reduced.clone(), "share": share.clone(), "boxes": boxes},
            ("scores",),
            {"reduced": (2, 3), "boxes": (0,), "scores": (0,)},
        ),
    ]
    facts = {
        "kind": "anchors",
        "short_side": SHORT_SIDE,
        "multiple": MULTIPLE,
        "scales": [round(scale * 100) for scale in SCALES],
        "sharpness": guards.sharpness(card),
    }
    return Exported(networks, facts, card)


def parts(weights: Path) -> Exported:
    """GAIC of a checkpoint."""
    state, card = checkpoints.load_weights(weights, "gaic")
    model = Gaic(weights=None).eval()
    checkpoints.load_into(model, state, weights)
    return two_networks(model.features, model.reduce, model.score, card)
