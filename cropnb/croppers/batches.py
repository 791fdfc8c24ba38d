"""Many photos at once. On a GPU the network sees batches, while threads read and write; on a CPU
each thread takes a handful of photos from their files to their crops. The convolutions of a batch
take as long there as one by one, but Python, which runs in one thread at a time, is asked once for
the handful; in larger batches the maps leave the processor's cache (of Mars, eight photos took
twice as long as two times four).
"""

import itertools
import operator
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

TOGETHER = 32  # photos that a network on a GPU sees at once
HANDFUL = 4  # photos that a network on a CPU sees at once …
HANDFUL_PIXELS = 16_000_000  # … where they have no more pixels than this, all together
MOST_JOBS = 32
UNDER_WAY = 150_000_000  # weight, pixels of photos, that is held at a time; 3 bytes or more each


class Budget:
    """Lets so much weight in at a time; what alone is heavier goes in alone."""

    def __init__(self, most: int = UNDER_WAY) -> None:
        self._most, self._held, self._changed = most, 0, threading.Condition()

    @contextmanager
    def of(self, weight: int) -> Iterator[None]:
        """Wait for room, and hold it within the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + weight <= self._most)
            self._held += weight
        try:
            yield
        finally:
            with self._changed:
                self._held -= weight
                self._changed.notify_all()


def default_jobs() -> int:
    """Threads that read and write photos: one a processor that we may use."""
    try:
        return min(len(os.sched_getaffinity(0)), MOST_JOBS)
    except AttributeError:  # macOS
        return min(os.cpu_count() or 1, MOST_JOBS)


def by_shape(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Which of these tensors have the same shape, and so can be stacked: lists of their places."""
    groups: dict[torch.Size, list[int]] = {}
    for place, tensor in enumerate(tensors):
        groups.setdefault(tensor.shape, []).append(place)
    return list(groups.values())


def in_threads(
    sources: Iterable[Any],
    work: Callable[[list[tuple[int, Any]]], list[Any]],
    jobs: int | None = None,
    together: int = HANDFUL,
) -> Iterator[Any]:
    """The results of sources in their order, worked on in `jobs` threads by handfuls of `together`,
    or of less where every thread would not get two.

    `work` takes a list of (place, source) and returns as many results; an error of its own takes
    the place of all of them, and the others go on.

    PyTorch's own threads are shared out among ours: several networks that each wait for all
    processors take many times as long.
    """
    jobs = jobs or default_jobs()
    before = torch.get_num_threads()
    if number := operator.length_hint(sources):
        together = max(min(together, number // (2 * jobs)), 1)
    waiting: deque[tuple[int, Future]] = deque()
    numbered = enumerate(sources)
    pool = ThreadPoolExecutor(
        jobs,
        thread_name_prefix="cropnb",
        initializer=torch.set_num_threads,
        initargs=(max(before // jobs, 1),),
    )
    try:
        while entries := list(itertools.islice(numbered, together)):
            waiting.append((len(entries), pool.submit(work, entries)))
            while len(waiting) > 4 * jobs:
                yield from _results(*waiting.popleft())
        while waiting:
            yield from _results(*waiting.popleft())
    finally:
        # Nobody waits for the threads here: whoever leaves this generator unfinished may leave it
        # to the garbage collector, which may run while a thread starts, with a lock that the end
        # of another thread asks for.
        pool.shutdown(wait=False, cancel_futures=True)
        torch.set_num_threads(before)


def by_weight(weights: Sequence[int], most: int = HANDFUL_PIXELS) -> Iterator[tuple[slice, int]]:
    """Neighbours that are no heavier than `most` together, or one alone: where they stand, and
    their weight.
    """
    start, total = 0, 0
    for place, weight in enumerate(weights):
        if place > start and total + weight > most:
            yield slice(start, place), total
            start, total = place, 0
        total += weight
    if start < len(weights):
        yield slice(start, len(weights)), total


def tried(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or its error; an argument that is an error stays what it is."""
    for argument in arguments:
        if isinstance(argument, Exception):
            return argument
    try:
        return call(*arguments)
    except Exception as error:  # MemoryError and what decoders raise included
        return error


def in_batches(
    sources: Iterable[Any],
    *,
    look: Callable[[Any], Any],
    answer: Callable[[list[Any]], list[Any]],
    finish: Callable[[int, Any], Any],
    weight: Callable[[Any], int] = lambda look: 1,
    jobs: int | None = None,
    together: int = TOGETHER,
) -> Iterator[Any]:
    """`finish(place, …)` of what `answer` says of what `look` sees of each source, in their order.

    `look` and `finish` run in threads, `answer` in the caller's. An error of any of them takes the
    place of that source's result, and the others go on. Only so many photos are under way at a time
    as keep everyone busy, however many there are, and fewer where they are heavy.
    """
    jobs = jobs or default_jobs()
    looking: deque[tuple[int, Future]] = deque()
    finishing: deque[Future | Exception] = deque()
    numbered = enumerate(sources)
    most = jobs  # photos under way, until it is known how large they are
    with ThreadPoolExecutor(jobs, thread_name_prefix="cropnb") as pool:
        try:
            while True:
                while len(looking) < most and (entry := next(numbered, None)):
                    place, source = entry
                    looking.append((place, pool.submit(look, source)))
                if not looking:
                    break
                batch = [looking.popleft() for _ in range(min(together, len(looking)))]
                looks = [_result(future) for _, future in batch]
                heaviest = max(
                    (weight(one) for one in looks if not isinstance(one, Exception)), default=1
                )
                most = max(min(UNDER_WAY // max(heaviest, 1), together + jobs), 1)
                results = answered(looks, answer)
                for (place, _), result in zip(batch, results, strict=True):
                    good = not isinstance(result, Exception)
                    finishing.append(pool.submit(finish, place, result) if good else result)
                while len(finishing) >= most:
                    yield _result(finishing.popleft())
            while finishing:
                yield _result(finishing.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def answered(looks: list[Any], answer: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """The answer to each look, in their order; an error stays what it is."""
    good = [look for look in looks if not isinstance(look, Exception)]
    answers = iter(answer(good) if good else [])
    return [look if isinstance(look, Exception) else next(answers) for look in looks]


def _result(future: Future | Exception) -> Any:
    return tried(Future.result, future)


def _results(number: int, future: Future) -> list[Any]:
    results = tried(Future.result, future)
    return [results] * number if isinstance(results, Exception) else results
