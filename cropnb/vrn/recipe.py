"""What VRN is trained on and how: the four rows of Table 2, what it lacks, and the profiles."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cropnb import training
from cropnb.gaic.recipe import FromCut, GridAnchorMethod, Profile, ViewLoss
from cropnb.runs import Experiment, Place, Run, option
from cropnb.vrn.losses import vrn_loss
from cropnb.vrn.model import Vrn

# The ranking gain's gradient has a norm in the thousands at first, and Adam remembers it for
# thousands of steps, in which nothing is learned. Every row of Table 2 is trained with the same
# bound on the norm; rows with β as a mean need none and have none.
CLIP = 1.0


@dataclass(frozen=True)
class Variant:
    """One row of Table 2, or a row that the table lacks.

    Attributes:
        over_views: β is the "sum" over views as printed, or their "mean".
        mean_subtracted: without the splitter, predict MOS less the photo's mean, as the view-wise
            learner does, instead of MOS.
        clipped: bound the gradient's norm, which β as a mean doesn't need.
        offset: the deviation of a number that is drawn for each training photo and added to all of
            its MOS: more of what the paper calls image-wise differences.
    """

    feature_splitter: bool
    ranking_gain: bool
    over_views: str = option("sum")
    mean_subtracted: bool = option(False)
    clipped: bool = option(True)
    offset: float = option(0.0)


class VrnMethod(GridAnchorMethod):
    """The rows of Table 2, trained alike."""

    name, main = "vrn", "FS + RGL"
    remark = (
        "It orders crops of scenes less well than the weights for scenes alone, and that is right "
        "for its use: most of what it saw were photographs, which it is for, and it trained for "
        "fewer minutes, as both cards say."
    )
    variants = {
        "baseline": Variant(feature_splitter=False, ranking_gain=False),
        "FS": Variant(feature_splitter=True, ranking_gain=False),
        "RGL": Variant(feature_splitter=False, ranking_gain=True),
        "FS + RGL": Variant(feature_splitter=True, ranking_gain=True),
        "RGL, mean": Variant(False, True, over_views="mean", clipped=False),
        "FS + RGL, mean": Variant(True, True, over_views="mean", clipped=False),
        # What Table 2 lacks: the splitter comes with mean-subtracted targets. Is it one or the
        # other that helps?
        "mean-subtracted targets": Variant(False, False, mean_subtracted=True),
        # What the splitter is there for: photos that differ as a whole. Mean-subtracted targets
        # don't see it at all: one row of theirs stands for every offset.
        "baseline, offset 0.5": Variant(False, False, offset=0.5),
        "baseline, offset 1": Variant(False, False, offset=1.0),
        "FS, offset 0.5": Variant(True, False, offset=0.5),
        "FS, offset 1": Variant(True, False, offset=1.0),
    }
    usual = {**GridAnchorMethod.usual, "cropnb.vrn.losses.LAMBDA": 3.0}
    profiles = {
        "smoke": Profile(32, 16, 40, head_epochs=3, head_learning_rate=1e-3, clip=CLIP),
        "cpu": Profile(
            None, 100, None, head_epochs=4, head_learning_rate=1e-3, epochs=2, clip=CLIP
        ),
        # What a CPU trains of the network in minutes: the first units, which cost most, stay.
        "trained": FromCut(None, 100, None, epochs=6, learning_rate=1e-3, clip=CLIP),
        # Twice as long: validation was still rising after six epochs.
        "longer": FromCut(None, 100, None, epochs=12, learning_rate=1e-3, clip=CLIP),
        "photographs": FromCut(None, 150, None, epochs=2, learning_rate=1e-3, clip=CLIP),
        # Adam, learning rate 1e-4, 60 epochs, one photo with 64 views a step (Sec. 4.2).
        "full": Profile(None, 100, None, epochs=60, clip=CLIP),
    }

    def build(self, experiment: Experiment, run: Run) -> Vrn:
        """VRN with or without the feature splitter; with mean-subtracted targets its scores start
        at 0.
        """
        weights = "imagenet" if experiment.init == "imagenet" else None
        chosen = self.variants[run.variant]
        model = Vrn(feature_splitter=chosen.feature_splitter, weights=weights)
        if chosen.mean_subtracted:
            nn.init.zeros_(model.view_learner.rest[-1].bias)  # the mean of what it predicts
        return model

    def clip(self, experiment: Experiment, run: Run) -> float | None:
        """The bound of the gradient's norm, where the variant has one."""
        return experiment.profile.clip if self.variants[run.variant].clipped else None

    def loss(self, variant: str) -> ViewLoss:
        """The loss of one row of Table 2.

        Without the splitter the network predicts scores of 1…5, unless the variant says otherwise;
        the photo's annotated mean is taken from both sides, so that the ranking gain sees
        mean-subtracted scores in every row.
        """
        chosen = self.variants[variant]

        def compute(
            model: nn.Module, features: Tensor, boxes: list[Tensor], mos: Tensor
        ) -> dict[str, Tensor]:
            view_scores, image_scores = model.from_features(features, boxes)  # (N,) each
            if not chosen.feature_splitter and not chosen.mean_subtracted:
                view_scores = view_scores - mos.mean()
            return vrn_loss(
                view_scores, mos, image_scores, chosen.ranking_gain, over_views=chosen.over_views
            )

        return compute

    def offsets(self, run: Run, photos: int) -> Tensor:
        """Of one deviation or another the same draws, so that rows differ in nothing else."""
        rng = training.generator(run.seed, "offsets")
        return self.variants[run.variant].offset * torch.randn(photos, generator=rng)

    def shipped(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inference drops the image-wise learner (Sec. 3.1)."""
        return {k: v for k, v in state.items() if not k.startswith("image_learner.")}

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """Table 2, whose last row is VRN itself."""
        return [Place("Table 2", variant)]


METHOD = VrnMethod()
