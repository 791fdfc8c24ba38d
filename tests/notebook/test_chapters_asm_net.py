"""The figures and tables of the chapter on ASM-Net, each drawn once from small inputs."""

import math

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from cropnb import ledger, paper
from cropnb.asm_net import PATTERNS
from cropnb.asm_net.studies import corners
from cropnb.notebook.chapters import asm_net as figures
from cropnb.notebook.chapters import asm_net_tables as tables
from cropnb.runs import waiting
from cropnb.training import History

PHOTO = Image.new("RGB", (60, 40), "gray")
BOX = torch.tensor([6.0, 4, 54, 36])
PRINTED = paper.read("asm_net")


def titles() -> list[str]:
    return [ax.get_title("left") or ax.get_title() for ax in plt.gcf().axes if ax.get_visible()]


def heads(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")]


def body(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def test_patterns_bear_the_names_of_the_paper() -> None:
    assert figures.pattern_name("grid_1x3") == "1 × 3"
    assert figures.pattern_name("multi_rectangle_3") == "multi-rectangle-3"


def test_table_1_is_drawn_in_two_panels() -> None:
    figures.draw_table_1(PRINTED)
    left, right = plt.gcf().axes
    assert [text.get_text() for text in left.get_yticklabels()][-1] == "cross-rectangle"
    assert left.lines[0].get_xdata()[0] == pytest.approx(59.46)
    assert len(right.containers[0].lines[0].get_xdata()) == len(PRINTED.tables["Table 1"].own)


def test_a_window_is_framed_under_its_title() -> None:
    figures.draw_window(PHOTO, BOX, "best of 3 windows")
    assert titles() == ["best of 3 windows"]
    assert list(plt.gca().lines[-1].get_xdata()) == [6, 54, 54, 6, 6]


def test_rules_stand_below_their_crops() -> None:
    scores = {"middle": torch.tensor([0.5, 0.25])}
    figures.draw_rules(PHOTO, {"a": BOX, "b": BOX}, PATTERNS["grid_1x3"], scores)
    assert titles() == ["a", "b"]
    assert [ax.get_xlabel() for ax in plt.gcf().axes] == [
        "rule «middle»: 0.500",
        "rule «middle»: 0.250",
    ]
    # the frame, the white line below it, and two borders between three columns
    assert len(plt.gcf().axes[0].lines) == 4


def test_patterns_are_drawn_with_all_their_borders() -> None:
    figures.draw_patterns()
    assert titles() == [figures.pattern_name(name) for name in PATTERNS]
    assert [len(ax.lines) for ax in plt.gcf().axes] == [
        len(pattern.outline()) for pattern in PATTERNS.values()
    ]
    figures.draw_patterns({"one": PATTERNS["grid_1x1"]})
    assert titles() == ["1 × 1"]


def test_curves_and_points_show_what_was_given() -> None:
    figures.draw_thresholds([0.0, 1.0], [1.0, 0.2], [0.9, 1.0])
    assert [line.get_ydata()[1] for line in plt.gca().lines] == [0.2, 1.0]
    figures.draw_gaps(torch.tensor([12.0, 40.0]), torch.tensor([0.0, 0.1]))
    assert min(plt.gca().lines[0].get_ydata()) == pytest.approx(1e-4)
    names = ("loss", "ranking", "saliency")
    figures.draw_training(History(names, [[3.0, 2.0, 1.0], [2.0, 1.0, 1.0]], [0.5, 0.75]))
    assert titles() == ["ranking loss", "saliency loss", "pairs ranked rightly, %"]
    assert list(plt.gcf().axes[2].lines[0].get_ydata()) == [50.0, 75.0]


def test_photos_stand_above_their_saliency() -> None:
    figures.draw_saliency({"gray": PHOTO}, {"gray": torch.zeros(40, 60)}, {"gray": BOX.tolist()})
    top, bottom = plt.gcf().axes
    assert titles()[0] == "gray"
    assert len(top.lines) == 2  # the frame and the white line below it
    assert bottom.images[0].get_array().shape == (40, 60)


def test_partitions_bear_their_scores() -> None:
    pattern = PATTERNS["cross_rectangle"]
    means = {"won": torch.arange(12.0)}
    figures.draw_partitions(PHOTO, {"won": BOX}, means, pattern, middle=0.0, reach=5.0)
    (ax,) = plt.gcf().axes
    assert [text.get_text() for text in ax.texts] == [f"{n}.0" for n in range(12)]
    places = {text.get_position() for text in ax.texts}
    assert len(places) == 12
    assert all(6 < x < 54 and 4 < y < 36 for x, y in places)


def test_crops_are_filled_with_their_scores() -> None:
    boxes = torch.stack([BOX, BOX / 2])
    figures.draw_crop_maps(PHOTO, boxes, [torch.rand(32, 48), torch.rand(16, 24)], ["a", "b"])
    assert titles() == ["a", "b"]
    assert plt.gcf().axes[1].images[1].get_extent() == [3, 27, 18, 2]


def test_thetas_stand_beside_each_other_and_are_large() -> None:
    maps = {"gray": {"λ = 0": (torch.zeros(4, 6), torch.ones(4, 6))}}
    figures.draw_thetas({"gray": PHOTO}, {"gray": torch.zeros(40, 60)}, maps)
    assert titles() == ["gray", "saliency", "θ_avg, λ = 0", "θ_std, λ = 0"]
    plt.gcf().canvas.draw()
    assert min(ax.get_window_extent().width for ax in plt.gcf().axes) >= 300  # pixels


def test_figure_5_has_both_losses() -> None:
    figures.draw_figure_5()
    (ax,) = plt.gcf().axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["sum over pairs, as printed", "mean over pairs"]


def test_ratios_are_named_and_the_circle_is_one() -> None:
    figures.draw_ratios({"one: gray": PHOTO}, {"one: gray": {"1:1": BOX, "circle": BOX}})
    (ax,) = plt.gcf().axes
    assert titles() == ["one: gray"]
    assert [text.get_text() for text in ax.texts] == ["1:1"]
    assert ax.patches[-1].radius == 24


def test_table_1_is_sorted_by_our_rows() -> None:
    lines = body(tables.table_1(PRINTED))
    ours = [float(line[3].split()[0]) for line in lines]
    assert ours == sorted(ours, reverse=True)
    printed = {line[0]: line[2] for line in lines}
    assert printed["cross-rectangle"] == "87.59"
    assert printed["3 × 3"] == "–"


def test_contributions_add_up() -> None:
    won, lost = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.5])
    lines = body(tables.contributions(["a", "b"], won, lost, won - lost))
    assert [line[0] for line in lines] == ["b", "a", "together"]
    assert lines[-1] == ["together", "+3.000", "+2.500", "+0.500"]


def test_claims_are_those_of_the_paper() -> None:
    table = tables.claims()
    assert heads(table)[-1] == "verdict"
    assert {line[0] for line in body(table)} <= {one["name"] for one in PRINTED.claims}
    assert {line[1] for line in body(table)} <= set(figures.TRAININGS)
    not_run = [line[0] for line in body(table) if line[-1] == "not run"]
    assert not_run == [row.row for row in waiting.claims("asm_net")]


def test_figures_tables_hold_the_printed_difference_and_the_corners() -> None:
    assert "+3.22" in [line[3] for line in body(tables.figure_5())]
    lines = body(tables.figure_7(corners.MEASURES))
    assert lines[0][0] == "corners reached, %"
    assert [line[-1].split(":")[0] for line in lines[:2]] == ["holds", "contradicted"]
    assert all(float(line[3].split()[0]) >= 0 for line in lines)


def test_best_crops_keep_photographs_and_scenes_apart() -> None:
    lines = body(tables.best_crops(PRINTED))
    for line in lines:
        assert (line[1] == "–") != (line[3] == "–"), line
    assert lines[0][1] == "0.7489"
    assert [line[-1] for line in lines[:2]] == ["358", "500"]
    assert len(lines) == 12


def test_a_search_without_small_windows_stands_in_tables_2_and_3() -> None:
    lines = body(tables.best_crops(PRINTED))
    for form in ("fcdb", "flms"):
        ending = f", scenes in {form.upper()}'s form"
        (limited,) = (line for line in lines if line[0] == f"ASM-Net, no small windows{ending}")
        for cell, column in zip(limited[3:5], ("IoU", "Disp"), strict=True):
            row = f"{form}, none small"
            own = ledger.one("asm_net", table="search windows", row=row, column=column)
            assert cell.startswith(f"{own.ours:.3f} [")
        assert limited[5] == str(own.images)


def test_what_the_limit_adds_stands_above_how_it_was_chosen() -> None:
    table, _, note = tables.search_windows().rpartition("\n\n")
    assert [line[0][-4:] for line in body(table)] == ["fcdb", "flms"]
    assert "limits the best on 100 validation scenes" in note


def test_our_own_windows_are_not_called_the_papers() -> None:
    names = [line[0] for line in body(tables.beginnings())]
    assert "sliding windows, this book's" in names
    assert not [name for name in names if "paper" in name]


def test_table_4_holds_gaic_beside_ours() -> None:
    for kind in ("", "layouts"):
        lines = body(tables.table_4(kind))
        names = [line[0] for line in lines]
        assert ("GAIC" in names) == bool(kind)  # on scenes two were trained, by two profiles
        assert {"GAIC, profile cpu", "ASM-Net, trained from c3_3 on"} <= {*names} or kind
        values = [float(line[1].split("\N{NO-BREAK SPACE}")[0]) for line in lines]
        assert values == sorted(values, reverse=True)
        assert not any(math.isnan(value) for value in values)


def test_what_waits() -> None:
    assert any(line[0].startswith("Table 1: 7 numbers") for line in body(tables.waiting()))
