"""What the book says about Mars' speed: against a yardstick, photos a second, and between rows of
Tables 1, 2 and 6.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch

from cropnb import datasets, paper
from cropnb.bench import (
    FROM_C3_3,
    TRAINING_ROUNDS,
    Ratio,
    classification,
    keep_signals,
    ratios,
    training_speed,
)
from cropnb.mars.cropper import MarsCropper
from cropnb.mars.model import VARIANTS, Mars
from cropnb.mars.photos import prepare
from cropnb.mars.recipe import METHOD, Profile
from cropnb.mars.studies.fixed_shape import FixedShape
from cropnb.runs import Experiment

ASPECTS = (1.0, 16 / 9, 3 / 4)  # asked for in turn
COLUMN = "Speed"  # of the tables: photos a second on the authors' GPU
TRAINING_PHOTOS, LOSS_CELLS = 32, 32  # a batch, and cells of each map: as the CPU profile
IN_BFLOAT16 = "Mars, training from c3_3 on in bfloat16"
MOST_ROUNDS = 12  # between rows: some of them take seconds a round


def photos(number: int = 12) -> list[torch.Tensor]:
    """Test scenes of mixed shapes with their longest side at 256, as the network sees them."""
    test = datasets.load("scenes", "test", form="fat", size=number)
    return [prepare(sample.image()) for sample in test]


def _cropper(variant: str, device: str = "cpu") -> MarsCropper:
    """A network with weights at random: speed doesn't depend on them."""
    torch.manual_seed(0)
    return MarsCropper(Mars(**VARIANTS[variant].arguments, weights=None), device=device)


def cropping(variant: str = "Mars", reuse: bool = True, number: int = 12) -> Callable[[], object]:
    """One call crops every photo, one at a time, post-processing included.

    Args:
        reuse: the weights of a ratio are predicted once; otherwise anew for each photo.
    """
    cropper, shown = _cropper(variant), photos(number)
    crop = cropper.propose if reuse else cropper.predict

    def call() -> None:
        for index, photo in enumerate(shown):
            crop(photo, ASPECTS[index % len(ASPECTS)])

    return call


def photos_a_second(rounds: int) -> list[float]:
    """Photos a second on the CPU, one at a time: a second of the clock over the seconds of one
    photo.
    """
    return _a_second(cropping(), len(photos()), rounds)


def photos_a_second_on_a_gpu(rounds: int, half: bool = True) -> list[float]:
    """The same on a GPU: a recorded CUDA graph for each shape and ratio, each crop fetched before
    the next photo.
    """
    cropper = _cropper("Mars", "cuda")
    shown = [photo.cuda() for photo in photos()]
    calls = [
        FixedShape(cropper, ASPECTS[index % len(ASPECTS)], *photo.shape[-2:], half=half)
        for index, photo in enumerate(shown)
    ]

    def call() -> None:
        for crop, photo in zip(calls, shown, strict=True):
            crop(photo).cpu()

    return _a_second(call, len(shown), rounds)


def _a_second(call: Callable[[], object], number: int, rounds: int) -> list[float]:
    """Photos a second, round by round, after a warm-up."""
    call()
    speeds = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        speeds.append(number / (perf_counter() - start))
    return speeds


def against_classification(rounds: int) -> list[float]:
    """Mars on photos of mixed shapes, over MobileNetV2 classifying the same photos."""
    each = [classification(photo[None]) for photo in photos()]
    return ratios(cropping(), lambda: [call() for call in each], rounds)


def keeping(rounds: int) -> list[float]:
    """What it brings to predict the weights of a ratio once: seconds without over seconds with."""
    return ratios(cropping(reuse=False), cropping(), rounds)


def between_rows(variant: str, rounds: int) -> list[float]:
    """The speed of a row of the tables over that of the paper's model, in one run, on photos of
    mixed shapes.

    Rows of Table 2 differ in the meta-learners only, so there the weights are predicted for each
    photo, on both sides.
    """
    reuse = not any(table == "Table 2" for table, _ in VARIANTS[variant].cells)
    first, second = (cropping(name, reuse, number=6) for name in ("Mars", variant))
    return ratios(first, second, min(rounds, MOST_ROUNDS))


def training_steps(bfloat16: bool = True) -> tuple[Callable[[], float], Callable[[], float]]:
    """A training step of the whole network on photos of mixed shapes, as the paper trains and with
    the units up to c3_3 as they are: their maps kept, norms folded, the rest in bfloat16.
    Each returns its loss.
    """
    return _training_step(), _training_step(trained_from="c3_3", bfloat16=bfloat16)


def in_bfloat16(rounds: int) -> list[float]:
    """What bfloat16 brings to a training step from c3_3 on: seconds of a step in single precision
    over seconds of one in bfloat16.
    """
    return ratios(*precisions(), min(rounds, TRAINING_ROUNDS))


def precisions() -> tuple[Callable[[], float], Callable[[], float]]:
    """The fast training step in single precision and in bfloat16. Each returns its loss."""
    return _training_step(trained_from="c3_3"), _training_step(trained_from="c3_3", bfloat16=True)


def _training_step(**settings: Any) -> Callable[[], float]:
    """A step on one annotation of each photo, with settings of the profile."""
    sizes = {"epochs": 1, "views": 1, "neurons": 256, "cells": LOSS_CELLS}
    profile = Profile(TRAINING_PHOTOS, 1, 1, **sizes, **settings)
    experiment = Experiment(METHOD, profile=profile, init="random", out=None, progress=False)
    run = experiment.run(METHOD.main, 0)
    model = keep_signals(experiment.model(run)).train()
    stage = next(METHOD.stages(experiment, run, model))
    owner = experiment.photos("train").owner
    batch = torch.searchsorted(owner, torch.arange(TRAINING_PHOTOS)).tolist()

    def step() -> float:
        loss = stage.loss(batch, torch.Generator().manual_seed(0))["loss"]
        stage.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        stage.optimizer.step()
        return loss.item()

    return step


def speed_rows() -> dict[str, tuple[str, str]]:
    """The rows of the columns «Speed»: variant → its (table, row); the paper's model itself is what
    they are over.
    """
    tables = paper.read("mars").tables
    printed = {name: variant.cells for name, variant in VARIANTS.items() if name != "Mars"}
    places = {name: cells[0] for name, cells in printed.items() if cells}
    return {name: place for name, place in places.items() if COLUMN in tables[place[0]].columns}


MEASURED = {
    **training_speed(
        "Mars, training the whole network",
        training_steps,
        TRAINING_PHOTOS,
        2,
        f"{FROM_C3_3}; the rest of the backbone is in bfloat16",
    ),
    IN_BFLOAT16: Ratio(in_bfloat16, "times as fast as in single precision", images=TRAINING_PHOTOS),
    "Mars with post-processing": Ratio(
        against_classification, "times MobileNetV2 classification of the same photos", images=12
    ),
    "Mars, photos a second": Ratio(
        photos_a_second, "photos a second, one at a time, on this machine", at_least=60, images=12
    ),
    "Mars, photos a second on a GPU": Ratio(
        photos_a_second_on_a_gpu,
        "photos a second, one at a time",
        at_least=1000,
        images=12,
        needs_cuda=True,
    ),
    "Mars, weights predicted for each photo": Ratio(
        keeping, "times the same with the weights of a ratio kept", images=12
    ),
    **{
        f"Mars, {name}": Ratio(
            partial(between_rows, name), "times as fast as the paper's model", images=6
        )
        for name in speed_rows()
    },
}
