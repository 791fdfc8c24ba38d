"""What a chapter's drawing leaves in matplotlib stays with the test that drew it."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_style() -> Iterator[None]:
    matplotlib = pytest.importorskip(
        "matplotlib", reason="the chapters' pictures need the package's extra `book`"
    )
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        plt.close("all")  # of tests elsewhere
        yield
    plt.close("all")
