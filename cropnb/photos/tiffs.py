"""Metadata put into a TIFF that has been written already, by Pillow or by libvips."""

import struct
from collections.abc import Sequence
from pathlib import Path

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from cropnb.photos.exif import EXIF, GPS, INTEROP, ORIENTATION
from cropnb.photos.guard import quiet
from cropnb.photos.metadata import (
    ICC_TAG,
    IPTC_TAG,
    PHOTOSHOP_TAG,
    XMP_TAG,
    Metadata,
    exif_object,
)

_RESOLUTION = 282, 283, 296
_STRIP_OFFSETS, _BYTE, _LONG, _UNDEFINED = 273, 1, 4, 7


def splice_tiff(path: Path, pages: Sequence[Metadata]) -> list[str]:
    """Add EXIF, XMP, IPTC, profile and resolution of each page: new directories at the end of the
    file.

    Returns:
        what had to be left out, in words.
    """
    notes: list[str] = []
    with open(path, "r+b") as stream:
        header = stream.read(8)
        order = ">" if header[:2] == b"MM" else "<"
        if struct.unpack(order + "H", header[2:4])[0] != 42:
            return ["a TIFF of more than 4 GB holds no metadata"]
        link = 4  # where it stands where the page's directory lies
        for metadata in pages:
            directory = ImageFileDirectory_v2(header)
            stream.seek(link)
            stream.seek(struct.unpack(order + "I", stream.read(4))[0])
            directory.load(stream)
            dict(directory)  # read every tag now, while the file is as it was
            following, strips = directory.next, directory[_STRIP_OFFSETS]
            notes += _add(directory, metadata)
            end = stream.seek(0, 2)
            offset = end + end % 2
            data = _serialised(directory, order, offset, following, strips)
            stream.write(bytes(offset - end) + data)
            stream.seek(link)
            stream.write(struct.pack(order + "I", offset))
            link = offset + 2 + 12 * struct.unpack_from(order + "H", data)[0]
    return list(dict.fromkeys(notes))


def _add(directory: ImageFileDirectory_v2, metadata: Metadata) -> list[str]:
    for tag, data in (
        (XMP_TAG, metadata.xmp),
        (IPTC_TAG, metadata.iptc),
        (PHOTOSHOP_TAG, metadata.photoshop),
        (ICC_TAG, metadata.icc),
    ):
        if data:
            directory.tagtype[tag] = _BYTE if tag == XMP_TAG else _UNDEFINED
            directory[tag] = data
    for tag in _RESOLUTION:  # libvips writes one that nobody gave
        directory.pop(tag, None)
    if metadata.dpi:
        directory[282], directory[283], directory[296] = *metadata.dpi, 2
    return _add_exif(directory, metadata.exif)


def _serialised(
    directory: ImageFileDirectory_v2,
    order: str,
    offset: int,
    following: int,
    strips: tuple[int, ...],
) -> bytes:
    """The directory for this place in the file, in which the strips stay where they are."""
    # Pillow takes them to follow the directory and moves what points to them.
    directory.tagtype[_STRIP_OFFSETS] = _LONG
    directory[_STRIP_OFFSETS] = tuple(0 for _ in strips)  # nothing that could overflow
    data = bytearray(directory.tobytes(offset))
    count = struct.unpack_from(order + "H", data)[0]
    struct.pack_into(order + "I", data, 2 + 12 * count, following)
    for place in range(2, 2 + 12 * count, 12):
        if struct.unpack_from(order + "H", data, place)[0] == _STRIP_OFFSETS:
            target = place + 8
            if len(strips) > 1:
                target = struct.unpack_from(order + "I", data, place + 8)[0] - offset
            struct.pack_into(f"{order}{len(strips)}I", data, target, *strips)
    return bytes(data)


def _add_exif(directory: ImageFileDirectory_v2, block: bytes) -> list[str]:
    if not block:
        return []
    try:
        with quiet():
            exif = exif_object(block)
            for tag, value in exif.items():
                if tag not in (EXIF, GPS) and tag not in directory and tag != ORIENTATION:
                    directory[tag] = value
            for tag in (EXIF, GPS):
                if inner := dict(exif.get_ifd(tag)):
                    if INTEROP in inner:
                        inner[INTEROP] = dict(exif.get_ifd(INTEROP))
                    directory.tagtype[tag] = _LONG
                    directory[tag] = inner
            directory[ORIENTATION] = 1
            directory.tobytes(8)  # it can be written
    except Exception as error:
        for tag in (EXIF, GPS):
            if tag in directory:
                del directory[tag]
        return [f"EXIF that can't be rewritten was left out ({error})"]
    return []
