"""What the book says about the speed of the view scorer that GAIC and VRN share."""

from collections.abc import Callable

import torch

from cropnb import candidates
from cropnb.bench import Ratio, ratios
from cropnb.gaic.model import ViewScorer


def shared_points_against_dense(rounds: int) -> list[float]:
    """The view scorer with shared discard points, over the one that builds each view's RoDAlign
    feature.
    """
    scorer = ViewScorer(32).eval()
    features, views = torch.rand(1, 32, 16, 24), candidates.grid_anchors(384, 256)

    def run(score: Callable) -> Callable[[], object]:
        @torch.inference_mode()
        def call() -> object:
            return score(features, [views])

        return call

    return ratios(run(scorer), run(scorer.score_densely), rounds)


MEASURED = {
    "view scorer with shared points": Ratio(
        shared_points_against_dense, "times the same with a RoDAlign feature a view"
    ),
}
