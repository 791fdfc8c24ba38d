"""The ratio slider: what it accepts, its formulas against those in Python, and its use without a
kernel.
"""

import base64
import io
import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cropnb import widgets
from cropnb.errors import BoxError, CropnbError
from cropnb.mars import crops_from_maps
from cropnb.widgets import RatioSlider
from cropnb.widgets.ratio_slider import Recording, largest_window, pack, unpack

FOLDER = Path(widgets.__file__).parent
RATIOS = torch.linspace(-math.log(2), math.log(2), 29, dtype=torch.float64).exp()


def some_maps(height: int, width: int, seed: int, ratios: torch.Tensor = RATIOS) -> torch.Tensor:
    """Maps (R, height, width) like a network's: a soft patch that changes its shape with the ratio,
    and some noise.
    """
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    noise = torch.randn(1, 1, 6, 8, generator=generator)
    bumps = F.interpolate(noise, (height, width), mode="bilinear", align_corners=False)[0, 0]
    shift, size = (
        torch.rand(2, generator=generator) - 0.5,
        0.4 + 0.5 * torch.rand(1, generator=generator),
    )
    stretch = ratios.float()[:, None, None].sqrt()
    u, v = (x - 0.6 * shift[0]) / (size * stretch), (y - 0.6 * shift[1]) / (size / stretch)
    return torch.sigmoid(2 * (1 - u**4 - v**4) + bumps / 2)


@pytest.fixture
def slider(photo: Image.Image) -> RatioSlider:
    upright = photo.transpose(Image.Transpose.ROTATE_90)
    recordings = {
        "plain": Recording(photo, some_maps(43, 64, 0), (7.5, 7.5), "A plain of colours"),
        "upright": Recording(upright, some_maps(64, 43, 1), (7.5, 7.5), "The same plain, upright"),
    }
    return RatioSlider(recordings, RATIOS, crops_from_maps, ratio=1.5)


def in_page(node: str, folder: Path, calls: list[tuple[str, list[Any]]]) -> list[Any]:
    """What the functions of ratio_maps.js answer, a typed array as a list."""
    module = folder / "formulas.mjs"
    module.write_text((FOLDER / "ratio_maps.js").read_text("utf-8"), "utf-8")
    program = (
        f"import * as formulas from {json.dumps(module.as_uri())};"
        "let text = ''; for await (const part of process.stdin) text += part;"
        "const plain = (value) => (value instanceof Uint8Array ? [...value] : value);"
        "console.log(JSON.stringify(JSON.parse(text).map(([name, values]) => "
        "plain(formulas[name](...values)))));"
    )
    command = [node, "--input-type=module", "-e", program]
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hard_levels() -> np.ndarray:
    """Levels (R, n) with all that the code has a word for: long and short runs, small changes,
    leaps both ways.
    """
    generator = np.random.default_rng(0)
    still = np.zeros((2, 700), np.uint8)
    steps = np.cumsum(generator.integers(-7, 8, (4, 700)), axis=0).astype(np.uint8)
    short = np.repeat(generator.integers(0, 256, (1, 140)), 5, axis=1).astype(np.uint8)
    return np.concatenate(
        [still, steps, generator.integers(0, 256, (3, 700)).astype(np.uint8), short, short, still]
    )


@pytest.mark.parametrize("cut", [700, 699, 1])
def test_packed_maps_come_back_exactly(node: str, tmp_path: Path, cut: int) -> None:
    levels = hard_levels()[:, :cut]
    code = pack(levels)
    assert (unpack(code, levels.size, cut) == levels.ravel()).all()
    (page,) = in_page(node, tmp_path, [("unpackMaps", [code, len(levels), cut])])
    assert page == levels.ravel().tolist()


def test_maps_of_neighbouring_ratios_pack_well() -> None:
    maps = (some_maps(43, 64, 0) * 256).floor().numpy().astype(np.uint8).reshape(29, -1)
    assert len(pack(maps)) < 0.7 * len(base64.b64encode(maps.tobytes()))


@pytest.mark.parametrize("step", [1, 8, 64])
def test_fewer_levels_are_read_as_the_middle_of_their_step(
    node: str, tmp_path: Path, step: int
) -> None:
    levels = hard_levels()
    code = pack(levels // step)
    (page,) = in_page(node, tmp_path, [("unpackMaps", [code, *levels.shape, step])])
    assert page == (levels.ravel() // step * step + step // 2).tolist()
    assert np.abs(np.array(page) - levels.ravel().astype(int)).max() <= step // 2


def test_a_smaller_page_holds_nearly_the_same_maps() -> None:
    recordings = {"wide": Recording(Image.new("RGB", (480, 320)), some_maps(43, 64, 0), (7.5, 7.5))}
    full, small = (RatioSlider(recordings, RATIOS, crops_from_maps, step=step) for step in (1, 8))
    assert len(small.photos[0]["code"]) < 0.7 * len(full.photos[0]["code"])
    assert (full.maps() - small.maps()).abs().max() <= 4.5 / 256
    assert (small.maps()[:, 0, 0] * 256 % 8 == 4.5).all()
    with pytest.raises(CropnbError, match="step is 3"):
        RatioSlider(recordings, RATIOS, crops_from_maps, step=3)


def test_the_page_crops_as_the_package_does(node: str, tmp_path: Path) -> None:
    """Every ratio, low and high thresholds, soft maps and scattered, wide and upright photos."""
    generator = torch.Generator().manual_seed(5)
    cases = [(some_maps(43, 64, seed), (480.0, 322.0)) for seed in range(4)]
    cases += [
        (some_maps(64, 43, 9), (322.0, 480.0)),
        (torch.rand(29, 5, 4, generator=generator), (80.0, 100.0)),
    ]
    # nothing lies above 0.4
    cases += [(0.3 * torch.rand(29, 6, 7, generator=generator), (140.0, 120.0))]
    lone = torch.zeros(29, 9, 9)
    lone[torch.arange(29), torch.arange(29) % 9, 8] = 0.9  # one cell at the border
    cases.append((lone, (90.0, 90.0)))
    for maps, (width, height) in cases:
        levels = (maps * 256).floor().clamp(max=255).to(torch.uint8)
        rows, columns = levels.shape[1:]
        cell = [width / columns, height / rows]
        for threshold in (0.05, 0.4, 0.75):
            arguments = [rows, columns, cell]
            calls = [
                (
                    "cropFromMap",
                    [level.flatten().tolist(), *arguments, ratio, width, height, threshold],
                )
                for level, ratio in zip(levels, RATIOS.tolist(), strict=True)
            ]
            page = in_page(node, tmp_path, calls)
            values = (levels.double() + 0.5) / 256
            sizes = (torch.tensor(cell).double(), torch.tensor([width, height]).double())
            expected = crops_from_maps(values, RATIOS, *sizes, threshold)
            crops = torch.tensor([one["box"] for one in page], dtype=torch.float64)
            torch.testing.assert_close(crops, expected.boxes.double(), atol=2e-3, rtol=0)
            medians = torch.tensor([one["medians"] for one in page], dtype=torch.float64)
            torch.testing.assert_close(medians, expected.medians.double(), atol=2e-3, rtol=0)
            used = torch.tensor([one["threshold"] for one in page], dtype=torch.float64)
            torch.testing.assert_close(used, expected.thresholds.double(), atol=1e-6, rtol=0)
            assert [one["above"] for one in page] == (values > threshold).flatten(1).sum(1).tolist()


def test_medians_by_hand(node: str, tmp_path: Path) -> None:
    calls = [
        ("medianPlace", [[0, 3, 0, 1]]),
        ("medianPlace", [[2, 0, 0, 2]]),
        ("medianPlace", [[0, 0, 5]]),
    ]
    calls += [
        ("medianOfNonzero", [values]) for values in ([0, 4, 0, 1, 2], [9, 0, 1], [0, 10, 9, 2, 8])
    ]
    assert in_page(node, tmp_path, calls) == [1, 1.5, 2, 2, 5, 8.5]


def test_no_level_ties_with_a_threshold_in_hundredths(node: str, tmp_path: Path) -> None:
    values = in_page(node, tmp_path, [("levelValue", [level]) for level in range(256)])
    assert values == ((torch.arange(256).double() + 0.5) / 256).tolist()
    assert not {value * 100 for value in values} & set(range(101))


@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.5, 1.9])
def test_the_largest_window(node: str, tmp_path: Path, aspect: float) -> None:
    window = largest_window(aspect, 480, 320)
    assert in_page(node, tmp_path, [("largestWindow", [aspect, 480, 320])]) == [window]
    x1, y1, x2, y2 = window
    assert (x2 - x1) / (y2 - y1) == pytest.approx(aspect)
    assert (x1 == pytest.approx(0) and x2 == pytest.approx(480)) or (
        y1 == pytest.approx(0) and y2 == pytest.approx(320)
    )
    assert (x1 + x2, y1 + y2) == pytest.approx((480, 320))


def test_values_follow_the_state(slider: RatioSlider) -> None:
    assert slider.ratios[slider.at] == pytest.approx(1.5, rel=0.025)
    for slider.at in (0, 14, 28):
        box = slider.crop_of_map().boxes[0].double()
        assert float((box[2] - box[0]) / (box[3] - box[1])) == pytest.approx(
            slider.ratios[slider.at], rel=1e-4
        )
        area = float((box[2] - box[0]) * (box[3] - box[1]))
        assert slider.values()["kept"] == pytest.approx(100 * area / (480 * 320))
    before = slider.values()
    slider.threshold = 0.9
    assert slider.values()["above"] < before["above"]
    slider.shown = "upright"
    assert slider.maps().shape == (29, 64, 43)
    assert "upright" in repr(slider)
    error = (slider.maps() - some_maps(64, 43, 1)).abs().max()
    assert 0 < error <= 0.5 / 256 + 1e-6


def test_it_carries_a_still_picture_and_stays_the_same(slider: RatioSlider) -> None:
    data, _ = slider._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert min(still.size) > 250
    assert np.asarray(still).std() > 20
    assert slider._repr_mimebundle_()[0] == data
    assert "\nimport " not in slider._esm
    assert slider._esm.count("\nexport ") == 1
    assert slider._esm.count("http") == 1  # the name of SVG


GOOD = {"a": Recording(Image.new("RGB", (64, 48)), torch.rand(3, 12, 16), (4, 4))}


@pytest.mark.parametrize(
    ("recordings", "options", "error"),
    [
        ({}, {}, BoxError),
        ({"a": Recording(Image.new("RGB", (64, 48)), torch.rand(2, 12, 16), (4, 4))}, {}, BoxError),
        ({"a": Recording(Image.new("RGB", (64, 48)), torch.rand(12, 16), (4, 4))}, {}, BoxError),
        (
            {
                "a": Recording(
                    Image.new("RGB", (64, 48)), torch.full((3, 12, 16), torch.nan), (4, 4)
                )
            },
            {},
            BoxError,
        ),
        (
            {"a": Recording(Image.new("RGB", (64, 48)), 3 * torch.rand(3, 12, 16) - 1, (4, 4))},
            {},
            BoxError,
        ),
        ({"a": Recording(Image.new("RGB", (64, 48)), torch.rand(3, 12, 16), (4, 0))}, {}, BoxError),
        (GOOD, {"ratios": [1, 0.5, 2]}, BoxError),
        (GOOD, {"ratios": [0, 1, 2]}, BoxError),
        (GOOD, {"threshold": 0}, CropnbError),
        (GOOD, {"threshold": 1.2}, CropnbError),
        (GOOD, {"shown": "b"}, CropnbError),
        (GOOD, {"layers": ["mask"]}, CropnbError),
    ],
)
def test_bad_input_is_refused(recordings: dict, options: dict, error: type[Exception]) -> None:
    options = {"ratios": [0.5, 1, 2], **options}
    with pytest.raises(error):
        RatioSlider(recordings, options.pop("ratios"), crops_from_maps, **options)


def test_state_is_checked_when_it_changes(slider: RatioSlider) -> None:
    for name, value in {"at": 29, "shown": "none", "threshold": 0.0, "layers": ["x"]}.items():
        with pytest.raises(CropnbError):
            setattr(slider, name, value)


def numbers(page: Any) -> dict[str, float]:
    cells = page.locator("output[data-name]").evaluate_all(
        "cells => cells.map((cell) => [cell.dataset.name, cell.dataset.value, cell.textContent])"
    )
    for name, value, text in cells:
        number = re.match(r"[\d.]+", text).group()
        assert round(float(value), len(number.partition(".")[2])) == pytest.approx(
            float(number), abs=1e-3
        ), name
    return {name: float(value) for name, value, _ in cells}


def assert_as_in_python(page: Any, figure: RatioSlider) -> dict[str, float]:
    for name in ("shown", "at", "threshold", "layers"):
        setattr(figure, name, page.evaluate("(name) => model.get(name)", name))
    values = numbers(page)
    assert values == pytest.approx(figure.values(), abs=1e-4)
    return values


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(820, False), (390, False), (320, True), (820, True)])
def test_nothing_overflows_and_all_is_named(
    slider: RatioSlider, show: Any, width: int, dark: bool
) -> None:
    page = show(slider, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    svg = page.locator(".cropnb-picture svg").bounding_box()
    assert svg["width"] / svg["height"] == pytest.approx(1.5, rel=0.01)
    assert not re.search(r"NaN|undefined|null|Infinity", page.locator(".cropnb").inner_text())
    unnamed = """nodes => nodes.filter((node) => !node.getAttribute("aria-label")
        && !(node.labels ?? []).length
        && !node.textContent.trim()).length"""
    assert page.locator("input, select, button, [role=img]").evaluate_all(unnamed) == 0
    painted = page.locator(".cropnb-picture image").last.get_attribute("href")
    assert painted.startswith("data:image/png")
    assert_as_in_python(page, slider)


@pytest.mark.browser
def test_ratio_threshold_and_photo_by_keyboard_and_mouse(slider: RatioSlider, show: Any) -> None:
    page = show(slider)
    start = assert_as_in_python(page, slider)
    ratio = page.locator("input[data-name=at]")
    ratio.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("model.get('at')") == slider.at + 1
    page.keyboard.press("Home")
    assert ratio.get_attribute("aria-valuetext") == "0.50, about 1:2"
    narrow = assert_as_in_python(page, slider)
    assert narrow != start
    page.locator("[data-ratio='1:1']").click()
    assert page.evaluate("model.get('at')") == 14
    assert page.locator("[data-ratio='1:1']").get_attribute("aria-pressed") == "true"
    assert page.locator("[aria-pressed=true]").count() == 1
    before = assert_as_in_python(page, slider)
    page.locator("input[data-name=threshold]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("model.get('threshold')") == pytest.approx(0.42)
    assert assert_as_in_python(page, slider)["above"] < before["above"]
    page.keyboard.press("End")
    assert "half of the map's maximum" in page.locator("[data-name=note]").inner_text()
    assert assert_as_in_python(page, slider)["above"] == 0
    page.locator("select").select_option("upright")
    svg = page.locator(".cropnb-picture svg")
    assert svg.count() == 1
    assert svg.bounding_box()["height"] > svg.bounding_box()["width"]
    assert svg.get_attribute("viewBox") == "0 0 320 480"
    assert (
        page.locator(".cropnb-picture image").first.get_attribute("aria-label")
        == "The same plain, upright"
    )
    assert_as_in_python(page, slider)


@pytest.mark.browser
def test_layers_and_the_centred_window(slider: RatioSlider, show: Any) -> None:
    page = show(slider)
    assert page.locator(".cropnb-cuts figure:visible").count() == 1
    page.locator("input[data-name=centred]").check()
    assert page.locator(".cropnb-cuts figure:visible").count() == 2
    slider.at = page.evaluate("model.get('at')")
    x1, y1, x2, y2 = largest_window(slider.ratios[slider.at], 480, 320)
    dashed = page.locator(".cropnb-picture rect[stroke-dasharray]")
    assert float(dashed.get_attribute("width")) == pytest.approx(x2 - x1)
    assert float(dashed.get_attribute("y")) == pytest.approx(y1)
    shown = [
        float(part) for part in page.locator(".cropnb-cut").last.get_attribute("viewBox").split()
    ]
    assert shown == pytest.approx([x1, y1, x2 - x1, y2 - y1])
    page.locator("input[data-name=map]").uncheck()
    assert page.locator(".cropnb-picture image").count() == 1  # the photo alone
    assert page.locator(".cropnb-shade").count() == 1
    assert_as_in_python(page, slider)


@pytest.mark.browser
def test_it_speaks_and_leaves_no_listener(slider: RatioSlider, show: Any) -> None:
    page = show(slider, width=390, touch=True)
    page.locator("[data-ratio='16:9']").tap()
    live = "document.querySelector('[aria-live]').textContent"
    spoken = rf"() => /Ratio 1\.[78]\d, about 16:9: the crop keeps/.test({live})"
    page.wait_for_function(spoken, timeout=10_000)
    assert page.evaluate("count()") > 0
    page.evaluate("stop()")
    assert page.evaluate("count()") == 0
