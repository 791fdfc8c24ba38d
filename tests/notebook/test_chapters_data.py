"""The figures and tables of the chapter on data draw what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cropnb import ledger
from cropnb.datasets.bias import EDGES, QUARTILES
from cropnb.ledger import Row
from cropnb.notebook.chapters import data as figures

PHOTO = Image.new("RGB", (120, 80), "green")


def drawn() -> Figure:
    assert len(plt.get_fignums()) == 1
    return plt.gcf()


def title(ax: Axes) -> str:
    """Where the book's style puts it, or matplotlib's own."""
    return ax.get_title(loc="left") or ax.get_title()


def test_claim_draws_each_favourite_once() -> None:
    boxes = torch.tensor([[0.0, 0, 60, 40], [10, 10, 90, 70], [5, 5, 50, 60]])
    raters = torch.tensor([[5, 1, 1], [5, 2, 1], [1, 1, 4]])  # two like the first, one the last
    figures.claim(PHOTO, boxes, torch.tensor([0.1, 0.9, 0.2]), raters, 0.5)
    left, right = drawn().axes
    assert len(left.lines) == 2 * (2 + 1)  # a white line below each coloured one
    assert [text.get_text() for text in left.texts] == ["best score"]
    assert right.lines[0].get_ydata().tolist() == pytest.approx([11 / 3, 4 / 3, 2])
    assert title(right) == "rank correlation 0.50"


def test_layouts_stand_beside_their_photos() -> None:
    objects = torch.tensor([[0.0, 0, 60, 40]])
    figures.layouts({"one": (PHOTO, objects, PHOTO, torch.rand(4, 4))})
    panels = drawn().axes
    assert [title(ax) for ax in panels] == [
        "photo and boxes",
        "its layout",
        "as a map",
    ]
    assert panels[2].images[0].get_array().shape == (4, 4)


def test_where_people_crop_draws_the_median_box() -> None:
    shares = dict(zip(EDGES, (0.1, 0.2, 0.8, 0.9, 0.5), strict=True))
    quartiles = {edge: dict.fromkeys(QUARTILES, share) for edge, share in shares.items()}
    figures.where_people_crop({"here: 3 photos": quartiles})
    ax = drawn().axes[0]
    assert list(ax.lines[0].get_xdata()) == [0.1, 0.8, 0.8, 0.1, 0.1]
    assert [text.get_text() for text in ax.texts] == ["keeps 50%"]


def test_crops_of_a_term_are_cut_out_and_named() -> None:
    photo = np.zeros((80, 120, 3), dtype=np.uint8)
    crops = [(torch.tensor([0.0, 0, 60, 40]), torch.tensor(0.25))]
    figures.crops_of_a_term(photo, "look_room", crops)
    (ax,) = drawn().axes
    assert title(ax) == "look room 0.25"
    assert ax.images[0].get_array().shape == (40, 60, 3)
    assert [line.get_xdata()[0] for line in ax.lines[::2]] == pytest.approx([20, 40])


def test_tastes_and_drawn_photos_and_ceilings() -> None:
    figures.tastes(["look_room", "whole"], np.array([[30.0, 70], [60, 40], [50, 50]]), [1, -1, 0])
    above, below = drawn().axes[:2]
    assert [text.get_text() for text in above.get_yticklabels()] == ["look room", "whole"]
    assert [bar.get_height() for bar in below.patches] == [1, -1, 0]
    plt.close("all")
    figures.drawn([np.zeros((8, 12, 3), dtype=np.uint8)] * 4)
    assert [len(ax.images) for ax in drawn().axes] == [1] * 4
    plt.close("all")
    figures.ceilings([1, 7], {"SRCC": [0.7, 0.9]})
    assert list(drawn().axes[0].lines[0].get_ydata()) == [0.7, 0.9]


def test_forms_show_three_of_scored_candidates_and_every_drawn_box() -> None:
    from cropnb.datasets import scenes

    samples = {form: scenes.load("test", form=form, size=1)[0] for form in ("cpc", "fcdb")}
    figures.in_each_form(samples)
    panels = drawn().axes
    titles = [title(ax) for ax in panels]
    assert titles == ["cpc: 3 best of 24", "fcdb: 1 drawn"]
    assert [len(ax.lines) for ax in panels] == [6, 2]


def test_reference_table_reads_the_ledger() -> None:
    table = figures.reference_table([("gaicd", "SRCC"), ("fat", "Offset")])
    head, _, first, second = table.splitlines()
    assert head.startswith("| form | number | ceiling | one person |")
    assert first.startswith("| gaicd | SRCC | 0.")
    photos = ledger.find("scenes", table="fat", column="Offset")[0].images
    assert second.endswith(f"| less is better | {photos} |")


def test_teacher_and_speed_tables() -> None:
    row = Row(
        paper="teacher",
        table="no ratio asked",
        row="teacher",
        column="IoU",
        dataset="fcdb",
        split="test",
        images=48,
        ours=0.68,
        low=0.65,
        high=0.71,
        verdict="measured",
        command="python -m cropnb.teacher",
        note="less center: +0.01 [-0.01, +0.03], paired by photo",
    )
    line = figures.teacher_table([row]).splitlines()[-1]
    assert "0.680 [0.650, 0.710] | 48 | +0.010 [−0.010, +0.030] |" in line
    lines = figures.speed_lines([row], [row]).splitlines()
    assert lines[0].startswith("- teacher take 0.68 [0.65, 0.71] IoU (48 photos a round;")
    assert len(lines) == 2
