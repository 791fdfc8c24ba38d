"""Photos: whatever a person has, read into one form, and the two resizings that the methods need."""

import os
import warnings
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from cropnb.errors import ImageError

PHOTO_IS = "a path, a PIL image, an (H, W, 3) uint8 array, or a (3, H, W) float tensor in 0…1"
ImageOrTensor = TypeVar("ImageOrTensor", Image.Image, Tensor)
Photo = str | os.PathLike | Image.Image | np.ndarray | Tensor

# where Pillow refuses to decode; checked on the header, before any pixel is allocated
MAX_PIXELS = 178_956_970
MAX_RATIO = 40  # a longer strip would be resized to more pixels than it has content


def read_photo(photo: Photo) -> Image.Image:
    """Read a photo as an RGB image, upright.

    EXIF orientation is applied, transparency is laid over white, 16-bit greys are scaled to 8 bits,
    and of an animation or a file of several pages the first is taken. An image that PIL has open is
    left as it was. The colour profile stays in `.info["icc_profile"]` when it still describes the
    pixels. BGR arrays can't be told from RGB ones: reverse the last axis of what OpenCV gives.

    Args:
        photo: a path, a PIL image, an (H, W, 3) uint8 array, or a (3, H, W) float tensor in 0…1.

    Raises:
        ImageError: for anything that is not a photo, is damaged, or has more than 178 956 970
            pixels.
    """
    if isinstance(photo, Image.Image):
        return _upright_rgb(photo, "the PIL image")
    if isinstance(photo, np.ndarray):
        return _from_array(photo)
    if isinstance(photo, Tensor):
        return _from_tensor(photo)
    if isinstance(photo, (str, os.PathLike)):
        return _from_path(Path(photo))
    raise ImageError(f"a photo is {PHOTO_IS}; this is a {type(photo).__name__}")


def photo_size(path: str | os.PathLike) -> tuple[int, int]:
    """Width and height of a photo file as `read_photo` gives it (EXIF orientation applied), read
    from its header.

    Raises:
        ImageError: as `read_photo`, except for damage behind the header.
    """
    path = Path(path)
    with _open(path) as image:
        # PIL turns these upright itself, and when it does depends on its version
        if image.format == "TIFF":
            return _upright_rgb(image, str(path)).size
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


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
    """A (3, H, W) float tensor in 0…1 as an RGB image.

    Raises:
        ImageError: when the tensor has another shape or type, or values that are not finite or lie
            outside 0…1.
    """
    return _from_tensor(tensor)


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
    return functional.resize(image, [new_height, new_width], antialias=True)


def _open(path: Path) -> Image.Image:
    """Open a file without decoding its pixels."""
    if path.is_dir():
        raise ImageError(f"{path} is a folder; give the path of one photo")
    if not path.exists():
        raise ImageError(f"there is no file {path}; check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes); copy or download the photo again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path} has more than {MAX_PIXELS:,} pixels; make it smaller first"
        ) from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read; check its permissions") from error
    except Exception as error:  # decoders raise many types on damaged files
        raise ImageError(
            f"{path} is not a photo that can be read: {error}. Save it as JPEG or PNG"
        ) from error
    try:
        _check_size(image, str(path))
    except ImageError:
        image.close()
        raise
    return image


def _from_path(path: Path) -> Image.Image:
    with _open(path) as image:
        return _upright_rgb(image, str(path))


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width} × {height} and holds no pixel")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is {width} × {height}, more than {MAX_PIXELS:,} pixels; make it smaller first"
        )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1…8; a damaged tag counts as none, because the pixels are still good."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    _check_size(image, name)
    try:
        image.load()
    except Exception as error:
        raise ImageError(f"{name} is damaged: {error}. Copy or download the photo again") from error
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    turn = _TURNS.get(_orientation(image))
    try:
        rgb = _to_rgb(image, name)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            f"{name} has the mode {image.mode}, which can't be turned into RGB: {error}"
        ) from error
    rgb = rgb if turn is None else rgb.transpose(turn)
    # Nothing else is carried over: an orientation tag that survived would turn the photo twice.
    rgb.info = {"icc_profile": profile} if profile else {}
    return rgb


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I"):  # I;16, I;16B and I: what PIL makes of 16-bit greys
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise ImageError(
                f"{name} holds greys outside of 16 bits; scale them to 0…255 and save it as 8-bit"
            )
        return Image.fromarray(np.round(grey / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        grey = np.asarray(image)
        if not np.isfinite(grey).all() or grey.min() < 0 or grey.max() > 1:
            raise ImageError(
                f"{name} holds floats outside of 0…1; scale them, or save the photo with 8 bits"
            )
        return Image.fromarray(np.round(grey * 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim != 3 or array.shape[-1] != 3:
        hint = ""
        if array.ndim == 3 and array.shape[0] == 3:
            hint = "; the channels come first here: use array.transpose(1, 2, 0)"
        elif array.ndim == 3 and array.shape[-1] == 4:
            hint = "; for an alpha channel use PIL.Image.fromarray(array)"
        elif array.ndim == 2:
            hint = "; for a grey photo use PIL.Image.fromarray(array)"
        raise ImageError(f"a photo as an array has the shape (H, W, 3), not {array.shape}{hint}")
    if array.dtype != np.uint8:
        raise ImageError(
            f"a photo as an array holds uint8, not {array.dtype}; for floats in 0…1 use a (3, H, "
            "W) tensor"
        )
    if 0 in array.shape:
        raise ImageError(f"a photo of shape {array.shape} holds no pixel")
    image = Image.fromarray(np.ascontiguousarray(array))
    _check_size(image, "the array")
    return image


def _from_tensor(tensor: Tensor) -> Image.Image:
    shape = tuple(tensor.shape)
    if tensor.ndim != 3 or shape[0] != 3:
        hint = ""
        if tensor.ndim == 3 and shape[-1] == 3:
            hint = "; the channels come last here: use tensor.permute(2, 0, 1)"
        elif tensor.ndim == 4:
            hint = "; give the photos of a batch one by one"
        raise ImageError(f"a photo as a tensor has the shape (3, H, W), not {shape}{hint}")
    if 0 in shape:
        raise ImageError(f"a photo of shape {shape} holds no pixel")
    if not tensor.is_floating_point():
        raise ImageError(
            f"a photo as a tensor holds floats in 0…1, not {tensor.dtype}; divide by 255"
        )
    tensor = tensor.detach().cpu().float()
    if not torch.isfinite(tensor).all():
        raise ImageError("the photo holds NaN or infinite values; check what made the tensor")
    low, high = tensor.min().item(), tensor.max().item()
    if low < 0 or high > 1:
        raise ImageError(
            f"a photo as a tensor lies in 0…1, and this one in {low:.3g}…{high:.3g}; "
            "divide by 255, or undo the normalisation by mean and deviation"
        )
    return Image.fromarray(
        (tensor * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    )
