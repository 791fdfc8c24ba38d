"""Shared fixtures. Real data are optional: a clone without them passes and says what it skips."""

import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault("CROPNB_OFFLINE", "1")
torch.set_num_threads(1)


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} names no folder, so the tests on real files are skipped")
    return Path(value)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that `CROPNB_DATA` names; skips when there is none."""
    return _folder("CROPNB_DATA")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder that `CROPNB_WEIGHTS` names; skips when there is none."""
    return _folder("CROPNB_WEIGHTS")
