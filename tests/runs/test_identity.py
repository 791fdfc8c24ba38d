"""A run's identity: each constant of a method that changes its result changes what the run is."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import cropnb
from cropnb import methods
from cropnb.asm_net import patterns
from cropnb.runs import Experiment, plan
from cropnb.runs.start import run_of

PACKAGE = Path(cropnb.__file__).parent
# A recipe is a module, or a folder of them.
METHODS = sorted(path.parent.name for path in PACKAGE.glob("*/recipe*") if path.suffix != ".toml")
PLACES = [(name, place) for name in METHODS for place in plan.method_named(name).usual]

_CARD = "what a cropper does with trained weights"
_FASTER = "the same numbers, in less time or memory"
_NAMES = "names that options, tables or pages have"
_VARIANT = "stands in a variant or a profile"
_CONSTANTS = "stands in the method's `constants` or `settings`"
# Constants of a method's own modules that aren't in `usual`, and why.
ELSEWHERE = {
    "asm_net.cropper.BEST": _CARD,
    "asm_net.cropper.MOVES": _CARD,
    "asm_net.cropper.SHAPES": _CARD,
    "asm_net.cropper.SHIFT": _CARD,
    "asm_net.cropper.STRETCH": _CARD,
    "asm_net.losses.DELTA": _CONSTANTS,
    "asm_net.losses.LAMBDA": _VARIANT,
    "asm_net.model.CUTS": _CONSTANTS,
    "asm_net.model.MULTIPLE": _CONSTANTS,
    "asm_net.model.SHORT_SIDE": _CONSTANTS,
    "asm_net.patterns.PATTERNS": _CONSTANTS,
    "asm_net.patterns.TRAINED": _CONSTANTS,
    "asm_net.pooling.RULES": _NAMES,
    "asm_net.pooling.TABLE_VALUES": _FASTER,
    "asm_net.pooling.circles.AT_ONCE": _FASTER,
    "attention.model.CUTS": _VARIANT,
    "attention.recipe.TABLE": _NAMES,
    "gaic.cropper.SCALES": _CARD,
    "gaic.views.KEEP_ON_DEVICE": _FASTER,
    "la2c.envs.banks.RESOLUTION": _CONSTANTS,
    "la2c.envs.features.COLOURS": _CONSTANTS,
    "la2c.envs.features.MULTIPLE": _CONSTANTS,
    "la2c.envs.features.SHORT_SIDE": _CONSTANTS,
    "la2c.envs.features.SIZE": _CONSTANTS,
    "la2c.envs.features.STRETCH": _CONSTANTS,
    "la2c.envs.features.VIEWS": _CONSTANTS,
    "la2c.envs.planning.HORIZON": "of perfect play, which no run measures",
    "la2c.model.CUT": _CONSTANTS,
    "la2c.model.HIDDEN": _CONSTANTS,
    "la2c.model.SHARED_CUT": _CONSTANTS,
    "la2c.recipe.method.CALIBRATED": _CONSTANTS,
    "la2c.recipe.method.GAMMA": _VARIANT,
    "la2c.recipe.method.JUDGE": "the hash of its weights stands in the settings",
    "la2c.recipe.method.TOGETHER": _FASTER,
    "la2c.recipe.method.VALUE_WEIGHT": _VARIANT,
    "la2c.recipe.variants.AESTHETIC": _VARIANT,
    "la2c.recipe.variants.ENTROPY_WEIGHT": _VARIANT,
    "la2c.recipe.variants.LSTM": _NAMES,
    "la2c.recipe.variants.MAIN": _NAMES,
    "la2c.recipe.variants.OWN": _NAMES,
    "la2c.recipe.variants.VARIANTS": _VARIANT,
    "la2c.rules.ACTIONS": _CONSTANTS,
    "la2c.rules.ASPECT_COST": _CONSTANTS,
    "la2c.rules.MAX_ASPECT": _CONSTANTS,
    "la2c.rules.MIN_PHOTO": "smaller photos are refused",
    "la2c.rules.REWARDS": _NAMES,
    "la2c.rules.STEP_COST": _CONSTANTS,
    "la2c.rules.STEP_LIMIT": _VARIANT,
    "la2c.rules.TRUTHS": _NAMES,
    "mars.cropper.REMEMBERED": _FASTER,
    "mars.model.VARIANTS": _VARIANT,
    "mars.ratio.RATIO_INPUTS": _NAMES,
    "mars.recipe.MEASURED": _NAMES,
    "mars.recipe.UNSEEN": _NAMES,
    "set_prediction.cropper.LEAST": _CARD,
    "set_prediction.cropper.RATIO_SHARPNESS": _CARD,
    "set_prediction.cropper.SHARPNESS": _CARD,
    "set_prediction.labels.GOOD": _CONSTANTS,
    "set_prediction.labels.HARD": _VARIANT,
    "set_prediction.labels.PAPER": _VARIANT,
    "set_prediction.labels.THETA": _CONSTANTS,
    "set_prediction.losses.ALPHA": _CONSTANTS,
    "set_prediction.losses.EPOCH_COLUMNS": _NAMES,
    "set_prediction.losses.GAMMA": _CONSTANTS,
    "set_prediction.losses.LAMBDA_FOCAL": _CONSTANTS,
    "set_prediction.losses.LAMBDA_IOU": _CONSTANTS,
    "set_prediction.losses.MISSES": _NAMES,
    "set_prediction.cropper.COUNTS": _NAMES,
    "set_prediction.cropper.DETECTIONS": _NAMES,
    "set_prediction.cropper.THRESHOLDS": _NAMES,
    "set_prediction.recipe.variants.ASIDE": _VARIANT,
    "set_prediction.recipe.variants.MUS": _VARIANT,
    "set_prediction.recipe.variants.PROFILES": _VARIANT,
    "set_prediction.recipe.variants.VARIANTS": _VARIANT,
    "vrn.losses.OVER_VIEWS": _NAMES,
    "vrn.recipe.CLIP": _VARIANT,
}


def _run(name: str, profile: str = "smoke", out: Path | None = None) -> Experiment:
    dataset = "gaze" if name == "attention" else "scenes"
    return Experiment(plan.method_named(name), dataset, profile=profile, out=out, progress=False)


def _hash(name: str, profile: str = "smoke") -> str:
    experiment = _run(name, profile)
    return experiment.run(experiment.method.main, 0).config_hash


def _other(value: object) -> object:
    """Something else of the same kind."""
    if isinstance(value, dict):
        return {**value, "another": 1}
    return (*value, 0.5) if isinstance(value, tuple) else value * 2


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_another_value_of_a_constant_is_another_run(
    name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _hash(name)
    monkeypatch.setattr(place, _other(plan.method_named(name).usual[place]))
    assert _hash(name) != before
    monkeypatch.undo()
    assert _hash(name) == before


def test_every_method_with_a_chapter_is_looked_at() -> None:
    assert set(METHODS) >= set(methods.METHODS)


def test_constants_at_their_usual_values_are_no_part_of_a_run() -> None:
    for name in METHODS:
        method = plan.method_named(name)
        assert method.usual
        assert method.unusual() == {}


def _constants(name: str) -> Iterator[str]:
    """The constants that a method's modules define, without those of its studies."""
    folder = PACKAGE / name
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        if path.stem == "__main__" or (len(parts) == 2 and path.stem == "__init__"):
            continue
        if "studies" in parts:
            continue
        module = ".".join(parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            for target in targets:
                for one in getattr(target, "elts", [target]):
                    text = getattr(one, "id", "")
                    if text.isupper() and not text.startswith("_") and text != "METHOD":
                        yield f"{module}.{text}"


@pytest.mark.parametrize("name", METHODS)
def test_every_constant_is_in_the_identity_or_it_is_said_why_not(name: str) -> None:
    usual = {place.removeprefix("cropnb.") for _, place in PLACES}
    constants = set(_constants(name))
    assert constants - usual - ELSEWHERE.keys() == set()
    assert {place for place in ELSEWHERE if place.startswith(f"{name}.")} <= constants


def test_the_constants_of_a_run_stand_where_they_are_said_to() -> None:
    for place in ELSEWHERE:
        module, _, name = place.rpartition(".")
        assert hasattr(importlib.import_module(f"cropnb.{module}"), name), place


def test_a_run_on_another_methods_units_is_another_where_theirs_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trial = _run("la2c", "trained", tmp_path)
    before, start = trial.run("LA2C", 0).config_hash, run_of(trial, "gaic").config_hash
    monkeypatch.setattr("cropnb.gaic.views.SHORT_SIDE", 128)
    assert run_of(trial, "gaic").config_hash != start
    assert trial.run("LA2C", 0).config_hash != before


def test_a_pattern_that_is_divided_otherwise_makes_other_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert patterns.PATTERNS.keys() == patterns.TRAINED.keys()
    before = [_run("asm_net").run(name, 0) for name in ("cross_rectangle", "grid_1x1")]
    assert all("cells" not in run.identity for run in before)
    pattern = patterns.PATTERNS["cross_rectangle"]
    monkeypatch.setitem(
        patterns.PATTERNS, pattern.name, replace(pattern, cells=pattern.cells.flip(0))
    )
    after = [_run("asm_net").run(name, 0) for name in ("cross_rectangle", "grid_1x1")]
    assert before[0].config_hash != after[0].config_hash
    assert before[1].config_hash == after[1].config_hash


def test_maps_that_were_made_with_another_constant_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def value(number: float) -> float:
        cache = _run("gaic", out=tmp_path).features(
            "val", nn.Identity(), lambda photo, view: [torch.full((1, 1, 1), number)]
        )
        return float(cache.levels(0)[0])

    assert value(1.0) == 1.0
    assert value(2.0) == 1.0  # as they were computed
    monkeypatch.setattr("cropnb.backbones.network.IMAGENET_MEAN", (0.5, 0.5, 0.5))
    assert value(2.0) == 2.0
