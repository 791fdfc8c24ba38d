"""Where else the book opens: only where an address is given, and then with what it needs."""

import json
import re
import tomllib
from pathlib import Path

import nbformat
import open_book
import pytest
import yaml
from build_book import BOOK, ROOT
from lab import command, environment

SOURCE = open_book.repository({"CROPNB_REPOSITORY": "https://github.com/ann/crops.git"})


def test_without_an_address_no_page_leads_elsewhere(rendered: Path) -> None:
    assert open_book.repository({}) is None
    assert open_book.repository({"CROPNB_REPOSITORY": " "}) is None
    pages = [page for page in rendered.rglob("*.html") if "vendor" not in page.parts]
    for page in pages:
        text = page.read_text("utf-8")
        assert not re.search(r"mybinder|colab\.research|Improve this page", text), page.name
    assert not (rendered / "colab").exists()


@pytest.mark.parametrize("address", ["crops", "https://gitlab.com/a/b", "https://github.com/ann"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="no address of a repository on GitHub"):
        open_book.repository({"CROPNB_REPOSITORY": address})


def test_a_chapter_gets_buttons_and_every_page_a_line() -> None:
    chapter, text = {"header_buttons": [], "body": "<p>b</p>"}, {"header_buttons": [], "body": ""}
    open_book.with_links(chapter, SOURCE, "papers/vrn", ".ipynb")
    open_book.with_links(text, SOURCE, "index", ".md")
    binder, colab = (button["url"] for button in chapter["header_buttons"][0]["buttons"])
    assert binder == (
        "https://mybinder.org/v2/gh/ann/crops/v0.1.0?urlpath=lab/tree/book/papers/vrn.ipynb"
    )
    assert colab.endswith("/github/ann/crops/blob/gh-pages/colab/papers/vrn.ipynb")
    assert "https://github.com/ann/crops/edit/main/book/papers/vrn.ipynb" in chapter["body"]
    assert not text["header_buttons"]
    assert 'edit/main/book/index.md">Improve this page' in text["body"]


def test_on_colab_the_first_cell_installs_the_pinned_package(tmp_path: Path) -> None:
    open_book.colab_copies(BOOK, ["papers/vrn"], tmp_path, SOURCE)
    copy = nbformat.read(tmp_path / "colab/papers/vrn.ipynb", as_version=4)
    nbformat.validate(copy)
    first = copy.cells[0].source
    assert '"checkout", "--quiet", "v0.1.0"' in first
    assert 'clone + "[book]"' in first
    names: dict[str, object] = {}
    exec(first, names)  # where the package is there, it does nothing
    assert "clone" not in names
    assert len(copy.cells) == 1 + len(nbformat.read(BOOK / "papers/vrn.ipynb", 4).cells)


def test_binder_finds_all_that_it_needs() -> None:
    assert open_book.binder_command(SOURCE) == [
        "jupyter-repo2docker",
        "--ref",
        "v0.1.0",
        "https://github.com/ann/crops",
    ]
    # repo2docker takes the first of these that there is, and must take conda's file
    assert not [name for name in ("binder", ".binder", "Dockerfile") if (ROOT / name).exists()]
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pinned = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert {"jupyterlab", "jupyterlab-myst"} <= {pin.partition("==")[0] for pin in pinned}
    assert pinned[-1] == "-e ."


def test_citation_and_devcontainer_fit_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert re.search(
        r"^installed := \$\(venv\)/\.installed$", (ROOT / "Makefile").read_text(), re.M
    )
    assert container["postCreateCommand"] == "make .venv/.installed"


def test_lab_has_settings_of_its_own_and_keeps_the_book_s_environment(tmp_path: Path) -> None:
    outer = {"CROPNB_DATA": "/data", "HOME": "/nowhere", "JUPYTER_CONFIG_DIR": "/theirs"}
    inner = environment(tmp_path, outer)
    assert inner["CROPNB_DATA"] == "/data"
    configuration = Path(inner["JUPYTER_CONFIG_DIR"])
    assert configuration.is_relative_to(tmp_path)
    server = json.loads((configuration / "jupyter_lab_config.json").read_text())["LabApp"]
    assert server["default_url"] == "/lab/tree/index.ipynb"
    assert server["news_url"] is None
    assert server["custom_css"]
    assert "Citation Not Found" in (configuration / "custom/custom.css").read_text()
    line = command(BOOK, ["--port", "1"])
    assert line[1:3] == ["-m", "jupyterlab"]
    assert line[-2:] == ["--port", "1"]
