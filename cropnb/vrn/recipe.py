"""What VRN is trained on and how: the four rows of Table 2, and the three profiles."""

from collections.abc import Mapping

from torch import Tensor, nn

from cropnb.gaic.experiment import Build
from cropnb.gaic.fitting import Loss, Profile
from cropnb.vrn.losses import vrn_loss
from cropnb.vrn.model import Vrn

# The rows of Table 2: (feature splitter, ranking gain loss).
VARIANTS = {
    "baseline": (False, False),
    "FS": (True, False),
    "RGL": (False, True),
    "FS + RGL": (True, True),
}
MAIN = "FS + RGL"

# The ranking gain's gradient has a norm in the thousands at first, and Adam remembers it for
# thousands of steps, in which nothing is learned. Every row of Table 2 is trained with the same
# bound on the norm.
CLIP = 1.0

PROFILES = {
    "smoke": Profile(32, 16, 40, head_epochs=3, head_learning_rate=1e-3, clip=CLIP),
    "cpu": Profile(
        None,
        100,
        None,
        head_epochs=4,
        head_learning_rate=1e-3,
        epochs=2,
        learning_rate=1e-4,
        clip=CLIP,
    ),
    # Section 4.2: Adam, learning rate 1e-4, 60 epochs, one photo with 64 views a step.
    "full": Profile(None, 100, None, epochs=60, learning_rate=1e-4, clip=CLIP),
}


def build(variant: str = MAIN, weights: str | None = "imagenet") -> Build:
    """What makes the network of one row of Table 2."""
    return lambda: Vrn(feature_splitter=VARIANTS[variant][0], weights=weights)


def loss(variant: str = MAIN) -> Loss:
    """The loss of one row of Table 2.

    Without the splitter the network predicts scores of 1…5; the photo's annotated mean is taken
    from both sides, so that the ranking gain sees mean-subtracted scores in every row.
    """
    with_splitter, with_ranking_gain = VARIANTS[variant]

    def compute(
        model: nn.Module, features: Tensor, boxes: list[Tensor], mos: Tensor
    ) -> Mapping[str, Tensor]:
        view_scores, image_scores = model.from_features(features, boxes)
        if not with_splitter:
            view_scores = view_scores - mos.mean()
        return vrn_loss(view_scores, mos, image_scores, with_ranking_gain)

    return compute
