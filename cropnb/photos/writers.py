"""Each format's way to write pixels, frames and metadata."""

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from cropnb.photos.guard import own_limit, quiet
from cropnb.photos.metadata import Metadata, raw_profile, resolution_exif
from cropnb.photos.tiffs import splice_tiff
from cropnb.photos.traits import Timing, Traits

SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
}
ANIMATED = {"GIF", "WEBP", "PNG"}
JPEG_SEGMENT = 65_533  # bytes, of which XMP's name takes 29
_SPACES = {b"RGB ": {"RGB", "RGBA", "P"}, b"GRAY": {"L", "LA", "1", "I;16", "I", "F"}}
_SPACES[b"CMYK"] = {"CMYK"}
_TIFF_COMPRESSIONS = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "lzma"}
_BILEVEL = {"group3", "group4", "tiff_ccitt"}


def write(
    frames: list[Image.Image],
    path: Path,
    form: str,
    traits: Traits,
    timing: Timing | None,
    metadata: Sequence[Metadata],
    quality: int | None,
) -> list[str]:
    """Write frames, all in a mode that the format holds, with their metadata; returns what had to
    be left out, in words. The frames' `info` is emptied.

    Args:
        metadata: one for all frames; of pages one each.
    """
    own, notes = _with_fitting_profiles(metadata, form, [frame.mode for frame in frames])
    options, lost = _options(form, frames, traits, own[0], quality)
    notes += lost
    first = _plain(frames[0])
    if len(frames) > 1:
        options |= {"save_all": True, "append_images": [_plain(frame) for frame in frames[1:]]}
        options |= _played(form, timing, frames)
    with own_limit(), quiet():
        if form == "TIFF" and options["compression"] != "raw":
            first.save(path, form, **options)  # libtiff sees to what it writes
        else:
            with _Stream(io.FileIO(path, "w+")) as stream:
                first.save(stream, form, **options)
    if form == "TIFF":
        notes += splice_tiff(path, own)
    return notes


class _Stream(io.BufferedRandom):
    """A file that hides its number. Into a number Pillow writes by itself and doesn't look whether
    the disk took all of it: where the disk fills up, half a JPEG would pass for a whole one.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def finish_deep(path: Path, form: str, mode: str, metadata: Sequence[Metadata]) -> list[str]:
    """Put the metadata into a PNG or TIFF that has none yet.

    Args:
        mode: what the pixels would be with 8 bits.
        metadata: one for each page.
    """
    own, notes = _with_fitting_profiles(metadata, form, [mode] * len(metadata))
    small = Image.new(mode, (1, 1))
    options, lost = _options(form, [small], Traits(), own[0], None)
    notes += lost
    if form == "TIFF":
        return notes + splice_tiff(path, own)
    stream = io.BytesIO()
    small.save(stream, "PNG", **options)
    # Pillow has written the chunks; they go behind the header of the large file
    start = path.read_bytes()
    chunks = b"".join(
        chunk for kind, chunk in _png_chunks(stream.getvalue()) if kind not in (b"IHDR", b"IDAT")
    )
    chunks = chunks.removesuffix(next(c for k, c in _png_chunks(stream.getvalue()) if k == b"IEND"))
    path.write_bytes(start[:33] + chunks + start[33:])
    return notes


def profile_fits(profile: bytes, mode: str) -> bool:
    """Whether a colour profile is for images of this mode."""
    modes = _SPACES.get(profile[16:20])
    return mode in modes if modes else mode not in ("CMYK", "L", "LA", "1")


def _with_fitting_profiles(
    metadata: Sequence[Metadata], form: str, modes: Sequence[str]
) -> tuple[list[Metadata], list[str]]:
    """The metadata of each page without profiles that it can't have, and what was left out."""
    own, notes = list(metadata), []
    for place, (one, mode) in enumerate(zip(metadata, modes, strict=False)):
        if one.icc and form in ("BMP", "GIF"):
            notes.append(f"{form} holds no colour profile")
        elif one.icc and not profile_fits(one.icc, mode):
            notes.append("the colour profile is for another kind of colours, and was left out")
        else:
            continue
        own[place] = replace(one, icc=b"")
    return own, list(dict.fromkeys(notes))


def _options(
    form: str,
    frames: Sequence[Image.Image],
    traits: Traits,
    metadata: Metadata,
    quality: int | None,
) -> tuple[dict[str, Any], list[str]]:
    """What Pillow's `save` takes for a format."""
    options: dict[str, Any] = {}
    notes: list[str] = []
    same = traits.format == form
    if metadata.icc and form != "TIFF":  # there it is put in afterwards, page by page
        options["icc_profile"] = metadata.icc
    if metadata.dpi and form in ("JPEG", "PNG", "BMP"):
        options["dpi"] = metadata.dpi
    if form == "JPEG":
        options |= _jpeg(traits if same else None, quality)
        options |= _jpeg_segments(metadata, notes)
    elif form == "WEBP":
        lossless = traits.lossless and quality is None
        options |= {"lossless": lossless, "exact": lossless, "quality": quality or 95}
        if lossless:
            options["quality"] = 80  # there it is the effort
        exif = metadata.exif
        if metadata.dpi and not exif:
            exif = resolution_exif(metadata.dpi)
        options |= {"exif": exif or None, "xmp": metadata.xmp or None}
        options = {key: value for key, value in options.items() if value is not None}
        notes += _left_out(form, metadata, photoshop=True, comment=True)
    elif form == "PNG":
        options["pnginfo"] = _png_texts(metadata)
        if metadata.exif:
            options["exif"] = metadata.exif
    elif form == "TIFF":
        options["compression"] = _tiff_compression(traits, {frame.mode for frame in frames})
        notes += _left_out(form, metadata, comment=True)
    else:
        if form == "GIF" and metadata.comment:
            options["comment"] = metadata.comment
        notes += _left_out(
            form, metadata, exif=True, xmp=True, photoshop=True, comment=form == "BMP"
        )
    if form == "GIF" and metadata.dpi:
        notes.append("GIF holds no resolution")
    if form != "PNG" and metadata.texts:
        notes.append(f"{form} holds no text chunks: {', '.join(metadata.texts)} left out")
    return options, notes


def _left_out(form: str, metadata: Metadata, **parts: bool) -> list[str]:
    names = {"exif": "EXIF", "xmp": "XMP", "photoshop": "IPTC", "comment": "comment"}
    lost = [names[part] for part, lacking in parts.items() if lacking and getattr(metadata, part)]
    return [f"{form} holds no {', '.join(lost)}"] if lost else []


def _jpeg(traits: Traits | None, quality: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if traits is None:
        options = {"subsampling": 0, "quality": 95}
    else:
        options["progressive"] = traits.progressive
        if traits.keep_rgb:
            options["keep_rgb"] = True
        elif traits.subsampling >= 0:
            options["subsampling"] = traits.subsampling
        if traits.tables:
            options["qtables"] = [list(table) for table in traits.tables]
        else:
            options["quality"] = 95
    if quality is not None:
        options.pop("qtables", None)
        options["quality"] = quality
    return options


def _jpeg_segments(metadata: Metadata, notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    parts = (("exif", b"Exif\0\0" + metadata.exif, 0), ("xmp", metadata.xmp, 29))
    for name, data, overhead in (*parts, ("comment", metadata.comment, 0)):
        if not data or data == b"Exif\0\0":
            continue
        if len(data) + overhead > JPEG_SEGMENT:
            notes.append(f"JPEG holds 64 KB of {name.upper()} at most, so it was left out")
        else:
            options[name] = data
    if metadata.photoshop:
        data = b"Photoshop 3.0\0" + metadata.photoshop
        if len(data) > JPEG_SEGMENT:
            notes.append("JPEG holds 64 KB of IPTC at most, so it was left out")
        else:
            options["extra"] = b"\xff\xed" + struct.pack(">H", len(data) + 2) + data
    return options


def _png_texts(metadata: Metadata) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for kind, data in metadata.colour:
        info.add(kind, data)
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    if metadata.photoshop:
        text = raw_profile("iptc", metadata.photoshop)
        info.add_text("Raw profile type iptc", text, zip=True)
    if metadata.comment and "Comment" not in metadata.texts:
        info.add_text("Comment", metadata.comment.decode("utf-8", "replace"))
    for key, text in metadata.texts.items():
        if isinstance(text, PngImagePlugin.iTXt):
            info.add_itxt(key, text, text.lang or "", text.tkey or "")
        else:
            info.add_text(key, text)
    return info


def _tiff_compression(traits: Traits, modes: set[str]) -> str:
    compression = traits.compression if traits.format == "TIFF" else None
    if compression in _TIFF_COMPRESSIONS or (compression in _BILEVEL and modes == {"1"}):
        return compression
    return "tiff_adobe_deflate"


def _played(form: str, timing: Timing | None, frames: list[Image.Image]) -> dict[str, Any]:
    if form == "TIFF" or timing is None:
        return {}
    durations = [round(duration) for duration in timing.durations]
    if form == "PNG":
        still = {"default_image": True} if timing.still else {}
        return {
            **still,
            "duration": durations[1:] if timing.still else durations,
            "loop": timing.plays,
            "disposal": 0,
            "blend": 0,
        }
    if form == "WEBP":
        return {"duration": durations, "loop": timing.plays}
    clear = any("transparency" in frame.info for frame in frames)
    options = {"duration": durations, "disposal": 2 if clear else 1}
    if timing.plays != 1:  # GIF counts repetitions
        options["loop"] = max(timing.plays - 1, 0)
    return options


def _plain(image: Image.Image) -> Image.Image:
    """The image with nothing in its `info` that Pillow would write by itself."""
    image.info = {key: image.info[key] for key in ("transparency",) if key in image.info}
    return image


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunk = data[place : place + 12 + length]
        assert zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        chunks.append((chunk[4:8], chunk))
        place += len(chunk)
    return chunks
