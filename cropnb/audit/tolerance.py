"""How the tolerance ε lifts methods that we trained ourselves, on scenes in GAICD's form."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cropnb import croppers, metrics
from cropnb.audit.blind import COUNTS, EPSILONS, reaches, tied_best
from cropnb.boxes import pairwise_iou
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import WeightsUnavailable

MOST = 20  # crops of a photo that are looked at


@dataclass(frozen=True)
class Prediction:
    """What one method answers for every photo of a dataset.

    Attributes:
        boxes: for each photo its crops (P, 4) in pixels, best first.
        scores: for each photo the scores (N,) of its own candidates, in the file's order; None
            where the method finds crops itself.
        note: what the method was trained on, where that matters to the reader.
    """

    boxes: list[Tensor]
    scores: list[Tensor] | None = None
    note: str = ""


# Name of the row → the method, whether it ranks the photo's own candidates, and what its weights
# were trained on.
METHODS = {
    "gaic": ("gaic", True, "trained on scenes in GAICD's form"),
    "vrn": ("vrn", True, "trained on scenes in GAICD's form"),
    "asm_net": ("asm_net", True, "trained on scenes in CPC's form; ranks the annotated crops"),
    "asm_net, its own search": (
        "asm_net",
        False,
        "trained on scenes in CPC's form; finds its crops itself",
    ),
    "set_prediction": (
        "set_prediction",
        False,
        "trained on scenes in GAICD's form; finds its crops itself",
    ),
    "la2c": ("la2c", False, "trained on scenes in FLMS's form; one crop a photo, whatever N"),
    "mars": (
        "mars",
        False,
        "trained on scenes in FAT's form; one crop a photo, of the photo's own ratio, whatever N",
    ),
}


def predictions(dataset: CropDataset) -> dict[str, Prediction]:
    """The answers of every method that has weights, on photos with scored candidates; a line names
    those without.
    """
    found = {}
    for name, (method, ranks, note) in METHODS.items():
        try:
            cropper = croppers.load(method)
        except WeightsUnavailable as missing:
            print(f"without {name}: {missing}")
            continue
        found[name] = (
            ranked(cropper.method.score_boxes, dataset, note)
            if ranks
            else found_by(cropper, dataset, note)
        )
    return found


def ranked(
    score: Callable[[Tensor, Tensor], Tensor], dataset: CropDataset, note: str = ""
) -> Prediction:
    """The candidates of each photo in the order of a method's scores; of equal scores the first
    comes first.
    """
    boxes, scores = [], []
    for sample in dataset:
        one = score(sample.image(), sample.boxes).double()
        scores.append(one)
        boxes.append(sample.boxes[one.argsort(descending=True, stable=True)].double())
    return Prediction(boxes, scores, note)


def found_by(
    cropper: croppers.Cropper, dataset: CropDataset, note: str = "", most: int = MOST
) -> Prediction:
    """The best `most` crops that a method finds itself, fewer where it finds fewer."""
    boxes = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*found only")
        for sample in dataset:
            boxes.append(
                torch.stack([crop.box for crop in cropper(sample.image(), k=most)]).double()
            )
    return Prediction(boxes, None, note)


def columns(prediction: Prediction, dataset: CropDataset) -> dict[str, Tensor]:
    """The same predictions by both metrics, (photos,) each, 0…1.

    `Acc 1/N`: the first prediction is one of the N best annotated (GAICD). `ACC 1/N, ε`: one of the
    first N predictions reaches ε with the best annotated, the first of those tied (set prediction).
    """
    scores: Sequence[Tensor | None] = prediction.scores or [None] * len(dataset)
    found: dict[str, list[Tensor]] = {}
    for boxes, one, sample in zip(prediction.boxes, scores, dataset, strict=True):
        overlap = pairwise_iou(boxes, _first_best(sample))[:, 0]  # (P,)
        for count in COUNTS:
            if one is not None:
                found.setdefault(f"Acc 1/{count}", []).append(
                    metrics.acc_kn(one, sample.scores, 1, count)
                )
            for eps in EPSILONS:
                near = reaches(overlap[:count], eps).any().double()
                found.setdefault(f"ACC 1/{count}, ε = {eps:.2f}", []).append(near)
    return {name: torch.stack(values) for name, values in found.items()}


def _first_best(sample: Sample) -> Tensor:
    return tied_best(sample)[:1]
