"""The match player: costs, pairings and hits in the page equal Python's, SciPy's and the set
predictor's.
"""

import base64
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment

from cropnb import widgets
from cropnb.errors import BoxError, CropnbError
from cropnb.notebook import COLORS, METHOD_COLORS
from cropnb.set_prediction import hungarian_match, matching_costs, to_cxcywh
from cropnb.widgets import MatchPlayer

FOLDER = Path(widgets.__file__).parent
WIDTH, HEIGHT = 480, 320
SIZE = torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])


def some_boxes(count: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    first, second = (
        torch.rand(count, 2, generator=rng) * 0.4,
        0.6 + 0.4 * torch.rand(count, 2, generator=rng),
    )
    return (torch.cat([first, second], dim=1) * SIZE).round()


def some_moment(seed: int, anchors: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    return some_boxes(anchors, seed), torch.rand(
        anchors, generator=torch.Generator().manual_seed(seed)
    ).round(decimals=3)


TRUTHS = some_boxes(6, 9)


@pytest.fixture
def player(photo: Image.Image) -> MatchPlayer:
    moments = {
        "before training": some_moment(0),
        "after epoch 4": some_moment(1),
        "after epoch 16": some_moment(2),
    }
    return MatchPlayer(photo, TRUTHS, moments, alt="A plain of colours")


def in_page(node: str, folder: Path, calls: list[tuple[str, list[Any]]]) -> list[Any]:
    """What the functions of matching.js answer; it stands behind geometry.js, as in the figure's
    program.
    """
    module = folder / "joined.mjs"
    module.write_text(
        "\n".join((FOLDER / name).read_text("utf-8") for name in ("geometry.js", "matching.js")),
        "utf-8",
    )
    program = (
        f"import * as joined from {json.dumps(module.as_uri())};"
        "let text = ''; for await (const part of process.stdin) text += part;"
        "console.log(JSON.stringify(JSON.parse(text).map(([name, values]) => "
        "joined[name](...values))));"
    )
    command = [node, "--input-type=module", "-e", program]
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_costs_are_equation_3(node: str, tmp_path: Path, player: MatchPlayer) -> None:
    for moment in range(3):
        player.moment = moment
        boxes, validities = some_moment(moment)
        expected = matching_costs(
            torch.logit(validities, eps=1e-6), to_cxcywh(boxes / SIZE), to_cxcywh(TRUTHS / SIZE)
        ).T
        assert player.costs() == pytest.approx(expected.numpy(), abs=1e-5)
        weights = {"overlap": 0.4, "focal": 0.4}
        given = [boxes.tolist(), player.validities[moment], TRUTHS.tolist(), WIDTH, HEIGHT, weights]
        (page,) = in_page(node, tmp_path, [("costTable", given)])
        assert np.array(page) == pytest.approx(player.costs().numpy(), abs=1e-9)
        (match,) = [
            hungarian_match(
                torch.logit(validities, eps=1e-6)[None],
                to_cxcywh(boxes / SIZE)[None],
                [to_cxcywh(TRUTHS / SIZE)],
            )
        ]
        assert dict(zip(match.crop.tolist(), match.anchor.tolist(), strict=True)) == dict(
            enumerate(player.pairing())
        )


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 20), (12, 12), (30, 90)])
def test_each_step_is_the_best_for_the_crops_so_far(
    node: str, tmp_path: Path, shape: tuple[int, int]
) -> None:
    tables = [np.random.default_rng(seed).normal(size=shape) for seed in range(4)]
    for table, steps in zip(
        tables,
        in_page(node, tmp_path, [("hungarianSteps", [t.tolist()]) for t in tables]),
        strict=True,
    ):
        assert len(steps) == shape[0]
        for count, pairing in enumerate(steps, start=1):
            assert pairing == linear_sum_assignment(table[:count])[1].tolist()


def test_greedy_and_cheapest_are_what_they_say(
    node: str, tmp_path: Path, player: MatchPlayer
) -> None:
    costs = player.costs().tolist()
    played = in_page(node, tmp_path, [(f"{rule}Steps", [costs]) for rule in ("greedy", "cheapest")])
    for rule, steps in zip(("greedy", "cheapest"), played, strict=True):
        player.rule = rule
        for count, pairing in enumerate(steps, start=1):
            player.step = count
            assert pairing == player.pairing()
    by_hand = [[1.0, 2.0], [1.5, 9.0]]  # greedy takes the 1 and pays the 9; the best pays 2 and 1.5
    greedy, best, cheapest = in_page(
        node,
        tmp_path,
        [(f"{rule}Steps", [by_hand]) for rule in ("greedy", "hungarian", "cheapest")],
    )
    assert (greedy[-1], best, cheapest[-1]) == ([0, 1], [[0], [1, 0]], [0, 0])


def test_the_best_pairing_costs_least(player: MatchPlayer) -> None:
    totals = {}
    for rule in ("hungarian", "greedy", "cheapest"):
        player.rule = rule
        totals[rule] = player.values()["total"]
    assert totals["cheapest"] <= totals["hungarian"] <= totals["greedy"]
    player.rule, player.step = "hungarian", 0
    assert player.values() == {"total": 0, "anchors": 0, "iou": 0}


@pytest.mark.parametrize(
    ("k", "threshold", "eps"), [(1, 0.0, 0.85), (5, 0.3, 0.6), (20, 0.0, 0.7), (20, 0.99, 0.5)]
)
def test_the_top_crops_are_counted_alike(
    node: str, tmp_path: Path, player: MatchPlayer, k: int, threshold: float, eps: float
) -> None:
    player.view, player.k, player.threshold, player.eps = "top", k, threshold, eps
    boxes, validities = some_moment(2)
    (page,) = in_page(
        node,
        tmp_path,
        [("topCrops", [boxes.tolist(), validities.tolist(), TRUTHS.tolist(), k, threshold, eps])],
    )
    values = player.values()
    assert values == {
        "shown": len(page["chosen"]),
        "hits": len(page["hits"]),
        "reached": len(page["reached"]),
    }
    assert values["shown"] <= k
    if eps == 0.5 and threshold == 0:
        assert values["hits"] > 0


def test_an_iou_on_the_edge_is_a_hit(node: str, tmp_path: Path) -> None:
    given = [[[0, 0, 17, 1]], [0.5], [[0, 0, 20, 1]], 1, 0, 0.85]
    (page,) = in_page(node, tmp_path, [("topCrops", given)])
    assert page["hits"] == page["reached"] == [0]


def test_it_carries_a_still_picture_and_is_one_module(player: MatchPlayer) -> None:
    data, _ = player._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert min(still.size) > 250
    assert np.asarray(still).std() > 20  # not a blank
    assert "\nimport " not in player._esm
    assert player._esm.count("\nexport ") == 1
    assert player._esm.count("http") == 1  # the name of SVG, and no other address
    assert "6 good crops, 6 anchors" in repr(player)


BOXES, VALID = some_moment(0)


@pytest.mark.parametrize(
    ("moments", "settings", "error"),
    [
        ({}, {}, BoxError),
        ({"a": (BOXES[:5], VALID[:5])}, {}, BoxError),  # fewer anchors than good crops
        ({"a": (BOXES, VALID), "b": (BOXES[:9], VALID[:9])}, {}, BoxError),
        ({"a": (BOXES, VALID[:5])}, {}, BoxError),
        ({"a": (2 * BOXES, VALID)}, {}, BoxError),
        ({"a": (BOXES, VALID + 1)}, {}, CropnbError),
        ({"a": (BOXES, VALID)}, {"moment": "b"}, CropnbError),
        ({"a": (BOXES, VALID)}, {"rule": "random"}, CropnbError),
        ({"a": (BOXES, VALID)}, {"view": "all"}, CropnbError),
        ({"a": (BOXES, VALID)}, {"k": 0}, CropnbError),
        ({"a": (BOXES, VALID)}, {"eps": 0.2}, CropnbError),
        ({"a": (BOXES, VALID)}, {"threshold": 2}, CropnbError),
    ],
)
def test_bad_input_is_refused(
    photo: Image.Image, moments: dict, settings: dict, error: type[Exception]
) -> None:
    with pytest.raises(error):
        MatchPlayer(photo, TRUTHS, moments, **settings)


def shown(page: Any) -> dict[str, float]:
    """What the visible readouts hold, at full precision."""
    cells = page.locator("output[data-name]:visible").evaluate_all(
        "cells => cells.map((c) => [c.dataset.name, c.dataset.value])"
    )
    return {name: float(value) for name, value in cells}


def assert_as_in_python(page: Any, figure: MatchPlayer) -> dict[str, float]:
    for name in ("view", "moment", "rule", "step", "focal", "k", "threshold", "eps"):
        setattr(figure, name, page.evaluate("(name) => model.get(name)", name))
    numbers = shown(page)
    assert numbers == pytest.approx(figure.values(), abs=1e-6)
    return numbers


@pytest.mark.browser
@pytest.mark.parametrize("width", [820, 390, 320])
def test_the_matching_is_played_and_crops_are_chosen(
    player: MatchPlayer, show: Any, width: int
) -> None:
    page = show(player, width=width, dark=width == 390)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    whole = assert_as_in_python(page, player)
    page.locator("[data-name=first]").click()
    assert assert_as_in_python(page, player)["anchors"] == 0
    slider = page.locator("input[data-name=step]")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "3 of 6"
    assert_as_in_python(page, player)
    page.locator("[data-name=play]").click()
    page.wait_for_function("model.get('step') === 6", timeout=20_000)
    assert assert_as_in_python(page, player) == whole
    for rule in ("greedy", "cheapest"):
        page.locator("select[data-name=rule]").select_option(rule)
        assert_as_in_python(page, player)
    page.locator("input[data-name=focal]").focus()
    page.keyboard.press("Home")
    page.locator("input[data-name=moment]").focus()
    page.keyboard.press("Home")
    assert_as_in_python(page, player)
    page.locator("select[data-name=view]").select_option("top")
    assert assert_as_in_python(page, player)["shown"] == 10
    page.locator("input[data-name=threshold]").focus()
    page.keyboard.press("End")
    page.locator("input[data-name=k]").focus()
    page.keyboard.press("End")
    assert_as_in_python(page, player)
    assert not re.search(r"NaN|undefined|null|Infinity", page.locator(".cropnb").inner_text())


@pytest.mark.browser
def test_a_player_that_goes_leaves_no_listener(player: MatchPlayer, show: Any) -> None:
    page = show(player)
    page.locator("[data-name=first]").click()
    page.locator("[data-name=play]").click()
    assert page.evaluate("count()") > 0
    page.evaluate("stop()")
    assert page.evaluate("count()") == 0
    page.wait_for_timeout(1100)
    assert page.evaluate("model.get('step')") == 0


def test_good_crops_are_black_and_the_sets_crops_have_the_methods_colour(
    player: MatchPlayer,
) -> None:
    from matplotlib.figure import Figure

    player.view, player.k, player.threshold = "top", 3, 0.0
    ax = Figure().subplots()
    player._draw(ax)
    colors = [line.get_color() for line in ax.lines[1::2]]  # without the line below each
    assert colors == [COLORS["black"]] * len(TRUTHS) + [METHOD_COLORS["set_prediction"]] * 3
    assert f'const PURPLE = "{METHOD_COLORS["set_prediction"]}"' in player._esm
    assert "const OURS = PURPLE" in player._esm
