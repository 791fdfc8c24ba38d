"""What ASM-Net is trained on and how: the rows of Table 1, the points of Figure 5, and the three
profiles.
"""

from dataclasses import asdict, dataclass, fields

from cropnb.asm_net.losses import LAMBDA

MAIN = "cross_rectangle"


@dataclass(frozen=True)
class Variant:
    """One network to train: its pattern, λ of equation 8, and whether equation 4 is a sum or a mean
    over pairs.
    """

    pattern: str = MAIN
    weight: float = LAMBDA
    per_pair: bool = False


TABLE_1 = (
    "grid_1x1",
    "grid_1x3",
    "grid_3x1",
    "grid_5x5",
    "multi_rectangle",
    "multi_direction",
    MAIN,
)
BESIDE_TABLE_1 = ("grid_3x3", "multi_rectangle_3")  # drawn in Figure 3, without a row in the table
FIGURE_5 = {"λ=0": 0.0, "λ=0.01": 0.01, "λ=0.1": LAMBDA, "λ=1": 1.0, "λ=10": 10.0, "λ=100": 100.0}
PER_PAIR = {
    f"{name}, mean over pairs": weight for name, weight in FIGURE_5.items() if weight >= LAMBDA
}
SAME_RUN = {"λ=0.1": MAIN}  # Table 1 was trained with the default λ

VARIANTS = {
    **{name: Variant(name) for name in (*TABLE_1, *BESIDE_TABLE_1)},
    **{name: Variant(weight=weight) for name, weight in FIGURE_5.items() if name not in SAME_RUN},
    **{name: Variant(weight=weight, per_pair=True) for name, weight in PER_PAIR.items()},
}


@dataclass(frozen=True)
class Profile:
    """How much is trained. Photos count whole splits where they are None; epochs of 0 leave a stage
    out.
    """

    train_photos: int | None
    validation_photos: int
    test_photos: int | None
    head_epochs: int = 0  # the 1 × 1 convolution alone, on features of a frozen backbone
    head_learning_rate: float = 1e-2
    head_batch: int = 16
    epochs: int = 0  # the whole network
    learning_rate: float = 1e-4
    batch: int = 4
    clip: float | None = None
    backbone: str = "mobilenet_v2"
    stride: int = 8
    mixed_precision: bool = False
    # first units of the backbone that stay as they are, where the whole network is trained
    stem: int = 0

    def settings(self) -> dict[str, object]:
        """What a run is told apart by: what doesn't matter to it stands at its default."""
        of_the_network = () if self.epochs else ("learning_rate", "batch", "mixed_precision")
        defaults = {
            field.name: field.default for field in fields(self) if field.name in of_the_network
        }
        return {
            name: value
            for name, value in (asdict(self) | defaults).items()
            if name != "stem" or self.epochs
        }


PROFILES = {
    "smoke": Profile(96, 32, 40, head_epochs=6),
    # On a frozen backbone a network is a linear map of features that are computed once: seconds an
    # epoch. Of the whole network the first units, of strides 2 and 4, would cost half of the time.
    "cpu": Profile(None, 500, None, head_epochs=2, epochs=1, learning_rate=2e-4, stem=4),
    # Section 4.2 names VGG16 and δ. Optimiser, learning rate, batch and epochs are not printed:
    # these are ours.
    "full": Profile(
        None, 500, None, epochs=20, learning_rate=1e-4, batch=8, backbone="vgg16", stride=1
    ),
}
