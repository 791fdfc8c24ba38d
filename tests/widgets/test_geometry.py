"""The page's formulas against the package's, on the same random boxes and scores."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cropnb import boxes as box_math
from cropnb import metrics, widgets
from cropnb.widgets.composition_rules import RULES, rule_distance

GEOMETRY = Path(widgets.__file__).parent / "geometry.js"
WIDTH, HEIGHT = 640, 427


def in_page(node: str, calls: list[tuple[str, list[Any]]]) -> list[Any]:
    """What the functions of geometry.js answer, one call after the other."""
    program = (
        "import * as geometry from process.argv[1];".replace(
            "process.argv[1]", json.dumps(GEOMETRY.as_uri())
        )
        + "let text = ''; for await (const part of process.stdin) text += part;"
        + "const results = JSON.parse(text).map(([name, values]) => geometry[name](...values));"
        + "console.log(JSON.stringify(results));"
    )
    command = [node, "--input-type=module", "-e", program]
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def random_boxes(count: int, seed: int) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    x, y = (np.sort(generator.uniform(0, side, (count, 2)), axis=1) for side in (WIDTH, HEIGHT))
    return torch.tensor(np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1))


def test_overlap_measures_agree(node: str) -> None:
    a, b = random_boxes(300, 0), random_boxes(300, 1)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    page = in_page(node, [("iou", list(pair)) for pair in pairs])
    torch.testing.assert_close(
        torch.tensor(page, dtype=torch.float64), box_math.iou(a, b), atol=1e-6, rtol=0
    )
    assert box_math.iou(a, b).max() > 0.5
    page = in_page(node, [("boundaryDisplacement", [*pair, WIDTH, HEIGHT]) for pair in pairs])
    expected = metrics.bde(a, b, WIDTH, HEIGHT)
    torch.testing.assert_close(
        torch.tensor(page, dtype=torch.float64), expected.double(), atol=1e-6, rtol=0
    )
    page = in_page(node, [("centerOffset", list(pair)) for pair in pairs])
    expected = metrics.center_offset(a, b).double()
    torch.testing.assert_close(torch.tensor(page, dtype=torch.float64), expected, atol=1e-6, rtol=0)


def test_boxes_that_touch_or_miss_have_no_overlap(node: str) -> None:
    calls = [
        ("iou", [[0, 0, 10, 10], other])
        for other in ([10, 0, 20, 10], [30, 30, 40, 40], [0, 0, 10, 10])
    ]
    assert in_page(node, calls) == [0, 0, 1]


def test_the_best_matching_true_box_agrees(node: str) -> None:
    pred, truths = random_boxes(100, 2), random_boxes(4, 3)
    page = in_page(
        node, [("explore", [box, truths.tolist(), WIDTH, HEIGHT]) for box in pred.tolist()]
    )
    overlaps, shifts = metrics.iou_and_bde(pred, truths, WIDTH, HEIGHT)
    assert [measured["iou"] for measured in page] == pytest.approx(overlaps.tolist(), abs=1e-6)
    assert [measured["bde"] for measured in page] == pytest.approx(shifts.tolist(), abs=1e-6)
    # A crop that misses every true box ties at an IoU of 0: then the nearer one by BDE counts.
    far = [[0, 0, 20, 20], [[600, 400, 640, 427], [100, 100, 200, 200]]]
    (measured,) = in_page(node, [("explore", [*far, WIDTH, HEIGHT])])
    overlap, shift = metrics.iou_and_bde(torch.tensor(far[0]), torch.tensor(far[1]), WIDTH, HEIGHT)
    assert (measured["iou"], measured["bde"]) == pytest.approx((float(overlap), float(shift)))
    assert measured["truth"] == 1


def test_rankings_agree_where_scores_tie(node: str) -> None:
    generator = np.random.default_rng(4)
    for decimals in (3, 0):  # no ties, and many
        scores, reference = generator.normal(0, 2, (2, 40)).round(decimals)
        pairs = [(k, n) for k in range(1, 11) for n in (1, 5, 10, 40)]
        page = in_page(
            node, [("accKN", [scores.tolist(), reference.tolist(), k, n]) for k, n in pairs]
        )
        a, b = torch.tensor(scores), torch.tensor(reference)
        assert page == pytest.approx(
            [float(metrics.acc_kn(a, b, k, n)) for k, n in pairs], abs=1e-9
        )
        (page,) = in_page(node, [("srcc", [scores.tolist(), reference.tolist()])])
        assert page == pytest.approx(float(metrics.srcc(a, b)), abs=1e-9)
        (page,) = in_page(node, [("averageRanks", [scores.tolist()])])
        assert page == metrics.average_ranks(a).tolist()
        (page,) = in_page(node, [("ranking", [scores.tolist()])])
        assert page == torch.argsort(a, descending=True, stable=True).tolist()
    assert in_page(node, [("srcc", [[1, 1, 1], [1, 2, 3]])]) == [0]


def test_rule_distances_agree_and_vanish_on_the_rule(node: str) -> None:
    generator = np.random.default_rng(5)
    crops, points = random_boxes(50, 6).tolist(), generator.uniform(0, 400, (50, 2)).tolist()
    for rule in RULES:
        page = in_page(
            node, [("ruleDistance", [rule, *pair]) for pair in zip(crops, points, strict=True)]
        )
        expected = [rule_distance(rule, *pair) for pair in zip(crops, points, strict=True)]
        assert page == pytest.approx(expected, abs=1e-9)
        assert max(page) > 0.05
    crop = [100, 50, 400, 290]
    on_rule = {
        "thirds": (200, 130),
        "golden": (100 + 300 * (5**0.5 - 1) / 2, 50 + 240 * (3 - 5**0.5) / 2),
    }
    on_rule |= {"diagonals": (175, 110), "centre": (250, 170)}
    for rule, point in on_rule.items():
        assert rule_distance(rule, crop, point) == pytest.approx(0, abs=1e-12)
    # Ten pixels beside a power point, over a diagonal of 384.2 pixels.
    assert rule_distance("thirds", crop, (210, 130)) == pytest.approx(10 / np.hypot(300, 240))
    assert rule_distance("diagonals", crop, (400, 50 + 120)) == pytest.approx(
        0.5 * 300 * 240 / (300**2 + 240**2)
    )


def test_lines_of_a_rule(node: str) -> None:
    thirds, diagonals = in_page(
        node, [("ruleLines", [rule, [0, 0, 300, 150]]) for rule in ("thirds", "diagonals")]
    )
    expected = [[100, 0, 100, 150], [0, 50, 300, 50], [200, 0, 200, 150], [0, 100, 300, 100]]
    np.testing.assert_allclose(thirds, expected)
    assert diagonals == [[0, 0, 300, 150], [0, 150, 300, 0]]


def test_a_dragged_box_stays_whole_and_inside(node: str) -> None:
    generator = np.random.default_rng(7)
    all_edges = ("ltrb", "l", "t", "r", "b", "lt", "rb", "rt", "lb")
    cases = [
        [[100, 50, 400, 300], edges, *generator.normal(0, 300, 2).tolist(), WIDTH, HEIGHT, 20]
        for edges in all_edges
        for _ in range(50)
    ]
    moved = np.array(in_page(node, [("dragEdges", case) for case in cases]))
    assert (moved == moved.round()).all()
    assert (moved[:, :2] >= 0).all()
    assert (moved[:, 2] <= WIDTH).all()
    assert (moved[:, 3] <= HEIGHT).all()
    assert (moved[:, 2:] - moved[:, :2] >= 20).all()
    for (start, edges, *_), end in zip(cases, moved.tolist(), strict=True):
        still = [side for side, letter in enumerate("ltrb") if letter not in edges]
        assert [end[side] for side in still] == [start[side] for side in still]
        if edges == "ltrb":
            assert [end[2] - end[0], end[3] - end[1]] == [300, 250]
    calls = [
        ("keepInside", [[-50, -50, 2000, 2000], WIDTH, HEIGHT, 20]),
        ("keepInside", [[10, 10, 11, 11], 9, 9, 20]),
    ]
    assert in_page(node, calls) == [[0, 0, WIDTH, HEIGHT], [0, 0, 9, 9]]


def test_rank_changes_count_places(node: str) -> None:
    # Box 2 rises from third to first place, the other two fall by one.
    assert in_page(node, [("rankChanges", [[0, 1, 2], [2, 0, 1]])]) == [[-1, -1, 2]]
    terms = [[1, 0, 0.5], [0, 1, 0.5]]
    calls = [("weightedTotals", [terms, weights]) for weights in ([3, 1], [0, 0])]
    assert in_page(node, calls) == [[0.75, 0.25, 0.5], [0, 0, 0]]
