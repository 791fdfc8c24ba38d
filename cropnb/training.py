"""One training loop for every paper: seeded, with a progress bar, and safe to kill at any moment.

A step draws its photos, its random crops and its dropout from a generator that is seeded with
(seed, step). So the state of a run is the weights, the optimiser and the number of the step: a run
that was killed and resumed makes the same draws as one that wasn't, and on a CPU ends with the same
bits.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from tqdm.auto import tqdm

from cropnb import guards
from cropnb.checkpoints import BEST_FILE, RUN_FILE, Checkpointer, History
from cropnb.errors import CheckpointError, OutOfTime, TrainingError

__all__ = ["BEST_FILE", "RUN_FILE", "History", "Loss", "Recipe", "rate_groups", "train"]

# (indices of a batch, generator of the step) → named scalars; the one called `loss` is minimised
Loss = Callable[[Sequence[int], torch.Generator], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. `batch_size` counts photos; `clip` bounds the gradient's norm."""

    epochs: int
    learning_rate: float
    batch_size: int = 1
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: str = "constant"  # one of `SCHEDULES`, or "step": a tenth from each milestone on
    milestones: tuple[int, ...] = ()  # epochs
    mixed_precision: bool = False  # bfloat16 on a GPU; ignored on a CPU
    seed: int = 0


def _cosine(done: float) -> float:
    """Half a wave from 1 down to 0; in PyTorch's double precision, the same on every machine."""
    return 0.5 * (1 + float(torch.cos(torch.tensor(done * torch.pi, dtype=torch.float64))))


# The share of the learning rate at which a run is that has done a share of its steps.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": _cosine,
    "warm-up cosine": lambda done: 10 * done if done < 0.1 else _cosine((done - 0.1) / 0.9),
}


def rate_groups(
    model: nn.Module, backbone: nn.Module, rate: float, backbone_rate: float | None
) -> list[dict[str, object]]:
    """Two groups of parameters for an optimiser: the backbone's that are trained, at a rate of
    their own, and all others. Without such a rate the backbone is left out.
    """
    own = list(backbone.parameters())
    ids = set(map(id, own))
    others = [p for p in model.parameters() if id(p) not in ids and p.requires_grad]
    groups = [{"params": others, "lr": rate}]
    if backbone_rate is not None:
        groups.append({"params": [p for p in own if p.requires_grad], "lr": backbone_rate})
    return groups


def scheduler(
    optimizer: torch.optim.Optimizer, recipe: Recipe, epoch_steps: int
) -> lr_scheduler.LRScheduler:
    """PyTorch's scheduler of a recipe, stepped once a training step.

    Raises:
        CheckpointError: a schedule that does not exist.
    """
    if recipe.schedule == "step":
        milestones = [epoch * epoch_steps for epoch in recipe.milestones]
        return lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
    if recipe.schedule not in SCHEDULES:
        raise CheckpointError(
            f"no schedule {recipe.schedule!r}: there are step, {', '.join(SCHEDULES)}"
        )
    share, steps = SCHEDULES[recipe.schedule], recipe.epochs * epoch_steps
    return lr_scheduler.LambdaLR(optimizer, lambda step: share(step / steps))


def train(
    model: nn.Module,
    loss: Loss,
    size: int,
    recipe: Recipe,
    folder: str | Path | None = None,
    *,
    identity: Mapping[str, object] | None = None,
    validate: Callable[[], float] | None = None,
    progress: bool = True,
    save_every: float = 20.0,
    max_steps: int | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    best: nn.Module | None = None,
    deadline: float | None = None,
) -> History:
    """Train `model` in place.

    Args:
        loss: called with a batch's indices and the step's generator; what it returns beside `loss`
            is recorded in the history.
        size: how many photos there are; an epoch visits each once.
        folder: where the run is kept; a run found there is continued, and None keeps nothing.
        identity: what makes this run this run (data, model); a run of another identity is refused.
        validate: called after each epoch; the weights with the highest score are kept in
            `best.safetensors`.
        save_every: seconds between saves. It changes how much a kill costs, never the result.
        max_steps: stop early, for a look at the first steps.
        optimizer: over groups of parameters with rates of their own, which the schedule scales
            alike; its kind and rates belong into `identity`. By default Adam over all that is
            trained, at `recipe.learning_rate`.
        best: the module whose weights `best.safetensors` holds; by default `model`.
        deadline: on the clock of `time.monotonic`; a run that passes it is saved and left.

    Returns:
        The history of the whole run, also of the steps that were done before it was resumed.

    Raises:
        CheckpointError: the folder holds another run, or a damaged file.
        WriteError: the folder can't be written to.
        TrainingError: a loss or a gradient is no finite number; the state before that step is kept.
        OutOfTime: the deadline has passed; the state is kept.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = parameters[0].device
    optimizer = optimizer or torch.optim.Adam(
        parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    epoch_steps = math.ceil(size / recipe.batch_size)
    total = min(recipe.epochs * epoch_steps, max_steps or recipe.epochs * epoch_steps)
    rates = scheduler(optimizer, recipe, epoch_steps)
    checkpointer = Checkpointer(
        folder=Path(folder) if folder else None,
        fingerprint=fingerprint({"recipe": asdict(recipe), "size": size, **(identity or {})}),
        model=model,
        optimizer=optimizer,
        scheduler=rates,
        best=best or model,
    )
    history, done = checkpointer.resume()
    before, started, saved = history.seconds, time.monotonic(), time.monotonic()
    order: list[int] = []
    guard = guards.Steps(model, parameters)
    model.train()
    bar = tqdm(total=total, initial=done, unit="step", disable=not progress, mininterval=1.0)
    with bar:  # whatever is raised gets a line of its own
        for step in range(done, total):
            epoch, position = divmod(step, epoch_steps)
            if position == 0 or not order:
                order = torch.randperm(
                    size, generator=generator(recipe.seed, "epoch", epoch)
                ).tolist()
            rng = generator(recipe.seed, "step", step)
            seed_global(rng)
            batch = order[position * recipe.batch_size : (position + 1) * recipe.batch_size]
            mixed = recipe.mixed_precision and device.type == "cuda"
            try:
                guard.begin()
                with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                    parts = loss(batch, rng)
                guard.check_loss(step, parts["loss"])
                optimizer.zero_grad(set_to_none=True)
                parts["loss"].backward()
                norm = None
                if recipe.clip is not None:
                    norm = nn.utils.clip_grad_norm_(parameters, recipe.clip)
                guard.check_gradient(step, norm)
            except TrainingError:
                checkpointer.save(history, step)
                raise
            optimizer.step()
            rates.step()

            history.names = tuple(parts)
            values = torch.stack([part.detach().float() for part in parts.values()]).tolist()
            history.steps.append(tuple(values))
            bar.update()
            if step % 10 == 0:
                bar.set_postfix(
                    {name: f"{value:.3f}" for name, value in zip(parts, values, strict=True)}
                )
            last = position == epoch_steps - 1 or step == total - 1
            if last and validate is not None:
                model.eval()
                with torch.no_grad():
                    score = float(validate())
                model.train()
                if guards.is_best(score, history.validation):
                    checkpointer.save_best(score)
                history.validation.append(score)
            history.seconds = before + time.monotonic() - started
            now = time.monotonic()
            late = deadline is not None and now > deadline and step < total - 1
            if step == total - 1 or late or now - saved > save_every:
                checkpointer.save(history, step + 1)
                saved = time.monotonic()
            if late:
                raise OutOfTime(
                    f"{step + 1} of {total} steps are done; the rest goes on from there"
                )
    model.eval()
    return history


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A generator for one purpose of one seed: draws for different purposes are independent of each
    other.
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def seed_global(rng: torch.Generator) -> None:
    """Seed the global generator, which dropout and torchvision's transforms draw from, with a
    number from `rng`.
    """
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))


def fingerprint(content: object) -> str:
    """Twelve hexadecimal digits that name a configuration; equal content gives equal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[
        :12
    ]
