"""The teacher as a cropper, to measure it as the methods are measured that learn from it. It ships
with nothing: its weights are trained by the commands of `python -m cropnb.teacher --help`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from cropnb import metrics
from cropnb.candidates import aspect_windows, grid_anchors
from cropnb.teacher.teacher import Teacher, large_enough


class TeacherCropper:
    """Proposes grid anchors, or windows of a required ratio, by expected overlap.

    Args:
        teacher: whose scores count.
        mask: a photo (3, H, W) → its salient mask (h, w), or None where there is none.
    """

    name, ordered = "teacher", True

    def __init__(
        self, teacher: Teacher, mask: Callable[[Tensor], Tensor | None] = lambda image: None
    ) -> None:
        self.teacher, self.mask = teacher, mask

    @torch.inference_mode()
    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, Tensor]:
        """A photo (3, H, W) in 0…1 → boxes (N, 4) in its pixels, best first, and scores (N,)."""
        size = (image.shape[-1], image.shape[-2])
        boxes = grid_anchors(*size) if aspect is None else aspect_windows(*size, aspect, 600)
        boxes = boxes[large_enough(boxes, size, aspect is not None)]
        attention = self.teacher.attention(image, self.mask(image))
        scores = self.teacher.scores(attention, size, boxes)
        likely = self.teacher.probabilities(attention, size, boxes, aspect is not None)
        liked = metrics.expected_iou(boxes, likely)
        order = liked.argsort(descending=True, stable=True)
        return boxes[order], scores[order]
