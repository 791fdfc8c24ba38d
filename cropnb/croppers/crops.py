"""One crop of one photo: where it lies, how good it is, and its pixels."""

import os
from fractions import Fraction
from pathlib import Path
from typing import IO

from PIL import Image
from torch import Tensor

from cropnb import photos
from cropnb.errors import ImageError, SaveError
from cropnb.ratios import whole_pixels


class Crop:
    """One crop of one photo.

    It doesn't carry the whole photo away: pickled, and in the lists that a list of photos gives, it
    has the photo's path and opens it anew. Of a photo without a file, a pickle has the crop's
    pixels.

    Attributes:
        box: (4,) x1 y1 x2 y2 in pixels of the upright photo, as the method gave it.
        score: the method's, higher is better and comparable within one photo only; None where it
            gives none.
        photo_size: width and height of the upright photo. photo_format: such as "JPEG", or None.
        aspect: the ratio that was required, exactly, or None.
        size: the width and height that the crop is resized to, or None.
    """

    def __init__(
        self,
        box: Tensor,
        score: float | None,
        photo: photos.OpenedPhoto | Image.Image,
        *,
        aspect: Fraction | None = None,
        size: tuple[int, int] | None = None,
        enlarge: bool = False,
    ) -> None:
        if isinstance(photo, Image.Image):
            photo = photos.open_photo(photo)
        self.box, self.score, self.aspect, self.size = box, score, aspect, size
        self.photo_size: tuple[int, int] = photo.size
        self.photo_format: str | None = photo.format
        self._enlarge = enlarge
        self._path = Path(photo.source).absolute() if isinstance(photo.source, str) else None
        self._limit = photo.limit
        self._photo: photos.OpenedPhoto | None = photo
        self._is_cut = False  # whether the photo that is at hand is the crop alone

    @property
    def pixels(self) -> tuple[int, int, int, int]:
        """The box in whole pixels: left, top, right, bottom. Of a required ratio they have that
        ratio, or the nearest (`cropnb.ratios.whole_pixels`).
        """
        return whole_pixels(self.box.tolist(), *self.photo_size, self.aspect)

    def cut(self) -> photos.CutPhoto:
        """The crop with all that its photo has: depth, transparency, frames, profile, metadata.

        Raises:
            ImageError: when the photo's file has changed or gone since.
        """
        return self._opened().cut(self._at_hand(), size=self.size, enlarge=self._enlarge)

    def image(self) -> Image.Image:
        """The crop as a PIL image in the photo's own mode, resized where a size was asked for."""
        return self.cut().image()

    def save(
        self,
        file: str | os.PathLike | IO[bytes],
        *,
        format: str | None = None,
        quality: int | None = None,
        strip: bool = False,
        strip_location: bool = False,
        overwrite: bool = True,
    ) -> None:
        """Write the crop, whole or not at all, with the photo's profile and metadata.

        What the format can't hold (transparency, frames, depth) is a `PhotoWarning`, or where it
        would be lost unseen an error.

        Args:
            file: a path whose ending names the format, or an open binary file.
            format: such as "JPEG", instead of what the ending says.
            quality: of JPEG and WebP, 1…100; by default that of the photo.
            strip: leave all metadata out but the colour profile.
            strip_location: leave out where the photo was taken.
            overwrite: whether a file that is there may be replaced; the crop's own photo never is.

        Raises:
            ImageError: for a damaged photo, or one that has changed or gone since.
            SaveError: when it can't be written; then nothing of it is there.
        """
        if self._is_own_photo(file):
            raise SaveError(
                f"{file} is the photo itself, which a crop never replaces; name another"
            )
        self.cut().save(
            file,
            format=format,
            quality=quality,
            strip=strip,
            strip_location=strip_location,
            overwrite=overwrite,
        )

    def close(self) -> "Crop":
        """Let go of the photo's pixels, where it can be opened again; returns the crop itself."""
        if self._path is not None:
            self._photo = None
        return self

    def _is_own_photo(self, file: object) -> bool:
        """Whether a path leads to the file that the crop was cut from, under whatever name."""
        if self._path is None or not isinstance(file, (str, os.PathLike)):
            return False
        try:
            return self._path.samefile(file)
        except OSError:  # one of the two isn't there
            return False

    def _opened(self) -> photos.OpenedPhoto:
        if self._photo is None:
            width, height = self.photo_size
            photo = photos.open_photo(self._path, limit=self._limit)
            if photo.size != self.photo_size:
                raise ImageError(
                    f"{self._path} has changed since it was cropped; it was {width} × {height} and "
                    f"is {photo.size[0]} × {photo.size[1]}. Crop it again"
                )
            self._photo = photo
        return self._photo

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        if self._path is not None:
            return state | {"_photo": None}
        photo = self._opened()
        cut = photo.cut(self._at_hand())
        pixels = cut.image() if photo.deep_pixels() is None else cut.array()
        return state | {"_is_cut": True, "_photo": pixels}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        if self._photo is not None:
            self._photo = photos.open_photo(self._photo)

    def _at_hand(self) -> tuple[int, int, int, int]:
        """Where the crop lies in the photo that is at hand."""
        left, top, right, bottom = self.pixels
        return (0, 0, right - left, bottom - top) if self._is_cut else (left, top, right, bottom)

    def __repr__(self) -> str:
        score = "no score" if self.score is None else f"score {self.score:.4g}"
        width, height = self.photo_size
        return f"Crop({list(self.pixels)} of {width} × {height}, {score})"
