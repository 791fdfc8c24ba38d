"""A photo that is open: its size, what a network sees of it, and cuts of the original pixels."""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from cropnb.errors import ImageError
from cropnb.photos import arrays, aside, deep, metadata, pixels
from cropnb.photos.aside import LARGE
from cropnb.photos.cutting import CutPhoto
from cropnb.photos.deep import DeepPixels
from cropnb.photos.geometry import Box, stored_box, whole_box
from cropnb.photos.guard import (
    DEFAULT_LIMIT,
    check_file,
    check_size,
    decode,
    open_pillow,
)
from cropnb.photos.metadata import Metadata
from cropnb.photos.spilled import Spilled
from cropnb.photos.traits import (
    Traits,
    damage_named,
    further_channels,
    further_pictures,
    georeferenced,
    reading,
    tiff_pages,
    traits_of,
)

if TYPE_CHECKING:
    from torch import Tensor

Photo = Any  # a path, bytes, an open binary file, a PIL image, an array or a tensor
PHOTO_IS = (
    "a path, bytes, an open binary file, a PIL image, an (H, W), (H, W, 3) or (H, W, 4) array, or "
    "a (3, H, W) tensor"
)
DRAFT_PIXELS = 8_000_000  # a JPEG from this size on is decoded at a smaller scale for the network


def open_photo(source: Photo, *, limit: int = DEFAULT_LIMIT) -> "OpenedPhoto":
    """Open a photo; its pixels are decoded when they are asked for.

    Args:
        source: a path; the bytes of a file, or one that is open for reading; a PIL image; an array
            (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or floats in 0…1; a tensor (3, H, W) of
            uint8 or floats in 0…1. BGR arrays can't be told from RGB ones: reverse the last axis
            of what OpenCV gives.
        limit: how many pixels a photo may have, over all frames.

    Raises:
        ImageError: for anything that is no photo, is no regular file, is in none of the formats
            that are tried, or has more pixels than `limit`.
    """
    if isinstance(source, OpenedPhoto):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        return OpenedPhoto(path, path, limit)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return OpenedPhoto(bytes(source), "the photo", limit)
    if isinstance(source, Image.Image):
        check_size(*source.size, "the PIL image", limit)
        return OpenedPhoto(source, "the PIL image", limit)
    if isinstance(source, np.ndarray):
        return OpenedPhoto(arrays.from_array(source, limit), "the array", limit)
    if hasattr(source, "is_floating_point") and hasattr(source, "permute"):
        return OpenedPhoto(arrays.from_tensor(source, limit), "the tensor", limit)
    if hasattr(source, "read"):
        return OpenedPhoto(_read_all(source, limit), _stream_name(source), limit)
    raise ImageError(f"a photo is {PHOTO_IS}; this is a {type(source).__name__}")


class OpenedPhoto:
    """One photo, from anywhere. Threads may share it.

    Attributes:
        name: how messages call it: its path, or what it is.
        size: width and height, upright.
        format: "JPEG", "PNG", … or None for pixels from memory.
        source: the path, the bytes, or what was given.
        traits: how it was encoded.
        turn: its EXIF orientation.
        notes: what of its file no crop can have, in words.
        modified: when its file was changed last, in nanoseconds.
        aside: whether it is so large that it is decoded in a process of its own.
        in_process: whether this is that process.
    """

    def __init__(
        self,
        source: str | bytes | Image.Image | np.ndarray,
        name: str,
        limit: int,
        in_process: bool = False,
    ):
        self.source, self.name, self.limit = source, name, limit
        self.lock = threading.RLock()
        self._upright: tuple[Image.Image, Metadata] | None = None
        self._deep: DeepPixels | None = None
        self._unknown: Metadata | None = None  # of a TIFF that Pillow doesn't know
        self.modified = check_file(source).st_mtime_ns if isinstance(source, str) else None
        self._read_header()
        large = self.size[0] * self.size[1] >= LARGE and isinstance(source, (str, bytes))
        self.aside, self.in_process = large and not in_process, in_process

    def __repr__(self) -> str:
        return f"OpenedPhoto({self.name!r}, {self.size[0]} × {self.size[1]}, {self.format})"

    def __getstate__(self) -> dict[str, Any]:
        """A pickle holds the path or the bytes, never the decoded pixels of a file."""
        return {**self.__dict__, "lock": None, "_upright": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lock = threading.RLock()

    def small_rgb(self, long_side: int | None = None) -> "Tensor":
        """What a network looks at: (3, h, w) float32 in 0…1, upright.

        Args:
            long_side: the longer side in pixels, at most; by default 2048, but never so little that
                a panorama is less than 512 high. The photo is never enlarged.

        Raises:
            ImageError: for a damaged photo.
        """
        import torch

        image = self.small_image(long_side)
        levels = torch.from_numpy(np.array(image))  # (h, w, 3)
        return levels.permute(2, 0, 1).contiguous().float() / 255

    def small_image(self, long_side: int | None = None) -> Image.Image:
        """The same as an RGB image."""
        size = pixels.seen_size(*self.size, long_side)
        drafted = self.format == "JPEG" and self._deep is None
        return aside.view(self, size) if self.aside and not drafted else self.seen(size)

    def rgb(self) -> Image.Image:
        """The whole photo as 8-bit RGB, upright. Its profile stays in `.info["icc_profile"]` where
        it still describes the pixels.

        Raises:
            ImageError: for a damaged photo.
        """
        return self.seen(None)

    def cut(
        self,
        box: Any,
        size: tuple[int, int] | None = None,
        enlarge: bool = False,
    ) -> CutPhoto:
        """A part of the original pixels.

        Args:
            box: x1 y1 x2 y2 in upright pixels; rounded to whole ones inside the photo, one at
                least.
            size: width and height to resize to, antialiased. One that is larger than the box is
                reduced to what the box has, in its own ratio, unless `enlarge`.

        Raises:
            ImageError: for a box that is no box.
        """
        return CutPhoto(self, whole_box(box, self.size), size, enlarge)

    @contextmanager
    def opened(self) -> Iterator[Image.Image]:
        """The Pillow image: freshly opened from a file or bytes, else the one that was given."""
        if isinstance(self.source, Image.Image):
            yield self.source
            return
        with open_pillow(self.source, self.name, self.limit) as image:
            yield image

    def header_metadata(self) -> Metadata:
        """What a file says besides its pixels, without decoding them; empty for pixels alone."""
        if self._unknown is not None or isinstance(self.source, np.ndarray):
            return self._unknown or Metadata()
        with self.opened() as image:
            metadata.preload(image)
            return metadata.gather(image)

    def deep_pixels(self) -> DeepPixels | None:
        """Where the pixels have more bits than Pillow would keep, their reader."""
        return self._deep

    def upright(self) -> tuple[Image.Image, Metadata]:
        """The decoded first frame in its own mode, turned, and the photo's metadata; kept for the
        next use unless the photo is large. Not to be changed.
        """
        with self.lock:
            if self._upright is not None:
                return self._upright
            with self.opened() as image:
                metadata.preload(image)
                decode(image, self.name)
                upright = pixels.to_upright(image), metadata.gather(image)
            if self.size[0] * self.size[1] < LARGE:  # a larger one is decoded anew for each use
                self._upright = upright
            return upright

    def part(self, box: Box) -> tuple[Image.Image, Metadata]:
        """A box of the first frame in its own mode, turned, and the photo's metadata; of a large
        photo, whole and part are never in memory together.
        """
        with self.lock, self.opened() as image:
            metadata.preload(image)
            decode(image, self.name)
            own, turn = metadata.gather(image), pixels.orientation(image)
            part = Spilled(image, stored_box(box, self.size, turn))
        del image
        return part.turned(turn), own

    def seen(self, size: tuple[int, int] | None) -> Image.Image:
        """The photo as a network sees it, in this size, or in its own.

        Raises:
            ImageError: the photo can't be decoded or turned into RGB.
        """
        if self._deep is not None and (self._deep.readable or not self.format):
            return self._deep_seen(size)
        with self.lock:
            image = self._draft(size)
        mode, profile = image.mode, image.info.get("icc_profile")
        try:
            rgb = pixels.seen(image, size)
        except ImageError as error:
            raise ImageError(f"{self.name}: {error}") from error
        except Exception as error:
            raise ImageError(
                f"{self.name} has the mode {mode}, which can't be turned into RGB: {error}"
            ) from error
        if rgb is image:
            rgb = rgb.copy()
        rgb.info = {"icc_profile": profile} if profile and mode in ("RGB", "RGBA") else {}
        return rgb

    def _draft(self, size: tuple[int, int] | None) -> Image.Image:
        """The upright photo; of a large JPEG a copy that is decoded at a smaller scale."""
        large = self.size[0] * self.size[1] >= DRAFT_PIXELS
        if size is None or self.format != "JPEG" or not large or self._upright is not None:
            return self.upright()[0]
        if isinstance(self.source, Image.Image):
            return self.upright()[0]
        with self.opened() as image:
            stored = size if image.size == self.size else size[::-1]
            image.draft(None, stored)
            decode(image, self.name)
            return pixels.to_upright(image)

    def _deep_seen(self, size: tuple[int, int] | None) -> Image.Image:
        turn = self.turn
        if size is not None and turn >= 5:
            size = size[::-1]
        array = self._deep.seen(size)
        image = deep.to_8_bit(array, self._deep.cmyk)
        if turn in pixels.TURNS:
            image = image.transpose(pixels.TURNS[turn])
        if image.mode == "RGBA":
            image = pixels.flatten(image, pixels.ground(image))
        image.info = {}
        return image

    def _read_header(self) -> None:
        self.turn, self.format = 1, None
        self.notes: list[str] = []
        if isinstance(self.source, np.ndarray):
            check_size(self.source.shape[1], self.source.shape[0], self.name, self.limit)
            self.size = self.source.shape[1], self.source.shape[0]
            self._deep = DeepPixels(self.source, None, self.name, 16)
            self.traits = Traits()
            return
        try:
            with damage_named(self.name), self.opened() as image:
                file = None if isinstance(self.source, Image.Image) else self.source
                self.traits = traits_of(image, file)
                self.format = self.traits.format
                if further := further_pictures(image):
                    self.notes.append(f"its {further} further pictures were left out")
                self.size = pixels.upright_size(image)
                self.turn = pixels.orientation(image)
                if georeferenced(image):
                    self.notes.append("its georeference was left out")
                if channels := further_channels(image):
                    self.notes.append(f"its {channels} further channels were left out")
                if file is not None and (depth := deep.lost_bits(image, _start(file))):
                    self._deep = DeepPixels(file, self.format, self.name, depth)
        except ImageError:
            if isinstance(self.source, Image.Image) or _start(self.source)[:4] not in _TIFFS:
                raise
            if not deep.available():
                raise
            self._deep, size = deep.vips_size(self.source, self.name, self.limit)
            with reading(self.source) as stream:
                self._unknown, self.turn = metadata.gather_tiff(stream)
            self.size = size[::-1] if self.turn >= 5 else size
            self.format = None
            pages = tiff_pages(self.source, self.name)
            self.traits = Traits(format="TIFF", frames=max(len(pages), 1))


_TIFFS = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def _start(source: str | bytes) -> bytes:
    with reading(source) as stream:
        return stream.read(4096)


def _read_all(stream: BinaryIO, limit: int) -> bytes:
    """A stream's bytes, no more of them than a photo of the limit could need."""
    if _is_device(stream):  # the system's have no end
        raise ImageError(f"{_stream_name(stream)} is a device; give a photo in a file")
    most = 16 * limit + (1 << 26)
    try:
        data = stream.read(most + 1)
    except Exception as error:  # of many types: closed, a server that is gone, a damaged archive
        raise ImageError(f"{_stream_name(stream)} can't be read: {error}") from error
    if isinstance(data, str):
        raise ImageError("the file is open as text; open it with mode 'rb'")
    if len(data) > most:
        raise ImageError(f"{_stream_name(stream)} never ends; give a photo")
    return data


def _is_device(stream: Any) -> bool:
    try:
        kind = os.fstat(stream.fileno()).st_mode
    except (AttributeError, OSError, TypeError, ValueError):  # it has no number
        return False
    return stat.S_ISCHR(kind) or stat.S_ISBLK(kind)


def _stream_name(stream: Any) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else "the photo"
