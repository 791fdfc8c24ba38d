"""The panels of ACC 1/N: the page's ranking equals Python's, and both follow ε, N and the reading
of ties.
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
from PIL import Image
from scipy.stats import binomtest

from cropnb.errors import CropnbError
from cropnb.notebook import METHOD_COLORS
from cropnb.widgets import ToleranceExplorer, tolerance_explorer

FOLDER = Path(tolerance_explorer.__file__).parent
EPSILONS = [0.8, 0.85, 0.9, 1.0]
TITLES = ("GAICD, 200 photos", "Scenes, 40 scenes")


def some_curve(name: str, kind: str, photos: int, seed: int, acc: int | None) -> dict[str, Any]:
    """Counts that fall with ε and rise with N; `acc`: how many rows its Acc 1/N has."""
    generator = np.random.default_rng(seed)
    counts = np.sort(np.sort(generator.integers(0, photos + 1, (3, 4, 6)), axis=2), axis=1)[:, ::-1]
    if kind == "chance":
        counts = counts / 3
    rows = dict(zip(("first", "any", "worst"), counts.round(1).tolist(), strict=True))
    marks = (
        None
        if acc is None
        else np.sort(generator.integers(0, photos + 1, (acc, 6)), axis=1).tolist()
    )
    return {"name": name, "kind": kind, **rows, "acc": marks, "note": f"about {name}"}


def some_panels() -> dict[str, dict[str, Any]]:
    kinds = {
        "right": ("oracle", 1),
        "blind set": ("blind", 4),
        "dice": ("chance", 1),
        "net": ("method", None),
    }
    return {
        title: {
            "photos": photos,
            "curves": [
                some_curve(name, kind, photos, seed + photos, acc)
                for seed, (name, (kind, acc)) in enumerate(kinds.items())
            ],
        }
        for title, photos in zip(TITLES, (200, 40), strict=True)
    }


@pytest.fixture
def explorer() -> ToleranceExplorer:
    printed = {TITLES[0]: {(0.85, 5): ("paper", 81.5), (0.9, 6): ("paper", 74.5)}}
    return ToleranceExplorer(some_panels(), EPSILONS, printed, eps=0.85, n=5)


def in_page(node: str, folder: Path, calls: list[tuple[str, list[Any]]]) -> list[Any]:
    module = folder / "formulas.mjs"
    module.write_text((FOLDER / "ranking_at.js").read_text("utf-8"), "utf-8")
    program = (
        f"import * as all from {json.dumps(module.as_uri())};"
        "const formulas = { ...all, rankingAt: (panel, ...rest) => "
        "all.rankingAt(all.unpackPanel(panel), ...rest) };"
        "let text = ''; for await (const part of process.stdin) text += part;"
        "console.log(JSON.stringify(JSON.parse(text).map(([name, values]) => "
        "formulas[name](...values))));"
    )
    command = [node, "--input-type=module", "-e", program]
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_page_ranks_as_python_does(
    node: str, tmp_path: Path, explorer: ToleranceExplorer
) -> None:
    calls, expected = [], []
    for at, eps in enumerate(EPSILONS):
        for n in range(1, 7):
            for among in tolerance_explorer.AMONG:
                explorer.at, explorer.n, explorer.among = at, n, among
                for index, panel in enumerate(explorer.panels):
                    calls.append(("rankingAt", [panel, at, n, among, eps]))
                    expected.append(explorer.ranking(index))
    for page, rows in zip(in_page(node, tmp_path, calls), expected, strict=True):
        assert [row["name"] for row in page] == [row["name"] for row in rows]
        for mine, own in zip(page, rows, strict=True):
            assert mine["kind"] == own["kind"]
            for key in ("value", "interval", "acc"):
                assert mine[key] == (
                    None if own[key] is None else pytest.approx(own[key], abs=1e-9)
                ), key


@pytest.mark.parametrize("photos", [1, 40, 200])
def test_the_interval_is_wilsons(node: str, tmp_path: Path, photos: int) -> None:
    hits = sorted({0, 1, photos // 3, photos - 1, photos})
    for count, ends in zip(
        hits, in_page(node, tmp_path, [("wilson", [k, photos]) for k in hits]), strict=True
    ):
        interval = binomtest(count, photos).proportion_ci(method="wilson")
        assert ends == pytest.approx([100 * interval.low, 100 * interval.high], abs=1e-6)
        assert tolerance_explorer.wilson(count, photos) == pytest.approx(ends, abs=1e-6)


def test_a_row_by_hand(explorer: ToleranceExplorer) -> None:
    curve = some_panels()[TITLES[0]]["curves"][1]
    row = next(row for row in explorer.ranking(0) if row["name"] == "blind set")
    assert row["value"] == curve["first"][1][4] / 2  # of 200 photos, at ε = 0.85 and N = 5
    assert row["acc"] == curve["acc"][1][4] / 2
    assert row["interval"][0] < row["value"] < row["interval"][1]
    in_order = [row["value"] for row in explorer.ranking(0)]
    assert in_order == sorted(in_order, reverse=True)
    dice = next(row for row in explorer.ranking(0) if row["name"] == "dice")
    assert dice["interval"] is None


def test_a_method_has_its_colour_and_what_never_looks_is_grey() -> None:
    panels = some_panels()
    for panel in panels.values():
        panel["curves"] += [some_curve("vrn, its own", "method", panel["photos"], 9, None)]
    printed = {TITLES[0]: {(0.85, 5): ("set prediction, as printed", 81.5)}}
    figure = ToleranceExplorer(panels, EPSILONS, printed, eps=0.85, n=5)
    colors = {row["name"]: row["color"] for row in figure.ranking(0)}
    assert colors["vrn, its own"] == METHOD_COLORS["vrn"]
    assert colors["set prediction, as printed"] == METHOD_COLORS["set_prediction"]
    assert colors["right"] == "#000000"
    assert colors["blind set"] == colors["dice"] == "#8C8C8C"


def test_packed_tables_come_back(node: str, tmp_path: Path, explorer: ToleranceExplorer) -> None:
    (page,) = in_page(node, tmp_path, [("unpackPanel", [explorer.panels[1]])])
    for own, packed, unpacked in zip(
        some_panels()[TITLES[1]]["curves"],
        explorer.panels[1]["curves"],
        page["curves"],
        strict=True,
    ):
        for key in (*tolerance_explorer.AMONG, "acc"):
            assert unpacked[key] == own[key]
            assert tolerance_explorer.unpack(packed[key]) == (own[key] or [])


def test_a_printed_row_stands_only_where_it_is_printed(explorer: ToleranceExplorer) -> None:
    def printed() -> list[float]:
        rows = [row for index in range(2) for row in explorer.ranking(index)]
        return [row["value"] for row in rows if row["kind"] == "printed"]

    assert printed() == [81.5]
    explorer.n = 6
    assert printed() == []
    explorer.at = 2
    assert printed() == [74.5]


def test_it_carries_a_still_picture_and_stays_the_same(explorer: ToleranceExplorer) -> None:
    data, _ = explorer._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert min(still.size) > 150
    assert np.asarray(still).std() > 20
    assert explorer._repr_mimebundle_()[0] == data
    assert "ε = 0.85, N = 5" in repr(explorer)
    assert "\nimport " not in explorer._esm
    assert explorer._esm.count("\nexport ") == 1
    assert explorer._esm.count("http") == 1  # the name of SVG


@pytest.mark.parametrize("change", [{"n": 0}, {"n": 7}, {"among": "luckiest"}])
def test_bad_settings_are_refused(explorer: ToleranceExplorer, change: dict[str, Any]) -> None:
    with pytest.raises(CropnbError):
        ToleranceExplorer(some_panels(), EPSILONS, **change)
    for name, value in change.items():
        with pytest.raises(CropnbError):
            setattr(explorer, name, value)


def test_bad_panels_are_refused() -> None:
    with pytest.raises(CropnbError, match="no panel"):
        ToleranceExplorer({}, EPSILONS)
    with pytest.raises(CropnbError, match="no curves"):
        ToleranceExplorer({"a": {"photos": 3, "curves": []}}, EPSILONS)
    with pytest.raises(CropnbError, match="3 thresholds"):
        ToleranceExplorer(some_panels(), EPSILONS[:3])


def assert_as_in_python(page: Any, figure: ToleranceExplorer) -> list[list[str]]:
    for name in ("at", "n", "among"):
        setattr(figure, name, page.evaluate("(name) => model.get(name)", name))
    boards = page.locator("ol.cropnb-race")
    assert boards.count() == len(figure.panels)
    names = []
    for index in range(boards.count()):
        items = boards.nth(index).locator("li")
        measured = items.evaluate_all(
            "items => items.map((item) => [item.dataset.name, item.dataset.value, item.innerText, "
            "item.dataset.acc])"
        )
        rows = figure.ranking(index)
        assert [one[0] for one in measured] == [row["name"] for row in rows]
        for (_, value, text, acc), row in zip(measured, rows, strict=True):
            assert float(value) == pytest.approx(row["value"], abs=1e-6)
            shown = float(re.search(r"(\d+\.\d)(?: \[|$)", text.strip())[1])
            assert shown == pytest.approx(row["value"], abs=0.0501)
            assert (acc is None) == (row["acc"] is None)
        names.append([one[0] for one in measured])
    return names


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(820, False), (390, False), (320, True), (820, True)])
def test_nothing_overflows_and_all_is_named(
    explorer: ToleranceExplorer, show: Any, width: int, dark: bool
) -> None:
    page = show(explorer, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not re.search(r"NaN|undefined|null|Infinity", page.locator(".cropnb").inner_text())
    unnamed = """nodes => nodes.filter((node) => !node.getAttribute("aria-label")
        && !(node.labels ?? []).length
        && !node.textContent.trim()).length"""
    assert page.locator("input, select, button, ol").evaluate_all(unnamed) == 0
    bars = page.locator(".cropnb-race .cropnb-track span")
    styles = bars.evaluate_all("bars => bars.map((bar) => bar.getAttribute('style'))")
    # people's order, a method, print, what never looks, dice
    assert len({style.partition("; ")[2] for style in styles}) == 5
    sections = [
        page.locator(".cropnb-boards section").nth(index).bounding_box() for index in range(2)
    ]
    beside = sections[0]["y"] == sections[1]["y"]
    assert beside == (width > 600)
    assert_as_in_python(page, explorer)


@pytest.mark.browser
def test_it_is_moved_by_keyboard_and_the_rows_change_places(
    explorer: ToleranceExplorer, show: Any
) -> None:
    page = show(explorer)
    before = assert_as_in_python(page, explorer)
    assert "paper" in before[0]
    page.locator("input[data-name=n]").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("model.get('n')") == 6
    assert "paper" not in assert_as_in_python(page, explorer)[0]
    page.locator("input[data-name=at]").focus()
    page.keyboard.press("End")
    assert (
        page.locator("input[data-name=at]").get_attribute("aria-valuetext") == "1.00, the very crop"
    )
    strict = assert_as_in_python(page, explorer)
    page.keyboard.press("Home")
    assert assert_as_in_python(page, explorer) != strict
    page.locator("select").select_option("worst")
    assert explorer.among == "first"
    assert_as_in_python(page, explorer)
    assert explorer.among == "worst"


@pytest.mark.browser
def test_it_speaks_and_leaves_no_listener(explorer: ToleranceExplorer, show: Any) -> None:
    page = show(explorer, width=390, touch=True)
    box = page.locator("input[data-name=n]").bounding_box()
    page.touchscreen.tap(box["x"] + 3, box["y"] + box["height"] / 2)
    assert page.evaluate("model.get('n')") == 1
    live = "document.querySelector('[aria-live]').textContent"
    spoken = rf"() => /Tolerance 0.85, 1 crops\. GAICD/.test({live})"
    page.wait_for_function(spoken, timeout=10_000)
    assert page.evaluate("count()") > 0
    page.evaluate("stop()")
    assert page.evaluate("count()") == 0
