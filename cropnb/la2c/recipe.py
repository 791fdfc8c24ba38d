"""What the agent is trained on and how: the variants that are compared, and the three profiles.

The paper gives the 16 environments, the 1/30 of a side, the 224 pixels, and no other number of its
training. What had to be chosen is listed in `paper.toml` ([[detail]]): on training and validation
photos, but for detail 11.
"""

from dataclasses import dataclass, field, replace

from cropnb.la2c.learner import Recipe
from cropnb.la2c.rules import STEP_LIMIT

GAMMA = 0.5  # detail 1: leaves little to farm
VALUE_WEIGHT, ENTROPY_WEIGHT = 0.5, 0.05  # detail 2: λ and β


@dataclass(frozen=True)
class Profile:
    """How much is trained. Photos count whole splits where they are None."""

    train_photos: int | None
    validation_photos: int
    test_photos: int | None
    recipe: Recipe
    shared: bool = True  # one pass of the frozen backbone a photo, see `Agent`
    # units of a layer before the heads, in the place of the backbone's last ones; 0 for none
    neck: int = 256
    narrow: int = 0  # channels before that layer, see `Agent`
    dropout: float = 0.0  # of the features, see `Agent`
    # further ones of each training photo, where the backbone is shared, see `FeatureAlbum`
    views: int = 0
    size: int = 224  # pixels of an observation where the backbone is not shared
    step_limit: int = STEP_LIMIT
    # of the training scenes: several people's boxes a photo; tests are in the form of FCDB
    form: str = "flms"
    symmetric: bool = False  # see `Agent`'s `mirror`
    match: str = "mean"  # detail 6: the IoU of the reward is the mean over a photo's true boxes


@dataclass(frozen=True)
class Variant:
    """What is changed for one row."""

    agent: dict = field(default_factory=dict)
    actions: str = "la2c"
    reward: str = "iou_sign"
    environments: int = 16
    init: str | None = None  # of the backbone, where it isn't the program's
    entropy_weight: float | None = None  # β, where rewards are of another size
    updates: float = 1.0  # in multiples of the profile's

    def recipe(self, recipe: Recipe, seed: int) -> Recipe:
        """The profile's, with this variant's changes; always validated as often."""
        weight = recipe.entropy_weight if self.entropy_weight is None else self.entropy_weight
        return replace(
            recipe,
            environments=self.environments,
            updates=round(recipe.updates * self.updates),
            validate_every=round(recipe.validate_every * self.updates),
            entropy_weight=weight,
            seed=seed,
        )


MAIN, LSTM = "LA2C", "LA2C-LSTM"
VARIANTS = {
    MAIN: Variant(),
    LSTM: Variant({"lstm": True}),
    # A step changes the IoU by about 1/30 of itself, so the entropy is weighed by as much less.
    "IoU difference": Variant(reward="iou_difference", entropy_weight=ENTROPY_WEIGHT / 30),
    "aesthetic score": Variant(reward="aesthetic"),
    # An update with one environment takes two thirds of the time of one with sixteen, so both learn
    # for equally long.
    "1 environment": Variant(environments=1, updates=1.5),
    "random start": Variant(init="random"),
    "A2-RL actions": Variant(actions="a2rl"),
    "A2-RL actions, aesthetic score": Variant(actions="a2rl", reward="aesthetic"),
}

_RECIPE = Recipe(0, gamma=GAMMA, value_weight=VALUE_WEIGHT, entropy_weight=ENTROPY_WEIGHT)
PROFILES = {
    "smoke": Profile(24, 12, 12, replace(_RECIPE, updates=150, validate_every=50), neck=64),
    "cpu": Profile(
        None,
        200,
        None,
        replace(_RECIPE, updates=75_000, validate_every=2500),
        narrow=32,
        dropout=0.3,
        views=3,
        symmetric=True,
    ),
    # A short run, for comparing variants with three seeds each.
    "trial": Profile(2000, 200, None, replace(_RECIPE, updates=800, validate_every=400)),
    # Section 3: 16 environments, 224 pixels, the whole network. For a GPU; it was not run for the
    # ledger.
    "full": Profile(
        None,
        200,
        None,
        replace(_RECIPE, updates=100_000, learning_rate=1e-4, validate_every=5000),
        shared=False,
        neck=0,
    ),
}
