"""The figures of the chapter on crops draw what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from cropnb import candidates
from cropnb.notebook.chapters import crops as figures

PHOTO = Image.new("RGB", (120, 80), "green")


def drawn() -> Figure:
    assert len(plt.get_fignums()) == 1
    return plt.gcf()


def test_claim_draws_each_anchor_and_each_curve() -> None:
    anchors = candidates.grid_anchors(120, 80)
    near = {"grid anchors": torch.tensor([0.9, 0.7, 0.8]), "one centred box": torch.rand(3)}
    figures.claim(PHOTO, anchors, near)
    left, right = drawn().axes
    assert len(left.lines) == len(anchors) == 87
    assert [line.get_label() for line in right.lines] == list(near)
    assert right.lines[0].get_xdata().tolist() == pytest.approx([0.7, 0.8, 0.9])
    assert right.lines[0].get_color() == figures.FAMILY_COLORS["grid anchors"]


def test_coordinates_name_both_corners() -> None:
    figures.coordinates(PHOTO, (30, 20, 90, 60))
    (ax,) = drawn().axes
    assert [text.get_text() for text in ax.texts] == ["(x1, y1)", "(x2, y2)"]
    assert ax.get_xticks().tolist() == [0, 30, 90, 120]


def test_two_boxes_are_named() -> None:
    figures.two_boxes(PHOTO, torch.tensor([0.0, 0, 9, 9]), torch.tensor([5.0, 5, 9, 9]), "IoU")
    (ax,) = drawn().axes
    assert [text.get_text() for text in ax.texts] == ["A", "B"]
    assert ax.get_title(loc="left") + ax.get_title() == "IoU"


def test_rule_steps_draw_the_dropped_boxes_at_the_centres_of_cells() -> None:
    figures.rule_steps(PHOTO, (3, 3, 9, 9), (0, 3, 11, 10))
    panels = drawn().axes
    assert len(panels) == 4
    assert len(panels[0].lines) == 22  # eleven lines each way
    assert panels[2].lines[-1].get_xdata().min() == pytest.approx(35)  # 3.5 cells of 10 pixels


def test_families_have_a_picture_and_a_colour_each() -> None:
    shown = {"grid anchors": torch.rand(4, 4), "aspect windows, 1:1": torch.rand(2, 4)}
    figures.families(PHOTO, shown, {"grid anchors": 87, "aspect windows, 1:1": 9})
    first, second = drawn().axes[:2]
    assert (len(first.lines), len(second.lines)) == (4, 2)
    assert second.get_title(loc="left") + second.get_title() == "9 aspect windows, 1:1"
    assert second.lines[0].get_color() == figures.FAMILY_COLORS["aspect windows"]


def test_coverage_curve_stands_in_the_middle_of_each_class() -> None:
    figures.coverage_curve([0.2, 0.4, 0.6], {"grid anchors": [0.5, 0.9]})
    line = drawn().axes[0].lines[0]
    assert line.get_xdata().tolist() == pytest.approx([0.3, 0.5])
    assert list(line.get_ydata()) == [0.5, 0.9]


def test_chosen_crops_count_crops_and_photos() -> None:
    figures.chosen_crops(torch.rand(12), torch.rand(12), photos=3)
    left, right = drawn().axes
    assert "12 crops, 3 photos" in (left.get_title(loc="left"), left.get_title())
    assert sum(bar.get_height() for bar in right.patches) == 12


def test_rules_draw_two_lines_a_share_and_the_diagonals() -> None:
    figures.rules(PHOTO, (30, 20, 90, 60), {"thirds": (1 / 3, 2 / 3), "diagonals": ()})
    thirds, diagonals = drawn().axes
    outline = 2  # a white line below the coloured one
    assert len(thirds.lines) == outline + 4
    assert len(diagonals.lines) == outline + 2


def test_saliency_and_crops_mark_the_point() -> None:
    points = {"one": torch.tensor([40.0, 30.0])}
    figures.saliency({"one": PHOTO}, {"one": torch.rand(80, 120)}, points)
    (ax,) = drawn().axes
    assert ax.lines[0].get_xydata().tolist() == [[40, 30]]
    assert np.asarray(ax.images[0].get_array()).max() == 255  # the brightest place is white
    plt.close("all")
    figures.crops_by_thirds({"one": PHOTO}, {"one": torch.tensor([0.0, 0, 60, 40])}, points)
    (ax,) = drawn().axes
    assert ax.lines[-1].get_xydata().tolist() == [[40, 30]]
    assert len(ax.lines) == 2 + 4 + 1  # the crop, its thirds, the point
