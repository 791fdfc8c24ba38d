"""What the book says about the set predictor's speed.
`python -m cropnb.bench --only NAME --record`.
"""

import contextlib
import copy
import io
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_convert

from cropnb import backbones, datasets, metrics
from cropnb.bench import (
    FROM_C3_3,
    Ratio,
    Step,
    classification,
    keep_signals,
    ratios,
    training_speed,
)
from cropnb.errors import CropnbError
from cropnb.set_prediction.labels import PAPER, Labels
from cropnb.set_prediction.losses import match_layers, set_loss, validity_labels
from cropnb.set_prediction.model import SetPredictionCropper, to_cxcywh

PHOTOS, DETECTIONS, EPS = 500, 40, 0.85
TRAINING_PHOTOS = 8


def against_classification(rounds: int) -> list[float]:
    """The light model on a photo of 600 × 900 pixels, over torchvision's MobileNetV2 classifying
    that photo.
    """
    torch.manual_seed(0)
    model = SetPredictionCropper.light(None).eval()
    model.backbone = backbones.fuse_for_inference(model.backbone)
    model = model.to(memory_format=torch.channels_last)
    photo = torch.rand(1, 3, 600, 900)
    ordered = photo.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def crop() -> object:
        return model(ordered).xyxy

    return ratios(crop, classification(photo), rounds)


def average_precision_against_coco(rounds: int) -> list[float]:
    """pycocotools over ours: AP of 40 predictions a photo on 500 photos, one threshold, one area
    range, one category.

    Only its matching and accumulation are timed, not the reading of its dictionaries; ours checks
    its boxes too.

    Raises:
        CropnbError: the two find another AP.
    """
    predictions, truths = _predictions()
    evaluate = _coco(predictions, truths)
    ours = metrics.average_precision(predictions, truths, EPS, DETECTIONS)
    if abs(ours - evaluate()) > 1e-9:
        raise CropnbError(
            f"AP is {ours} here and {evaluate()} by pycocotools: times of different things"
        )
    return ratios(
        evaluate, lambda: metrics.average_precision(predictions, truths, EPS, DETECTIONS), rounds
    )


def matching_share(rounds: int, device: str = "cuda", light: bool = False) -> list[float]:
    """Matching and smoothing over the training step that they are part of, two photos with a short
    side of 600.

    Raises:
        CropnbError: a GPU is asked for where there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise CropnbError(
            "the share of matching in a training step is wanted on a GPU, and there is no CUDA here"
        )
    torch.manual_seed(0)
    model = (
        SetPredictionCropper.light(None)
        if light
        else SetPredictionCropper(weights=None, dilated=True)
    )
    model = model.to(device).train()
    photos = torch.rand(2, 3, 600, 800, device=device)
    labels = _labels(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        set_loss(model(photos), labels, PAPER)["loss"].backward()
        optimizer.step()

    with torch.no_grad():
        predictions = model(photos)

    def match() -> None:
        validity_labels(predictions, match_layers(predictions, labels.crops), labels, PAPER)

    return ratios(_finished(match, device), _finished(step, device), rounds)


def _finished(call: Callable[[], object], device: str) -> Callable[[], None]:
    """The call, until a GPU has done its part of it."""

    def finish() -> None:
        call()
        if device == "cuda":
            torch.cuda.synchronize()

    return finish


def training_steps(rate: float = 1e-4) -> tuple[Step, Step]:
    """Training the light model on eight photos: the whole network, and what lies behind c3_3 on
    kept maps. Each returns its loss.

    Args:
        rate: the learning rate.
    """
    photos = torch.rand(TRAINING_PHOTOS, 3, 256, 384, generator=torch.Generator().manual_seed(0))
    pair = _labels("cpu")
    repeats = TRAINING_PHOTOS // len(pair.crops)
    labels = Labels(pair.crops * repeats, pair.scored * repeats, pair.scores * repeats)
    plain = SetPredictionCropper.light(None)
    keep_signals(plain.backbone)
    fast = copy.deepcopy(plain)
    stem, trunk = backbones.split(fast.backbone, "c3_3")
    with torch.no_grad():
        maps = stem(photos)[0]

    def step(model: SetPredictionCropper, features: Callable[[], Tensor]) -> Step:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=rate)

        def call() -> float:
            optimizer.zero_grad(set_to_none=True)
            loss = set_loss(model.from_features(features()), labels, PAPER)["loss"]
            loss.backward()
            optimizer.step()
            return loss.item()

        return call

    return (
        step(plain, lambda: plain.features(photos)),
        step(fast, lambda: fast.join(trunk(maps))),
    )


def _labels(device: str) -> Labels:
    """Two photos with ten good crops and ninety scored ones each, about GAICD's numbers."""
    rng = torch.Generator().manual_seed(0)
    first = 0.3 * torch.rand(2, 90, 2, generator=rng)
    second = 0.7 + 0.3 * torch.rand(2, 90, 2, generator=rng)
    scored = torch.cat([first, second], dim=-1).to(device)  # (2, 90, 4)
    scores = 1 + 4 * torch.rand(2, 90, generator=rng)
    return Labels(list(to_cxcywh(scored[:, :10])), list(scored), list(scores.to(device)))


def _predictions() -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Good crops of 500 scenes, and forty predictions each: candidates, a few pixels off."""
    rng = torch.Generator().manual_seed(0)
    predictions, truths = [], []
    for sample in datasets.load("scenes", "test", form="gaicd_v2", size=PHOTOS).samples:
        boxes = sample.boxes.double()
        truths.append(boxes[sample.scores > 4])
        chosen = torch.randint(len(boxes), (DETECTIONS,), generator=rng)
        moved = boxes[chosen] + 3 * torch.rand(DETECTIONS, 4, generator=rng)
        predictions.append((moved, sample.scores[chosen].double()))
    return predictions, truths


def _coco(predictions: list[tuple[Tensor, Tensor]], truths: list[Tensor]) -> Callable[[], float]:
    """A function that evaluates the same by pycocotools and returns its AP."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise CropnbError("this ratio needs pycocotools: pip install pycocotools") from error

    def entries(boxes: Tensor, photo: int) -> list[dict]:
        shared = {"image_id": photo, "category_id": 1, "iscrowd": 0}
        return [
            {**shared, "bbox": box, "area": box[2] * box[3]}
            for box in box_convert(boxes, "xyxy", "xywh").tolist()
        ]

    annotations = [entry for photo, boxes in enumerate(truths) for entry in entries(boxes, photo)]
    detections = [
        {**entry, "score": score}
        for photo, (boxes, scores) in enumerate(predictions)
        for entry, score in zip(entries(boxes, photo), scores.tolist(), strict=True)
    ]
    numbered = [{**entry, "id": number} for number, entry in enumerate(annotations, start=1)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": photo} for photo in range(len(truths))],
            "categories": [{"id": 1}],
            "annotations": numbered,
        }
        truth.createIndex()
        result = truth.loadRes(detections)

    def evaluate() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(truth, result, "bbox")
            evaluation.params.iouThrs = np.array([EPS])
            evaluation.params.maxDets = [DETECTIONS]
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
            evaluation.evaluate()
            evaluation.accumulate()
        return float(evaluation.eval["precision"][0, :, 0, 0, 0].mean())

    return evaluate


MEASURED = {
    **training_speed(
        "set prediction, training the network", training_steps, TRAINING_PHOTOS, 1.5, FROM_C3_3
    ),
    "the light set predictor at 600 pixels": Ratio(
        against_classification, "times MobileNetV2 classification of the same photo", at_most=4
    ),
    "AP by pycocotools": Ratio(
        average_precision_against_coco,
        "times AP by cropnb, 500 photos × 40 boxes",
        at_least=5,
        images=PHOTOS,
    ),
    "matching and smoothing, light model on a CPU": Ratio(
        lambda rounds: matching_share(rounds, "cpu", light=True),
        "of a training step of the whole network",
        images=2,
    ),
    "matching and smoothing on a GPU": Ratio(
        matching_share,
        "of a training step of the whole network",
        at_most=0.1,
        images=2,
        needs_cuda=True,
    ),
}
