"""What tells the trainings of the set predictor apart: a variant's labels and length, and how much
a profile trains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cropnb.runs import Profile as Base
from cropnb.runs import option
from cropnb.set_prediction.labels import HARD, Smoothing


@dataclass(frozen=True)
class Variant:
    """One row of the tables: how labels are smoothed, which crops are good, and how long it trains.

    Attributes:
        teacher: of self-distillation: "iterates" is (Eq. 5) as written, "mean" a running mean.
        at_least: good crops from the threshold on, instead of above it.
        miss: of the focal loss; "distance" is the one whose minimum is the label.
        as_distilled: trains as long as the self-distilled variants, without a teacher.
        times: how many times the epochs of the profile it trains.
        one_crop: a single anchor, trained alike to give a photo's best crop. That is the network
            that regresses one box, which the paper sets its own against (Sec. 1). It is matched in
            every photo, so its validity is always told to be 1 and ranks nothing.
    """

    smoothing: Smoothing = HARD
    teacher: str | None = None
    at_least: bool = False
    miss: str = option("1 - p_t")
    as_distilled: bool = option(False)
    times: int = option(1)
    one_crop: bool = option(False)


@dataclass(frozen=True)
class Profile(Base):
    """How much is trained; rates and epochs as printed (Sec. 4.3)."""

    trained_from = ""  # no field here, but of `FromCut`

    epochs: int = 50
    milestone: int = 40  # from this epoch on a tenth of the rate
    # of the self-distilled variants, which train `longer` epochs and fall `longer` later
    distil_after: int = 40
    longer: int = 10
    learning_rate: float = 1e-4
    # None: the backbone stays as it is, and its maps are computed once
    backbone_rate: float | None = 1e-5
    weight_decay: float = 1e-4
    batch_size: int = 2
    # The authors clip at 0.1 with weights of 5, 2 and 2; (Eq. 3) has the same divided by five.
    clip: float | None = 0.02
    # drawn from in training; photos of the test have `test_side`
    short_sides: tuple[int, ...] = (256,)
    test_side: int = 256
    start_from_crops: bool = False  # let the untrained anchors lie where good crops lie
    light: bool = True
    mixed_precision: bool = False
    sizes: Mapping[str, object] = field(default_factory=dict)  # other sizes of the model
    # Go on from the network that this profile trained on scenes; "" starts anew.
    starts_from: str = option("")

    @property
    def sizes_drawn(self) -> bool:
        """Whether training photos have a size and colours of their own at each step."""
        return self.backbone_rate is not None and not self.trained_from

    def schedule(self, variant: Variant) -> tuple[int, int]:
        """Epochs in all, and the one from which on the rate is a tenth."""
        longer = self.longer if variant.teacher or variant.as_distilled else 0
        return variant.times * self.epochs + longer, variant.times * self.milestone + longer


@dataclass(frozen=True)
class FromCut(Profile):
    """Trains the whole network but the first units of the backbone, whose maps are computed once.

    Attributes:
        trained_from: the cut up to which the backbone stays as it is; "" for all of it.
        bfloat16: the units behind it compute in it.
    """

    trained_from: str = "c3_3"
    bfloat16: bool = False
