"""Photos and their scored views in the form that GAIC and VRN read: short side 256, both sides
multiples of 32.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm.auto import tqdm

from cropnb import metrics
from cropnb.datasets.base import CropDataset
from cropnb.errors import BoxError
from cropnb.images import resize_short_side

SHORT_SIDE, MULTIPLE = 256, 32
KEEP_ON_DEVICE = 8 * 1024**3  # bytes of photos that may stay on the device


class ScoredViews:
    """A dataset with scored views, resized once and kept as bytes on the device while they fit.

    `photo(i)` is (1, 3, H, W) in 0…1, `boxes(i)` (N, 4) in pixels of that photo, `mos(i)` (N,);
    each takes `mirrored=True` for the photo turned left to right.

    Raises:
        BoxError: a sample has no scored views.
    """

    size = f"short side {SHORT_SIDE}, sides multiples of {MULTIPLE}"

    def __init__(
        self, dataset: CropDataset, device: str | torch.device = "cpu", progress: bool = True
    ) -> None:
        self.device = torch.device(device)
        self._photos: list[Tensor] = []
        self._boxes: list[Tensor] = []
        self._mos: list[Tensor] = []
        held = 0
        for sample in tqdm(
            dataset, desc=f"{dataset.name} {dataset.split}", unit="photo", disable=not progress
        ):
            if sample.scores is None or len(sample.boxes) == 0:
                raise BoxError(
                    f"{sample.name} has no scored views; GAIC and VRN learn from a dataset such "
                    "as gaicd"
                )
            image, boxes = prepare(sample.image(), sample.boxes)
            photo = (image * 255).round().to(torch.uint8)
            held += photo.numel()
            self._photos.append(photo.to(self.device if held < KEEP_ON_DEVICE else "cpu"))
            self._boxes.append(boxes.to(self.device))
            self._mos.append(sample.scores.float().to(self.device))

    def __len__(self) -> int:
        return len(self._photos)

    def photo(self, index: int, mirrored: bool = False) -> Tensor:
        """(1, 3, H, W) in 0…1."""
        photo = self._photos[index].to(self.device)[None].float() / 255
        return photo.flip(-1) if mirrored else photo

    def boxes(self, index: int, mirrored: bool = False) -> Tensor:
        """(N, 4) in pixels of the resized photo."""
        boxes = self._boxes[index]
        if not mirrored:
            return boxes
        width = self._photos[index].shape[-1]
        return torch.stack(
            [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1
        )

    def mos(self, index: int) -> Tensor:
        """(N,) mean opinion scores."""
        return self._mos[index]


def prepare(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """A photo (3, H, W) and its boxes (N, 4) at short side 256, both sides rounded to 32 pixels.

    The two sides get slightly different scales from the rounding, and the boxes follow each of
    them.
    """
    height, width = image.shape[-2:]
    resized = resize_short_side(image, SHORT_SIDE, MULTIPLE).clamp(0, 1)
    new_height, new_width = resized.shape[-2:]
    scale = boxes.new_tensor([new_width / width, new_height / height] * 2)
    return resized, boxes * scale


def evaluate(score: Callable[[int], Tensor], views: ScoredViews) -> dict[str, Tensor]:
    """`metrics.ranking_table` of a scorer: every metric of the GAICD protocol, one value a photo,
    (photos,) each.

    Args:
        score: the index of a photo → (N,) predicted scores of its views.
        views: the photos.
    """
    scores = [score(index).detach().float().cpu() for index in range(len(views))]
    return metrics.ranking_table(scores, [views.mos(index).cpu() for index in range(len(views))])


def draw_views(count: int, wanted: int, rng: torch.Generator) -> Sequence[int] | slice:
    """`wanted` of `count` views at random, or all of them when there are fewer."""
    return slice(None) if count <= wanted else torch.randperm(count, generator=rng)[:wanted]
