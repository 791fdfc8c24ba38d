"""The figures of the chapter on the audit draw what they are given."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from cropnb import backbones, checkpoints, croppers
from cropnb.backbones import frozen
from cropnb.errors import CropnbError, WeightsUnavailable
from cropnb.methods import TITLES
from cropnb.metrics import Interval
from cropnb.notebook import METHOD_COLORS, training_table
from cropnb.notebook.chapters import audit as figures
from cropnb.runs import plan
from cropnb.runs.identity import plain

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


FROM_C3_3 = "all but its first 7 units (up to c3_3) learned"
LEARNED = {
    "scenes": {
        "la2c": "frozen",
        "asm_net": "all but its first 4 units learned",
        "vrn": "all of it learned",
        "gaic": FROM_C3_3,  # which ships for photographs alone
        "mars": "frozen",
        "set_prediction": "frozen",
    },
    "photographs": {
        "la2c": f"frozen; GAIC's, of which {FROM_C3_3}",
        "asm_net": FROM_C3_3,
        "vrn": FROM_C3_3,
        "gaic": FROM_C3_3,
        "mars": FROM_C3_3,
        "set_prediction": FROM_C3_3,
    },
}


def untouched_units(name: str, kind: str, reference: dict[str, Tensor]) -> dict[int, bool]:
    """Whether shipped weights have a unit of their backbone as the reference does, in half
    precision: of all units of which both have the weights.
    """
    state, _ = checkpoints.load_weights(croppers.weights_path(name, kind))
    untouched: dict[int, bool] = {}
    for key, value in state.items():
        _, prefix, own = key.rpartition("backbone.")
        if prefix and own in reference:
            unit, same = int(own.split(".")[1]), torch.equal(value, reference[own])
            untouched[unit] = untouched.get(unit, True) and same
    return untouched


@pytest.mark.parametrize("kind", LEARNED)
def test_training_table_tells_which_units_of_a_backbone_learned(kind: str) -> None:
    lines = {line.split(" | ")[0].strip("| "): line for line in training_table(kind).splitlines()}
    assert set(TITLES.values()) < set(lines)
    for name, learned in LEARNED[kind].items():
        assert f"| {learned} |" in lines[TITLES[name]]
    assert "| scenes and taught photographs |" in lines["GAIC"]


@pytest.mark.parametrize("start", ["frozen.safetensors", "all of ImageNet's"])
@pytest.mark.parametrize("kind", LEARNED)
def test_units_that_are_said_to_have_learned_are_those_that_differ_from_imagenet(
    start: str, kind: str
) -> None:
    if start == frozen.PATH.name:  # the first units, in half precision, which the package has
        state = {
            key.removeprefix(frozen.PREFIX): one for key, one in load_file(frozen.PATH).items()
        }
    else:
        try:
            state = backbones.build("mobilenet_v2", ["c5_5"]).state_dict()
        except WeightsUnavailable as error:
            pytest.skip(str(error))
    reference = {
        key: one.half().float() if one.is_floating_point() else one for key, one in state.items()
    }
    for name, learned in LEARNED[kind].items():
        if not croppers.weights_path(name, kind).exists():
            continue
        untouched = untouched_units(name, kind, reference)
        first = 0 if learned == "all of it learned" else len(untouched)
        if number := re.search(r"first (\d+) units", learned):
            first = int(number[1])
        assert len(untouched) > 12
        assert untouched == {unit: unit < first for unit in untouched}, name


def test_an_agent_that_is_said_to_have_gaics_backbone_has_it() -> None:
    agent, gaic = (
        checkpoints.load_weights(croppers.weights_path(name, "photographs"))[0]
        for name in ("la2c", "gaic")
    )
    own = {key: value for key, value in agent.items() if key.startswith("backbone.")}
    assert own
    assert all(torch.equal(value, gaic[f"features.{key}"]) for key, value in own.items())


def test_methods_read_what_learned_from_a_profile_as_cards_keep_it() -> None:
    gaic, la2c = plan.method_named("gaic"), plan.method_named("la2c")
    assert gaic.learned({"epochs": 0, "head_epochs": 4}) == "frozen"
    assert plan.method_named("mars").learned({"epochs": 8}) == "all of it learned"
    sets = plan.method_named("set_prediction")
    assert sets.learned({"epochs": 5, "backbone_rate": None}) == "frozen"
    assert la2c.learned(plain(la2c.profiles["full"])) == "all of it learned"
    with pytest.raises(CropnbError, match="c9_9"):
        gaic.learned({"epochs": 3, "trained_from": "c9_9"})
