"""Where the time of an epoch goes: `python -m cropnb.epoch_shares --record`.

Each method trains two epochs of its network on a few scenes, as its profile for CPUs trains it,
while a second thread looks many times a second at what the first one is doing. So all numbers are
shares of one run: whatever else the machine does slows all parts of it alike. Validation counts as
much as it does where the profile has all of its photos.
"""

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import FrameType

from cropnb import ledger, training
from cropnb.bench import NAME
from cropnb.datasets.base import CropDataset
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.experiment import Experiment
from cropnb.runs.method import Profile
from cropnb.runs.plan import method_named
from cropnb.runs.rows import number

TABLE = "where an epoch goes"
PHOTOS, VALIDATION, EPOCHS = 32, 4, 2
EVERY = 0.002  # seconds between two looks

PIXELS = "photos: decoding, cutting, augmentation"
KEPT = "kept maps of frozen units, read"
FORWARD, BACKWARD, OPTIMISER = "forward, with the loss", "backward", "optimiser"
VALIDATING, REST = "validation", "checks and the rest"
PARTS = (PIXELS, KEPT, FORWARD, BACKWARD, OPTIMISER, VALIDATING, REST)
COMPUTED = "maps of frozen units, computed once, in epochs"

# Modules that read, cut or change pixels; and of those that do more than that, which functions do.
READERS = ("cropnb/images.py", "cropnb/datasets/", "cropnb/photos/", "/PIL/", "cropnb/la2c/envs/")
READING = {
    "cropnb/gaic/views.py": {"photo", "prepare"},
    "cropnb/asm_net/model.py": {"images", "saliency_at"},
    "cropnb/mars/photos.py": {"photo", "prepare"},
    "cropnb/set_prediction/labels.py": {"photo", "augmented", "resize_to", "change_colours"},
}


@dataclass(frozen=True)
class Trial:
    """One method as it is trained, on fewer photos.

    Attributes:
        updates: of an epoch, where a method counts these and not photos.
    """

    method: str
    profile: str
    row: str
    updates: int = 0


TRIALS = (
    Trial("gaic", "trained", "GAIC, from c3_3 on"),
    Trial("vrn", "trained", "VRN, from c3_3 on"),
    Trial("asm_net", "trained", "ASM-Net, from c3_3 on"),
    Trial("mars", "trained", "Mars, from c3_3 on"),
    Trial("set_prediction", "trained", "set prediction, from a cut on"),
    Trial("la2c", "trial", "LA2C, on kept maps", updates=60),
    Trial("la2c", "full", "LA2C, the whole network", updates=2),
)


class Watch(threading.Thread):
    """Counts what the thread that made it is doing, by `part_of`, until `stop`."""

    def __init__(self, part_of: Callable[[Sequence[tuple[str, str]]], str | None]) -> None:
        super().__init__(daemon=True)
        self.counts: Counter[str] = Counter()
        self._part_of, self._watched = part_of, threading.get_ident()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look every `EVERY` seconds."""
        while not self._stopped.wait(EVERY):
            part = self._part_of(_stack(sys._current_frames()[self._watched]))
            if part is not None:
                self.counts[part] += 1

    def stop(self) -> Counter[str]:
        """Look no more; returns the counts."""
        self._stopped.set()
        self.join()
        return self.counts


def _stack(frame: FrameType | None) -> list[tuple[str, str]]:
    """The module's path and the function's name of each call, the innermost first."""
    calls = []
    while frame is not None:
        calls.append((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    return calls


def part_of_epoch(calls: Sequence[tuple[str, str]]) -> str | None:
    """The part of an epoch that a stack of calls belongs to; None outside training."""
    names = {name for _, name in calls}
    if any(path.endswith("runs/features.py") and name == "_compute" for path, name in calls):
        return COMPUTED
    if not any(path.endswith("cropnb/training.py") and name == "train" for path, name in calls):
        return None
    if "_validating" in names:
        return VALIDATING
    if any(path.endswith("torch/_tensor.py") and name == "backward" for path, name in calls):
        return BACKWARD
    if any("torch/optim/" in path for path, _ in calls) or "clip_grad_norm_" in names:
        return OPTIMISER
    if "_losing" not in names:
        return REST
    if any(_reads(path, name) for path, name in calls):
        return PIXELS
    if any(path.endswith("runs/features.py") for path, _ in calls):
        return KEPT
    return FORWARD


def _reads(path: str, name: str) -> bool:
    """Whether a call is about pixels."""
    if any(part in path for part in READERS):
        return True
    return any(path.endswith(module) and name in names for module, names in READING.items())


def shares(trial: Trial, device: str = "cpu") -> tuple[dict[str, float], int]:
    """Train and watch.

    Returns:
        Part → per cent of the epochs, and how many epochs the computation of kept maps takes; and
        the number of looks that fell into the epochs.
    """
    experiment = _experiment(trial, device)
    run = experiment.run(experiment.method.main, 0)
    watch = Watch(part_of_epoch)
    watch.start()
    try:
        model = experiment.model(run)
        for stage in experiment.method.stages(experiment, run, model):
            training.train(
                stage.trained,
                _named_loss(stage.loss),
                stage.size,
                stage.recipe,
                validate=_named_validation(stage.validate),
                progress=False,
                optimizer=stage.optimizer,
                best=stage.best,
            )
    finally:
        counts = watch.stop()
    looks = sum(counts[part] for part in PARTS)
    validating, computing = _scales(trial)
    weights = {part: counts[part] * (validating if part == VALIDATING else 1) for part in PARTS}
    total = sum(weights.values())
    table = {part: 100 * weight / total for part, weight in weights.items()}
    return {**table, COMPUTED: computing * EPOCHS * counts[COMPUTED] / total}, looks


def _scales(trial: Trial) -> tuple[float, float]:
    """How many times more validation and computed maps a step has with all of the photos."""
    whole = Experiment(method_named(trial.method), profile=trial.profile, out=None)
    photos, validation = (len(whole.parts[part]) for part in ("train", "val"))
    steps = whole.profile.learning.epoch_updates / trial.updates if trial.updates else 0
    steps = steps or photos / PHOTOS
    return validation / VALIDATION / steps, photos / PHOTOS / steps


def _named_loss(loss: training.Loss) -> training.Loss:
    """The same, under a name that the watch knows."""

    def _losing(*arguments: object) -> object:
        return loss(*arguments)

    return _losing


def _named_validation(validate: Callable[[], float]) -> Callable[[], float]:
    """The same, under a name that the watch knows."""

    def _validating() -> float:
        return validate()

    return _validating


def _experiment(trial: Trial, device: str) -> Experiment:
    """The experiment of a trial, two epochs long; it keeps nothing."""
    method = method_named(trial.method)
    profile = method.profiles[trial.profile]
    sizes = {"train_photos": PHOTOS, "validation_photos": VALIDATION, "test_photos": 1}
    return Experiment(
        method,
        profile=replace(profile, **sizes, **_two_epochs(profile, trial.updates)),
        device=device,
        init="random",
        out=None,
        progress=False,
    )


def _two_epochs(profile: Profile, updates: int) -> dict[str, object]:
    """What shortens a profile."""
    if updates:
        shorter = {"updates": EPOCHS * updates, "validate_every": updates}
        return {"learning": replace(profile.learning, **shorter)}
    changed: dict[str, object] = {"epochs": EPOCHS}
    if hasattr(profile, "milestone"):
        changed |= {"milestone": 1, "distil_after": 1, "longer": 1}
    return changed


def rows(context: Context, trial: Trial, device: str) -> list[ledger.Row]:
    """The rows of one trial."""
    parts, looks = shares(trial, device)
    note = (
        f"{looks} looks at two epochs of profile {trial.profile} on {PHOTOS} photos; shares within "
        "one run, with as much validation as the profile has"
    )
    here = replace(context, split="train", profile=trial.profile, device=device_name(device))
    return [
        number(here, TABLE, trial.row, part, ours=round(value, 2), images=PHOTOS, note=note)
        for part, value in parts.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("epoch_shares", __doc__)
    choices = {trial.row: trial for trial in TRIALS}
    options.add_argument("--only", nargs="+", choices=choices, default=list(choices), metavar="ROW")

    def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
        for name in chosen.only:
            yield rows(context, choices[name], chosen.device)

    def photos(chosen: argparse.Namespace) -> list[CropDataset]:
        return [_experiment(choices[name], "cpu").parts["train"] for name in chosen.only]

    context = Context(NAME, ledger.SCENES, arguments=(), module="cropnb.epoch_shares")
    return program.study(measure, options, context, arguments, photos)


if __name__ == "__main__":
    sys.exit(main())
