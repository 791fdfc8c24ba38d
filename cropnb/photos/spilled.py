"""A part of a large photo that waits in a file while the photo's own memory is given back, so that
the two are never held together.
"""

import tempfile

from PIL import Image

from cropnb.photos.geometry import Box
from cropnb.photos.guard import own_limit
from cropnb.photos.pixels import TURNS

ROWS = 256  # that are written and read at a time
PLAIN = {"L", "RGB", "RGBA", "CMYK"}  # modes whose pixels are all that they have


class Spilled:
    """A box of a decoded image, in a temporary file; modes with a palette or of many bits, and
    whatever the disk has no room for, in memory.
    """

    def __init__(self, image: Image.Image, box: Box) -> None:
        self.mode, self.info = image.mode, image.info
        self.size = box[2] - box[0], box[3] - box[1]
        self._part: Image.Image | None = None
        try:
            if self.mode not in PLAIN:
                raise OSError(f"{self.mode} stays in memory")
            self._file = tempfile.TemporaryFile(prefix="cropnb-")  # noqa: SIM115
            for top, bottom in self._strips():
                strip = image.crop((box[0], box[1] + top, box[2], box[1] + bottom))
                self._file.write(strip.tobytes())
        except OSError:
            with own_limit():
                self._part = image.crop(box)

    def turned(self, turn: int) -> Image.Image:
        """The part as an EXIF orientation turns it; to be asked once."""
        if self._part is not None:
            part = self._part
            return part.transpose(TURNS[turn]) if turn in TURNS else part
        width, height = self.size
        whole = Image.new(self.mode, (height, width) if turn >= 5 else (width, height))
        with self._file:
            self._file.seek(0)
            for top, bottom in self._strips():
                rows = bottom - top
                data = self._file.read(rows * width * len(self.mode.replace("CMYK", "RGBA")))
                strip = Image.frombytes(self.mode, (width, rows), data)
                if turn in TURNS:
                    strip = strip.transpose(TURNS[turn])
                place = height - bottom if turn in (3, 4, 6, 7) else top
                whole.paste(strip, (place, 0) if turn >= 5 else (0, place))
        whole.info = self.info
        return whole

    def _strips(self) -> list[tuple[int, int]]:
        height = self.size[1]
        return [(top, min(top + ROWS, height)) for top in range(0, height, ROWS)]
