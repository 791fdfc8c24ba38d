"""Photos that are arrays and tensors: which are taken, and what is wrong with the others."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cropnb.errors import ImageError
from cropnb.photos.guard import DEFAULT_LIMIT, check_size

if TYPE_CHECKING:
    from torch import Tensor

SLACK = 1e-3  # rounding beyond 0…1 that is cut off; more is a mistake


def from_array(array: np.ndarray, limit: int = DEFAULT_LIMIT) -> Image.Image | np.ndarray:
    """An array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, of uint16, or of floats in 0…1,
    which count as 8 bits.

    Returns:
        a PIL image; 16-bit colours, which PIL can't hold, as the array.

    Raises:
        ImageError: for another shape, type or range.
    """
    shape = array.shape
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        hint = ""
        if array.ndim == 3 and shape[0] in (1, 3, 4):
            hint = "; the channels come first here: use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; give the photos of a batch as a list"
        raise ImageError(
            f"a photo as an array has the shape (H, W), (H, W, 3) or (H, W, 4), not {shape}{hint}"
        )
    if 0 in shape:
        raise ImageError(f"a photo of shape {shape} holds no pixel")
    check_size(shape[1], shape[0], "the array", limit)
    if array.dtype.kind == "f":
        array = _levels(array.astype(np.float32), "an array")
    elif array.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"a photo as an array holds uint8, uint16, or floats in 0…1, not {array.dtype}"
        )
    array = np.ascontiguousarray(array[..., 0] if array.shape[-1] == 1 else array)
    return array if array.dtype == np.uint16 and array.ndim == 3 else Image.fromarray(array)


def from_tensor(tensor: "Tensor", limit: int = DEFAULT_LIMIT) -> Image.Image:
    """A tensor (3, H, W) of uint8, or of floats in 0…1, as an RGB image.

    Raises:
        ImageError: for another shape, type or range.
    """
    import torch

    shape = tuple(tensor.shape)
    if tensor.ndim != 3 or shape[0] != 3:
        hint = ""
        if tensor.ndim == 3 and shape[-1] == 3:
            hint = "; the channels come last here: use tensor.permute(2, 0, 1)"
        elif tensor.ndim == 4:
            hint = "; give the photos of a batch as a list"
        raise ImageError(f"a photo as a tensor has the shape (3, H, W), not {shape}{hint}")
    if 0 in shape:
        raise ImageError(f"a photo of shape {shape} holds no pixel")
    check_size(shape[2], shape[1], "the tensor", limit)
    if not tensor.is_floating_point() and tensor.dtype != torch.uint8:
        raise ImageError(f"a photo as a tensor holds uint8, or floats in 0…1, not {tensor.dtype}")
    if tensor.layout != torch.strided:
        raise ImageError("a photo as a tensor is a dense one; use tensor.to_dense()")
    tensor = tensor.detach().cpu().permute(1, 2, 0)  # (H, W, 3)
    if tensor.dtype == torch.uint8:
        return Image.fromarray(tensor.contiguous().numpy())
    return Image.fromarray(_levels(tensor.float().contiguous().numpy(), "a tensor"))


def _levels(array: np.ndarray, kind: str) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ImageError(f"the photo holds NaN or infinite values; check what made {kind}")
    low, high = float(array.min()), float(array.max())
    if low < -SLACK or high > 1 + SLACK:
        raise ImageError(
            f"a photo as {kind} of floats lies in 0…1, and this one in {low:.6g}…{high:.6g}; "
            "divide by 255, or undo the normalisation by mean and deviation"
        )
    return np.round(array.clip(0, 1) * 255).astype(np.uint8)
