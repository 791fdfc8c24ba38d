"""What the verdicts stand on agrees with the ledger's notes; the figures have every curve."""

import io
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from PIL import Image

from cropnb import ledger
from cropnb.errors import LedgerError
from cropnb.notebook import COLORS, trainings
from cropnb.notebook.training_curves import LineDrawing, curve_numbers, training_curves
from cropnb.runs import validation
from cropnb.runs.validation import Curve

PAPERS = ("la2c", "asm_net", "vrn", "mars", "set_prediction")
METHODS = (*PAPERS, "gaic", "layout")
KINDS = {"scenes": "scenes", "scenes+taught": "scenes and taught photographs"}
KINDS |= {"gaicd_layouts": "layouts"}


@pytest.fixture(scope="module", params=METHODS)
def drawing(request: pytest.FixtureRequest) -> tuple[str, LineDrawing]:
    return request.param, training_curves(request.param)


def by_note(row: ledger.Row) -> str:
    """What a verdict stands on, as the run that wrote it has noted."""
    if "still rising at the end: " in row.note:
        return "rising"
    if "too short to say whether still rising: " in row.note:
        return "too short"
    arms = set(row.note.partition(";")[0].split(" less "))
    recorded = {
        curve.variant
        for name in (row.paper, "gaic")
        for curve in validation.read(name)
        if (curve.dataset, curve.profile) == (row.dataset, row.profile)
    }
    if row.seeds and len(arms) == 2 and arms <= recorded:
        return "flat"
    return "unknown" if row.seeds or row.profile else "untrained"


@pytest.mark.parametrize("name", PAPERS)
def test_verdicts_stand_on_what_their_notes_say(name: str) -> None:
    rows = [
        row for row in ledger.read(name) if row.verdict in ledger.CLAIM_VERDICTS and not row.void
    ]
    assert rows == trainings.verdicts(name)
    for row in rows:
        assert trainings.stands_on(row) == by_note(row), row.key


def test_the_table_counts_them() -> None:
    counts: Counter[tuple[str, bool]] = Counter()
    for name in PAPERS:
        counts.update(
            (by_note(row), row.verdict != "unsettled") for row in trainings.verdicts(name)
        )
    *_, everything = str(trainings.ends_table(PAPERS)).splitlines()
    cells = [cell.strip() for cell in everything.strip("| ").split("|")]
    wanted = ["all"]
    for kind in trainings.STANDS_ON:
        total = counts[kind, True] + counts[kind, False]
        wanted.append(f"{total} ({counts[kind, True]} settled)" if total else "–")
    assert cells == wanted
    assert sum(counts.values()) == sum(len(trainings.verdicts(name)) for name in PAPERS)


def test_the_example_is_a_pair_that_changed_places() -> None:
    compared = trainings.comparisons(PAPERS)
    assert len({(*one.row.key[:2], *one.row.key[3:], one.row.paper) for one in compared}) == len(
        compared
    )
    one = trainings.example(compared)
    if one is None:
        assert not [each for each in compared if each.turned and not each.over]
        return
    ends = [curve.end for curve in trainings.curves_of(one.row)]
    first, second = (np.mean(curve.scores, axis=0) for curve in trainings.curves_of(one.row))
    assert {*one.arms} == {*one.row.note.partition(";")[0].split(" less ")}
    assert set(ends) != {"flat"}
    assert (first[one.half - 1] > second[one.half - 1]) != (first[-1] > second[-1])


def lines(drawing: LineDrawing) -> Iterator[tuple[Axes, Line2D]]:
    for ax in drawing.figure.axes:
        for line in ax.lines:
            yield ax, line


def of_curve(curve: Curve, drawing: LineDrawing) -> Line2D:
    """The line that draws a curve: in the panel of its kind, with its name and scores."""
    mean = np.mean(curve.scores, axis=0)
    same = [
        line
        for ax, line in lines(drawing)
        if line.get_label() == curve.variant
        and len(line.get_ydata()) == len(mean)
        and np.allclose(line.get_ydata(), mean)
        and f": {KINDS[curve.dataset]}\n" in ax.get_title(loc="left")
        and f", {curve.profile}" in ax.get_title(loc="left")
        and (not curve.frozen or ax.get_title(loc="left").endswith("backbone frozen"))
    ]
    assert len(same) == 1, curve.key
    return same[0]


def test_every_curve_on_record_is_drawn_once(drawing: tuple[str, LineDrawing]) -> None:
    name, drawn = drawing
    recorded = validation.read(name)
    assert recorded
    drawn_lines = {id(of_curve(curve, drawn)) for curve in recorded}
    assert len(drawn_lines) == len(recorded) == len(list(lines(drawn)))
    kinds = {(curve.dataset, curve.form, curve.profile, curve.frozen) for curve in recorded}
    assert len(drawn.figure.axes) == len(kinds)


def test_a_line_ends_as_the_rule_says(drawing: tuple[str, LineDrawing]) -> None:
    name, drawn = drawing
    for curve in validation.read(name):
        line = of_curve(curve, drawn)
        filled = to_hex(line.get_markerfacecolor()) == to_hex(line.get_color())
        end = validation.end(curve.scores)
        looks = {"rising": ("o", True), "flat": ("o", False), "too short": ("X", True)}
        assert (line.get_marker(), filled) == looks[end], curve.key
        assert line.get_markevery() == [-1]


def test_a_variant_looks_the_same_in_every_panel(drawing: tuple[str, LineDrawing]) -> None:
    _, drawn = drawing
    looks: dict[object, set[tuple[object, str]]] = {}
    for _, line in lines(drawn):
        look = (line.get_color(), line.get_linestyle())
        looks.setdefault(line.get_label(), set()).add(look)
    assert all(len(of) == 1 for of in looks.values())
    assert len({next(iter(of)) for of in looks.values()}) == len(looks), "two look alike"
    assert {line.get_color() for _, line in lines(drawn)} <= {*COLORS.values()} - {COLORS["yellow"]}


def test_names_stand_in_the_order_of_the_ends(drawing: tuple[str, LineDrawing]) -> None:
    for ax in drawing[1].figure.axes:
        names = [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]
        ends = {line.get_label(): line.get_ydata()[-1] for line in ax.lines}
        assert names == sorted(ends, key=lambda name: -ends[name])


def test_a_drawing_is_small_and_has_the_colours(drawing: tuple[str, LineDrawing]) -> None:
    name, drawn = drawing
    shown = drawn._repr_png_()
    assert len(shown) < 70_000
    image = Image.open(io.BytesIO(shown))
    assert image.mode == "P"
    colors = {to_hex(np.array(rgb) / 255) for _, rgb in image.convert("RGB").getcolors()}
    assert {to_hex(line.get_color()) for _, line in lines(drawn)} <= colors, name


def test_a_panel_says_whether_the_backbone_learned() -> None:
    agents, rankers = (training_curves(name).figure.axes for name in ("la2c", "vrn"))
    assert all(ax.get_title(loc="left").endswith("backbone frozen") for ax in agents)
    fixed = [ax for ax in rankers if ax.get_title(loc="left").endswith("backbone frozen")]
    assert 0 < len(fixed) < len(rankers)
    assert {curve.frozen for curve in validation.read("vrn")} == {False, True}


@pytest.mark.parametrize("drawn", [training_curves, curve_numbers])
def test_methods_without_a_curve_are_told(drawn: Callable[[str], object]) -> None:
    with pytest.raises(LedgerError, match="no validation curves of nobody"):
        drawn("nobody")


def test_every_line_stands_as_numbers_too(drawing: tuple[str, LineDrawing]) -> None:
    name, drawn = drawing
    table = curve_numbers(name).splitlines()
    rows = [line.strip("| ").split(" | ") for line in table if line.startswith("| ")][2:]
    shown = Counter(
        (
            ax.get_title(loc="left").replace("\n", ", "),
            line.get_label(),
            *tuple(f"{line.get_ydata()[place]:.3f}" for place in (0, -1)),
        )
        for ax, line in lines(drawn)
    )
    plain = [[cell.replace("\\", "") for cell in row] for row in rows]
    assert Counter((row[0], row[1], row[5], row[6]) for row in plain) == shown


def test_long_names_are_wrapped() -> None:
    drawn = training_curves("set_prediction")
    texts = [text.get_text() for ax in drawn.figure.axes for text in ax.get_legend().get_texts()]
    assert max(len(part) for text in texts for part in textwrap.wrap(text, 100)) > 20
    assert all(len(part) <= 20 for text in texts for part in text.split("\n"))


def test_a_panel_of_many_lines_stands_alone(drawing: tuple[str, LineDrawing]) -> None:
    for ax in drawing[1].figure.axes:
        names = [text.get_text() for text in ax.get_legend().get_texts()]
        if sum(name.count("\n") + 1 for name in names) > 8:
            assert len(ax.get_subplotspec().colspan) == 2, ax.get_title(loc="left")
