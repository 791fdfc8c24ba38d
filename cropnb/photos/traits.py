"""How a photo was encoded, so that a crop can be encoded alike; and its frames."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from cropnb.errors import ImageError
from cropnb.photos.guard import check_size, decode
from cropnb.photos.metadata import GEOREFERENCE, ICC_TAG
from cropnb.photos.pixels import to_upright

ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}
MOST_PAGES = 10_000  # of a TIFF: Pillow needs two thousandths of a second for each
_SAMPLINGS = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
_LOSSLESS = {"PNG", "TIFF", "BMP", "GIF", "PPM"}


@dataclass(frozen=True)
class Traits:
    """Of the source.

    Attributes:
        format: as Pillow calls it; None for pixels from memory.
        lossless: whether its pixels are as they were drawn, not as an encoder left them.
        tables: JPEG's quantisation tables, one a component, and how its colours are sampled
            (-1 for Pillow's own choice).
        keep_rgb: a JPEG whose components are red, green and blue.
        compression: TIFF's.
        frames: how many; pages of a TIFF count.
    """

    format: str | None = None
    lossless: bool = True
    tables: tuple[tuple[int, ...], ...] = ()
    subsampling: int = -1
    progressive: bool = False
    keep_rgb: bool = False
    compression: str | None = None
    frames: int = 1


@dataclass(frozen=True)
class Timing:
    """Of an animation.

    Attributes:
        durations: milliseconds, one a frame.
        plays: how often it is played; 0 is for ever.
        still: the first frame is PNG's picture for those who can't play, no part of the animation.
    """

    durations: tuple[float, ...]
    plays: int
    still: bool = False


def traits_of(image: Image.Image, source: str | bytes | None) -> Traits:
    """Of an image that has just been opened, with the file or the bytes that it came from."""
    form = "JPEG" if image.format == "MPO" else image.format
    if form == "JPEG":
        return _jpeg(image)
    lossless = form in _LOSSLESS or form is None
    if form == "WEBP" and source is not None:
        lossless = webp_is_lossless(source)
    if form == "TIFF" and source is not None:
        tiff_pages(source, image.filename or "the photo")
    compression = image.info.get("compression") if form == "TIFF" else None
    if compression == "jpeg":
        lossless = False
    frames = getattr(image, "n_frames", 1)
    return Traits(
        format=form,
        lossless=lossless,
        compression=compression if isinstance(compression, str) else None,
        frames=frames if form in ANIMATED or form == "TIFF" else 1,
    )


def further_pictures(image: Image.Image) -> int:
    """How many pictures a file holds beside the first that are no animation: MPO, HEIF."""
    return getattr(image, "n_frames", 1) - 1 if image.format in ("MPO", "HEIF") else 0


def georeferenced(image: Image.Image) -> bool:
    """Whether a TIFF says where on earth its pixels lie, which holds for the whole photo only."""
    return image.format == "TIFF" and not GEOREFERENCE.isdisjoint(image.tag_v2)


def further_channels(image: Image.Image) -> int:
    """How many channels of a TIFF Pillow leaves out."""
    if image.format != "TIFF":
        return 0
    return max(image.tag_v2.get(277, 1) - len(image.getbands()), 0)


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Whatever Pillow raises about directories and frames is an ImageError that names the photo."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # of many types
        raise ImageError(
            f"{name} is damaged: {str(error) or type(error).__name__}. Copy or download the photo "
            "again"
        ) from error


def tiff_pages(source: str | bytes, name: str) -> list[int]:
    """Where the directories of a TIFF's pages lie.

    Raises:
        ImageError: for more than anyone scans.
    """
    places: dict[int, None] = {}  # a set in its order
    with reading(source) as stream:
        head = stream.read(16)
        order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
        count_form, place_form, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
        place = struct.unpack_from(order + place_form, head, 8 if big else 4)[0]
        while place and place not in places:
            places[place] = None
            if len(places) > MOST_PAGES:
                raise ImageError(f"{name} has more than {MOST_PAGES:,} pages; split it first")
            try:
                stream.seek(place)
                count = struct.unpack(order + count_form, stream.read(8 if big else 2))[0]
                stream.seek(count * entry, os.SEEK_CUR)
                link = stream.read(8 if big else 4)
                place = struct.unpack(order + place_form, link)[0]
            except (struct.error, OSError, ValueError, OverflowError):  # cut short
                break
    return list(places)


def reading(source: str | bytes) -> BinaryIO:
    """A stream of the file or of the bytes."""
    return BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def webp_is_lossless(source: str | bytes) -> bool:
    """Whether a WebP's first picture is coded without loss."""
    with reading(source) as stream:
        start = stream.read(1 << 20)
    place = 12
    while place + 8 <= len(start):
        kind, length = (
            start[place : place + 4],
            int.from_bytes(start[place + 4 : place + 8], "little"),
        )
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        # a frame of an animation: 16 bytes of its own, then chunks as anywhere
        place += 24 if kind == b"ANMF" else 8 + length + length % 2
    return False


def frames_of(image: Image.Image, name: str, limit: int) -> Iterator[tuple[Image.Image, float]]:
    """Each frame, upright and as it is seen when it is played, with its milliseconds. The image
    stays at the frame where it was.
    """
    count = getattr(image, "n_frames", 1)
    check_size(*image.size, name, limit, count)
    place = image.tell()
    try:
        for index in range(count):
            with damage_named(name):
                image.seek(index)
            if isinstance(image, TiffImageFile) and ICC_TAG not in image.tag_v2:
                image.info.pop("icc_profile", None)  # of the page before
            decode(image, name)
            yield to_upright(image), float(image.info.get("duration") or 0)
    finally:
        image.seek(place)


def timing_of(image: Image.Image, durations: list[float]) -> Timing:
    """How an animation is played."""
    loop = image.info.get("loop")
    plays = loop or 0
    if image.format == "GIF" and loop != 0:  # there the number counts the repetitions
        plays = 1 if loop is None else loop + 1
    return Timing(tuple(durations), plays, bool(image.info.get("default_image")))


def _jpeg(image: Image.Image) -> Traits:
    quantization = getattr(image, "quantization", None) or {}
    layers = getattr(image, "layer", None) or []
    chosen = [quantization.get(layer[3]) for layer in layers]
    tables: list[tuple[int, ...]] = []
    if chosen and all(table is not None and len(table) == 64 for table in chosen):
        tables = [tuple(table) for table in chosen]
        while len(tables) > 1 and tables[-1] == tables[-2]:  # the last holds for the rest
            tables.pop()
    # Pillow's get_sampling knows three components only
    factors = {tuple(layer[1:3]) for layer in layers[1:]} or {(1, 1)}
    first = tuple(layers[0][1:3]) if layers else None
    subsampling = _SAMPLINGS.get(first, -1) if factors == {(1, 1)} else -1
    return Traits(
        format="JPEG",
        lossless=False,
        tables=tuple(tables),
        subsampling=subsampling,
        progressive=bool(image.info.get("progressive")),
        keep_rgb=image.mode == "RGB" and image.info.get("adobe_transform") == 0,
    )
