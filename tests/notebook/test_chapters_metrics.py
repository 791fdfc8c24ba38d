"""The figures of the chapter on metrics draw what they are given."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure

from cropnb import metrics
from cropnb.notebook import COLORS
from cropnb.notebook.chapters import metrics as figures


def drawn() -> Figure:
    assert len(plt.get_fignums()) == 1
    return plt.gcf()


def test_claim_draws_both_curves_and_three_tolerances() -> None:
    figures.claim([0.5, 0.9], [0.3, 0.6], [0.6, 1.0], [100.0, 20.0])
    left, right = drawn().axes
    assert list(left.lines[0].get_ydata()) == [0.3, 0.6]
    assert [line.get_xdata()[0] for line in right.lines[1:]] == [0.85, 0.9, 1]


def test_guesses_stand_beside_the_true_box() -> None:
    true = torch.tensor([60.0, 30, 140, 70])
    figures.guesses(true, {"near": true + 5, "far": true + 20}, 200, 100)
    panels = drawn().axes
    assert [ax.get_title() + ax.get_title(loc="left") for ax in panels] == ["near", "far"]
    for ax in panels:
        edge, guess, truth = ax.lines
        assert [guess.get_color(), truth.get_color()] == [COLORS["yellow"], COLORS["black"]]
        assert edge.get_xydata().tolist() == guess.get_xydata().tolist()
        assert truth.get_xdata().max() == 140
        assert (ax.get_xlim(), ax.get_ylim()) == ((0, 200), (100, 0))


def test_precision_recall_draws_the_curve_and_its_points() -> None:
    figures.precision_recall([0.0, 0.5, 1.0], [1.0, 1.0, 0.5], [(0.5, 1.0), (1.0, 0.5)])
    curve, points = drawn().axes[0].lines
    assert curve.get_drawstyle() == "steps-post"
    assert points.get_xydata().tolist() == [[0.5, 1.0], [1.0, 0.5]]


def test_intervals_reach_from_low_to_high() -> None:
    values = torch.tensor([0.2, 0.8, 0.5, 0.9, 0.1]).numpy()
    span = metrics.bootstrap_interval(values, samples=50)
    pair = metrics.paired_bootstrap(values, values**2, samples=50)
    figures.intervals([5], {"one": [span], "other": [span]}, [pair])
    left, right = drawn().axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["one", "other"]
    (bars,) = right.collections[-1].get_segments()
    assert bars[:, 1].tolist() == pytest.approx([pair.low, pair.high])
