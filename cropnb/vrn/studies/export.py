"""VRN as two networks: one looks at the photo, the other scores any boxes of it."""

from pathlib import Path

from torch import Tensor, nn

from cropnb import checkpoints
from cropnb.export import Exported
from cropnb.gaic.studies.export import two_networks
from cropnb.vrn.model import Vrn


class ViewWise(nn.Module):
    """Joined features (1, 448, h, w) → the view-wise ones of the splitter, (1, 32, h, w)."""

    def __init__(self, model: Vrn) -> None:
        super().__init__()
        self.reduce, self.splitter = model.reduce, model.splitter

    def forward(self, features: Tensor) -> Tensor:
        """The splitter's first output; the other is of training alone."""
        return self.splitter(self.reduce(features))[0]


def parts(weights: Path) -> Exported:
    """VRN of a checkpoint, without its image-wise learner, which inference drops (Sec. 3.1)."""
    state, card = checkpoints.load_weights(weights, "vrn")
    model = Vrn(weights=None).drop_image_learner().eval()
    checkpoints.load_into(model, state, weights)
    return two_networks(model.features, ViewWise(model), model.view_learner, card)
