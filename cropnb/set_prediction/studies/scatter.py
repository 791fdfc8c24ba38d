"""The points of Figure 7 that the chapter draws, kept beside the ledger: no network that ships is
self-distilled, which the paper's is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cropnb import files, ledger
from cropnb.errors import LedgerError

PHOTOS = 25  # of each panel: a page holds no more points
Panels = Mapping[
    str, Sequence[tuple[Tensor, Tensor]]
]  # title → quality and validity, a pair a photo


def path() -> Path:
    """Where they lie."""
    return ledger.folder() / "scatter" / "set_prediction.json"


def write(variant: str, dataset: str, seed: int, panels: Panels) -> None:
    """Keep the first photos of each panel for a variant, in place of those from before."""
    recorded = _all()
    recorded[f"{variant}, {dataset}"] = {
        "seed": seed,
        "panels": {
            title: [[_rounded(quality, 2), _rounded(validity, 3)] for quality, validity in pairs]
            for title, pairs in ((title, pairs[:PHOTOS]) for title, pairs in panels.items())
        },
    }
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in recorded.items()]
    files.make_folder(path().parent)
    files.write_atomically(path(), ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read(variant: str, dataset: str = ledger.SCENES) -> Panels | None:
    """The panels of a variant; None where they weren't kept.

    Raises:
        LedgerError: the file is damaged.
    """
    entry = _all().get(f"{variant}, {dataset}")
    if entry is None:
        return None
    try:
        return {
            title: [(torch.tensor(quality), torch.tensor(validity)) for quality, validity in pairs]
            for title, pairs in entry["panels"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LedgerError(f"{path()} holds no panels ({error}); restore it from git") from error


def _all() -> dict[str, dict]:
    """What is kept, by variant and dataset."""
    if not path().exists():
        return {}
    try:
        return dict(json.loads(path().read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise LedgerError(f"{path()} holds no panels ({error}); restore it from git") from error


def _rounded(values: Tensor, digits: int) -> list[float]:
    return [round(value, digits) for value in values.tolist()]
