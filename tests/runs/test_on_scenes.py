"""What weights for photographs keep of scenes, and which file serves which question."""

import re

import pytest

import cropnb
from cropnb import croppers, ledger
from cropnb.runs import on_scenes
from cropnb.runs.context import Context


def test_both_kinds_of_weights_are_measured_on_the_same_scenes():
    context = Context(on_scenes.NAME, ledger.SCENES, arguments=(), module="cropnb.runs.on_scenes")
    rows = list(on_scenes.rows("vrn", context, test_photos=4))
    assert {row.row for row in rows} == {"vrn", "vrn, scenes only"}
    assert {row.images for row in rows} == {4}
    (ours,) = (row for row in rows if (row.row, row.column) == ("vrn", "SRCC"))
    (alone,) = (row for row in rows if (row.row, row.column) == ("vrn, scenes only", "SRCC"))
    mean = float(re.search(r"alone: ([+-][\d.]+) \[.*paired by photo", ours.note).group(1))
    assert mean == pytest.approx(ours.ours - alone.ours, abs=2e-3)
    assert ours.ours != alone.ours


def folder_with(monkeypatch, tmp_path, *kinds):
    for kind in kinds:
        path = tmp_path / "a" / croppers.SHIPPED[kind]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setattr(cropnb, "__file__", str(tmp_path / "__init__.py"))


@pytest.mark.parametrize(
    ("there", "asked", "given"),
    [
        (("scenes", "photographs"), None, "photographs"),
        (("scenes", "photographs"), "scenes", "scenes"),
        (("photographs",), "scenes", "photographs"),
        (("scenes",), "photographs", "scenes"),
        (("scenes",), None, "scenes"),
        ((), None, "scenes"),
        ((), "photographs", "photographs"),
    ],
)
def test_one_file_may_serve_both(monkeypatch, tmp_path, there, asked, given):
    folder_with(monkeypatch, tmp_path, *there)
    assert croppers.shipped("a", asked) == croppers.weights_path("a", given)
