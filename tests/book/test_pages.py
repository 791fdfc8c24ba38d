"""Every rendered page, opened in Chromium with the network off: complete, described, quiet, and its
figures answer.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from build_book import BOOK, ROOT
from vendor import AXE

PATIENCE = 120_000  # milliseconds: the machine may be busy with the other tests
FIRST_PAGE_BYTES, PAGE_BYTES = 1_500_000, 4_000_000  # with all that they load, not compressed
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.browser

_contents = yaml.safe_load((BOOK / "_toc.yml").read_text())
PAGES = [_contents["root"]] + [
    chapter["file"] for part in _contents["parts"] for chapter in part["chapters"]
]
NOTEBOOKS = [page for page in PAGES if (BOOK / f"{page}.ipynb").is_file()]


@pytest.fixture(scope="module")
def address(rendered: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(rendered)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Visit:
    """One page in a window of its own, with everything that went wrong while it was open."""

    def __init__(
        self, browser: object, url: str, size: dict[str, int], touch: bool = False
    ) -> None:
        self.problems: list[str] = []
        self._context = browser.new_context(viewport=size, has_touch=touch, reduced_motion="reduce")
        local = url.split("://")[0] + "://" + url.split("://")[1].split("/")[0]
        self._context.route("**/*", partial(self._route, local))
        self._context.set_default_timeout(PATIENCE)
        self.page = self._context.new_page()
        self.page.on(
            "console", lambda m: m.type == "error" and self.problems.append(f"console: {m.text}")
        )
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on(
            "requestfailed", lambda request: self.problems.append(f"failed: {request.url}")
        )
        self.page.on(
            "response", lambda r: r.status >= 400 and self.problems.append(f"{r.status}: {r.url}")
        )
        self.bytes: dict[str, int] = {}  # of what a server sent, by address, not compressed
        self.page.on("response", self._count)
        self.page.goto(url, wait_until="load")
        self.page.wait_for_function(MATH_IS_DRAWN)
        views = self.page.locator(VIEW_SCRIPT).count()
        if views:
            self.page.wait_for_function(f"document.querySelectorAll('{FIGURE}').length >= {views}")
            self.page.wait_for_timeout(300)

    def _route(self, local: str, route: object) -> None:
        if route.request.url.startswith((local, "data:", "blob:")):
            route.continue_()
        else:
            self.problems.append(f"asked the network for {route.request.url}")
            route.abort()

    def _count(self, response: object) -> None:
        self.bytes[response.url] = int(response.headers.get("content-length", 0))

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()


MATH_IS_DRAWN = """() => {
    if (!window.MathJax || !MathJax.startup) return true;
    if (!MathJax.startup.promise || window._drawn) return true;
    MathJax.startup.promise.then(() => { window._drawn = true; });
    return false;
}"""
VIEW_SCRIPT = 'script[type="application/vnd.jupyter.widget-view+json"]'
FIGURE = (
    ".bd-article .cell_output .widget-subarea > *, "
    ".bd-article .cell_output .jupyter-widgets:not(.jupyter-widgets *)"
)


@pytest.fixture(scope="module", params=PAGES)
def visit(request: pytest.FixtureRequest, browser: object, rendered: Path) -> Iterator[Visit]:
    """Each page from its file, as wide as a laptop's window."""
    with Visit(browser, (rendered / f"{request.param}.html").as_uri(), DESKTOP) as visit:
        yield visit


def test_page_from_its_file(visit: Visit) -> None:
    page = visit.page
    article = page.locator(".bd-article")
    assert len(article.inner_text()) > 300
    assert page.locator(".bd-article h1").count() == 1

    # Every formula that the source holds is drawn, none of them as an error.
    formulas = page.locator(".bd-article .math").count()
    assert page.locator(".bd-article mjx-container").count() >= formulas
    assert page.locator("mjx-merror, .MathJax_Error").count() == 0
    assert not re.search(r"\\\(|\\\[|\$\$", article.inner_text().replace("\\(?", ""))

    pictures = page.locator(".bd-article img:not(.jupyter-widgets img)")
    for index in range(pictures.count()):
        picture = pictures.nth(index)
        alt = picture.get_attribute("alt") or ""
        assert len(alt.split()) >= 3, f"alt text {alt!r}"
        assert not re.search(r"[0-9a-f]{20}|\.(png|jpe?g|svg)$", alt), f"alt text {alt!r}"
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")

    # Folded solutions have no height; all other outputs show something.
    empty = page.locator(".bd-article div.cell_output").evaluate_all(
        """outputs => outputs
            .filter(o => !o.closest('.solution, .toggle-hidden, details:not([open])')
             && o.getBoundingClientRect().height < 8).map(o => o.outerHTML.slice(0, 200))"""
    )
    assert not empty
    assert not visit.problems


MOSTLY_PENDING = """() => [...document.querySelectorAll('.bd-article table')]
    .filter(table => table.checkVisibility({ visibilityProperty: true }))
    .filter(({ tBodies }) => {
        const waits = [...tBodies].flatMap(body => [...body.rows])
            .map(row => /\\bpending\\b/.test(row.textContent));
        return waits.filter(Boolean).length * 2 > waits.length;
    }).map(table => table.textContent.slice(0, 200))"""


def test_pending_rows_never_outnumber_measured_ones_in_view(visit: Visit) -> None:
    assert not visit.page.evaluate(MOSTLY_PENDING)


SCROLLED_CODE = """() => [...document.querySelectorAll('.bd-article pre')]
    .filter(box => box.scrollWidth > box.clientWidth)
    .map(box => `${box.scrollWidth - box.clientWidth} px: ` + box.textContent.trim().split('\\n')
      .reduce((longest, line) => line.length > longest.length ? line : longest, ''))"""
UNFOLDED = """() => {
    document.querySelectorAll('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'));
    document.querySelectorAll('details').forEach(e => { e.open = true; });
    window.dispatchEvent(new Event('resize'));
}"""


def test_no_code_box_scrolls_sideways(visit: Visit) -> None:
    """In a window of 1280 pixels; what is folded is opened first, as a reader would."""
    visit.page.evaluate(UNFOLDED)
    assert visit.page.locator("html").evaluate("html => html.clientWidth") == DESKTOP["width"]
    assert not visit.page.evaluate(SCROLLED_CODE)


# axe walks through whatever is on a page, 4 000 rows of the ledger too, and thousands of words of
# code: a table keeps its first rows, and of the code's words the page keeps some of each look, in
# boxes of input and of output. What is taken out is like what stays.
TRIMMED = """() => {
    document.querySelectorAll('tbody tr:nth-child(n+6)').forEach(e => e.remove());
    const seen = {};
    for (const word of document.querySelectorAll('.highlight pre span[class]')) {
        const box = word.closest('.cell_output') ? 'output' : 'input';
        const look = `${box} ${word.className}`;
        seen[look] = (seen[look] ?? 0) + 1;
        if (seen[look] > 6 && !word.querySelector('span')) word.remove();
    }
}"""
# In the dark theme, what depends on it. A formula in a table's head is spoken by MathJax, which axe
# doesn't see.
BARRIERS = """async theme => (await axe.run(
      {
        preload: false,
        resultTypes: ['violations'],
        ...(theme === 'dark' && {runOnly: ['color-contrast']}),
      }
    )).violations
    .map(rule => ({...rule, nodes: rule.nodes.filter(
      node => !document.querySelector(node.target[0])?.querySelector('mjx-container')
    )}))
    .filter(rule => rule.nodes.length)
    .map(rule => `${rule.id}: ${rule.help}; `
      + rule.nodes.slice(0, 4).map(node => `${node.target}: ${node.html.slice(0, 150)} `
        + (node.any[0]?.message ?? '')).join(' | '))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_barrier_for_keyboard_screen_reader_or_eyes(visit: Visit, theme: str) -> None:
    """axe-core finds nothing: names, roles, contrast, the order of headings."""
    page = visit.page
    page.evaluate(UNFOLDED)
    page.evaluate(TRIMMED)
    page.locator("html").evaluate("(html, theme) => { html.dataset.theme = theme; }", theme)
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE.read_text("utf-8") + "; 0")
    page.evaluate("() => Promise.all(document.getAnimations().map(one => one.finish()))")
    assert not page.evaluate(BARRIERS, theme)


TOO_WIDE = """limit => [...document.querySelectorAll('.bd-article *')]
    .filter(e => e.getBoundingClientRect().right > limit).map(e => e.outerHTML.slice(0, 120))
    .slice(0, 5)"""


# Source of the package whose lines turn, and lose their indentation.
TURNED_SOURCE = """() => [...document.querySelectorAll('.cell_output .highlight-python pre')]
    .filter(box => getComputedStyle(box).whiteSpace !== 'pre').map(box => box.textContent)"""


@pytest.mark.parametrize("name", PAGES)
def test_page_on_a_phone(browser: object, address: str, name: str) -> None:
    with Visit(browser, f"{address}/{name}.html", PHONE, touch=True) as visit:
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        wide = visit.page.evaluate(TOO_WIDE, PHONE["width"])
        assert width <= PHONE["width"], wide
        assert not visit.page.evaluate(TURNED_SOURCE)
        assert not visit.problems
        limit = FIRST_PAGE_BYTES if name == PAGES[0] else PAGE_BYTES
        assert len(visit.bytes) > 5
        heaviest = sorted(visit.bytes.items(), key=lambda item: -item[1])[:8]
        assert sum(visit.bytes.values()) < limit, heaviest


# What a reader can tell apart: the text, what attributes draw, the state of the controls, and
# painted pixels.
SEEN = """figure => [figure.innerText, figure.innerHTML,
    ...[...figure.querySelectorAll('input, select')]
      .map(control => control.value + control.checked),
    ...[...figure.querySelectorAll('canvas')].map(canvas => canvas.toDataURL())].join('|')"""
REACHED_BY_KEYBOARD = ":is([tabindex='0'], input, select, button, [role='slider']):visible:enabled"
# seen one by one: on a slider the second takes the first one back
KEYS = ("ArrowRight", "ArrowDown", "Enter", " ")


def _changes(page: object, figure: object, control: object, key: str, before: str) -> bool:
    control.focus()
    page.keyboard.press(key)
    page.wait_for_timeout(50)
    return figure.evaluate(SEEN) != before


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_figures_answer_without_a_kernel(browser: object, rendered: Path, name: str) -> None:
    with Visit(browser, (rendered / f"{name}.html").as_uri(), DESKTOP) as visit:
        page = visit.page
        figures = page.locator(FIGURE)
        views = page.locator(VIEW_SCRIPT).count()
        assert views >= 1
        assert figures.count() >= views
        answered = 0
        for index in range(figures.count()):
            figure = figures.nth(index)
            # A figure in a folded solution is opened first, as a reader would.
            figure.evaluate(
                "figure => figure.closest('.toggle-hidden')?.classList.remove('toggle-hidden')"
            )
            figure.scroll_into_view_if_needed()
            box = figure.bounding_box()
            assert box["width"] > 40
            assert box["height"] > 20, "a blank figure"
            controls = figure.locator(REACHED_BY_KEYBOARD)
            assert controls.count() >= 1, "nothing in the figure can be reached with the keyboard"
            before = figure.evaluate(SEEN)
            keys = ((control, key) for control in range(min(controls.count(), 4)) for key in KEYS)
            assert any(
                _changes(page, figure, controls.nth(control), key, before) for control, key in keys
            ), "no key changes the figure"
            answered += 1
        assert answered >= views
        assert not visit.problems


def test_a_figure_follows_the_mouse(browser: object, rendered: Path) -> None:
    """Somewhere in the book, a drag across a figure moves what it shows."""
    followed = []
    for name in NOTEBOOKS:
        with Visit(browser, (rendered / f"{name}.html").as_uri(), DESKTOP) as visit:
            figures = visit.page.locator(FIGURE)
            for index in range(figures.count()):
                figure = figures.nth(index)
                picture = figure.locator("svg, canvas, img").first
                if not picture.count() or not picture.is_visible():
                    continue
                picture.scroll_into_view_if_needed()
                box = picture.bounding_box()
                before = figure.evaluate(SEEN)
                x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
                visit.page.mouse.move(x, y)
                visit.page.mouse.down()
                visit.page.mouse.move(x + 25, y + 15, steps=4)
                visit.page.mouse.up()
                if figure.evaluate(SEEN) != before:
                    followed.append(f"{name}: figure {index + 1}")
    assert followed


def test_the_ledger_is_filtered_in_the_page(browser: object, rendered: Path) -> None:
    with Visit(browser, (rendered / "compare/reproduction.html").as_uri(), DESKTOP) as visit:
        explorer = visit.page.locator(".ledger-explorer")
        rows = explorer.locator("tbody tr")
        every = rows.count()
        assert explorer.get_by_role("status").inner_text() == f"{every} of {every} rows"
        choice = explorer.get_by_label("Measured on")
        offered = choice.locator("option").evaluate_all("options => options.map(o => o.value)")
        kinds = [kind for kind in offered if kind]
        assert {"scenes", "photographs", "layouts"} <= set(kinds)
        counts = []
        for kind in kinds:
            choice.select_option(kind)
            counts.append(rows.count())
        assert sum(counts) == every
        assert min(counts) > 0
        choice.select_option("photographs")
        explorer.get_by_label("Verdict").select_option("exact")
        assert set(explorer.locator("tbody td:last-child").all_inner_texts()) == {"exact"}
        rows.first.focus()
        assert explorer.locator(".ledger-detail code").inner_text().startswith("python ")
        assert not visit.problems


def test_pages_hold_no_path_of_this_machine(rendered: Path) -> None:
    for page in rendered.rglob("*.html"):
        if "vendor" not in page.parts:
            assert str(ROOT) not in page.read_text(encoding="utf-8"), page.name


def test_a_page_is_printed(chromium: str, rendered: Path, tmp_path: Path) -> None:
    """What stands beside the text stays off the paper, so a short page is a sheet or two."""
    options = ["--html", str(rendered), "--out", str(tmp_path), "reference/numbers"]
    subprocess.run([sys.executable, str(ROOT / "tools/pdf.py"), *options], check=True)
    printed = (tmp_path / "reference-numbers.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 4


ON_PAPER = """() => {
    document.querySelectorAll('details').forEach((fold) => { fold.open = true; });
    const seen = (css) => [...document.querySelectorAll(`.bd-article ${css}`)]
        .filter((one) => one.checkVisibility()).length;
    return {
        names: seen('details.hide > summary > .collapsed'),
        orders: seen('details.hide > summary > .expanded'),
        fading: document.getAnimations().length,
        ranks: seen('.cropnb-ranking li'),
        rankings: seen('.cropnb-ranking'),
    };
}"""


def test_on_paper_folded_code_has_its_name_and_rankings_are_short(
    browser: object, rendered: Path
) -> None:
    with Visit(browser, (rendered / "papers/vrn.html").as_uri(), DESKTOP) as visit:
        visit.page.emulate_media(media="print")
        printed = visit.page.evaluate(ON_PAPER)
    assert printed["names"] >= 3
    assert printed["orders"] == printed["fading"] == 0
    assert 0 < printed["ranks"] <= 12 * printed["rankings"]


def test_search_finds_a_page(browser: object, address: str) -> None:
    with Visit(browser, f"{address}/search.html?q=crop", DESKTOP) as visit:
        visit.page.wait_for_selector("#search-results li")
        assert visit.page.locator("#search-results li").count() >= 3
