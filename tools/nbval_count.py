"""A pytest plugin that counts what nbval compared, because it passes a notebook in which it
compared nothing.

    pytest book -p tools.nbval_count --nbval-lax

A cell counts when it is tagged `nbval-check-output`, has committed output, and was compared with
what it printed now.
"""

from collections import Counter
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell

CHECKED_CELLS = 3  # at least, in every notebook
_compared: Counter[str] = Counter()
_notebooks: set[str] = set()


class _CountingCell(IPyNbCell):
    def compare_outputs(self, test: dict, ref: dict, skip_compare: object = None) -> bool:
        if any(key != "stderr" for key in ref):
            self.user_properties.append(("nbval_compared", 1))
        return super().compare_outputs(test, ref, skip_compare)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, IPyNbCell):
            item.__class__ = _CountingCell


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path = report.nodeid.split("::")[0]
    if path.endswith(".ipynb"):
        _notebooks.add(path)
        if report.when == "call" and report.passed:
            _compared[path] += sum(
                1 for key, _ in report.user_properties if key == "nbval_compared"
            )


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):  # the counting is done where all reports arrive
        return
    if any(_compared[path] < CHECKED_CELLS for path in _notebooks):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _notebooks:
        return
    terminalreporter.section("cells whose output was compared")
    for path in sorted(_notebooks):
        few = (
            f"  TOO FEW, at least {CHECKED_CELLS} are needed"
            if _compared[path] < CHECKED_CELLS
            else ""
        )
        terminalreporter.line(f"{_compared[path]:4d}  {Path(path)}{few}")
