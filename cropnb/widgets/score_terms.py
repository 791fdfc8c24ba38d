"""The terms of a score under weights that can be moved, and how the ranking of the candidates
follows.
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


class ScoreTerms(Figure):
    """One slider a term: score, order and best box as the weights change.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        boxes: (N, 4) candidates in pixels of the photo.
        terms: values (N,) by name of the term. The score of a box is their weighted mean.
        weights: the given weight of each term, 0 or more, by the same names; what the changes are
            counted from.
        alt: what is on the photo, in words.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for boxes that are bad or leave the photo, and terms or weights that don't fit.
    """

    _esm = program("score_terms.js")
    boxes = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    terms = traitlets.List().tag(sync=True)
    given = traitlets.List().tag(sync=True)
    weights = traitlets.List().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        boxes: Any,
        terms: Mapping[str, Any],
        weights: Mapping[str, float],
        *,
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        boxes = checked_boxes(boxes, *image.size, "boxes")
        if len(boxes) < 2:
            raise BoxError("one box has no ranking; give two boxes or more")
        if not terms or set(terms) != set(weights):
            raise BoxError(
                f"terms are {sorted(terms)} and weights {sorted(weights)}; give one weight for "
                "each term"
            )
        names = list(terms)
        given = [float(weights[name]) for name in names]
        state = {
            "boxes": boxes,
            "names": names,
            "terms": [
                checked_scores(terms[name], len(boxes), f"the term {name!r}") for name in names
            ],
            "given": given,
            "weights": list(given),
        }
        super().__init__(image, alt, "Terms of a score", state)

    @traitlets.validate("weights", "given")
    def _check_weights(self, proposal: Any) -> list[float]:
        weights = checked_scores(proposal["value"], len(self.names), "weights")
        if min(weights) < 0:
            raise BoxError(
                f"weights are {weights}; the score is a weighted mean, so give weights of 0 or more"
            )
        return weights

    def values(self) -> dict[str, float]:
        """`best` (index of the best box), its `total`, `rise` (places it rose from the given
        weights), and `same` (SRCC with the ranking under the given weights)."""
        totals, before = self._totals(self.weights), self._totals(self.given)
        best = int(totals.argmax())
        places = torch.argsort(before, descending=True, stable=True).tolist()
        same = float(metrics.srcc(totals, before))
        return {
            "best": best,
            "total": float(totals[best]),
            "rise": places.index(best),
            "same": same,
        }

    def _totals(self, weights: list[float]) -> torch.Tensor:
        # Added term by term, as the page does: another order would round otherwise and break ties
        # differently.
        totals = torch.zeros(len(self.boxes), dtype=torch.float64)
        for weight, values in zip(weights, self.terms, strict=True):
            totals = totals + weight * torch.tensor(values, dtype=torch.float64)
        return totals / (sum(weights) or 1.0)

    def _summary(self) -> str:
        values = self.values()
        weights = ", ".join(
            f"{name} {weight:g}" for name, weight in zip(self.names, self.weights, strict=True)
        )
        return f"Best score {values['total']:.3f} with the weights\n{weights}"

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        draw_boxes(ax, self._image, [self.boxes[self.values()["best"]]], ["best"], "yellow")
