"""What the tests of the book share: its chapters, its tools, and the rendered pages."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the committed book's HTML, rendered once however many processes test."""
    shared = tmp_path_factory.getbasetemp()
    # each process of pytest-xdist has a folder of its own below the common one
    if shared.name.startswith("popen-gw"):
        shared = shared.parent
    html = shared / "rendered/_build/html"
    with FileLock(shared / "rendered.lock"):
        if not (html / "index.html").is_file():
            command = [
                sys.executable,
                str(ROOT / "tools/build_book.py"),
                "html",
                "--output",
                str(shared / "rendered"),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return html
