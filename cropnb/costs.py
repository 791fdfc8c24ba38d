"""What a crop of a photograph costs with each method: `python -m cropnb.costs --record`.

Milliseconds of one processor, the memory that comes on top of Python, PyTorch and the photos, and
how many numbers a method's weights have. Rows go to `book/results/speed.json`.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from cropnb import checkpoints, croppers, datasets, evaluation, ledger, methods
from cropnb.croppers import Cropper
from cropnb.errors import CropnbError
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.experiment import device_name
from cropnb.runs.rows import measured, number

NAME = "speed"
TIME, MEMORY, NUMBERS = "ms a photo", "MB at most", "million parameters"
ROUNDS = 3
_STATUS, _FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def milliseconds(
    loaded: Sequence[Cropper],
    photos: Sequence[Image.Image],
    aspects: Sequence[float | None],
    rounds: int = ROUNDS,
) -> torch.Tensor:
    """Processor time of each cropper's best crop of each photo, (croppers, photos).

    Processor time of all threads, so that what else the machine does hardly counts. The croppers
    take turns, and of a number of rounds the median is taken.

    Args:
        loaded: the croppers.
        photos: decoded already.
        aspects: the required ratio of each photo, None for no such.
        rounds: how often each photo is cropped.
    """
    for cropper in loaded:
        cropper(photos[0], aspect=aspects[0])
    taken = torch.zeros(rounds, len(loaded), len(photos), dtype=torch.double)
    for turn in range(rounds):
        for column, (photo, aspect) in enumerate(zip(photos, aspects, strict=True)):
            for row, cropper in enumerate(loaded):
                start = time.process_time()
                cropper(photo, aspect=aspect)
                taken[turn, row, column] = 1000 * (time.process_time() - start)
    return taken.median(dim=0).values


def megabytes(name: str, photos: Sequence[Image.Image]) -> float:
    """What a cropper takes at its most on top of Python, PyTorch and the photos: its code, its
    weights and what it computes. Measured in a process of its own, which starts as a copy of this
    one; what this one has loaded is left out.

    Raises:
        CropnbError: the system doesn't say.
    """
    if not _FORGET_PEAK.exists():
        raise CropnbError(
            "this system doesn't say how much memory a process took at its most; measure it on "
            "Linux"
        )
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(_peak, name, photos).result()


def _peak(name: str, photos: Sequence[Image.Image]) -> float:
    """Megabytes that this process takes at its most above what it takes now."""
    _FORGET_PEAK.write_text("5")  # the peak counts from here on
    before = _kilobytes("VmRSS")
    cropper = evaluation.load(name)
    for photo in photos:
        cropper(photo)
    return (_kilobytes("VmHWM") - before) * 1024 / 1e6


def parameters(name: str) -> float | None:
    """Millions of numbers in the weights that a method ships with; None for a baseline."""
    if name not in croppers.METHODS:
        return None
    state, _ = checkpoints.load_weights(croppers.shipped(name), name)
    return sum(value.numel() for value in state.values()) / 1e6


def _kilobytes(field: str) -> int:
    return int(_STATUS.read_text().partition(f"{field}:")[2].split()[0])


def _measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    torch.set_num_threads(chosen.threads)
    dataset = datasets.load(chosen.dataset, "test").with_photos()
    samples = dataset.samples[: chosen.photos]
    photos = [sample.photo() for sample in samples]
    context = replace(context.on(dataset), device=device_name("cpu"))
    # before anything is loaded, so that a copy of this process has no memory to use again
    yield [row for name in chosen.methods for row in _sizes(context, name, photos)]
    loaded = [evaluation.load(name) for name in chosen.methods]
    ratios = [_ratio(sample.boxes[0].tolist()) for sample in samples]
    note = f"processor time, median of {chosen.rounds} rounds in turns; the photo is decoded"
    for question, aspects in (
        (evaluation.FREE, [None] * len(photos)),
        (evaluation.REQUIRED, ratios),
    ):
        times = milliseconds(loaded, photos, aspects, chosen.rounds)
        yield [
            measured(context, methods.costs_of(question), name, TIME, values, note=note)
            for name, values in zip(chosen.methods, times, strict=True)
        ]


def _sizes(context: Context, name: str, photos: Sequence[Image.Image]) -> Iterator[ledger.Row]:
    """The rows of memory and parameters."""
    note = "on top of Python, PyTorch and the photos, in a process of its own"
    taken = round(megabytes(name, photos), 1)
    yield number(context, methods.COSTS, name, MEMORY, ours=taken, images=len(photos), note=note)
    millions = parameters(name)
    if millions is not None:
        note = "numbers in the weights that ship"
        yield number(
            context,
            methods.COSTS,
            name,
            NUMBERS,
            ours=round(millions, 3),
            images=len(photos),
            note=note,
        )


def _ratio(box: Sequence[float]) -> float:
    """Width over height."""
    x1, y1, x2, y2 = box
    return (x2 - x1) / (y2 - y1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("costs", __doc__)
    options.set_defaults(threads=1)
    options.add_argument("--dataset", default=methods.PEOPLE, help="default: %(default)s")
    options.add_argument(
        "--rounds", type=program.at_least_one, default=ROUNDS, help="default: %(default)s"
    )
    options.add_argument(
        "--photos", type=program.at_least_one, help="so many of the photos; by default all"
    )
    options.add_argument(
        "--methods",
        nargs="+",
        default=["center", "center_window", *evaluation.OUTSIDE, *croppers.METHODS],
        metavar="NAME",
        help="what to measure",
    )
    context = Context(NAME, methods.PEOPLE, arguments=(), module="cropnb.costs")
    return program.study(_measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
