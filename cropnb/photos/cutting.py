"""A cut of a photo: as an image, or written to a file, with all that the photo had."""

import os
import tempfile
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from cropnb.errors import ImageError, PhotoWarning, SaveError
from cropnb.photos import aside, deep, fitting, metadata, pixels, writers
from cropnb.photos.atomic import replacing
from cropnb.photos.geometry import Box, sides, stored_box, target_size, turned
from cropnb.photos.guard import check_size, own_limit
from cropnb.photos.metadata import Metadata
from cropnb.photos.traits import Timing, frames_of, timing_of

if TYPE_CHECKING:
    from cropnb.photos.opened import OpenedPhoto


class CutPhoto:
    """A box of a photo, perhaps resized. The pixels are cut when they are asked for.

    Attributes:
        photo: the photo that it is of.
        box: x1 y1 x2 y2, whole upright pixels.
        size: width and height of the crop.
    """

    def __init__(self, photo: "OpenedPhoto", box: Box, size: tuple[int, int] | None, enlarge: bool):
        self.photo, self.box = photo, box
        self.size = target_size(box, size, enlarge)

    def __repr__(self) -> str:
        return f"CutPhoto({list(self.box)} of {self.photo!r})"

    def image(self) -> Image.Image:
        """The crop at its full depth and in its own mode, with `icc_profile`, `exif` and `xmp` of
        the crop in `.info`.

        Colours of more than 8 bits, which PIL can't hold, come as 8-bit with a `PhotoWarning`:
        `array` gives them whole.

        Raises:
            ImageError: for a damaged photo.
        """
        if self.photo.deep_pixels() is not None:
            array, inks = self.array(), self.photo.deep_pixels().cmyk
            if array.shape[-1] == 1 and array.dtype.name in ("uint16", "float32"):
                return Image.fromarray(array[..., 0])
            self._warn(["PIL holds 8 bits of colour: use array() for all of them"], stacklevel=3)
            return deep.to_8_bit(array, inks, self.photo.deep_pixels().own_range)
        image, own = self._first()
        own, _ = metadata.corrected(own, None, self.size, drop_location=False)
        info = {"icc_profile": own.icc, "exif": own.exif and b"Exif\0\0" + own.exif, "xmp": own.xmp}
        image.info |= {key: value for key, value in info.items() if value}
        return image

    def array(self) -> np.ndarray:
        """The crop's pixels (H, W) or (H, W, C) at full depth, upright."""
        if self.photo.deep_pixels() is None:
            return np.asarray(self._first()[0])
        return self._deep_array()

    def _deep_array(self, page: int | None = None) -> np.ndarray:
        reader, turn = self.photo.deep_pixels(), self.photo.turn
        box = stored_box(self.box, self.photo.size, turn)
        array = reader.array(box, page)
        if self.size != sides(self.box):
            size = self.size[::-1] if turn >= 5 else self.size
            array = deep.resized(array, size, reader.cmyk)
        return np.ascontiguousarray(turned(array, turn))

    def save(
        self,
        file: str | os.PathLike | BinaryIO,
        *,
        format: str | None = None,
        quality: int | None = None,
        strip: bool = False,
        strip_location: bool = False,
        overwrite: bool = True,
    ) -> list[str]:
        """Write the crop with all that the photo had and the format can hold: depth, transparency,
        frames, profile, EXIF (upright, with sizes and thumbnail of the crop), XMP, IPTC, texts,
        and the modification time. A JPEG of a JPEG gets its quantisation tables and subsampling.

        Args:
            file: a path, or a binary file that is open for writing.
            format: such as "JPEG"; by default by the path's ending, else the photo's own.
            quality: 1…100 for JPEG and WebP, instead of the photo's own.
            strip: leave out all metadata; the colour profile stays.
            strip_location: leave out GPS positions in EXIF and XMP.
            overwrite: False refuses to replace a file.

        Returns:
            what the crop could not keep, a sentence each; each is issued as a `PhotoWarning` too.

        Raises:
            ImageError: for a damaged photo, or one that needs the extra `photos` to be kept whole.
            SaveError: when the file can't be written; then nothing of it is there.
        """
        form = self._format(file, format)
        if quality is not None and not 1 <= quality <= 100:
            raise SaveError(f"a quality is a number in 1…100, not {quality!r}")
        longest = fitting.LONGEST_SIDE.get(form)
        if longest and max(self.size) > longest:
            raise SaveError(
                f"{_name(file)} would be {self.size[0]} × {self.size[1]}, and {form} holds sides "
                f"of {longest} pixels at most; choose a size or another format"
            )
        job = {"form": form, "quality": quality, "strip": strip, "strip_location": strip_location}
        if self.photo.aside:
            write = partial(aside.write, self, job=job)
        else:
            write = partial(self.write, **job)
        if isinstance(file, (str, os.PathLike)):
            with replacing(Path(file), overwrite, self.photo.modified) as temporary:
                notes = write(temporary)
        else:
            with tempfile.TemporaryDirectory(prefix="cropnb-") as folder:
                temporary = Path(folder) / "crop"
                notes = write(temporary)
                file.write(temporary.read_bytes())
        self._warn(notes, stacklevel=3)
        return notes

    def write(
        self, path: Path, form: str, quality: int | None, strip: bool, strip_location: bool
    ) -> list[str]:
        """Write to a path that is nobody's yet; as `save`, which does the rest."""
        photo, traits = self.photo, self.photo.traits
        timing: Timing | None = None
        notes = list(photo.notes)
        if photo.deep_pixels() is not None:
            return notes + self._write_deep(path, form, quality, strip, strip_location)
        images, own = [], Metadata()
        if traits.frames > 1:
            images, own, timing, lost = self._frames(form)
            notes += lost
        if not images:
            image, own = self._first()
            images = [image]
        if form == "TIFF" and pixels.has_clear_level(images[0]) and deep.available():
            array = fitting.deep_grey_alpha(images[0])  # Pillow writes no such pair
            own, lost = self._own(own, images[0], strip, strip_location)
            deep.write([array], path, form, False, photo.name)
            return notes + lost + writers.finish_deep(path, form, own)
        fitted = [fitting.fit(image, form) for image in images]
        images = [image for image, _ in fitted]
        notes += list(dict.fromkeys(note for _, lost in fitted for note in lost))
        if len({image.mode for image in images}) > 1:
            images = [fitting.fit(image.convert("RGBA"), form)[0] for image in images]
        own = replace(own, icc=images[0].info.get("icc_profile", b"") if own.icc else b"")
        own, lost = self._own(own, images[0], strip, strip_location)
        return notes + lost + writers.write(images, path, form, traits, timing, own, quality)

    def _write_deep(
        self, path: Path, form: str, quality: int | None, strip: bool, strip_location: bool
    ) -> list[str]:
        own = self.photo.header_metadata()
        array, reader = self.array(), self.photo.deep_pixels()
        fitted, notes = fitting.fit_deep(array, form, reader.cmyk, reader.own_range)
        small = array[:: max(len(array) // 320, 1), :: max(array.shape[1] // 320, 1)]
        small = pixels.seen(deep.to_8_bit(small, reader.cmyk, reader.own_range))
        own, lost = self._own(own, small, strip, strip_location)
        further, lost_frames = self._further_pages(array, form)
        notes += lost_frames
        if isinstance(fitted, np.ndarray):
            deep.write([fitted, *further], path, form, reader.cmyk, self.photo.name)
            return notes + lost + writers.finish_deep(path, form, own)
        if reader.cmyk:
            own = replace(own, icc=b"")
        traits = replace(self.photo.traits, format=None)
        return notes + lost + writers.write([fitted], path, form, traits, None, own, quality)

    def _own(
        self, own: Metadata, image: Image.Image, strip: bool, strip_location: bool
    ) -> tuple[Metadata, list[str]]:
        if strip:
            return metadata.stripped(own), []
        small = None
        if own.exif:
            side = metadata.THUMBNAIL_SIDE
            small = pixels.seen(image, pixels.seen_size(*image.size, side))
        return metadata.corrected(own, small, self.size, strip_location)

    def _further_pages(self, first: np.ndarray, form: str) -> tuple[list[np.ndarray], list[str]]:
        """What follows the first page of a deep TIFF, where a TIFF is written, and what doesn't."""
        photo, count = self.photo, self.photo.traits.frames
        if count == 1:
            return [], []
        if photo.traits.format != "TIFF":
            return [], [f"of more than 8 bits, only the first of {count} frames was written"]
        if form != "TIFF":
            return [], [f"{form} holds no pages: the first of {count} was written"]
        check_size(*photo.size, photo.name, photo.limit, count)
        note = f"pages of several kinds: the first of {count} was written"
        pages = []
        for page in range(1, count):
            try:
                array = self._deep_array(page)
            except ImageError:  # smaller than the box, damaged, or of 8 bits
                return [], [note]
            if (array.shape, array.dtype) != (first.shape, first.dtype):
                return [], [note]
            pages.append(array)
        return pages, []

    def _first(self) -> tuple[Image.Image, Metadata]:
        """The crop of the first frame, and the metadata of the photo."""
        if self.photo.in_process:  # decoded for this crop only
            part, own = self.photo.part(self.box)
            return self._resized(part, part.info), own
        image, own = self.photo.upright()
        return self._cut(image), own

    def _frames(self, form: str) -> tuple[list[Image.Image], Metadata, Timing | None, list[str]]:
        """All frames alike where the format holds them; none where the first has to do."""
        photo = self.photo
        pages = photo.traits.format == "TIFF"
        if form not in writers.ANIMATED if not pages else form != "TIFF":
            what = "pages" if pages else "frames"
            note = f"{form} holds no {what}: the first of {photo.traits.frames} was written"
            return [], Metadata(), None, [note]
        images, durations, sizes = [], [], set()
        with photo.lock, photo.opened() as image:
            metadata.preload(image)
            own: Metadata | None = None
            for frame, duration in frames_of(image, photo.name, photo.limit):
                if own is None and pages:
                    own = metadata.gather(image)
                sizes.add(frame.size)
                if len(sizes) > 1:
                    note = f"pages of several sizes: the first of {photo.traits.frames} was written"
                    return [], Metadata(), None, [note]
                images.append(self._cut(frame))
                durations.append(duration)
            timing = None if pages else timing_of(image, durations)
            own = own or metadata.gather(image)  # PNG's texts may stand behind its frames
        return images, own, timing, []

    def _cut(self, image: Image.Image) -> Image.Image:
        with own_limit():
            return self._resized(image.crop(self.box), image.info)

    def _resized(self, crop: Image.Image, info: dict[str, Any]) -> Image.Image:
        """A crop in the size that was asked for, with what of its photo's `info` it needs."""
        keep = ("icc_profile", "transparency")
        crop.info = {key: info[key] for key in keep if key in info}
        if self.size == sides(self.box):
            return crop
        profile = crop.info.get("icc_profile")
        if crop.has_transparency_data:
            crop = pixels.with_alpha(crop)
        elif crop.mode in ("P", "1"):
            crop = crop.convert("L" if crop.mode == "1" else "RGB")
        crop = crop.resize(self.size, Image.Resampling.LANCZOS)
        crop.info = {"icc_profile": profile} if profile else {}
        return crop

    def _format(self, file: Any, form: str | None) -> str:
        suffix = Path(file).suffix.lower() if isinstance(file, (str, os.PathLike)) else ""
        if form is None:
            form = writers.SUFFIXES.get(suffix)
        if form is None and not suffix:
            form = self.photo.traits.format
            form = form if form in fitting.HOLDS else "PNG"
        form = {"JPG": "JPEG", "TIF": "TIFF"}.get(str(form).upper(), str(form).upper())
        if form not in fitting.HOLDS:
            raise SaveError(
                f"the crop can't be written as {_name(file)}; use one of "
                f"{', '.join(writers.SUFFIXES)}"
            )
        return form

    def _warn(self, notes: list[str], stacklevel: int) -> None:
        for note in notes:
            warnings.warn(f"{self.photo.name}: {note}", PhotoWarning, stacklevel=stacklevel + 1)


def _name(file: Any) -> str:
    return str(file) if isinstance(file, (str, os.PathLike)) else "the file"
