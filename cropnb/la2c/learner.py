"""Synchronous advantage actor-critic: play a few steps in all episodes, then one update of the
shared agent.

Safe to kill at any moment, as `cropnb.training`: an update draws its actions and its photos from a
generator seeded with (seed, number of the update), and the running episodes are saved with the
agent.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from cropnb import checkpoints, guards, training
from cropnb.checkpoints import BEST_FILE, RUN_FILE, History
from cropnb.errors import CropnbError
from cropnb.files import make_folder
from cropnb.la2c import losses
from cropnb.la2c.game import Turn
from cropnb.la2c.model import Answer, Memory, forget

COLUMNS = ("loss", "action", "value", "entropy", "reward", "episodes", "length", "iou")


@dataclass(frozen=True)
class Recipe:
    """How an agent is trained. None of this is in the paper but the 16 environments."""

    updates: int
    environments: int = 16
    rollout: int = 5  # steps in each environment before an update
    gamma: float = 0.9  # γ
    value_weight: float = 0.5  # λ of Equation 2
    entropy_weight: float = 0.01  # β of Equation 2
    learning_rate: float = 3e-4  # of Adam
    schedule: str = "linear"  # the learning rate falls to zero at the last update; or "constant"
    clip: float | None = 0.5  # bounds the norm of the gradient
    validate_every: int = 500  # updates
    seed: int = 0


class World(Protocol):
    """What can be played: `Game`, or anything with its state in a module's buffers."""

    episodes: int

    def observe(self) -> Tensor:
        """(E, …) what the agent sees."""

    def restart(self, rows: Tensor, draw: torch.Generator) -> None:
        """Begin the episodes `rows` anew."""

    def step(self, chosen: Tensor, draw: torch.Generator) -> Turn:
        """An action in each episode; those that have ended are begun anew."""


@dataclass(frozen=True)
class Rollout:
    """A few steps of all episodes: what the losses take, (T, E) each, logits (T, E, A), and what
    they led to.
    """

    logits: Tensor
    values: Tensor
    actions: Tensor
    rewards: Tensor
    ended: Tensor
    last_values: Tensor  # (E,)
    memory: Memory
    episodes: int  # that ended in these steps
    length: float  # their actions, summed
    iou: float  # their last IoU, summed

    def loss(self, recipe: Recipe) -> Mapping[str, Tensor]:
        """Equations 2 to 5."""
        returns = losses.discounted_returns(
            self.rewards, self.ended, self.last_values, recipe.gamma
        )
        return losses.total_loss(
            self.logits,
            self.values,
            self.actions,
            returns,
            recipe.value_weight,
            recipe.entropy_weight,
        )


def sample(logits: Tensor, draw: torch.Generator) -> Tensor:
    """Actions (E,) drawn with the probabilities of logits (E, A). The draw is made on the CPU, the
    same everywhere.
    """
    uniform = torch.rand(logits.shape, generator=draw).clamp(1e-9, 1 - 1e-7)
    return (logits.detach() - torch.log(-torch.log(uniform)).to(logits.device)).argmax(-1)


def roll_out(
    agent: Callable[..., Answer],
    world: World,
    memory: Memory,
    steps: int,
    gamma: float,
    draw: torch.Generator,
) -> Rollout:
    """Play `steps` steps in all episodes, keeping the graph of what the agent computes for the
    losses.

    An episode that the step limit cuts off has not ended for the agent: the value of its last
    state, discounted, is added to its last reward. After a stop there is nothing more to come.
    """
    answers, actions, rewards, ended = [], [], [], []
    episodes, length, iou = 0, 0.0, 0.0
    for _ in range(steps):
        answer = agent(world.observe(), memory)
        chosen = sample(answer.logits, draw)
        turn = world.step(chosen, draw)
        reward = turn.reward
        if turn.final is not None:
            rows = turn.truncated.nonzero().squeeze(-1)
            kept = None if answer.memory is None else tuple(part[rows] for part in answer.memory)
            with torch.no_grad():
                reward = reward.index_add(0, rows, gamma * agent(turn.final, kept).value)
        memory = forget(answer.memory, turn.ended)
        answers.append(answer)
        actions.append(chosen)
        rewards.append(reward)
        ended.append(turn.ended)
        episodes += int(turn.ended.sum())
        length += float(turn.length[turn.ended].sum())
        iou += float(turn.iou[turn.ended].sum())
    with torch.no_grad():
        last = agent(world.observe(), memory).value
    return Rollout(
        torch.stack([answer.logits for answer in answers]),
        torch.stack([answer.value for answer in answers]),
        torch.stack(actions),
        torch.stack(rewards),
        torch.stack(ended),
        last,
        memory,
        episodes,
        length,
        iou,
    )


class _State(nn.Module):
    """Agent, running episodes and LSTM memory, in one module to be saved."""

    def __init__(self, agent: nn.Module, world: nn.Module, memory: Memory) -> None:
        super().__init__()
        self.agent, self.world = agent, world
        for name, part in zip(("hidden", "cell"), memory or (), strict=False):
            self.register_buffer(name, part)

    @property
    def memory(self) -> Memory:
        return (self.hidden, self.cell) if hasattr(self, "hidden") else None

    @memory.setter
    def memory(self, value: Memory) -> None:
        if value is not None:
            self.hidden, self.cell = (part.detach() for part in value)


def train(
    agent: nn.Module,
    world: World,
    recipe: Recipe,
    folder: str | Path | None = None,
    *,
    identity: Mapping[str, object] | None = None,
    validate: Callable[[], float] | None = None,
    progress: bool = True,
    save_every: float = 20.0,
    max_updates: int | None = None,
    watch: Callable[[int], None] | None = None,
) -> History:
    """Train `agent` in place and return its history, a line of `COLUMNS` an update.

    folder: where the run is kept; one found there is continued. identity: what makes this run this
        run.
    validate: called every `recipe.validate_every` updates and at the end; the agent of the highest
        score is kept in `best.safetensors`.
    max_updates: stop early. watch: called with the number of updates done, after each.

    Raises `CheckpointError` for another run's folder or a damaged file, and `TrainingError` at an
    update whose loss or gradient is no finite number.
    """
    if world.episodes != recipe.environments:
        raise CropnbError(
            f"the recipe is for {recipe.environments} environments, and the world has "
            f"{world.episodes}"
        )
    parameters = [parameter for parameter in agent.parameters() if parameter.requires_grad]
    device = parameters[0].device
    optimizer = torch.optim.Adam(parameters, lr=recipe.learning_rate, eps=1e-5, fused=True)
    total = min(recipe.updates, max_updates or recipe.updates)
    mark = training.fingerprint({"recipe": asdict(recipe), **(identity or {})})
    # before anything is computed: it is what keeps the batch statistics of the backbone as they are
    agent.train()
    every = torch.arange(world.episodes, device=device)
    world.restart(every, training.generator(recipe.seed, "start"))
    state = _State(agent, world, _blank(agent, world))
    history, done = History(names=COLUMNS), 0
    run_file = Path(folder) / RUN_FILE if folder else None
    if run_file and run_file.exists():
        history, done = training._load_run(run_file, state, optimizer, mark)
    elif run_file:
        make_folder(run_file.parent)
    before, started, saved = history.seconds, time.monotonic(), time.monotonic()
    bar = tqdm(total=total, initial=done, unit="update", disable=not progress, mininterval=2.0)
    steps = guards.Steps(agent, parameters, unit="update")
    for update in range(done, total):
        share = 1 - update / recipe.updates if recipe.schedule == "linear" else 1.0
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * share
        draw = training.generator(recipe.seed, "update", update)
        training.seed_global(training.generator(recipe.seed, "dropout", update))
        steps.begin()
        rollout = roll_out(agent, world, state.memory, recipe.rollout, recipe.gamma, draw)
        state.memory = rollout.memory
        parts = rollout.loss(recipe)
        steps.check_loss(update, parts["loss"])
        optimizer.zero_grad(set_to_none=True)
        parts["loss"].backward()
        norm = None
        if recipe.clip is not None:
            norm = nn.utils.clip_grad_norm_(parameters, recipe.clip)
        steps.check_gradient(update, norm)
        optimizer.step()
        line = [float(parts[name].detach()) for name in COLUMNS[:4]]
        line += [float(rollout.rewards.mean()), rollout.episodes, rollout.length, rollout.iou]
        history.steps.append(tuple(line))
        bar.update()
        last = update == total - 1
        if validate is not None and ((update + 1) % recipe.validate_every == 0 or last):
            agent.eval()
            score = float(validate())
            agent.train()
            if run_file and guards.is_best(score, history.validation):
                checkpoints.save_weights(
                    run_file.with_name(BEST_FILE), agent.state_dict(), {"validation": score}
                )
            history.validation.append(score)
            bar.set_postfix(validation=f"{score:.4f}", entropy=f"{line[3]:.2f}")
        history.seconds = before + time.monotonic() - started
        if watch is not None:
            watch(update + 1)
        if run_file and (last or time.monotonic() - saved > save_every):
            training._save_run(run_file, state, optimizer, history, update + 1, mark)
            saved = time.monotonic()
    bar.close()
    agent.eval()
    return history


def _blank(agent: nn.Module, world: World) -> Memory:
    with torch.no_grad():
        memory = agent(world.observe(), None).memory
    return None if memory is None else tuple(torch.zeros_like(part) for part in memory)


def per_episode(history: History, column: str, window: int = 100) -> Tensor:
    """A column that sums over ended episodes ("length", "iou") as the mean an episode, over
    `window` updates each.
    """
    sums, counts = history.column(column), history.column("episodes")
    whole = len(sums) // window * window
    fold = (values[:whole].view(-1, window).sum(1) for values in (sums, counts))
    total, number = fold
    return total / number.clamp(min=1)
