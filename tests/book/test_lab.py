"""Three chapters in the JupyterLab that `make lab` opens: every cell runs, a figure answers, and
nothing goes wrong.
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

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
CHAPTERS = ("compare/reproduction", "foundations/crops", "foundations/metrics")  # the fastest
PATIENCE = 240_000  # milliseconds: the machine may be busy with the other tests

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium on this machine, so JupyterLab is not opened"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab on a copy of the book, so that running saves nothing here."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(BOOK, folder / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [f"--port={port}", "--port-retries=0", "--no-browser", "--allow-root"]
    arguments += ["--IdentityProvider.token=", "--ServerApp.password=", "--ip=127.0.0.1"]
    arguments.append("--LabApp.expose_app_in_browser=True")  # so that its cells can be asked
    outer = {**os.environ, "TQDM_DISABLE": "1", "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    address = f"http://127.0.0.1:{port}"
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command(folder / "book", arguments),
            env=environment(folder / "jupyter", outer),
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        try:
            _wait_for(f"{address}/api", running, folder / "log")
            yield address
        finally:
            running.terminate()  # the server shuts its kernels down
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()


def _wait_for(url: str, running: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and running.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab didn't start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        flags.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A window, with the errors of its scripts in `page.problems`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.problems = []
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    yield opened
    context.close()


def test_the_first_page_opens_rendered_and_asks_nothing(server: str, page: Any) -> None:
    page.goto(server)
    page.wait_for_url(re.compile(r"/lab/tree/index\.md"))
    page.locator(".jp-MarkdownViewer h1").first.wait_for()
    page.wait_for_timeout(1000)
    assert page.locator(".Toastify__toast, .jp-Dialog").count() == 0
    # boxes and links are drawn, and no directive stands there as text
    assert ":::{" not in page.locator(".jp-MarkdownViewer").inner_text()
    assert not page.problems


# What the notebook of the open tab holds, asked of JupyterLab itself: cells that are out of sight
# are not in the page.
CELLS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
    .filter(cell => cell.cell_type === 'code')
    .map(cell => ({id: cell.id, source: cell.source, count: cell.execution_count,
                   errors: cell.getOutputs().filter(o => o.output_type === 'error')
                     .map(o => `${o.ename}: ${o.evalue}`)}))"""
DONE = """count => {
    const panel = window.jupyterapp.shell.currentWidget;
    const cells = panel.content.model.sharedModel.cells.filter(c => c.cell_type === 'code');
    return cells.length === count && panel.sessionContext.session?.kernel?.status === 'idle'
        && (cells.every(c => c.execution_count !== null && c.executionState !== 'running')
            || cells.some(c => c.getOutputs().some(o => o.output_type === 'error')));
}"""
READY = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    return panel?.content?.model && panel.sessionContext?.session?.kernel?.status === 'idle';
}"""


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_and_its_figure_answers(server: str, page: Any, chapter: str) -> None:
    page.goto(f"{server}/lab/tree/{chapter}.ipynb?reset")
    page.wait_for_function(READY)
    total = len(page.evaluate(CELLS))
    page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    # not waited for here: a call without a time limit could hang
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(DONE, arg=total)
    cells = page.evaluate(CELLS)
    assert not [(cell["source"], cell["errors"]) for cell in cells if cell["errors"]]
    assert [cell["count"] for cell in cells] == list(range(1, total + 1))

    figure = _scrolled_to_figure(page)
    control = figure.locator("input[type=range], select, button, [tabindex='0']").first
    before = figure.evaluate(SEEN)
    for key in ("ArrowRight", "ArrowDown", "Enter", " "):
        control.focus()
        page.keyboard.press(key)
        page.wait_for_timeout(200)
        if figure.evaluate(SEEN) != before:
            break
    assert figure.evaluate(SEEN) != before, "no key changes the figure"
    assert page.locator(".jp-Dialog").count() == 0
    assert not page.problems


SEEN = """figure => [figure.innerHTML, ...[...figure.querySelectorAll('input, select')]
    .map(control => control.value + control.checked)].join('|')"""


def _scrolled_to_figure(page: Any) -> Any:
    """The first interactive figure of the open notebook, in sight."""
    page.evaluate(
        """() => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            const place = notebook.widgets.findIndex(cell => cell.model.type === 'code'
                && cell.model.outputs.toJSON().some(
                    output => output.data?.['application/vnd.jupyter.widget-view+json']));
            notebook.activeCellIndex = place;
            return notebook.scrollToItem(place, 'start');
        }"""
    )
    figure = page.locator(".jp-Notebook .cropnb, .jp-Notebook .ledger-explorer").first
    figure.wait_for()
    figure.scroll_into_view_if_needed()
    return figure
