"""The variants that are compared: what each changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cropnb.la2c.learner import Settings
from cropnb.runs import option

ENTROPY_WEIGHT = 0.05  # β (Eq. 2)
AESTHETIC = "aesthetic"  # a reward


@dataclass(frozen=True)
class Variant:
    """What is changed for one row.

    Attributes:
        init: of the backbone, where it isn't the program's.
        entropy_weight: β, where rewards are of another size.
        updates: in multiples of the profile's.
        size: pixels of an observation, where they aren't the profile's and the backbone is not
            shared.
    """

    agent: Mapping[str, object] = field(default_factory=dict)
    actions: str = "la2c"
    reward: str = "iou_sign"
    environments: int = 16
    init: str | None = None
    entropy_weight: float | None = None
    updates: float = 1.0
    size: int | None = option(None)

    def learning(self, settings: Settings) -> Settings:
        """The profile's settings with this variant's changes; always validated as often."""
        weight = settings.entropy_weight if self.entropy_weight is None else self.entropy_weight
        every = round(settings.epoch_updates * self.updates)
        return replace(
            settings,
            environments=self.environments,
            updates=settings.updates // settings.epoch_updates * every,
            validate_every=every,
            entropy_weight=weight,
        )


MAIN, LSTM = "LA2C", "LA2C-LSTM"
OWN = (MAIN, LSTM)  # the rows of the paper's tables
VARIANTS = {
    MAIN: Variant(),
    LSTM: Variant({"lstm": True}),
    # A step changes the IoU by about 1/30 of itself, so the entropy is weighed by as much less.
    "IoU difference": Variant(reward="iou_difference", entropy_weight=ENTROPY_WEIGHT / 30),
    "aesthetic score": Variant(reward=AESTHETIC),
    # As much time as with sixteen: an update with these takes 1.87 times as long as one with a
    # single one (`book/results/speed.json`).
    "1 environment": Variant(environments=1, updates=1.87),
    "random start": Variant(init="random"),
    "stride 1/15": Variant(actions="la2c, 1/15"),
    # A2-RL as its paper has it: the whole photo's features beside the crop's, an LSTM, fourteen
    # actions, and the reward of an aesthetic score.
    "A2-RL": Variant({"lstm": True, "whole": True}, actions="a2rl", reward=AESTHETIC),
    # The same at the size of its own observations.
    "A2-RL, 227 pixels": Variant(
        {"lstm": True, "whole": True}, actions="a2rl", reward=AESTHETIC, size=227
    ),
    # As many steps in all as with sixteen, which take 8.6 times as long.
    "1 environment, equal steps": Variant(environments=1, updates=16.0),
    "A2-RL actions": Variant(actions="a2rl"),
    "A2-RL actions, aesthetic score": Variant(actions="a2rl", reward=AESTHETIC),
}
