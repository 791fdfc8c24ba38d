"""What the ledger rows of one program share."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cropnb import ledger

if TYPE_CHECKING:
    from cropnb.datasets.base import CropDataset

# What is measured on these is kept apart from what the paper's tables are about.
_OWN_TABLES = {ledger.LAYOUTS: "layouts", ledger.TAUGHT: "taught photographs"}


@dataclass(frozen=True)
class Context:
    """What the rows of one program share. `arguments` are those of the command line, as the program
    got them.
    """

    method: str
    dataset: str
    arguments: Sequence[str]
    module: str = ""  # by default `cropnb.METHOD`
    split: str = "test"
    profile: str = ""
    seeds: tuple[int, ...] = ()
    device: str = ""
    commit: str = field(default_factory=ledger.current_commit)

    def on(self, dataset: "CropDataset") -> "Context":
        """The same on a part of a dataset."""
        return replace(self, dataset=dataset.name, split=dataset.split)

    def table(self, name: str) -> str:
        """Where the rows of a paper's table stand: on layouts and on taught photographs, in tables
        of their own.
        """
        kind = ledger.kind(self.dataset.rpartition("+")[2])
        return f"{name}, {_OWN_TABLES[kind]}" if kind in _OWN_TABLES else name

    @property
    def command(self) -> str:
        """What repeats the rows."""
        module = self.module or f"cropnb.{self.method}"
        return shlex.join(["python", "-m", module, *self.arguments])

    def fields(self) -> dict[str, object]:
        """As fields of a row."""
        return {
            "paper": self.method,
            "dataset": self.dataset,
            "split": self.split,
            "profile": self.profile,
            "seeds": self.seeds,
            "device": self.device,
            "commit": self.commit,
            "command": self.command,
        }
