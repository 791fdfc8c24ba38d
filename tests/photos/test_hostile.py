"""Files that were made to do harm, or to take for ever: read in a moment, or refused."""

import struct
import subprocess
import sys
import time
import warnings
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

import cropnb
from cropnb.errors import ImageError, PhotoWarning
from cropnb.photos import exif as exif_blocks
from cropnb.photos import open_photo, texts

SECONDS = 10  # for what takes a fraction of one, and took minutes to years


def directory(*entries, following=0):
    """A TIFF directory of (tag, type, count, value)."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


XMP = {
    "elements without end": b"<xmp:Thumbnails>",
    "tags without end": b"<xmp:Thumbnails ",
    "places without end": b"<exif:GPSLatitude>",
    "attributes without end": b'<a exif:GPSLatitude="',
    "values without end": b"<tiff:ImageWidth>",
    "quotes": b"<a '\"",
    "spaces": b"<a tiff:Orientation \t\n",
}


@pytest.mark.parametrize("kind", XMP)
def test_a_packet_takes_time_by_its_length_alone(kind):
    packet = (XMP[kind] * 60_000)[: 1 << 20]
    started = time.process_time()
    with suppress(texts.DamagedXmp):
        texts.corrected_xmp(packet, 30, 20, drop_location=True)
    assert time.process_time() - started < SECONDS


def test_elements_in_each_other_go_whole_and_a_sign_in_a_value_is_no_end():
    packet = (
        b"<x a=\"1 > 2\" tiff:Orientation='6'><xmp:Thumbnails><xmp:Thumbnails>A</xmp:Thumbnails>B"
        b"</xmp:Thumbnails><exif:GPSLatitude/><exif:GPSTimeStamp>9</exif:GPSTimeStamp>"
        b'<tiff:ImageWidth x="y">60</tiff:ImageWidth><y exif:GPSLongitude = "13,24E" b="c"/></x>'
    )
    assert texts.corrected_xmp(packet, 30, 20, drop_location=True) == (
        b'<x a="1 > 2" tiff:Orientation=\'1\'><tiff:ImageWidth x="y">30</tiff:ImageWidth>'
        b'<y b="c"/></x>'
    )


def test_xmp_that_cannot_be_corrected_is_left_out_and_named(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "photo.jpg", xmp=b"<x><xmp:Thumbnails>AAAA</x>")
    with pytest.warns(PhotoWarning, match=r"XMP packet is damaged \(xmp:Thumbnails has no end"):
        open_photo(tmp_path / "photo.jpg").cut((0, 0, 9, 9)).save(tmp_path / "crop.jpg")
    assert b"Thumbnails" not in (tmp_path / "crop.jpg").read_bytes()


def test_exif_directories_that_point_at_each_other_are_passed_once():
    pointers = [
        (tag, 4, 1, 8) for tag in (exif_blocks.EXIF, exif_blocks.INTEROP) for _ in range(2000)
    ]
    block = b"II*\0" + struct.pack("<I", 8) + directory(*pointers)
    started = time.process_time()
    assert exif_blocks.Block(block).corrected(30, 20, None)
    assert time.process_time() - started < SECONDS


def test_places_that_overlap_are_not_cleared_for_ever():
    values = [(5, 1, 1_000_000, 60_000)] * 4000
    gps = directory((exif_blocks.GPS, 4, 1, 26))
    block = b"II*\0" + struct.pack("<I", 8) + gps + directory(*values)
    block += bytes(1_060_001 - len(block))
    started = time.process_time()
    with pytest.raises(exif_blocks.DamagedExif):
        exif_blocks.Block(block).corrected(30, 20, None, drop_location=True)
    assert time.process_time() - started < SECONDS
    twice = directory((exif_blocks.GPS, 4, 1, 60), (exif_blocks.GPS, 4, 1, 90))
    with pytest.raises(exif_blocks.DamagedExif, match="more than one place"):
        exif_blocks.Block(b"II*\0" + struct.pack("<I", 8) + twice + bytes(90)).corrected(
            30, 20, None, drop_location=True
        )


@pytest.mark.parametrize("pages", [3, 10_001])
def test_a_tiff_of_endless_pages_is_refused(tmp_path, pages):
    stream = BytesIO()
    Image.new("L", (4, 4)).save(stream, "TIFF")
    data = bytearray(stream.getvalue())
    first = struct.unpack_from("<I", data, 4)[0]
    link = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    page, start = bytes(data[first:link]), len(data)
    struct.pack_into("<I", data, link, start)
    for number in range(1, pages):
        end = start + number * (len(page) + 4)
        data += page + struct.pack("<I", end if number < pages - 1 else first)  # in a ring
    started = time.process_time()
    if pages == 3:
        assert open_photo(bytes(data)).traits.frames == 3
        return
    with pytest.raises(ImageError, match="more than 10,000 pages"):
        open_photo(bytes(data))
    assert time.process_time() - started < SECONDS


def test_nothing_is_imported_from_the_folder_of_the_photos(tmp_path):
    """Large photos are decoded by a process of its own, which is started where the reader is."""
    for name in ("json.py", "numpy.py", "PIL.py", "cropnb.py"):
        (tmp_path / name).write_text("open('trace', 'w').close()\n")
    Image.new("RGB", (90, 60)).save(tmp_path / "photo.png")
    program = (
        "import cropnb.photos.opened as opened\nopened.LARGE = 1000\n"
        "photo = opened.open_photo('photo.png')\nassert photo.aside\n"
        "photo.cut((0, 0, 30, 30)).save('crop.png')\n"
    )
    package = Path(cropnb.__file__).parents[1]
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "crop.png").exists()
    assert not (tmp_path / "trace").exists()


def test_damaged_exif_is_read_without_a_word_of_pillows(tmp_path):
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory((0x0112, 3, 900, 5000))[:-4]
    Image.new("RGB", (60, 40)).save(tmp_path / "photo.jpg", exif=block)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_photo(tmp_path / "photo.jpg").size == (60, 40)


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def deep_animation(frames, kind):
    """A PNG of 16-bit frames (H, W) or (H, W, 3)."""
    height, width = frames[0].shape[:2]
    header = struct.pack(">2I5B", width, height, 16, kind, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"acTL", struct.pack(">2I", len(frames), 0))
    for number, pixels in enumerate(frames):
        order = struct.pack(">I", max(2 * number - 1, 0))
        place = struct.pack(">4I2H2B", width, height, 0, 0, 1, 9, 0, 0)
        rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))
        data += chunk(b"fcTL", order + place)
        data += chunk(b"fdAT", struct.pack(">I", 2 * number) + rows) if number else b""
        data += b"" if number else chunk(b"IDAT", rows)
    return data + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_the_frames_of_deep_greys_become_pages_or_are_named(tmp_path, suffix):
    frames = np.random.default_rng(0).integers(0, 65536, (3, 8, 9), np.uint16)
    (tmp_path / "photo.png").write_bytes(deep_animation(frames, 0))
    cut = open_photo(tmp_path / "photo.png").cut((1, 2, 9, 8))
    with pytest.warns(PhotoWarning, match="3 frames became pages"):
        cut.save(tmp_path / "crop.tif")
    with Image.open(tmp_path / "crop.tif") as image:
        for page, frame in zip(ImageSequence.Iterator(image), frames, strict=True):
            np.testing.assert_array_equal(np.asarray(page), frame[2:8, 1:9])
    with pytest.warns(PhotoWarning, match="only the first of 3 frames"):
        cut.save(tmp_path / f"crop.{suffix}")


def test_the_frames_of_a_deep_animation_are_not_lost_without_a_word(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (8, 9, 3), np.uint16)
    (tmp_path / "photo.png").write_bytes(deep_animation([pixels, pixels], 2))
    photo = open_photo(tmp_path / "photo.png")
    assert photo.traits.frames == 2
    with pytest.warns(PhotoWarning, match="only the first of 2 frames"):
        photo.cut((0, 0, 9, 8)).save(tmp_path / "crop.png")
