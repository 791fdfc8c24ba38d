"""The figures used as a reader uses them, in a page opened from a file: no kernel, no server, no
network.
"""

import re
from typing import Any

import pytest
import torch

from cropnb import metrics

pytestmark = pytest.mark.browser


def shown(page: Any) -> dict[str, float]:
    """What the figure prints, at full precision, after checking that the text is that number
    rounded.
    """
    cells = page.locator("output[data-name]").evaluate_all(
        "cells => cells.map((cell) => [cell.dataset.name, cell.dataset.value, cell.textContent])"
    )
    for name, value, text in cells:
        number = re.match(r"-?[\d.]+", text.replace("−", "-")).group()
        assert round(float(value), len(number.partition(".")[2])) == pytest.approx(
            float(number), abs=1e-3
        ), name
    return {name: float(value) for name, value, _ in cells}


def model(page: Any, name: str) -> Any:
    return page.evaluate("(name) => model.get(name)", name)


def at(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the photo lies on the screen."""
    area = page.locator(".cropnb-picture svg").bounding_box()
    return area["x"] + x / 480 * area["width"], area["y"] + y / 320 * area["height"]


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *start))
    page.mouse.down()
    page.mouse.move(*at(page, *end), steps=4)
    page.mouse.up()


def assert_as_in_python(page: Any, figure: Any) -> dict[str, float]:
    figure.box = model(page, "box")
    numbers, expected = shown(page), figure.values()
    assert set(numbers) <= set(expected)
    assert numbers == pytest.approx({name: expected[name] for name in numbers}, abs=1e-6)
    return numbers


@pytest.mark.parametrize(("width", "dark"), [(820, False), (390, False), (820, True)])
def test_nothing_overflows_or_is_blank(figure: Any, width: int, dark: bool, show: Any) -> None:
    page = show(figure, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    svg = page.locator(".cropnb-picture svg").bounding_box()
    assert svg["width"] / svg["height"] == pytest.approx(480 / 320, rel=0.01)
    assert svg["width"] > 340
    assert page.evaluate(
        "document.querySelector('image').getAttribute('href').startsWith('data:image/jpeg')"
    )
    assert shown(page)
    texts = page.locator(".cropnb").inner_text()
    assert not re.search(r"NaN|undefined|null|Infinity", texts)
    # Every control is named for a screen reader, and can be reached with the keyboard.
    unnamed = """nodes => nodes.filter((node) => !node.getAttribute("aria-label")
        && !(node.labels ?? []).length
        && !node.textContent.trim()).length"""
    assert (
        page.locator("input, select, button, [role=application], [role=listbox]").evaluate_all(
            unnamed
        )
        == 0
    )
    assert page.locator(".cropnb").get_attribute("aria-label")


def test_a_crop_is_moved_and_resized_with_the_mouse(explorer: Any, show: Any) -> None:
    page = show(explorer)
    assert model(page, "box") == [72, 48, 408, 272]
    before = assert_as_in_python(page, explorer)
    drag(page, (240, 160), (204, 141))
    moved = model(page, "box")
    assert moved == pytest.approx([36, 29, 372, 253], abs=1)
    drag(page, (moved[0], moved[1]), (60, 60))  # the corner, left and up
    assert model(page, "box") == pytest.approx([60, 60, *moved[2:]], abs=1)
    drag(page, (moved[2], 120), (440, 10))  # the right edge: only x counts
    assert model(page, "box") == pytest.approx([60, 60, 440, moved[3]], abs=1)
    assert assert_as_in_python(page, explorer)["iou"] != before["iou"]
    drag(page, (200, 150), (900, 900))  # out of the photo: it stays inside
    assert model(page, "box")[2:] == [480, 320]
    assert_as_in_python(page, explorer)


def test_a_crop_is_moved_and_resized_with_the_keyboard(explorer: Any, show: Any) -> None:
    page = show(explorer)
    page.locator("[role=application]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert model(page, "box") == [75, 45, 411, 269]
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert model(page, "box") == [75, 45, 408, 272]
    page.keyboard.press("-")
    assert model(page, "box") == [78, 47, 405, 270]
    label = page.locator("[role=application]").get_attribute("aria-label")
    assert "left 78, top 47, right 405, bottom 270" in label
    numbers = assert_as_in_python(page, explorer)
    spoken = "(text) => document.querySelector('[aria-live]').textContent.includes(text)"
    page.wait_for_function(spoken, arg=f"IoU {numbers['iou']:.3f} with true box 1", timeout=10_000)
    page.locator("input[data-name=right]").fill("470")
    page.keyboard.press("Enter")
    page.locator("input[data-name=top]").fill("9000")  # below its own bottom: as far as it goes
    page.keyboard.press("Tab")
    assert model(page, "box") == [78, 254, 470, 270]
    assert_as_in_python(page, explorer)


def test_a_crop_is_moved_with_a_finger(explorer: Any, show: Any) -> None:
    page = show(explorer, width=390, touch=True)
    session = page.context.new_cdp_session(page)
    points = [at(page, 240, 160), at(page, 250, 165), at(page, 270, 190)]
    for kind, point in zip(("touchStart", "touchMove", "touchMove"), points, strict=True):
        touch = [{"x": point[0], "y": point[1]}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touch})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(100)
    assert model(page, "box") == pytest.approx([102, 78, 438, 302], abs=1)
    assert_as_in_python(page, explorer)


def test_scores_follow_slider_column_and_size(candidate_scores: Any, show: Any) -> None:
    page = show(candidate_scores)
    reference, scores = (torch.tensor(column) for column in candidate_scores.columns)
    count = len(scores)

    def check(k: int, n: int, column: torch.Tensor) -> None:
        numbers = shown(page)
        assert numbers["acc"] == pytest.approx(
            float(metrics.acc_kn(column, reference, k, n)), abs=1e-6
        )
        assert numbers["srcc"] == pytest.approx(float(metrics.srcc(column, reference)), abs=1e-6)
        order = page.locator("[role=option]").evaluate_all(
            "rows => rows.map((row) => Number(row.dataset.index))"
        )
        assert order == torch.argsort(column, descending=True, stable=True).tolist()
        # K boxes, each a white and a coloured line.
        assert page.locator(".cropnb-picture svg rect[stroke]").count() == 2 * k

    check(4, 5, scores)
    page.locator("input[data-name=k]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    check(6, 5, scores)
    page.locator("select[data-name=n]").select_option("10")
    check(6, 10, scores)
    page.locator("select[data-name=column]").select_option("annotators")
    check(6, 10, reference)
    assert page.locator("[role=option]").count() == count


def test_rows_are_walked_with_mouse_and_arrow_keys(candidate_scores: Any, show: Any) -> None:
    page = show(candidate_scores)
    page.locator("[role=option]").nth(6).hover()
    assert page.locator(".cropnb-picture svg text").text_content() == "rank 7"
    page.locator("[role=listbox]").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(".cropnb-picture svg text").text_content() == "rank 8"
    page.keyboard.press("End")
    last = page.locator("[role=option]").last
    assert last.get_attribute("aria-selected") == "true"
    assert page.locator("[role=listbox]").get_attribute(
        "aria-activedescendant"
    ) == last.get_attribute("id")
    assert page.evaluate("scrollY") == 0
    assert last.is_visible()


def test_rules_are_switched_and_the_subject_moved(composition: Any, show: Any) -> None:
    page = show(composition)
    assert page.locator("line[stroke='black']").count() == 4 + 2
    assert_as_in_python(page, composition)
    page.get_by_label("Diagonals").uncheck()
    page.get_by_label("Centre").check()
    assert model(page, "rules") == ["thirds", "centre"]
    assert page.locator("line[stroke='black']").count() == 4 + 2
    composition.rules = model(page, "rules")
    assert_as_in_python(page, composition)
    drag(page, (150, 120), (160, 107))
    composition.subject = model(page, "subject")
    assert composition.subject == pytest.approx([160, 107], abs=1)
    assert assert_as_in_python(page, composition)["distance"] < 0.01
    page.locator("[aria-roledescription='movable point']").focus()
    page.keyboard.press("ArrowRight")
    assert model(page, "subject") == [composition.subject[0] + 3, composition.subject[1]]
    drag(page, (300, 200), (310, 230))
    assert model(page, "box") == pytest.approx([70, 70, 370, 270], abs=1)


def test_weights_change_the_ranking_and_come_back(score_terms: Any, show: Any) -> None:
    page = show(score_terms)

    def check() -> dict[str, float]:
        score_terms.weights = model(page, "weights")
        numbers, expected = shown(page), score_terms.values()
        assert numbers == pytest.approx({name: expected[name] for name in numbers}, abs=1e-6)
        first = page.locator("[role=option]").first
        assert int(first.get_attribute("data-index")) == expected["best"]
        return numbers

    start = check()
    assert start["same"] == pytest.approx(1)
    assert page.locator("button").is_disabled()
    page.locator("input[data-name=a]").focus()
    page.keyboard.press("Home")
    page.locator("input[data-name=c]").focus()
    page.keyboard.press("End")
    assert model(page, "weights") == [0, 10, 50]
    assert check()["same"] < 0.9
    assert page.locator(".cropnb-picture svg text").first.text_content() == "before"
    page.locator("button").click()
    assert check() == start


def test_a_figure_that_goes_leaves_no_listener(figure: Any, show: Any) -> None:
    page = show(figure)
    assert page.evaluate("count()") > 0
    page.evaluate("stop()")
    assert page.evaluate("count()") == 0


def test_patterns_and_shapes_are_switched_and_the_best_crop_found(
    pattern_explorer: Any, show: Any
) -> None:
    page = show(pattern_explorer)

    def check() -> dict[str, float]:
        for name in ("pattern", "shape", "box"):
            setattr(pattern_explorer, name, model(page, name))
        numbers, expected = shown(page), pattern_explorer.values()
        assert numbers == pytest.approx({name: expected[name] for name in numbers}, abs=1e-3)
        means, shares = pattern_explorer.partition_scores()
        cells = page.locator("td[data-value]").evaluate_all(
            "cells => cells.map((cell) => cell.dataset.value)"
        )
        assert len(cells) == len(means)
        read = [float(cell) if cell else 0.0 for cell in cells]
        assert read == pytest.approx(means.tolist(), abs=1e-6)
        assert [cell == "" for cell in cells] == [share == 0 for share in shares.tolist()]
        return numbers

    start = check()
    drag(page, (240, 160), (204, 141))
    assert check()["score"] != start["score"]
    page.get_by_role("button", name="Go to the best candidate").click()
    assert check()["rank"] == 1
    assert model(page, "box") == pattern_explorer.candidates[pattern_explorer.values()["best"]]
    assert page.locator("button").is_disabled()
    assert page.locator("tbody tr td:last-child").evaluate_all(
        "cells => cells.every((c) => c.textContent === '0.000')"
    )
    for name in ("grid_5x5", "multi_direction"):
        page.locator("select[data-name=pattern]").select_option(name)
        check()
        assert page.locator("path[data-partition]").count() == len(
            pattern_explorer.partition_scores()[0]
        )
    page.locator("select[data-name=view]").select_option("pixels")
    assert page.locator("path[data-partition]").count() == 0
    assert page.locator("g image").get_attribute("href").startswith("data:image/png")


def test_a_circle_stays_one_however_it_is_pulled(pattern_explorer: Any, show: Any) -> None:
    page = show(pattern_explorer, width=390)
    page.locator("select[data-name=shape]").select_option("circle")
    left, top, right, bottom = model(page, "box")
    assert right - left == bottom - top == 224
    drag(page, (right, (top + bottom) / 2), (right + 60, 10))
    left, top, right, bottom = model(page, "box")
    assert right - left == bottom - top == pytest.approx(284, abs=2)
    page.locator("[role=application]").focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("-")
    left, top, right, bottom = model(page, "box")
    assert right - left == bottom - top < 284
    pattern_explorer.shape, pattern_explorer.box = "circle", [left, top, right, bottom]
    expected = pattern_explorer.values()
    assert shown(page) == pytest.approx(
        {name: expected[name] for name in ("score", "rank")}, abs=1e-3
    )
    assert page.locator("circle").count() == 4


def test_a_row_shows_its_partition(pattern_explorer: Any, show: Any) -> None:
    page = show(pattern_explorer)
    marked = page.locator(".cropnb-picture path[fill=white]")
    assert not marked.get_attribute("d")
    page.locator("tbody tr").nth(3).hover()
    partition = page.locator("path[data-partition='3']").get_attribute("d")
    assert marked.get_attribute("d") == partition
