"""The checkpoints that come with the package: small, labelled, and as good as the ledger says."""

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import cropnb
from cropnb import checkpoints, croppers, datasets, ledger, metrics
from cropnb.boxes import iou
from cropnb.croppers import SHIPPED, Cropper, shipped, weights_path
from cropnb.datasets import CropDataset
from cropnb.methods import QUESTIONS, SCENES_ONLY, difference, on_photographs
from cropnb.runs import on_scenes

MEGABYTE = 1e6


def ranking(cropper: Cropper, test: CropDataset) -> dict[str, Tensor]:
    """SRCC and Acc in per cent of the scores of annotated crops, (photos,) each."""
    samples = test.samples
    table = metrics.ranking_table(
        [cropper.score(s.photo(), s.boxes) for s in samples], [s.scores for s in samples]
    )
    return {name: values if name == "SRCC" else 100 * values for name, values in table.items()}


def boxes(cropper: Cropper, test: CropDataset) -> dict[str, Tensor]:
    """IoU and BDE of the best crop, (photos,) each."""
    crops = cropper([sample.photo() for sample in test.samples])
    values = [
        torch.stack(metrics.iou_and_bde(crop.box, sample.boxes, *sample.size))
        for sample, (crop,) in zip(test.samples, crops, strict=True)
    ]
    iou, bde = torch.stack(values).double().unbind(dim=1)
    return {"IoU": iou, "BDE": bde}


def required_ratios(cropper: Cropper, test: CropDataset) -> dict[str, Tensor]:
    """IoU of the crop for each required ratio against its true box, over all annotations: (A,)."""
    overlaps: list[Tensor] = []
    for ratio in sorted({ratio for sample in test.samples for ratio in sample.aspects.tolist()}):
        shown = [sample for sample in test.samples if ratio in sample.aspects.tolist()]
        crops = cropper([sample.photo() for sample in shown], aspect=ratio)
        for sample, (crop,) in zip(shown, crops, strict=True):
            overlaps.extend(iou(crop.box, box) for box in sample.boxes[sample.aspects == ratio])
    return {"IoU": torch.stack(overlaps)}


def first_crops(cropper: Cropper, test: CropDataset) -> dict[str, Tensor]:
    """ACC 1/N in per cent at IoU 0.85: does one of the first N crops come near the best annotated
    one? (photos,)
    """
    hits: dict[str, list[Tensor]] = {"ACC 1/5": [], "ACC 1/10": []}
    answers = cropper([sample.photo() for sample in test.samples], k=10)
    for sample, answer in zip(test.samples, answers, strict=True):
        crops = torch.stack([crop.box for crop in answer])
        best = sample.boxes[sample.scores.argmax()]
        for column, values in hits.items():
            values.append(
                100 * metrics.set_acc_1n(crops, best, int(column.removeprefix("ACC 1/")), 0.85)
            )
    return {column: torch.stack(values) for column, values in hits.items()}


@dataclass(frozen=True)
class Case:
    """The ledger rows that a shipped checkpoint stands behind, and how to measure them again on the
    test scenes.
    """

    table: str
    row: str
    form: str
    measure: Callable[[Cropper, CropDataset], Mapping[str, Tensor]]
    # of each column: what half precision and folded normalisations may change
    tolerances: Mapping[str, float]
    profile: str = "cpu"


RANKING = {"SRCC": 0.002, "Acc 5": 0.5, "Acc 10": 0.5}
CASES = {
    "asm_net": Case("Table 1", "cross_rectangle", "cpc", ranking, RANKING),
    "la2c": Case("Table 2", "LA2C", "fcdb", boxes, {"IoU": 0.01, "BDE": 0.004}),
    "mars": Case("Table 3", "both", "fat", required_ratios, {"IoU": 0.004}),
    "set_prediction": Case(
        "Table 1", "Ours (ε = 0.85)", "gaicd", first_crops, {"ACC 1/5": 1.5, "ACC 1/10": 1.5}
    ),
    "vrn": Case("Table 2", "FS + RGL", "gaicd", ranking, RANKING),
}


CARD = {"dataset", "profile", "commit", "scores", "seed", "init", "photos"}
# Those whose weights for photographs serve scenes too: no column there says that they lose.
SERVE_BOTH = {
    "gaic": Case(on_scenes.TABLE, "gaic", "gaicd", ranking, RANKING),
}


def test_every_method_with_weights_is_checked_here():
    alone = {name for name in croppers.METHODS if weights_path(name, "scenes").exists()}
    assert alone == set(CASES)
    assert {*alone, *SERVE_BOTH} == set(croppers.METHODS)
    assert not alone & set(SERVE_BOTH)


@pytest.mark.parametrize("name", SERVE_BOTH)
def test_those_that_serve_both_lose_nothing_on_scenes_that_can_be_told(name):
    photographs, scenes = weights_path(name, "photographs"), weights_path(name, "scenes")
    assert photographs == shipped(name, "scenes")
    assert not scenes.exists()
    card = checkpoints.load_weights(photographs, name)[1]
    for column in SERVE_BOTH[name].tolerances:
        ours = ledger.one("shipped", table=on_scenes.TABLE, row=name, column=column)
        alone = ledger.one(
            "shipped", table=on_scenes.TABLE, row=f"{name}{SCENES_ONLY}", column=column
        )
        unit = 100 if column.startswith("Acc") else 1
        high = float(re.search(r", ([+-]?[\d.]+)\], paired", ours.note).group(1))
        assert high > 0
        assert ours.ours > alone.ours - 0.01 * unit or card.get("remark")
        assert ours.images == alone.images


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVE_BOTH)
def test_those_that_serve_both_measure_what_the_ledger_says(name):
    case = SERVE_BOTH[name]
    test = datasets.load("scenes", "test", form=case.form, size=100)
    values = case.measure(cropnb.load(name, weights="scenes"), test)
    for column in case.tolerances:
        written = ledger.one("shipped", table=case.table, row=case.row, column=column)
        spread = values[column].double().std().item() / len(test) ** 0.5
        assert values[column].double().mean().item() == pytest.approx(written.ours, abs=4 * spread)


def test_those_for_scenes_say_where_they_come_from():
    for name in CASES:
        card = checkpoints.load_weights(shipped(name, "scenes"), name)[1]
        assert set(card) >= CARD
        assert card["dataset"] == "scenes"


@pytest.mark.parametrize("name", croppers.METHODS)
def test_those_for_photographs_say_where_they_come_from_and_how_they_do(name):
    card = checkpoints.load_weights(shipped(name, "photographs"), name)[1]
    assert set(card) >= CARD
    assert all("paired by photo" in text for text in card["on_scenes"].values())
    assert len(card["on_photographs"]) == len(QUESTIONS)
    below = any(difference(row).mean < 0 for row in on_photographs(name))
    assert card.get("remark") or not below, "the card doesn't say why it stays below"
    assert card["dataset"] == "scenes+taught"
    assert card["commit"]
    assert card["scores"]
    assert shipped(name) == shipped(name, "photographs")


def test_they_are_small():
    sizes = [
        weights_path(name, trained_on).stat().st_size
        for name in croppers.METHODS
        for trained_on in SHIPPED
        if weights_path(name, trained_on).exists()
    ]
    assert max(sizes) < 12 * MEGABYTE
    assert sum(sizes) < 60 * MEGABYTE


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_they_measure_what_their_cards_and_ledger_rows_say(name):
    """All test scenes again, with half-precision weights and folded normalisations."""
    case, card = CASES[name], checkpoints.load_weights(shipped(name, "scenes"), name)[1]
    test = datasets.load("scenes", "test", form=case.form)
    values = case.measure(cropnb.load(name, weights="scenes"), test)
    for column, tolerance in case.tolerances.items():
        ours = values[column].double().mean().item()
        assert ours == pytest.approx(card["scores"][column], abs=tolerance)
        where = {"table": case.table, "row": case.row, "dataset": "scenes", "profile": case.profile}
        written = ledger.one(name, column=column, **where)
        assert written.images >= len(test)  # a row may stand on more scenes
        assert card["seed"] in written.seeds
        if len(written.seeds) == 1:
            assert ours == pytest.approx(written.ours, abs=tolerance)
        else:  # the row is the mean of several runs, of which one ships
            assert written.low - tolerance <= ours <= written.high + tolerance


def test_their_ledger_rows_name_a_program_that_exists():
    for name in CASES:
        for row in ledger.read(name):
            if row.command:
                assert importlib.util.find_spec(row.command.split()[2])
