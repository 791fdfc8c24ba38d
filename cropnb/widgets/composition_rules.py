"""Composition rules drawn into a crop that can be moved."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from cropnb.errors import BoxError
from cropnb.images import read_photo
from cropnb.widgets.base import Figure, program, whole_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOLDEN = (5**0.5 - 1) / 2
RULES: dict[str, tuple[float, ...]] = {
    "thirds": (1 / 3, 2 / 3),
    "golden": (1 - GOLDEN, GOLDEN),
    "diagonals": (),
    "centre": (1 / 2,),
}


class CompositionRules(Figure):
    """A movable crop with switchable overlays: thirds, golden ratio, diagonals and centre.

    Args:
        photo: what `cropnb.images.read_photo` takes.
        box: (4,) where the crop starts, in pixels of the photo.
        subject: (x, y) of the main subject in pixels; adds a movable dot, and how far it is from
            what the nearest chosen rule asks for, as a share of the crop's diagonal.
        rules: the overlays drawn at the start, names of `RULES`.
        alt: what is on the photo, in words.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for a box that is bad or leaves the photo, a subject outside of it, or an unknown
            rule.
    """

    _esm = program("composition_rules.js")
    box = traitlets.List().tag(sync=True)
    subject = traitlets.List().tag(sync=True)
    rules = traitlets.List().tag(sync=True)

    def __init__(
        self,
        photo: Any,
        box: Any,
        *,
        subject: Any = None,
        rules: Sequence[str] = ("thirds",),
        alt: str = "",
    ) -> None:
        image = read_photo(photo)
        rules = [rules] if isinstance(rules, str) else list(rules)
        point = [] if subject is None else np.asarray(subject, dtype=float).round(3).tolist()
        state = {"box": whole_pixels(box, *image.size), "subject": point, "rules": rules}
        super().__init__(image, alt, "Composition rules", state)

    @traitlets.validate("box")
    def _check_box(self, proposal: Any) -> list[int]:
        return whole_pixels(proposal["value"], self._image.width, self._image.height)

    @traitlets.validate("subject")
    def _check_subject(self, proposal: Any) -> list[float]:
        point = proposal["value"]
        size = self._image.size
        if point and (
            len(point) != 2
            or not all(0 <= value <= side for value, side in zip(point, size, strict=True))
        ):
            raise BoxError(
                f"subject {point} is not an (x, y) within the photo of {size[0]} × {size[1]} pixels"
            )
        return point

    @traitlets.validate("rules")
    def _check_rules(self, proposal: Any) -> list[str]:
        unknown = [rule for rule in proposal["value"] if rule not in RULES]
        if unknown:
            raise BoxError(f"there is no rule {unknown[0]!r}; choose from {', '.join(RULES)}")
        return proposal["value"]

    def values(self) -> dict[str, float]:
        """`aspect` of the crop, `share` of the photo's area, and `distance` of the subject from the
        nearest rule.
        """
        x1, y1, x2, y2 = self.box
        values = {
            "aspect": (x2 - x1) / (y2 - y1),
            "share": (x2 - x1) * (y2 - y1) / (self.width * self.height),
        }
        if self.subject and self.rules:
            values["distance"] = min(
                rule_distance(rule, self.box, self.subject) for rule in self.rules
            )
        return values

    def _summary(self) -> str:
        values = self.values()
        text = f"Aspect ratio {values['aspect']:.3f}, share of the photo kept {values['share']:.3f}"
        return text + (
            f", subject off the rule {values['distance']:.3f}" if "distance" in values else ""
        )

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import COLORS, draw_boxes

        draw_boxes(ax, self._image, [self.box], None, "yellow")
        x1, y1, x2, y2 = self.box
        for rule, name in zip(RULES, ("sky", "orange", "purple", "green"), strict=True):
            if rule not in self.rules:
                continue
            lines = [((x1, x2), (y1, y2)), ((x1, x2), (y2, y1))] if rule == "diagonals" else []
            for share in RULES[rule]:
                x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
                lines += [((x, x), (y1, y2)), ((x1, x2), (y, y))]
            for line in lines:
                ax.plot(*line, color=COLORS[name], linewidth=1.5)
        if self.subject:
            ax.plot(
                *self.subject, "o", color=COLORS["vermilion"], markeredgecolor="white", markersize=9
            )


def rule_distance(rule: str, box: Sequence[float], point: Sequence[float]) -> float:
    """How far a point is from what a rule asks for, as a share of the crop's diagonal.

    "thirds", "golden" and "centre" ask for a crossing of the rule's lines, the nearest of which
    counts; "diagonals" for the nearer diagonal.

    Args:
        rule: one of `RULES`.
        box: (4,) of the crop, in pixels.
        point: (x, y) in pixels.
    """
    x1, y1, x2, y2 = box
    size = np.array([x2 - x1, y2 - y1], dtype=float)
    u, v = place = (np.asarray(point, dtype=float) - (x1, y1)) / size
    diagonal = float(np.hypot(*size))
    if rule == "diagonals":
        return float(min(abs(u - v), abs(u + v - 1)) * size.prod() / diagonal**2)
    gaps = np.abs(place[:, None] - np.array(RULES[rule])).min(axis=1)
    return float(np.hypot(*(gaps * size)) / diagonal)
