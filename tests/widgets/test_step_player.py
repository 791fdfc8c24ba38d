"""The step player: what it accepts, its formulas against Python's, and how it is used in a page
without a kernel.
"""

import base64
import io
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cropnb import boxes as box_math
from cropnb import widgets
from cropnb.errors import BoxError, CropnbError
from cropnb.la2c import rules
from cropnb.widgets import StepPlayer
from cropnb.widgets.step_player import play_out

FOLDER = Path(widgets.__file__).parent
WIDTH, HEIGHT = 480, 320
TRUTHS = torch.tensor([[48.0, 32, 400, 300], [96.0, 0, 480, 288]])
MOVES = {"stop": (0, 0, 0, 0)}
for side, (name, inward) in enumerate({"left": 1, "top": 1, "right": -1, "bottom": -1}.items()):
    for word, sign in (("in", inward), ("out", -inward)):
        MOVES[f"{name} edge {word}"] = tuple(sign if place == side else 0 for place in range(4))
ACTIONS = {name: index for index, name in enumerate(MOVES)}
RULES = {"divisions": 30, "least": 3, "limit": 12, "match": "mean"}


def an_episode(taken: list[str], seed: int = 0) -> SimpleNamespace:
    """What an agent that chose these actions would have recorded."""
    generator = np.random.default_rng(seed)
    played = play_out(
        [ACTIONS[name] for name in taken], list(MOVES.values()), TRUTHS, (WIDTH, HEIGHT), **RULES
    )
    chances = generator.dirichlet(np.ones(len(MOVES)), len(played["actions"]))
    return SimpleNamespace(
        **played, probabilities=chances, values=generator.normal(1, 1, len(played["actions"]))
    )


@pytest.fixture
def player(photo: Image.Image) -> StepPlayer:
    episodes = {
        "early": an_episode(["top edge in", "left edge in", "left edge out", "bottom edge in"]),
        "late": an_episode(
            ["left edge in", "left edge in", "left edge in", "top edge in", "stop"], seed=1
        ),
    }
    return StepPlayer(photo, TRUTHS, MOVES, episodes, **RULES, alt="A plain of colours")


def in_page(node: str, folder: Path, calls: list[tuple[str, list[Any]]]) -> list[Any]:
    """What the functions of episodes.js answer; it stands behind geometry.js, as in the figure's
    program.
    """
    module = folder / "joined.mjs"
    module.write_text(
        "\n".join((FOLDER / name).read_text("utf-8") for name in ("geometry.js", "episodes.js")),
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


@pytest.mark.parametrize("match", ["mean", "best"])
def test_the_page_plays_as_python_does(node: str, tmp_path: Path, match: str) -> None:
    generator, table = np.random.default_rng(2), list(MOVES.values())
    rules = {**RULES, "match": match, "limit": 90}
    # Mostly inwards, so that some run into the smallest size and some into the border of the photo.
    taken = [
        generator.choice(len(MOVES), 60, p=[0.01, *[0.2, 0.0475] * 4]).tolist() for _ in range(40)
    ]
    page = in_page(
        node,
        tmp_path,
        [("playOut", [t, table, TRUTHS.tolist(), WIDTH, HEIGHT, rules]) for t in taken],
    )
    blocked = 0
    for played, actions in zip(page, taken, strict=True):
        expected = play_out(actions, table, TRUTHS, (WIDTH, HEIGHT), **rules)
        assert played["actions"] == expected["actions"]
        for part in ("boxes", "ious", "rewards"):
            np.testing.assert_allclose(played[part], expected[part], atol=1e-9, err_msg=part)
        sides = np.array(played["boxes"])
        assert (sides[:, 2:] - sides[:, :2] >= np.array([48, 32]) - 1e-9).all()
        assert played["over"] == (0 in played["actions"])
        blocked += sum(a == b for a, b in zip(played["boxes"], played["boxes"][1:], strict=False))
    assert blocked > 10


def test_equation_1_by_hand(node: str, tmp_path: Path) -> None:
    calls = [("signReward", pair) for pair in ([0.5, 0.6], [0.6, 0.5], [0.5, 0.5])]
    assert in_page(node, tmp_path, calls) == [0.6, -0.5, 0]
    half = [0, 0, 1, 0.5]  # one true box is the upper half of the photo, the other the whole
    overlaps = in_page(
        node, tmp_path, [("overlapWith", [half, [half, [0, 0, 1, 1]], m]) for m in ("mean", "best")]
    )
    assert overlaps == [0.75, 1]
    (total,) = in_page(node, tmp_path, [("discountedReturn", [[1, 2, 4], 0.5])])
    assert total == 1 + 1 + 1


def test_the_limit_and_stop_end_an_episode() -> None:
    table = list(MOVES.values())
    taken = [ACTIONS["left edge in"]] * 3 + [ACTIONS["stop"]] + [ACTIONS["top edge in"]] * 20
    stopped = play_out(taken, table, TRUTHS, (WIDTH, HEIGHT), **RULES)
    assert len(stopped["actions"]) == 4
    assert stopped["boxes"][-1] == stopped["boxes"][-2] == [48, 0, 480, 320]
    assert stopped["rewards"][-1] == 0
    assert stopped["ious"][1] == pytest.approx(
        float(box_math.iou(torch.tensor([16.0, 0, 480, 320]), TRUTHS).mean())
    )
    limited = play_out([ACTIONS["top edge in"]] * 20, table, TRUTHS, (WIDTH, HEIGHT), **RULES)
    assert len(limited["actions"]) == RULES["limit"]


@pytest.mark.parametrize("match", ["mean", "best"])
@pytest.mark.parametrize("name", ["la2c", "a2rl"])
def test_the_reader_plays_by_the_rules_of_the_environment(name: str, match: str) -> None:
    actions = rules.ACTIONS[name]
    taken = torch.randint(actions.stop, (60,), generator=torch.Generator().manual_seed(3))
    settings = {
        "divisions": actions.divisions,
        "least": actions.least,
        "limit": len(taken),
        "match": match,
    }
    played = play_out(taken.tolist(), actions.moves, TRUTHS, (WIDTH, HEIGHT), **settings)
    cells, sizes = rules.whole_photo(1, actions), torch.tensor([[WIDTH, HEIGHT]])
    valid = torch.ones(1, len(TRUTHS), dtype=torch.bool)
    before = rules.overlap(rules.to_pixels(cells, sizes, actions), TRUTHS[None], valid, match)
    for step, action in enumerate(taken):
        cells = rules.move(cells, action[None], actions)
        box = rules.to_pixels(cells, sizes, actions)
        after = rules.overlap(box, TRUTHS[None], valid, match)
        assert played["boxes"][step + 1] == pytest.approx(box[0].tolist())
        assert played["rewards"][step] == pytest.approx(
            float(rules.iou_sign(before, after)), abs=1e-9
        )
        before = after
    assert min(played["rewards"]) < 0 < max(played["rewards"])


def test_python_says_what_the_figure_shows(player: StepPlayer) -> None:
    assert player.shown == "late"
    whole = float(box_math.iou(torch.tensor([0.0, 0, 480, 320]), TRUTHS).mean())
    assert player.values()["iou"] == pytest.approx(whole, abs=1e-5)  # recorded to five decimals
    player.step = 2
    episode = player.episodes[1]
    values = player.values()
    assert values["return"] == pytest.approx(episode["rewards"][0] + 0.9 * episode["rewards"][1])
    assert values["value"] == episode["values"][2]
    player.step = 99
    assert "value" not in player.values()
    player.shown, player.taken = "you", [ACTIONS["left edge in"]]
    assert (
        player.values()["reward"]
        == pytest.approx(player.values()["iou"])
        == player.values()["return"]
    )
    assert "late: 5 steps to IoU" in repr(player)


def test_it_carries_a_still_picture_and_is_one_module(player: StepPlayer) -> None:
    data, _ = player._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert min(still.size) > 250
    assert np.asarray(still).std() > 20  # not a blank
    assert player._repr_mimebundle_()[0] == data
    assert "\nimport " not in player._esm
    assert player._esm.count("\nexport ") == 1
    assert player._esm.count("http") == 1  # the name of SVG, and no other address


@pytest.mark.parametrize(
    "spoil",
    [
        {"actions": [1, 2]},
        {"actions": [1, 2, 3, 99]},
        {"probabilities": np.zeros((4, 3))},
        {"values": [1, 2, 3, float("nan")]},
        {"boxes": [[0, 0, 481, 320]] * 5},
        {"rewards": [1]},
    ],
)
def test_an_episode_that_does_not_fit_is_refused(photo: Image.Image, spoil: dict[str, Any]) -> None:
    episode = an_episode(["top edge in", "left edge in", "left edge out", "bottom edge in"])
    StepPlayer(photo, TRUTHS, MOVES, {"good": episode}, **RULES)
    with pytest.raises(BoxError):
        StepPlayer(
            photo, TRUTHS, MOVES, {"bad": SimpleNamespace(**{**vars(episode), **spoil})}, **RULES
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"moves": {}},
        {"moves": {"in": (1, 0)}},
        {"least": 0},
        {"limit": 0},
        {"match": "median"},
        {"gamma": 1.2},
        {"shown": "nobody"},
    ],
)
def test_settings_without_sense_are_refused(photo: Image.Image, settings: dict[str, Any]) -> None:
    with pytest.raises(CropnbError):
        StepPlayer(photo, TRUTHS, **{"moves": MOVES, **settings})
    figure = StepPlayer(photo, TRUTHS, MOVES)
    assert figure.shown == "you"
    with pytest.raises(CropnbError):
        figure.taken = [len(MOVES)]
    with pytest.raises(CropnbError):
        figure.step = -1


def shown(page: Any) -> dict[str, float]:
    """What the figure prints, at full precision, after checking that the text is that number
    rounded.
    """
    cells = page.locator("output[data-name]").evaluate_all(
        "cells => cells.map((cell) => [cell.dataset.name, cell.dataset.value, cell.textContent])"
    )
    numbers = {name: float(value) for name, value, _ in cells if value}
    for name, value, text in cells:
        assert (
            text == "–"
            if not value
            else text.replace("−", "-") == f"{numbers[name]:.3f}".replace("-0.000", "0.000")
        )
    return numbers


def assert_as_in_python(page: Any, figure: StepPlayer) -> dict[str, float]:
    for name in ("shown", "step", "taken", "gamma"):
        setattr(figure, name, page.evaluate("(name) => model.get(name)", name))
    numbers = shown(page)
    assert numbers == pytest.approx(figure.values(), abs=1e-6)
    return numbers


@pytest.mark.browser
@pytest.mark.parametrize("width", [820, 390, 320])
def test_recorded_episodes_are_walked_through(player: StepPlayer, show: Any, width: int) -> None:
    page = show(player, width=width)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert assert_as_in_python(page, player)["reward"] == 0
    slider = page.locator("input[data-name=step]")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "step 3 of 5"
    assert assert_as_in_python(page, player)["reward"] != 0
    chosen = page.locator(".cropnb-chosen")
    assert chosen.count() == 1
    chance = player.episodes[1]["probabilities"][3][ACTIONS["top edge in"]]
    assert chosen.inner_text().split("\n") == ["top edge in", f"{100 * chance:.1f} %"]
    page.keyboard.press("End")
    assert "value" not in assert_as_in_python(page, player)
    assert page.locator(".cropnb-chosen").count() == 0
    page.locator("select[data-name=shown]").select_option("early")
    assert slider.get_attribute("max") == "4"
    assert assert_as_in_python(page, player)["return"] == 0
    page.locator("input[data-name=gamma]").focus()
    page.keyboard.press("Home")
    slider.focus()
    page.keyboard.press("End")
    assert page.evaluate("model.get('gamma')") == 0.5
    assert_as_in_python(page, player)
    assert not re.search(r"NaN|undefined|null|Infinity", page.locator(".cropnb").inner_text())


@pytest.mark.browser
def test_an_episode_plays_and_pauses(player: StepPlayer, show: Any) -> None:
    page = show(player)
    page.locator("[data-name=play]").click()
    page.wait_for_function("model.get('step') === 2", timeout=20_000)
    page.locator("[data-name=play]").click()
    at = page.evaluate("model.get('step')")
    page.wait_for_timeout(900)
    assert page.evaluate("model.get('step')") == at
    page.locator("[data-name=play]").click()
    page.wait_for_function("model.get('step') === 5", timeout=20_000)
    assert page.locator("[data-name=play]").inner_text() == "▶ Play"
    page.locator("[data-name=first]").click()
    assert page.evaluate("model.get('step')") == 0


@pytest.mark.browser
@pytest.mark.parametrize("touch", [False, True])
def test_the_reader_is_the_agent(player: StepPlayer, show: Any, touch: bool) -> None:
    page = show(player, width=390 if touch else 820, touch=touch)
    page.locator("select[data-name=shown]").select_option("you")
    press = (lambda key: key.tap()) if touch else (lambda key: key.click())
    for name in ("left edge in", "left edge out", "bottom edge in", "bottom edge out"):
        key = page.get_by_role("button", name=name, exact=True)
        assert key.bounding_box()["width"] >= 44
        press(key)
        assert_as_in_python(page, player)
    press(page.locator("[data-name=undo]"))
    assert len(page.evaluate("model.get('taken')")) == 3
    if not touch:
        for combination in (
            "ArrowLeft",
            "ArrowUp",
            "Shift+ArrowUp",
            "ArrowRight",
            "Shift+ArrowRight",
        ):
            page.keyboard.press(combination)  # undo has the focus: not the pad, so nothing may move
        assert len(page.evaluate("model.get('taken')")) == 3
        page.get_by_role("button", name="stop").focus()
        for combination in (
            "ArrowLeft",
            "ArrowUp",
            "Shift+ArrowUp",
            "ArrowRight",
            "Shift+ArrowRight",
        ):
            page.keyboard.press(combination)
        names = [list(MOVES)[action] for action in page.evaluate("model.get('taken')")[3:]]
        expected = [
            "left edge in",
            "top edge in",
            "top edge out",
            "right edge in",
            "right edge out",
        ]
        assert names == expected
        assert page.evaluate("scrollY") == 0
        assert_as_in_python(page, player)
    press(page.get_by_role("button", name="stop"))
    assert page.get_by_role("button", name="left edge in", exact=True).is_disabled()
    ended = player.episodes[1]["ious"][-1]
    assert f"ended at {ended:.3f}" in page.locator(".cropnb-verdict").inner_text()
    assert assert_as_in_python(page, player)["reward"] == 0
    press(page.locator("[data-name=again]"))
    assert page.evaluate("model.get('taken')") == []
    for _ in range(RULES["limit"]):
        press(page.get_by_role("button", name="top edge in", exact=True))
    assert page.get_by_role("button", name="stop").is_disabled()
    assert_as_in_python(page, player)


@pytest.mark.browser
def test_the_true_box_can_be_hidden(player: StepPlayer, show: Any) -> None:
    page = show(player)
    count = page.locator(".cropnb-picture svg rect[stroke]").count()
    page.get_by_label("show true boxes").uncheck()
    assert page.locator(".cropnb-picture svg rect[stroke]").count() == count - 2 * len(TRUTHS)


@pytest.mark.browser
def test_a_player_that_goes_leaves_no_listener(player: StepPlayer, show: Any) -> None:
    page = show(player, dark=True)
    page.locator("[data-name=play]").click()
    assert page.evaluate("count()") > 0
    page.evaluate("stop()")
    assert page.evaluate("count()") == 0
    at = page.evaluate("model.get('step')")
    page.wait_for_timeout(900)
    assert page.evaluate("model.get('step')") == at
