"""Print pages of the rendered book as PDF files through Chromium, after `make html`.

python tools/pdf.py [papers/vrn …]    into _build/pdf, all pages when none is named
"""

import argparse
import shutil
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
HTML, PDF = ROOT / "_build/html", ROOT / "_build/pdf"
# Formulas are drawn, what is folded is open.
READY = """async () => {
    document.documentElement.dataset.theme = "light";
    await window.MathJax?.startup?.promise;
    document.querySelectorAll(".toggle-hidden").forEach((e) => e.classList.remove("toggle-hidden"));
    document.querySelectorAll("details").forEach((e) => { e.open = true; });
    await document.fonts.ready;
}"""


def pages() -> list[str]:
    """The names of the book's pages, in its order."""
    contents = yaml.safe_load((ROOT / "book/_toc.yml").read_text("utf-8"))
    chapters = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    return [contents["root"], *chapters]


def print_pages(names: list[str], html: Path = HTML, pdf: Path = PDF) -> list[Path]:
    """Print pages of a rendered book.

    Args:
        names: of pages, such as `papers/vrn`.
        html: the folder of the rendered book.
        pdf: the folder that gets `papers-vrn.pdf`.
    """
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        sys.exit("no Chromium on this machine: install it, such as with apt-get install chromium")
    pdf.mkdir(parents=True, exist_ok=True)
    paths = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for name in names:
            source = html / f"{name}.html"
            if not source.is_file():
                sys.exit(f"there is no page {source}: run `make html` first, or check the name")
            page = browser.new_page(viewport={"width": 1000, "height": 1400})
            page.set_default_timeout(300_000)
            page.goto(source.as_uri())
            page.evaluate(READY)
            page.emulate_media(media="print")
            page.wait_for_timeout(500)  # figures follow their new width
            path = pdf / f"{name.replace('/', '-')}.pdf"
            page.pdf(path=path, format="A4", prefer_css_page_size=True, print_background=True)
            page.close()
            print(f"{path}: {path.stat().st_size:,} bytes", flush=True)
            paths.append(path)
        browser.close()
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", help="for example papers/vrn")
    parser.add_argument("--html", type=Path, default=HTML, help="the folder of the rendered book")
    parser.add_argument("--out", type=Path, default=PDF, help="the folder that gets the files")
    options = parser.parse_args()
    print_pages(options.pages or pages(), options.html, options.out)
