"""What the chapter on VRN draws: every figure once, with small inputs."""

from types import SimpleNamespace

import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from cropnb import datasets, ledger, paper
from cropnb.ledger import Row
from cropnb.notebook import METHOD_COLORS
from cropnb.notebook.chapters import vrn as figures
from cropnb.runs import validation


def row(name: str, column: str, ours: float, **fields: object) -> Row:
    content = {"paper": "vrn", "table": "Table 2", "dataset": "scenes", "split": "test"}
    content |= {"ours": ours, "low": ours - 1, "high": ours + 1, "verdict": "measured"}
    return Row(row=name, column=column, **content | fields)


def test_the_ablation_shows_print_in_black_and_ours_in_the_methods_colour() -> None:
    rows = [row("FS + RGL, frozen backbone", "Acc 1/5", 60.0), row("RGL, mean", "Acc 1/5", 1.0)]
    figure = figures.ablation(paper.read("vrn").tables["Table 2"], {"ours: scenes": rows})
    printed, ours = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["printed: photographs", "ours: scenes"]
    assert printed.lines[0].get_ydata().tolist() == [59.0, 61.5, 64.0, 69.5]
    assert to_hex(printed.lines[0].get_color()) == "#000000"
    (point,) = [line for line in ours.lines if line.get_marker() == "o"]
    assert (point.get_xdata().tolist(), point.get_ydata().tolist()) == ([3.0], [60.0])
    assert to_hex(point.get_color()) == METHOD_COLORS["vrn"].lower()


def test_offsets_go_across_and_other_rows_are_left_out() -> None:
    named = {
        "FS, frozen backbone": 3.0,
        "FS, offset 1, frozen backbone": 2.0,
        "baseline, offset 0.5, frozen backbone": 1.0,
        "FS + RGL, frozen backbone": 9.0,
        "mean-subtracted targets, frozen backbone": 4.0,
    }
    rows = [row(name, "SRCC", ours) for name, ours in named.items()]
    ranks, accuracy = figures.offsets([*rows, row("FS", "Acc 1/5", 60.0)]).axes
    drawn = {line.get_marker(): line for line in ranks.lines if line.get_marker() in "so^"}
    assert drawn["o"].get_ydata().tolist() == [3.0, 2.0]
    assert list(map(round, drawn["o"].get_xdata())) == [0, 1]
    assert drawn["s"].get_ydata().tolist() == [1.0]
    assert drawn["^"].get_ydata().tolist() == [4.0] * 3  # no added number changes them
    assert not accuracy.lines


def test_the_first_photos_settle_less() -> None:
    rows = ledger.find("vrn", table="claim")
    decided = sum(each.verdict in ("holds", "contradicted", "trivial") for each in rows)
    whole = figures.settled_on(rows, rows[0].images)
    assert whole == f"of {len(rows)} differences the first {rows[0].images} photos settle {decided}"
    assert int(figures.settled_on(rows, 200).split()[-1]) < decided


def test_scores_of_photos_draw_a_box_each() -> None:
    (ax,) = figures.scores_of_photos([torch.linspace(1, 5, 9), torch.ones(4)]).axes
    assert ax.get_xlabel().startswith("2 scenes")
    assert len(ax.get_xticks()) == 2


def test_facts_have_a_column_for_people_and_one_for_scenes() -> None:
    rows = [row("shared", "per cent", 96.2, dataset="gaicd"), row("shared", "per cent", 97.0)]
    head, _, line = figures.facts_table(rows).splitlines()
    assert head == "| per cent | GAICD, people | Composed Scenes |"
    assert line == "| shared | 96.2 [95.2, 97.2] | 97.0 [96.0, 98.0] |"


def test_the_spread_draws_the_datasets_that_have_rows() -> None:
    rows = [
        row("mean score of a photo", f"{q} %", q / 20, dataset="gaicd") for q in (5, 25, 50, 75, 95)
    ]
    people, scenes = figures.spread_of_scores(rows).axes
    assert [line.get_xdata()[0] for line in people.lines] == [0.25, 1.25, 2.5]
    assert not scenes.lines


def test_the_diagram_names_both_learners() -> None:
    (ax,) = figures.diagram().axes
    drawn = " ".join(text.get_text() for text in ax.texts)
    assert "view-wise learner" in drawn
    assert "training only" in drawn


def test_what_a_view_keeps_has_its_shape_and_what_it_discards_the_photos() -> None:
    sample = datasets.load("scenes", split="test", form="gaicd")[0]
    figure = figures.kept_and_discarded(sample, 0, torch.rand(4, 9, 9), torch.rand(4, 9, 9))
    _, roi, rod = figure.axes
    x1, y1, x2, y2 = sample.boxes[0].tolist()
    assert roi.get_aspect() == pytest.approx((y2 - y1) / (x2 - x1))
    assert rod.get_aspect() == pytest.approx(sample.height / sample.width)


def test_a_tent_for_each_annotated_score() -> None:
    line = torch.linspace(-1, 1, 3)
    (ax,) = figures.similarities(line, {0.5: line, -0.5: -line}).axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["annotated 0.5", "annotated -0.5"]


def test_sizes_put_the_ends_beside_the_median() -> None:
    words = {"smallest": 1.0, "median": 2.0, "largest": 3000.0}
    rows = [row("raw scores", f"β, {word}", value) for word, value in words.items()]
    line = figures.size_table(rows).splitlines()[-1]
    assert line == "| raw scores | β | – | 2 [1 … 3e+03] |"


def test_gradient_norms_tell_bound_and_mean_by_their_lines() -> None:
    names = ("FS, rate 0.001, no bound", "FS + RGL, rate 0.001, norm at most 1")
    mean = "FS + RGL, mean, rate 0.001, no bound"
    figure = figures.gradient_norms({name: torch.ones(3) for name in (*names, mean)})
    solid, dashed, dotted, _ = figure.axes[0].lines
    assert [line.get_linestyle() for line in (solid, dashed, dotted)] == ["-", "--", ":"]
    assert dashed.get_color() == dotted.get_color() == METHOD_COLORS["vrn"]
    assert len(figure.legends[0].get_texts()) == 3


def test_adams_steps_name_the_ratio() -> None:
    (ax,) = figures.adam_steps({1000: torch.ones(5)}).axes
    assert ax.get_yscale() == "log"
    assert ax.get_legend().get_texts()[0].get_text() == "first gradient 1,000 times as large"


def test_trials_of_one_setting_stand_together_and_means_are_hollow() -> None:
    rows = [
        row("FS, rate 0.001, no bound", "SRCC", 0.6),
        row("FS + RGL, mean, rate 0.001, no bound", "SRCC", 0.5),
        row("FS, rate 0.001, norm at most 1", "SRCC", 0.6),
        row("FS, rate 0.001, no bound", "gradient norm, median", 5.0),
    ]
    figure = figures.trials(rows)
    (ax,) = figure.axes
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["rate 0.001\nno bound", "rate 0.001\nnorm at most 1"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["FS", "FS + RGL, mean"]
    (mean,) = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert mean.get_xdata() == pytest.approx([0.06])


def test_training_curves_draw_every_part_and_the_validation() -> None:
    history = SimpleNamespace(
        steps=[0] * 40,
        names=("loss", "view"),
        validation=[0.2, 0.3],
        column=lambda name: torch.linspace(9, 1, 40),
    )
    left, right = figures.training_curves(history).axes
    assert [line.get_color() for line in left.lines] == [METHOD_COLORS["vrn"], "black"]
    assert left.lines[0].get_xdata().tolist() == list(range(32, 41))
    assert right.lines[0].get_ydata().tolist() == [0.2, 0.3]


def test_validation_is_drawn_where_it_was_recorded(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    assert "not recorded" in figures.validation_curves(dataset="scenes")
    assert not plt.get_fignums()
    curve = validation.Curve(
        "FS", "scenes", "gaicd", "cpu", "imagenet", True, (0,), ((0.1, 0.2, 0.3, 0.3),)
    )
    validation.write("vrn", [curve])
    (ax,) = figures.validation_curves(dataset="scenes").figure.axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["FS"]
    assert ax.lines[0].get_color() == "black"


def test_no_two_rows_are_drawn_alike() -> None:
    for wanted in ({"dataset": "gaicd_layouts"}, {"dataset": "scenes", "profile": "trained"}):
        (ax,) = figures.validation_curves(**wanted).figure.axes
        looks = [(line.get_color(), line.get_linestyle()) for line in ax.lines]
        assert len(looks) == len(set(looks)) == 7


def test_two_choices_on_each_other_keep_both_names() -> None:
    photo = torch.zeros(60, 80, 3).byte().numpy()
    views = torch.tensor([[8.0, 6, 72, 54], [8, 6, 72, 54]])
    figure = figures.two_choices({"cat": (photo, views)})
    gaic, vrn = figure.axes[0].texts
    assert (gaic.get_text(), gaic.get_position()) == ("GAIC", (8.0, 6.0))
    assert (vrn.get_text(), vrn.get_position()) == ("VRN", (72.0, 54.0))
    assert to_hex(vrn.get_bbox_patch().get_facecolor()) == METHOD_COLORS["vrn"].lower()


def test_split_features_draw_a_photo_and_two_maps_a_line() -> None:
    feature = torch.rand(1, 4, 3, 5)
    photo = torch.zeros(6, 8, 3).byte().numpy()
    figure = figures.split_features({"cat": (photo, feature, 1 - feature)})
    assert [ax.get_title() for ax in figure.axes] == ["cat", "view-wise", "image-wise"]
    drawn = figure.axes[1].images[0].get_array()
    assert torch.allclose(torch.tensor(drawn.data), feature[0].mean(0))
