"""What the book says about Mars' speed: against a yardstick, photos a second, and between rows of Tables 1, 2 and 6."""

from collections.abc import Callable
from functools import partial

import torch

from cropnb import datasets
from cropnb.bench import Ratio, classification, ratios
from cropnb.mars.cropper import MarsCropper
from cropnb.mars.model import Mars
from cropnb.mars.photos import prepare
from cropnb.mars.variants import VARIANTS

ASPECTS = (1.0, 16 / 9, 3 / 4)  # asked for in turn


def photos(number: int = 12) -> list[torch.Tensor]:
    """Test scenes of mixed shapes with their longest side at 256, as the network sees them."""
    test = datasets.load("scenes", "test", form="fat", size=number)
    return [prepare(sample.image()) for sample in test]


def cropping(variant: str = "Mars", device: str = "cpu") -> Callable[[], object]:
    """One call crops every photo, one at a time, post-processing included. Speed doesn't depend on the weights."""
    torch.manual_seed(0)
    cropper = MarsCropper(Mars(**VARIANTS[variant].arguments, weights=None), device=device)
    shown = photos()

    def call() -> None:
        for number, photo in enumerate(shown):
            cropper.propose(photo, ASPECTS[number % len(ASPECTS)])

    return call


def photos_a_second(rounds: int) -> list[float]:
    """Photos a second, one at a time: a second of the clock over the seconds of one photo."""
    from time import perf_counter

    call, number, found = cropping(), len(photos()), []
    call()
    for _ in range(rounds):
        start = perf_counter()
        call()
        found.append(number / (perf_counter() - start))
    return found


def against_classification(rounds: int) -> list[float]:
    """Mars on photos of mixed shapes, over MobileNetV2 classifying the same photos."""
    each = [classification(photo[None]) for photo in photos()]
    return ratios(cropping(), lambda: [call() for call in each], rounds)


def between_rows(variant: str, rounds: int) -> list[float]:
    """The speed of a row of the tables over that of the paper's model, in one run."""
    return ratios(cropping("Mars"), cropping(variant), rounds)


ROWS = ("mobilenet_v2 c3_3", "mobilenet_v2 c4_3", "mobilenet_v2 c5_1", "FC x 4", "resolution 1/16", "resolution 1")
MEASURED = {
    "Mars with post-processing": Ratio(
        against_classification, "times MobileNetV2 classification of the same photos", images=12
    ),
    "Mars, photos a second": Ratio(photos_a_second, "photos a second, on this machine", at_least=60, images=12),
    **{
        f"Mars, {name}": Ratio(partial(between_rows, name), "times as fast as the paper's model", images=12)
        for name in ROWS
    },
}
