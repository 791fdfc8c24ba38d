"""What a run is.

That is decided here and nowhere else: `Run.identity` holds everything that changes its result, and
its folder bears the fingerprint. So a run is never continued with other settings, and an older run
stays where it is when a setting changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropnb import datasets, training
from cropnb.runs.method import OPTION

if TYPE_CHECKING:
    from cropnb.runs.experiment import Experiment


@dataclass(frozen=True)
class Run:
    """One training: everything that decides its result, and where it is kept.

    Attributes:
        identity: all settings but the seed.
        folder: None when nothing is kept.
    """

    variant: str
    seed: int
    identity: Mapping[str, object]
    folder: Path | None

    @property
    def config_hash(self) -> str:
        """Twelve digits that name the identity."""
        return training.fingerprint(self.identity)


def identity_of(experiment: "Experiment", variant: str) -> dict[str, Any]:
    """Everything but the seed that decides the result of a variant's run, as JSON has it."""
    method = experiment.method
    labels = datasets.labels_hash(experiment.dataset)
    return {
        "method": method.name,
        "dataset": experiment.dataset,
        "form": experiment.form,
        "init": experiment.init,
        "frozen": experiment.frozen,
        **({"labels": labels} if labels else {}),
        "profile": plain(experiment.profile),
        **plain(method.constants),
        **plain(method.unusual()),
        **plain(method.settings(experiment, variant)),
    }


def plain(value: Any) -> Any:
    """Dataclasses and what contains them, as JSON has it; an `option` only where it was taken."""
    if is_dataclass(value) and not isinstance(value, type):
        values = {one: getattr(value, one.name) for one in fields(value)}
        return {
            one.name: plain(chosen)
            for one, chosen in values.items()
            if not one.metadata.get(OPTION) or chosen != one.default
        }
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, tuple | list) else value


def slug(name: str) -> str:
    """A variant's name as part of a folder's."""
    return "-".join("".join(c if c.isalnum() or c in ".=" else " " for c in name).split())
