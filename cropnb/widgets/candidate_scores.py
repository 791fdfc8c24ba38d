"""The candidates of a photo, ranked by one scorer or another, and what Acc K/N makes of the
ranking.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import traitlets

from cropnb import metrics
from cropnb.errors import BoxError
from cropnb.images import read_photo
from cropnb.widgets.base import Figure, checked_boxes, checked_scores, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CandidateScores(Figure):
    """A ranking of candidates beside the photo, with a slider for how many of the best are drawn.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        boxes: (N, 4) candidates in pixels of the photo.
        columns: scores (N,) by name. The first column is the reference that the others are measured
            against, such as the annotators' mean opinion scores: Acc K/N and SRCC are shown when
            there are two columns or more.
        column: the column that ranks at the start; by default the second, or the only one.
        k, n: K and N at the start.
        alt: what is on the photo, in words.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for boxes that are bad or leave the photo, scores that don't fit them, and no or
            an unknown column.
    """

    _esm = program("candidate_scores.js")
    boxes = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    columns = traitlets.List().tag(sync=True)
    column = traitlets.Unicode().tag(sync=True)
    k = traitlets.Int().tag(sync=True)
    n = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        boxes: Any,
        columns: Mapping[str, Any],
        *,
        column: str | None = None,
        k: int = 4,
        n: int = 5,
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        boxes = checked_boxes(boxes, *image.size, "boxes")
        if not columns:
            raise BoxError('columns is empty; give scores by name, such as {"annotators": scores}')
        if len(columns) > 1 and len(boxes) < 2:
            raise BoxError("one box has no ranking to compare; give two boxes or more")
        names = list(columns)
        state = {
            "boxes": boxes,
            "names": names,
            "columns": [
                checked_scores(columns[name], len(boxes), f"the scores {name!r}") for name in names
            ],
            "column": column if column is not None else names[min(1, len(names) - 1)],
            # A photo with fewer candidates than the usual K and N is fine; asking for more by name
            # is caught below.
            "k": min(k, len(boxes)),
            "n": min(n, len(boxes)),
        }
        super().__init__(image, alt, "Candidates and their scores", state)

    @traitlets.validate("column")
    def _check_column(self, proposal: Any) -> str:
        if proposal["value"] not in self.names:
            raise BoxError(
                f"there is no column {proposal['value']!r}; choose from {', '.join(self.names)}"
            )
        return proposal["value"]

    @traitlets.validate("k", "n")
    def _check_count(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        if not 1 <= value <= len(self.boxes):
            raise BoxError(
                f"{name} = {value} with {len(self.boxes)} boxes; choose 1 to {len(self.boxes)}"
            )
        return value

    def values(self) -> dict[str, float]:
        """`acc` (Acc K/N) and `srcc` of the chosen column against the first; empty when there is
        only one column.
        """
        if len(self.names) == 1:
            return {}
        scores, reference = self._scores(), torch.tensor(self.columns[0], dtype=torch.float64)
        return {
            "acc": float(metrics.acc_kn(scores, reference, self.k, self.n)),
            "srcc": float(metrics.srcc(scores, reference)),
        }

    def _scores(self) -> torch.Tensor:
        return torch.tensor(self.columns[self.names.index(self.column)], dtype=torch.float64)

    def _summary(self) -> str:
        text = f"The best {self.k} of {len(self.boxes)} boxes by {self.column}"
        values = self.values()
        return text + (
            f": Acc {self.k}/{self.n} {values['acc']:.3f}, SRCC {values['srcc']:.3f}"
            if values
            else ""
        )

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        best = torch.argsort(self._scores(), descending=True, stable=True)[: self.k].tolist()
        reference = self.columns[0]
        threshold = sorted(reference, reverse=True)[self.n - 1]
        colors = [
            "green" if len(self.names) == 1 or reference[index] >= threshold else "vermilion"
            for index in best
        ]
        # The best box is drawn last, on top of the others.
        order = list(reversed(range(self.k)))
        draw_boxes(
            ax,
            self._image,
            [self.boxes[best[place]] for place in order],
            None,
            [colors[place] for place in order],
        )
