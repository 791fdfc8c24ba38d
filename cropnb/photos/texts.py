"""XMP packets and Photoshop's resource blocks, where IPTC lies: corrected for a crop."""

import re
import struct

IPTC_RESOURCE = 0x0404
# Small copies of the uncropped photo, its EXIF and XMP once more, and paths in its pixels.
_STALE_RESOURCES = {0x0409, 0x040C, 0x0422, 0x0423, 0x0424, *range(0x07D0, 0x0BB7)}
_WIDTHS = rb"tiff:ImageWidth|exif:PixelXDimension"
_HEIGHTS = rb"tiff:ImageLength|exif:PixelYDimension"
# What follows a photo in its file: a video, a gain map, depth.
FOLLOWING = re.compile(rb"(?:GCamera:(?:Motion|Micro)|G?Container:Directory|hdrgm:|GDepth:)")
# Places in pixels of the whole photo, panoramas among them, and what follows it.
_STALE = (
    rb"exif:Subject(?:Area|Location)|Iptc4xmpExt:ImageRegion|MP:RegionInfo|mwg-rs:Regions|"
    rb"G?Container:Directory|GCamera:(?:Motion|Micro)\w+|(?:GPano|GDepth|GImage|hdrgm):\w+"
)
_STALE_ELEMENTS = rb"xmp:Thumbnails|xapGImg:Thumbnails|" + _STALE
# The address of extended XMP, which holds depth maps and second pictures of the whole photo.
_STALE_ATTRIBUTES = rb"xmpNote:HasExtendedXMP|photoshop:SidecarForExtension|" + _STALE
_LOCATION = rb"[\w-]+:(?i:gps\w+|latitude|longt?itude)"  # drones have misspelt ones of their own
# A tag: its slash, its name. Quantifiers that give nothing back, and no tag goes beyond the next
# `<`: the time grows with the packet, whatever stands in it.
_TAG = re.compile(rb"<(/?)([^\s<>/\"']++)(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+>")


class DamagedXmp(ValueError):
    """A packet in which something begins that must go, and never ends."""


def corrected_xmp(packet: bytes, width: int, height: int, drop_location: bool = False) -> bytes:
    """An XMP packet for a crop of this size, upright.

    Raises:
        DamagedXmp: where it can't be told what belongs to the uncropped photo.
    """
    values = [
        (re.compile(names), re.compile(rb"(\s(?:%s)\s*+=\s*+[\"'])[^\"']*+" % names), value)
        for names, value in (
            (rb"tiff:Orientation", b"1"),
            (_WIDTHS, b"%d" % width),
            (_HEIGHTS, b"%d" % height),
        )
    ]
    location = rb"|" + _LOCATION if drop_location else b""
    stale = re.compile(_STALE_ELEMENTS + location)
    attributes = re.compile(
        rb"\s(?:%s)\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+')" % (_STALE_ATTRIBUTES + location)
    )
    parts: list[bytes] = []
    place, dropped, depth = 0, b"", 0  # the element that is being left out, and how deep in it
    value: bytes | None = None  # what the text of the element that has just begun becomes
    for tag in _TAG.finditer(packet):
        closing, name, whole = tag[1], tag[2], tag[0]
        empty = whole.endswith(b"/>")
        if dropped:
            if name == dropped and not empty:
                depth += -1 if closing else 1
                dropped = dropped if depth else b""
            place = tag.end()
            continue
        text = packet[place : tag.start()]
        parts.append(text if value is None or not closing else value)
        place, value = tag.end(), None
        if not closing and stale.fullmatch(name):
            dropped, depth = (b"", 0) if empty else (name, 1)
            continue
        if not closing:
            for names, attribute, new in values:
                whole = attribute.sub(lambda match, new=new: match[1] + new, whole)
                value = new if not empty and names.fullmatch(name) else value
            whole = attributes.sub(b"", whole)
        parts.append(whole)
    if dropped:
        raise DamagedXmp(f"{dropped.decode(errors='replace')[:40]} has no end")
    return b"".join([*parts, packet[place:]])


def says_where(keyword: str) -> bool:
    """Whether a text of PNG has the place where a photo was taken, as ImageMagick copies it."""
    return bool(re.search("gps|latitude|longitude", keyword, re.IGNORECASE))


def resources(block: bytes) -> list[tuple[int, bytes, bytes]]:
    """Photoshop's resources as number, name and data; what follows damage is left out."""
    parts, place = [], 0
    while block[place : place + 4] == b"8BIM" and place + 12 <= len(block):
        number = struct.unpack_from(">H", block, place + 4)[0]
        name_length = block[place + 6]
        name = block[place + 7 : place + 7 + name_length]
        start = place + 7 + name_length + (1 - name_length % 2)
        if start + 4 > len(block):
            break
        length = struct.unpack_from(">I", block, start)[0]
        data = block[start + 4 : start + 4 + length]
        if len(data) < length:
            break
        parts.append((number, name, data))
        place = start + 4 + length + length % 2
    return parts


def resource_block(parts: list[tuple[int, bytes, bytes]]) -> bytes:
    """The reverse of `resources`."""
    block = b""
    for number, name, data in parts:
        block += b"8BIM" + struct.pack(">HB", number, len(name)) + name
        block += b"" if len(name) % 2 else b"\0"
        block += struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    return block


def corrected_resources(block: bytes) -> bytes:
    """Photoshop's resources without those that show or describe the uncropped photo."""
    return resource_block([part for part in resources(block) if part[0] not in _STALE_RESOURCES])


def iptc_of(block: bytes) -> bytes:
    """The IPTC record in Photoshop's resources, or none."""
    return next((data for number, _, data in resources(block) if number == IPTC_RESOURCE), b"")
