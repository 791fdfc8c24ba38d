"""Validation curves: when a training counts as flat, and the file beside the ledger."""

from dataclasses import replace
from pathlib import Path

import pytest

from cropnb import notebook
from cropnb.errors import LedgerError
from cropnb.runs import validation
from cropnb.runs.validation import Curve

FLAT = (0.2, 0.5, 0.6, 0.64, 0.65, 0.65, 0.64, 0.65)
RISING = (0.2, 0.3, 0.36, 0.42, 0.47, 0.52, 0.56, 0.6)
CURVE = Curve("FS", "scenes", "gaicd", "cpu", "imagenet", False, (0, 1), (FLAT, FLAT))


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([FLAT], "flat"),
        ([RISING], "rising"),
        ([FLAT, RISING], "rising"),  # their mean is
        ([FLAT[::-1]], "flat"),  # it got worse; longer would not help
        ([(0.3,) * 5], "flat"),
        ([(0.2, 0.5, 0.6, 0.7, 0.8, 0.6)], "flat"),  # a peak that it came down from
        ([FLAT[:3]], "too short"),
        ([], "too short"),
    ],
)
def test_the_end_of_a_training(scores: list[tuple[float, ...]], expected: str) -> None:
    assert validation.end(scores) == expected


def test_a_claim_names_the_arms_that_were_still_learning() -> None:
    assert validation.still_rising({"A": [FLAT], "B": [FLAT]}) == ""
    assert validation.still_rising({"A": [RISING], "B": [FLAT]}) == "; still rising at the end: A"
    both = validation.still_rising({"A": [RISING], "B": [RISING]})
    assert both == "; still rising at the end: A, B"
    unknown = validation.still_rising({"A": [FLAT[:2]], "B": [RISING], "C": []})
    assert unknown == ("; still rising at the end: B; too short to say whether still rising: A, C")
    remarks = [validation.remark([scores]) for scores in (FLAT, RISING, FLAT[:2])]
    assert remarks == [
        "",
        "validation was still rising at the end",
        "validation is too short to say whether it was still rising",
    ]


def test_a_curve_replaces_the_one_of_its_kind_and_no_other() -> None:
    other = replace(CURVE, profile="trained", scores=(RISING,), seeds=(0,))
    validation.write("vrn", [CURVE, other])
    validation.write("vrn", [replace(CURVE, seeds=(0, 1, 2), scores=(FLAT, FLAT, FLAT))])
    assert [(curve.profile, curve.seeds) for curve in validation.read("vrn")] == [
        ("cpu", (0, 1, 2)),
        ("trained", (0,)),
    ]
    assert validation.read("mars") == []
    assert validation.recorded("vrn", {"variant": "FS", "profile": "trained"}) == (RISING,)
    assert validation.recorded("vrn", {"variant": "FS", "profile": "full"}) == ()


def test_a_curve_of_fewer_seeds_takes_the_place_of_none(monkeypatch, tmp_path):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    five = replace(CURVE, seeds=(0, 1, 2, 3, 4), scores=(FLAT,) * 5)
    validation.write("vrn", [five])
    validation.write("vrn", [replace(CURVE, seeds=(0, 2), scores=(FLAT, FLAT))])
    assert validation.read("vrn") == [five]
    other = replace(CURVE, seeds=(0, 7), scores=(FLAT, FLAT))  # none of the five is left out
    validation.write("vrn", [other])
    assert validation.read("vrn") == [other]


@pytest.mark.parametrize("content", ["[", "{}", '[{"variant": "FS"}]', "[[" * 100_000])
def test_a_damaged_file_is_named(results: Path, content: str) -> None:
    path = results / "curves" / "vrn.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(LedgerError, match=r"vrn\.json holds no curves"):
        validation.read("vrn")


def test_a_curve_that_still_rises_ends_in_a_filled_circle() -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="drawing needs the extra `book`")
    matplotlib.use("agg")
    rising = replace(CURVE, variant="RGL", scores=(RISING, RISING))
    validation.write("vrn", [CURVE, rising])
    drawn = notebook.validation_figure("vrn", {"RGL": ("black", ":")}, profile="cpu").figure
    (ax,) = drawn.axes
    lines = {line.get_label(): line for line in ax.lines}
    assert {line.get_marker() for line in lines.values()} == {"o"}
    fills = {name: line.get_markerfacecolor() for name, line in lines.items()}
    assert fills == {"FS": "white", "RGL": "black"}
    assert (lines["RGL"].get_color(), lines["RGL"].get_linestyle()) == ("black", ":")
    explained = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert explained == ["still rising at the end", "flat at the end"]
    assert "not recorded" in notebook.validation_figure("vrn", profile="full")
