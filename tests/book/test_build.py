"""The tools that build the book refuse what they should, and repeat themselves to the byte."""

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import build_book
import nbformat
import pytest
import readme_table
import skips
from build_book import ROOT, BookError, check_parameters, execute, execute_all
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebooks import WIDGET_STATE, strip_volatile
from sphinx_cropnb import modules_of, public_names, script_content

from cropnb.files import locked

API_PAGE = (ROOT / "book/reference/api.md").read_text()


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    """A small chapter: parameters, a sum, a random id in a widget's place."""
    parameters = new_code_cell(
        'PROFILE = "smoke"\nSEED = 0', metadata={"tags": ["parameters"]}, id="p"
    )
    shown = new_code_cell("print(PROFILE, SEED + 1)", id="s")
    path = tmp_path / "papers/small.ipynb"
    path.parent.mkdir()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=[parameters, shown], metadata={"kernelspec": kernel}), path)
    return path


def test_unknown_parameter_is_refused_by_name(chapter: Path) -> None:
    check_parameters(chapter, ["PROFILE", "SEED"])
    with pytest.raises(
        BookError, match=r"small.ipynb has no parameter PROFIL .it has PROFILE, SEED"
    ):
        check_parameters(chapter, ["PROFIL"])


def test_unknown_parameter_stops_the_build_before_anything_runs(
    chapter: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.ipynb"
    with pytest.raises(BookError, match="no parameter DEVICE"):
        execute_all([(chapter, target)], {"DEVICE": "cpu"})
    assert not target.exists()


def test_chapter_without_parameters_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("x = 1")]), path)
    with pytest.raises(BookError, match="no cell is tagged"):
        check_parameters(path, ["PROFILE"])


def test_execution_passes_parameters_and_leaves_the_chapter_alone(
    chapter: Path, tmp_path: Path
) -> None:
    before = chapter.read_bytes()
    target = tmp_path / "executed/small.ipynb"
    execute(chapter, target, {"PROFILE": "cpu"})
    done = nbformat.read(target, as_version=4)
    assert done.cells[-1].outputs[0].text == "cpu 1\n"
    assert [cell.execution_count for cell in done.cells] == [1, 2]
    assert not [
        cell for cell in done.cells if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    assert chapter.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


def test_a_crash_names_the_chapter_and_the_error(chapter: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells.append(new_code_cell("1 / 0", id="z"))
    nbformat.write(notebook, chapter)
    with pytest.raises(BookError, match=r"papers/small, cell \d+: ZeroDivisionError"):
        execute(chapter, tmp_path / "out.ipynb", {})
    assert not list(tmp_path.glob("*.ipynb"))


def _with_cell(chapter: Path, source: str) -> None:
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells.append(new_code_cell(source, id="z"))
    nbformat.write(notebook, chapter)


def test_a_cell_that_takes_too_long_is_told_with_its_chapter(chapter: Path, tmp_path: Path) -> None:
    _with_cell(chapter, "import time\ntime.sleep(60)")
    with pytest.raises(
        BookError, match=r"papers/small: a cell took longer than 2 seconds[^$]*sleep"
    ):
        execute(chapter, tmp_path / "out.ipynb", {}, cell_seconds=2)
    assert not list(tmp_path.glob("*.ipynb"))


def test_a_kernel_that_dies_is_told_with_its_chapter(chapter: Path, tmp_path: Path) -> None:
    _with_cell(chapter, "import os\nos._exit(1)")
    with pytest.raises(BookError, match=r"papers/small: its kernel died[^$]*os._exit"):
        execute(chapter, tmp_path / "out.ipynb", {})
    assert not list(tmp_path.glob("*.ipynb"))


def _tools(code: str) -> list[str]:
    """A program that has the book's tools."""
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); {code}",
    ]


def _until(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # one that has ended and that nobody has asked for yet
    return ") Z " not in Path(f"/proc/{process}/stat").read_text()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_sigterm_leaves_neither_kernel_nor_half_a_chapter(chapter: Path, tmp_path: Path) -> None:
    noted = tmp_path / "kernel"
    _with_cell(
        chapter,
        f"import os, time, pathlib\npathlib.Path({str(noted)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(120)",
    )
    before = chapter.read_bytes()
    code = (
        "import build_book; from pathlib import Path; build_book._Stop.install(); "
        f"build_book.execute_all([(Path({str(chapter)!r}),) * 2], dict(PROFILE='smoke'))"
    )
    with subprocess.Popen(_tools(code), stdout=subprocess.DEVNULL) as build:
        assert _until(lambda: noted.exists() and noted.read_text())
        kernel = int(noted.read_text())
        assert _alive(kernel)
        build.terminate()
        assert build.wait(60) == 143
    assert _until(lambda: not _alive(kernel), 10)
    assert [path.name for path in chapter.parent.iterdir()] == ["small.ipynb"]
    assert chapter.read_bytes() == before


def test_what_a_killed_build_left_is_cleared_by_the_next(chapter: Path) -> None:
    left = chapter.with_suffix(build_book.RUNNING)
    left.write_text("half a")
    with pytest.raises(BookError, match="no parameter"):
        execute_all([(chapter, chapter)], {"DEVICE": "cpu"})
    assert not left.exists()


def test_two_builds_wait_for_each_other(tmp_path: Path) -> None:
    output = tmp_path / "_build"
    output.mkdir()
    code = f"import build_book; sys.exit(build_book.main(['html', '--output', {str(tmp_path)!r}]))"
    with (
        locked(output),
        subprocess.Popen(_tools(code), stderr=subprocess.PIPE, text=True) as second,
    ):
        assert "Another build is at work" in second.stderr.readline()
        assert second.poll() is None
        second.terminate()
        assert second.wait(30) == 143


@pytest.mark.parametrize("command", ["html", "book", "refresh"])
def test_where_nothing_can_be_written_is_told_in_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "_build").write_text("")
    monkeypatch.setattr(build_book, "BUILD", tmp_path / "_build")
    assert build_book.main([command]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(tmp_path / "_build") in message


def test_refresh_in_place_gives_the_same_bytes_twice(chapter: Path) -> None:
    execute(chapter, chapter, {"PROFILE": "smoke"})
    first = chapter.read_bytes()
    execute(chapter, chapter, {"PROFILE": "smoke"})
    assert chapter.read_bytes() == first
    assert b"papermill" not in first


def _with_widget(model: str, layout: str, abandoned: str) -> nbformat.NotebookNode:
    view = new_output(
        "display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": model}}
    )
    streams = [new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    timing = {"papermill": {"duration": 1.5}}
    cells = [
        new_markdown_cell("# Title", id="t"),
        new_code_cell(
            "show()", id="w", outputs=[view, *streams], execution_count=7, metadata=timing
        ),
    ]
    state = {
        abandoned: {"model_name": "Old", "state": {}},
        layout: {"model_name": "LayoutModel", "state": {}},
        model: {"model_name": "AnyModel", "state": {"layout": f"IPY_MODEL_{layout}", "value": 3}},
    }
    metadata = {
        "widgets": {WIDGET_STATE: {"state": state, "version_major": 2, "version_minor": 0}},
        "papermill": {},
    }
    return nbformat.from_dict(new_notebook(cells=cells, metadata=metadata))


def test_stripping_is_idempotent_and_random_ids_leave_no_trace() -> None:
    one = strip_volatile(_with_widget("a" * 32, "b" * 32, "c" * 32), "papers/small")
    two = strip_volatile(_with_widget("1" * 32, "2" * 32, "3" * 32), "papers/small")
    assert nbformat.writes(one) == nbformat.writes(two)
    assert nbformat.writes(strip_volatile(one, "papers/small")) == nbformat.writes(two)
    state = one.metadata.widgets[WIDGET_STATE]["state"]
    shown = one.cells[1].outputs[0].data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert state[shown]["state"]["value"] == 3
    assert state[shown]["state"]["layout"].removeprefix("IPY_MODEL_") in state
    assert len(state) == 2, "a widget that no output shows is left out"
    assert one.cells[1].outputs[1].text == "a\nb\n"
    assert one.cells[1].execution_count == 1


def test_two_chapters_never_share_a_widget_id() -> None:
    one = strip_volatile(_with_widget("a" * 32, "b" * 32, "c" * 32), "papers/one")
    two = strip_volatile(_with_widget("a" * 32, "b" * 32, "c" * 32), "papers/two")
    assert not set(one.metadata.widgets[WIDGET_STATE]["state"]) & set(
        two.metadata.widgets[WIDGET_STATE]["state"]
    )


def test_a_warning_fails_the_rendering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "book"
    source.mkdir()
    (source / "index.md").write_text("# Title\n\n[](nowhere.md)\n")
    (source / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (source / "references.bib").write_text("")
    shutil.copytree(ROOT / "book/_static", source / "_static")
    with pytest.raises(BookError, match="nowhere"):
        build_book.render(source, tmp_path / "out")
    (source / "index.md").write_text("# Title\n\nA page.\n")
    assert "A page." in build_book.render(source, tmp_path / "out").read_text()


def test_rendering_twice_gives_the_same_pages(rendered: Path, tmp_path: Path) -> None:
    again = build_book.render(ROOT / "book", tmp_path).parent
    pages = sorted(
        path.relative_to(rendered)
        for path in rendered.rglob("*.html")
        if "vendor" not in path.parts
    )
    assert len(pages) > 5
    assert not [
        page for page in pages if (again / page).read_bytes() != (rendered / page).read_bytes()
    ]


@pytest.mark.parametrize("module", modules_of(API_PAGE))
def test_every_name_of_the_api_page_can_be_imported_and_is_described(module: str) -> None:
    imported = importlib.import_module(module)
    listed = [item.name for item in public_names(module)] or list(getattr(imported, "__all__", []))
    for name in listed:
        assert getattr(imported, name).__doc__, f"{module}.{name} has no docstring"


def test_the_api_page_names_the_public_surface(rendered: Path) -> None:
    page = (rendered / "reference/api.html").read_text()
    for module, name in [
        ("boxes", "pairwise-iou"),
        ("candidates", "grid-anchors"),
        ("metrics", "acc-n"),
        ("metrics", "iou-and-bde"),
        ("images", "read-photo"),
        ("vrn", "featuresplitter"),
        ("widgets", "cropexplorer"),
        ("errors", "imageerror"),
    ]:
        assert f'id="api-cropnb-{module}-{name}"' in page


@pytest.mark.parametrize("end", ["</script>", "</SCRIPT >", "<!--<script>"])
def test_no_text_can_end_the_script_it_stands_in(end: str) -> None:
    state = {"text": f"a {end} b < c"}
    content = script_content(json.dumps(state))
    assert "<" not in content
    assert json.loads(content) == state
    assert "</script" not in script_content(f"if (a < b) f('{end}')").lower()
    assert "a < b" in script_content(f"if (a < b) f('{end}')")


def test_readme_table_is_the_ledger() -> None:
    for page in (readme_table.README, readme_table.PLAYGROUND):
        text = page.read_text("utf-8")
        assert "<!-- /photographs -->" in text
        assert readme_table.updated(text) == text, "run python tools/readme_table.py"


def test_readme_names_only_commands_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    pages = [ROOT / "README.md", *(ROOT / "book").rglob("*.md")]
    commands = {
        name
        for page in pages
        for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert {"book", "test"} <= commands <= targets, commands - targets


def test_readme_and_playground_code_is_python() -> None:
    for page in (ROOT / "README.md", ROOT / "book/compare/playground.md"):
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        assert blocks
        for block in blocks:
            ast.parse(block)


def test_help_lists_the_commands() -> None:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in ("book", "test", "html", "lab", "refresh", "reproduce", "bench", "lock", "lint"):
        assert re.search(rf"^  make {name} ", listed, re.MULTILINE), name


def _skipping(folder: Path, body: str) -> subprocess.CompletedProcess:
    """A run of one file of tests with the counting plugin, whose counts go to the folder."""
    (folder / "test_it.py").write_text(f"import pytest\n{body}\ndef test_passes(): pass\n")
    plugin = (
        f"from pathlib import Path\nfrom tools import skips\nfrom tools.skips import *\n"
        f"skips.COUNTS = Path({str(folder / 'skips.json')!r})\n"
    )
    (folder / "counting.py").write_text(plugin)
    command = [sys.executable, "-m", "pytest", "-p", "counting", "-p", "no:cacheprovider", "-q"]
    command += ["-n", "2", "--rootdir", str(folder), str(folder / "test_it.py")]
    paths = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


def test_what_was_skipped_is_told_in_one_line_with_what_enables_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    browser = "@pytest.mark.skipif(True, reason='no Chromium on this machine')"
    data = "pytest.skip('CROPNB_DATA names no folder')"
    body = (
        f"{browser}\ndef test_a(): pass\n{browser}\ndef test_b(): pass\n"
        f"def test_c(): {data}\ndef test_d(): pytest.skip('the moon is full')"
    )
    assert _skipping(tmp_path, body).returncode == 0
    monkeypatch.setattr(skips, "COUNTS", tmp_path / "skips.json")
    assert skips.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert "2 for want of a browser (apt-get install chromium)" in printed
    assert "1 for want of the real datasets" in printed
    assert "1 for other reasons" in printed
    assert skips.main(["--need", "browser"]) == 1
    assert skips.main(["--need", "gpu"]) == 0
    # a second run of the same tests adds to the first, as the chapters do to the package's
    _skipping(tmp_path, f"{browser}\ndef test_a(): pass")
    assert skips.by_kind(skips._read())["browser"] == 3
    (tmp_path / "skips.json").unlink()
    assert skips.main(["--need", "browser"]) == 0
    assert capsys.readouterr().out.endswith("Skipped: nothing.\n")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_make_works_in_a_folder_with_spaces_and_other_letters(tmp_path: Path) -> None:
    folder = tmp_path / "käse und brot"
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    locks = ("tools/requirements-html.lock", "tools/requirements-reproduce.lock")
    for name in ("requirements.lock", "pyproject.toml", *locks):
        (folder / name).write_text("")
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    noted = folder / "noted"
    python = folder / ".venv/bin/python"
    python.write_text('#!/bin/sh\necho "$PWD|$VIRTUAL_ENV|$PATH|$*" >> noted\n')
    python.chmod(0o755)
    for name in (f".uv-{version}", ".installed", ".rendering", ".reproducing"):
        (folder / ".venv" / name).write_text("")
    for target in ("html", "book", "test", "refresh", "bench", "lab"):
        noted.unlink(missing_ok=True)
        done = subprocess.run(
            ["make", target], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for line in noted.read_text().splitlines():
            place, environment, path, command = line.split("|")
            assert place == str(folder)
            assert environment == str(folder / ".venv")
            assert path.startswith(f"{folder}/.venv/bin:")
            assert command


def test_nbval_count_fails_a_notebook_that_compares_too_little(chapter: Path) -> None:
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells += [
        new_code_cell(f"print({i})", id=f"c{i}", metadata={"tags": ["nbval-check-output"]})
        for i in range(3)
    ]
    nbformat.write(notebook, chapter)
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(chapter),
        "-p",
        "tools.nbval_count",
        "--nbval-lax",
        "-p",
        "no:cacheprovider",
    ]
    bare = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert bare.returncode == 1, bare.stdout
    assert "TOO FEW" in bare.stdout
    execute(chapter, chapter, {})
    full = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert full.returncode == 0, full.stdout
    assert re.search(r"^ +3  .*small.ipynb", full.stdout, re.MULTILINE)
