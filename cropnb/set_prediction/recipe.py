"""What the set predictor is trained on and how: the rows of its tables, and the three profiles."""

from dataclasses import dataclass, field, replace

from cropnb.set_prediction.model import SetPredictionCropper
from cropnb.set_prediction.smoothing import HARD, PAPER, Smoothing


@dataclass(frozen=True)
class Variant:
    """One row of the tables: how labels are smoothed, and which crops are good."""

    smoothing: Smoothing = HARD
    teacher: str | None = None  # "iterates": equation 5 as written; "mean": a running mean
    at_least: bool = False  # good crops from the threshold on, instead of above it


# Figure 6's values of μ; 0 is the model without smoothing, 0.5 the model of Tables 1, 2 and 5.
MUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
VARIANTS = {
    "QG": Variant(PAPER),
    "w/o smoothing": Variant(),
    "SD": Variant(teacher="iterates"),
    "SD, running mean": Variant(teacher="mean"),
    "QG, good from 4 on": Variant(PAPER, at_least=True),
    **{f"QG, μ = {mu:g}": Variant(Smoothing(mu=mu)) for mu in MUS if mu not in (0.0, 0.5)},
}
MAIN = "QG"


@dataclass(frozen=True)
class Profile:
    """How much is trained. Photos count whole splits where they are None; rates and epochs as in
    Sec. 4.3.
    """

    train_photos: int | None
    validation_photos: int
    test_photos: int | None
    epochs: int = 50
    tenth_after: int = 40
    # of the self-distilled variants, which train `longer` epochs and fall `longer` later
    distil_after: int = 40
    longer: int = 10
    learning_rate: float = 1e-4
    # None: the backbone stays as it is, and its maps are computed once
    backbone_rate: float | None = 1e-5
    weight_decay: float = 1e-4
    batch_size: int = 2
    # The authors clip at 0.1 with weights of 5, 2 and 2; equation 3 has the same weights divided by
    # five.
    clip: float | None = 0.02
    # drawn from in training; photos of the test have `test_side`
    short_sides: tuple[int, ...] = (256,)
    test_side: int = 256
    start_from_crops: bool = False  # let the untrained anchors lie where good crops lie
    light: bool = True
    mixed_precision: bool = False
    sizes: dict[str, object] = field(default_factory=dict)  # other sizes of the model

    def schedule(self, variant: Variant) -> tuple[int, int]:
        """Epochs in all, and the one after which the rate falls to a tenth."""
        more = self.longer if variant.teacher else 0
        return self.epochs + more, self.tenth_after + more

    def build(self, weights: str | None = "imagenet") -> SetPredictionCropper:
        """The network of this profile."""
        if self.light:
            return SetPredictionCropper.light(weights, **self.sizes)
        return SetPredictionCropper("resnet50", weights, dilated=True, **self.sizes)


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
PROFILES = {
    "smoke": replace(
        _FROZEN,
        train_photos=48,
        validation_photos=16,
        test_photos=32,
        epochs=4,
        tenth_after=3,
        distil_after=2,
        longer=1,
    ),
    "cpu": replace(_FROZEN, epochs=16, tenth_after=12, distil_after=12, longer=4),
    # Sec. 4.3, with the short sides of DETR's multi-scale augmentation.
    "full": Profile(
        None, 36, None, short_sides=tuple(range(480, 801, 32)), test_side=600, light=False
    ),
}
