"""The set predictor as one network, from the photo to its crops and their validities."""

from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import checkpoints, guards
from cropnb.export import Exported, Network
from cropnb.set_prediction.cropper import LEAST, RATIO_SHARPNESS, SHARPNESS
from cropnb.set_prediction.labels import LONG_SIDE
from cropnb.set_prediction.model import SetPredictionCropper


class CropSet(nn.Module):
    """A photo (1, 3, H, W) → boxes (Q, 4), divided by the photo's sides, and validities (Q,).

    ONNX has no average over windows whose number is known only at run time. Such an average is a
    product with two matrices, one a side.
    """

    def __init__(self, model: SetPredictionCropper) -> None:
        super().__init__()
        self.model = model

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """One forward pass, its average pooling as two products."""
        finer, last = self.model.backbone(photo)
        down = self._averages(finer[0, 0, :, 0], last[0, 0, :, 0])  # (h, 2 h)
        across = self._averages(finer[0, 0, 0], last[0, 0, 0])  # (w, 2 w)
        pooled = torch.matmul(torch.matmul(down, finer), across.transpose(0, 1))  # (1, C, h, w)
        predictions = self.model.from_features(torch.cat([pooled, last], dim=1))
        return predictions.xyxy[0], predictions.validity[0]

    @staticmethod
    def _averages(line: Tensor, shorter: Tensor) -> Tensor:
        """(m, n): row i averages what adaptive pooling of n cells to m averages for cell i."""
        cell = (torch.cumsum(torch.ones_like(line), 0) - 1)[None]  # (1, n)
        window = (torch.cumsum(torch.ones_like(shorter), 0) - 1)[:, None]  # (m, 1)
        # in whole numbers of 1 / m, which a float holds exactly
        first = torch.floor(window * line.shape[0] / shorter.shape[0] + 1e-4)
        last = torch.ceil((window + 1) * line.shape[0] / shorter.shape[0] - 1e-4)
        inside = ((cell >= first) & (cell < last)).float()
        return inside / inside.sum(dim=1, keepdim=True)


def parts(weights: Path) -> Exported:
    """The light set predictor of a checkpoint."""
    state, card = checkpoints.load_weights(weights, "set_prediction")
    model = SetPredictionCropper.light(None).eval()
    checkpoints.load_into(model, state, weights)
    sides = card if "short_side" in card else {"short_side": card["profile"]["test_side"]}
    network = Network(
        "look",
        CropSet(model),
        {"photo": torch.rand(1, 3, 256, 384)},
        ("boxes", "validities"),
        {"photo": (2, 3)},
    )
    facts = {
        "kind": "set",
        "short_side": guards.whole(sides, "short_side", 32, 4096),
        "long_side": LONG_SIDE,
        "least": LEAST,
        "sharpness": guards.sharpness(card),
        "set_sharpness": SHARPNESS,
        "ratio_sharpness": RATIO_SHARPNESS,
    }
    return Exported([network], facts, card)
