"""What the chapter on Mars draws and tabulates: every figure and table once, with small inputs."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from cropnb import ledger, paper
from cropnb.ledger import Row
from cropnb.mars import chosen_ratios, crops_from_maps
from cropnb.mars.cropper import Prediction
from cropnb.notebook import METHOD_COLORS, style
from cropnb.notebook.chapters import mars as figures
from cropnb.notebook.chapters import mars_tables as tables

SKY = METHOD_COLORS["mars"].lower()


@pytest.fixture(autouse=True)
def drawn_as_in_the_book(own_style: None) -> None:
    style()


@pytest.fixture
def photo() -> Image.Image:
    return Image.new("RGB", (60, 40), "gray")


@pytest.fixture
def seen() -> Prediction:
    """Two ratios, 1:2 and 2:1, in a photo of 60 × 40 pixels."""
    boxes = torch.tensor([[20.0, 0, 40, 40], [0, 5, 60, 35]])
    return Prediction(torch.rand(2, 43, 64), boxes, torch.zeros(2, 4), torch.full((2,), 0.4))


def row(table: str, name: str, column: str, ours: float, **fields: object) -> Row:
    content = {"paper": "mars", "dataset": "scenes", "split": "test", "verdict": "measured"}
    content |= {"ours": ours, "low": ours - 0.1, "high": ours + 0.1, "images": 500}
    return Row(table=table, row=name, column=column, **content | fields)


def colors(ax: plt.Axes) -> set[str]:
    return {to_hex(line.get_color()) for line in ax.lines}


def test_the_centred_window_has_the_ratio_and_touches_two_sides() -> None:
    assert figures.centred_window(2.0, 60, 40) == [0, 5, 60, 35]
    assert figures.centred_window(0.5, 60, 40) == [20, 0, 40, 40]


def test_a_cell_of_the_map_is_four_pixels_of_what_the_network_sees(photo: Image.Image) -> None:
    assert figures.cell_size(photo) == pytest.approx((4 * 60 / 256, 4 * 40 / 171))


def test_each_ratio_has_its_map_and_its_crop_in_the_methods_colour(
    photo: Image.Image, seen: Prediction
) -> None:
    figures.maps_and_crops(photo, seen, ["1:2", "2:1"])
    axes = plt.gcf().axes
    assert [ax.get_title(loc="left") for ax in axes[::2]] == ["1:2: the map", "2:1: the map"]
    assert [len(ax.images) for ax in axes] == [1, 1, 1, 1]
    assert {SKY, to_hex("gray")} <= colors(axes[1])
    plt.gcf().draw_without_rendering()
    # wide enough to judge a crop
    assert axes[1].get_position().width * plt.gcf().get_figwidth() * 100 > 300


def test_figure_5_cuts_the_crop_out(photo: Image.Image, seen: Prediction) -> None:
    figures.masked_and_cut(photo, seen, ["1:2", "2:1"])
    shapes = [ax.images[0].get_array().shape[:2] for ax in plt.gcf().axes]
    # two columns of map, photo and crop, row by row
    assert shapes == [(43, 64)] * 2 + [(40, 60)] * 2 + [(40, 20), (30, 60)]


def test_the_diagram_names_both_predicted_pieces() -> None:
    figures.overview()
    text = " ".join(label.get_text() for label in plt.gca().texts)
    assert "ARS-FTM" in text
    assert "ARS-PWP" in text


def test_ratios_are_evenly_spaced_on_the_logarithmic_line_only() -> None:
    figures.spacing(chosen_ratios(11))
    linear, logarithmic = (np.diff(ax.lines[0].get_xdata()) for ax in plt.gcf().axes)
    assert np.ptp(logarithmic) < 1e-6 < np.ptp(linear)


def test_shares_and_areas_have_a_panel_each_and_a_line_each() -> None:
    ratios = chosen_ratios(5)
    figures.shares(ratios, {"interpolated": torch.eye(5), "nearest": torch.eye(5)})
    assert [len(ax.lines) for ax in plt.gcf().axes] == [5, 5]
    lines = {"coffee": torch.full((5,), 0.25), "rocket": torch.full((5,), 0.5)}
    figures.above(ratios, {"frozen": lines, "trained": lines})
    left, right = plt.gcf().axes
    assert [left.get_title(loc="left"), right.get_title(loc="left")] == ["frozen", "trained"]
    assert [line.get_ydata()[0] for line in right.lines] == [25, 50]
    assert [text.get_text() for text in plt.gcf().legends[0].texts] == ["coffee", "rocket"]


def test_trainings_are_told_apart_and_the_method_has_its_colour() -> None:
    lines = figures.trained_curves().figure.axes[0].lines
    looks = {(to_hex(line.get_color()), line.get_linestyle()) for line in lines}
    assert len(looks) == len(lines) > 2
    ours = METHOD_COLORS["mars"]
    assert [line.get_label() for line in lines if line.get_color() == ours] == ["Mars"]


def test_failures_draw_crop_and_centre() -> None:
    patch = torch.zeros(24, 36)
    patch[6:18, 6:30] = 1
    crop = crops_from_maps(patch[None], torch.ones(1), torch.ones(2), torch.tensor([36.0, 24.0]))
    names = list("abcdef")
    figures.failures(dict.fromkeys(names, patch), dict.fromkeys(names, crop))
    assert [ax.get_title(loc="left") for ax in plt.gcf().axes] == names
    assert plt.gcf().axes[0].lines[-1].get_xydata().tolist() == [[18.0, 12.0]]


def test_loss_and_threshold_show_what_they_are_compared_with() -> None:
    history = SimpleNamespace(steps=np.linspace(0.8, 0.5, 9)[:, None], names=("loss",))
    (ax,) = figures.loss(history).axes
    assert ax.texts[0].get_text() == "a coin toss, log 2"
    assert {to_hex(line.get_color()).upper() for line in ax.lines[:-1]} == {METHOD_COLORS["mars"]}
    figures.thresholds({0.2: 0.5, 0.4: 0.6}, 0.4)
    labels = [text.get_text() for text in plt.gca().get_legend().texts]
    assert labels == ["best, θ = 0.4", "the paper's 0.4"]


def test_weights_have_a_map_for_each_network_and_a_line_for_each() -> None:
    same, held = torch.eye(21), torch.linspace(0.1, 1, 21)
    figures.weights_path({"frozen": same, "trained": same}, {"frozen": held, "trained": held})
    frozen, trained, curves = plt.gcf().axes[:3]
    assert [frozen.get_title(loc="left"), trained.get_title(loc="left")] == ["frozen", "trained"]
    assert [len(line.get_xdata()) for line in curves.lines] == [20, 20]
    figures.lengths(torch.arange(3), torch.ones(3), torch.ones(3))
    assert to_hex(plt.gca().lines[1].get_color()) == SKY


def test_four_croppers_have_four_colours(photo: Image.Image) -> None:
    boxes = torch.tensor([[0.0, 0, 40, 40], [10, 0, 50, 40], [20, 0, 60, 40], [5, 5, 35, 35]])
    figures.crops_of_photos({"gray": (photo, boxes)})
    assert len(colors(plt.gca()) - {"#ffffff"}) == 4


def test_counts_are_sorted_by_their_room_or_stand_as_printed() -> None:
    rows, printed = ledger.find("mars", column="Param"), paper.read("mars")
    sharpest = tables.counts(rows, printed, sharpest=3).splitlines()
    room = [int(line.split("|")[-3].replace(",", "")) for line in sharpest[2:]]
    assert len(room) == 3
    assert room == sorted(room)
    every = tables.counts(rows, printed).splitlines()[2:]
    assert len(every) == len(rows)
    assert every[0].startswith("| Table 1 | mobilenet_v2 c3_3 | 1.0M |")


def test_the_papers_model_comes_first_and_once() -> None:
    note = "nothing above θ in 66.7 %; 256 neurons"
    rows = [
        row(table, name, column, 0.5, note=note, seeds=(0, 1, 2))
        for table, name in (("Table 2", "FC 512 x 0"), ("Table 3", "both"), ("Table 4", "nearest"))
        for column in ("IoU", "Offset")
    ]
    rows += [row("Table 4", "interpolated", column, 0.5, note=note) for column in ("IoU", "Offset")]
    lines = tables.networks(rows).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| all", "| 2", "| 4"]
    assert " | 66.7\N{NO-BREAK SPACE}% | 500 | " in lines[1]


def test_the_ladder_rises_from_the_window_to_the_ceiling() -> None:
    rungs = tables.ladder(dataset="scenes", profile="cpu")
    values = [rung.ours for rung in rungs.values()]
    assert next(iter(rungs)) == "largest centred window"
    assert (min(values), max(values)) == (values[0], values[-1])


def test_claims_without_a_row_say_so_and_zero_has_no_sign() -> None:
    printed = paper.read("mars")
    names = [claim["name"] for claim in printed.claims if "rival" not in claim]
    decided = {(names[0], "IoU"): row("claim", names[0], "IoU", 0.2, high=-0.0001, verdict="holds")}
    lines = tables.claims(printed, decided).splitlines()[2:]
    assert len(lines) == len(names)
    assert "| +0.200 [+0.100, +0.000] | holds | – | not run |" in lines[0]
    of_one_column = next(line for line in lines if "do not appear in training" in line)
    assert of_one_column.endswith("| – | not run | – | – |")
    few = tables.claims(printed, decided, only_decided=True).splitlines()[2:]
    assert few == lines[:1]


def test_table_7_has_a_line_for_each_method_and_leaves_gaps() -> None:
    lines = tables.table_7(paper.read("mars")).splitlines()
    assert "| Fast-AT | 0.680 | 55.0 | – | – | – | – |" in lines
    assert lines[0].count("IoU") == 3


def test_what_the_sizes_of_windows_are_worth_is_a_sentence_of_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tables.window_sizes()
    usual, _, _, other = ledger.find("mars", table="1140 windows, FAT")
    assert f"{usual.images} scenes {usual.ours:.0f} % have the size" in text
    gap = re.search(r"-0\.\d+ \[.*?\]", other.note)
    assert gap is not None
    assert f"paired by photo {gap[0]}. About" in text
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    assert "isn't measured yet" in tables.window_sizes()


def test_what_waits_is_no_line_of_table_7_on_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    waits = {"verdict": "pending", "ours": None, "low": None, "high": None, "note": "not run"}
    asked = row("Table 7, FAT", "center", "IoU", 0.5, command="python")
    ledger.record("mars", [asked, replace(asked, row="other", **waits)])
    names = [line.split(" | ")[1] for line in tables.table_7_scenes(["FAT"]).splitlines()[2:]]
    assert names == ["center"]


def test_tables_of_the_ledger_show_mars_and_what_it_is_compared_with() -> None:
    scenes = tables.table_7_scenes(["FAT"])
    assert "Mars as it ships" in scenes
    assert "gaic, 1140 windows" in scenes
    few = tables.photographs("aspect ratio of the true crop", ["mars", "center_window"])
    assert len(few.splitlines()) == 4
    speeds = tables.speed_ratios(paper.read("mars"), ["Table 2"])
    assert {line.split(" | ")[0] for line in speeds.splitlines()[2:]} == {"| Table 2"}
    rows, epoch = tables.speeds().split("\n\n")
    assert "classification" in rows
    shares = [line.split("| ")[2] for line in epoch.splitlines()[2:]]
    assert 98 <= sum(float(share.split()[0]) for share in shares) <= 102  # each is rounded


def test_mars_against_windows_is_a_sentence_for_each_form_that_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    assert tables.against_windows(["FAT", "FCDB"]) == []
    gains = {
        "IoU": (0.3, {"verdict": "holds", "detectable": 0.1}),
        "Offset": (0.05, {"verdict": "unsettled", "detectable": 0.5}),
    }
    rows = [
        row("claim", "beats sliding windows", column, ours, command="python", **fields)
        for column, (ours, fields) in gains.items()
    ]
    ledger.record("mars", rows)
    (sentence,) = tables.against_windows(["FAT", "FCDB"])
    assert "500 scenes in the form of FAT" in sentence
    assert "in IoU +0.300 [+0.200, +0.400], holds; in the offset, pixels nearer, +0.1" in sentence
    assert "unsettled: needs about" in sentence


def test_profiles_have_a_column_each() -> None:
    from cropnb.mars.recipe import METHOD

    head, _, *lines = tables.profiles(METHOD.profiles).splitlines()
    assert head == "| setting | " + " | ".join(METHOD.profiles) + " |"
    assert any(line.startswith("| trained_from | – | – | c3_3") for line in lines)
