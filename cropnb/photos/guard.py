"""Which files are opened at all: the formats that are tried, what is refused, and how large a photo
may be.
"""

import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from cropnb.errors import ImageError

# Each is decoded by Pillow itself. EPS, which would start Ghostscript, and formats without a
# signature of their own are left out. MPO opens as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000", "PPM")
READABLE = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff"),
    *(".gif", ".bmp", ".avif", ".jp2", ".ppm", ".pgm", ".heic", ".heif"),
)
DEFAULT_LIMIT = 500_000_000  # pixels, over all frames
LIMIT_OPTION = "--max-pixels (in Python limit=)"
_GREY_STEPS = {"L;2": 85, "L;4": 17}  # of PNG, by how their pixels are packed
_PILLOW = r"PIL\."
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

_lock = threading.Lock()
_lifted = 0
_silenced = 0
_pillow_limit: int | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to ourselves what Pillow warns of, such as tags that it can't read.

    Python's `catch_warnings` exchanges the filters of the whole process: while one thread is inside
    no other can warn, and threads that leave in another order than they came leave all silent.
    """
    global _silenced
    with _lock:
        if _silenced == 0:
            warnings.filterwarnings("ignore", module=_PILLOW)
        _silenced += 1
    try:
        yield
    finally:
        with _lock:
            _silenced -= 1
            if _silenced == 0:
                ours = ("ignore", None, Warning, re.compile(_PILLOW), 0)
                with suppress(ValueError):  # the caller has set filters of its own meanwhile
                    warnings.filters.remove(ours)


@contextmanager
def own_limit() -> Iterator[None]:
    """Lift Pillow's limit, which is one for the whole process, while ours is in force."""
    global _lifted, _pillow_limit
    with _lock:
        if _lifted == 0:
            _pillow_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _lifted += 1
    try:
        yield
    finally:
        with _lock:
            _lifted -= 1
            if _lifted == 0:
                Image.MAX_IMAGE_PIXELS = _pillow_limit


def heif_available() -> bool:
    """Whether `pillow-heif` is installed; registers it with Pillow."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def check_file(path: str | os.PathLike) -> os.stat_result:
    """What the system says about a photo file. ImageError when it is no regular file that can be
    read.
    """
    name = os.fspath(path)
    try:
        status = os.stat(name)
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {name}; check the path") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{name!r} can't be opened: {_reason(error)}; check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{name} is a folder; give the path of one photo")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{name} is a pipe, a device or a socket; give a photo in a file")
    if status.st_size == 0:
        raise ImageError(f"{name} is empty (0 bytes); copy or download the photo again")
    return status


def open_pillow(source: str | os.PathLike | bytes, name: str, limit: int) -> Image.Image:
    """Open a photo by one of the allowed formats, its header only.

    Raises:
        ImageError: naming the photo, for what is no photo, or has more pixels than `limit`.
    """
    if not isinstance(source, bytes):
        check_file(source)
    elif not source:
        raise ImageError(f"{name} is empty (0 bytes); copy or download the photo again")
    try:
        if isinstance(source, bytes):
            start = source[:64]
        else:
            with open(source, "rb") as stream:
                start = stream.read(64)
        formats = _formats(start, name)
        with own_limit(), quiet():
            image = Image.open(
                BytesIO(source) if isinstance(source, bytes) else source, formats=formats
            )
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError(f"{name} may not be read; check its permissions") from error
    except Exception as error:  # decoders raise many types on damaged files
        reason = "no known format" if isinstance(error, UnidentifiedImageError) else error
        raise ImageError(
            f"{name} is not a photo that can be read: {reason}. Save it as JPEG or PNG"
        ) from error
    try:
        check_size(*image.size, name, limit)
    except ImageError:
        image.close()
        raise
    _scale_clear_level(image)
    return image


def _scale_clear_level(image: Image.Image) -> None:
    """Greys of 2 and 4 bits are spread over 0…255 by Pillow, and their transparent level isn't."""
    step = _GREY_STEPS.get(image.tile[0][3]) if image.format == "PNG" and image.tile else None
    level = image.info.get("transparency")
    if step and isinstance(level, int) and level * step <= 255:
        image.info["transparency"] = level * step


def check_size(width: int, height: int, name: str, limit: int, frames: int = 1) -> None:
    """ImageError for a photo without a pixel, or with more than `limit` of them."""
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width} × {height} and holds no pixel")
    if width * height * frames > limit:
        times = f" × {frames} frames" if frames > 1 else ""
        raise ImageError(
            f"{name} is {width} × {height}{times}, more than {limit:,} pixels; make it smaller "
            f"first, or raise the limit with {LIMIT_OPTION}"
        )


def decode(image: Image.Image, name: str) -> None:
    """Decode the pixels. ImageError when they are damaged."""
    try:
        with own_limit(), quiet():
            image.load()
    except MemoryError as error:
        raise ImageError(f"{name} doesn't fit into memory; make it smaller first") from error
    except Exception as error:
        raise ImageError(
            f"{name} is damaged: {_reason(error)}. Copy or download the photo again"
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _formats(start: bytes, name: str) -> tuple[str, ...]:
    """The formats to try for a file that begins with these bytes."""
    brand, length = start[8:12], int.from_bytes(start[:4], "big")
    if start[4:8] != b"ftyp" or brand not in _HEIF_BRANDS:
        return FORMATS
    if heif_available():
        return ("HEIF", *FORMATS)
    # a picture of any coding may say mif1 first; what it is then follows
    others = {start[place : place + 4] for place in range(16, min(length, len(start)), 4)}
    if any(one.startswith(b"he") for one in (brand, *others)):
        raise ImageError(
            f"{name} is a HEIC photo, which needs pillow-heif: pip install 'cropnb[photos]', or "
            "save it as JPEG"
        )
    return FORMATS
