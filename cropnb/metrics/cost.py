"""What a crop costs: steps of an agent, seconds a photo."""

import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from cropnb.errors import MetricError


def average_steps(steps: Iterable[int] | Tensor) -> float:
    """The mean number of actions an agent takes on a photo, LA2C's (Eq. 7).

    Args:
        steps: one whole number a photo.

    Raises:
        MetricError: no photo, or a number below zero.
    """
    steps = torch.as_tensor(list(steps) if not isinstance(steps, Tensor) else steps).double()
    if steps.ndim != 1 or len(steps) == 0 or not torch.isfinite(steps).all() or (steps < 0).any():
        raise MetricError(
            "average_steps takes one number of steps, 0 or more, for each of at least one photo"
        )
    return float(steps.mean())


def time_a_photo(
    call: Callable[[Any], Any], photos: Sequence[Any], *, warm_up: int = 1, repeats: int = 1
) -> float:
    """The median seconds that `call(photo)` takes.

    Waits for the GPU before and after each call: without it the clock measures how fast work is
    queued. The median, since one photo that hits a busy moment of the machine moves a mean.

    Args:
        call: what is measured.
        photos: each is given to it in turn.
        warm_up: calls before, which are not counted.
        repeats: how often each photo is measured.

    Raises:
        MetricError: no photo, or no repeat.
    """
    if len(photos) == 0 or repeats < 1:
        raise MetricError("time_a_photo needs at least one photo and one repeat")
    for turn in range(warm_up):
        call(photos[turn % len(photos)])
    return median(_seconds(call, photo) for _ in range(repeats) for photo in photos)


def _seconds(call: Callable[[Any], Any], photo: Any) -> float:
    _wait_for_device()
    start = time.perf_counter()
    call(photo)
    _wait_for_device()
    return time.perf_counter() - start


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
