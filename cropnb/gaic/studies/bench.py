"""What the book says about the speed of the view scorer that GAIC and VRN share."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from cropnb import backbones, candidates
from cropnb.bench import (
    FROM_C3_3,
    Ratio,
    Step,
    keep_signals,
    parallel_speed,
    ratios,
    training_speed,
)
from cropnb.gaic.losses import gaic_loss
from cropnb.gaic.model import Gaic, ViewScorer
from cropnb.gaic.recipe import ViewLoss

TRAINING_PHOTOS, TRAINING_VIEWS = 4, 64
TOGETHER = f"{FROM_C3_3}; it takes {TRAINING_PHOTOS} photos together, the plain one each alone"


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


def training_steps(model: nn.Module, loss: ViewLoss, rate: float = 1e-4) -> tuple[Step, Step]:
    """Training on four photos with 64 views each: one photo a step through the whole network, as
    the papers do; and the four in one step from the kept maps of c3_3 on. Each returns the mean
    loss. Without dropout, so that both have the same.

    Args:
        model: GAIC's or VRN's network.
        rate: the learning rate.
    """
    rng = torch.Generator().manual_seed(0)
    photos = torch.rand(TRAINING_PHOTOS, 3, 256, 384, generator=rng)
    views = candidates.grid_anchors(384, 256)[:TRAINING_VIEWS]
    mos = 1 + 4 * torch.rand(TRAINING_PHOTOS, len(views), generator=rng)
    plain = keep_signals(model).eval()
    fast = copy.deepcopy(plain)
    stem, trunk = backbones.split(fast.features.backbone, "c3_3")
    with torch.no_grad():
        maps = stem(photos)[0]

    def losses(network: nn.Module, features: Tensor, numbers: range) -> Tensor:
        pairs = zip(features.split(1), numbers, strict=True)
        parts = [loss(network, one, [views], mos[number])["loss"] for one, number in pairs]
        return torch.stack(parts).mean()

    def learner(network: nn.Module) -> Callable[[Tensor], float]:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=rate, fused=True)

        def learn(value: Tensor) -> float:
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            return value.item()

        return learn

    learn_plain, learn_fast = learner(plain), learner(fast)

    def one_by_one() -> float:
        values = [
            learn_plain(losses(plain, plain.features(photos[i : i + 1]), range(i, i + 1)))
            for i in range(len(photos))
        ]
        return sum(values) / len(values)

    def together() -> float:
        features = fast.features.from_stem(maps, trunk)
        return learn_fast(losses(fast, features, range(len(photos))))

    return one_by_one, together


def from_a_cut() -> Step:
    """A step of GAIC from the kept maps of c3_3 on."""
    return training_steps(Gaic(weights=None), gaic_loss)[1]


MEASURED = {
    **training_speed(
        "GAIC, training the network",
        lambda: training_steps(Gaic(weights=None), gaic_loss),
        TRAINING_PHOTOS,
        1.5,
        TOGETHER,
    ),
    **parallel_speed("GAIC, training from c3_3 on", from_a_cut, TRAINING_PHOTOS),
    "view scorer with shared points": Ratio(
        shared_points_against_dense, "times the same with a RoDAlign feature a view"
    ),
}
