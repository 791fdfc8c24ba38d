"""What the GAIC baseline is trained on and how."""

from cropnb.gaic.experiment import Build
from cropnb.gaic.fitting import Loss, Profile
from cropnb.gaic.losses import gaic_loss
from cropnb.gaic.model import Gaic

VARIANTS = {"GAIC": "mobilenet_v2"}
MAIN = "GAIC"

PROFILES = {
    "smoke": Profile(32, 16, 40, head_epochs=3, head_learning_rate=1e-3),
    "cpu": Profile(
        None, 100, None, head_epochs=4, head_learning_rate=1e-3, epochs=2, learning_rate=1e-4
    ),
    "full": Profile(None, 100, None, epochs=60, learning_rate=1e-4),
}


def build(variant: str = MAIN, weights: str | None = "imagenet") -> Build:
    """What makes the network."""
    return lambda: Gaic(VARIANTS[variant], weights=weights)


def loss(variant: str = MAIN) -> Loss:
    """The Huber loss on normalised scores."""
    return gaic_loss
