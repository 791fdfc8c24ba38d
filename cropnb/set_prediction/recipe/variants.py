"""What tells the trainings of the set predictor apart: the variants, each with its labels and
length, and the profiles, which say how much is trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cropnb.runs import Profile as Base
from cropnb.runs import option
from cropnb.set_prediction.labels import HARD, PAPER, Smoothing


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


MUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # Figure 6: 0 is the model without smoothing, 0.5 QG's
# Beside the paper's rows; each is trained by an entry of its own.
ASIDE = {
    "QG, distance in the focal loss": Variant(PAPER, miss="distance"),
    # At a high μ the two readings of the focal loss ask for other validities of the best crops.
    "QG, μ = 0.9, distance in the focal loss": Variant(Smoothing(mu=0.9), miss="distance"),
    "w/o smoothing, as long as SD": Variant(as_distilled=True),
    "w/o smoothing, twice as long": Variant(times=2),
    "one crop": Variant(one_crop=True),
}
VARIANTS = {
    "QG": Variant(PAPER),
    "w/o smoothing": Variant(),
    "SD": Variant(teacher="iterates"),
    "SD, running mean": Variant(teacher="mean"),
    "QG, good from 4 on": Variant(PAPER, at_least=True),
    **{f"QG, μ = {mu:g}": Variant(Smoothing(mu=mu)) for mu in MUS if mu not in (0.0, 0.5)},
    **ASIDE,
}
_FROZEN = Profile(
    None,
    100,
    None,
    learning_rate=1e-3,
    backbone_rate=None,
    batch_size=8,
    clip=1.0,
    start_from_crops=True,
)
# What a CPU trains of the network in minutes: the first units, which cost most, stay.
_TRAINED = FromCut(
    None,
    100,
    None,
    epochs=8,
    milestone=6,
    distil_after=6,
    longer=2,
    learning_rate=1e-3,
    backbone_rate=5e-4,
    batch_size=8,
    clip=1.0,
    start_from_crops=True,
)
_FEW = {"train_photos": 48, "validation_photos": 16, "test_photos": 32}
PROFILES = {
    "smoke": replace(_FROZEN, **_FEW, epochs=4, milestone=3, distil_after=2, longer=1),
    "cpu": replace(_FROZEN, epochs=16, milestone=12, distil_after=12, longer=4),
    "trained": _TRAINED,
    "photographs": replace(
        _TRAINED,
        validation_photos=150,
        epochs=5,
        milestone=4,
        distil_after=2,
        longer=1,
        learning_rate=3e-4,
        backbone_rate=2e-4,
        # Anew it finds one window that is good enough everywhere, and looks no further.
        starts_from="cpu",
        bfloat16=True,
    ),
    # As printed (Sec. 4.3), with the short sides of DETR's multi-scale augmentation.
    "full": Profile(
        None, 36, None, short_sides=tuple(range(480, 801, 32)), test_side=600, light=False
    ),
}
