"""Colours of more than 8 bits, which Pillow would open as 8-bit: read, resized and written whole,
through libvips and libheif (the extra `photos`).
"""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cropnb.errors import ImageError
from cropnb.photos.guard import check_size
from cropnb.photos.pixels import levels, to_rgb

_TOPS = {"u": lambda kind: float(np.iinfo(kind).max), "f": lambda kind: 1.0}
_LOADERS = {
    "PNG": "pngload",
    "TIFF": "tiffload",
    "JPEG2000": "jp2kload",
    "AVIF": "heifload",
    "PPM": "ppmload",
}
_PPM_HEADER = re.compile(rb"P[36]\s+(?:#[^\n]*\n\s*)*\d+\s+(?:#[^\n]*\n\s*)*\d+\s+(\d+)\s")
_FORMATS = {"uint16": "ushort", "uint32": "uint", "float32": "float"}
_CAMERAS = {"AVIF", "HEIF"}  # formats of photos, in which black is 0 and white the largest value


def lost_bits(image: Image.Image, start: bytes) -> int:
    """How many bits a channel has where Pillow would lose depth, sign or sense of them; 0 where it
    loses nothing.

    Args:
        image: as opened, not decoded yet.
        start: the first bytes of the file.
    """
    if image.format == "TIFF":
        return _lost_bits_of_tiff(image)
    if image.mode.startswith("I") or image.mode == "F":
        return 0
    depth = _bits(image, start)
    return depth if depth > 8 else 0


def _lost_bits_of_tiff(image: Image.Image) -> int:
    tags = image.tag_v2
    depth, kind = max(tags.get(258, (8,))), max(tags.get(339, (1,)))
    if not image.mode.startswith("I") and image.mode != "F":
        return depth if depth > 8 or kind == 2 else 0  # it takes signed bytes for unsigned ones
    # It takes deep greys that count from white for a negative, and unsigned ones of 32 bits for
    # signed.
    return depth if tags.get(262) == 0 or (kind == 1 and depth == 32) else 0


def _bits(image: Image.Image, start: bytes) -> int:
    if image.format == "PNG":
        return start[24] if len(start) > 24 and start[12:16] == b"IHDR" else 8
    if image.format == "JPEG2000":
        place = start.find(b"\xff\x51")
        return (start[place + 40] & 0x7F) + 1 if 0 <= place < len(start) - 40 else 8
    if image.format == "AVIF":
        place = start.find(b"av1C")
        flags = start[place + 6] if 0 <= place < len(start) - 6 else 0
        return 12 if flags & 0x20 else 10 if flags & 0x40 else 8
    if image.format == "HEIF":
        return image.info.get("bit_depth") or 8
    if image.format == "PPM" and (header := _PPM_HEADER.match(start)):
        return 16 if int(header[1]) > 255 else 8
    return 8


def available() -> bool:
    """Whether libvips is installed."""
    try:
        import pyvips  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def _knows(form: str | None) -> bool:
    """Whether the libvips that is installed was built with a reader for the format."""
    import pyvips

    return bool(pyvips.type_find("VipsOperation", _LOADERS.get(form, "")))


class DeepPixels:
    """A photo of more than 8 bits a channel: an array, or a file that is read when it is needed.

    Attributes:
        size: width and height as stored, before it is turned.
        cmyk: whether the channels are inks.
        own_range: whether black and white are the photo's own darkest and brightest values where it
            has to become 8-bit.
    """

    def __init__(self, source: np.ndarray | str | bytes, form: str | None, name: str, depth: int):
        self.source, self.form, self.name, self.depth = source, form, name, depth
        self.cmyk, self.own_range = False, form not in _CAMERAS

    @property
    def readable(self) -> bool:
        """Whether they can be read here."""
        if isinstance(self.source, np.ndarray) or self.form == "HEIF":
            return True
        return available() and _knows(self.form)

    def array(
        self, box: tuple[int, int, int, int] | None = None, page: int | None = None
    ) -> np.ndarray:
        """The pixels (H, W, C) of a box as it is stored, at full depth.

        Args:
            page: of a TIFF, where it isn't the first.

        Raises:
            ImageError: without libvips, or for a damaged file.
        """
        if isinstance(self.source, np.ndarray) or self.form == "HEIF":
            whole = self._whole()
            x1, y1, x2, y2 = box or (0, 0, whole.shape[1], whole.shape[0])
            return whole[y1:y2, x1:x2]
        image = self._vips(page)
        if box is not None:
            x1, y1, x2, y2 = box
            if x2 > image.width or y2 > image.height:
                raise self._damaged(ValueError(f"it is {image.width} × {image.height}"))
            image = image.crop(x1, y1, x2 - x1, y2 - y1)
        return self._numpy(image)

    def seen(self, size: tuple[int, int] | None) -> np.ndarray:
        """The pixels scaled down to `size` (width and height as stored), antialiased."""
        if isinstance(self.source, np.ndarray) or self.form == "HEIF":
            whole = self._whole()
            return whole if size is None else resized(whole, size)
        image = self._vips()
        if size is not None:
            image = image.resize(size[0] / image.width, vscale=size[1] / image.height)
        return self._numpy(image)

    def _whole(self) -> np.ndarray:
        """An array as it is, or a HEIC photo, which libheif decodes as a whole."""
        if isinstance(self.source, np.ndarray):
            return self.source
        import pillow_heif

        source = BytesIO(self.source) if isinstance(self.source, bytes) else self.source
        try:
            array = np.asarray(pillow_heif.open_heif(source, convert_hdr_to_8bit=False))
        except Exception as error:  # of many types, on damaged files
            raise self._damaged(error) from error
        return array[..., None] if array.ndim == 2 else array

    def _vips(self, page: int | None = None) -> Any:
        if not available():
            raise ImageError(
                f"{self.name} has {self.depth} bits a channel, which need libvips to be kept: pip "
                "install 'cropnb[photos]', or save it as 8-bit"
            )
        import pyvips

        if not _knows(self.form):
            raise ImageError(
                f"{self.name} has {self.depth} bits a channel, and this libvips reads no "
                f"{self.form}; save it as a 16-bit TIFF or PNG"
            )
        loader, options = _LOADERS[self.form], {"access": "sequential", "fail_on": "truncated"}
        if page is not None:
            options["page"] = page
        try:
            if isinstance(self.source, bytes):
                image = getattr(pyvips.Image, f"{loader}_buffer")(self.source, **options)
            else:
                # a file of this name may have been replaced since libvips saw it last
                image = getattr(pyvips.Image, loader)(self.source, revalidate=True, **options)
        except pyvips.Error as error:
            raise self._damaged(error) from error
        self.cmyk = image.interpretation == "cmyk"
        return image

    def _numpy(self, image: Any) -> np.ndarray:
        import pyvips

        try:
            array = image.numpy()
        except pyvips.Error as error:
            raise self._damaged(error) from error
        array = array[..., None] if array.ndim == 2 else array
        if array.dtype.name not in _FORMATS:
            raise ImageError(
                f"{self.name} holds {array.shape[-1]} channels of {array.dtype.name} values, which "
                "aren't read; save it as RGB, of 8 or 16 bits or float32"
            )
        return array

    def _damaged(self, error: Exception) -> ImageError:
        reason = " ".join(str(error).split())
        return ImageError(
            f"{self.name} is damaged, or of a kind that isn't read: {reason}. Copy or download the "
            "photo again, or save it as a 16-bit TIFF"
        )


def vips_size(source: str | bytes, name: str, limit: int) -> tuple[DeepPixels, tuple[int, int]]:
    """A TIFF that Pillow doesn't know, such as one of float colours, with its width and height.

    Raises:
        ImageError: when libvips is missing or can't read it either.
    """
    pixels = DeepPixels(source, "TIFF", name, 32)
    image = pixels._vips()
    check_size(image.width, image.height, name, limit)
    return pixels, (image.width, image.height)


def resized(array: np.ndarray, size: tuple[int, int], cmyk: bool = False) -> np.ndarray:
    """An array (H, W, C) in another size (width, height), antialiased, at its own depth."""
    top = _TOPS[array.dtype.kind](array.dtype)
    alpha = None if cmyk or array.shape[-1] not in (2, 4) else array[..., -1].astype(np.float32)
    channels = []
    for index in range(array.shape[-1]):
        channel = array[..., index].astype(np.float32)
        if alpha is not None and index < array.shape[-1] - 1:
            channel = channel * (alpha / top)  # clear pixels have colours that nobody sees
        channels.append(_scaled(channel, size))
    if alpha is not None:
        weight = np.maximum(channels[-1] / top, 1e-9)
        channels = [*(channel / weight for channel in channels[:-1]), channels[-1]]
    stack = np.stack(channels, axis=-1)
    if array.dtype.kind == "f":
        return stack
    return stack.clip(0, top).round().astype(array.dtype)


def to_8_bit(array: np.ndarray, cmyk: bool = False, own_range: bool = True) -> Image.Image:
    """An array (H, W, C) as an 8-bit image, RGB, or RGBA where it has an alpha channel.

    Args:
        cmyk: whether the channels are inks.
        own_range: whether its colours are scaled from their own range, or from that of the type.
    """
    count = array.shape[-1]
    top = _TOPS[array.dtype.kind](array.dtype)
    if cmyk:
        inks = (array[..., :4].astype(np.float32) * (255 / top)).clip(0, 255).round()
        image = to_rgb(Image.fromarray(inks.astype(np.uint8), "CMYK"))
        if count == 5:
            image.putalpha(Image.fromarray(_bytes(array[..., 4], top)))
        return image
    if count in (2, 4):
        image = to_8_bit(array[..., : count - 1], own_range=own_range)
        image.putalpha(Image.fromarray(_bytes(array[..., -1], top)))
        return image
    colours = array[..., :3] if count >= 3 else array[..., 0]
    return Image.fromarray(levels(colours) if own_range else _bytes(colours, top)).convert("RGB")


def write(pages: list[np.ndarray], path: Path, form: str, cmyk: bool, name: str) -> None:
    """Write arrays (H, W, C) of uint16, uint32 or float32, all of one shape, as the pages of a
    TIFF, or one as a PNG, without metadata.

    Raises:
        ImageError: without libvips.
    """
    if not available():
        raise ImageError(
            f"{name} has more than 8 bits a channel, which need libvips to be written: pip install "
            "'cropnb[photos]', or give 8-bit pixels"
        )
    import pyvips

    height, width, count = pages[0].shape
    data = np.ascontiguousarray(pages[0] if len(pages) == 1 else np.concatenate(pages))
    image = pyvips.Image.new_from_memory(
        data.data, width, len(pages) * height, count, _FORMATS[data.dtype.name]
    )
    kind = "cmyk" if cmyk else "grey16" if count < 3 else "rgb16"
    if data.dtype.kind == "f":
        kind = "b-w" if count < 3 else "scrgb"
    image = image.copy(interpretation=kind)
    if len(pages) > 1:
        image.set_type(pyvips.GValue.gint_type, "page-height", height)
    try:
        if form == "PNG":
            image.pngsave(str(path), keep="none", bitdepth=16)
        else:
            image.tiffsave(str(path), keep="none", compression="deflate", predictor="horizontal")
    except pyvips.Error as error:
        reason = re.search("system error: (.+)", str(error))  # such as a full disk
        raise OSError(reason[1] if reason else " ".join(str(error).split())) from error


def _bytes(channel: np.ndarray, top: float) -> np.ndarray:
    """Values in 0…top as bytes."""
    return (channel.astype(np.float32) * (255 / top)).clip(0, 255).round().astype(np.uint8)


def _scaled(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(channel).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)
