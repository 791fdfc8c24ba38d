"""What the agent is trained on and how: the profiles, and the steps of a training and a test.

The paper gives the 16 environments, the 1/30 of a side, the 224 pixels, and no other number of its
training. What had to be chosen is listed in `paper.toml` ([[detail]]): on training and validation
photos, but for detail 11.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from cropnb import backbones, croppers, datasets, ledger, methods
from cropnb.croppers import shipped
from cropnb.datasets.base import CropDataset
from cropnb.files import file_hash
from cropnb.la2c import rules
from cropnb.la2c.cropper import mean_iou, play_all
from cropnb.la2c.envs.banks import RESOLUTION, ImageBank
from cropnb.la2c.envs.batched import BatchedCropEnv
from cropnb.la2c.envs.features import SIZE, VIEWS, FeatureBank, calibrate, look_with
from cropnb.la2c.envs.judges import LatticeJudge
from cropnb.la2c.learner import Learner, Settings
from cropnb.la2c.model import CUT, HIDDEN, SHARED_CUT, Agent
from cropnb.la2c.recipe.variants import AESTHETIC, ENTROPY_WEIGHT, MAIN, OWN, VARIANTS
from cropnb.la2c.studies import measures, rows
from cropnb.ledger import Row
from cropnb.runs import Column, Experiment, Measurement, Method, Place, Result, Run, Stage, blind
from cropnb.runs import Profile as Base
from cropnb.runs.context import Context
from cropnb.runs.identity import plain
from cropnb.runs.method import FROZEN, NORMALISATION, learned_behind
from cropnb.runs.plan import method_named
from cropnb.runs.start import run_of, state_of

GAMMA = 0.5  # detail 1: leaves little to farm
JUDGE = "gaic"  # detail 15: whose weights for photographs stand for A2-RL's aesthetic score
VALUE_WEIGHT = 0.5  # detail 2: λ; β is `ENTROPY_WEIGHT`
# training photos that give the batch statistics of a backbone that starts at random
CALIBRATED = 64
TOGETHER = 128  # photos that are cropped side by side in an evaluation


@dataclass(frozen=True)
class Profile(Base):
    """How much is trained, and what the agent sees.

    Attributes:
        shared: one pass of the frozen backbone a photo, see `Agent`.
        neck: units of a layer before the heads, in the place of the backbone's last ones.
        narrow: channels before that layer, see `Agent`.
        dropout: of the features, see `Agent`.
        views: further ones of each training photo, where the backbone is shared.
        size: pixels of an observation where the backbone is not shared.
        train_form: of the training scenes: several people's boxes a photo.
        symmetric: see `mirror` of `Agent`.
        match: detail 6: the IoU of the reward is the mean over a photo's true boxes.
    """

    backbone_of = ""  # no field here, but of `FromMethod`

    learning: Settings = field(default_factory=lambda: Settings(1))
    shared: bool = True
    neck: int = 256
    narrow: int = 0
    dropout: float = 0.0
    views: int = 0
    size: int = 224
    step_limit: int = rules.STEP_LIMIT
    train_form: str = "flms"
    symmetric: bool = False
    match: str = "mean"


@dataclass(frozen=True)
class FromMethod(Profile):
    """The frozen backbone is the one that another method has trained on the same data.

    A rollout looks at 16 photos, and a pass of the backbone's units forward and backward through
    each of them costs many times what an update of the heads does. So the agent takes units that
    were trained for crops, and leaves them as they are.

    Attributes:
        backbone_of: the method.
        backbone_profile: its profile.
    """

    backbone_of: str = "gaic"
    backbone_profile: str = "trained"


_LEARNING = Settings(1, gamma=GAMMA, value_weight=VALUE_WEIGHT, entropy_weight=ENTROPY_WEIGHT)

# What a CPU trains in minutes on features that were trained for crops.
_TRAINED = FromMethod(
    2000,
    200,
    None,
    learning=replace(_LEARNING, updates=15_000, validate_every=1500),
    narrow=32,
    dropout=0.3,
    views=1,
    symmetric=True,
)


class La2cMethod(Method):
    """LA2C, LA2C-LSTM, and what the paper claims to be better than."""

    name, main = "la2c", MAIN
    forms = ("fcdb",)  # of the test scenes
    epochs = ("best",)
    claim_columns = ("IoU",)
    columns = {
        "IoU": Column(worth_having=0.01),
        "BDE": Column(higher_is_better=False, worth_having=0.005),
        "best box": Column(worth_having=0.01),
        "steps": Column(higher_is_better=False, worth_having=1.0, asks="IoU"),
        "stopped": Column(100),
    }
    constants = {
        "views": VIEWS,
        "view_size": SIZE,
        "resolution": RESOLUTION,
        "calibrated": CALIBRATED,
        "cuts": (SHARED_CUT, CUT),
        "hidden": HIDDEN,
        "a2rl_reward": (rules.MAX_ASPECT, rules.ASPECT_COST, rules.STEP_COST),
        "step_limits": measures.STEP_LIMITS,
        "timed": measures.TIMED,
    }
    usual = {**NORMALISATION, "cropnb.la2c.studies.measures.CURVE": 200}
    variants = VARIANTS
    profiles = {
        "smoke": Profile(
            24, 12, 12, learning=replace(_LEARNING, updates=150, validate_every=50), neck=64
        ),
        "cpu": Profile(
            None,
            200,
            None,
            learning=replace(_LEARNING, updates=75_000, validate_every=2500),
            narrow=32,
            dropout=0.3,
            views=3,
            symmetric=True,
        ),
        "trained": _TRAINED,
        "photographs": replace(
            _TRAINED,
            validation_photos=150,
            learning=replace(_LEARNING, updates=25_000, validate_every=2500),
            views=2,
            backbone_profile="photographs",
        ),
        # A short run, for comparing variants with three seeds each.
        "trial": Profile(
            2000, 200, None, learning=replace(_LEARNING, updates=800, validate_every=400)
        ),
        # Long enough for a flat curve, for what is claimed.
        "long": Profile(
            2000, 200, 500, learning=replace(_LEARNING, updates=12_000, validate_every=1000)
        ),
        # 16 environments, 224 pixels, the whole network (Sec. 3). For a GPU; it was not run for
        # the ledger.
        "full": Profile(
            None,
            200,
            None,
            learning=replace(_LEARNING, updates=100_000, learning_rate=1e-4, validate_every=5000),
            shared=False,
            neck=0,
        ),
    }

    def profile(self, experiment: Experiment) -> Profile:
        """As the base has it; a frozen backbone sees each photo once, not at every step."""
        profile = super().profile(experiment)
        return replace(profile, shared=True) if experiment.frozen else profile

    def parts(self, experiment: Experiment) -> Mapping[str, CropDataset]:
        """Training and validation scenes are in another form than those of the tests."""
        parts, profile = super().parts(experiment), experiment.profile
        if not datasets.takes_form(experiment.dataset):
            return parts
        sizes = (profile.train_photos, profile.validation_photos, profile.test_photos)
        train, val, _ = datasets.splits(experiment.dataset, profile.train_form, *sizes)
        return {**parts, "train": train, "val": val}

    def settings(self, experiment: Experiment, variant: str) -> Mapping[str, object]:
        """The variant, what its actions do to a box, and what its backbone starts from."""
        chosen = self.variants[variant]
        # The start of a variant's backbone is part of it.
        profile = experiment.profile
        other = None if chosen.init else profile.backbone_of
        judge = {"judge": file_hash(shipped(JUDGE))} if self._judged(experiment, variant) else {}
        return {
            "variant": {**plain(chosen), **judge},
            "actions": rules.ACTIONS[chosen.actions],
            "init": chosen.init or experiment.init,
            **(
                {"backbone": run_of(experiment, other, profile.backbone_profile).config_hash}
                if other
                else {}
            ),
        }

    def _judged(self, experiment: Experiment, variant: str) -> bool:
        """Whether a variant is paid by an aesthetic score on photos that bring none."""
        scenes = ledger.kind(experiment.dataset) == ledger.SCENES
        return self.variants[variant].reward == AESTHETIC and not scenes

    def learned(self, profile: Mapping[str, object]) -> str:
        """Agents leave a backbone that they share as it is, and may take another method's."""
        if other := profile.get("backbone_of"):
            theirs = method_named(other)
            there = theirs.learned(plain(theirs.profiles[profile["backbone_profile"]]))
            return f"{FROZEN}; {methods.TITLES[other]}'s, of which {there}"
        return FROZEN if profile["shared"] else learned_behind(None)

    def prepare(self, experiment: Experiment, part: str) -> ImageBank:
        """Photos and their true boxes, resized once."""
        return ImageBank(experiment.parts[part], experiment.device)

    def agent_arguments(self, profile: Profile, variant: str) -> dict[str, object]:
        """What an agent of a variant is built with, as it stands in its card."""
        chosen = self.variants[variant]
        actions = rules.ACTIONS[chosen.actions]
        return {
            "actions": len(actions),
            "shared": profile.shared,
            "neck": profile.neck,
            **({"narrow": profile.narrow} if profile.narrow else {}),
            **({"mirror": actions.mirror()} if profile.symmetric else {}),
            **chosen.agent,
        }

    def build(self, experiment: Experiment, run: Run) -> Agent:
        """A new agent: the backbone of its start, the same for all seeds, and heads of its seed."""
        profile, random = experiment.profile, run.identity["init"] == "random"
        arguments = self.agent_arguments(profile, run.variant)
        agent = Agent(weights=None, dropout=profile.dropout, **arguments)
        if "backbone" in run.identity:
            state = state_of(experiment, profile.backbone_of, profile.backbone_profile)
            agent.backbone.load_state_dict(backbones.state_in(state, agent.backbone))
        else:
            torch.manual_seed(0)
            start = Agent(weights=None if random else "imagenet", shared=profile.shared)
            start.to(experiment.device)
            if random:
                calibrate(start.backbone, experiment.parts["train"].samples[:CALIBRATED])
            agent.backbone.load_state_dict(start.backbone.state_dict())
        if profile.shared:
            agent.backbone.requires_grad_(False)
        return agent

    def bank(self, experiment: Experiment, part: str, agent: Agent) -> ImageBank:
        """The photos of a part, or their feature maps where the agent's backbone is shared."""
        profile, photos = experiment.profile, experiment.parts[part]
        if not profile.shared:
            return experiment.photos(part)
        views = 1 + (profile.views if part == "train" else 0)
        cache = experiment.features(
            part,
            agent.backbone,
            look_with(agent, photos),
            views=views,
            described=VIEWS,
            size=SIZE,
        )
        return FeatureBank(photos, lambda *place: cache.levels(*place)[0], views, experiment.device)

    def env(
        self, experiment: Experiment, run: Run, part: str, agent: Agent, **changes: object
    ) -> BatchedCropEnv:
        """The environment of a variant on the photos of one part."""
        profile, variant = experiment.profile, self.variants[run.variant]
        options = {
            "actions": variant.actions,
            "reward": variant.reward,
            "truths": profile.match,
            "step_limit": profile.step_limit,
            "size": agent.grid if profile.shared else variant.size or profile.size,
            **changes,
        }
        if options["reward"] == AESTHETIC and self._judged(experiment, run.variant):
            judge = croppers.load(JUDGE, device=experiment.device)
            options["reward"] = LatticeJudge(judge, variant.actions)
        return BatchedCropEnv(self.bank(experiment, part, agent), **options)

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        """One, of the agent. An epoch is a number of updates, whose photos the environments
        choose.
        """
        settings = self.variants[run.variant].learning(experiment.profile.learning)
        env = self.env(experiment, run, "train", model, episodes=settings.environments)
        learner = Learner(model, env, settings, run.seed)
        check = self.env(experiment, run, "val", model, episodes=TOGETHER, reward="iou_sign")
        yield Stage(
            name="agent",
            trained=learner,
            loss=learner.loss,
            size=settings.epoch_updates,
            recipe=settings.recipe(run.seed),
            validate=lambda: mean_iou(play_all(model, check), check),
            optimizer=learner.optimizer(),
            best=model,
            record=measures.curves,
        )

    def measure(self, experiment: Experiment, run: Run, model: nn.Module) -> Measurement:
        """IoU, BDE and steps of one greedy episode a photo, at several step limits, and its
        seconds.
        """
        profile, variant = experiment.profile, self.variants[run.variant]
        env = self.env(experiment, run, "test", model, episodes=TOGETHER, reward="iou_sign")
        size = variant.size or profile.size
        how = {"actions": variant.actions, "step_limit": profile.step_limit, "size": size}
        limits = sorted({*measures.STEP_LIMITS, profile.step_limit})
        ends = play_all(model, env, step_limits=limits)
        return Measurement(
            columns=measures.columns(ends[profile.step_limit], env.bank),
            details={
                "agent": self.agent_arguments(profile, run.variant),
                "rules": how,
                "limits": measures.at_limits(ends, env.bank),
                "seconds": measures.seconds(model, experiment.parts["test"], how),
            },
        )

    def blind(self, experiment: Experiment) -> Mapping[str, Sequence[float]]:
        """IoU and BDE of the photo's middle."""
        return blind.overlap(experiment.parts["test"])

    def card(self, result: Result) -> Mapping[str, object]:
        """How the agent is built, and the rules that it plays by."""
        return {"agent": result.details["agent"], **result.details["rules"]}

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """Tables 1 to 3 for the paper's own variants; the table of variants for others."""
        return rows.places(variant, variant in OWN, experiment.profile_name)

    def note(self, results: list[Result]) -> str:
        """Which agent is measured, and how it was trained."""
        return rows.note(results, CALIBRATED)

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[Row]:
        """Seconds a photo, what other step limits give, and the steps that LA2C saves."""
        return rows.further(context, experiment, results)


METHOD = La2cMethod()
