"""Execute the chapters and render the book.

    python tools/build_book.py book [--profile smoke]    execute every chapter into _build/executed, render that
    python tools/build_book.py html                      render what is committed
    python tools/build_book.py refresh [CHAPTER …]       execute in place, in the smoke profile

papermill executes, several chapters at a time, and Jupyter Book renders, with every warning an
error.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
BUILD = ROOT / "_build"


class BookError(Exception):
    """A chapter or a page that can't be built; the message says which and why."""


def chapters(book: Path = BOOK) -> list[Path]:
    """The notebooks of the book, in the order of its table of contents."""
    contents = yaml.safe_load((book / "_toc.yml").read_text())
    pages = [contents["root"]] + [
        chapter["file"] for part in contents["parts"] for chapter in part["chapters"]
    ]
    paths = [book / f"{page}.ipynb" for page in pages]
    return [path for path in paths if path.is_file()]


# A reader's own IPython configuration must not reach the chapters. The level hides chatter on
# transport and shutdown.
IPYTHON_CONFIG = "c = get_config()\nc.IPKernelApp.log_level = 50\n"


def check_parameters(notebook: Path, names: Iterable[str]) -> None:
    """Raise BookError when the notebook has no parameter of one of these names. papermill only
    warns.
    """
    from papermill import inspect_notebook

    known = inspect_notebook(str(notebook))
    unknown = sorted(set(names) - set(known))
    if unknown:
        offered = ", ".join(known) or "none: no cell is tagged `parameters`"
        raise BookError(f"{notebook.name} has no parameter {', '.join(unknown)} (it has {offered})")


def execute(
    notebook: Path, target: Path, parameters: dict[str, object], position: int | None = None
) -> float:
    """Run one chapter from its own folder, write it with its outputs to `target`, return the
    seconds it took.
    """
    import nbformat
    from notebooks import strip_volatile
    from papermill import PapermillExecutionError, execute_notebook

    started = time.monotonic()
    label = chapter_name(notebook)
    bar = {"desc": label, "position": position, "leave": False} if position is not None else False
    raw = target.with_suffix(".running.ipynb")
    raw.parent.mkdir(parents=True, exist_ok=True)
    try:
        execute_notebook(
            str(notebook),
            str(raw),
            parameters,
            cwd=str(notebook.parent),
            progress_bar=bar,
            kernel_name="python3",
        )
        finished = strip_volatile(nbformat.read(raw, as_version=4), label)
        nbformat.write(finished, target)
    except PapermillExecutionError as error:
        raise BookError(
            f"{label}, cell {error.exec_count}: {error.ename}: {error.evalue}\n{error.source}"
        ) from None
    finally:
        raw.unlink(missing_ok=True)
    return time.monotonic() - started


def chapter_name(notebook: Path) -> str:
    """`papers/vrn` for book/papers/vrn.ipynb."""
    return f"{notebook.parent.name}/{notebook.stem}"


def execute_all(jobs: list[tuple[Path, Path]], parameters: dict[str, object]) -> None:
    """Run chapters beside each other on the cores there are, and show how far each of them is."""
    for notebook, _ in jobs:
        check_parameters(notebook, parameters)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    workers = max(1, min(cores, len(jobs)))
    threads = str(max(1, cores // workers))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = threads
    # Inside of the chapters, bars would end up on the pages.
    os.environ["TQDM_DISABLE"] = "1"
    profile = BUILD / "ipython/profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(IPYTHON_CONFIG)
    os.environ["IPYTHONDIR"] = str(profile.parent)
    interactive = sys.stderr.isatty()
    failures = []
    # What takes long should not start last: the papers come first, the largest of them first of
    # all.
    jobs = sorted(jobs, key=lambda job: (job[0].parent.name != "papers", -job[0].stat().st_size))
    with ProcessPoolExecutor(workers) as pool:
        running = {
            pool.submit(
                execute, notebook, target, parameters, i % workers if interactive else None
            ): notebook
            for i, (notebook, target) in enumerate(jobs)
        }
        for done, future in enumerate(as_completed(running), start=1):
            name = chapter_name(running[future])
            try:
                print(f"[{done}/{len(jobs)}] {name}: {future.result():.0f} s", flush=True)
            except BookError as error:
                print(f"[{done}/{len(jobs)}] {name}: failed", flush=True)
                failures.append(str(error))
    if failures:
        raise BookError("\n\n".join(failures))


def executed_copy(profile: str) -> Path:
    """The book with every chapter freshly executed, beside the committed one."""
    copy = BUILD / "executed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(BOOK, copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "_build"))
    jobs = [(notebook, copy / notebook.relative_to(BOOK)) for notebook in chapters()]
    print(f"Executing {len(jobs)} chapters in the {profile} profile …", flush=True)
    execute_all(jobs, {"PROFILE": profile})
    return copy


def render(source: Path, output: Path = ROOT) -> Path:
    """Render the pages of a book folder, strictly, into `output/_build/html`, and return the path
    of the first.
    """
    build = output / "_build"
    # Whole and from nothing each time: Sphinx forgets the warnings of a page that it doesn't read
    # again.
    shutil.rmtree(build / "html", ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(source), "--path-output", str(output)]
    command += ["--config", str(ROOT / "_config.yml"), "--toc", str(source / "_toc.yml")]
    command += ["--all", "-n", "-W", "--keep-going", "-q"]
    log = build / "render.log"
    with log.open("w") as stream:
        code = subprocess.run(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT).returncode
    first = build / "html/index.html"
    if code or not first.is_file():
        raise BookError(
            f"{log.read_text()}\nThe pages were not rendered cleanly: see the warnings above."
        )
    return first


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    book = commands.add_parser("book", help="execute, then render")
    book.add_argument("--profile", default="smoke", choices=["smoke", "cpu", "full"])
    html = commands.add_parser("html", help="render what is committed")
    html.add_argument("--output", type=Path, default=ROOT, help="the folder that gets _build/html")
    refresh = commands.add_parser("refresh", help="execute in place")
    refresh.add_argument(
        "chapters", nargs="*", help="for example papers/vrn; all of them when none is named"
    )
    options = parser.parse_args(arguments)
    try:
        if options.command == "refresh":
            wanted = [BOOK / f"{name}.ipynb" for name in options.chapters] or chapters()
            execute_all([(notebook, notebook) for notebook in wanted], {"PROFILE": "smoke"})
            return 0
        source = executed_copy(options.profile) if options.command == "book" else BOOK
        page = render(source, getattr(options, "output", ROOT))
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"The book is ready. Open {page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
