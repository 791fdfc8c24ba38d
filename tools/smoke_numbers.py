"""`python -m tools.smoke_numbers`: a few photos and steps of every method, whose losses and
measures guard changes that ought to change nothing.

The numbers are written into `tests/smoke_numbers.json`, rounded; `tests/test_smoke_numbers.py` runs
the same again. Write them anew when a change is meant to change them, and say so. They ask for no
weights: the backbone is a random one whose normalisations fit its signals.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from cropnb import checkpoints
from cropnb.bench import keep_signals
from cropnb.runs import Experiment
from cropnb.runs.plan import method_named

FILE = Path(__file__).parents[1] / "tests" / "smoke_numbers.json"
DIGITS = 4  # significant ones
# No ranks of a few crops, which a rounding error turns over: they jump.
SMOOTH = ("IoU", "Offset", "BDE", "SRCC", "Accuracy")
# What is smaller than in the smoke profile, by method; a second or two each.
SMALLER: Mapping[str, Mapping[str, object]] = {
    "gaic": {"head_epochs": 2},
    "vrn": {"head_epochs": 2},
    "asm_net": {"head_epochs": 2},
    "mars": {"head_epochs": 2, "threshold_photos": 4},
    "la2c": {"updates": 6, "validate_every": 3},
    "set_prediction": {"epochs": 2, "milestone": 1, "distil_after": 1, "batch_size": 3},
    "layout": {"epochs": 2},
}
PHOTOS = {"train_photos": 6, "validation_photos": 2, "test_photos": 4}


@contextmanager
def random_backbone() -> Iterator[None]:
    """A folder of weights that hold a random MobileNetV2 in the place of ImageNet's."""
    before = os.environ.get("CROPNB_WEIGHTS")
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        network = keep_signals(models.mobilenet_v2(weights=None)).train()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # the statistics are those of this batch
        colours = torch.rand(8, 3, 8, 8)
        photos = F.interpolate(colours, scale_factor=16, mode="bilinear")
        with torch.no_grad():
            network(photos)
        checkpoints.save_weights(
            Path(folder) / "mobilenet_v2_imagenet.safetensors", network.state_dict(), {}
        )
        os.environ["CROPNB_WEIGHTS"] = folder
        try:
            yield
        finally:
            del os.environ["CROPNB_WEIGHTS"]
            if before is not None:
                os.environ["CROPNB_WEIGHTS"] = before


def measure(name: str) -> dict[str, float]:
    """The numbers of one method: the loss of each stage's first, second and last step, and the mean
    of some columns over the test photos.
    """
    method = method_named(name)
    changes = dict(SMALLER[name])
    profile = replace(method.profiles["smoke"], **PHOTOS)
    if name == "la2c":
        changes = {"learning": replace(profile.learning, **changes)}
    experiment = Experiment(method, profile=replace(profile, **changes), out=None, progress=False)
    with random_backbone():
        _, histories, result = experiment.train(method.main, 0)
    numbers = {}
    for stage, history in histories.items():
        losses = [step[history.names.index("loss")] for step in history.steps]
        chosen = {"first": losses[0], "second": losses[1], "last": losses[-1]}
        numbers |= {f"{stage}, {which} loss": value for which, value in chosen.items()}
    means = result.means()
    numbers |= {column: means[column] for column in SMOOTH if column in means}
    return {name: float(f"{value:.{DIGITS}g}") for name, value in numbers.items()}


def tolerance(name: str, value: float) -> float:
    """How far apart two CPUs may be: instruction sets round differently, features are kept in half
    precision, and each step of Adam magnifies that.
    """
    if name in SMOOTH:
        return 0.03 + 0.03 * abs(value)
    share = {"first": 0.005, "second": 0.03, "last": 0.15}[name.split()[-2]]
    return share * abs(value) + 0.001


def main() -> int:
    """Write the file."""
    numbers = {name: measure(name) for name in SMALLER}
    FILE.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
