"""Synchronous advantage actor-critic: play a few steps in all episodes, then one update of the
shared agent (Sec. 3.2).

An update is a step of `cropnb.training`'s loop, and as safe to kill: it draws its actions and its
photos from a generator seeded with (seed, number of the update), and the running episodes are saved
with the agent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from cropnb import training
from cropnb.checkpoints import History
from cropnb.errors import CropnbError
from cropnb.la2c import losses
from cropnb.la2c.envs.batched import StepResult
from cropnb.la2c.model import Memory, PolicyOutput, reset_memory


@dataclass(frozen=True)
class Settings:
    """How an agent is trained. None of this is in the paper but the 16 environments."""

    updates: int
    environments: int = 16
    rollout: int = 5  # steps in each environment before an update
    gamma: float = 0.9  # γ
    value_weight: float = 0.5  # λ of the loss (Eq. 2)
    entropy_weight: float = 0.01  # β of the loss (Eq. 2)
    learning_rate: float = 3e-4  # of Adam
    epsilon: float = 1e-5  # of Adam
    schedule: str = "linear"  # the learning rate falls to zero at the last update; or "constant"
    clip: float | None = 0.5  # bounds the norm of the gradient
    validate_every: int | None = None  # updates; by default once, at the end

    @property
    def epoch_updates(self) -> int:
        """What the training loop calls an epoch: the updates between two validations."""
        return self.validate_every or self.updates

    def recipe(self, seed: int) -> training.Recipe:
        """The same for the training loop.

        Raises:
            CropnbError: `validate_every` doesn't divide the updates.
        """
        if self.updates % self.epoch_updates:
            raise CropnbError(
                f"{self.updates} updates can't be validated every {self.validate_every}; take a "
                "divisor"
            )
        return training.Recipe(
            epochs=self.updates // self.epoch_updates,
            learning_rate=self.learning_rate,
            clip=self.clip,
            schedule=self.schedule,
            seed=seed,
        )


class Environment(Protocol):
    """What can be played: `BatchedCropEnv`, or anything with its state in a module's buffers."""

    episodes: int

    def observe(self) -> Tensor:
        """(E, …) what the agent sees."""

    def restart(self, rows: Tensor, rng: torch.Generator) -> None:
        """Begin the episodes `rows` anew."""

    def step(self, chosen: Tensor, rng: torch.Generator) -> StepResult:
        """An action in each episode; those that have ended are begun anew."""


@dataclass(frozen=True)
class Rollout:
    """A few steps of all episodes: what the losses take, and what they led to.

    Attributes:
        logits: (T, E, A).
        values, actions, rewards, ended: (T, E).
        last_values: (E,) of the states after the last step.
        episodes: how many ended in these steps.
        length: their actions, summed.
        iou: their last IoU, summed.
    """

    logits: Tensor
    values: Tensor
    actions: Tensor
    rewards: Tensor
    ended: Tensor
    last_values: Tensor
    memory: Memory
    episodes: Tensor
    length: Tensor
    iou: Tensor

    def loss(self, settings: Settings) -> Mapping[str, Tensor]:
        """The losses of the rollout (Eq. 2 to 5)."""
        returns = losses.discounted_returns(
            self.rewards, self.ended, self.last_values, settings.gamma
        )
        return losses.total_loss(
            logits=self.logits,
            values=self.values,
            actions=self.actions,
            returns=returns,
            value_weight=settings.value_weight,
            entropy_weight=settings.entropy_weight,
        )


def sample(logits: Tensor, rng: torch.Generator) -> Tensor:
    """Actions (E,) drawn with the probabilities of logits (E, A). The draw is made on the CPU, the
    same everywhere.
    """
    uniform = torch.rand(logits.shape, generator=rng).clamp(1e-9, 1 - 1e-7)
    return (logits.detach() - torch.log(-torch.log(uniform)).to(logits.device)).argmax(-1)


def roll_out(
    agent: Callable[..., PolicyOutput],
    env: Environment,
    memory: Memory,
    steps: int,
    gamma: float,
    rng: torch.Generator,
) -> Rollout:
    """Play `steps` steps in all episodes, keeping the graph of what the agent computes for the
    losses.

    An episode that the step limit cuts off has not ended for the agent: the value of its last
    state, discounted, is added to its last reward. After a stop there is nothing more to come.
    """
    outputs, actions, rewards, results = [], [], [], []
    for _ in range(steps):
        output = agent(env.observe(), memory)
        chosen = sample(output.logits, rng)
        result = env.step(chosen, rng)
        reward = result.reward
        if result.final is not None:
            rows = result.truncated.nonzero().squeeze(-1)
            past = None if output.memory is None else tuple(part[rows] for part in output.memory)
            with torch.no_grad():
                reward = reward.index_add(0, rows, gamma * agent(result.final, past).value)
        memory = reset_memory(output.memory, result.ended)
        outputs.append(output)
        actions.append(chosen)
        rewards.append(reward)
        results.append(result)
    with torch.no_grad():
        last = agent(env.observe(), memory).value
    ended = torch.stack([result.ended for result in results])
    return Rollout(
        logits=torch.stack([output.logits for output in outputs]),
        values=torch.stack([output.value for output in outputs]),
        actions=torch.stack(actions),
        rewards=torch.stack(rewards),
        ended=ended,
        last_values=last,
        memory=memory,
        episodes=ended.sum(),
        length=torch.stack([result.length for result in results])[ended].sum(),
        iou=torch.stack([result.iou for result in results])[ended].sum(),
    )


class Learner(nn.Module):
    """Agent, running episodes, LSTM memory and the number of updates: what a run saves. `loss` is
    one update of it, for `cropnb.training.train`.

    Raises:
        CropnbError: the environment has another number of episodes than the settings.
    """

    def __init__(
        self, agent: nn.Module, env: Environment, settings: Settings, seed: int = 0
    ) -> None:
        super().__init__()
        if env.episodes != settings.environments:
            raise CropnbError(
                f"the settings are for {settings.environments} environments, and this one has "
                f"{env.episodes}"
            )
        self.agent, self.env, self.settings, self.seed = agent, env, settings, seed
        # Before anything is computed: it is what keeps the batch statistics of the backbone.
        self.train()
        device = next(agent.parameters()).device
        rows = torch.arange(env.episodes, device=device)
        env.restart(rows, training.generator(seed, "start"))
        with torch.no_grad():
            memory = agent(env.observe(), None).memory
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        for name, part in zip_longest(self._names(agent), memory or ()):
            self.register_buffer(name, None if part is None else torch.zeros_like(part))

    @staticmethod
    def _names(agent: nn.Module) -> tuple[str, ...]:
        """What the parts of the agent's memory are saved as."""
        return ("hidden", "cell", *(("photo", "seen") if getattr(agent, "whole", False) else ()))

    @property
    def memory(self) -> Memory:
        """What the agent remembers of the running episodes."""
        parts = tuple(getattr(self, name) for name in self._names(self.agent))
        return None if parts[0] is None else parts

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam over what is trained of the agent."""
        parameters = [one for one in self.agent.parameters() if one.requires_grad]
        rate, epsilon = self.settings.learning_rate, self.settings.epsilon
        return torch.optim.Adam(parameters, lr=rate, eps=epsilon, fused=True)

    def loss(self, batch: Sequence[int], rng: torch.Generator) -> dict[str, Tensor]:
        """Play a rollout and take its loss.

        The loop's photos and generator are not used: a rollout brings its own photos, and actions
        and dropout have generators of their own.

        Returns:
            The losses, the mean reward of a step, and over the episodes that ended their number,
            their actions and their last IoU, summed.
        """
        update = int(self.updates)
        training.seed_global(training.generator(self.seed, "dropout", update))
        rollout = roll_out(
            agent=self.agent,
            env=self.env,
            memory=self.memory,
            steps=self.settings.rollout,
            gamma=self.settings.gamma,
            rng=training.generator(self.seed, "update", update),
        )
        if rollout.memory is not None:
            for name, part in zip(self._names(self.agent), rollout.memory, strict=True):
                setattr(self, name, part.detach())
        self.updates += 1
        return {
            **rollout.loss(self.settings),
            "reward": rollout.rewards.mean(),
            "episodes": rollout.episodes,
            "length": rollout.length,
            "iou": rollout.iou,
        }


def train(
    agent: nn.Module,
    env: Environment,
    settings: Settings,
    folder: str | Path | None = None,
    *,
    seed: int = 0,
    identity: Mapping[str, object] | None = None,
    **options: object,
) -> History:
    """Train `agent` in place, and return its history, one line of `Learner.loss` an update.

    Args:
        folder: where the run is kept; one that lies there is continued.
        identity: what makes this run this run, beside settings and seed.
        options: further ones of `cropnb.training.train`, such as `validate`, called every
            `settings.validate_every` updates.

    Raises:
        CropnbError: as `Learner`, and as `cropnb.training.train`.
    """
    learner = Learner(agent, env, settings, seed)
    return training.train(
        learner,
        learner.loss,
        settings.epoch_updates,
        settings.recipe(seed),
        folder,
        identity={"settings": asdict(settings), **(identity or {})},
        optimizer=learner.optimizer(),
        best=agent,
        **options,
    )


def per_episode(history: History, column: str, window: int = 100) -> Tensor:
    """A column that sums over ended episodes ("length", "iou") as the mean an episode, over
    `window` updates each.
    """
    whole = len(history.steps) // window * window
    sums, episodes = (
        history.column(name)[:whole].view(-1, window).sum(1) for name in (column, "episodes")
    )
    return sums / episodes.clamp(min=1)
