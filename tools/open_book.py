"""Where else a chapter can be opened: on Binder, on Colab, and where its text is edited.

Only with `CROPNB_REPOSITORY=https://github.com/OWNER/NAME`: without it no page holds any of these
links. `CROPNB_REVISION` names the tag or commit that is opened (by default `v` and the package's
version), `CROPNB_BRANCH` the branch that is edited (`main`), and `CROPNB_PAGES` the branch that the
rendered book is published on (`gh-pages`), where Colab finds its copies of the chapters.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_GITHUB = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")

COLAB_CELL = """\
# Installs the book and its package where they aren't yet, as on Colab; takes some minutes.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("cropnb") is None:
    clone = os.path.abspath("cropnb-book")
    for command in (
        ["git", "clone", "--quiet", "{url}", clone],
        ["git", "-C", clone, "checkout", "--quiet", "{revision}"],
        [sys.executable, "-m", "pip", "install", "--quiet", "-e", clone + "[book]"],
    ):
        subprocess.run(command, check=True)
    sys.path.insert(0, clone)
    os.chdir(os.path.join(clone, "book", "{folder}"))"""


@dataclass(frozen=True)
class Repository:
    """The book's repository on GitHub."""

    owner: str
    name: str
    revision: str
    branch: str = "main"
    pages: str = "gh-pages"

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://github.com/{self.owner}/{self.name}"

    def binder(self, page: str) -> str:
        """The address at which Binder opens a chapter, such as `papers/vrn`."""
        project = f"{self.owner}/{self.name}/{self.revision}"
        return f"https://mybinder.org/v2/gh/{project}?urlpath=lab/tree/book/{page}.ipynb"

    def colab(self, page: str) -> str:
        """The address at which Colab opens the published copy of a chapter."""
        place = f"{self.owner}/{self.name}/blob/{self.pages}/colab/{page}.ipynb"
        return f"https://colab.research.google.com/github/{place}"

    def edit(self, source: str) -> str:
        """The address at which a page's source, such as `papers/vrn.ipynb`, is edited."""
        return f"{self.url}/edit/{self.branch}/book/{source}"


def repository(environment: Mapping[str, str]) -> Repository | None:
    """The repository that the environment names, or None.

    Raises:
        ValueError: for an address that is none of GitHub's.
    """
    address = environment.get("CROPNB_REPOSITORY", "").strip()
    if not address:
        return None
    match = _GITHUB.fullmatch(address)
    if match is None:
        raise ValueError(
            f"CROPNB_REPOSITORY={address} is no address of a repository on GitHub; give one such "
            "as https://github.com/OWNER/NAME, or leave it out"
        )
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return Repository(
        *match.groups(),
        revision=environment.get("CROPNB_REVISION") or f"v{version}",
        branch=environment.get("CROPNB_BRANCH") or "main",
        pages=environment.get("CROPNB_PAGES") or "gh-pages",
    )


def binder_command(source: Repository) -> list[str]:
    """The command with which the image that Binder builds is built on one's own machine."""
    return ["jupyter-repo2docker", "--ref", source.revision, source.url]


def with_links(context: dict[str, Any], source: Repository, page: str, suffix: str) -> None:
    """Add a page's links to what its template gets: launch buttons for a chapter, and a line at
    the end of every page.
    """
    if suffix == ".ipynb":
        places = {"Binder": source.binder(page), "Colab": source.colab(page)}
        logos = {"Binder": "logo_binder.svg", "Colab": "logo_colab.png"}
        buttons = [
            {
                "type": "link",
                "text": name,
                "tooltip": f"Open this chapter on {name}",
                "icon": f"_static/images/{logos[name]}",
                "url": url,
            }
            for name, url in places.items()
        ]
        context.setdefault("header_buttons", []).append(
            {
                "type": "group",
                "tooltip": "Open this chapter elsewhere",
                "icon": "fas fa-rocket",
                "buttons": buttons,
                "label": "launch-buttons",
            }
        )
    line = f'<p class="improve"><a href="{source.edit(page + suffix)}">Improve this page</a></p>'
    context["body"] = context.get("body", "") + line


def colab_copies(book: Path, pages: list[str], target: Path, source: Repository) -> None:
    """Write the chapters with a first cell that installs the book to `target/colab`."""
    import nbformat
    from nbformat.v4 import new_code_cell

    for page in pages:
        notebook = nbformat.read(book / f"{page}.ipynb", as_version=4)
        code = COLAB_CELL.format(
            url=source.url, revision=source.revision, folder=str(Path(page).parent)
        )
        notebook.cells.insert(0, new_code_cell(code, id="install-on-colab"))
        path = target / "colab" / f"{page}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
