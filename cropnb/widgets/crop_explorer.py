"""Drag a crop over a photo and watch IoU, BDE, centre offset and rank change."""

from typing import TYPE_CHECKING, Any

import torch
import traitlets

from cropnb import boxes as box_math
from cropnb import metrics
from cropnb.errors import BoxError
from cropnb.images import read_photo
from cropnb.widgets.base import Figure, checked_boxes, checked_scores, program, whole_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CropExplorer(Figure):
    """A crop that is moved and resized by mouse, finger and keyboard, measured against the true
    boxes.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        truths: (T, 4) or (4,) true boxes in pixels of the photo. The crop is measured against the
            one that it overlaps most; of those tied, the one of the lowest BDE.
        candidates: (N, 4); adds the rank of the crop by IoU beside them, and shows the nearest one.
        scores: (N,) score of each candidate; adds that of the nearest one, and its rank.
        box: (4,) where the crop starts; by default it is centred, with 70 % of each side.
        alt: what is on the photo, in words.

    `box` is the crop as it stands, [x1, y1, x2, y2] in whole pixels; `values()` gives what the
    figure shows.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for boxes that are bad or leave the photo, and scores that don't fit the
            candidates.
    """

    _esm = program("crop_explorer.js")
    truths = traitlets.List().tag(sync=True)
    candidates = traitlets.List().tag(sync=True)
    scores = traitlets.List().tag(sync=True)
    box = traitlets.List().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        truths: Any,
        candidates: Any = None,
        scores: Any = None,
        *,
        box: Any = None,
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        size = image.size
        truths = torch.as_tensor(box_math.check(truths, name="truths")).reshape(-1, 4)
        if scores is not None and candidates is None:
            raise BoxError("scores belong to candidates; give both, or neither")
        candidates = [] if candidates is None else checked_boxes(candidates, *size, "candidates")
        state = {
            "truths": checked_boxes(truths, *size, "truths"),
            "candidates": candidates,
            "scores": [] if scores is None else checked_scores(scores, len(candidates), "scores"),
            "box": whole_pixels(box if box is not None else _centred(*size), *size),
        }
        super().__init__(image, alt, "Crop explorer", state)

    @traitlets.validate("box")
    def _check_box(self, proposal: Any) -> list[int]:
        return whole_pixels(proposal["value"], self._image.width, self._image.height)

    def values(self) -> dict[str, float]:
        """IoU, BDE and centre offset (pixels) against the best-matching true box `truth`, and with
        candidates `rank`, `nearest`, `score` and `score_rank`, computed by `cropnb.metrics`."""
        box = torch.tensor(self.box, dtype=torch.float64)
        truths = torch.tensor(self.truths, dtype=torch.float64)
        overlap, displacement = metrics.iou_and_bde(box, truths, self.width, self.height)
        shifts = metrics.bde(box, truths, self.width, self.height)
        ties = box_math.iou(box, truths) == overlap
        truth = int(shifts.masked_fill(~ties, torch.inf).argmin())
        offset = metrics.center_offset(box, truths[truth])
        values = {
            "truth": truth,
            "iou": float(overlap),
            "bde": float(displacement),
            "offset": float(offset),
        }
        if self.candidates:
            candidates = torch.tensor(self.candidates, dtype=torch.float64)
            overlaps = box_math.pairwise_iou(candidates, truths).amax(1)
            values["rank"] = 1 + int((overlaps > values["iou"]).sum())
            values["nearest"] = int(box_math.iou(box, candidates).argmax())
        if self.scores:
            scores = torch.tensor(self.scores, dtype=torch.float64)
            values["score"] = float(scores[values["nearest"]])
            values["score_rank"] = 1 + int((scores > scores[values["nearest"]]).sum())
        return values

    def _summary(self) -> str:
        values = self.values()
        text = f"IoU {values['iou']:.3f}, BDE {values['bde']:.3f}, "
        text += f"centre offset {values['offset']:.1f} px"
        if self.candidates:
            text += f", rank {values['rank']} of {len(self.candidates) + 1}"
        if self.scores:
            text += f"\nscore of the nearest candidate {values['score']:.2f}"
        return text

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        colors = ["black"] * len(self.truths) + ["yellow"]
        draw_boxes(ax, self._image, [*self.truths, self.box], None, colors)


def _centred(width: int, height: int) -> list[float]:
    return [0.15 * width, 0.15 * height, 0.85 * width, 0.85 * height]
