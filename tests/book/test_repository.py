"""What must not get into the repository: paths of one machine, addresses of registries, files that
are too large.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from build_book import ROOT

# In pieces, or this file would find itself.
MACHINE_PATH = re.compile(
    r"(?<![\w.:/~$}*-])/(?:"
    + "|".join(["work", "root", "home/[a-z]+", "Users/[A-Za-z]+"])
    + r")/[\w.-]"
)
REGISTRY = re.compile(
    "|".join(
        [
            "registry" + r"\.npmjs",
            "python" + r"hosted\.org",
            "pypi" + r"\.org/simple",
            "index" + "-url *=",
        ]
    )
)
LARGEST = 1_000_000  # bytes of one text file; checkpoints have a budget of their own
DIFFERENCES = 2_000_000  # of one file with a number for each photo and seed of each claim
CHECKPOINTS = 60_000_000  # bytes of all of them


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of tracked files")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(
    "forbidden", [MACHINE_PATH, REGISTRY], ids=["path of a machine", "registry address"]
)
def test_no_tracked_file_holds(tracked: list[Path], forbidden: re.Pattern) -> None:
    matches = []
    for path in tracked:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        matches += [f"{path.relative_to(ROOT)}: …{match[0]}…" for match in forbidden.finditer(text)]
    assert not matches


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATH.search("see /" + "home/ann/photos")
    assert MACHINE_PATH.search('File "/' + 'root/x.py"')
    assert not MACHINE_PATH.search("the frame/" + "work/x")
    assert REGISTRY.search("https://registry" + ".npmjs.org/mathjax")


def test_no_tracked_file_is_too_large(tracked: list[Path]) -> None:
    checkpoints = [path for path in tracked if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in checkpoints) < CHECKPOINTS
    others = {
        str(path.relative_to(ROOT)): path.stat().st_size
        for path in tracked
        if path not in checkpoints
    }
    most = {name: DIFFERENCES if "results/differences" in name else LARGEST for name in others}
    assert not {name: size for name, size in others.items() if size > most[name]}


def test_nothing_built_is_tracked(tracked: list[Path]) -> None:
    built = {"_build", "node_modules", ".venv", "__pycache__", ".ipynb_checkpoints"}
    assert not [path for path in tracked if built & set(path.relative_to(ROOT).parts)]


def test_no_photo_and_no_dataset_is_tracked(tracked: list[Path]) -> None:
    assert not [
        path for path in tracked if path.suffix.lower() in {".jpg", ".jpeg", ".mat", ".zip"}
    ]
