"""Where a photo draws the eye, without any training: the spectral residual (Hou and Zhang 2007).

ASM-Net's saliency-aware loss (Eq. 7) takes its saliency maps from this method.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cropnb.errors import ImageError

# 0.299, 0.587, 0.114 in 1 / 16384, so that gray levels are whole numbers
GRAY_WEIGHTS = (4899, 9617, 1868)


def spectral_residual(image: Tensor, size: int = 64) -> Tensor:
    """How much each place of a photo stands out.

    The photo is taken at `size` x `size`. What a 3 x 3 mean of its log spectrum predicts is
    expected of any photo; the rest, sent back with the photo's own phase, is the saliency of
    Hou and Zhang (Eq. 1 to 4). Steps and constants are those of OpenCV's
    StaticSaliencySpectralResidual.

    Args:
        image: (..., 3, H, W) in 0…1.
        size: of the spectrum.

    Returns:
        (..., H, W) in 0…1, 1 at the most salient place; without contrast all 0.

    Raises:
        ImageError: another shape, or values outside of 0…1.
    """
    if image.ndim < 3 or image.shape[-3] != 3 or image.numel() == 0:
        raise ImageError(f"the image has shape {tuple(image.shape)}: give (..., 3, H, W)")
    if not bool(((image >= 0) & (image <= 1)).all()):
        raise ImageError("the image has values outside of 0…1, or NaN: divide 8-bit values by 255")
    lead, (height, width) = image.shape[:-3], image.shape[-2:]
    gray = _gray_levels(image.reshape(-1, 3, height, width))  # (B, 1, H, W)
    small = _to_level(_resize(gray, (size, size)))  # (B, 1, size, size)
    spectrum = torch.fft.fft2(small)  # (B, 1, size, size), complex
    log_amplitude = spectrum.abs().clamp(min=1e-12).log()
    residual = log_amplitude - _mean_3x3(log_amplitude)
    back = torch.fft.ifft2(torch.polar(residual.exp(), spectrum.angle()))  # (B, 1, size, size)
    salient = _blur(back.abs()).square()
    salient = salient / salient.amax((-2, -1), keepdim=True).clamp(min=1e-30)
    flat = small.amax((-2, -1), keepdim=True) == small.amin((-2, -1), keepdim=True)  # (B, 1, 1, 1)
    salient = salient.masked_fill(flat, 0.0)
    return (
        _resize(salient, (height, width)).clamp(0, 1).to(image.dtype).reshape(*lead, height, width)
    )


def _gray_levels(image: Tensor) -> Tensor:
    weights = torch.tensor(GRAY_WEIGHTS, dtype=torch.double, device=image.device)
    levels = _to_level(image.double() * 255)  # (B, 3, H, W)
    return _to_level(torch.einsum("bchw,c->bhw", levels, weights) / 16384).unsqueeze(1)


def _to_level(values: Tensor) -> Tensor:
    return (values + 0.5).floor()  # halves upwards, as 8-bit image programs round


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def _mean_3x3(image: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), 3, stride=1)


def _blur(image: Tensor, width: int = 5, sigma: float = 8.0) -> Tensor:
    place = torch.arange(width, dtype=image.dtype, device=image.device) - width // 2
    kernel = torch.exp(-place.square() / (2 * sigma**2))
    kernel = torch.outer(kernel, kernel) / kernel.sum().square()  # (width, width)
    edge = width // 2
    return F.conv2d(F.pad(image, (edge,) * 4, mode="reflect"), kernel[None, None])
