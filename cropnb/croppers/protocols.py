"""What a method has to be, so that `Cropper` can ask it for crops."""

from typing import Protocol

from torch import Tensor


class ScoringMethod(Protocol):
    """Rates candidates: GAIC, VRN and their kin.

    It may have `see` and `score_all` too, and then works on batches: `see(image)` is what the
    network needs of a photo (3, H, W), another tensor, computed in a thread of its own;
    `score_all(seen, sizes, boxes)` rates the boxes (N, 4) of each photo, in pixels of photos of
    these sizes (width, height). With `shared = True` several threads may ask it at a time. With a
    `sharpness` its candidates are ranked by expected overlap, see `preference`.
    """

    name: str

    def candidates(self, width: int, height: int, aspect: float | None = None) -> Tensor:
        """The boxes (N, 4) to choose from, in pixels; with `aspect` all of that ratio."""

    def score_boxes(self, image: Tensor, boxes: Tensor) -> Tensor:
        """A photo (3, H, W) in 0…1 and boxes (N, 4) in its pixels -> scores (N,), the higher the
        better.
        """


class ProposingMethod(Protocol):
    """Finds crops itself. It may have `score_boxes` too.

    For batches, `see` as of a scoring method, and `propose_all(seen, sizes, aspects)`, a list of
    what `propose` gives, in pixels of photos of these sizes. A method with `blind = True` is shown
    no photo; with `ordered = True` its boxes come best first although they have scores.
    """

    name: str

    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, Tensor | None]:
        """A photo (3, H, W) in 0…1 -> boxes (N, 4) in its pixels and scores (N,), or None when best
        come first.
        """
