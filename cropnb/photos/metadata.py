"""What a photo says besides its pixels: EXIF, XMP, IPTC, profile, resolution, texts. Gathered from
any format, corrected for a crop, left out on request.
"""

import struct
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image, TiffImagePlugin

from cropnb.photos import exif as exif_blocks
from cropnb.photos import texts
from cropnb.photos.guard import quiet

XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, ICC_TAG = 700, 33723, 34377, 34675
THUMBNAIL_SIDE = 160
MOST_XMP = 1 << 20  # bytes; a larger packet carries pictures
# Where on earth the pixels of the whole photo lie.
GEOREFERENCE = {33550, 33922, 34264, 34735, 34736, 34737}
# Tags of a TIFF that say how its pixels lie, not what they show.
_STRUCTURE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289),
    *(290, 291, 292, 293, 297, 301, 317, 318, 319, 320, 322, 323, 324, 325, 330, 332, 333, 334),
    *(336, 337, 338, 339, 340, 341, 342, 343, 344, 345, 346, 347, 512, 513, 514, 515, 517, 518),
    *(519, 520, 521, 529, 530, 531, 532, 32997, 37724, 50838, 50839),
    *(XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, ICC_TAG),
    *(282, 283, 296),  # the resolution, kept by itself
    *GEOREFERENCE,
}
_PROFILES = ("Raw profile type ", "XML:com.adobe.xmp")  # what ImageMagick puts into texts


@dataclass(frozen=True)
class Metadata:
    """Each part as bytes without the wrapping of its format; empty where there is none.

    Attributes:
        exif: a TIFF structure.
        photoshop: Photoshop's resources, with the IPTC record among them.
        dpi: dots an inch, across and down.
        texts: of PNG, by keyword.
        colour: gamma and primaries of PNG, as chunks.
    """

    exif: bytes = b""
    xmp: bytes = b""
    photoshop: bytes = b""
    icc: bytes = b""
    dpi: tuple[float, float] | None = None
    comment: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)
    colour: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def iptc(self) -> bytes:
        """The IPTC record."""
        return texts.iptc_of(self.photoshop)


def preload(image: Image.Image) -> None:
    """Read what lies in the file apart from the header, before decoding closes it."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _exif_of_tiff(image)


def gather(image: Image.Image) -> Metadata:
    """The metadata of a decoded image of any format."""
    info = image.info
    keywords = {
        key: value
        for key, value in (getattr(image, "text", None) or {}).items()
        if isinstance(value, str)
    }
    profiles = {key: keywords.pop(key) for key in list(keywords) if key.startswith(_PROFILES)}
    comment = info.get("comment", b"")
    dpi = info.get("dpi")
    if isinstance(image, TiffImagePlugin.TiffImageFile) and 282 not in image.tag_v2:
        dpi = None  # Pillow says 1
    exif = _exif(image, profiles)
    return Metadata(
        exif=exif,
        xmp=_xmp(image, profiles),
        photoshop=_photoshop(image, profiles),
        icc=info.get("icc_profile") or b"",
        dpi=_resolution(dpi or _resolution_of_exif(exif)),
        comment=comment.encode() if isinstance(comment, str) else bytes(comment),
        texts=keywords,
        colour=_colour(info),
    )


def gather_tiff(stream: BinaryIO, place: int | None = None) -> tuple[Metadata, int]:
    """The metadata of a TIFF whose pixels Pillow doesn't know, and its orientation.

    Args:
        place: where the page's directory lies, unless it is the first.
    """
    stream.seek(0)
    head = stream.read(16)
    tags = Image.Exif()
    tags.endian = "<" if head[:2] == b"II" else ">"
    tags.bigtiff = 43 in head[2:4]
    form = "Q" if tags.bigtiff else "I"
    try:
        with quiet():
            first = struct.unpack_from(tags.endian + form, head, 8 if tags.bigtiff else 4)[0]
            tags.load_from_fp(stream, first if place is None else place)
            unit = {2: 1.0, 3: 2.54}.get(tags.get(296, 2), 0.0)
            xmp = tags.get(XMP_TAG, b"")
            gathered = Metadata(
                exif=_exif_of_tags(tags),
                xmp=bytes(xmp) if isinstance(xmp, tuple) else xmp,
                photoshop=_with_iptc(
                    _as_bytes(tags.get(PHOTOSHOP_TAG)), _as_bytes(tags.get(IPTC_TAG))
                ),
                icc=_as_bytes(tags.get(ICC_TAG)),
                dpi=_resolution([float(tags.get(tag, 0)) * unit for tag in (282, 283)]),
            )
            turn = tags.get(exif_blocks.ORIENTATION, 1)
    except Exception:  # damaged tags of many kinds
        return Metadata(), 1
    return gathered, turn if turn in range(1, 9) else 1


def corrected(
    metadata: Metadata, crop: Image.Image | None, size: tuple[int, int], drop_location: bool
) -> tuple[Metadata, list[str]]:
    """The metadata of a crop: upright, with its sizes and a thumbnail of its own.

    Args:
        crop: a small RGB copy of the crop, for the thumbnail; None drops it.
        size: width and height of the crop.

    Returns:
        the metadata, and a warning for each part that had to go.
    """
    notes: list[str] = []
    exif = metadata.exif
    if exif:
        try:
            block = exif_blocks.Block(exif)
            exif = block.corrected(*size, _thumbnail(crop), drop_location)
        except exif_blocks.DamagedExif as error:
            exif = b""
            notes.append(f"the EXIF block is damaged ({error}) and was left out")
    xmp = metadata.xmp
    if xmp:
        if texts.FOLLOWING.search(xmp):
            notes.append("what follows the photo in its file (video, gain map, depth) was left out")
        if b"HasExtendedXMP" in xmp:
            notes.append("extended XMP (depth maps and the like of the whole photo) was left out")
        if len(xmp) > MOST_XMP:
            notes.append(f"XMP of more than {MOST_XMP:,} bytes was left out")
            xmp = b""
        try:
            xmp = texts.corrected_xmp(xmp, *size, drop_location)
        except texts.DamagedXmp as error:
            xmp = b""
            notes.append(f"the XMP packet is damaged ({error}) and was left out")
    photoshop = texts.corrected_resources(metadata.photoshop)
    keywords = {
        key: value
        for key, value in metadata.texts.items()
        if not (drop_location and texts.says_where(key))
    }
    own = replace(metadata, exif=exif, xmp=xmp, photoshop=photoshop, texts=keywords)
    return own, notes


def turned(metadata: Metadata, turn: int) -> Metadata:
    """With the resolution of pixels that an EXIF orientation has turned."""
    if metadata.dpi is None or turn < 5:
        return metadata
    return replace(metadata, dpi=metadata.dpi[::-1])


def resolution_exif(dpi: tuple[float, float]) -> bytes:
    """An EXIF block that holds a resolution alone, for formats that have no other place for it."""
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = *dpi, 2
    return exif.tobytes().removeprefix(b"Exif\0\0")


def stripped(metadata: Metadata) -> Metadata:
    """Only what the colours need: the profile and PNG's gamma."""
    return Metadata(icc=metadata.icc, colour=metadata.colour)


def exif_object(block: bytes) -> Image.Exif:
    """A block as Pillow's, to be read from."""
    exif = Image.Exif()
    if block:
        exif.load(b"Exif\0\0" + block)
    return exif


def _exif(image: Image.Image, profiles: dict[str, str]) -> bytes:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _exif_of_tiff(image)
    block = image.info.get("exif") or b""
    if not block:
        for kind in ("exif", "APP1", "app1"):
            block = block or _raw_profile(profiles.get(f"Raw profile type {kind}", ""))
    return block.removeprefix(b"Exif\0\0") if not block.startswith(b"http") else b""


def _exif_of_tiff(image: TiffImagePlugin.TiffImageFile) -> bytes:
    try:
        with quiet():
            return _exif_of_tags(image.getexif())
    except Exception:  # damaged tags of many kinds
        return b""


def _exif_of_tags(full: Image.Exif) -> bytes:
    exif = Image.Exif()
    for tag, value in full.items():
        if tag not in _STRUCTURE and tag not in (exif_blocks.EXIF, exif_blocks.GPS):
            exif[tag] = value
    for tag in (exif_blocks.EXIF, exif_blocks.GPS):
        if directory := full.get_ifd(tag):
            exif[tag] = dict(directory)
    if not len(exif):
        return b""
    exif[exif_blocks.ORIENTATION] = 1
    return exif.tobytes().removeprefix(b"Exif\0\0")


def _xmp(image: Image.Image, profiles: dict[str, str]) -> bytes:
    packet: Any = image.info.get("xmp")
    if packet is None and isinstance(image, TiffImagePlugin.TiffImageFile):
        packet = image.tag_v2.get(XMP_TAG)
    if packet is None:
        packet = profiles.get("XML:com.adobe.xmp") or image.info.get("XML:com.adobe.xmp")
    if packet is None:
        packet = _raw_profile(profiles.get("Raw profile type xmp", ""))
    if isinstance(packet, tuple):
        packet = bytes(packet)
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def _photoshop(image: Image.Image, profiles: dict[str, str]) -> bytes:
    for name, segment in getattr(image, "applist", None) or []:
        if name == "APP13" and segment.startswith(b"Photoshop 3.0\0"):
            return segment.removeprefix(b"Photoshop 3.0\0")
    block, iptc = b"", b""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        block = _as_bytes(image.tag_v2.get(PHOTOSHOP_TAG))
        iptc = _as_bytes(image.tag_v2.get(IPTC_TAG))
    else:
        raw = _raw_profile(profiles.get("Raw profile type iptc", ""))
        block, iptc = (raw, b"") if raw.startswith(b"8BIM") else (b"", raw)
    return _with_iptc(block, iptc)


def _with_iptc(block: bytes, iptc: bytes) -> bytes:
    """Photoshop's resources, with an IPTC record that stood beside them."""
    if iptc and not texts.iptc_of(block):
        block = texts.resource_block([(texts.IPTC_RESOURCE, b"", iptc)]) + block
    return block


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, tuple):  # IPTC is often said to be of long numbers
        parts = (part.to_bytes(4, "little") if isinstance(part, int) else part for part in value)
        return b"".join(parts)
    return value if isinstance(value, bytes) else b""


def _colour(info: dict[Any, Any]) -> tuple[tuple[bytes, bytes], ...]:
    def number(value: float) -> bytes:
        return round(value * 100_000).to_bytes(4, "big")

    chunks = []
    try:
        if "gamma" in info:
            chunks.append((b"gAMA", number(info["gamma"])))
        if "chromaticity" in info:
            chunks.append((b"cHRM", b"".join(map(number, info["chromaticity"]))))
        if "srgb" in info:
            chunks.append((b"sRGB", bytes([info["srgb"]])))
    except (TypeError, ValueError, OverflowError):
        return ()
    return tuple(chunks)


def _resolution(dpi: Any) -> tuple[float, float] | None:
    try:
        horizontal, vertical = float(dpi[0]), float(dpi[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return (horizontal, vertical) if 0 < horizontal < 1e6 and 0 < vertical < 1e6 else None


def _resolution_of_exif(block: bytes) -> tuple[float, float] | None:
    try:
        tags = exif_object(block)
        unit = {2: 1.0, 3: 2.54}[tags.get(296, 2)]
        return float(tags[282]) * unit, float(tags[283]) * unit
    except Exception:  # damaged tags of many kinds
        return None


def _raw_profile(text: str) -> bytes:
    """ImageMagick's hexadecimal profiles: a name, a length, and lines of digits."""
    lines = text.strip().split("\n", 2)
    try:
        return bytes.fromhex("".join(lines[2].split())) if len(lines) == 3 else b""
    except ValueError:
        return b""


def raw_profile(name: str, data: bytes) -> str:
    """The reverse: a text that PNG readers take for a profile."""
    digits = data.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    return f"\n{name}\n{len(data):8d}\n{lines}\n"


def _thumbnail(crop: Image.Image | None) -> bytes | None:
    if crop is None:
        return None
    small = crop.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    stream = BytesIO()
    small.save(stream, "JPEG", quality=75)
    return stream.getvalue()
