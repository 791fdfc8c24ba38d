"""One way to ask any method for crops of any photo:
`cropnb.load("vrn")("photo.jpg", k=5, aspect=16 / 9)`.

A method is a subpackage of `cropnb` whose `__init__.py` has a function
`load_cropper(weights, device)`. What that returns is either a scoring method, which rates the
candidates that it is given, or a proposing one, which finds boxes itself. Nothing here knows one by
name.
"""

import importlib
import os
from pathlib import Path

import torch
from torch import nn

import cropnb
from cropnb import checkpoints
from cropnb.croppers.batches import by_shape
from cropnb.croppers.cropper import MIN_SIDE, Cropper
from cropnb.croppers.crops import Crop
from cropnb.croppers.preference import choose_sharpness, preference
from cropnb.croppers.protocols import ProposingMethod, ScoringMethod
from cropnb.croppers.request import Request
from cropnb.croppers.windows import CentredWindow, check_aspect, largest_window
from cropnb.errors import CropnbError, WeightsUnavailable
from cropnb.methods import BASELINES, METHODS, default, names

__all__ = [
    "BASELINES",
    "METHODS",
    "MIN_SIDE",
    "SHIPPED",
    "CentredWindow",
    "Crop",
    "Cropper",
    "ProposingMethod",
    "Request",
    "ScoringMethod",
    "by_shape",
    "check_aspect",
    "choose_sharpness",
    "largest_window",
    "load",
    "load_trained",
    "names",
    "preference",
    "shipped",
    "weights_path",
]

# The weights that come with a method, by what they were trained on; the first ones are the default.
SHIPPED = {"photographs": "weights/photographs.safetensors", "scenes": "weights.safetensors"}


def load(
    name: str | None = None,
    weights: str | os.PathLike | None = None,
    device: str | torch.device = "cpu",
) -> Cropper:
    """A cropper by the name of its method, or of a baseline.

    Args:
        name: a method such as "vrn", or "full" (the whole photo), "center" (90 % of each side) or
            "center_window" (the largest centred window of the required ratio). By default the
            method that gains most over the centred window on photographs, by the ledger:
            `cropnb.methods.default()`, which follows it as new networks are measured.
        weights: a checkpoint of the method, or one of those that it comes with: "photographs",
            trained on scenes and photographs, or "scenes", trained on scenes alone, as in the
            chapters. By default that for photographs, where there is one.
        device: where it computes.

    Raises:
        CropnbError: for a name that no method has, or a device that isn't there.
        WeightsUnavailable: when there are no weights, saying how to get them.
        CheckpointError: when the weights are damaged, or belong to another method.
    """
    name = default() if name is None else name
    if not isinstance(name, str) or (name not in METHODS and name not in BASELINES):
        raise CropnbError(f"there is no method {name!r}; there are {', '.join(names())}")
    if weights is not None and name in BASELINES:
        raise CropnbError(f"{name} is a baseline and has no weights; leave them out")
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise CropnbError(f"weights are a path, or one of {', '.join(SHIPPED)}, not {weights!r}")
    device = _checked_device(device)
    if weights is None or weights in SHIPPED:
        weights = None if name in BASELINES else shipped(name, weights)
    elif Path(weights).is_dir():
        raise WeightsUnavailable(f"{weights} is a folder; name the file of weights in it")
    elif not Path(weights).is_file():
        raise WeightsUnavailable(
            f"there is no file {weights}; leave weights out to use those that come with {name}"
        )
    if name in BASELINES:
        return Cropper(CentredWindow(name, BASELINES[name]))
    return Cropper(importlib.import_module(METHODS[name]).load_cropper(weights, device))


def shipped(method: str, trained_on: str | None = None) -> Path:
    """Where the weights that come with a method lie, if it has any.

    Args:
        trained_on: "scenes" or "photographs"; by default photographs where there are such weights.
            Some methods have one file for both, trained on both: where the ledger's
            «shipped» can't tell them apart on scenes, none that saw scenes alone comes beside it.
    """
    there = [kind for kind in SHIPPED if weights_path(method, kind).exists()]
    chosen = trained_on if trained_on in there or not there else there[0]
    return weights_path(method, chosen or "scenes")


def weights_path(method: str, trained_on: str) -> Path:
    """The file of a method's weights of one kind, "photographs" or "scenes", be it there or not."""
    return Path(cropnb.__file__).parent / method / SHIPPED[trained_on]


def load_trained(
    method: str, model: nn.Module, weights: str | os.PathLike | None = None
) -> dict[str, object]:
    """Put trained weights into `model`, those of `weights` or those that come with the method;
    returns their card.

    Raises:
        WeightsUnavailable: when there are none, with the command that trains them.
        CheckpointError: when they are damaged, another method's or another model's.
    """
    path = Path(weights) if weights is not None else shipped(method, "scenes")
    if not path.exists():
        train = f"python -m cropnb.{method} --profile cpu"
        raise WeightsUnavailable(f"no weights of {method} at {path}; train them: {train}")
    state, card = checkpoints.load_weights(path, method)
    checkpoints.load_into(model, state, path)
    return card


def _checked_device(device: str | torch.device) -> str:
    try:
        if torch.empty(0, device=device).is_meta:
            raise RuntimeError("it computes nothing")
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise CropnbError(
            f"the device {str(device)!r} can't be used here ({reason}); use cpu"
        ) from error
    return str(device)
