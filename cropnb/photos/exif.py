"""EXIF blocks, corrected where they lie: nothing moves, so that makers' notes, which point into the
block, still hold.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION, EXIF, GPS, INTEROP = 0x0112, 0x8769, 0x8825, 0xA005
IMAGE_WIDTH, IMAGE_HEIGHT = 0x0100, 0x0101
THUMBNAIL, THUMBNAIL_LENGTH, THUMBNAIL_STRIPS = 0x0201, 0x0202, 0x0111
_SUBJECT = (0x9214, 0xA214)  # areas in pixels of the whole photo
_WIDTHS, _HEIGHTS = (IMAGE_WIDTH, 0xA002, 0x1001), (IMAGE_HEIGHT, 0xA003, 0x1002)
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
MOST_ENTRIES = 4096


class DamagedExif(ValueError):
    """A block that can't be walked through."""


@dataclass(frozen=True)
class _Entry:
    """One of a directory: `place` is where its 12 bytes lie."""

    tag: int
    kind: int
    count: int
    place: int


class Block:
    """A TIFF structure in memory: `II*\\0…` or `MM\\0*…`."""

    def __init__(self, data: bytes):
        self.data = bytearray(data)
        self.order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
        if not self.order or self._read("H", 2) != 42:
            raise DamagedExif("no TIFF header")
        self.first = self._read("I", 4)
        self._to_clear = 2 * len(data)  # bytes: no more than this belongs to what is left out

    def corrected(
        self, width: int, height: int, thumbnail: bytes | None, drop_location: bool = False
    ) -> bytes:
        """The block for a crop of this size: upright, with its own sizes, and with `thumbnail`
        where there was one, or none.
        """
        for directory in self._main(self.first):
            for entry in self._entries(directory):
                if entry.tag == ORIENTATION:
                    self._set(entry, 1)
                elif entry.tag in _WIDTHS:
                    self._set(entry, width)
                elif entry.tag in _HEIGHTS:
                    self._set(entry, height)
            for tag in _SUBJECT:
                self._drop(directory, tag)
        if drop_location:
            self._drop_location()
        self._replace_thumbnail(thumbnail)
        return bytes(self.data)

    def has(self, tag: int) -> bool:
        """Whether the first directory has the tag."""
        return any(entry.tag == tag for entry in self._entries(self.first))

    def _main(self, first: int) -> Iterator[int]:
        """First directory, EXIF's and interoperability's, each once: they may form a ring."""
        passed = {first}
        yield first
        for tag in (EXIF, INTEROP):
            for directory in tuple(passed):
                for entry in self._entries(directory):
                    below = self._read("I", entry.place + 8)
                    if entry.tag == tag and below not in passed:
                        passed.add(below)
                        yield below
                        break  # a second one of a kind is nobody's

    def _drop_location(self) -> None:
        locations = [entry for entry in self._entries(self.first) if entry.tag == GPS]
        if len(locations) > 1:
            raise DamagedExif("more than one place")
        for entry in locations:
            self._wipe(self._read("I", entry.place + 8))
        self._drop(self.first, GPS)

    def _replace_thumbnail(self, thumbnail: bytes | None) -> None:
        link = self._link(self.first)
        second = self._read("I", link)
        if not second:
            return
        entries = {entry.tag: entry for entry in self._entries(second)}
        start, length = entries.get(THUMBNAIL), entries.get(THUMBNAIL_LENGTH)
        if start and length:
            self._zero(self._read("I", start.place + 8), self._value(length))
        if thumbnail is None or not start or not length:
            self._wipe(second)
            self._write("I", link, 0)
            return
        if len(self.data) % 2:
            self.data += b"\0"
        for entry, value in ((start, len(self.data)), (length, len(thumbnail))):
            self._write("H", entry.place + 2, 4)
            self._write("I", entry.place + 8, value)
        if ORIENTATION in entries:
            self._set(entries[ORIENTATION], 1)
        for tag in (IMAGE_WIDTH, IMAGE_HEIGHT):
            if tag in entries:
                self._drop(second, tag)
        self.data += thumbnail

    def _wipe(self, directory: int) -> None:
        """Zero a directory with all that it points to."""
        entries = list(self._entries(directory))
        for entry in entries:
            size = _TYPE_BYTES.get(entry.kind, 1) * entry.count
            if size > 4:
                self._zero(self._read("I", entry.place + 8), size)
            if entry.tag == THUMBNAIL_STRIPS and (lengths := self._strip_lengths(entries)):
                self._zero(self._read("I", entry.place + 8), lengths)
        self._zero(directory, 2 + 12 * len(entries) + 4)

    def _strip_lengths(self, entries: list[_Entry]) -> int:
        return next(
            (self._value(entry) for entry in entries if entry.tag == 0x0117 and entry.count == 1), 0
        )

    def _drop(self, directory: int, tag: int) -> None:
        """Take an entry out of a directory: those behind it move up by one."""
        for entry in self._entries(directory):
            if entry.tag == tag:
                end = self._link(directory) + 4
                rest = self.data[entry.place + 12 : end]
                self.data[entry.place : end] = rest + bytes(12)
                self._write("H", directory, self._read("H", directory) - 1)
                return

    def _entries(self, directory: int) -> list[_Entry]:
        count = self._read("H", directory)
        if count > MOST_ENTRIES:
            raise DamagedExif(f"a directory of {count} entries")
        places = [directory + 2 + 12 * index for index in range(count)]
        return [
            _Entry(
                self._read("H", place),
                self._read("H", place + 2),
                self._read("I", place + 4),
                place,
            )
            for place in places
        ]

    def _link(self, directory: int) -> int:
        """Where a directory says where the next one is."""
        return directory + 2 + 12 * self._read("H", directory)

    def _value(self, entry: _Entry) -> int:
        return self._read("H" if entry.kind == 3 else "I", entry.place + 8)

    def _set(self, entry: _Entry, value: int) -> None:
        if entry.count == 1 and entry.kind == 3 and value < 1 << 16:
            self._write("I", entry.place + 8, 0)
            self._write("H", entry.place + 8, value)
        elif entry.count == 1 and entry.kind in (3, 4):
            self._write("H", entry.place + 2, 4)
            self._write("I", entry.place + 8, value)

    def _zero(self, start: int, length: int) -> None:
        self._to_clear -= length
        if start + length > len(self.data) or self._to_clear < 0:
            raise DamagedExif("a value that lies outside")
        self.data[start : start + length] = bytes(length)

    def _read(self, form: str, place: int) -> int:
        try:
            return struct.unpack_from(self.order + form, self.data, place)[0]
        except struct.error as error:
            raise DamagedExif("a directory that lies outside") from error

    def _write(self, form: str, place: int, value: int) -> None:
        try:
            struct.pack_into(self.order + form, self.data, place, value)
        except struct.error as error:
            raise DamagedExif("a directory that lies outside") from error
