"""The figures of the chapter on the audit draw what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from cropnb.methods import TITLES
from cropnb.metrics import Interval
from cropnb.notebook import METHOD_COLORS, training_table
from cropnb.notebook.chapters import audit as figures

PHOTO = Image.new("RGB", (120, 80), "green")


def drawn() -> Figure:
    assert len(plt.get_fignums()) == 1
    return plt.gcf()


def test_fixed_crops_mark_what_the_paper_prints() -> None:
    shares = {0.85: np.array([10.0, 30.0]), 1.00: np.array([1.0, 2.0])}
    halves = {eps: np.array([1.0, 2.0]) for eps in shares}
    figures.fixed_crops(shares, halves, {0.85: (81.5, 91.0)})
    (ax,) = drawn().axes
    curve, printed, exact = ax.lines
    assert list(curve.get_xdata()) == [1, 2]
    assert list(printed.get_ydata()) == [81.5, 91.0]
    assert printed.get_color() == METHOD_COLORS["set_prediction"]
    assert exact.get_linestyle() != curve.get_linestyle()
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (9, 32)


def test_two_metrics_draw_five_against_one() -> None:
    boxes = torch.rand(7, 4)
    figures.two_metrics(PHOTO, boxes, boxes)
    for ax, theirs in zip(drawn().axes, (5, 1), strict=True):
        colors = [line.get_color() for line in ax.lines[1::2]]
        assert colors.count("black") == theirs
        assert colors.count("gray") == 6 - theirs


def test_without_a_pixel_has_a_line_for_each_printed_number() -> None:
    ways = {"SRCC": {"place": Interval(0.5, 0.4, 0.6), "boxes": Interval(0.8, 0.7, 0.9)}}
    figures.without_a_pixel(ways, {"SRCC": {"GAIC": 1.0}})
    (ax,) = drawn().axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["place", "boxes"]
    assert list(ax.lines[0].get_xdata()) == [0.4, 0.6]
    assert [text.get_text() for text in ax.texts] == ["GAIC"]


def test_training_table_tells_frozen_backbones_from_trained_ones() -> None:
    lines = {
        line.split(" | ")[0].strip("| "): line for line in training_table("scenes").splitlines()
    }
    assert set(TITLES.values()) < set(lines)
    assert "| frozen |" in lines["Mars"]
    assert "| all of it learned |" in lines["VRN"]
    assert "| scenes and taught photographs |" in lines["GAIC"]
    later = training_table("photographs").splitlines()
    assert sum("its later units learned" in line for line in later) == 4
