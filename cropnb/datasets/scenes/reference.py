"""Reference rows of each form: how far a perfect judge gets, how far one person, and how far one
who never looks.

`python -m cropnb.datasets.scenes --reference --record` measures them on the standard sizes and
writes `book/results/scenes.json`.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import ledger, metrics
from cropnb.datasets.base import CropDataset, Sample
from cropnb.datasets.scenes import forms
from cropnb.datasets.scenes.describe import SPLITS, Scene
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.panel import PANEL, PHOTOGRAPHERS, Annotator, share_of_photo
from cropnb.datasets.scenes.score import aesthetic_score, term_matrix
from cropnb.runs.claims import claim
from cropnb.runs.context import Context
from cropnb.runs.rows import measured

NAME = "scenes"
CEILING, MEMBER, PRIOR, CENTRE = (
    "noise-free ceiling",
    "one panel member",
    "content-blind prior",
    "centred crop",
)
GAP = "gap closed by the prior"
RANKING_FORMS = ("gaicd", "gaicd_v2", "cpc")
# another reading of Acc 5 and Acc 10: not recorded
OTHER_COLUMNS = ("mean Acc K/5, K=1…5", "mean Acc K/10, K=1…10")
LESS_IS_BETTER = ("BDE", "Offset")
# the prior has to close less than this share of the gap between the centred crop and the ceiling
LIMIT = 0.4
MOST_BOXES = 12_000  # as many training boxes do to place the prior's box

Rows = dict[str, dict[str, Tensor]]


def reference(form: str, train: int | None = None, test: int | None = None, seed: int = 0) -> Rows:
    """Every reference on one form.

    Args:
        form: of the scenes, such as "gaicd".
        train: training photos; by default the standard size.
        test: test photos; by default the standard size.
        seed: of the scenes.

    Returns:
        Row → column → one value a photo, (photos,). Columns of the forms with scored candidates:
        SRCC and every Acc, as `metrics.ranking_table`. Of the forms with true boxes: IoU and BDE
        against the best-matching box; the centre offset in pixels where a ratio is required (FAT);
        "IoU 1" to "IoU 3" against each photographer of CUHK-ICD.
    """
    training, testing = forms.load("train", form, train, seed), forms.load("test", form, test, seed)
    return (
        _ranking_rows(training, testing) if form in RANKING_FORMS else _box_rows(training, testing)
    )


def gap_shares(rows: Rows, column: str) -> Tensor:
    """The share of the gap from the centred crop to the ceiling that the prior closes, as one
    number a photo whose mean is that share, (photos,).

    They are the ratio's linear part, as the delta method has it; their spread is the share's.
    """
    prior, centre, ceiling = (rows[name][column].double() for name in (PRIOR, CENTRE, CEILING))
    gain, gap = prior - centre, ceiling - centre
    share = gain.sum() / gap.sum()
    return share + (gain - share * gap) / gap.mean()


def gap_closed(rows: Rows, column: str) -> metrics.Interval:
    """The mean of `gap_shares` with its bootstrap interval."""
    return metrics.bootstrap_interval(gap_shares(rows, column))


def columns(rows: Rows) -> list[str]:
    """The columns in which the prior's share of the gap is checked: all in which more is better."""
    return [column for column in rows[CEILING] if column not in (*LESS_IS_BETTER, *OTHER_COLUMNS)]


def ledger_rows(context: Context, form: str, rows: Rows, minutes: float) -> list[ledger.Row]:
    """The ledger's rows of one form: Acc in per cent, the rest as it is, and the share of the gap
    in per cent.
    """
    cells = [
        measured(
            context,
            form,
            name,
            column,
            (100 if column.startswith("Acc") else 1) * values.double(),
            minutes=minutes,
        )
        for name, table in rows.items()
        for column, values in table.items()
        if column not in OTHER_COLUMNS
    ]
    note = (
        f"claim: the prior closes less than {100 * LIMIT:.0f} % of the gap between centred crop "
        "and ceiling"
    )
    for column in columns(rows):
        shares = 100 * gap_shares(rows, column)
        bounds = {"margin": 100 * LIMIT, "below": True}
        fields = {"table": form, "minutes": minutes, "note": note}
        cells.append(
            claim(context, GAP, column, shares, torch.zeros_like(shares), **bounds, **fields)
        )
    return cells


def scene_of(sample: Sample) -> Scene:
    """The scene behind a sample."""
    return sample.load_photo.args[0]


def centred(width: int, height: int, share: float = 0.9) -> Tensor:
    """The centred crop `(4,)` with `share` of each side."""
    edge = (1 - share) / 2
    return torch.tensor([width * edge, height * edge, width * (1 - edge), height * (1 - edge)])


def _ranking_rows(training: CropDataset, testing: CropDataset) -> Rows:
    samples = list(testing)
    mos = [sample.scores for sample in samples]
    prior = _PositionPrior(training) if training.form != "cpc" else _PolynomialPrior(training)
    return {
        CEILING: metrics.ranking_table(
            [aesthetic_score(scene_of(s), s.boxes) for s in samples], mos
        ),
        # One rater against the mean of the others, who then are one fewer.
        MEMBER: metrics.ranking_table(
            [s.raters[0] for s in samples], [s.raters[1:].mean(0) for s in samples]
        ),
        PRIOR: metrics.ranking_table([prior(s) for s in samples], mos),
        CENTRE: metrics.ranking_table(
            [box_math.iou(s.boxes, centred(*s.size)) for s in samples], mos
        ),
    }


class _PositionPrior:
    """Scores an anchor by the mean training MOS of its position, for each shape of photo."""

    def __init__(self, training: CropDataset) -> None:
        by_shape = defaultdict(list)
        for sample in training:
            by_shape[sample.size].append(sample.scores)
        self.table = {size: torch.stack(scores).mean(0) for size, scores in by_shape.items()}

    def __call__(self, sample: Sample) -> Tensor:
        # A shape that no training photo has (only in tiny trials): nothing is known.
        return self.table.get(sample.size, torch.zeros(len(sample.boxes)))


class _PolynomialPrior:
    """Scores a crop by a cubic polynomial of its place, size and ratio, fitted to the training
    scores.

    CPC's crops lie anywhere, so that no two photos share a position to take a mean at.
    """

    def __init__(self, training: CropDataset) -> None:
        samples = list(training)
        inputs = np.concatenate([self._features(sample) for sample in samples])
        targets = torch.cat([sample.scores for sample in samples]).double().numpy()
        self.coefficients = np.linalg.lstsq(inputs, targets, rcond=None)[0]

    @staticmethod
    def _features(sample: Sample) -> np.ndarray:
        box = box_math.normalize(sample.boxes, *sample.size).double()
        x, y = box_math.centers(box).sub(0.5).unbind(1)
        wide, high = (box[:, 2:] - box[:, :2]).sub(0.7).unbind(1)
        base = [x, y, wide, high, box_math.aspect(sample.boxes.double()).log()]
        terms = [torch.ones_like(x), *base]
        for i, a in enumerate(base):
            for j, b in enumerate(base[i:], i):
                terms += [a * b, *(a * b * c for c in base[j:])]
        return torch.stack(terms, 1).numpy()

    def __call__(self, sample: Sample) -> Tensor:
        return torch.from_numpy(self._features(sample) @ self.coefficients)


def _box_rows(training: CropDataset, testing: CropDataset) -> Rows:
    tables: dict[str, dict[str, Tensor]] = {name: {} for name in (CEILING, MEMBER, PRIOR, CENTRE)}
    for person in (None, 0, 1, 2) if testing.form == "cuhk_icd" else (None,):
        prior = _ratio_prior(training) if training.form == "fat" else _box_prior(training, person)
        for sample in testing:
            for name, boxes in _guesses(sample, prior, person).items():
                for column, value in _measure(boxes, sample, person).items():
                    tables[name].setdefault(column, []).append(value)
    return {
        name: {column: torch.tensor(values) for column, values in table.items()}
        for name, table in tables.items()
    }


def _guesses(sample: Sample, prior: dict, person: int | None) -> dict[str, Tensor]:
    """What each row answers for a photo: `(1, 4)`, or one box for each required ratio `(N, 4)`."""
    scene = scene_of(sample)
    dice = Dice(scene.seed, SPLITS[scene.split], scene.index, 99)
    member = [dice.pick(PANEL)]  # somebody of the panel, asked anew
    guesses = defaultdict(list)
    for aspect in forms.required(sample):
        windows = forms.windows_for(*sample.size, aspect)
        score = (  # for one photographer of CUHK-ICD their own taste without its noise
            aesthetic_score(scene, windows)
            if person is None
            else _taste(scene, windows, PHOTOGRAPHERS[person])
        )
        guesses[CEILING].append(windows[score.argmax()])
        guesses[MEMBER].append(
            forms.chosen(scene, windows, member, dice, keep_ratio=aspect is not None)[0]
        )
        if aspect is None:
            guesses[PRIOR].append(box_math.denormalize(prior[None], *sample.size))
            guesses[CENTRE].append(centred(*sample.size))
        else:
            guesses[PRIOR].append(_lattice(*sample.size, aspect)[prior[aspect]])
            guesses[CENTRE].append(_lattice(*sample.size, aspect, scales=(100,), places=(0.5,))[0])
    return {name: torch.stack(boxes) for name, boxes in guesses.items()}


def _taste(scene: Scene, windows: Tensor, person: Annotator) -> Tensor:
    """A person's opinion without noise `(N,)`."""
    share = share_of_photo(windows.numpy(), scene.width, scene.height)
    return torch.from_numpy(
        person.opinion(term_matrix(scene, windows), share, Dice(0), noise_percent=0)
    )


def _measure(boxes: Tensor, sample: Sample, person: int | None) -> dict[str, float]:
    """IoU, BDE and offset of one photo, as a mean over its ratios where some are required."""
    if person is not None:
        return {f"IoU {person + 1}": box_math.iou(boxes[0], sample.boxes[person]).item()}
    # A box of a required ratio has a true box of its own.
    truths = sample.boxes[:, None] if sample.aspects is not None else sample.boxes[None]
    overlap, shift = metrics.iou_and_bde(boxes, truths, *sample.size)
    result = {"IoU": overlap.mean().item(), "BDE": shift.mean().item()}
    if sample.aspects is not None:
        result["Offset"] = metrics.center_offset(boxes, sample.boxes).mean().item()
    return result


def _box_prior(training: CropDataset, person: int | None) -> dict[None, Tensor]:
    """The normalised box of the largest expected IoU with a training photo's best-matching box."""
    truths, photo = _normalised(training, person)
    steps = torch.linspace(0, 1, 21)
    lattice = torch.cartesian_prod(steps, steps, steps, steps)
    lattice = lattice[((lattice[:, 2:] - lattice[:, :2]) > 0.34).all(1)]
    expected = []
    for part in lattice.split(500):
        overlap = box_math.pairwise_iou(part, truths)
        best = torch.zeros(len(part), int(photo[-1]) + 1)
        expected.append(best.scatter_reduce_(1, photo.expand_as(overlap), overlap, "amax").mean(1))
    return {None: lattice[torch.cat(expected).argmax()]}


def _normalised(training: CropDataset, person: int | None) -> tuple[Tensor, Tensor]:
    """Boxes `(N, 4)` of the first training photos and the number of the photo of each."""
    boxes, photo = [], []
    for place, sample in enumerate(training):
        drawn = sample.boxes if person is None else sample.boxes[person : person + 1]
        boxes.append(box_math.normalize(drawn, *sample.size))
        photo += [place] * len(drawn)
        if len(photo) >= MOST_BOXES:
            break
    return torch.cat(boxes), torch.tensor(photo)


def _ratio_prior(training: CropDataset) -> dict[tuple[int, int], int]:
    """For each required ratio the number in `_lattice` of the window of largest expected IoU."""
    total = dict.fromkeys(forms.FAT_ASPECTS, 0)
    for sample in training:
        for aspect, truth in zip(forms.required(sample), sample.boxes, strict=True):
            total[aspect] = total[aspect] + box_math.iou(_lattice(*sample.size, aspect), truth)
    return {
        aspect: int(value.argmax()) if torch.is_tensor(value) else 0
        for aspect, value in total.items()
    }


def _lattice(
    width: int,
    height: int,
    aspect: tuple[int, int],
    scales: Iterable[int] = tuple(range(40, 101, 5)),
    places: Iterable[float] = tuple(step / 10 for step in range(11)),
) -> Tensor:
    """Windows of a ratio `(N, 4)`: some percentages of the largest at shares of the room left."""
    wide, high = forms.largest(width, height, *aspect)
    share = torch.tensor(list(scales)) / 100
    places = torch.tensor(list(places))
    grid = torch.cartesian_prod(share, places, places).reshape(-1, 3)
    size = grid[:, :1] * torch.tensor([float(wide), float(high)])
    corner = grid[:, 1:] * (torch.tensor([float(width), float(height)]) - size)
    return torch.cat([corner, corner + size], 1)
