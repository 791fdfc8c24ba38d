"""What `make test` skipped, in one line with the commands that enable it.

    pytest … -p tools.skips                   adds what this run skipped to _build/skips.json
    python tools/skips.py                     prints the line
    python tools/skips.py --need browser      and fails when a test was skipped for want of that

As a plugin it only counts: a run of tests has several parts, and the line stands below the last.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

import pytest

COUNTS = Path(__file__).resolve().parent.parent / "_build/skips.json"

# (name, what is missing, by which words of the reason it is known, what enables it)
KINDS = [
    (
        "browser",
        "for want of a browser",
        r"Chromium|Playwright|playwright",
        "apt-get install chromium",
    ),
    (
        "data",
        "for want of the real datasets",
        r"CROPNB_DATA|FCDB photos",
        "make test CROPNB_DATA=FOLDER, after python data_scripts/status.py",
    ),
    (
        "weights",
        "for want of ImageNet weights",
        r"CROPNB_WEIGHTS|comes without weights",
        "make test CROPNB_WEIGHTS=FOLDER",
    ),
    ("gpu", "for want of a GPU", r"no (CUDA|GPU)", "make test on a machine with one"),
    (
        "packages",
        "for want of packages",
        r"could not import|extra `book`|scikit-image|Node",
        "rm .venv/.installed && make test",
    ),
]
OTHER = "for other reasons"

_skipped: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped[_reason(report)] += 1


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped[_reason(report)] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):  # the counting is done where all reports arrive
        return
    COUNTS.parent.mkdir(exist_ok=True)
    COUNTS.write_text(json.dumps(_read() + _skipped, indent=1))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _read() -> Counter[str]:
    return Counter(json.loads(COUNTS.read_text())) if COUNTS.exists() else Counter()


def by_kind(skipped: Counter[str]) -> Counter[str]:
    """Reason → count, as kind → count; "" for reasons that no kind knows."""
    kinds: Counter[str] = Counter()
    for reason, count in skipped.items():
        kinds[next((name for name, _, words, _ in KINDS if re.search(words, reason)), "")] += count
    return kinds


def line(skipped: Counter[str]) -> str:
    """What was skipped, and what enables it."""
    counts = by_kind(skipped)
    parts = [
        f"{counts[name]} {missing} ({enabled_by})"
        for name, missing, _, enabled_by in KINDS
        if counts[name]
    ]
    if counts[""]:
        parts.append(f"{counts['']} {OTHER} (pytest -rs names them)")
    return f"Skipped: {'; '.join(parts)}." if parts else "Skipped: nothing."


def main(arguments: list[str] | None = None) -> int:
    """Print the line. Returns 1 when something that is needed was skipped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--need", nargs="*", default=[], choices=[name for name, *_ in KINDS])
    needed = parser.parse_args(arguments).need
    skipped = _read()
    print(line(skipped))
    lost = [name for name in needed if by_kind(skipped)[name]]
    if lost:
        print(f"These must not be skipped here: {', '.join(lost)}.")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
