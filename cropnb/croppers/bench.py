"""What one call for many photos saves, against a loop over a loaded cropper and against a command
for each photo.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cropnb import datasets
from cropnb.bench import Ratio, ratios
from cropnb.croppers import METHODS, Request, load
from cropnb.croppers.crops import Crop
from cropnb.images import to_image

PHOTOS, SIZE = 100, (640, 480)
LARGE_PHOTOS, LARGE_SIZE = 16, (4000, 3000)  # what a phone takes
GRAIN = 12  # levels of noise: drawn photos are smoother than a camera's, and faster to decode
MOST_ROUNDS = 12  # a round takes seconds
COMMANDS = 5  # of the hundred that a round counts; each is as long as the next
COLUMN = "times one call for all of them"


@cache
def _folder(number: int, size: tuple[int, int]) -> tempfile.TemporaryDirectory:
    """A folder of JPEGs of test scenes in this size with a camera's grain, every fourth upright."""
    folder = tempfile.TemporaryDirectory(prefix="cropnb-bench-")
    rng = np.random.default_rng(0)
    for place, sample in enumerate(datasets.load("scenes", "test", form="gaicd", size=number)):
        sides = size[::-1] if place % 4 == 3 else size
        scene = np.asarray(to_image(sample.image()).resize(sides), dtype=np.int16)
        grain = rng.integers(-GRAIN, GRAIN + 1, size=scene.shape, dtype=np.int16)
        photo = Image.fromarray((scene + grain).clip(0, 255).astype(np.uint8))
        photo.save(Path(folder.name) / f"{place:03}.jpg", quality=90)
    return folder


def _in_new_folders(crop: Callable[[Path], object]) -> Callable[[], None]:
    """A call that crops into a folder of its own: replacing a file takes longer than writing it."""

    def call() -> None:
        with tempfile.TemporaryDirectory(prefix="cropnb-bench-") as folder:
            crop(Path(folder))

    return call


def against_a_loop(method: str, number: int, size: tuple[int, int], rounds: int) -> list[float]:
    """Seconds of a loop over one loaded cropper, over seconds of one call; files to files."""
    photos = sorted(Path(_folder(number, size).name).iterdir())
    cropper = load(method)

    def loop(out: Path) -> None:
        for photo in photos:
            cropper(photo)[0].save(out / photo.name)

    def call(out: Path) -> None:
        def save(place: int, crops: list[Crop]) -> None:
            crops[0].save(out / photos[place].name)

        for result in cropper.stream(photos, Request(), save):
            if isinstance(result, Exception):
                raise result

    return ratios(_in_new_folders(loop), _in_new_folders(call), min(rounds, MOST_ROUNDS))


def against_commands(rounds: int) -> list[float]:
    """Seconds of 100 commands, from those of five, over seconds of one command for 100 photos."""
    folder = Path(_folder(PHOTOS, SIZE).name)
    photos = sorted(folder.iterdir())[:: PHOTOS // COMMANDS]

    def each(out: Path) -> None:
        for photo in photos:
            _command(photo, out / photo.name)

    few = ratios(
        _in_new_folders(each),
        _in_new_folders(lambda out: _command(folder, out)),
        min(rounds, MOST_ROUNDS),
    )
    return [ratio * PHOTOS / COMMANDS for ratio in few]


def _command(photo: Path, out: Path) -> None:
    command = [sys.executable, "-m", "cropnb.cli", "crop", str(photo), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)


def measured() -> dict[str, Ratio]:
    """Each method's loop, for the default is whichever does best on photographs; and the
    command's.
    """
    # One thread has nothing to gain from a second one.
    wanted = 1.7 if torch.get_num_threads() > 1 else None
    loops = {
        f"{PHOTOS} photos one by one, {method}": Ratio(
            partial(against_a_loop, method, PHOTOS, SIZE), COLUMN, at_least=wanted, images=PHOTOS
        )
        for method in METHODS
    }
    return {
        f"{PHOTOS} commands": Ratio(
            against_commands, "times one command for all of them", at_least=8, images=PHOTOS
        ),
        f"{LARGE_PHOTOS} photos of 12 megapixels one by one, mars": Ratio(
            partial(against_a_loop, "mars", LARGE_PHOTOS, LARGE_SIZE),
            COLUMN,
            at_least=wanted,
            images=LARGE_PHOTOS,
        ),
        **loops,
    }


MEASURED = measured()
