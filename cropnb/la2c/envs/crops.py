"""What the agent sees: crops of many photos, resized with antialiasing as Pillow does it, in one
batched call.

Pillow's bilinear filter is a triangle as wide as the reduction, and separable. So every row of a
crop is a weighted sum of a few rows of the photo: an embedding bag over the photo's rows, once for
x and once for y.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def taps(low: Tensor, high: Tensor, length: Tensor, size: int, count: int) -> tuple[Tensor, Tensor]:
    """Which pixels make up each of `size` pixels along one axis, and with what weights.

    Args:
        low: (B,) the crop's lower edge in pixels.
        high: (B,) its upper edge.
        length: (B,) pixels of the photo.
        count: taps that are enough for the largest reduction.

    Returns:
        Places (B, size, count), whole numbers inside the photo, and weights of the same shape that
        sum to 1 over the taps.
    """
    scale = (high - low) / size  # (B,), pixels of the photo for one of the crop
    support = scale.clamp(min=1.0)[:, None]  # (B, 1)
    steps = torch.arange(size, device=low.device)  # (size,)
    centre = low[:, None] + (steps + 0.5) * scale[:, None]  # (B, size)
    first = (centre - support - 0.5).ceil()  # (B, size)
    place = first[..., None] + torch.arange(count, device=low.device)  # (B, size, count)
    weight = (1 - (place + 0.5 - centre[..., None]).abs() / support[..., None]).clamp(min=0)
    weight = weight * ((place >= 0) & (place < length[:, None, None]))  # (B, size, count)
    place = torch.minimum(place.clamp(min=0), length[:, None, None] - 1)
    # These weights are multiples of 2 to the power of −25, so a sum in double precision is exact:
    # the same however many taps of weight zero the other crops of the batch add.
    return place.long(), weight / weight.sum(-1, keepdim=True, dtype=torch.float64).float()


def cut(
    images: Tensor, rows: Tensor, sizes: Tensor, boxes_norm: Tensor, size: int, channels: int = 3
) -> Tensor:
    """Crops as `photo.resize((size, size), BILINEAR, box)` of Pillow to within 2/255.

    Args:
        images: (E, W, C · H) photos as floats, columns first, padded; or feature maps, which are
            cut in the same way.
        rows: (B,) which of them.
        sizes: (B, 2) their width and height without the padding.
        boxes_norm: (B, 4) the crops as shares of these.

    Returns:
        (B, C, size, size).
    """
    width, height = images.shape[1], images.shape[2] // channels
    boxes = (boxes_norm * torch.cat([sizes, sizes], -1)).float()  # (B, 4)
    # As many taps as the largest reduction needs. To know it a GPU would have to be waited for:
    # there the bound does.
    known = len(boxes) and not boxes.is_cuda
    longest = float((boxes[:, 2:] - boxes[:, :2]).max()) if known else max(width, height)
    count = int(2 * max(longest / size, 1)) + 2
    number = torch.arange(len(rows), device=rows.device)[:, None, None]  # (B, 1, 1)
    place, weight = taps(boxes[:, 0], boxes[:, 2], sizes[:, 0], size, count)  # (B, size, taps)
    columns = _bag(images.flatten(0, 1), place + rows[:, None, None] * width, weight)
    columns = columns.view(-1, size, channels, height)  # (B, size, C, H)
    by_row = columns.permute(0, 3, 2, 1).reshape(-1, channels * size)  # (B · H, C · size)
    place, weight = taps(boxes[:, 1], boxes[:, 3], sizes[:, 1], size, count)  # (B, size, taps)
    crops = _bag(by_row, place + number * height, weight)  # (B, size, C · size)
    return crops.view(-1, size, channels, size).permute(0, 2, 1, 3)  # (B, C, size, size)


def to_bytes(crops: Tensor) -> Tensor:
    """Crops of 0…255, rounded."""
    return crops.add(0.5).clamp(0, 255).to(torch.uint8)


def _bag(table: Tensor, place: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of rows of `table` (R, C): place, weight (B, size, taps) → (B, size, C)."""
    weights = weight.to(table.dtype).flatten(0, 1)  # (B · size, taps)
    sums = F.embedding_bag(place.flatten(0, 1), table, per_sample_weights=weights, mode="sum")
    return sums.view(*place.shape[:2], -1)
