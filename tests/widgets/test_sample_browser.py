"""The browser of samples: what it shows is what the dataset holds, in Python and in the page."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from cropnb import datasets
from cropnb.errors import CropnbError, DatasetMissing
from cropnb.widgets.sample_browser import LONGEST_PHOTO, SampleBrowser

FORMS = ("gaicd", "flms", "fat")


@pytest.fixture(scope="module")
def parts() -> list[datasets.CropDataset]:
    return [datasets.load("scenes", "test", form=form, size=2) for form in FORMS]


@pytest.fixture
def browser_of_samples(parts: list[datasets.CropDataset]) -> SampleBrowser:
    return SampleBrowser.of(parts, each=2)


def test_every_sample_is_carried_with_a_small_photo(browser_of_samples: SampleBrowser) -> None:
    names = [sample["dataset"] for sample in browser_of_samples.samples]
    assert names == [f"scenes as {form}" for form in FORMS for _ in "ab"]
    assert all(len(sample["photo"]) <= LONGEST_PHOTO for sample in browser_of_samples.samples)
    assert len(browser_of_samples.photo) < 8000  # not carried twice
    assert browser_of_samples.samples[4]["aspects"]


def test_values_of_candidates_and_of_true_boxes(parts: list[datasets.CropDataset]) -> None:
    browser = SampleBrowser.of(parts, each=1)
    scored, drawn = parts[0][0], parts[1][0]
    best = scored.boxes[scored.scores.argmax()]
    width, height = scored.size
    assert browser.values()["boxes"] == len(scored.boxes)
    assert browser.values()["score"] == pytest.approx(scored.scores.max().item())
    area = (best[2] - best[0]) * (best[3] - best[1])
    assert browser.values()["share"] == pytest.approx(area.item() / (width * height))
    browser.index = 1
    sides = drawn.boxes[:, 2:] - drawn.boxes[:, :2]
    assert browser.values()["share"] == pytest.approx(
        (sides.prod(1) / (drawn.width * drawn.height)).mean().item()
    )
    assert "score" not in browser.values()
    assert "10 boxes" in repr(browser)
    with pytest.raises(CropnbError, match="no sample 3 among 3"):
        browser.index = 3


def test_what_cannot_be_browsed(parts: list[datasets.CropDataset]) -> None:
    with pytest.raises(CropnbError, match="no sample 0 among 0"):
        SampleBrowser([])
    blind = replace(parts[0][0], load_photo=None)
    with pytest.raises(DatasetMissing):
        SampleBrowser([("gaicd", blind)])


@pytest.mark.browser
def test_leafing_in_the_page(browser_of_samples: SampleBrowser, show: Any) -> None:
    page = show(browser_of_samples)

    def agrees() -> None:
        browser_of_samples.index = page.evaluate("model.get('index')")
        expected = browser_of_samples.values()
        for name, value in expected.items():
            shown = float(page.locator(f"output[data-name={name}]").get_attribute("data-value"))
            assert shown == pytest.approx(value, abs=2e-3)
        assert (
            browser_of_samples.samples[browser_of_samples.index]["name"]
            in page.locator(".cropnb-hint").inner_text()
        )

    agrees()
    count = "document.querySelectorAll('.cropnb-picture svg > g rect[stroke=white]').length"
    assert page.evaluate(count) == 3
    page.get_by_label("Best candidates drawn").fill("7")
    assert page.evaluate(count) == 7
    page.get_by_role("button", name="Next sample").press("Enter")
    agrees()
    page.locator("select[data-name=dataset]").select_option("scenes as flms")
    assert page.evaluate("model.get('index')") == 2
    agrees()
    assert page.evaluate(count) == len(browser_of_samples.samples[2]["boxes"])
    page.get_by_role("button", name="Previous sample").click()
    page.get_by_role("button", name="Previous sample").click()
    page.get_by_role("button", name="Previous sample").click()
    assert page.evaluate("model.get('index')") == 5  # round the end
    agrees()
    assert not torch.isnan(torch.tensor(list(browser_of_samples.values().values()))).any()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(390, False), (820, True)])
def test_it_fits_a_phone_and_a_dark_page(
    browser_of_samples: SampleBrowser, show: Any, width: int, dark: bool
) -> None:
    page = show(browser_of_samples, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unnamed = """nodes => nodes.filter((node) => !node.getAttribute("aria-label")
        && !(node.labels ?? []).length
        && !node.textContent.trim()).length"""
    assert page.locator("input, select, button").evaluate_all(unnamed) == 0
    assert "NaN" not in page.locator(".cropnb").inner_text()
