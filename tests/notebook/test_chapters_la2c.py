"""What the chapter on LA2C draws: each figure once, with small inputs."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from cropnb import datasets, ledger, paper
from cropnb.checkpoints import History
from cropnb.la2c import rules
from cropnb.notebook.chapters import la2c as figures
from cropnb.notebook.chapters import la2c_tables as tables

NINE = rules.ACTIONS["la2c"]


def titles() -> list[str]:
    return [
        ax.get_title(loc)
        for ax in plt.gcf().axes
        for loc in ("left", "center")
        if ax.get_title(loc)
    ]


def texts() -> list[str]:
    return [text.get_text() for ax in plt.gcf().axes for text in ax.texts]


def cells_of(table: str) -> dict[str, list[str]]:
    """The cells behind each line's name, the heads among them."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return {name: cells for name, *cells in lines}


def history(updates: int) -> History:
    names = ("reward", "value", "entropy", "iou", "length", "episodes")
    steps = [(0.1, 0.2, 2.0, 0.5 * step, 10.0 * step, step) for step in range(1, updates + 1)]
    return History(names, steps)


def test_the_claim_shows_three_agents_in_print_and_two_oracles_beside_ours() -> None:
    figures.claim(paper.read("la2c"), "long")
    printed, ours = ([text.get_text() for text in ax.texts] for ax in plt.gcf().axes)
    assert sorted(printed) == ["A2-RL", "LA2C", "LA2C-LSTM"]
    assert sorted(ours) == ["A2-RL", "LA2C", "LA2C-LSTM", "oracle, 1/20", "oracle, 1/30"]


def test_an_arrow_for_each_action_that_moves_an_edge() -> None:
    cells = torch.tensor([3, 4, 26, 30])
    after = rules.move(cells.expand(9, 4), torch.arange(9), NINE).double()
    figures.moves(Image.new("RGB", (30, 30)), cells.double(), after, NINE.names)
    assert titles() == ["no change: bottom out, stop"]
    named = [text for text in texts() if text]
    assert sorted(named) == sorted(set(NINE.names) - {"bottom out", "stop"})


def test_bars_tell_their_sign() -> None:
    figures.signed_bars(
        ["up", "down"], torch.tensor([1.0, -1.0]), torch.tensor([0.1, 0.1]), title="t"
    )
    up, down = plt.gca().patches
    assert up.get_facecolor() != down.get_facecolor()
    assert up.get_width() == 1


def test_the_player_plays_by_the_rules_of_the_nine_actions() -> None:
    sample = datasets.load("scenes", "test", form="fcdb", size=1)[0]
    player = figures.player(sample, gamma=0.5)
    assert player.actions == list(NINE.names)
    assert player.rules["least"] == NINE.least
    assert player.gamma == 0.5


def test_an_episode_shows_what_its_rewards_come_to() -> None:
    rewards = torch.tensor([0.5, 0.6])
    figures.episode(torch.tensor([0.4, 0.5, 0.6]), rewards, rewards * torch.tensor([1.0, 0.9]), 0.9)
    assert titles()[1].endswith("1.04")
    assert len(plt.gcf().axes[1].patches) == 4


def test_a_histogram_names_its_marks() -> None:
    figures.histogram(torch.rand(20), {"whole photo": 0.5}, xlabel="IoU")
    (label,) = plt.gca().get_legend().get_texts()
    assert label.get_text() == "whole photo 0.50"


def test_lines_start_where_they_should() -> None:
    figures.lines({"one": torch.rand(3), "two": torch.rand(2)}, 1, xlabel="step")
    one, two = plt.gca().lines
    assert list(one.get_xdata()) == [1, 2, 3]
    assert one.get_linestyle() != two.get_linestyle()


def test_chances_before_and_after() -> None:
    figures.chances(NINE.names, torch.full((9,), 1 / 9), torch.rand(9), "after")
    assert len(plt.gca().patches) == 18
    assert plt.gca().get_xticklabels()[0].get_text() == "left\nout"


def test_the_loop_of_training_names_both_parties() -> None:
    figures.loop()
    assert any("true box" in text for text in texts())
    assert any("critic" in text for text in texts())


def test_five_curves_of_a_training() -> None:
    figures.training_curves(history(40), window=20)
    assert titles() == ["reward a step", "critic's loss", "entropy", "IoU at the end", "steps"]
    assert list(plt.gcf().axes[3].lines[0].get_ydata()) == pytest.approx([0.5, 0.5])


def test_trainings_share_a_legend() -> None:
    figures.trainings({"first": history(30), "second": history(60)})
    (legend,) = plt.gcf().legends
    assert [text.get_text() for text in legend.get_texts()] == ["first", "second"]


def test_four_agents_under_step_limits_look_different_without_colour() -> None:
    figures.step_limits()
    curves, labels = plt.gca().get_legend_handles_labels()
    agents = [label.partition(",")[0] for label in labels]
    assert agents == ["LA2C", "LA2C", "LA2C-LSTM", "A2-RL"]
    looks = {(curve[0].get_linestyle(), curve[0].get_marker()) for curve in curves}
    assert len(looks) == len(curves)


def test_the_centred_crop_is_a_line_with_its_name_below_the_step_limits() -> None:
    figures.step_limits()
    row = ledger.one("scenes", table="fcdb", row="centred crop", column="IoU")
    (level,) = (line for line in plt.gca().lines if list(line.get_ydata()) == [row.ours] * 2)
    (name,) = plt.gca().texts
    assert (name.get_text(), name.xy[1]) == ("centred crop", level.get_ydata()[0])


def test_each_variant_at_each_limit_beside_the_centred_crop() -> None:
    cells = cells_of(tables.at_limits("IoU", "long"))
    heads = cells["IoU, cut off after"]
    assert heads == [*(f"{limit} steps" for limit in (5, 10, 15, 20, 30, 40)), "seeds"]
    assert {"LA2C", "LA2C-LSTM", "A2-RL", "IoU difference", "stride 1/15", "random start"} <= {
        *cells
    }
    middle = ledger.one("scenes", table="fcdb", row="centred crop", column="IoU")
    assert cells["centred crop"] == [f"{middle.ours:.3f}"] * 6 + ["–"]
    stars = set()
    for name, limits in {"A2-RL": "step limits, A2-RL", "LA2C": "step limits"}.items():
        for head, cell in zip(heads[:-1], cells[name], strict=False):
            wanted = {"table": limits, "row": head, "column": "IoU", "profile": "long"}
            row = ledger.one("la2c", **wanted)
            above = row.low > middle.high
            assert cell == f"{row.ours:.3f}" + " ★" * above
            stars.add(above)
    assert stars == {True, False}


def test_who_has_stopped_bears_no_star() -> None:
    cells = cells_of(tables.at_limits("stopped", "long"))
    row = ledger.one("la2c", table="variants", row="A2-RL", column="stopped", profile="long")
    assert cells["A2-RL"][5] == f"{row.ours:.0f}"
    assert "centred crop" not in cells
    assert "★" not in str(cells)


def test_a_lead_is_bold_where_zero_lies_outside_of_its_interval() -> None:
    cells = cells_of(tables.leads("long"))
    heads = cells["LA2C less"]
    bold = set()
    for name in ("A2-RL", "stride 1/15", "LA2C-LSTM"):
        wanted = {"table": f"step limits, LA2C less {name}", "profile": "long"}
        for head, cell in zip(heads, cells[name], strict=True):
            row = ledger.one("la2c", row=head, **wanted)
            apart = row.low > 0 or row.high < 0
            assert cell.startswith("**") == cell.endswith("**") == apart
            bold.add((apart, row.ours > 0))
    assert len(bold) == 4  # ahead and behind, each with and without
    assert "+0.000" not in str(cells)
    assert "−0.000" not in str(cells)


def test_the_variants_stand_by_their_iou_beside_the_centred_crop() -> None:
    lines = tables.variants("trial").splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    ious = [float(cell[1].split()[0]) for cell in cells]
    assert ious == sorted(ious, reverse=True)
    above = {cell[0]: cell[-1] for cell in cells}
    assert above["centred crop"] == "–"
    assert above["LA2C"] == "yes"
    assert above["1 environment"] == "no"


def test_pairs_of_variants_say_whether_their_intervals_are_apart() -> None:
    pairs = [("LA2C", "1 environment", "IoU"), ("LA2C", "IoU difference", "IoU")]
    apart, overlap = tables.compared(pairs, "trial").splitlines()[2:]
    assert "are apart" in apart
    assert "overlap" in overlap
