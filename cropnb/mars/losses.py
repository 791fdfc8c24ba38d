"""What Mars learns from: each cell of the map lies in the true crop or doesn't (equation 8)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_masks(boxes: Tensor, stride: int, height: int, width: int) -> Tensor:
    """Targets (B, height, width): 1 where a cell's centre lies in its photo's true box, 0
    elsewhere.

    boxes: (B, 4) in pixels of the photo that the network sees. stride: pixels a cell.
    """
    x = (torch.arange(width, device=boxes.device) + 0.5) * stride
    y = (torch.arange(height, device=boxes.device) + 0.5) * stride
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)  # [B, 1] each
    across, down = (x >= x1) & (x < x2), (y >= y1) & (y < y2)
    return (down[:, :, None] & across[:, None, :]).float()


def pixel_loss(logits: Tensor, targets: Tensor, inside: Tensor | None = None) -> Tensor:
    """Equation 8: binary cross entropy, averaged over the N_pixel cells of each photo and then over
    the photos.

    logits, targets: (B, h, w). inside: booleans (B, h, w), False on padding, which doesn't count.
    """
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if inside is None:
        return each.mean()
    share = inside.to(each.dtype)
    return ((each * share).sum(dim=(1, 2)) / share.sum(dim=(1, 2))).mean()
