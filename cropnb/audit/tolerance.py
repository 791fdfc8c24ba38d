"""How the tolerance ε lifts methods that we trained ourselves, on scenes in GAICD's form."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cropnb import croppers, metrics
from cropnb.audit.blind import COUNTS, EPSILONS, reaches, tied_best
from cropnb.boxes import pairwise_iou
from cropnb.datasets.base import CropDataset
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
    "gaic": ("gaic", True, "trained on scenes and taught photographs in GAICD's form"),
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
    """The crops of every method that has weights, for photos with scored candidates; a line names
    those without.
    """
    crops = {}
    for name, (method, ranks, note) in METHODS.items():
        try:
            cropper = croppers.load(method, "scenes")
        except WeightsUnavailable as missing:
            print(f"without {name}: {missing}")
            continue
        if ranks:
            crops[name] = ranked(cropper.method.score_boxes, dataset, note)
        else:
            crops[name] = proposed(cropper, dataset, note)
    return crops


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


def proposed(
    cropper: croppers.Cropper, dataset: CropDataset, note: str = "", most: int = MOST
) -> Prediction:
    """The best `most` crops that a method finds itself, fewer where it finds fewer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*found only")
        crops = [cropper(sample.image(), k=most) for sample in dataset]
    boxes = [torch.stack([crop.box for crop in best]).double() for best in crops]
    return Prediction(boxes, None, note)


def columns(prediction: Prediction, dataset: CropDataset) -> dict[str, Tensor]:
    """The same predictions by both metrics, (photos,) each, 0…1.

    `Acc 1/N`: the first prediction is one of the N best annotated (GAICD). `ACC 1/N, ε`: one of the
    first N predictions reaches ε with the best annotated, the first of those tied (set prediction).
    """
    overlaps = [
        pairwise_iou(boxes, tied_best(sample)[:1])[:, 0]  # (P,)
        for boxes, sample in zip(prediction.boxes, dataset.samples, strict=True)
    ]
    hits: dict[str, list[Tensor]] = {}
    for count in COUNTS:
        if prediction.scores is not None:
            hits[f"Acc 1/{count}"] = [
                metrics.acc_kn(scores, sample.scores, 1, count)
                for scores, sample in zip(prediction.scores, dataset.samples, strict=True)
            ]
        for eps in EPSILONS:
            near = [reaches(overlap[:count], eps).any().double() for overlap in overlaps]
            hits[f"ACC 1/{count}, ε = {eps:.2f}"] = near
    return {name: torch.stack(values) for name, values in hits.items()}
