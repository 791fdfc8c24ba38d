"""XMP packets and Photoshop's resource blocks, where IPTC lies: corrected for a crop."""

import re
import struct

IPTC_RESOURCE = 0x0404
# Small copies of the uncropped photo, its EXIF and XMP once more, and paths in its pixels.
_STALE_RESOURCES = {0x0409, 0x040C, 0x0422, 0x0423, 0x0424, *range(0x07D0, 0x0BB7)}
_WIDTHS = rb"tiff:ImageWidth|exif:PixelXDimension"
_HEIGHTS = rb"tiff:ImageLength|exif:PixelYDimension"
_STALE_ELEMENTS = (rb"xmp:Thumbnails", rb"xapGImg:Thumbnails", rb"mwg-rs:Regions")
# The address of extended XMP, which holds depth maps and second pictures of the whole photo.
_STALE_ATTRIBUTES = (rb"xmpNote:HasExtendedXMP", rb"photoshop:SidecarForExtension")
_LOCATION = rb"[\w-]+:GPS\w+"


def corrected_xmp(packet: bytes, width: int, height: int, drop_location: bool = False) -> bytes:
    """An XMP packet for a crop of this size, upright."""
    for names, value in (
        (rb"tiff:Orientation", b"1"),
        (_WIDTHS, b"%d" % width),
        (_HEIGHTS, b"%d" % height),
    ):
        packet = re.sub(
            rb"((?:%s)\s*=\s*[\"'])[^\"']*" % names, lambda match, new=value: match[1] + new, packet
        )
        packet = re.sub(
            rb"(<(?:%s)(?:\s[^>]*)?>)[^<]*(?=</)" % names,
            lambda match, new=value: match[1] + new,
            packet,
        )
    for name in _STALE_ELEMENTS:
        packet = _without_element(packet, name)
    for name in _STALE_ATTRIBUTES:
        packet = _without_attribute(packet, name)
    if drop_location:
        packet = _without_element(_without_attribute(packet, _LOCATION), _LOCATION)
    return packet


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


def _without_attribute(packet: bytes, name: bytes) -> bytes:
    return re.sub(rb"\s%s\s*=\s*(\"[^\"]*\"|'[^']*')" % name, b"", packet)


def _without_element(packet: bytes, name: bytes) -> bytes:
    packet = re.sub(rb"<(%s)(?:\s[^>]*)?/>" % name, b"", packet)
    return re.sub(rb"<(%s)(?:\s[^>]*)?>.*?</\1\s*>" % name, b"", packet, flags=re.DOTALL)
