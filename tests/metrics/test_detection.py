"""Average precision: equal to pycocotools, on random and on nasty cases."""

import contextlib
import io
import math

import numpy as np
import pytest
import torch

from cropnb import metrics
from cropnb.errors import BoxError, MetricError


def coco(predictions, truths, iou_threshold, max_detections) -> float:
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def xywh(box):
        x1, y1, x2, y2 = map(float, box)
        return [x1, y1, x2 - x1, y2 - y1]

    annotations = [
        {
            "image_id": photo,
            "category_id": 1,
            "bbox": xywh(box),
            "area": (box[2] - box[0]) * (box[3] - box[1]),
        }
        for photo, boxes in enumerate(truths)
        for box in boxes.tolist()
    ]
    detections = [
        {"image_id": photo, "category_id": 1, "bbox": xywh(box), "score": score}
        for photo, (boxes, scores) in enumerate(predictions)
        for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": photo} for photo in range(len(truths))],
            "categories": [{"id": 1}],
            "annotations": [
                {**entry, "id": index + 1, "iscrowd": 0} for index, entry in enumerate(annotations)
            ],
        }
        truth.createIndex()
        result = truth.loadRes(detections) if detections else COCO()
        if not detections:
            result.dataset = {**truth.dataset, "annotations": []}
            result.createIndex()
        evaluation = COCOeval(truth, result, "bbox")
        evaluation.params.iouThrs = np.array([iou_threshold])
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["precision"][0, :, 0, 0, 0].mean())  # area range "all"


def random_case(seed: int, photos: int = 12, ties: bool = False, size: int = 40):
    generator = torch.Generator().manual_seed(seed)

    def some_boxes(most: int) -> torch.Tensor:
        count = int(torch.randint(0, most + 1, (1,), generator=generator))
        corners = torch.randint(0, size // 2, (count, 2), generator=generator)
        sides = torch.randint(size // 3, size, (count, 2), generator=generator)
        return torch.cat([corners, corners + sides], dim=1).double()

    truths = [some_boxes(6) for _ in range(photos)]
    predictions = []
    for _ in range(photos):
        boxes = some_boxes(25)
        scores = torch.rand(len(boxes), generator=generator).double()
        predictions.append((boxes, (scores * 4).round() if ties else scores))
    return predictions, truths


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("threshold", "limit"), [(0.5, 100), (0.85, 5), (0.7, 10), (0.3, 1)])
def test_equals_pycocotools(seed, ties, threshold, limit):
    case = random_case(seed, ties=ties)
    assert metrics.average_precision(*case, threshold, limit) == pytest.approx(
        coco(*case, threshold, limit), abs=1e-12
    )


BOX = torch.tensor([[0.0, 0, 10, 10]]).double()
NONE = torch.zeros(0, 4).double()


def scored(boxes: torch.Tensor, *scores: float) -> tuple[torch.Tensor, torch.Tensor]:
    return boxes, torch.tensor(scores, dtype=torch.double)


NASTY = {
    "no prediction": ([scored(NONE)], [BOX]),
    "no truth on one photo": ([scored(BOX, 0.9), scored(BOX, 0.8)], [NONE, BOX]),
    "no prediction on one photo": ([scored(NONE), scored(BOX, 0.8)], [BOX, BOX]),
    "one box found twice": ([scored(BOX.repeat(2, 1), 0.9, 0.8)], [BOX]),
    "one prediction, the same truth twice": ([scored(BOX, 0.9)], [BOX.repeat(2, 1)]),
    "all scores equal": (
        [scored(torch.cat([BOX + 20, BOX, BOX + 40]), 1, 1, 1)],
        [torch.cat([BOX, BOX + 40])],
    ),
    "two true boxes at the same overlap": (
        [scored(torch.tensor([[2.0, 0, 12, 10], [4, 0, 14, 10]]).double(), 0.9, 0.8)],
        [torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10]]).double()],
    ),
    "overlap at the threshold itself": ([scored(BOX * torch.tensor([1, 1, 1, 0.5]), 0.9)], [BOX]),
    "many wrong before a right one": (
        [scored(torch.cat([BOX + 50 * i for i in range(1, 9)] + [BOX]), *range(9, 0, -1))],
        [BOX],
    ),
}


@pytest.mark.parametrize("case", NASTY.values(), ids=NASTY.keys())
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_equals_pycocotools_on_nasty_cases(case, limit):
    assert metrics.average_precision(*case, 0.5, limit) == pytest.approx(
        coco(*case, 0.5, limit), abs=1e-12
    )


def test_by_hand():
    # Ranked: right, wrong, right. Precision 1 up to recall 1/2, then 2/3: 51 recalls of 0…0.50, 50
    # above.
    boxes = torch.cat([BOX, BOX + 50, BOX + 20])
    ap = metrics.average_precision(
        [scored(boxes, 0.9, 0.8, 0.7)], [torch.cat([BOX, BOX + 20])], 0.5, 10
    )
    assert ap == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    # Wrong versions: the area below the steps without the 101 points, or without the envelope.
    assert ap != pytest.approx(0.5 * 1 + 0.5 * 2 / 3, abs=1e-4)


def test_taking_the_last_free_true_box_is_another_metric():
    # Set prediction's published code takes the last free true box above the threshold, not the best
    # one. Here it gives the first prediction the box that only the second could have used.
    truths = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 7]]).double()
    predictions = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5.5]]).double()
    assert metrics.average_precision(
        [scored(predictions, 0.9, 0.8)], [truths], 0.6, 10
    ) == pytest.approx(1.0)
    last = metrics.average_precision(
        [scored(predictions, 0.9, 0.8)], [truths], 0.6, 10, take="last"
    )
    assert last == pytest.approx(51 / 101)
    # last above 0.6 for the first prediction: truths[1] (IoU 0.7); left for the second: truths[0]
    # (IoU 0.55), a miss


def every_photo_alone_takes_the_last(predictions, truths, threshold, limit):
    """The rule in plain loops: which predictions hit, photo after photo, the best scored first."""
    hits = []
    for (boxes, scores), true in zip(predictions, truths, strict=True):
        free = list(range(len(true)))
        for index in scores.argsort(descending=True, stable=True)[:limit].tolist():
            reached = [t for t in free if len(true) and box_iou(boxes[index], true[t]) >= threshold]
            hits.append(bool(reached))
            free = [t for t in free if not reached or t != reached[-1]]
    return hits


def box_iou(a, b) -> float:
    from cropnb.boxes import iou

    return float(iou(a, b))


@pytest.mark.parametrize("seed", range(3))
def test_taking_the_last_in_plain_loops(seed):
    from cropnb.metrics.detection import _ranked_hits

    predictions, truths = random_case(seed)
    hits, *_ = _ranked_hits(predictions, truths, 0.6, 10, "last")
    assert hits.tolist() == every_photo_alone_takes_the_last(predictions, truths, 0.6, 10)
    assert (
        hits.tolist() != _ranked_hits(predictions, truths, 0.6, 10, "best")[0].tolist() or seed != 0
    )


def test_the_interval_resamples_whole_photos():
    predictions, truths = random_case(2, photos=30)
    interval, samples = metrics.average_precision_interval(
        predictions, truths, 0.6, 10, samples=200
    )
    assert interval.mean == metrics.average_precision(predictions, truths, 0.6, 10)
    assert interval.low < interval.mean < interval.high
    assert samples.shape == (200,)
    # The first draw, done by hand: the photos once more, as often as they were drawn.
    times = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30))
    drawn = [photo for photo in range(30) for _ in range(times[photo])]
    again = metrics.average_precision(
        [predictions[i] for i in drawn], [truths[i] for i in drawn], 0.6, 10
    )
    assert samples[0] == pytest.approx(again, abs=1e-9)
    better = [
        (torch.cat([t, p[0]]), torch.cat([2 + torch.arange(len(t)), p[1]]))
        for p, t in zip(predictions, truths, strict=True)
    ]
    other = metrics.average_precision_interval(better, truths, 0.6, 10, samples=200)[1]
    assert (other > samples).all()


def test_an_interval_needs_a_true_box():
    with pytest.raises(MetricError, match="no photo has a true box"):
        metrics.average_precision_interval([scored(BOX, 1.0)], [NONE], 0.5, 10)


@pytest.mark.parametrize("seed", range(3))
def test_equals_pycocotools_far_from_the_origin_and_beyond_the_limit(seed):
    """More photos, boxes of very different sizes, half of the photos without a true box, limits
    below and above.
    """
    generator = torch.Generator().manual_seed(seed)
    truths, predictions = [], []
    for photo in range(20):
        true = (
            3000 + 500 * torch.rand(photo % 4 if photo % 2 else 0, 4, generator=generator).double()
        )
        true = torch.cat([true[:, :2], true[:, 2:] + 700], dim=1)
        noise = 40 * torch.randn(6, len(true), 4, generator=generator).double()
        boxes = torch.cat([(true + noise).flatten(0, 1), BOX, BOX + 100])
        predictions.append(
            (boxes, (torch.rand(len(boxes), generator=generator) * 5).round().double())
        )
        truths.append(true)
    for limit in (1, 7, 200):
        case = (predictions, truths, 0.85, limit)
        assert metrics.average_precision(*case) == pytest.approx(coco(*case), abs=1e-12)


def test_the_limit_is_per_photo_and_by_score():
    boxes = torch.cat([BOX + 50, BOX])
    assert metrics.average_precision([scored(boxes, 0.1, 0.9)], [BOX], 0.5, 1) == pytest.approx(1.0)
    assert metrics.average_precision([scored(boxes, 0.9, 0.1)], [BOX], 0.5, 1) == 0


def test_without_any_true_box_there_is_no_number():
    assert math.isnan(metrics.average_precision([scored(BOX, 0.9)], [NONE], 0.5, 10))
    assert coco([scored(BOX, 0.9)], [NONE], 0.5, 10) == -1


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (
            lambda: metrics.average_precision([scored(BOX, 1)], [], 0.5, 1),
            MetricError,
            "one entry each",
        ),
        (
            lambda: metrics.average_precision([scored(BOX, 1, 2)], [BOX], 0.5, 1),
            MetricError,
            "give one each",
        ),
        (
            lambda: metrics.average_precision([scored(BOX, float("nan"))], [BOX], 0.5, 1),
            MetricError,
            "NaN",
        ),
        (
            lambda: metrics.average_precision([scored(BOX, 1)], [BOX], 0.5, 0),
            MetricError,
            "max_detections",
        ),
        (
            lambda: metrics.average_precision([scored(BOX, 1)], [BOX], 0.0, 1),
            MetricError,
            "iou_threshold",
        ),
        (
            lambda: metrics.average_precision([scored(-BOX, 1)], [BOX], 0.5, 1),
            BoxError,
            "predicted boxes",
        ),
        (
            lambda: metrics.average_precision([scored(BOX, 1)], [BOX], 0.5, 1, "first"),
            MetricError,
            "take",
        ),
    ],
)
def test_bad_input_is_refused(call, error, reason):
    with pytest.raises(error, match=reason):
        call()


def test_what_photos_add_to_it_has_its_mean_and_the_bootstraps_spread():
    predictions, truths = random_case(3, photos=120)
    values = metrics.average_precision_by_photo(predictions, truths, 0.6, 10)
    assert values.shape == (120,)
    assert values.mean() == pytest.approx(metrics.average_precision(predictions, truths, 0.6, 10))
    _, samples = metrics.average_precision_interval(predictions, truths, 0.6, 10)
    assert values.std(ddof=1) / math.sqrt(120) == pytest.approx(samples.std(), rel=0.15)
    better = list(predictions)
    better[7] = (
        truths[7],
        torch.full((len(truths[7]),), 2.0),
    )  # one photo's predictions made right
    changed = metrics.average_precision_by_photo(better, truths, 0.6, 10) - values
    assert changed.argmax() == 7
    with pytest.raises(MetricError, match="no photo has a true box"):
        metrics.average_precision_by_photo([scored(BOX, 1.0)], [NONE], 0.5, 10)
