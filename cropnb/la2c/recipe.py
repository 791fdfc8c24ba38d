"""What the agent is trained on and how: the variants that are compared, and the profiles.

The paper gives the 16 environments, the 1/30 of a side, the 224 pixels, and no other number of its
training. What had to be chosen is listed in `paper.toml` ([[detail]]): on training and validation
photos, but for detail 11.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from cropnb import datasets
from cropnb.checkpoints import History
from cropnb.datasets.base import CropDataset
from cropnb.la2c import rules
from cropnb.la2c.cropper import play_all
from cropnb.la2c.envs.banks import RESOLUTION, ImageBank
from cropnb.la2c.envs.batched import BatchedCropEnv
from cropnb.la2c.envs.features import SIZE, VIEWS, FeatureBank, calibrate, look_with
from cropnb.la2c.learner import Learner, Settings, per_episode
from cropnb.la2c.model import CUT, HIDDEN, SHARED_CUT, Agent
from cropnb.la2c.studies import measures, rows
from cropnb.ledger import SCENES, Row
from cropnb.runs import Column, Experiment, Measurement, Method, Place, Result, Run, Stage
from cropnb.runs import Profile as Base
from cropnb.runs.context import Context

GAMMA = 0.5  # detail 1: leaves little to farm
VALUE_WEIGHT, ENTROPY_WEIGHT = 0.5, 0.05  # detail 2: λ and β
# training photos that give the batch statistics of a backbone that starts at random
CALIBRATED = 64
CURVE = 200  # updates that a point of the learning curve stands for


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
class Variant:
    """What is changed for one row.

    Attributes:
        init: of the backbone, where it isn't the program's.
        entropy_weight: β, where rewards are of another size.
        updates: in multiples of the profile's.
    """

    agent: Mapping[str, object] = field(default_factory=dict)
    actions: str = "la2c"
    reward: str = "iou_sign"
    environments: int = 16
    init: str | None = None
    entropy_weight: float | None = None
    updates: float = 1.0

    def learning(self, settings: Settings) -> Settings:
        """The profile's settings with this variant's changes; always validated as often."""
        weight = settings.entropy_weight if self.entropy_weight is None else self.entropy_weight
        return replace(
            settings,
            environments=self.environments,
            updates=round(settings.updates * self.updates),
            validate_every=round(settings.epoch_updates * self.updates),
            entropy_weight=weight,
        )


MAIN, LSTM = "LA2C", "LA2C-LSTM"
OWN = (MAIN, LSTM)  # the rows of the paper's tables
_LEARNING = Settings(1, gamma=GAMMA, value_weight=VALUE_WEIGHT, entropy_weight=ENTROPY_WEIGHT)


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
        "steps": Column(higher_is_better=False, worth_having=1.0),
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
    variants = {
        MAIN: Variant(),
        LSTM: Variant({"lstm": True}),
        # A step changes the IoU by about 1/30 of itself, so the entropy is weighed by as much less.
        "IoU difference": Variant(reward="iou_difference", entropy_weight=ENTROPY_WEIGHT / 30),
        "aesthetic score": Variant(reward="aesthetic"),
        # An update with one environment takes two thirds of the time of one with sixteen, so both
        # learn for equally long.
        "1 environment": Variant(environments=1, updates=1.5),
        "random start": Variant(init="random"),
        "A2-RL actions": Variant(actions="a2rl"),
        "A2-RL actions, aesthetic score": Variant(actions="a2rl", reward="aesthetic"),
    }
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
        # A short run, for comparing variants with three seeds each.
        "trial": Profile(
            2000, 200, None, learning=replace(_LEARNING, updates=800, validate_every=400)
        ),
        # Sec. 3: 16 environments, 224 pixels, the whole network. For a GPU; it was not run for the
        # ledger.
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
        profile = super().profile(experiment)
        return replace(profile, shared=True) if experiment.frozen else profile

    def parts(self, experiment: Experiment) -> Mapping[str, CropDataset]:
        """Training and validation scenes are in another form than those of the tests."""
        parts, profile = super().parts(experiment), experiment.profile
        if experiment.dataset != SCENES:
            return parts
        sizes = (profile.train_photos, profile.validation_photos, profile.test_photos)
        train, val, _ = datasets.splits(experiment.dataset, profile.train_form, *sizes)
        return {**parts, "train": train, "val": val}

    def settings(self, experiment: Experiment, variant: str) -> Mapping[str, object]:
        chosen = self.variants[variant]
        return {
            "variant": chosen,
            "actions": rules.ACTIONS[chosen.actions],
            "init": chosen.init or experiment.init,
        }

    def prepare(self, experiment: Experiment, part: str) -> ImageBank:
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
            "size": agent.grid if profile.shared else profile.size,
        }
        return BatchedCropEnv(self.bank(experiment, part, agent), **{**options, **changes})

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        settings = self.variants[run.variant].learning(experiment.profile.learning)
        env = self.env(experiment, run, "train", model, episodes=settings.environments)
        learner = Learner(model, env, settings, run.seed)
        check = self.env(
            experiment, run, "val", model, episodes=measures.TOGETHER, reward="iou_sign"
        )
        yield Stage(
            name="agent",
            trained=learner,
            loss=learner.loss,
            size=settings.epoch_updates,
            recipe=settings.recipe(run.seed),
            validate=lambda: measures.mean_iou(play_all(model, check), check),
            optimizer=learner.optimizer(),
            best=model,
            record=self._curves,
        )

    def _curves(self, history: History) -> Measurement:
        """What the episodes went through, a number for every `CURVE` updates."""
        whole = len(history.steps) // CURVE * CURVE
        entropy = history.column("entropy")[:whole].view(-1, CURVE).mean(1)
        lines = {name: per_episode(history, name, CURVE).tolist() for name in ("length", "iou")}
        return Measurement({}, {"curve": {**lines, "entropy": entropy.tolist()}})

    def measure(self, experiment: Experiment, run: Run, model: nn.Module) -> Measurement:
        profile, variant = experiment.profile, self.variants[run.variant]
        env = self.env(
            experiment, run, "test", model, episodes=measures.TOGETHER, reward="iou_sign"
        )
        how = {"actions": variant.actions, "step_limit": profile.step_limit, "size": profile.size}
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

    def card(self, result: Result) -> Mapping[str, object]:
        return {"agent": result.details["agent"], **result.details["rules"]}

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        places = []
        if variant in OWN:
            pairs = tuple(f"{name} {n}" for n in (1, 2, 3) for name in ("IoU", "BDE"))
            columns = {"Table 1": pairs, "Table 2": ("IoU", "BDE"), "Table 3": ("steps",)}
            places += [Place(table, variant, names) for table, names in columns.items()]
        if experiment.profile_name == "trial" or variant not in OWN:
            compared = ("IoU", "BDE", "steps", "stopped", "best box", "aesthetic score")
            places.append(Place("variants", variant, compared))
        return places

    def note(self, results: list[Result]) -> str:
        chosen = self.variants[results[0].variant]
        text = (
            f"{len(results)} seed(s), the agent of the best validation score; reward "
            f"{chosen.reward}, actions {chosen.actions}, {chosen.environments} environment(s)"
        )
        if chosen.updates != 1:
            text += f"; {chosen.updates:g} times the updates, which take about as long"
        if "random" in (chosen.init, results[0].init):
            text += f"; batch statistics of {CALIBRATED} training photos"
        return text + ("; random backbone" if chosen.init == "random" else "")

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[Row]:
        return rows.further(context, experiment, results)


METHOD = La2cMethod()
