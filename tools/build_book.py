"""Execute the chapters and render the book.

    python tools/build_book.py book [--profile smoke]    execute into _build/executed, render
    python tools/build_book.py html                      render what is committed
    python tools/build_book.py refresh [CHAPTER …]       execute in place, in the smoke profile

papermill executes, several chapters at a time, and Jupyter Book renders, with every warning an
error. Two builds of one folder wait for each other.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
sys.path.insert(0, str(ROOT))

from cropnb.files import locked  # noqa: E402  (the tools also run where cropnb isn't installed)

# Seconds for one cell before it is given up. A smoke chapter takes a minute as a whole, on a
# machine that does nothing else; the papers' own schedules may take days.
CELL_SECONDS = {"smoke": 1200, "cpu": 3 * 3600, "full": None}
RUNNING = ".running.ipynb"  # how the file ends that papermill writes while it executes


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
    notebook: Path,
    target: Path,
    parameters: dict[str, object],
    position: int | None = None,
    cell_seconds: float | None = None,
) -> float:
    """Run one chapter from its own folder, write it with its outputs to `target`, return the
    seconds it took.

    Raises BookError with the chapter's name when a cell fails or takes longer than `cell_seconds`,
    or the kernel dies.
    """
    import nbformat
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from notebooks import strip_volatile
    from papermill import PapermillExecutionError, execute_notebook

    if _Stop.wanted:
        raise SystemExit(_Stop.STATUS)
    started = time.monotonic()
    label = chapter_name(notebook)
    bar = {"desc": label, "position": position, "leave": False} if position is not None else False
    raw = target.with_suffix(RUNNING)
    raw.parent.mkdir(parents=True, exist_ok=True)
    try:
        execute_notebook(
            str(notebook),
            str(raw),
            parameters,
            cwd=str(notebook.parent),
            progress_bar=bar,
            kernel_name="python3",
            execution_timeout=cell_seconds,
        )
        finished = strip_volatile(nbformat.read(raw, as_version=4), label)
        nbformat.write(finished, target)
    except PapermillExecutionError as error:
        raise BookError(
            f"{label}, cell {error.exec_count}: {error.ename}: {error.evalue}\n{error.source}"
        ) from None
    except CellTimeoutError as error:
        raise BookError(
            f"{label}: a cell took longer than {cell_seconds:g} seconds; shorten it, or give it "
            f"more with --cell-seconds\n{error}"
        ) from None
    except DeadKernelError:
        raise BookError(
            f"{label}: its kernel died, which happens when the memory runs out; the cell that was "
            f"running: {_running_cell(raw)}"
        ) from None
    finally:
        raw.unlink(missing_ok=True)
    return time.monotonic() - started


def _running_cell(raw: Path) -> str:
    """The beginning of the last cell that papermill has begun."""
    import nbformat

    try:
        cells = nbformat.read(raw, as_version=4).cells
    except (OSError, ValueError):
        return "unknown"
    begun = [cell for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    return begun[-1].source[:300] if begun else "unknown"


class _Stop:
    """SIGTERM and Ctrl-C end a build as an error would: kernels are shut down, half-written
    chapters removed.
    """

    wanted = False
    STATUS = 128 + signal.SIGTERM

    @classmethod
    def install(cls) -> None:
        """For this process; a worker of the pool calls it too."""
        signal.signal(signal.SIGTERM, cls._end)

    @classmethod
    def _end(cls, *_: object) -> None:
        # A second signal must not interrupt the tidying up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        cls.wanted = True
        raise SystemExit(cls.STATUS)


def chapter_name(notebook: Path) -> str:
    """`papers/vrn` for book/papers/vrn.ipynb."""
    return f"{notebook.parent.name}/{notebook.stem}"


def execute_all(
    jobs: list[tuple[Path, Path]],
    parameters: dict[str, object],
    cell_seconds: float | None = None,
) -> None:
    """Run chapters beside each other on the cores there are, and show how far each of them is."""
    for _, target in jobs:  # of a build that was killed
        target.with_suffix(RUNNING).unlink(missing_ok=True)
    for notebook, _ in jobs:
        check_parameters(notebook, parameters)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    workers = max(1, min(cores, len(jobs)))
    # Sums over several threads end in another order: the outputs would depend on the machine's
    # cores, and on how many chapters are executed at once.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    # Threads that spin while they wait take the cores of others: on a busy machine a chapter of a
    # minute took twenty.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
    # Started anew each time: a forked worker would inherit this process's signal handlers and
    # whatever its threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_Stop.install) as pool:
        running = {
            pool.submit(
                execute,
                notebook,
                target,
                parameters,
                position=i % workers if interactive else None,
                cell_seconds=cell_seconds,
            ): notebook
            for i, (notebook, target) in enumerate(jobs)
        }
        try:
            for done, future in enumerate(as_completed(running), start=1):
                name = chapter_name(running[future])
                try:
                    print(f"[{done}/{len(jobs)}] {name}: {future.result():.0f} s", flush=True)
                except BookError as error:
                    print(f"[{done}/{len(jobs)}] {name}: failed", flush=True)
                    failures.append(str(error))
                except BrokenProcessPool:
                    failures.append(f"{name}: the process that executed it died")
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.terminate()  # SIGTERM, on which it shuts its kernel down
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if failures:
        raise BookError("\n\n".join(failures))


def executed_copy(profile: str, cell_seconds: float | None = None) -> Path:
    """The book with every chapter freshly executed, beside the committed one."""
    copy = BUILD / "executed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(BOOK, copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "_build"))
    jobs = [(notebook, copy / notebook.relative_to(BOOK)) for notebook in chapters()]
    print(f"Executing {len(jobs)} chapters in the {profile} profile …", flush=True)
    execute_all(jobs, {"PROFILE": profile}, cell_seconds)
    return copy


def export_networks() -> None:
    """The playground's networks, in a process that is gone when they are needed no more."""
    print("Exporting the playground's networks …", flush=True)
    if subprocess.run([sys.executable, str(ROOT / "tools/export_onnx.py")], cwd=ROOT).returncode:
        raise BookError("The playground's networks were not exported: see above.")


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
    for command in (book, refresh):
        command.add_argument(
            "--cell-seconds",
            type=float,
            help="the longest that one cell may take (by default it depends on the profile)",
        )
    options = parser.parse_args(arguments)
    _Stop.install()
    try:
        build = getattr(options, "output", ROOT) / "_build"
        for folder in {BUILD, build}:
            _check_writable(folder)
        with locked(build, f"Another build is at work in {build}; waiting for it …"):
            return _run(options)
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:
        print(f"error: {error.filename or build}: {error.strerror or error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    profile = getattr(options, "profile", "smoke")
    seconds = getattr(options, "cell_seconds", None) or CELL_SECONDS[profile]
    if options.command == "refresh":
        wanted = [BOOK / f"{name}.ipynb" for name in options.chapters] or chapters()
        for notebook in wanted:
            if not notebook.is_file():
                raise BookError(f"there is no chapter {notebook}")
        execute_all([(notebook, notebook) for notebook in wanted], {"PROFILE": "smoke"}, seconds)
        return 0
    source = executed_copy(profile, seconds) if options.command == "book" else BOOK
    if options.command == "book":
        export_networks()
    page = render(source, getattr(options, "output", ROOT))
    print(f"The book is ready. Open {page}")
    return 0


def _check_writable(folder: Path) -> None:
    """Raises OSError where nothing can be written: better now than after an hour of execution."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


if __name__ == "__main__":
    raise SystemExit(main())
