"""The first page's figure: scores between the boxes of a grid, in Python and in the page."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cropnb import boxes as box_math
from cropnb import widgets
from cropnb.errors import BoxError
from cropnb.widgets import MethodCrops
from cropnb.widgets.method_crops import (
    LEAST,
    STEPS,
    grid_boxes,
    grid_value,
    line_pairs,
    shares_below,
)

WIDTH, HEIGHT = 480, 320
PROGRAM = """import {gridValue, linePairs} from %s; let text = '';
for await (const part of process.stdin) text += part;
const [values, boxes, ...rest] = JSON.parse(text);
console.log(JSON.stringify([linePairs(...rest.slice(2)),
  boxes.map((box) => gridValue(values, box, ...rest))]));"""


def test_a_box_of_the_grid_has_its_own_value() -> None:
    grid = grid_boxes(WIDTH, HEIGHT)
    assert len(grid) == len(line_pairs()) ** 2
    box_math.check(grid, width=WIDTH, height=HEIGHT)
    assert len(grid.unique(dim=0)) == len(grid)
    values = torch.arange(len(grid)) % 199
    for place in (0, 17, 1234, len(grid) - 1):
        assert grid_value(values, grid[place], WIDTH, HEIGHT) == pytest.approx(
            int(values[place]), abs=0.01
        )


def test_between_the_boxes_it_is_linear_in_each_edge() -> None:
    grid = grid_boxes(WIDTH, HEIGHT).double()
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    box = torch.tensor([33.0, 21.0, 401.0, 288.0])
    expected = float((box * weights).sum())
    assert grid_value(grid @ weights, box, WIDTH, HEIGHT) == pytest.approx(expected, rel=1e-5)
    small = torch.tensor([0.0, 0.0, WIDTH * (LEAST - 0.1) / STEPS, HEIGHT])
    assert grid_value(grid @ weights, small, WIDTH, HEIGHT) is None


def test_the_page_computes_the_same(node: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 201, len(grid_boxes(WIDTH, HEIGHT)))
    x, y = (np.sort(rng.uniform(0, side, (200, 2)), axis=1) for side in (WIDTH, HEIGHT))
    crops = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
    module = json.dumps((Path(widgets.__file__).parent / "score_grid.js").as_uri())
    done = subprocess.run(
        [node, "--input-type=module", "-e", PROGRAM % module],
        input=json.dumps([values.tolist(), crops.tolist(), WIDTH, HEIGHT, STEPS, LEAST]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    pairs, page = json.loads(done.stdout)
    assert pairs == line_pairs().tolist()
    expected = [grid_value(torch.tensor(values), torch.tensor(c), WIDTH, HEIGHT) for c in crops]
    assert [value is None for value in page] == [value is None for value in expected]
    both = [(a, b) for a, b in zip(page, expected, strict=True) if b is not None]
    assert len(both) > 50
    np.testing.assert_allclose(*zip(*both, strict=True), atol=1e-9)


def test_equal_scores_share_their_places() -> None:
    shares = shares_below(torch.tensor([2.0, 1.0, 2.0, 5.0]))
    assert shares.tolist() == [0.5, 0.125, 0.5, 0.875]


def test_scores_that_do_not_fit_the_grid_are_refused(photo: Any) -> None:
    colors = {"one": "black"}
    with pytest.raises(BoxError, match="boxes of grid_boxes"):
        MethodCrops(photo, {"one": [0, 0, 99, 99]}, colors, {"one": [0.5, 0.2]})
    with pytest.raises(BoxError, match="crops is empty"):
        MethodCrops(photo, {}, colors, {})


@pytest.mark.browser
def test_a_name_puts_the_crop_on_the_methods(method_crops: Any, show: Any) -> None:
    page = show(method_crops)
    page.get_by_role("button", name="two").click()
    assert page.evaluate("() => model.get('box')") == [201, 60, 460, 300]
    method_crops.box = [201, 60, 460, 300]
    values = method_crops.values()
    cells = page.locator("output[data-name]").evaluate_all(
        "cells => cells.map((cell) => [cell.dataset.name, Number(cell.dataset.value)])"
    )
    assert dict(cells) == pytest.approx(values, abs=1e-6)
    assert values["overlap_two"] > 0.99
    page.locator("input[data-name=right]").fill("220")
    page.keyboard.press("Enter")
    assert page.locator("output[data-name=beats_two]").inner_text() == "too small"


@pytest.mark.browser
def test_a_drag_is_answered_within_50_ms(method_crops: Any, show: Any) -> None:
    """The median over twenty moves, until what the page shows has been laid out."""
    page = show(method_crops)
    took = page.evaluate("""() => Array.from({length: 20}, (_, step) => {
        const start = performance.now();
        model.set("box", [60 + step, 40, 360 + step, 240]);
        document.querySelector(".cropnb").getBoundingClientRect();
        return performance.now() - start;
    }).sort((a, b) => a - b)""")
    assert took[10] < 50
