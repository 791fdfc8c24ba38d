"""Weights with a card, and the state of a training run: files that are whole or absent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cropnb import guards
from cropnb.backbones import frozen
from cropnb.errors import CheckpointError
from cropnb.files import make_folder, write_atomically

RUN_FILE, BEST_FILE = "run.safetensors", "best.safetensors"
_LEFT_OUT = "frozen"  # of a card: the names of the weights that are read from `backbones.frozen`


def save_weights(
    path: str | Path,
    state: Mapping[str, Tensor],
    card: Mapping[str, object],
    half: bool = False,
    without_frozen: bool = False,
) -> None:
    """Write weights with their card (data, recipe, commit, score), whole or not at all.

    Args:
        path: of the file.
        state: the weights.
        card: what describes them.
        half: in half precision.
        without_frozen: leave out the units of the backbone that the package has already; see
            `backbones.frozen`.
    """
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value)
        .detach()
        .cpu()
        .contiguous()
        .clone()
        for name, value in state.items()
    }
    if without_frozen and (names := frozen.names_in(tensors)):
        tensors = {name: value for name, value in tensors.items() if name not in set(names)}
        card = {**card, _LEFT_OUT: names}
    make_folder(Path(path).parent)
    write_atomically(Path(path), save(tensors, {"card": json.dumps(dict(card), sort_keys=True)}))


def load_weights(
    path: str | Path, method: str | None = None
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Weights in single precision, and their card.

    Raises:
        CheckpointError: the file is damaged or missing, holds numbers that aren't finite, or its
            card can't be read or names another method.
    """
    tensors, metadata = read_tensors(Path(path))
    if "card" not in metadata:
        raise CheckpointError(f"{path} has no card, so it was not written by cropnb")
    card = guards.card(path, metadata["card"])
    if method is not None and card.get("method") != method:
        raise CheckpointError(
            f"{path} holds weights of {str(card.get('method'))[:60]!r}; {method!r} was asked for"
        )
    if _LEFT_OUT in card:
        tensors = frozen.filled(tensors, card.pop(_LEFT_OUT), path)
    tensors = {
        name: value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
    }
    guards.tensors(path, tensors)
    return tensors, card


def load_into(model: nn.Module, state: Mapping[str, Tensor], where: str | Path) -> None:
    """Copy weights into a model; `CheckpointError` when names, shapes or number types differ."""
    guards.kinds(where, model, state)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{where} does not fit this model: {error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; `CheckpointError` when it is damaged."""
    try:
        with safe_open(path, framework="pt") as stream:
            names = stream.keys()
            return {name: stream.get_tensor(name) for name in names}, dict(stream.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is no readable checkpoint ({error})") from error


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


@dataclass
class Checkpointer:
    """Saves and resumes all that a run needs to go on: model, optimiser, learning rates, history.

    Attributes:
        folder: where the run is kept; None keeps nothing.
        fingerprint: of the run's identity; a file with another one is refused.
        best: the module whose weights are kept when the validation score is the highest so far.
    """

    folder: Path | None
    fingerprint: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    best: nn.Module

    def resume(self) -> tuple[History, int]:
        """The history and the number of steps of the run in the folder; an empty one without a run.

        Raises:
            CheckpointError: the folder holds another run, or a damaged file.
        """
        if self.folder is None:
            return History(), 0
        path = self.folder / RUN_FILE
        if not path.exists():
            make_folder(self.folder)
            return History(), 0
        tensors, texts = read_tensors(path)
        metadata = {name: guards.json_text(path, text) for name, text in texts.items()}
        if metadata.get("fingerprint") != self.fingerprint:
            raise CheckpointError(
                f"{path} belongs to a run with another recipe, model, data or version of cropnb; "
                "choose another folder"
            )
        state = _below("model.", tensors)
        # Only what is trained: buffers may be waiting for numbers that the run hasn't come to yet.
        trained = {name for name, _ in self.model.named_parameters()}
        guards.tensors(path, {name: state[name] for name in trained & state.keys()})
        load_into(self.model, state, path)
        with guards.fields(path):
            return self._continue(tensors, metadata)

    def _continue(
        self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
    ) -> tuple[History, int]:
        """Put the optimiser and the learning rates back; the history and the steps done."""
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            index, part = name.split(".", 1)
            states.setdefault(int(index), {})[part] = value
        step = guards.whole(metadata, "step", 0, 2**53)
        history = History(
            names=tuple(metadata["names"]),
            steps=[tuple(losses) for losses in tensors["history"].tolist()],
            validation=[float(score) for score in metadata["validation"]],
            seconds=max(0.0, float(metadata["seconds"])),
        )
        if len(history.steps) != step:
            raise ValueError(f"its history has {len(history.steps)} of {step} steps")
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": states})
        # The fused Adam walks through memory: its state has to lie there as the parameter does.
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():
                if value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter).copy_(value)
        self.scheduler.last_epoch = step
        for group, rate in zip(self.optimizer.param_groups, metadata["rates"], strict=True):
            group["lr"] = float(rate)
        return history, step

    def save(self, history: History, step: int) -> None:
        """Write the state after `step` steps."""
        if self.folder is None:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        tensors["history"] = torch.tensor(history.steps, dtype=torch.float64)
        metadata = {
            "fingerprint": self.fingerprint,
            "step": step,
            "rates": [group["lr"] for group in self.optimizer.param_groups],
            "names": history.names,
            "validation": history.validation,
            "seconds": history.seconds,
        }
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        texts = {name: json.dumps(value) for name, value in metadata.items()}
        write_atomically(self.folder / RUN_FILE, save(tensors, texts))

    def save_best(self, score: float) -> None:
        """Keep the weights of the best validation score."""
        if self.folder is not None:
            save_weights(self.folder / BEST_FILE, self.best.state_dict(), {"validation": score})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
