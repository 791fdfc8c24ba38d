"""Ratios and sizes: what is one, what isn't, and the whole pixels that come of a ratio."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cropnb.errors import BoxError
from cropnb.ratios import nearest_sides, parse_ratio, parse_size, whole_pixels

RATIOS = {
    "16:9": Fraction(16, 9),
    "16/9": Fraction(16, 9),
    " 16 : 9 ": Fraction(16, 9),
    "1.7777777778": Fraction(16, 9),
    "1.91:1": Fraction(191, 100),
    "2.35:1": Fraction(47, 20),
    "1.5": Fraction(3, 2),
    "1": Fraction(1),
    "1080x1350": Fraction(4, 5),
    "1080×1350": Fraction(4, 5),
    (16, 9): Fraction(16, 9),
    (1.91, 1): Fraction(191, 100),
    (np.int64(4), np.int64(5)): Fraction(4, 5),
    16 / 9: Fraction(16, 9),
    4 / 5: Fraction(4, 5),
    3: Fraction(3),
    Fraction(4, 3): Fraction(4, 3),
    Decimal("0.8"): Fraction(4, 5),
    np.float32(16 / 9): Fraction(16, 9),
    np.int32(2): Fraction(2),
    2**0.5: Fraction(2**0.5),
}


@pytest.mark.parametrize("value", RATIOS, ids=repr)
def test_ratios(value):
    assert parse_ratio(value) == RATIOS[value]


@pytest.mark.parametrize("value", [np.int64(1), (np.int64(4), np.int64(5))])
def test_of_numpys_numbers_come_pythons(value):
    sides = parse_ratio(value).as_integer_ratio()
    box = whole_pixels((3.0, 4.0, 50.0, 60.0), 90, 80, parse_ratio(value))
    assert {type(number) for number in (*sides, *box)} == {int}


def test_a_list_and_a_tensor_are_ratios_too():
    assert parse_ratio([16, 9]) == Fraction(16, 9)
    assert parse_ratio(torch.tensor(16 / 9)) == Fraction(16, 9)


NO_RATIOS = [
    *("", "16:", ":9", "a:b", "-16:9", "-16:-9", "0", "16:0", "nan", "inf", "1e999", "1e9", "wide"),
    *("16:9:4", "1_6:9", "१६:९", "1" * 5000, 0, -1.5, float("nan"), float("inf"), True, None),
    *((16, 9, 4), (16,), (), (16, 0), (-16, -9), (True, 2), ("16", "9"), 1j, b"16:9", {16: 9}),
]


@pytest.mark.parametrize("value", NO_RATIOS, ids=lambda value: repr(value)[:20])
def test_what_is_no_ratio(value):
    with pytest.raises(BoxError, match=r"16:9, 16/9 or 1\.5"):
        parse_ratio(value)


@pytest.mark.parametrize(
    "value",
    ["1080x1350", "1080X1350", "1080×1350", " 1080 x 1350 ", (1080, 1350), np.array([1080, 1350])],
    ids=repr,
)
def test_sizes(value):
    assert parse_size(value) == (1080, 1350)


NO_SIZES = [
    *("", "1080", "1080x", "1080:1350", "0x10", "10x0", "-3x4", "1.5x2", "1080x1350x3"),
    *("100001x5", (1080,), (1080, 1350, 3), (0, 5), (1080.0, 1350), (True, 5), 1080, None),
]


@pytest.mark.parametrize("value", NO_SIZES, ids=repr)
def test_what_is_no_size(value):
    with pytest.raises(BoxError, match="1080x1350"):
        parse_size(value)


def test_the_case_that_was_a_pixel_off():
    assert whole_pixels((10.2, 7.1, 286.6, 352.6), 400, 400, Fraction(4, 5)) == (10, 7, 286, 352)


@pytest.mark.parametrize(
    ("box", "ratio", "expected"),
    [
        ((0, 11.25, 120, 78.75), Fraction(16, 9), (4, 14, 116, 77)),  # 112 × 63, exactly
        ((15, 0, 105, 90), Fraction(1), (15, 0, 105, 90)),
        ((0, 0, 120, 90), Fraction(4, 3), (0, 0, 120, 90)),
        ((0.4, 0.6, 30.6, 30.4), None, (0, 1, 30, 31)),
        ((119.8, 89.8, 120.0, 90.0), None, (119, 89, 120, 90)),
        ((0.0, 0.0, 120.0, 1.2), Fraction(100), (10, 0, 110, 1)),
    ],
)
def test_whole_pixels(box, ratio, expected):
    assert whole_pixels(box, 120, 90, ratio) == expected


sides = st.integers(1, 3000)


@settings(max_examples=300, deadline=None)
@given(sides, sides, st.integers(1, 50), st.integers(1, 50), st.floats(0.01, 1), st.floats(0, 1))
def test_whole_pixels_lie_inside_and_have_the_ratio_where_it_is_near(
    width, height, p, q, share, at
):
    ratio = Fraction(p, q)
    crop_width = min(width, height * p / q) * share
    crop_height = crop_width * q / p
    x, y = at * (width - crop_width), (1 - at) * (height - crop_height)
    box = (x, y, x + crop_width, y + crop_height)
    left, top, right, bottom = whole_pixels(box, width, height, ratio)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    shape = ratio.numerator, ratio.denominator
    # a step of the ratio is below a tenth
    if min(crop_width / shape[0], crop_height / shape[1]) >= 10:
        assert Fraction(right - left, bottom - top) == ratio
        # half a step of the ratio and half a pixel, or one step where rounding up would not fit
        assert abs((left + right) / 2 - (x + crop_width / 2)) <= shape[0] / 2 + 1
        assert abs((right - left) - crop_width) <= shape[0]


@settings(max_examples=200, deadline=None)
@given(st.integers(300, 3000), st.integers(300, 3000), st.floats(0.3, 3))
def test_of_a_ratio_that_pixels_cannot_have_none_nearby_comes_nearer(width, height, value):
    ratio = parse_ratio(value)
    crop_width = min(width, height * value)
    crop_height = crop_width / value
    got = nearest_sides(crop_width, crop_height, width, height, ratio)
    error = abs(got[0] / got[1] / value - 1)
    for step in (-2, -1, 0):
        other = int(crop_height) + step, round((int(crop_height) + step) * value)
        if other[1] <= width:
            assert error <= abs(other[1] / other[0] / value - 1) + 1e-12
    assert min(got[0] / crop_width, got[1] / crop_height) > 0.89
