"""Whether each photo of a folder decodes, to its last pixel."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

ENDINGS = (".jpg", ".jpeg", ".png")


def photos_below(folder: Path) -> Iterator[Path]:
    """All photo files below a folder, in order of their paths."""
    return iter(
        sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()
        )
    )


def problem_of(path: Path) -> str | None:
    """What is wrong with a photo; None when it decodes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
    except Exception as error:  # decoders raise many types on damaged files
        return f"{type(error).__name__}: {error}"
    return None


def damaged(paths: Sequence[Path], progress: bool = True) -> dict[Path, str]:
    """The photos that don't decode, with the reason."""
    bar = tqdm(paths, desc="decoding every photo", unit="photo", disable=not progress, leave=False)
    checked = ((path, problem_of(path)) for path in bar)
    return {path: problem for path, problem in checked if problem}
