"""What stands between numbers that are none and everything that is computed from them: checks of
checkpoints as they are loaded, and of a training run as it goes.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import TypeVar

import torch
from torch import Tensor, nn

from cropnb.errors import CheckpointError, CropnbError, TrainingError

Module = TypeVar("Module", bound=nn.Module)


def card(where: str | PathLike, text: str) -> dict[str, object]:
    """A checkpoint's card, an object of JSON; `CheckpointError` for anything else."""
    content = json_text(where, text)
    if not isinstance(content, dict):
        raise CheckpointError(f"{where} has a card that is no object; train or fetch it again")
    return content


def json_text(where: str | PathLike, text: str) -> object:
    """A piece of a checkpoint's metadata; `CheckpointError` when it is no JSON or too deep."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{where} has a card that is no JSON ({error}); train or fetch it again"
        ) from error


def tensors(where: str | PathLike, state: Mapping[str, Tensor]) -> None:
    """Refuse weights that are no finite numbers with a `CheckpointError` that names the tensor."""
    for name, value in state.items():
        if value.is_complex() or value.dtype == torch.bool:
            kind = str(value.dtype).removeprefix("torch.")
            raise CheckpointError(f"{where}: the tensor {name!r} holds {kind} numbers, no weights")
        if value.is_floating_point():
            # A sum costs half of looking at every number, and is only not finite where one of
            # them isn't, or where they are too large to be added up.
            if not value.sum().isfinite() and not value.isfinite().all():
                raise CheckpointError(
                    f"{where}: the tensor {name!r} holds numbers that are not finite; train or "
                    "fetch it again"
                )
            if name.endswith("running_var") and value.numel() and value.min() < 0:
                raise CheckpointError(f"{where}: the variances {name!r} are below zero")


def kinds(where: str | PathLike, model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Refuse whole numbers where the model has fractions, and the other way round: copying would
    cut them off without a word.

    Raises:
        CheckpointError: there is such a tensor.
    """
    for name, own in model.state_dict().items():
        given = state.get(name)
        if given is None:
            continue  # load_state_dict names what is missing, together with all the rest of it
        if (own.is_floating_point(), own.is_complex()) != (
            given.is_floating_point(),
            given.is_complex(),
        ) or (own.dtype == torch.bool) != (given.dtype == torch.bool):
            raise CheckpointError(
                f"{where}: the tensor {name!r} is of {given.dtype}, and this model's of {own.dtype}"
            )


def build(where: str | PathLike, make: Callable[[], Module], state: Mapping[str, Tensor]) -> Module:
    """What `make` builds from values of a card, when it has the shapes of `state`.

    It is built without memory first: a card may ask for a network that no machine holds.

    Raises:
        CheckpointError: when it can't be built, or has other tensors than `state`.
    """
    with fields(where):
        with torch.device("meta"):
            shapes = {name: value.shape for name, value in make().state_dict().items()}
        if shapes == {name: value.shape for name, value in state.items()}:
            return make()
    names = sorted(name for name in {*shapes, *state} if _differs(name, shapes, state))
    raise CheckpointError(
        f"{where} does not fit the model that its card tells: {', '.join(names[:3])}"
    )


def _differs(name: str, shapes: Mapping[str, torch.Size], state: Mapping[str, Tensor]) -> bool:
    return name not in state or name not in shapes or shapes[name] != state[name].shape


@contextmanager
def fields(where: str | PathLike) -> Iterator[None]:
    """Turn every error of using a card's fields into a `CheckpointError`: they come from outside
    and can be of any kind.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = f"no {error}" if type(error) is KeyError else str(error).split("\n")[0][:200]
        raise CheckpointError(
            f"{where} has a card that doesn't tell how to use it ({reason}); train it again"
        ) from error


def whole(card: Mapping[str, object], name: str, low: int, high: int) -> int:
    """A whole number of a card, or `CropnbError` when it isn't one in low…high."""
    value = card[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise CropnbError(f"{name} is {str(value)[:40]}, not a whole number in {low}…{high}")
    return value


def fraction(card: Mapping[str, object], name: str, default: float) -> float:
    """A number in 0…1 of a card, or `CropnbError` when it is something else."""
    value = card.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise CropnbError(f"{name} is {str(value)[:40]}, not a number in 0…1")
    return float(value)


def sharpness(card: Mapping[str, object]) -> float | None:
    """The sharpness that a card names, see `croppers.preference`; None where it names none, and
    `CropnbError` when it is no number above 0.
    """
    value = card.get("sharpness")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise CropnbError(f"sharpness is {str(value)[:40]}, not a number above 0")
    return float(value)


class Steps:
    """Stops a run at the first step whose loss or gradient is no finite number, before it has
    changed the model.

    A failing step has been through the network once and may have left its mark in the buffers, such
    as the statistics of batch normalisations, so these are put back.
    """

    def __init__(self, model: nn.Module, parameters: Iterable[nn.Parameter], unit: str = "step"):
        # By their places: a model may put a new tensor where a buffer was.
        self._places = [
            (module, name)
            for module in model.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if buffer is not None and name not in module._non_persistent_buffers_set
        ]
        self._parameters, self._unit = list(parameters), unit
        self._before: list[Tensor] = []

    def begin(self) -> None:
        """Before the forward pass of a step."""
        self._before = [getattr(*place).detach().clone() for place in self._places]

    def check_loss(self, step: int, loss: Tensor) -> None:
        """Before the backward pass of step `step`, counted from 0.

        Raises:
            TrainingError: the loss is no finite number.
        """
        if not math.isfinite(float(loss.detach())):
            self._stop(step, f"the loss is {float(loss.detach())}")

    def check_gradient(self, step: int, norm: Tensor | None = None) -> None:
        """Before the optimiser's step.

        Args:
            norm: the gradient's norm where it was computed already.

        Raises:
            TrainingError: it is no finite number.
        """
        if norm is None:
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
        if not math.isfinite(float(norm)):
            self._stop(step, "the gradient is no finite number")

    def _stop(self, step: int, reason: str) -> None:
        with torch.no_grad():
            for place, before in zip(self._places, self._before, strict=True):
                getattr(*place).copy_(before)
        raise TrainingError(
            f"{reason} at {self._unit} {step + 1}; what was saved before it is kept. "
            "Lower the learning rate, or look at the photos of that step"
        )


def is_best(score: float, earlier: Sequence[float]) -> bool:
    """Whether a validation score is the highest so far; what is no finite number neither wins nor
    stands in the way.
    """
    return math.isfinite(score) and score > max(filter(math.isfinite, earlier), default=-math.inf)
