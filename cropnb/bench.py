"""Speeds that the book quotes, each as a ratio of two things measured in turn in one run:
`make bench`.

A method's measurements stand in its own `bench.py`. Rows go to `book/results/speed.json` with
`--record`. A ratio holds on machines of different speeds; seconds don't.
"""

import argparse
import functools
import importlib
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torchvision import models

from cropnb import ledger
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import number

NAME, TABLE = "speed", "seconds, as a ratio"
TRAINING_ROUNDS = 10  # a training step takes seconds
REPEATED = 3  # steps of each process in a round
FROM_C3_3 = "the fast step leaves the backbone up to c3_3 as it is, and reads its kept maps"
Step = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """`measure(rounds)` gives the ratios of a number of rounds; `column` says of what to what.

    The book wants the median to be `at_most` or `at_least` so much, where it wants anything; `note`
    is what a reader of the row has to know besides.
    """

    measure: Callable[[int], list[float]]
    column: str
    at_most: float | None = None
    at_least: float | None = None
    images: int = 1
    dataset: str = "scenes"
    needs_cuda: bool = False
    note: str = ""

    def missed(self, value: float) -> bool:
        """Whether a median is not what the book wants."""
        too_much = self.at_most is not None and value > self.at_most
        return too_much or (self.at_least is not None and value < self.at_least)

    @property
    def wanted(self) -> str:
        """The end of a sentence that says what the book wants; empty where it wants nothing."""
        if self.at_most is not None:
            return f", at most {self.at_most:g} is wanted"
        return "" if self.at_least is None else f", at least {self.at_least:g} is wanted"


def ratios(first: Callable[[], object], second: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of `first` over seconds of `second`, in turn `rounds` times after a warm-up."""
    first(), second()
    return [_seconds(first) / _seconds(second) for _ in range(rounds)]


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def training_speed(
    name: str,
    steps: Callable[[], tuple[Step, Step]],
    images: int,
    at_least: float,
    note: str = "",
) -> dict[str, Ratio]:
    """Rows about a training step in its plain form and in its fast one, measured in turn.

    Args:
        name: of the rows.
        steps: builds the plain step and the fast one; each call of a step trains on `images`
            photos.
        at_least: how many times as fast the fast one ought to be.
        note: what the fast step leaves out or does otherwise; of the rows in which it takes part.

    Returns:
        Images a second of either, and seconds of the plain step over seconds of the fast one; all
        from the same rounds where they are measured in one run.
    """

    @functools.cache
    def seconds(rounds: int) -> list[tuple[float, float]]:
        plain, fast = steps()
        plain(), fast()
        return [(_seconds(plain), _seconds(fast)) for _ in range(rounds)]

    def images_a_second(which: int, rounds: int) -> list[float]:
        return [images / pair[which] for pair in seconds(min(rounds, TRAINING_ROUNDS))]

    def ratio(rounds: int) -> list[float]:
        return [plain / fast for plain, fast in seconds(min(rounds, TRAINING_ROUNDS))]

    column = "images a second in a training step, on this machine"
    return {
        f"{name}, plain": Ratio(functools.partial(images_a_second, 0), column, images=images),
        f"{name}, fast": Ratio(
            functools.partial(images_a_second, 1), column, images=images, note=note
        ),
        f"{name}, fast over plain": Ratio(
            ratio, "times as fast as the plain step", at_least=at_least, images=images, note=note
        ),
    }


def parallel_speed(name: str, build: Callable[[], Step], images: int) -> dict[str, Ratio]:
    """Rows about one process with two threads and two processes with one thread each, which train
    in turn: each process repeats the same step on networks and photos of its own.

    Args:
        name: of the rows.
        build: makes a training step on `images` photos; a function of a module, since it is called
            in other processes.
        images: photos a step.
    """

    @functools.cache
    def speeds(rounds: int) -> list[tuple[float, float]]:
        with workers(build, (2, 1, 1)) as (together, *apart):
            return [(_speed([together], images), _speed(apart, images)) for _ in range(rounds)]

    def images_a_second(which: int, rounds: int) -> list[float]:
        return [pair[which] for pair in speeds(min(rounds, TRAINING_ROUNDS))]

    def ratio(rounds: int) -> list[float]:
        return [apart / together for together, apart in speeds(min(rounds, TRAINING_ROUNDS))]

    column = "images a second in a training step, on this machine"
    threads, processes = f"{name}, one process of two threads", f"{name}, two processes of a thread"
    return {
        threads: Ratio(functools.partial(images_a_second, 0), column, images=images),
        processes: Ratio(functools.partial(images_a_second, 1), column, images=images),
        f"{name}, two processes over two threads": Ratio(
            ratio, "times as many images a second as with two threads", at_least=1.0, images=images
        ),
    }


@contextmanager
def workers(
    build: Callable[[], Step], threads: Sequence[int]
) -> Iterator[list[ProcessPoolExecutor]]:
    """Processes with so many threads each, which have made the step and done it once; `repeat` is
    what they are asked for.
    """
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools = [
            stack.enter_context(
                ProcessPoolExecutor(1, context, initializer=_begin, initargs=(build, number))
            )
            for number in threads
        ]
        for begun in [pool.submit(repeat, 0) for pool in pools]:
            begun.result()
        yield pools


def _begin(build: Callable[[], Step], threads: int) -> None:
    """Make the step of this process."""
    global _step
    torch.set_num_threads(threads)
    _step = build()
    _step()


def repeat(times: int) -> list[object]:
    """Do the step of this process a number of times; what it returned."""
    return [_step() for _ in range(times)]


def _speed(pools: Sequence[ProcessPoolExecutor], images: int) -> float:
    """Images a second of processes that train at the same time."""
    start = time.perf_counter()
    for done in [pool.submit(repeat, REPEATED) for pool in pools]:
        done.result()
    return len(pools) * REPEATED * images / (time.perf_counter() - start)


def keep_signals(network: nn.Module) -> nn.Module:
    """Start every convolution so that signals keep their size, in place; returns the network.

    Torchvision's random MobileNetV2 lets them fade from layer to layer, until their gradients are
    too small for normal numbers, which a CPU computes far more slowly.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in")
    return network


def classification(photo: torch.Tensor) -> Callable[[], object]:
    """The yardstick: torchvision's plain MobileNetV2 on a photo (1, 3, H, W), on the CPU."""
    classifier = models.mobilenet_v2(weights=None).eval()

    @torch.inference_mode()
    def classify() -> object:
        return classifier(photo)

    return classify


def measured() -> dict[str, Ratio]:
    """The measurements of every module that has a `MEASURED`, by the name of their row."""
    package = Path(__file__).parent
    ratios: dict[str, Ratio] = {}
    for path in sorted([*package.glob("*/bench.py"), *package.glob("*/studies/bench.py")]):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        ratios |= importlib.import_module(name).MEASURED
    return ratios


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status is 1 when a ratio misses what is wanted."""
    choices, missed = measured(), []
    options = program.parser("bench", __doc__)
    options.add_argument(
        "--only", nargs="+", choices=choices, default=list(choices), metavar="NAME"
    )
    options.add_argument(
        "--rounds", type=program.at_least_one, default=40, help="default: %(default)s"
    )

    def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
        for name in chosen.only:
            ratio = choices[name]
            if ratio.needs_cuda and not torch.cuda.is_available():
                print(f"{name}: left out, it needs a CUDA GPU{ratio.wanted}")
                yield _waiting(name, ratio)
                continue
            row = _row(context, name, ratio, chosen.rounds)
            yield [row]
            if ratio.missed(row.ours):
                missed.append(name)
                print(f"{name}: MISSED{ratio.wanted}")

    context = Context(NAME, ledger.SCENES, arguments=(), module="cropnb.bench")
    return program.study(measure, options, context, arguments) or int(bool(missed))


def _row(context: Context, name: str, ratio: Ratio, rounds: int) -> ledger.Row:
    """Measure: the median of the rounds, and the interval that holds 95 % of them."""
    values = sorted(ratio.measure(rounds))
    tail = len(values) // 40
    device = device_name("cuda" if ratio.needs_cuda else "cpu")
    note = f"; {ratio.note}" if ratio.note else ""
    return number(
        replace(context, dataset=ratio.dataset, device=device),
        TABLE,
        name,
        ratio.column,
        ours=round(statistics.median(values), 3),
        images=ratio.images,
        low=round(values[tail], 3),
        high=round(values[-1 - tail], 3),
        note=f"median of {len(values)} rounds; the interval holds 95 % of them{ratio.wanted}{note}",
    )


def _waiting(name: str, ratio: Ratio) -> list[ledger.Row]:
    """The pending row of a ratio that this machine can't measure, unless another machine did."""
    place = {
        "table": TABLE,
        "row": name,
        "column": ratio.column,
        "dataset": ratio.dataset,
        "split": "test",
    }
    if ledger.find(NAME, **place):
        return []
    note = f"needs a CUDA GPU: python -m cropnb.bench --only {name!r} --record{ratio.wanted}"
    return [ledger.Row(paper=NAME, verdict="pending", note=note, **place)]


if __name__ == "__main__":
    sys.exit(main())
