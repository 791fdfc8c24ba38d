"""ACC 1/N within ε for every ε and N at once, as numbers of photos: what the chapter's figure
answers from.

`python -m cropnb.audit --parts curves --record` writes `book/results/curves/audit.json`. It holds
counts of photos
alone: no box and no score of a dataset follows from them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from cropnb import baselines, candidates, files, ledger
from cropnb import boxes as box_math
from cropnb.audit import blind
from cropnb.audit.tolerance import MOST, Prediction
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import LedgerError
from cropnb.runs.context import Context

EPSILONS = tuple(hundredth / 100 for hundredth in range(70, 101))
KINDS = ("oracle", "method", "blind", "chance")
Rows = list[list[float]]  # (E, N): a number of photos for each ε, and N from 1


@dataclass(frozen=True)
class Curve:
    """One row of the figure.

    Attributes:
        name: of the row.
        kind: `oracle`, `method`, `blind` (never looks at a photo) or `chance` (an expected number,
            not a count).
        first, any, worst: (E, N) numbers of photos that are hit, for each reading of a tie.
        acc: (E, N), or (1, N) where ε doesn't matter: photos whose first crop is among the N best
            annotated; None where the first crop is no annotated one.
        note: what the reader should know of the row.
    """

    name: str
    kind: str
    first: Rows
    any: Rows
    worst: Rows
    acc: Rows | None = None
    note: str = ""


def measure(
    training: CropDataset, test: CropDataset, predictions: Mapping[str, Prediction]
) -> list[Curve]:
    """The curves of one dataset: an oracle, the methods, what looks at no photo, and chance."""
    prior = baselines.PositionPrior(training)
    oracle = [
        sample.boxes[sample.scores.argsort(descending=True, stable=True)] for sample in test.samples
    ]
    fixed = {
        "fixed: covers the training crops": lambda eps: blind.covering_cells(training, MOST, eps),
        "fixed: spread evenly over the grid": lambda eps: spread_cells(MOST, eps),
    }
    best = {
        "anchors of the highest mean training score": blind.best_ranked(prior, MOST),
        "largest anchors": blind.best_ranked(baselines.largest_crop, MOST),
    }
    return [
        of_sets("oracle: the annotators' own ranking", "oracle", test, oracle),
        *(of_sets(name, "method", test, one.boxes, one.note) for name, one in predictions.items()),
        *(_of_cells(name, test, cells) for name, cells in fixed.items()),
        *(
            of_sets(name, "blind", test, list(map(crops, test.samples)))
            for name, crops in best.items()
        ),
        _of_chances("anchors drawn at random", test, blind.random_anchor_hits, _random_acc(test)),
        _of_chances("boxes drawn at random", test, blind.random_box_hits, None),
    ]


def of_sets(
    name: str, kind: str, dataset: CropDataset, sets: Iterable[Tensor], note: str = ""
) -> Curve:
    """The curve of ranked crops (P, 4), one set a photo, the same for every ε."""
    sets = [boxes.double() for boxes in sets]
    near = _reached(best_so_far(dataset, sets))
    firsts = _among_best(dataset, [boxes[0] for boxes in sets])
    return Curve(name, kind, *near, None if firsts is None else [firsts], note)


def spread_cells(count: int, eps: float) -> Tensor:
    """Cells (count, 4) of anchors that cover the grid itself: each next one is within ε of the most
    not yet covered.
    """
    cells = candidates.grid_cells(1200, 900)
    anchors = candidates.anchors_at(cells, 1200, 900, rounded=False).double()
    return cells[
        baselines.greedy_cover(blind.reaches(box_math.pairwise_iou(anchors, anchors), eps), count)
    ]


def best_so_far(dataset: CropDataset, sets: Iterable[Tensor], most: int = MOST) -> Tensor:
    """(3, photos, most): the highest IoU of a photo's first 1 … `most` crops with its best one, as
    ties are read.
    """
    readings = []
    for sample, boxes in zip(dataset.samples, sets, strict=True):
        overlap = box_math.pairwise_iou(blind.tied_best(sample), boxes[:most].double())  # (T, P)
        best = overlap.cummax(1).values
        best = torch.cat([best, best[:, -1:].expand(-1, most - best.shape[1])], dim=1)  # (T, most)
        readings.append(torch.stack([best[0], best.amax(0), best.amin(0)]))  # (3, most)
    return torch.stack(readings, dim=1)


def _reached(overlaps: Tensor) -> list[Rows]:
    """(3, photos, N) → for each reading of a tie the photos that are hit, (E, N)."""
    hits = [blind.reaches(overlaps, eps).sum(1) for eps in EPSILONS]  # (3, N) each
    return torch.stack(hits, dim=1).tolist()


def _of_cells(name: str, dataset: CropDataset, cells: Callable[[float], Tensor]) -> Curve:
    """The curve of the same anchors on every photo, chosen anew for each ε."""
    hits: list[Tensor] = []
    firsts: Rows = []
    for eps in EPSILONS:
        sets = [crop.double() for crop in map(blind.fixed_anchors(cells(eps)), dataset.samples)]
        hits.append(blind.reaches(best_so_far(dataset, sets), eps).sum(1))  # (3, N)
        firsts.append(_among_best(dataset, [boxes[0] for boxes in sets], must=False))
    return Curve(name, "blind", *torch.stack(hits, dim=1).tolist(), firsts)


def _of_chances(
    name: str, dataset: CropDataset, chance: Callable[..., blind.TieBracket], acc: Rows | None
) -> Curve:
    """The expected curve of crops drawn at random, in tenths of a photo."""

    def expected(eps: float) -> Tensor:
        numbers = range(1, MOST + 1)
        return torch.stack([torch.stack(chance(dataset, n, eps)).sum(1) for n in numbers], dim=1)

    hits = torch.stack(list(map(expected, EPSILONS)), dim=1)  # (3, E, N)
    return Curve(name, "chance", *map(_tenths, hits), acc)


def _among_best(
    dataset: CropDataset, firsts: list[Tensor], must: bool = True
) -> list[float] | None:
    """How many photos' first crops (4,) are annotated among the N best, for N = 1 … MOST, (N,)."""
    # Where a photo's first crop is not annotated at all: None with `must`, else a miss.
    total = torch.zeros(MOST, dtype=torch.long)
    for sample, box in zip(dataset.samples, firsts, strict=True):
        same = blind.reaches(box_math.iou(sample.boxes.double(), box), 1.0)
        if not same.any():
            if must:
                return None
            continue
        total += sample.scores[same].max() >= _nth_largest(sample)
    return total.tolist()


def _nth_largest(sample: Sample) -> Tensor:
    return sample.scores.sort(descending=True).values[:MOST]


def _random_acc(dataset: CropDataset) -> Rows:
    chances = [
        (sample.scores[None] >= _nth_largest(sample)[:, None]).double().mean(1)  # (N,)
        for sample in dataset.samples
    ]
    return _tenths(torch.stack(chances).sum(0)[None])


def _tenths(values: Tensor) -> Rows:
    return [[round(value, 1) for value in row] for row in values.tolist()]


def write(dataset: str, curves: Iterable[Curve], context: Context, photos: int) -> None:
    """Put the curves of one dataset into the file, with the command that measured them."""
    panels = read() if path().is_file() else {}
    made = {key: context.fields()[key] for key in ("command", "commit", "device")}
    panels[dataset] = {**made, "photos": photos, "curves": [asdict(curve) for curve in curves]}
    path().parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(panels, ensure_ascii=False, separators=(",", ":"))
    files.write_atomically(path(), (text.replace('{"name"', '\n{"name"') + "\n").encode())


def read() -> dict[str, dict]:
    """Dataset → its `photos`, `curves` and the command behind them.

    Raises:
        LedgerError: they weren't measured.
    """
    try:
        return json.loads(path().read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise LedgerError(
            f"no curves at {path()} ({error}); python -m cropnb.audit --parts curves --record"
        ) from error


def path() -> Path:
    """Where the curves lie, beside the ledger."""
    return ledger.folder() / "curves" / "audit.json"
