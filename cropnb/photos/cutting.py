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
from cropnb.photos.traits import Timing, frames_of, reading, tiff_pages, timing_of

if TYPE_CHECKING:
    from cropnb.photos.opened import OpenedPhoto


_DEEP_FRAMES = "of more than 8 bits, only the first of {} frames was written"


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
        images: list[Image.Image] = []
        if traits.frames > 1:
            images, own, timing, lost = self._frames(form)
            notes += lost
        if not images:
            image, first = self._first()
            images, own = [image], [first]
        if form == "TIFF":  # of an animation, later pages get what their pixels need
            page = Metadata(icc=own[0].icc, dpi=own[0].dpi)
            own += [page] * (len(images) - len(own))
        if form == "TIFF" and all(map(pixels.has_clear_level, images)) and deep.available():
            greys = [fitting.deep_grey_alpha(image) for image in images]  # Pillow can't
            own, lost = self._own(own, images, strip, strip_location)
            deep.write(greys, path, form, False, photo.name)
            return notes + lost + writers.finish_deep(path, form, "L", own)
        fitted = [fitting.fit(image, form) for image in images]
        images = [image for image, _ in fitted]
        notes += list(dict.fromkeys(note for _, lost in fitted for note in lost))
        if timing is not None and len({image.mode for image in images}) > 1:
            clear = any(image.has_transparency_data for image in images)
            mode = "RGBA" if clear else "RGB"
            images = [fitting.fit(image.convert(mode), form)[0] for image in images]
        own = [
            replace(one, icc=image.info.get("icc_profile", b"") if one.icc else b"")
            for one, image in zip(own, images, strict=False)
        ]
        own, lost = self._own(own, images, strip, strip_location)
        left_out = writers.write(
            frames=images,
            path=path,
            form=form,
            traits=traits,
            timing=timing,
            metadata=own,
            quality=quality,
        )
        return notes + lost + left_out

    def _write_deep(
        self, path: Path, form: str, quality: int | None, strip: bool, strip_location: bool
    ) -> list[str]:
        own = [self.photo.header_metadata()]
        array, reader = self.array(), self.photo.deep_pixels()
        fitted, notes = fitting.fit_deep(array, form, reader.cmyk, reader.own_range)
        small = array[:: max(len(array) // 320, 1), :: max(array.shape[1] // 320, 1)]
        small = pixels.seen(deep.to_8_bit(small, reader.cmyk, reader.own_range))
        further, further_own, lost_frames = self._further_pages(array, form)
        own, lost = self._own(own + further_own, [small], strip, strip_location)
        notes += lost_frames
        if isinstance(fitted, np.ndarray):
            deep.write([fitted, *further], path, form, reader.cmyk, self.photo.name)
            mode = "CMYK" if reader.cmyk else "L" if fitted.shape[-1] < 3 else "RGB"
            return notes + lost + writers.finish_deep(path, form, mode, own)
        if reader.cmyk:
            own = [replace(own[0], icc=b"")]
        traits = replace(self.photo.traits, format=None)
        left_out = writers.write(
            frames=[fitted],
            path=path,
            form=form,
            traits=traits,
            timing=None,
            metadata=own,
            quality=quality,
        )
        return notes + lost + left_out

    def _own(
        self, own: list[Metadata], images: list[Image.Image], strip: bool, strip_location: bool
    ) -> tuple[list[Metadata], list[str]]:
        """The metadata of each page, corrected. No page behind the first has a thumbnail."""
        own = [metadata.turned(one, self.photo.turn) for one in own]
        if strip:
            return [metadata.stripped(one) for one in own], []
        small = None
        if own[0].exif:
            side = metadata.THUMBNAIL_SIDE
            small = pixels.seen(images[0], pixels.seen_size(*images[0].size, side))
        corrected = [metadata.corrected(one, small, self.size, strip_location) for one in own]
        notes = dict.fromkeys(note for _, lost in corrected for note in lost)
        return [one for one, _ in corrected], list(notes)

    def _further_pages(
        self, first: np.ndarray, form: str
    ) -> tuple[list[np.ndarray], list[Metadata], list[str]]:
        """What follows the first page of a deep TIFF, where a TIFF is written, and what doesn't."""
        photo, count = self.photo, self.photo.traits.frames
        if count == 1:
            return [], [], []
        if photo.traits.format != "TIFF":
            return [], [], [_DEEP_FRAMES.format(count)]
        if form != "TIFF":
            return [], [], [f"{form} holds no pages: the first of {count} was written"]
        check_size(*photo.size, photo.name, photo.limit, count)
        note = f"pages of several kinds: the first of {count} was written"
        pages, own = [], []
        with reading(photo.source) as stream:
            for page, place in enumerate(tiff_pages(photo.source, photo.name)[1:], 1):
                gathered, turn = metadata.gather_tiff(stream, place)
                try:
                    array = self._deep_array(page)
                except ImageError:  # smaller than the box, damaged, or of 8 bits
                    return [], [], [note]
                if (array.shape, array.dtype, turn) != (first.shape, first.dtype, photo.turn):
                    return [], [], [note]
                pages.append(array)
                own.append(gathered)
        return pages, own, []

    def _first(self) -> tuple[Image.Image, Metadata]:
        """The crop of the first frame, and the metadata of the photo."""
        if self.photo.in_process:  # decoded for this crop only
            part, own = self.photo.part(self.box)
            return self._resized(part, part.info), own
        image, own = self.photo.upright()
        return self._cut(image), own

    def _frames(
        self, form: str
    ) -> tuple[list[Image.Image], list[Metadata], Timing | None, list[str]]:
        """All frames alike where the format holds them; none where the first has to do."""
        # A TIFF holds an animation's frames as pages. Pages have no times, so nothing makes an
        # animation of them.
        photo, count = self.photo, self.photo.traits.frames
        pages = photo.traits.format == "TIFF"
        if form != "TIFF" and (pages or form not in writers.ANIMATED):
            what = "pages" if pages else "frames"
            return [], [], None, [f"{form} holds no {what}: the first of {count} was written"]
        images, durations, own = [], [], []
        with photo.lock, photo.opened() as image:
            if form != "TIFF" and image.mode == "I;16":  # Pillow would take parts of frames for all
                return [], [], None, [_DEEP_FRAMES.format(count)]
            metadata.preload(image)
            for frame, duration in frames_of(image, photo.name, photo.limit):
                problem = "sizes" if frame.size != photo.size else ""
                if pages:
                    own.append(metadata.gather(image))
                    problem = problem or ("kinds" if deep.lost_bits(image, b"") else "")
                if problem:
                    note = f"pages of several {problem}: the first of {count} was written"
                    return [], [], None, [note]
                images.append(self._cut(frame))
                durations.append(duration)
            timing = None if pages else timing_of(image, durations)
            own = own or [metadata.gather(image)]  # PNG's texts may stand behind its frames
        if pages or form != "TIFF":
            return images, own, timing, []
        note = f"TIFF holds no animation: its {count} frames became pages, without their times"
        return images, own, timing, [note]

    def _cut(self, image: Image.Image) -> Image.Image:
        with own_limit():
            return self._resized(image.crop(self.box), image.info)

    def _resized(self, crop: Image.Image, info: dict[str, Any]) -> Image.Image:
        """A crop in the size that was asked for, with what of its photo's `info` it needs."""
        keep = ("icc_profile", "transparency")
        crop.info = {key: info[key] for key in keep if key in info}
        if self.size == sides(self.box):
            return crop
        profile, crop = crop.info.get("icc_profile"), pixels.in_own_order(crop)
        if pixels.has_clear_level(crop):
            resized = pixels.resized_with_clear_level(crop, self.size)
            resized.info |= {"icc_profile": profile} if profile else {}
            return resized
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
