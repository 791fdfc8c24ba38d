"""One training loop for every paper: seeded, with a progress bar, and safe to kill at any moment.

A step draws its photos, its random crops and its dropout from a generator that is seeded with
(seed, step). So the state of a run is the weights, the optimiser and the number of the step: a run
that was killed and resumed makes the same draws as one that wasn't, and on a CPU ends with the same
bits.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from tqdm.auto import tqdm

from cropnb.errors import CheckpointError
from cropnb.ledger import write_atomically

RUN_FILE, BEST_FILE = "run.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. `batch_size` counts photos; `clip` bounds the norm of the gradient."""

    epochs: int
    learning_rate: float
    batch_size: int = 1
    weight_decay: float = 0.0
    clip: float | None = None
    # "cosine": down to zero at the last step; "tenth after 40": a tenth from epoch 40 on;
    schedule: str = "constant"
    # "warm-up cosine": rises for a tenth of the steps first
    mixed_precision: bool = False  # bfloat16 on a GPU; ignored on a CPU
    seed: int = 0


@dataclass
class History:
    """What a run went through: one line of losses a step, one validation score an epoch."""

    names: tuple[str, ...] = ()
    steps: list[tuple[float, ...]] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def column(self, name: str) -> Tensor:
        """One loss over all steps, (steps,)."""
        return torch.tensor([step[self.names.index(name)] for step in self.steps])


def train(
    model: nn.Module,
    loss: Callable[[Sequence[int], torch.Generator], Mapping[str, Tensor]],
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
) -> History:
    """Train `model` in place and return its history.

    loss: takes the indices of a batch and the step's generator, returns named scalars; the one
        called `loss` is minimised and the others are recorded beside it.
    size: how many photos there are; an epoch visits each once.
    folder: where the run is kept; a run found there is continued, and None keeps nothing.
    identity: what makes this run this run (data, model); a run of another identity is refused.
    validate: called after each epoch; the weights with the highest score are kept in
        `best.safetensors`.
    save_every: seconds between saves. It changes how much a kill costs, never the result.
    max_steps: stop early, for a look at the first steps.
    optimizer: over groups of parameters with rates of their own, which the schedule scales alike;
        its kind and rates belong into `identity`. By default Adam over all that is trained, at
        `recipe.learning_rate`.

    Raises `CheckpointError` when the folder holds another run or a damaged file.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = parameters[0].device
    if optimizer is None:
        optimizer = torch.optim.Adam(
            parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
    rates = [group["lr"] for group in optimizer.param_groups]
    per_epoch = -(-size // recipe.batch_size)
    total = min(recipe.epochs * per_epoch, max_steps or recipe.epochs * per_epoch)
    mark = fingerprint({"recipe": asdict(recipe), "size": size, **(identity or {})})
    run_file = Path(folder) / RUN_FILE if folder else None
    history, done = History(), 0
    if run_file and run_file.exists():
        history, done = _load_run(run_file, model, optimizer, mark)
    elif run_file:
        run_file.parent.mkdir(parents=True, exist_ok=True)

    before, started, saved = history.seconds, time.monotonic(), time.monotonic()
    bar = tqdm(total=total, initial=done, unit="step", disable=not progress, mininterval=1.0)
    order: list[int] = []
    model.train()
    for step in range(done, total):
        epoch, position = divmod(step, per_epoch)
        if position == 0 or not order:
            order = torch.randperm(size, generator=generator(recipe.seed, "epoch", epoch)).tolist()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * _schedule(recipe, step / (recipe.epochs * per_epoch))
        draw = generator(recipe.seed, "step", step)
        seed_global(draw)
        batch = order[position * recipe.batch_size : (position + 1) * recipe.batch_size]
        with torch.autocast(
            device.type, torch.bfloat16, enabled=recipe.mixed_precision and device.type == "cuda"
        ):
            parts = loss(batch, draw)
        optimizer.zero_grad(set_to_none=True)
        parts["loss"].backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimizer.step()

        history.names = tuple(parts)
        history.steps.append(
            tuple(torch.stack([part.detach().float() for part in parts.values()]).tolist())
        )
        bar.update()
        if step % 10 == 0:
            bar.set_postfix(
                {name: f"{value:.3f}" for name, value in zip(parts, history.steps[-1], strict=True)}
            )
        last = position == per_epoch - 1 or step == total - 1
        if last and validate is not None:
            model.eval()
            with torch.no_grad():
                score = float(validate())
            model.train()
            if run_file and score > max(history.validation, default=-torch.inf):
                save_weights(
                    run_file.with_name(BEST_FILE), model.state_dict(), {"validation": score}
                )
            history.validation.append(score)
        history.seconds = before + time.monotonic() - started
        if run_file and (step == total - 1 or time.monotonic() - saved > save_every):
            _save_run(run_file, model, optimizer, history, step + 1, mark)
            saved = time.monotonic()
    bar.close()
    model.eval()
    return history


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A generator for one purpose of one seed: draws for different purposes are independent of each
    other.
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def seed_global(draw: torch.Generator) -> None:
    """Seed the global generator, which dropout and torchvision's transforms draw from, with a
    number from `draw`.
    """
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=draw)))


def fingerprint(content: object) -> str:
    """Twelve hexadecimal digits that name a configuration; equal content gives equal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[
        :12
    ]


def file_hash(path: str | Path) -> str:
    """The first twelve hexadecimal digits of a file's SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def save_weights(
    path: str | Path, state: Mapping[str, Tensor], card: Mapping[str, object], half: bool = False
) -> None:
    """Write weights with their card (data, recipe, commit, score), whole or not at all."""
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value)
        .detach()
        .cpu()
        .contiguous()
        .clone()
        for name, value in state.items()
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(path), save(tensors, {"card": json.dumps(dict(card), sort_keys=True)}))


def load_weights(
    path: str | Path, method: str | None = None
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Weights in single precision, and their card.

    Raises `CheckpointError` when the file is damaged or missing, or when its card names another
    method.
    """
    tensors, metadata = _read(Path(path))
    if "card" not in metadata:
        raise CheckpointError(f"{path} has no card, so it was not written by cropnb")
    card = json.loads(metadata["card"])
    if method is not None and card.get("method") != method:
        raise CheckpointError(
            f"{path} holds weights of {card.get('method')!r}; {method!r} was asked for"
        )
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
    }, card


def load_into(model: nn.Module, state: Mapping[str, Tensor], where: str | Path) -> None:
    """Copy weights into a model; `CheckpointError` when names or shapes differ."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{where} does not fit this model: {error}") from error


def _schedule(recipe: Recipe, done: float) -> float:
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "cosine":
        return 0.5 * (1 + float(torch.cos(torch.tensor(done * torch.pi, dtype=torch.float64))))
    if recipe.schedule == "warm-up cosine":
        falling = 0.5 * (
            1 + float(torch.cos(torch.tensor((done - 0.1) / 0.9 * torch.pi, dtype=torch.float64)))
        )
        return 10 * done if done < 0.1 else falling
    name, _, epoch = recipe.schedule.rpartition(" ")
    if name == "tenth after" and epoch.isdecimal():
        return 1.0 if done * recipe.epochs < int(epoch) - 1e-6 else 0.1
    raise CheckpointError(
        f"no schedule {recipe.schedule!r}: there are constant, cosine, warm-up cosine and tenth "
        "after EPOCH"
    )


def _save_run(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: History,
    step: int,
    mark: str,
) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": value for name, value in state.items()})
    tensors["history"] = torch.tensor(history.steps, dtype=torch.float64)
    metadata = {
        "mark": mark,
        "step": step,
        "names": history.names,
        "validation": history.validation,
        "seconds": history.seconds,
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(
        path, save(tensors, {name: json.dumps(value) for name, value in metadata.items()})
    )


def _load_run(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, mark: str
) -> tuple[History, int]:
    tensors, metadata = _read(path)
    metadata = {name: json.loads(value) for name, value in metadata.items()}
    if metadata.get("mark") != mark:
        raise CheckpointError(
            f"{path} belongs to a run with another recipe, model or data; choose another folder"
        )
    load_into(
        model,
        {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")},
        path,
    )
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, part = name.split(".", 2)
            states.setdefault(int(index), {})[part] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    history = History(
        tuple(metadata["names"]),
        [tuple(step) for step in tensors["history"].tolist()],
        metadata["validation"],
        metadata["seconds"],
    )
    return history, metadata["step"]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, dict(
                stream.metadata() or {}
            )
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is no readable checkpoint ({error})") from error
