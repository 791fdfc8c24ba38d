"""What Mars is trained on and how."""

from dataclasses import replace

from cropnb.mars.fitting import Profile
from cropnb.mars.model import Mars
from cropnb.mars.variants import VARIANTS

MAIN = "Mars"

# Scenes ask for nine ratios only, so their photos are looked at three times, stretched by up to a
# fifth of an octave: that fills the gaps between the nine. On FAT there are no gaps, and
# `for_dataset` takes the stretching out.
PROFILES = {
    "smoke": Profile(
        24, 12, 24, head_epochs=10, looks=2, octaves=0.2, neurons=64, cells=32, threshold_photos=24
    ),
    "cpu": Profile(
        800,
        60,
        500,
        head_epochs=6,
        looks=3,
        octaves=0.2,
        neurons=256,
        cells=32,
        threshold_photos=100,
    ),
    "full": Profile(
        None,
        1000,
        None,
        epochs=50,
        looks=2,
        octaves=0.2,
        schedule="warm-up cosine",
        mixed_precision=True,
    ),
}


def for_dataset(profile: Profile, dataset: str) -> Profile:
    """The profile as it is on scenes; on a real dataset without stretching, as the paper trains."""
    if dataset == "scenes":
        # more there aren't
        return replace(profile, validation_photos=min(profile.validation_photos, 500))
    return replace(profile, octaves=0.0)


def arguments(variant: str, profile: Profile) -> dict[str, object]:
    """The arguments of `Mars` for one row of the tables, with the profile's neurons."""
    return {**VARIANTS[variant].arguments, "neurons": profile.neurons}


def build(variant: str, profile: Profile, weights: str | None = "imagenet") -> Mars:
    """The network of one row."""
    return Mars(**arguments(variant, profile), weights=weights)
