"""Open the book in JupyterLab, with settings of its own: no news, no question about news, pages
rendered, the first page first.

    python tools/lab.py [argument of `jupyter lab` …]

What the reader sets there is kept in `_build/jupyter`, and their own Jupyter stays as it is. The
kernel is this Python, with the environment that it was started in, `CROPNB_DATA` and all.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "tools/jupyter"


def environment(folder: Path, outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server: `outer`, but for Jupyter's folders, which lie in `folder`.

    Copies the book's settings to where Jupyter looks for them.
    """
    configuration = folder / "config"
    shutil.copytree(SETTINGS, configuration, dirs_exist_ok=True)
    return {
        **outer,
        "JUPYTER_CONFIG_DIR": str(configuration),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        # The kernel of this environment, also where another one called python3 is installed.
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def command(book: Path, arguments: Sequence[str] = ()) -> list[str]:
    """The command line of JupyterLab on a book's folder."""
    return [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={book}", *arguments]


if __name__ == "__main__":
    line = command(ROOT / "book", sys.argv[1:])
    os.execve(line[0], line, environment(ROOT / "_build/jupyter", os.environ))
