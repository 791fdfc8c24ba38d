"""Photos as people have them: read, looked at, cut and written without a loss that isn't named.

`open_photo(source)` takes what a person has; `.small_rgb()` is what a network sees of it, and
`.cut(box).save(path)` the original pixels with all that came with them. Nothing here needs torch
but `small_rgb`.
"""

from cropnb.photos.cutting import CutPhoto
from cropnb.photos.guard import DEFAULT_LIMIT, FORMATS, LIMIT_OPTION, READABLE
from cropnb.photos.opened import PHOTO_IS, OpenedPhoto, Photo, open_photo
from cropnb.photos.writers import SUFFIXES as WRITABLE

__all__ = [
    "DEFAULT_LIMIT",
    "FORMATS",
    "LIMIT_OPTION",
    "PHOTO_IS",
    "READABLE",
    "WRITABLE",
    "CutPhoto",
    "OpenedPhoto",
    "Photo",
    "open_photo",
]
