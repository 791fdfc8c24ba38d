"""A set of crops: how anchors are matched with the good crops, step by step, and what the K most
valid ones give.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError, CropnbError
from cropnb.images import read_photo
from cropnb.widgets.base import Figure, checked_boxes, checked_scores, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VIEWS = {"match": "which anchor answers for which good crop", "top": "the K most valid crops"}
RULES = {"hungarian": "Hungarian", "greedy": "greedy", "cheapest": "each its cheapest"}
ALPHA, GAMMA = 0.25, 2.0  # of the focal loss


class MatchPlayer(Figure):
    """Predicted crops and good ones of a photo, at several moments of training, with the matching
    as lines.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        truths: (M, 4) the good crops in pixels of the photo.
        moments: by name, what the anchors predicted at that moment: boxes (Q, 4) in pixels and
            validities (Q,), 0…1, with the anchors in one order at all moments and Q at least M.
        view: "match" for the matching, "top" for the K most valid crops.
        moment: name of the moment shown first, by default the last.
        rule: "hungarian", "greedy" or "cheapest".
        overlap, focal: weights of the generalised IoU and the focal loss in the cost.
        k, threshold, eps: how many crops, their least validity, and the IoU from which on a crop is
            a hit.
        alt: what is on the photo, in words.

    `step` says how many good crops have been matched; `values()` gives what the figure shows.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for boxes that are bad or leave the photo, and moments whose parts don't fit each
            other.
        CropnbError: for any other setting that makes no sense.
    """

    _esm = program("match_player.js", "matching.js")
    _css = Figure._css + (Path(__file__).parent / "match_player.css").read_text("utf-8")
    truths = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    boxes = traitlets.List().tag(sync=True)
    validities = traitlets.List().tag(sync=True)
    view = traitlets.Unicode().tag(sync=True)
    moment = traitlets.Int().tag(sync=True)
    rule = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    overlap = traitlets.Float().tag(sync=True)
    focal = traitlets.Float().tag(sync=True)
    k = traitlets.Int().tag(sync=True)
    threshold = traitlets.Float().tag(sync=True)
    eps = traitlets.Float().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        truths: Any,
        moments: Mapping[str, tuple[Any, Any]],
        *,
        view: str = "match",
        moment: str | None = None,
        rule: str = "hungarian",
        overlap: float = 0.4,
        focal: float = 0.4,
        k: int = 10,
        threshold: float = 0.0,
        eps: float = 0.85,
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        truths = checked_boxes(truths, *image.size, "truths")
        if not moments:
            raise BoxError("moments is empty; give {name: (boxes, validities)}")
        names = list(moments)
        if moment is not None and moment not in moments:
            raise CropnbError(f"there is no moment {moment!r}; choose from {', '.join(names)}")
        boxes = [
            checked_boxes(predicted, *image.size, f"the boxes of {name!r}")
            for name, (predicted, _) in moments.items()
        ]
        counts = {len(one) for one in boxes}
        if len(counts) > 1 or min(counts) < len(truths):
            raise BoxError(
                f"{sorted(counts)} anchors for {len(truths)} good crops: as many at each moment, "
                "and enough"
            )
        valid = [
            checked_scores(v, len(boxes[0]), f"the validities of {name!r}")
            for name, (_, v) in moments.items()
        ]
        if not all(0 <= value <= 1 for one in valid for value in one):
            raise CropnbError("a validity is a probability from 0 to 1")
        state = {
            "truths": truths,
            "names": names,
            "boxes": np.round(boxes, 1).tolist(),  # a tenth of a pixel: there are many
            "validities": np.round(valid, 4).tolist(),
            "view": view,
            "moment": len(names) - 1 if moment is None else names.index(moment),
            "rule": rule,
            "step": len(truths),
            "overlap": float(overlap),
            "focal": float(focal),
            "k": int(k),
            "threshold": float(threshold),
            "eps": float(eps),
        }
        super().__init__(image, alt, "Match player", state)

    @traitlets.validate("view", "rule")
    def _check_choice(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        known = {"view": VIEWS, "rule": RULES}[name]
        if value not in known:
            raise CropnbError(f"there is no {name} {value!r}; choose from {', '.join(known)}")
        return value

    @traitlets.validate("moment", "step", "k", "overlap", "focal", "threshold", "eps")
    def _check_range(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        ends = {
            "moment": (0, len(self.names) - 1),
            "step": (0, len(self.truths)),
            "k": (1, len(self.boxes[0])),
            "threshold": (0, 1),
            "eps": (0.5, 1),
        }
        low, high = ends.get(name, (0, 4))
        if not low <= value <= high:
            raise CropnbError(f"{name} is {value}; it goes from {low} to {high}")
        return value

    def costs(self) -> Tensor:
        """(Eq. 3) for every good crop with every anchor of the moment shown: (M, Q)."""
        size = torch.tensor([self.width, self.height] * 2, dtype=torch.float64)
        truths = torch.tensor(self.truths, dtype=torch.float64)[:, None] / size  # (M, 1, 4)
        predicted = torch.tensor(self.boxes[self.moment], dtype=torch.float64) / size  # (Q, 4)
        p = torch.tensor(self.validities[self.moment], dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        regression = (_centred(predicted) - _centred(truths)).abs().sum(-1)
        apart = 1 - box_math.generalized_iou(
            predicted.expand(len(truths), -1, -1), truths.expand(-1, len(predicted), -1)
        )
        focal = -ALPHA * (1 - p) ** GAMMA * p.log() + (1 - ALPHA) * p**GAMMA * (1 - p).log()
        return regression + self.overlap * apart + self.focal * focal

    def pairing(self) -> list[int]:
        """The anchor of each good crop after `step` steps of the rule, -1 where it has none yet."""
        costs = self.costs().numpy()
        if self.rule == "cheapest":
            return costs.argmin(1)[: self.step].tolist()
        if self.rule == "hungarian":
            return linear_sum_assignment(costs[: self.step])[1].tolist() if self.step else []
        pairs = [-1] * len(costs)
        for _ in range(self.step):
            row, column = np.unravel_index(costs.argmin(), costs.shape)
            pairs[row] = int(column)
            costs[row], costs[:, column] = np.inf, np.inf
        return pairs

    def values(self) -> dict[str, float]:
        """In the matching `total` (the cost so far), `anchors` (how many answer for a crop) and
        `iou` (mean of the pairs); among the K most valid crops `shown`, `hits` (within ε of a good
        crop) and `reached` (good crops)."""
        truths = torch.tensor(self.truths, dtype=torch.float64)
        predicted = torch.tensor(self.boxes[self.moment], dtype=torch.float64)
        if self.view == "match":
            pairs = [(row, column) for row, column in enumerate(self.pairing()) if column >= 0]
            rows, columns = (
                (torch.tensor(part, dtype=torch.long) for part in zip(*pairs, strict=True))
                if pairs
                else (torch.zeros(0, dtype=torch.long),) * 2
            )
            overlaps = box_math.iou(predicted[columns], truths[rows])
            return {
                "total": float(self.costs()[rows, columns].sum()),
                "anchors": len(set(columns.tolist())),
                "iou": float(overlaps.mean()) if pairs else 0.0,
            }
        chosen = self._chosen()
        near = box_math.pairwise_iou(predicted[chosen], truths) >= self.eps - 1e-6
        return {
            "shown": len(chosen),
            "hits": int(near.any(1).sum()),
            "reached": int(near.any(0).sum()),
        }

    def _chosen(self) -> list[int]:
        valid = torch.tensor(self.validities[self.moment], dtype=torch.float64)
        order = valid.argsort(descending=True, stable=True)[: self.k].tolist()
        return [index for index in order if valid[index] >= self.threshold]

    def _summary(self) -> str:
        values = self.values()
        if self.view == "match":
            return (
                f"{self.names[self.moment]}, {RULES[self.rule]}: {self.step} good crops, "
                f"{values['anchors']} anchors, "
                f"cost {values['total']:.3f}, mean IoU {values['iou']:.3f}"
            )
        return (
            f"{self.names[self.moment]}: {values['shown']} crops, {values['hits']} within IoU "
            f"{self.eps:.2f} of a good "
            f"crop; {values['reached']} of {len(self.truths)} good crops reached"
        )

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        chosen = self.pairing() if self.view == "match" else self._chosen()
        crops = [self.boxes[self.moment][index] for index in chosen if index >= 0]
        draw_boxes(
            ax,
            self._image,
            [*self.truths, *crops],
            colors=["black"] * len(self.truths) + ["purple"] * len(crops),
        )


def _centred(corners: Tensor) -> Tensor:
    first, second = corners[..., :2], corners[..., 2:]
    return torch.cat([(first + second) / 2, second - first], dim=-1)
