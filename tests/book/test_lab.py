"""The book in the JupyterLab that `make lab` opens: it asks nothing, three chapters run from their
first cell to their last, boxes and exercises are drawn, and a figure answers.

One server, one window and one test: each JupyterLab that starts costs as much as a chapter.
"""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from build_book import BOOK
from lab import command, environment

CHAPTERS = ("foundations/metrics", "foundations/crops", "compare/reproduction")  # the fastest
PATIENCE = 240_000  # milliseconds: the machine may be busy with the other tests

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a JupyterLab on a copy of the book, so that running a chapter saves nothing here."""
    shutil.copytree(BOOK, tmp_path / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    arguments = [f"--port={port}", "--port-retries=0", "--no-browser", "--allow-root"]
    arguments += ["--IdentityProvider.token=", "--ServerApp.password=", "--ip=127.0.0.1"]
    arguments.append("--LabApp.expose_app_in_browser=True")  # so that its cells can be asked
    outer = {**os.environ, "TQDM_DISABLE": "1", "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command(tmp_path / "book", arguments),
            env=environment(tmp_path / "jupyter", outer),
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            yield _answering(f"http://127.0.0.1:{port}", server, tmp_path / "log")
        finally:
            server.terminate()  # it shuts its kernels down
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _answering(address: str, server: subprocess.Popen, log: Path) -> str:
    """The address, as soon as the server answers there."""
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api", timeout=5):
                return address
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab didn't start: {log.read_text()[-2000:]}")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A window; nothing may go wrong in it while the test runs."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    # anywidget gives a figure two seconds to start, which is little on a busy machine
    context.add_init_script(
        "const timeout = AbortSignal.timeout; AbortSignal.timeout = (time) => timeout(60 * time)"
    )
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(f"{error}\n{error.stack}"))
    yield opened
    harm = "\n\n".join(text for text in problems if HARMLESS not in text)
    context.close()
    assert not harm, harm


# JupyterLab 4.6 asks where the text of the chosen cell ends, drawn or not.
HARMLESS = "_cellToolbarOverlapsContents"

# JupyterLab is asked itself for what its cells hold: what is out of sight is not in the page.
OPENED = """() => Boolean(window.jupyterapp?.shell?.currentWidget?.content?.model
    && jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle')"""
# Doesn't wait for the chapter: meanwhile the next one is opened.
RUN = """async path => {
    const { commands, shell } = jupyterapp;
    const panel = await commands.execute('docmanager:open', { path });
    await Promise.all([panel.context.ready, panel.sessionContext.ready, panel.revealed]);
    await commands.execute('notebook:clear-all-cell-outputs');
    const run = { panel, ended: false };
    (window.runs ??= {})[path] = run;
    commands.execute('notebook:run-all-cells').finally(() => { run.ended = true; });
    return shell.currentWidget === panel;
}"""
ENDED = """path => {
    const { panel, ended } = runs[path];
    return ended && panel.sessionContext.session.kernel.status === 'idle';
}"""
CELLS = """path => {
    jupyterapp.shell.activateById(runs[path].panel.id);
    return runs[path].panel.content.widgets.map(({ model }) => model.toJSON());
}"""
SHOW = """async ([path, index]) => {
    const { content } = runs[path].panel;
    content.activeCellIndex = index;
    await content.scrollToItem(index, 'start');
    content.widgets[index].node.dataset.shown = `${path} ${index}`;
}"""
FIGURE_TYPE = "application/vnd.jupyter.widget-view+json"
BROKEN = re.compile(
    r"Javascript Error|Error (displaying|creating) widget|Loading widget"
    r"|Unknown Directive|:::\{|```\{"
)


def test_three_chapters_run_in_jupyterlab(address: str, page: Any) -> None:
    page.goto(address)
    page.wait_for_url(re.compile(r"/lab/tree/index\.ipynb"))
    page.wait_for_function(OPENED, polling=200)
    page.locator(".jp-Notebook h1").first.wait_for()  # rendered, not its source
    page.locator(".jp-Notebook img[src*=pictures]").first.wait_for()
    assert not BROKEN.search(page.locator(".jp-Notebook:visible").inner_text())

    paths = [f"{chapter}.ipynb" for chapter in CHAPTERS]
    for path in paths:
        assert page.evaluate(RUN, path), f"{path} is not in front"
    for path in paths:
        page.wait_for_function(ENDED, arg=path, polling=200)
        cells = page.evaluate(CELLS, path)
        _every_cell_ran(cells)
        _boxes_are_drawn(page, path, cells)
    _figures_answer(page, paths[1], cells=page.evaluate(CELLS, paths[1]))
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0


def _every_cell_ran(cells: list[dict[str, Any]]) -> None:
    """In order, each once, and none ended in an error."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    outputs = [(cell["source"], output) for cell in code for output in cell["outputs"]]
    errors = [pair for pair in outputs if pair[1]["output_type"] == "error"]
    assert not errors
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert sum(FIGURE_TYPE in output.get("data", {}) for _, output in outputs) >= 1


def _shown(page: Any, path: str, index: int) -> Any:
    """A cell, in sight."""
    page.evaluate(SHOW, [path, index])
    cell = page.locator(f"[data-shown='{path} {index}']")
    cell.scroll_into_view_if_needed()
    return cell


def _boxes_are_drawn(page: Any, path: str, cells: list[dict[str, Any]]) -> None:
    """An exercise in a box, its solution folded, the chapter's opening box, and every figure."""
    sources = ["".join(cell["source"]) for cell in cells]
    solution = next(i for i, text in enumerate(sources) if text.startswith("```{solution-start}"))
    task = max(i for i in range(solution) if sources[i].startswith("```{exercise-start}"))
    _shown(page, path, task).locator("aside.myst-exercise").wait_for()
    folded = _shown(page, path, solution).locator("details.myst-exercise")
    folded.wait_for()
    assert folded.get_attribute("open") is None
    answer = _shown(page, path, solution + 1)
    answer.locator(".jp-InputPlaceholder").wait_for()
    assert answer.locator(".cm-content").count() == 0
    for index, text in enumerate(sources):
        if text.startswith("```{solution-end}"):  # a box with nothing in it isn't drawn
            _shown(page, path, index).locator("aside").first.wait_for(state="hidden")
    if "{admonition}" in sources[0]:
        _shown(page, path, 0).locator("aside.admonition, aside.myst-admonition").first.wait_for()
    for index, cell in enumerate(cells):
        if any(FIGURE_TYPE in output.get("data", {}) for output in cell.get("outputs", [])):
            _shown(page, path, index).locator(".cropnb, .ledger-explorer").wait_for()
    assert not BROKEN.search(page.locator(".jp-Notebook:visible").inner_text())


VALUES = "outputs => outputs.map(output => output.dataset.value)"


def _figures_answer(page: Any, path: str, cells: list[dict[str, Any]]) -> None:
    """A crop that is dragged changes what the figure says of it."""
    index = max(
        place
        for place, cell in enumerate(cells)
        if any(FIGURE_TYPE in output.get("data", {}) for output in cell.get("outputs", []))
    )
    figure = _shown(page, path, index)
    readouts = figure.locator("output[data-name]")
    before = readouts.evaluate_all(VALUES)
    crop = figure.locator(".cropnb-box")
    crop.hover()  # where it is once it lies still
    page.mouse.down()
    crop.hover(position={"x": 30, "y": 30})
    page.mouse.up()
    assert readouts.evaluate_all(VALUES) != before
