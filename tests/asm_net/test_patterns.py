"""Composition patterns: what Figure 3 and Table 1 say of them, drawn and defined in one place."""

import pytest
import torch

from cropnb import paper
from cropnb.asm_net import PATTERNS, Pattern
from cropnb.asm_net.patterns import find
from cropnb.errors import CropnbError, PatternError

PARTITIONS = {  # column #Partitions of Table 1
    "grid_1x1": 1,
    "grid_1x3": 3,
    "grid_3x1": 3,
    "grid_5x5": 25,
    "multi_rectangle": 5,
    "multi_direction": 8,
    "cross_rectangle": 12,
}


def test_the_patterns_have_as_many_partitions_as_printed():
    assert {name: PATTERNS[name].partitions for name in PARTITIONS} == PARTITIONS
    assert set(PARTITIONS) == set(paper.read("asm_net").tables["Table 1"].rows)
    assert PATTERNS["multi_rectangle_3"].partitions == 3  # Figure 3
    assert PATTERNS["grid_3x3"].partitions == 9
    assert PATTERNS["multi_rectangle_3"].cells.shape == (6, 6)
    assert PATTERNS["multi_direction"].cells.shape == (12, 12)


def test_1x3_is_one_row_of_three_columns():
    assert PATTERNS["grid_1x3"].cells.tolist() == [[0, 1, 2]]
    assert PATTERNS["grid_3x1"].cells.tolist() == [[0], [1], [2]]


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_every_pattern_is_symmetric(pattern):
    """A photo flipped left to right, or upside down, has the same borders; the partitions only
    change names.
    """
    for dims in ((0,), (1,)):
        flipped = pattern.cells.flip(dims)
        pairs = {
            (int(a), int(b))
            for a, b in zip(pattern.cells.flatten(), flipped.flatten(), strict=True)
        }
        assert len(pairs) == pattern.partitions


def test_rings_have_one_width():
    for name, rings in (("multi_rectangle", 5), ("multi_rectangle_3", 3)):
        cells = PATTERNS[name].cells
        assert [int((cells == ring).sum()) for ring in range(rings)] == [
            4 * (2 * ring + 1) for ring in range(rings)
        ]
        assert cells[0].unique().tolist() == [rings - 1]


def test_each_direction_has_an_eighth_of_the_cells_in_its_triangle():
    cells = PATTERNS["multi_direction"].cells
    assert cells.flatten().bincount().tolist() == [18] * 8
    place = torch.arange(12) - 5.5
    for sector in range(8):
        down, right = (cells == sector).nonzero(as_tuple=True)
        middle = torch.rad2deg(torch.atan2(place[right].mean(), -place[down].mean())) % 360
        # The centroid of a triangle between an axis and a diagonal lies 26.6 degrees from the axis.
        expected = 90 * (sector // 2) + (26.57 if sector % 2 == 0 else 63.43)
        assert middle.item() == pytest.approx(expected, abs=2)


def test_the_cross_cuts_three_rectangles_in_four():
    cross, rings = PATTERNS["cross_rectangle"].cells, PATTERNS["multi_rectangle_3"].cells
    assert (cross // 4 == rings).all()
    assert cross[0, 0] == 8
    assert cross[0, 5] == 9
    assert cross[5, 0] == 10
    assert cross[3, 3] == 3


def test_shares_are_those_of_the_area():
    for pattern in PATTERNS.values():
        assert pattern.shares.sum().item() == pytest.approx(1)
        labels = pattern.label_map(120, 240)
        torch.testing.assert_close(labels.flatten().bincount() / labels.numel(), pattern.shares)


def test_labels_go_by_the_centre_of_a_pixel():
    # Three columns of 7 / 3 pixels: the third pixel's centre, 2.5, lies in the second; its left
    # edge, 2, doesn't.
    assert PATTERNS["grid_1x3"].label_map(1, 7).tolist() == [[0, 0, 1, 1, 1, 2, 2]]


def test_the_outline_has_the_frame_and_the_borders():
    lines = {
        tuple(round(value, 4) for value in line) for line in PATTERNS["grid_1x3"].outline().tolist()
    }
    third, two_thirds = round(1 / 3, 4), round(2 / 3, 4)
    frame = {(0, 0, 1, 0), (0, 1, 1, 1), (0, 0, 0, 1), (1, 0, 1, 1)}
    assert lines == frame | {(third, 0, third, 1), (two_thirds, 0, two_thirds, 1)}
    assert len(PATTERNS["grid_1x1"].outline()) == 4
    cross = PATTERNS["cross_rectangle"].outline().tolist()
    assert [0.5, 0, 0.5, 1] in cross
    assert [0, 0.5, 1, 0.5] in cross


def test_a_pattern_of_ones_own():
    by_labels = Pattern("mine", [[0, 0, 1], [2, 2, 1]])
    by_boxes = Pattern.from_boxes("mine", 2, 3, [(0, 0, 2, 1), (2, 0, 3, 2), (0, 1, 2, 2)])
    assert torch.equal(by_labels.cells, by_boxes.cells)
    assert by_boxes.partitions == 3
    assert find(by_boxes) is by_boxes


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([(0, 0, 2, 2), (1, 0, 3, 2)], "partitions 0 and 1 .* overlap"),
        ([(0, 0, 2, 2)], "no partition .* row 0, column 2"),
        ([(0, 0, 3, 2), (1, 1, 1, 2)], "partition 1 .* empty"),
        ([(0, 0, 4, 2)], "leaves the 2 × 3 cells"),
        ([(0, 0, 1.5, 2)], "whole numbers"),
    ],
)
def test_boxes_that_overlap_or_leave_a_gap_are_refused(boxes, words):
    with pytest.raises(PatternError, match=words):
        Pattern.from_boxes("mine", 2, 3, boxes)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([[0, 2]], "no cell for partition 1"),
        ([[1, 2]], "no cell for partition 0"),
        ([[-1, 0]], "whole numbers from 0"),
        ([[0.5, 0]], "whole numbers"),
        ([0, 1], "rows, columns"),
        ([[]], "rows, columns"),
        ("grid", "no table of numbers"),
    ],
)
def test_labels_with_gaps_are_refused(cells, words):
    with pytest.raises(PatternError, match=words):
        Pattern("mine", cells)


def test_an_unknown_pattern_is_answered_with_those_there_are():
    with pytest.raises(CropnbError, match=r"'spiral'.*cross_rectangle"):
        find("spiral")
