"""The same scenes in the form of every real dataset."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cropnb.candidates import grid_anchors
from cropnb.datasets.base import CropDataset, Sample, check_split
from cropnb.datasets.scenes.describe import SPLITS, Scene, describe
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.drawing import draw
from cropnb.datasets.scenes.panel import PANEL, PHOTOGRAPHERS, Annotator, rating, share_of_photo
from cropnb.datasets.scenes.score import term_matrix
from cropnb.errors import CropnbError

# Photos of a split: those of the real datasets for GAICD, rounder numbers for the larger ones.
SIZES = {
    "gaicd": {"train": 1036, "val": 200, "test": 200},
    "gaicd_v2": {"train": 2636, "val": 200, "test": 500},
    **{
        form: {"train": 4000, "val": 500, "test": 500}
        for form in ("cpc", "fcdb", "flms", "fat", "cuhk_icd")
    },
}
# Of any form: a comparison that its standard test scenes leave unsettled may take more of them.
MOST_TEST_SCENES = 2000
RATERS = 7  # who rate one photo's candidates, drawn from the panel
CPC_ASPECTS = ((1, 1), (4, 3), (3, 4), (16, 9))
ANY_ASPECT = ((3, 4), (1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1))
FAT_ASPECTS = ((1, 2), (9, 16), (2, 3), (3, 4), (1, 1), (4, 3), (3, 2), (16, 9), (2, 1))


class SceneSamples(Sequence):
    """Samples made when they are first asked for: listing 4 000 photos costs nothing."""

    def __init__(self, seed: int, split: str, form: str, size: int) -> None:
        self.seed, self.split, self.form, self.size = seed, split, form, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self.size))]
        index = int(index)
        if not -self.size <= index < self.size:
            raise IndexError(f"scene {index} of {self.size}")
        return make_sample(self.seed, self.split, index % self.size, self.form)


def load(
    split: str = "test", form: str = "gaicd", size: int | None = None, seed: int = 0
) -> CropDataset:
    """Composed Scenes in the form of a real dataset.

    Args:
        split: "train", "val" or "test"; no two of them share a scene.
        form: "gaicd", "gaicd_v2", "cpc", "fcdb", "flms", "fat" or "cuhk_icd".
        size: how many photos; by default `SIZES[form][split]`. Fewer are the first ones of
            these, and a test split goes on behind them, up to `MOST_TEST_SCENES`.
        seed: another seed gives other scenes. The panel of annotators stays.

    Photos are drawn when `Sample.image()` or `Sample.photo()` is called.

    Raises:
        CropnbError: for an unknown split or form, or a size that there isn't.
    """
    if form not in SIZES:
        raise CropnbError(f"scenes have the forms {', '.join(SIZES)}, not {form!r}")
    check_split("scenes", split, list(SPLITS))
    full = SIZES[form][split]
    size = full if size is None else size
    most = MOST_TEST_SCENES if split == "test" else full
    if not 1 <= size <= most:
        raise CropnbError(
            f"size is {size}; the {split} split of scenes in the form of {form} has 1 to {most} "
            "photos"
        )
    return CropDataset("scenes", split, form, None, SceneSamples(seed, split, form, size))


@lru_cache(maxsize=20_000)
@torch.inference_mode(False)  # its tensors serve trainings too
def make_sample(seed: int, split: str, index: int, form: str) -> Sample:
    """Sample number `index` of a split in one of the forms."""
    scene = describe(seed, index, split)
    dice = Dice(seed, SPLITS[split], index, 2 + list(SIZES).index(form.removesuffix("_v2")))
    return FORMS[form](scene, dice)


def photo_of(scene: Scene) -> Image.Image:
    """The drawn photograph as a PIL image."""
    return Image.fromarray(draw(scene))


def sample_of(scene: Scene, boxes: Tensor, **labels: Tensor) -> Sample:
    """A scene with boxes (N, 4) and what people said of them, as fields of `Sample`."""
    name = f"{scene.split}-{scene.seed}-{scene.index:04d}"
    things = [*scene.subjects, *scene.distractors]
    objects = torch.tensor([thing.box for thing in things], dtype=torch.float32).reshape(-1, 4)
    return Sample(
        name,
        scene.width,
        scene.height,
        boxes,
        objects=objects,
        load_photo=partial(photo_of, scene),
        **labels,
    )


def opinions(
    scene: Scene, boxes: Tensor, people: Sequence[Annotator], dice: Dice, noise_percent: int = 100
) -> np.ndarray:
    """What each person thinks of each box: `(people, N)` int64."""
    terms, share = (
        term_matrix(scene, boxes),
        share_of_photo(boxes.numpy(), scene.width, scene.height),
    )
    return np.stack([person.opinion(terms, share, dice, noise_percent) for person in people])


def draw_people(dice: Dice, count: int) -> list[Annotator]:
    """Members of the panel, none twice."""
    order = np.argsort(dice.many(0, 1 << 40, len(PANEL)), kind="stable")
    return [PANEL[member] for member in order[:count]]


def _gaicd(scene: Scene, dice: Dice) -> Sample:
    """Grid anchors, each with the mean of seven people's ratings of 1 … 5."""
    boxes = grid_anchors(scene.width, scene.height)
    stars = rating(opinions(scene, boxes, draw_people(dice, RATERS), dice))
    raters = torch.from_numpy(stars).float()
    return sample_of(scene, boxes, scores=raters.mean(0), raters=raters)


def _cpc(scene: Scene, dice: Dice) -> Sample:
    """24 crops, six of each of four ratios; in each, six people pick the better half, then four."""
    # A pick is one point, so that a row holds 0, 1 and 2 and the mean over a photo is two thirds,
    # as in CPC (0.6621).
    boxes = cpc_windows(scene.width, scene.height, dice)
    picks = cpc_picks(opinions(scene, boxes, draw_people(dice, 6), dice))
    raters = torch.from_numpy(picks).float()
    return sample_of(scene, boxes, scores=raters.mean(0), raters=raters)


def cpc_windows(width: int, height: int, dice: Dice) -> Tensor:
    """24 crops (24, 4) in pixels: six sizes of each of four ratios, somewhere in the photo."""
    boxes = []
    for ratio_width, ratio_height in CPC_ASPECTS:
        wide, high = largest(width, height, ratio_width, ratio_height)
        for percent in (60, 68, 76, 84, 92, 100):
            w, h = wide * percent // 100, high * percent // 100
            x, y = dice.roll(0, width - w), dice.roll(0, height - h)
            boxes.append((x, y, x + w, y + h))
    return torch.tensor(boxes, dtype=torch.float32)


def cpc_picks(ratings: np.ndarray) -> np.ndarray:
    """What each person picks by how they rate 24 crops, (people, 24): 1 for the better half of each
    ratio, 2 for the best four of these.
    """
    groups = ratings.reshape(len(ratings), 4, 6)
    better = np.argsort(np.argsort(-groups, axis=2, kind="stable"), axis=2) < 3
    picked = better.reshape(len(ratings), 24).astype(np.int64)
    among = np.where(picked == 1, ratings, ratings.min() - 1)
    best = np.argsort(np.argsort(-among, axis=1, kind="stable"), axis=1) < 4
    return picked + best


def largest(width: int, height: int, ratio_width: int, ratio_height: int) -> tuple[int, int]:
    """The largest window of a ratio in the photo, in whole pixels."""
    if width * ratio_height > height * ratio_width:
        return height * ratio_width // ratio_height, height
    return width, width * ratio_height // ratio_width


@lru_cache(maxsize=512)
@torch.inference_mode(False)
def choices(
    width: int,
    height: int,
    aspects: tuple = ANY_ASPECT,
    scales: tuple = (48, 56, 64, 72, 80, 90, 100),
) -> Tensor:
    """The windows among which someone who may draw any box chooses: `(N, 4)` whole pixels, some
    3 000 of them.

    Every ratio (width, height) at every percentage of its largest window, moved by a twentieth of
    the photo's long side. Not the windows that any method slides: a truth that lies among a
    method's own candidates would flatter it.
    """
    step = max(width, height) // 20
    boxes = []
    for ratio_width, ratio_height in aspects:
        wide, high = largest(width, height, ratio_width, ratio_height)
        for percent in scales:
            w, h = wide * percent // 100, high * percent // 100
            left, top = _offsets(width - w, step), _offsets(height - h, step)
            x, y = (part.reshape(-1) for part in np.meshgrid(left, top))
            boxes.append(np.stack([x, y, x + w, y + h], axis=1))
    return torch.from_numpy(np.concatenate(boxes)).float()


def _offsets(room: int, step: int) -> np.ndarray:
    """From 0 to `room` in equal moves of about `step` pixels, rounded to whole ones."""
    moves = max(-(-room // step), 1)
    return np.unique(np.arange(moves + 1) * room // moves)


def chosen(
    scene: Scene, windows: Tensor, people: Sequence[Annotator], dice: Dice, keep_ratio: bool = False
) -> Tensor:
    """The box of each person, in whole pixels: `(people, 4)`.

    A person who draws a box compares it with its neighbours, so that each window has only a third
    of the noise that a lone rating has. The hand is not exact either: each edge is off by some
    hundredth of the photo's side, or the box as a whole where `keep_ratio` forbids to change it.
    """
    boxes = windows.numpy()[opinions(scene, windows, people, dice, 33).argmax(1)].astype(np.int64)
    size = np.array([scene.width, scene.height] * 2)
    off = (dice.bell(1000, len(people), 4) * size + 40_000) // 80_000
    if keep_ratio:
        off = np.clip(
            np.tile(off[:, :2], 2), -np.tile(boxes[:, :2], 2), np.tile((size - boxes)[:, 2:], 2)
        )
    return torch.from_numpy(np.clip(boxes + off, 0, size)).float()


def windows_for(width: int, height: int, aspect: tuple[int, int] | None = None) -> Tensor:
    """`choices` of any ratio, or finer ones of the required ratio (width, height): `(N, 4)`."""
    if aspect is None:
        return choices(width, height)
    return choices(width, height, (aspect,), tuple(range(40, 101, 5)))


def required(sample: Sample) -> list[tuple[int, int] | None]:
    """The required ratio (width, height) of each true box; a single None where any ratio may be
    drawn.
    """
    if sample.aspects is None:
        return [None]
    ratios = {aspect[0] / aspect[1]: aspect for aspect in FAT_ASPECTS}
    return [
        ratios[min(ratios, key=lambda ratio: abs(ratio - aspect))]
        for aspect in sample.aspects.tolist()
    ]


def _fcdb(scene: Scene, dice: Dice) -> Sample:
    """One box, of one person."""
    return sample_of(
        scene, chosen(scene, choices(scene.width, scene.height), draw_people(dice, 1), dice)
    )


def _flms(scene: Scene, dice: Dice) -> Sample:
    """Up to ten boxes, each of another person; now and then somebody missed the photo."""
    people = draw_people(dice, 10 - max(0, dice.roll(-5, 3)))
    return sample_of(scene, chosen(scene, choices(scene.width, scene.height), people, dice))


def _fat(scene: Scene, dice: Dice) -> Sample:
    """Up to three boxes, each for another required ratio of 0.5 … 2, by one person a photo."""
    person = draw_people(dice, 1)
    order = np.argsort(dice.many(0, 1 << 40, len(FAT_ASPECTS)), kind="stable")
    aspects = [FAT_ASPECTS[number] for number in order[: dice.pick((2, 3, 3))]]
    windows = [windows_for(scene.width, scene.height, aspect) for aspect in aspects]
    boxes = [chosen(scene, candidates, person, dice, keep_ratio=True) for candidates in windows]
    return sample_of(
        scene, torch.cat(boxes), aspects=torch.tensor([aspect[0] / aspect[1] for aspect in aspects])
    )


def _cuhk_icd(scene: Scene, dice: Dice) -> Sample:
    """Three boxes: those of the three photographers, always in the same order."""
    return sample_of(scene, chosen(scene, choices(scene.width, scene.height), PHOTOGRAPHERS, dice))


FORMS: dict[str, Callable[[Scene, Dice], Sample]] = {
    "gaicd": _gaicd,
    "gaicd_v2": _gaicd,
    "cpc": _cpc,
    "fcdb": _fcdb,
    "flms": _flms,
    "fat": _fat,
    "cuhk_icd": _cuhk_icd,
}
