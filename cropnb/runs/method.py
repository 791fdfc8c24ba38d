"""What a paper's folder tells the engine: variants and profiles as data, a network, its losses, and
what is measured.
"""

import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from cropnb.backbones import Backbone
from cropnb.training import Loss, Recipe

if TYPE_CHECKING:
    import argparse

    from cropnb.checkpoints import History
    from cropnb.datasets.base import CropDataset
    from cropnb.ledger import Row
    from cropnb.runs.context import Context
    from cropnb.runs.experiment import Experiment
    from cropnb.runs.identity import Run
    from cropnb.runs.results import Result


OPTION = "option"  # in a field's metadata
# What every network with a backbone is shown photos by; see `Method.usual`.
NORMALISATION = {
    "cropnb.backbones.network.IMAGENET_MEAN": (0.485, 0.456, 0.406),
    "cropnb.backbones.network.IMAGENET_DEVIATION": (0.229, 0.224, 0.225),
}

FROZEN, USUAL = "frozen", "mobilenet_v2"  # what learned of a backbone, and which it is


def option(default: Any) -> Any:
    """A field of a variant or profile that enters a run's identity only where it is not `default`.

    So a new choice leaves the identity of every run as it was that was made without it.
    """
    return field(default=default, metadata={OPTION: True})


@dataclass(frozen=True)
class Profile:
    """How much is trained; a method adds its own settings. Photos count whole splits where they are
    None.
    """

    train_photos: int | None
    validation_photos: int
    test_photos: int | None


@dataclass(frozen=True)
class Stage:
    """One call of the training loop.

    Attributes:
        name: "head", "whole"; the stage's folder.
        trained: what is optimised, saved and resumed.
        best: whose weights are kept at the highest validation score; by default `trained`.
        validate: the validation score, higher is better.
        record: what is kept of the training itself, as details and tensors, beside what is
            measured; takes the stage's history.
    """

    name: str
    trained: nn.Module
    loss: Loss
    size: int
    recipe: Recipe
    validate: object = None
    optimizer: torch.optim.Optimizer | None = None
    best: nn.Module | None = None
    record: "Callable[[History], Measurement] | None" = None


@dataclass(frozen=True)
class Column:
    """How a measured column is printed and judged.

    Attributes:
        unit: what the values are multiplied with.
        worth_having: the smallest difference that is worth having, in the printed unit; named
            before anything is compared. A claim may name its own.
        asks: the column in which arms have to beat what looks at no photo, where this one can be
            won without a good crop, as a number of steps can.
    """

    unit: float = 1.0
    higher_is_better: bool = True
    worth_having: float | None = None
    asks: str = ""


@dataclass(frozen=True)
class Place:
    """Where the numbers of a variant stand: a row of a table, and which of its columns.

    Attributes:
        columns: those of the table, or the table's name → the measured column; None: all that were
            measured.
    """

    table: str
    row: str
    columns: tuple[str, ...] | Mapping[str, str] | None = None


@dataclass(frozen=True)
class Measurement:
    """What a trained network reached.

    Attributes:
        columns: name → one number a photo.
        details: what else the result file keeps, as JSON.
        tensors: what else is kept beside it, such as predictions.
    """

    columns: Mapping[str, Sequence[float]]
    details: Mapping[str, object] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def learned_behind(cut: object, backbone: str = USUAL) -> str:
    """That a backbone learned behind a cut such as "c3_3", in words; all of it where there is none.

    Raises:
        CropnbError: the backbone has no such cut.
    """
    if not cut:
        return "all of it learned"
    with torch.device("meta"):  # for its units alone, without their numbers
        units = len(Backbone(backbone, [str(cut)]).units)
    return f"all but its first {units} units (up to {cut}) learned"


class Method:
    """The base of every method's object. A subclass sets the data below and writes `build`,
    `stages` and `measure`; the rest has a default.
    """

    name: ClassVar[str]
    main: ClassVar[str]  # the variant that ships
    variants: ClassVar[Mapping[str, object]]  # dataclass instances or plain data: all is identity
    groups: ClassVar[Mapping[str, Sequence[str]]] = {}  # names for several variants
    profiles: ClassVar[Mapping[str, Profile]]
    forms: ClassVar[tuple[str, ...]] = ("gaicd",)  # of the scenes; the first is the default
    columns: ClassVar[Mapping[str, Column]] = {}
    claim_columns: ClassVar[Sequence[str]] = ()  # what claims are decided on, where they don't say
    epochs: ClassVar[tuple[str, ...]] = ("last",)  # "last", "best": measured; the first one ships
    # Columns of the paper's tables that no training fills → what the pending rows say instead.
    pending_notes: ClassVar[Mapping[str, str]] = {}
    remark: ClassVar[str] = (
        ""  # what the card of the weights for photographs says of them, in words
    )
    blind_answer: ClassVar[str] = "the photo's middle"  # what looks at no photo; see `blind`
    constants: ClassVar[Mapping[str, object]] = {}  # whatever else changes a run's result
    # More of these, by where they stand → the value at which they stay out of the identity. Any
    # other value is part of it: so they could be named here after runs had been made.
    usual: ClassVar[Mapping[str, object]] = {}

    def unusual(self) -> dict[str, object]:
        """The constants that have another value than `usual` says, by where they stand."""
        values = {place: pkgutil.resolve_name(place) for place in self.usual}
        return {place: value for place, value in values.items() if value != self.usual[place]}

    def profile(self, experiment: "Experiment") -> Profile:
        """The profile by its name, fitted to the dataset; what it returns is part of the
        identity.
        """
        return self.profiles[experiment.profile_name]

    def parts(self, experiment: "Experiment") -> "Mapping[str, CropDataset]":
        """The data of "train", "val" and "test"; without "val" where no photo is held out."""
        from cropnb import datasets

        profile = experiment.profile
        sizes = (profile.train_photos, profile.validation_photos, profile.test_photos)
        parts = datasets.splits(experiment.dataset, experiment.form, *sizes)
        named = dict(zip(("train", "val", "test"), parts, strict=True))
        if not profile.validation_photos:
            del named["val"]
        return named

    def prepare(self, experiment: "Experiment", part: str) -> object:
        """The photos of a part in the form that the network reads; asked for once a part."""
        return experiment.parts[part]

    def settings(self, experiment: "Experiment", variant: str) -> Mapping[str, object]:
        """What a variant changes, as part of the identity."""
        return {"variant": self.variants[variant]}

    def build(self, experiment: "Experiment", run: "Run") -> nn.Module:
        """A new network; the global generator was seeded with the run's seed before."""
        raise NotImplementedError

    def stages(self, experiment: "Experiment", run: "Run", model: nn.Module) -> Iterator[Stage]:
        """The trainings, one after the other; each begins where the one before it ended."""
        raise NotImplementedError

    def measure(self, experiment: "Experiment", run: "Run", model: nn.Module) -> Measurement:
        """What the network reaches on the photos that the tables are about."""
        raise NotImplementedError

    def learned(self, profile: Mapping[str, object]) -> str:
        """Which part of its backbone a training without `--frozen` changes, in words.

        Args:
            profile: one of `profiles`, as a card keeps it; see `identity.plain`.

        Raises:
            CropnbError: its backbone has no such cut.
        """
        if not profile["epochs"]:
            return FROZEN
        return learned_behind(profile.get("trained_from"), str(profile.get("backbone", USUAL)))

    def completed(self, experiment: "Experiment", result: "Result") -> "Result":
        """A finished run's result, with the columns that were added to the method since."""
        return result

    def card(self, result: "Result") -> Mapping[str, object]:
        """What loading the weights needs beside them."""
        return {}

    def shipped(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights as they ship."""
        return state

    def ship_beside(self, experiment: "Experiment", run: "Run", result: "Result") -> None:
        """Write further files beside the shipped weights."""

    def eval_split(self, experiment: "Experiment") -> str:
        """The part that is measured."""
        return "test"

    def blind(self, experiment: "Experiment") -> Mapping[str, Sequence[float]]:
        """What `blind_answer` reaches, by column, a number for each photo that `measure`
        is about; columns that ask nothing of a crop are left out. See `cropnb.runs.blind`.
        """
        return {}

    # What the ledger gets.

    def places(self, experiment: "Experiment", variant: str) -> Sequence[Place]:
        """The rows of the tables that a variant fills."""
        raise NotImplementedError

    def suffix(self, experiment: "Experiment") -> str:
        """What rows and claims of this kind of run are called beside the paper's name."""
        return ", frozen backbone" if experiment.frozen else ""

    def claim_table(self, experiment: "Experiment") -> str:
        """The table of the claims that this kind of run decides."""
        return "claim" + self.suffix(experiment)

    def note(self, results: "Sequence[Result]") -> str:
        """What the reader of a row should know of its runs."""
        return ""

    def further_rows(
        self, context: "Context", experiment: "Experiment", results: "Mapping[str, list[Result]]"
    ) -> "list[Row]":
        """Rows that are no means of a column."""
        return []

    def add_options(self, parser: "argparse.ArgumentParser") -> None:
        """Options of the program that only this method has."""
