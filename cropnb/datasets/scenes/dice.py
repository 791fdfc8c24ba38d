"""Whole random numbers that are the same on every machine and with every NumPy.

NumPy promises that the raw 64-bit stream of a bit generator never changes, but not what `Generator`
makes of it. The scenes therefore use nothing but that stream and integer arithmetic.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.random import PCG64, SeedSequence

Option = TypeVar("Option")


class Dice:
    """A seeded source of integers; `key` is any sequence of non-negative integers."""

    def __init__(self, *key: int) -> None:
        self._bits = PCG64(SeedSequence([int(part) for part in key]))

    def roll(self, low: int, high: int) -> int:
        """One integer of low … high, both included."""
        return low + int(self._bits.random_raw()) % (high - low + 1)

    def chance(self, percent: int) -> bool:
        """True in `percent` of 100 calls."""
        return self.roll(0, 99) < percent

    def pick(self, options: Sequence[Option]) -> Option:
        """One of the options, all equally likely."""
        return options[self.roll(0, len(options) - 1)]

    def many(self, low: int, high: int, *shape: int) -> np.ndarray:
        """An int64 array of integers of low … high, both included."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        return low + (raw % np.uint64(high - low + 1)).astype(np.int64).reshape(shape)

    def bell(self, deviation: int, *shape: int) -> np.ndarray:
        """Roughly normal integers of mean 0: the sum of four uniform ones, so no logarithm or
        cosine is needed.

        Four uniform integers of -a … a have the variance 4·a(a + 1)/3, so that a is about 0.87
        deviations.
        """
        reach = (deviation * 866) // 1000
        return self.many(-reach, reach, *shape, 4).sum(-1)

    def grain(self, *shape: int) -> np.ndarray:
        """A uint8 array of 0 … 255, eight values for each raw number (in the same order on any byte
        order).
        """
        count = int(np.prod(shape))
        raw = self._bits.random_raw((count + 7) // 8)
        return raw.astype("<u8").view(np.uint8)[:count].reshape(shape)
