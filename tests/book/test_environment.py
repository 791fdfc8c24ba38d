"""One set of versions, wherever it is written: the locks, conda's file, the pages' browser
libraries.
"""

import json
import re
import tomllib

import pytest
import yaml
from build_book import ROOT
from make_environment import environment, pins

LOCK = (ROOT / "requirements.lock").read_text()
HTML_LOCK = (ROOT / "tools/requirements-html.lock").read_text()
NPM_LOCK = json.loads((ROOT / "tools/package-lock.json").read_text())


def test_environment_yml_is_the_lock() -> None:
    text = (ROOT / "environment.yml").read_text()
    assert text == environment(LOCK), "run `make lock`, or python tools/make_environment.py"
    listed = next(
        entry["pip"] for entry in yaml.safe_load(text)["dependencies"] if isinstance(entry, dict)
    )
    assert listed[:-1] == pins(LOCK)
    assert listed[-1] == "-e ."


def test_every_direct_dependency_is_locked_at_its_pinned_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        line for extra in ("book", "test") for line in project["optional-dependencies"][extra]
    ]
    locked = {
        name.lower(): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)
    }
    for requirement in wanted:
        name, _, version = requirement.partition("==")
        name = re.match(r"[\w.-]+", name)[0]
        assert name.lower() in locked
        assert not version or locked[name.lower()] == version


@pytest.mark.parametrize("lock", [LOCK, HTML_LOCK], ids=["whole", "html"])
def test_lock_has_a_hash_for_every_package_and_no_address(lock: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.strip())
    assert len(entries) > 90
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock
    assert "index-url" not in lock


def test_rendering_uses_versions_of_the_whole_lock_and_needs_no_torch() -> None:
    assert {pin.partition(" ;")[0] for pin in pins(HTML_LOCK)} <= {
        pin.partition(" ;")[0] for pin in pins(LOCK)
    }
    assert not [pin for pin in pins(HTML_LOCK) if pin.startswith(("torch", "nvidia", "triton"))]


def test_npm_lock_has_a_hash_for_every_package_and_no_address() -> None:
    packages = {name: entry for name, entry in NPM_LOCK["packages"].items() if name}
    assert packages
    assert all(entry.get("integrity", "").startswith("sha512-") for entry in packages.values())
    assert not [name for name, entry in packages.items() if "resolved" in entry]


def test_npm_lock_fits_what_is_asked_for() -> None:
    asked = json.loads((ROOT / "tools/package.json").read_text())["dependencies"]
    assert NPM_LOCK["packages"][""]["dependencies"] == asked
    for name, version in asked.items():
        assert NPM_LOCK["packages"][f"node_modules/{name}"]["version"] == version
