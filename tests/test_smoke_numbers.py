"""A few photos and steps of every method give the numbers that they gave before."""

import json

import pytest

from tools import smoke_numbers

RECORDED = json.loads(smoke_numbers.FILE.read_text(encoding="utf-8"))


def test_every_method_has_numbers():
    assert set(RECORDED) == set(smoke_numbers.SMALLER)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_a_smoke_run_gives_the_same_numbers(name):
    measured = smoke_numbers.measure(name)
    assert measured.keys() == RECORDED[name].keys()
    wrong = {
        column: (value, RECORDED[name][column])
        for column, value in measured.items()
        if abs(value - RECORDED[name][column]) > smoke_numbers.tolerance(column, value)
    }
    assert wrong == {}, "measured, and recorded"
