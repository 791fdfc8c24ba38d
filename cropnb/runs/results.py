"""The result of a run: what was measured, photo by photo, and what a ledger row says of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from cropnb.errors import CheckpointError
from cropnb.files import write_atomically

RESULT_FILE = "result.json"
RESULT_FILES = "result*.json"  # one for each number of photos that was measured


@dataclass(frozen=True)
class Result:
    """One run, measured.

    Attributes:
        settings: the profile and the variant, as they entered the identity.
        photos: how many the columns stand on.
        columns: name → one number a photo, of the epoch that ships.
        best: the same of the epoch with the best validation score, where both are measured.
        details: what a method keeps beside its columns.
    """

    method: str
    variant: str
    dataset: str
    form: str
    profile: str
    init: str
    frozen: bool
    seed: int
    split: str
    photos: int
    minutes: float
    device: str
    commit: str
    config_hash: str
    settings: Mapping[str, object]
    validation: Sequence[float]
    columns: Mapping[str, Sequence[float]]
    best: Mapping[str, Sequence[float]] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)
    checkpoint_hash: str = ""

    def means(self) -> dict[str, float]:
        """The mean of each column over the photos for which it is a number."""
        return {name: _mean(values) for name, values in self.columns.items()}

    def write(self, folder: Path, name: str = RESULT_FILE) -> None:
        """Keep the result in the run's folder."""
        text = json.dumps(asdict(self), indent=1) + "\n"
        write_atomically(folder / name, text.encode())


def read(folder: Path, name: str = RESULT_FILE) -> Result | None:
    """The result in a run's folder; None where the run has not been measured.

    Raises:
        CheckpointError: the file is cut short or of another version.
    """
    path = folder / name
    if not path.exists():
        return None
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is cut short or of another version of cropnb ({error}); remove it, and the "
            "run is measured again"
        ) from error


def any_of(folder: Path) -> Result | None:
    """A result of a run, on however many photos it was measured, the usual number first; None for a
    run that has none. All agree in what the training left behind.

    Raises:
        CheckpointError: as `read`.
    """
    others = sorted(path.name for path in folder.glob(RESULT_FILES))
    read_in_turn = (read(folder, name) for name in (RESULT_FILE, *others))
    return next((result for result in read_in_turn if result is not None), None)


def parse(content: Mapping[str, object]) -> Result:
    """A result from what its file holds.

    Raises:
        AttributeError, TypeError: it is none, or one of another version.
    """
    unknown = set(content) - {one.name for one in fields(Result)}
    if unknown:
        raise TypeError(f"unknown: {', '.join(sorted(unknown))}")
    result = Result(**content)
    _check(result)
    return result


def check_photos(folder: Path, result: Result, split: str, photos: int) -> None:
    """Compare a result with the data that it would be read for.

    Raises:
        CheckpointError: the result was measured on another split, or another number of photos.
    """
    if (result.split, result.photos) != (split, photos):
        raise CheckpointError(
            f"{folder} was measured on {result.photos} photos of {result.dataset}, {result.split}; "
            f"there are {photos} of {split} now: bring the others back, or remove the folder, and "
            "the run is made anew"
        )


def _check(result: Result) -> None:
    """TypeError for a value of another type than its field; a column may hold NaN, not text."""
    for one in fields(Result):
        value = getattr(result, one.name)
        expected: type | tuple[type, ...] = Mapping
        if one.type is float:
            expected = (int, float)
        elif isinstance(one.type, type):
            expected = one.type
        elif one.name == "validation":
            expected = list
        if not isinstance(value, expected) or (isinstance(value, bool) and one.type is not bool):
            raise TypeError(f"{one.name} is {value!r:.60}")
    for numbers in (result.validation, *result.columns.values(), *result.best.values()):
        if not isinstance(numbers, list) or not all(
            type(number) in (int, float) for number in numbers
        ):
            raise TypeError(f"a column holds {numbers!r:.60}")


def _mean(values: Sequence[float]) -> float:
    numbers = [value for value in values if value == value]
    return sum(numbers) / len(numbers) if numbers else float("nan")
