"""One crop of one photo: where it lies, how good it is, and its pixels."""

import os
import warnings
from fractions import Fraction
from pathlib import Path
from typing import IO

from PIL import Image
from torch import Tensor

from cropnb import photos
from cropnb.errors import ImageError
from cropnb.ratios import whole_pixels


class Crop:
    """One crop of one photo.

    Pickled, it carries its box and score with the photo's path; of a photo that has no file, the
    pixels of the crop alone.

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
        path: Path | None = None,
    ) -> None:
        if isinstance(photo, Image.Image):
            photo = photos.open_photo(photo)
        self.box, self.score, self.aspect, self.size = box, score, aspect, size
        self.photo_size: tuple[int, int] = photo.size
        self.photo_format: str | None = photo.format
        self._enlarge, self._path = enlarge, path
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

        What the format can't hold (transparency, frames, depth) is a warning, or where it would be
        lost unseen an error.

        Args:
            file: a path whose ending names the format, or an open binary file with `format`.
            quality: of JPEG and WebP, 1…100; by default JPEG keeps the photo's own tables.
            strip: leave all metadata out but the colour profile.
            strip_location: leave out where the photo was taken.
            overwrite: whether a file that is there may be replaced.

        Raises:
            ImageError: when it can't be written so.
            OSError: for a full disk, or a folder that may not be written to.
        """
        for message in self.cut().save(
            file,
            format=format,
            quality=quality,
            strip=strip,
            strip_location=strip_location,
            overwrite=overwrite,
        ):
            warnings.warn(message, stacklevel=2)

    def _opened(self) -> photos.OpenedPhoto:
        if self._photo is None:  # after pickling
            width, height = self.photo_size
            photo = photos.open_photo(
                self._path, limit=max(photos.DEFAULT_LIMIT, 2 * width * height)
            )
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
        return state | {"_is_cut": True, "_photo": self._opened().cut(self._at_hand()).image()}

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
