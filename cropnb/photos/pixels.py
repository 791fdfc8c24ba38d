"""What a network sees of a photo: small, upright, RGB, 8 bits, on a ground from which its content
stands out. And the turns and cuts that lose nothing.
"""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from cropnb.errors import ImageError
from cropnb.photos.guard import quiet

ORIENTATION = 0x0112
LONG_SIDE = 2048  # pixels that a network sees at most, unless it asks for more …
SHORT_SIDE = 512  # … but of a panorama at least so many across
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ANTIALIASED = Image.Resampling.LANCZOS
_INTEGER_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "I;16S", "I;12")


def orientation(image: Image.Image) -> int:
    """EXIF orientation 1…8 of the pixels as they are; a damaged tag counts as none, because the
    pixels are still good.
    """
    try:
        with quiet():
            if isinstance(image, PngImagePlugin.PngImageFile) and not _ends_with_texts(image):
                value = Image.Image.getexif(image).get(ORIENTATION, 1)  # PNG's own would decode it
            else:
                value = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _ends_with_texts(image: PngImagePlugin.PngImageFile) -> bool:
    """Whether a PNG that is open says something behind its pixels, where Pillow hasn't read yet."""
    stream = image.fp
    if stream is None or not stream.seekable():
        return False
    place = stream.tell()
    try:
        stream.seek(8)
        pixels_passed = False
        while len(head := stream.read(8)) == 8:
            kind = head[4:]
            if pixels_passed and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
                return True
            pixels_passed |= kind == b"IDAT"
            stream.seek(int.from_bytes(head[:4], "big") + 4, 1)
        return False
    finally:
        stream.seek(place)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the turned photo, from its header."""
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # PIL turns these itself, and when it does depends on its version
        if ORIENTATION not in image.tag_v2:
            return image.size
        width = image.tag_v2.get(TiffImagePlugin.IMAGEWIDTH, width)
        height = image.tag_v2.get(TiffImagePlugin.IMAGELENGTH, height)
    return (height, width) if orientation(image) >= 5 else (width, height)


def to_upright(image: Image.Image) -> Image.Image:
    """The decoded photo as it is meant to be looked at; `image` itself where nothing is to turn."""
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def seen_size(width: int, height: int, long_side: int | None) -> tuple[int, int]:
    """The size in which a network sees a photo; never larger than it is."""
    scale = (long_side or LONG_SIDE) / max(width, height)
    if long_side is None:
        scale = max(scale, SHORT_SIDE / min(width, height))
    if scale >= 1:
        return width, height
    return max(round(width * scale), 1), max(round(height * scale), 1)


def seen(image: Image.Image, size: tuple[int, int] | None = None) -> Image.Image:
    """A decoded photo as a network sees it, 8-bit RGB; `size` scales it down, antialiased.

    Greys of more than 8 bits are scaled from the image's own range, CMYK goes through its profile,
    and transparency is laid on white, black or grey, whichever hides the least.

    Raises:
        ImageError: for a float image without a finite pixel.
    """
    transparent = image.has_transparency_data
    if transparent:
        image = _with_alpha(image)
    elif image.mode in ("P", "1"):
        image = image.convert("RGB")
    elif image.mode in _INTEGER_MODES or image.mode == "F":
        image = Image.fromarray(levels(image))
    if size is not None and size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)
    if transparent:
        return flatten(image, ground(image))
    return to_rgb(image)


def to_rgb(image: Image.Image) -> Image.Image:
    """An opaque 8-bit image as RGB, CMYK through its profile where it has one that can be used."""
    if image.mode == "CMYK" and (profile := image.info.get("icc_profile")):
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # not a CMYK profile, or a damaged one
    if image.mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if image.mode == "RGB":
        return image
    with quiet():
        return image.convert("RGB")


def levels(pixels: Image.Image | np.ndarray) -> np.ndarray:
    """Pixels of more than 8 bits as uint8, scaled from their own range: the darkest is 0, the
    brightest 255.

    The few outermost pixels don't count, because one hot pixel would make the rest black.
    """
    values = np.asarray(pixels)
    low, high = value_range(values)
    scaled = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), 256):  # in strips: no float copy of the whole photo
        strip = values[row : row + 256].astype(np.float32)
        strip = np.nan_to_num((strip - low) * (255 / (high - low)), nan=0, posinf=255, neginf=0)
        scaled[row : row + 256] = strip.clip(0, 255).round()
    return scaled


def value_range(values: np.ndarray) -> tuple[float, float]:
    """The values that become black and white.

    Raises:
        ImageError: the photo holds no finite value.
    """
    step = max(int(np.sqrt(values.shape[0] * values.shape[1] / 4_000_000)), 1)
    sample = values[::step, ::step]
    if values.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
        if not sample.size:
            raise ImageError("the photo holds no finite value; check what made it")
    low, high = np.percentile(sample, [0.02, 99.98]).astype(float)
    if high <= low:
        low, high = float(sample.min()), float(sample.max())
    if high <= low:  # one colour: it keeps its place in the range of its type
        top = 1.0 if values.dtype.kind == "f" else 65535.0
        return (0.0, top) if 0 <= low <= top else (low - 1, low + 1)
    return low, high


def ground(image: Image.Image) -> tuple[int, int, int]:
    """The colour, of white, black and grey, that hides the least of an RGBA image's content."""
    small = image.copy()
    small.thumbnail((512, 512), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32)  # (h, w, 4)
    weight, total = pixels[..., 3], float(pixels[..., 3].sum())
    if not total:
        return 255, 255, 255
    hidden = {
        level: round(
            float(weight[np.abs(pixels[..., :3] - level).max(axis=-1) < 40].sum()) / total, 2
        )
        for level in (255, 0, 128)
    }
    level = min(hidden, key=hidden.__getitem__)  # of equal ones the first
    return level, level, level


def flatten(image: Image.Image, colour: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """An RGBA image laid on a colour."""
    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image).convert("RGB")


def with_alpha(image: Image.Image) -> Image.Image:
    """An image with transparency of any kind as RGBA, with LA where grey is all that it has."""
    if image.mode in ("LA", "La") or (image.mode == "L" and "transparency" in image.info):
        return image if image.mode == "LA" else image.convert("LA")
    return _with_alpha(image)


def in_own_order(image: Image.Image) -> Image.Image:
    """Greys of 16 bits in the machine's order of bytes, in which alone Pillow resizes them."""
    if not image.mode.startswith("I;") or image.mode == "I;16":
        return image
    ordered = Image.fromarray(np.asarray(image).astype(np.uint16))
    ordered.info = image.info
    return ordered


def resized_with_clear_level(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An image that `has_clear_level` in another size, antialiased, at its own depth. What is more
    than half clear gets the level.
    """
    level, clear = image.info["transparency"], is_clear(image)
    weight = Image.fromarray(np.where(clear, 0, 1).astype(np.float32)).resize(size, _ANTIALIASED)
    values = Image.fromarray(np.where(clear, 0, np.asarray(image)).astype(np.float32))
    solid = np.asarray(weight)
    greys = np.asarray(values.resize(size, _ANTIALIASED)) / np.maximum(solid, 1e-3)
    greys = greys.clip(0, 65535).round().astype(np.uint16)
    greys[greys == level] = level + 1 if level < 65535 else level - 1
    result = Image.fromarray(np.where(solid > 0.5, greys, np.uint16(level)))
    result.info["transparency"] = level
    return result


def has_clear_level(image: Image.Image) -> bool:
    """Whether one level of an image's 16-bit greys stands for transparency, as PNG has it."""
    return image.mode in ("I;16", "I") and "transparency" in image.info


def is_clear(image: Image.Image) -> np.ndarray:
    """(H, W), where an image that `has_clear_level` has it."""
    return np.asarray(image) == image.info["transparency"]


def _with_alpha(image: Image.Image) -> Image.Image:
    if has_clear_level(image):
        grey = Image.fromarray(levels(image)).convert("RGBA")
        grey.putalpha(Image.fromarray(np.where(is_clear(image), 0, 255).astype(np.uint8)))
        return grey
    if image.mode == "La":
        image = image.convert("LA")
    return image if image.mode == "RGBA" else image.convert("RGBA")
