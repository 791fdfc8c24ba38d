"""Photos as networks see them: whatever a person has, read into one form, and the two resizings
that the methods need. What is cut from the original pixels is in `cropnb.photos`.
"""

import os
from typing import BinaryIO, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from cropnb.errors import ImageError
from cropnb.photos import PHOTO_IS as PHOTO_IS
from cropnb.photos import OpenedPhoto, open_photo
from cropnb.photos.arrays import from_tensor

ImageOrTensor = TypeVar("ImageOrTensor", Image.Image, Tensor)
Photo = str | os.PathLike | bytes | BinaryIO | Image.Image | np.ndarray | Tensor | OpenedPhoto

MAX_RATIO = 40  # a longer strip would be resized to more pixels than it has content


def read_photo(photo: Photo) -> Image.Image:
    """Read a photo as a network sees it: RGB, upright, 8 bits.

    EXIF orientation is applied, transparency is laid on white, black or grey, whichever hides the
    least of the content, greys and colours of more than 8 bits are scaled from their own range, and
    of an animation or a file of several pages the first is taken. An image that PIL has open is
    left as it was. The colour profile stays in `.info["icc_profile"]` when it still describes the
    pixels. BGR arrays can't be told from RGB ones: reverse the last axis of what OpenCV gives.

    Args:
        photo: what `cropnb.photos.open_photo` takes.

    Raises:
        ImageError: for anything that is not a photo, is damaged, or has more than 500 million
            pixels.
    """
    return open_photo(photo).rgb()


def photo_size(path: str | os.PathLike) -> tuple[int, int]:
    """Width and height of a photo file as `read_photo` gives it (EXIF orientation applied), read
    from its header.

    Raises:
        ImageError: as `read_photo`, except for damage behind the header.
    """
    return open_photo(path).size


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image as a (3, H, W) float32 tensor in 0…1."""
    return (
        torch.from_numpy(np.asarray(image.convert("RGB")).copy())
        .permute(2, 0, 1)
        .contiguous()
        .float()
        / 255
    )


def to_image(tensor: Tensor) -> Image.Image:
    """A (3, H, W) tensor of floats in 0…1, or of uint8, as an RGB image.

    Raises:
        ImageError: when the tensor has another shape or type, or values that are not finite or lie
            outside 0…1 by more than rounding.
    """
    return from_tensor(tensor)


def short_side_size(
    width: int, height: int, size: int = 256, multiple: int | None = None
) -> tuple[int, int]:
    """Width and height after scaling the shorter side to `size`, both rounded to a multiple of
    `multiple`.

    Raises:
        ImageError: when one side is more than 40 times the other.
    """
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageError(
            f"the photo is {width} × {height}; sides may differ by a factor of {MAX_RATIO} at "
            "most. Cut the strip first"
        )
    scale = size / min(width, height)
    step = multiple or 1
    return tuple(max(round(side * scale / step), 1) * step for side in (width, height))


def resize_short_side(
    image: ImageOrTensor, size: int = 256, multiple: int | None = None
) -> ImageOrTensor:
    """Scale the shorter side to `size`, bilinear and antialiased.

    With `multiple=32` both sides are rounded to 32 pixels, as in the GAICD protocol, so that width
    and height get slightly different scales: a box has to be scaled by each of them.

    Args:
        image: a PIL image, or a tensor (..., H, W).

    Raises:
        ImageError: when one side is more than 40 times the other.
    """
    width, height = (
        image.size if isinstance(image, Image.Image) else (image.shape[-1], image.shape[-2])
    )
    new_width, new_height = short_side_size(width, height, size, multiple)
    return TF.resize(image, [new_height, new_width], antialias=True)
