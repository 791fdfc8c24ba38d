"""The pattern explorer: page, figure in Python and the package's pooling give one number."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cropnb import widgets
from cropnb.asm_net.patterns import PATTERNS, Pattern
from cropnb.asm_net.pooling import composition_pool, partition_scores
from cropnb.asm_net.pooling.circles import circle_pool, circle_scores, inscribed
from cropnb.errors import BoxError
from cropnb.widgets import PatternExplorer
from cropnb.widgets.pattern_explorer import partition_names

FORMULAS = Path(widgets.__file__).parent / "score_map.js"
SIZE = (480, 320)


def in_page(node: str, program: str, given: Any) -> Any:
    """What a program that sees the formulas as `page` and its input as `given` answers."""
    text = (
        f"import * as page from {json.dumps(FORMULAS.as_uri())};"
        "let text = ''; for await (const part of process.stdin) text += part; const given = "
        "JSON.parse(text);"
        f"console.log(JSON.stringify({program}));"
    )
    command = [node, "--input-type=module", "-e", text]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def page_scores(
    node: str, explorer: PatternExplorer, boxes: list[list[int]], circle: bool
) -> list[dict]:
    """`cropScore` of the chosen pattern's map for each box."""
    map_ = next(one for one in explorer.patterns if one["name"] == explorer.pattern)
    program = "(() => { const map = page.sumsOf(given.map, ...given.size); "
    program += "const score = (box) => page.cropScore(map, given.map.cells, box, given.circle); "
    program += "return given.boxes.map(score); })()"
    return in_page(node, program, {"map": map_, "size": SIZE, "boxes": boxes, "circle": circle})


def random_crops(count: int, square: bool = False) -> list[list[int]]:
    rng = np.random.default_rng(3)
    crops = [[0, 0, *SIZE]] if not square else [[0, 0, 320, 320], [160, 0, 480, 320]]
    while len(crops) < count:
        (x1, x2), (y1, y2) = (sorted(rng.integers(0, side + 1, 2).tolist()) for side in SIZE)
        x2 = x1 + (y2 - y1) if square else x2
        if min(x2 - x1, y2 - y1) > 20 and x2 <= SIZE[0]:
            crops.append([x1, y1, x2, y2])
    return crops


@pytest.mark.parametrize("name", ["cross_rectangle", "grid_5x5", "multi_direction"])
def test_the_page_pools_like_the_package(
    name: str, node: str, pattern_explorer: PatternExplorer, score_maps: dict[str, torch.Tensor]
) -> None:
    pattern_explorer.pattern = name
    pattern, score_map = PATTERNS[name], score_maps[name]
    boxes = random_crops(60)
    page = page_scores(node, pattern_explorer, boxes, circle=False)
    expected = composition_pool(score_map, torch.tensor(boxes).float(), pattern, SIZE)
    assert [one["score"] for one in page] == pytest.approx(expected.tolist(), abs=1e-3)
    means = partition_scores(score_map, torch.tensor(boxes).float(), pattern, SIZE)
    assert torch.tensor([one["means"] for one in page]) == pytest.approx(means, abs=2e-3)
    for one in page:
        assert one["shares"] == pytest.approx(pattern.shares.tolist())
        assert sum(one["adds"]) == pytest.approx(one["score"])
    assert max(abs(one["score"]) for one in page) > 0.05  # not all the same


@pytest.mark.parametrize("name", ["cross_rectangle", "grid_5x5", "multi_direction"])
def test_the_page_pools_circles_like_the_package(
    name: str, node: str, pattern_explorer: PatternExplorer, score_maps: dict[str, torch.Tensor]
) -> None:
    pattern_explorer.pattern = name
    pattern, score_map = PATTERNS[name], score_maps[name]
    squares = random_crops(40, square=True)
    page = page_scores(node, pattern_explorer, squares, circle=True)
    circles = inscribed(torch.tensor(squares).double())
    expected = circle_pool(score_map, circles, pattern, SIZE)
    assert [one["score"] for one in page] == pytest.approx(expected.tolist(), abs=1e-3)
    means = circle_scores(score_map, circles, pattern, SIZE)
    pooled = torch.tensor([[mean or 0.0 for mean in one["means"]] for one in page])
    assert pooled == pytest.approx(means, abs=2e-3)
    whole = composition_pool(score_map, torch.tensor(squares).float(), pattern, SIZE)
    assert (expected - whole).abs().max() > 0.01  # a circle is not its square


@pytest.mark.parametrize("shape", ["rectangle", "circle"])
def test_values_are_the_packages(
    shape: str, pattern_explorer: PatternExplorer, score_maps: dict[str, torch.Tensor]
) -> None:
    pattern_explorer.box, pattern_explorer.shape = [100, 40, 300, 240], shape
    for name, score_map in score_maps.items():
        pattern_explorer.pattern = name
        values = pattern_explorer.values()
        boxes = torch.tensor([pattern_explorer.box, *pattern_explorer.candidates]).double()
        if shape == "circle":
            boxes = torch.tensor([pattern_explorer.box, *pattern_explorer.squares]).double()
            expected = circle_pool(score_map, inscribed(boxes), PATTERNS[name], SIZE)
        else:
            expected = composition_pool(score_map, boxes, PATTERNS[name], SIZE)
        assert values["score"] == pytest.approx(float(expected[0]), abs=1e-3)
        assert values["best"] == int(expected[1:].argmax())
        assert values["rank"] == 1 + int((expected[1:] > expected[0]).sum())


def test_maps_survive_their_sixteen_bits(
    node: str, pattern_explorer: PatternExplorer, score_maps: dict[str, torch.Tensor]
) -> None:
    for name, score_map in score_maps.items():
        pattern_explorer.pattern = name
        assert pattern_explorer.score_map() == pytest.approx(score_map, abs=2e-4)
    stored = pattern_explorer.patterns[0]
    values = in_page(node, "[...page.unpack(given.code, given.low, given.high)]", stored)
    assert values == pytest.approx(score_maps["cross_rectangle"].flatten().tolist(), abs=2e-4)
    assert len(json.dumps(pattern_explorer.patterns)) < 3 * 2 * 45 * 40 * 60 * 4 / 3


def test_a_square_follows_the_side_that_is_dragged(node: str) -> None:
    before = [100, 100, 200, 200]
    cases = {
        (130, 100, 230, 200): [130, 100, 230, 200],  # moved as a whole
        (100, 100, 240, 200): [100, 100, 240, 240],  # the right edge, outwards
        (60, 100, 200, 200): [60, 100, 200, 240],  # the left edge: the right one stays
        (100, 40, 200, 200): [100, 40, 260, 200],  # the top edge: the bottom one stays
        (150, 170, 200, 200): [170, 170, 200, 200],  # a corner: the shorter side counts
        (100, 100, 480, 200): [100, 0, 420, 320],  # no room for more than the photo's height
    }
    dragged = in_page(
        node, "given.map((box) => page.squareBox(box, [100, 100, 200, 200], 480, 320))", list(cases)
    )
    assert dragged == list(cases.values())
    assert in_page(node, "page.middleSquare(given)", [10, 20, 111, 70]) == [35, 20, 85, 70]
    assert before[2] - before[0] == 100


def test_lines_lie_between_partitions_only(node: str) -> None:
    given = {"cells": PATTERNS["cross_rectangle"].cells.tolist(), "box": [0, 0, 60, 60]}
    lines = in_page(node, "page.partitionLines(given.cells, given.box)", given)
    assert [30, 0, 30, 10] in lines  # the cross
    assert [10, 10, 20, 10] in lines  # the outer rectangle
    assert [20, 0, 20, 10] not in lines  # two cells of one partition
    total = sum(abs(x2 - x1) + abs(y2 - y1) for x1, y1, x2, y2 in lines)
    assert total == 2 * 60 + 4 * 40 + 4 * 20
    cells = in_page(node, "page.labelCells(given.cells, 12)", given)
    labelled = [given["cells"][row][column] for row, column in cells]
    assert labelled == list(range(12))


def test_partitions_have_names_that_tell_them_apart() -> None:
    for pattern in PATTERNS.values():
        names = partition_names(pattern.cells)
        assert len(set(names)) == len(names) == pattern.partitions
    assert partition_names(PATTERNS["grid_1x3"].cells) == ["column 1", "column 2", "column 3"]
    assert partition_names(PATTERNS["cross_rectangle"].cells)[8] == "outer top left"
    assert partition_names(PATTERNS["multi_direction"].cells)[1] == "towards 2 o'clock"


MAP = torch.zeros(3, 4, 6)
PATTERN = PATTERNS["grid_1x3"]


@pytest.mark.parametrize(
    ("maps", "options"),
    [
        ({}, {}),
        ({PATTERN: MAP[:2]}, {}),
        ({PATTERN: MAP[0]}, {}),
        ({PATTERN: MAP + float("nan")}, {}),
        ({PATTERN: MAP}, {"pattern": "grid_3x3"}),
        ({PATTERN: MAP}, {"shape": "triangle"}),
        ({PATTERN: MAP}, {"view": "heat"}),
        ({PATTERN: MAP}, {"box": [0, 0, 900, 10]}),
        ({PATTERN: MAP}, {"candidates": [[0, 0, 481, 10]]}),
        ({PATTERN: MAP}, {"squares": [[0, 0, 30, 40]]}),
    ],
)
def test_bad_input_is_refused(photo: Any, maps: dict[Pattern, torch.Tensor], options: dict) -> None:
    with pytest.raises(BoxError):
        PatternExplorer(photo, maps, **options)


def test_a_flat_map_ranks_nothing(photo: Any) -> None:
    values = PatternExplorer(photo, {PATTERN: MAP + 2}).values()
    assert values["score"] == pytest.approx(2)
    assert values["rank"] == 1
