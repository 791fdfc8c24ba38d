"""Take the README's picture of a rendered page, after `make html`.

python tools/page_picture.py [--page foundations/crops] [--at "#play-with-it"]
"""

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "book/_static/page.png"
LARGEST = 300_000  # bytes


def main() -> int:
    from PIL import Image
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", default="foundations/crops")
    parser.add_argument(
        "--at", default="#play-with-it", help="what to scroll to, as a CSS selector"
    )
    options = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
        page.goto((ROOT / f"_build/html/{options.page}.html").as_uri())
        page.locator(options.at).evaluate("section => section.scrollIntoView()")
        page.wait_for_timeout(3000)  # formulas and figures are drawn
        page.screenshot(path=TARGET)
        browser.close()
    with Image.open(TARGET) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    print(f"{TARGET.relative_to(ROOT)}: {size:,} bytes")
    return 0 if size <= LARGEST else 1


if __name__ == "__main__":
    raise SystemExit(main())
