"""What a crop costs, with croppers whose cost is known, and what a row says about the window."""

import dataclasses
import time
from pathlib import Path

import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from cropnb import costs, croppers, ledger, methods, metrics
from cropnb.errors import LedgerError
from cropnb.notebook import comparison, first_page

PHOTO = Image.new("RGB", (120, 90))


class Slow:
    """Computes for a while, or only waits, which takes no processor."""

    def __init__(self, seconds, waits=False):
        self.seconds, self.waits = seconds, waits

    def __call__(self, photo, aspect=None):
        if self.waits:
            time.sleep(self.seconds)
            return
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass


def test_what_is_counted_is_the_processor():
    taken = costs.milliseconds([Slow(0.02), Slow(0.02, waits=True)], [PHOTO], [None], rounds=1)
    computing, waiting = taken[:, 0].tolist()
    assert computing >= 20
    assert waiting < 10


@pytest.mark.skipif(not costs._FORGET_PEAK.exists(), reason="memory is read as Linux tells it")
def test_memory_counts_the_weights():
    weights = Path(croppers.shipped("la2c", "scenes")).stat().st_size / 1e6
    assert costs.megabytes("center", [PHOTO]) < costs.megabytes("la2c", [PHOTO])
    assert costs.megabytes("la2c", [PHOTO]) > weights


def test_parameters_are_the_numbers_that_ship():
    assert costs.parameters("center") is None
    half = Path(croppers.shipped("vrn")).stat().st_size / 1e6 / 2
    assert costs.parameters("vrn") == pytest.approx(half, rel=0.05)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A function that writes the ledger of photographs from names and notes."""
    row = dataclasses.replace(methods.on_photographs("vrn")[0], low=0, high=1)
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))

    def write(question, **notes):
        ledger.record(
            "photographs",
            [
                dataclasses.replace(row, table=question, row=name.replace("_only", ", scenes only"))
                if note is None
                else dataclasses.replace(
                    row,
                    table=question,
                    row=name.replace("_only", ", scenes only"),
                    note=f"less center: {note}, paired by photo",
                )
                for name, note in notes.items()
            ],
        )

    return write


FREE, REQUIRED = methods.QUESTIONS


def test_a_method_beats_the_window_where_the_whole_interval_is_above_zero(rows):
    rows(
        FREE,
        vrn="+0.030 [+0.001, +0.060]",
        gaic="+0.030 [-0.001, +0.060]",
        mars="-0.030 [-0.060, -0.001]",
        vrn_only="-0.055 [-0.091, -0.018]",
    )
    verdicts = {name: less.verdict for name, (_, less) in methods.compared(FREE).items()}
    assert verdicts == {"vrn": methods.BEATS, "gaic": methods.LEVEL, "mars": methods.BELOW}
    assert methods.summary(FREE) == (
        "Beat the centred window: vrn; can't be told from it: gaic; below it: mars."
    )
    (less,) = (less for _, less in methods.compared(FREE, scenes_only=True).values())
    assert str(less) == "−0.055 [−0.091, −0.018]"
    assert methods.summary(list(methods.QUESTIONS)[1]) == "Nothing is measured yet."


def test_a_note_without_its_difference_is_an_error(rows):
    rows(FREE, vrn="better")
    with pytest.raises(LedgerError, match="tells no difference"):
        methods.compared(FREE)


def test_figures_and_tables_are_drawn_with_any_rows(rows):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    comparison.draw_differences(ax, FREE)
    comparison.draw_costs(ax, FREE)
    assert ax.get_title() == "not measured yet"
    rows(FREE, vrn="+0.030 [+0.001, +0.060]", mars_only="-0.030 [-0.060, -0.001]")
    comparison.draw_differences(ax, FREE)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Mars", "VRN"]
    table = comparison.difference_table(FREE).replace("\N{NO-BREAK SPACE}", " ")
    assert "| +0.030 [+0.001, +0.060] | beats it |" in table
    assert "| Mars, scenes only |" in table
    assert "if widened" not in table  # no photo is gone
    vrn = ledger.find("photographs", row="vrn")
    of_teacher = comparison.difference_table(
        FREE, [dataclasses.replace(row, column="expected IoU") for row in vrn]
    )
    assert "| expected IoU |" in of_teacher
    assert "| VRN |" in of_teacher
    assert "Mars" not in of_teacher
    assert len(comparison.cost_table().splitlines()) == 2
    plt.close(figure)


def test_a_difference_is_widened_for_the_photos_that_are_gone(rows):
    rows(REQUIRED, vrn="+0.040 [+0.001, +0.079]", gaic="+0.200 [+0.161, +0.239]")
    pairs = methods.compared(REQUIRED)
    values = torch.linspace(0, 1, 48, dtype=torch.double)
    half = metrics.bootstrap_interval(values).high - 0.5
    for row, less in pairs.values():
        assert comparison.widened(row, less) == less  # none is gone
        row = dataclasses.replace(row, note=f"{row.note}; 48 of 345 listed photos, and", images=48)
        out = comparison.widened(row, less)
        # as `with_missing` does it with the values themselves, whose width the interval tells
        slack = metrics.with_missing(values, 345).high - 0.5 - half
        assert less.low - out.low == pytest.approx(slack * 0.039 / half, rel=0.02)
        assert out.high - less.high == pytest.approx(less.low - out.low)
        assert (out.verdict == methods.BEATS) == (row.row == "gaic")


def test_what_the_photos_that_are_gone_change_is_said(rows):
    def gone(row):
        return dataclasses.replace(row, note=f"{row.note}; 48 of 345 listed photos, and the rest")

    rows(REQUIRED, vrn="+0.040 [+0.001, +0.079]", gaic="+0.200 [+0.161, +0.239]")
    ledger.record("photographs", [gone(row) for row in ledger.read("photographs")])
    table = comparison.difference_table(REQUIRED).replace("\N{NO-BREAK SPACE}", " ")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    says = {name: verdicts[-2:] for name, *verdicts in cells}
    assert says[methods.QUESTIONS[REQUIRED]] == ["", "if widened"]
    assert says["GAIC"] == [methods.BEATS, "the same"]
    assert says["VRN"] == [methods.BEATS, "not told"]
    sentence = first_page._on_photographs(REQUIRED)
    assert "VRN can't be told from it, either" in sentence


def test_a_reader_meets_methods_by_their_titles():
    assert methods.title("set_prediction") == "Set prediction"
    assert methods.title(f"asm_net{methods.SCENES_ONLY}") == "ASM-Net, scenes only"
    assert methods.title("center_window") == "center_window"


def test_names_of_points_never_lie_on_each_other():
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    points = [(5 + 0.05 * place, 0.5 + 0.005 * place, f"method {place}") for place in range(7)]
    for x, y, _ in points:
        ax.plot(x, y, "o")
    ax.set(xlim=(0, 10), ylim=(0, 1))
    boxes = [Text.get_window_extent(text) for text in comparison.place_labels(ax, points)]
    assert len(boxes) == 7
    assert not [1 for i, box in enumerate(boxes) for other in boxes[:i] if box.overlaps(other)]
    plt.close(figure)


def test_the_book_s_own_rows_have_room_for_their_names():
    import matplotlib.pyplot as plt

    for question in methods.QUESTIONS:
        figure, ax = plt.subplots(figsize=(5, 4.2))
        comparison.draw_costs(ax, question)
        boxes = [Text.get_window_extent(text) for text in ax.texts]
        assert not [1 for i, box in enumerate(boxes) for other in boxes[:i] if box.overlaps(other)]
        plt.close(figure)
