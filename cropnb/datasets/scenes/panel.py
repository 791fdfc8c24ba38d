"""The simulated people who look at the crops: each with own tastes, a preference of size, and
noise.

Everything is counted in thousandths and whole numbers, so that ratings are the same on every
machine.
"""

from dataclasses import dataclass

import numpy as np

from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.score import WEIGHTS

# A score of LOW thousandths and less is worth a rating of 1, HIGH and more a 5: so chosen that the
# mean ratings on grid anchors have the mean (2.95) and the deviation (0.8) of GAICD's.
LOW, HIGH = 90, 1010


@dataclass(frozen=True)
class Annotator:
    """One member of the panel.

    Attributes:
        weights: what each term of the score is worth to them, in the order of `WEIGHTS`.
        size: thousandths that the whole photo is worth more than an empty crop; negative: likes
            tight crops.
        kindness: thousandths added to every crop.
        noise: standard deviation, in thousandths, of what can't be explained; drawn anew for every
            crop.
    """

    weights: tuple[int, ...]
    size: int
    kindness: int
    noise: int

    def opinion(
        self, terms: np.ndarray, share: np.ndarray, dice: Dice, noise_percent: int = 100
    ) -> np.ndarray:
        """What crops are worth to them, about 0 … 1000, with their noise: `(N,)` int64.

        `terms` are those of `score.term_matrix`, `(7, N)`; `share` the crops' thousandths of the
        photo, `(N,)`.
        """
        value = np.array(self.weights) @ terms // sum(self.weights)
        value = value + self.size * share // 1000 + self.kindness
        return value + dice.bell(self.noise * noise_percent // 100, len(share))


def rating(opinion: np.ndarray) -> np.ndarray:
    """An opinion as a whole number of stars, 1 … 5."""
    return np.clip(1 + ((opinion - LOW) * 4 * 2 + (HIGH - LOW)) // (2 * (HIGH - LOW)), 1, 5)


def _hire(dice: Dice) -> Annotator:
    weights = tuple(weight * dice.roll(45, 155) // 10 for weight in WEIGHTS.values())
    return Annotator(weights, dice.roll(-160, 160), dice.roll(-60, 60), dice.roll(60, 120))


# Three photographers whose tastes are written by hand, in the order of `WEIGHTS`: power point, look
# room, headroom, horizon, whole, clean, content. One composes by the subject, one wide and by the
# horizon, one tight and tidy.
PHOTOGRAPHERS = (
    Annotator((340, 200, 100, 60, 140, 90, 70), 0, 0, 70),
    Annotator((140, 90, 100, 330, 120, 80, 140), 220, 0, 70),
    Annotator((180, 140, 110, 120, 160, 260, 30), -240, 0, 70),
)
PANEL = PHOTOGRAPHERS + tuple(_hire(Dice(19, member)) for member in range(16))


def share_of_photo(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Thousandths of the photo's area that each box `(N, 4)` covers: `(N,)` int64."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.rint(1000 * area / (width * height)).astype(np.int64)
