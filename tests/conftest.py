"""Shared fixtures. Real data are optional: a clone without them passes and says what it skips."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ.setdefault("CROPNB_OFFLINE", "1")
torch.set_num_threads(1)


FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


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


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome; skips when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on this machine, so no page is opened")
    return program


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """Chromium that reaches nothing but this machine; one for all tests, each in its own window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()
