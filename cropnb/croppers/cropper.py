"""A method, ready to crop photos: one or a list of them, from one thread or several."""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, overload

import torch
from torch import Tensor

from cropnb import boxes as box_math
from cropnb import candidates, photos
from cropnb.croppers import batches
from cropnb.croppers.crops import Crop
from cropnb.croppers.preference import preference
from cropnb.croppers.protocols import ProposingMethod, ScoringMethod
from cropnb.croppers.request import Request
from cropnb.croppers.windows import check_room
from cropnb.errors import BoxError, CropnbError, ImageError
from cropnb.ratios import RatioLike, SizeLike

MIN_SIDE = 16  # pixels; in less than that there is nothing to choose between
# The shorter side, in pixels, from which on a network is shown a smaller copy. The largest that a
# network reads is 448; photos of the book's datasets stay as they are, so numbers stay too.
ENOUGH = 1024

Result = TypeVar("Result")
RankedBoxes = tuple[Tensor, Tensor | None]  # boxes (N, 4), scores (N,)


@dataclass(frozen=True, eq=False)
class Look:
    """A photo that was opened, and what the method sees of it: (3, h, w), or None if nothing."""

    photo: photos.OpenedPhoto
    seen: Tensor | None


class Cropper:
    """A method, ready to crop photos. Several threads may use one cropper."""

    def __init__(self, method: ScoringMethod | ProposingMethod):
        self.method = method
        self.name = method.name
        # A method that says nothing about threads is asked by one at a time.
        shared = getattr(method, "shared", False)
        self._turn = contextlib.nullcontext() if shared else threading.Lock()

    def __repr__(self) -> str:
        return f"Cropper({self.name!r})"

    def __getstate__(self) -> dict[str, object]:
        return {"method": self.method}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(state["method"])

    @overload
    def __call__(self, photo: list, k: int = 1, **asked: object) -> list[list[Crop]]: ...
    @overload
    def __call__(self, photo: photos.Photo, k: int = 1, **asked: object) -> list[Crop]: ...
    def __call__(
        self,
        photo: photos.Photo | Sequence[photos.Photo],
        k: int = 1,
        aspect: RatioLike | None = None,
        *,
        size: SizeLike | None = None,
        enlarge: bool = False,
        limit: int | None = None,
    ) -> list[Crop] | list[list[Crop]]:
        """The `k` best crops of a photo, best first; of a list of photos, a list of such lists.

        A scoring method gives its `k` best candidates, which may overlap as much as candidates do;
        of equal scores the first candidate wins. Best is the highest score or, for a method that
        names its `sharpness`, the largest expected overlap with the crop that a person would draw
        (see `cropnb.croppers.preference`). With fewer good crops than `k` there are fewer,
        with a warning. Photos of a list are read in threads and shown to the network in batches.

        Args:
            photo: a path, a PIL image, bytes, an open binary file, an (H, W) or (H, W, C) array, a
                (3, H, W) tensor of bytes or of floats in 0…1, or a list of these.
            aspect: the required ratio: 16 / 9, "16:9", (16, 9). A method that is free of ratios
                takes its best candidate of this one.
            size: "1080x1350" or (1080, 1350): crops of this ratio, and their images resized to it.
            enlarge: whether a crop with fewer pixels than `size` is resized too.
            limit: pixels above which a photo is refused, by default 500 000 000.

        Raises:
            ImageError: for a photo that can't be read, or is too small or too narrow to choose in;
                of a list, the first such one.
            BoxError: for what is no ratio or size, or has no window in the photo.
            CropnbError: for a `k` below 1.
        """
        request = Request.of(k, aspect, size, enlarge, limit)
        if not isinstance(photo, (list, tuple)):
            return self._crops(*self._one(photo, request), request)
        crops = []
        for place, result in enumerate(self.stream(photo, request)):
            if isinstance(result, Exception):
                result.add_note(f"photo {place} of the list")
                raise result
            crops.append(result)
        return crops

    def stream(
        self,
        sources: Iterable[photos.Photo],
        request: Request,
        finish: Callable[[int, list[Crop]], Result] = lambda place, crops: [
            crop.close() for crop in crops
        ],
        jobs: int | None = None,
    ) -> Iterator[Result | Exception]:
        """Crop many photos, in their order: what `finish(place, crops)` returns of each, or the
        error that it failed with.

        Photos are opened and finished in `jobs` threads, by default one a processor. On a GPU the
        network is asked in batches, by the caller's thread.
        """
        budget = batches.Budget()
        open_photo = partial(photos.open_photo, limit=request.limit)

        def look(source: photos.Photo) -> Look:
            return self._look(source, request)

        def finished(place: int, answer: tuple[Look, RankedBoxes]) -> Result:
            return finish(place, self._crops(*answer, request))

        def handful(entries: list[tuple[int, photos.Photo]]) -> list[Result | Exception]:
            places, originals = zip(*entries, strict=True)
            opened = [batches.tried(open_photo, source) for source in originals]
            results: list[Result | Exception] = []
            for part, weight in batches.by_weight([_pixels(photo) for photo in opened]):
                with budget.of(weight):
                    looks = [batches.tried(look, photo) for photo in opened[part]]
                    answers = batches.answered(looks, lambda good: self._find_all(good, request))
                    results += map(partial(batches.tried, finished), places[part], answers)
                opened[part] = looks = answers = [None] * len(looks)  # so much memory is free again
            return results

        if torch.device(getattr(self.method, "device", "cpu")).type == "cpu":
            return batches.in_threads(sources, handful, jobs)
        return batches.in_batches(
            sources,
            look=look,
            answer=lambda looks: self._find_all(looks, request),
            finish=finished,
            weight=lambda look: _pixels(look.photo),
            jobs=jobs,
        )

    def score(self, photo: photos.Photo, boxes: Tensor) -> Tensor:
        """The method's scores (N,) of boxes (N, 4) in pixels of the upright photo, higher is
        better.

        Raises:
            ImageError: as for cropping.
            BoxError: when a box is inverted, empty, not finite or outside, or the shape isn't (N,
                4).
            CropnbError: when the method scores no boxes.
        """
        if not hasattr(self.method, "score_boxes"):
            raise CropnbError(
                f"{self.name} scores no boxes that it is given; use a method that rates candidates"
            )
        opened = photos.open_photo(photo)
        width, height = opened.size
        boxes = box_math.check(boxes, width=width, height=height)
        if boxes.ndim != 2:
            raise BoxError(
                f"boxes have the shape (N, 4), not {tuple(boxes.shape)}; for one box use "
                "boxes[None]"
            )
        if not len(boxes):
            return boxes.new_zeros(0)
        _check_room(self.name, opened.size)
        look = Look(opened, self._see(opened))
        with self._turn, torch.inference_mode():
            scores = self._score_all([look], [boxes.detach()])[0]
        return scores.float().cpu().clone()

    def _one(self, photo: photos.Photo, request: Request) -> tuple[Look, RankedBoxes]:
        look = self._look(photo, request)
        return look, self._find([look], request)[0]

    def _look(self, source: photos.Photo, request: Request) -> Look:
        """Open a photo and see it, where that isn't in vain."""
        opened = photos.open_photo(source, limit=request.limit)
        if request.aspect is not None:
            check_room(request.aspect, *opened.size)
        if not hasattr(self.method, "propose"):
            _check_room(self.name, opened.size)
        return Look(opened, self._see(opened))

    def _see(self, opened: photos.OpenedPhoto) -> Tensor | None:
        if getattr(self.method, "blind", False):
            return None
        width, height = opened.size
        scale = min(ENOUGH / min(width, height), 1)
        image = opened.small_rgb(round(max(width, height) * scale) if scale < 1 else None)
        if not hasattr(self.method, "see"):
            return image
        with torch.inference_mode():
            return self.method.see(image)

    def _find_all(self, looks: Sequence[Look], request: Request) -> list[object]:
        """`(look, found)` of each photo, or its error; of a batch that fails one by one."""
        try:
            return list(zip(looks, self._find(looks, request), strict=True))
        except Exception as error:
            if len(looks) == 1:
                return [error]
            return [answer for look in looks for answer in self._find_all([look], request)]

    def _find(self, looks: Sequence[Look], request: Request) -> list[RankedBoxes]:
        """Boxes in the photos' pixels and scores, best first."""
        aspect = None if request.aspect is None else float(request.aspect)
        with self._turn, torch.inference_mode():
            if hasattr(self.method, "propose"):
                answers = self._propose_all(looks, aspect)
            else:
                boxes = [self._candidates(*look.photo.size, aspect) for look in looks]
                answers = list(zip(boxes, self._score_all(looks, boxes), strict=True))
        return [self._ranked(*answer, one_ratio=aspect is not None) for answer in answers]

    def _candidates(self, width: int, height: int, aspect: float | None) -> Tensor:
        boxes = self.method.candidates(width, height, aspect)
        if not len(boxes):  # the limits of the grid leave nothing of a panorama
            boxes = candidates.aspect_windows(width, height, aspect or width / height)
        return boxes

    def _score_all(self, looks: Sequence[Look], boxes: Sequence[Tensor]) -> list[Tensor]:
        if hasattr(self.method, "score_all"):
            sizes = [look.photo.size for look in looks]
            return self.method.score_all([look.seen for look in looks], sizes, boxes)
        return [
            self.method.score_boxes(look.seen, box / box.new_tensor(_scale(look)))
            for look, box in zip(looks, boxes, strict=True)
        ]

    def _propose_all(self, looks: Sequence[Look], aspect: float | None) -> list[RankedBoxes]:
        if hasattr(self.method, "propose_all"):
            sizes = [look.photo.size for look in looks]
            return self.method.propose_all(
                [look.seen for look in looks], sizes, [aspect] * len(looks)
            )
        answers = []
        for look in looks:
            scale_x, scale_y, _, _ = _scale(look)
            # Width and height are made smaller by a hair's breadth differently, and a ratio by both
            shown = None if aspect is None else aspect * scale_y / scale_x
            boxes, scores = self.method.propose(look.seen, shown)
            answers.append((boxes * boxes.new_tensor(_scale(look)), scores))
        return answers

    def _ranked(self, boxes: Tensor, scores: Tensor | None, one_ratio: bool) -> RankedBoxes:
        # Outside of inference mode a copy is an ordinary tensor, which may take part in anything.
        boxes = boxes.float().cpu().clone()
        if scores is None:
            return boxes, None
        scores = scores.float().cpu().clone()
        if not torch.isfinite(scores).all():
            raise CropnbError(
                f"{self.name} gave scores that are not finite; its weights may be damaged"
            )
        if getattr(self.method, "ordered", False):
            return boxes, scores
        sides = boxes[:, 2] - boxes[:, 0]  # (N,)
        sizes = sides / sides.amax() if one_ratio and len(sides) else None
        liked = preference(boxes, scores, getattr(self.method, "sharpness", None), sizes)
        best = liked.argsort(descending=True, stable=True)
        return boxes[best], scores[best]

    def _crops(self, look: Look, proposals: RankedBoxes, request: Request) -> list[Crop]:
        boxes, scores = proposals
        if len(boxes) < request.k:
            warnings.warn(
                f"{self.name} found only {len(boxes)} of the {request.k} crops that were asked for",
                stacklevel=3,
            )
        values = [None] * len(boxes) if scores is None else scores.tolist()
        return [
            Crop(
                box.clone(),
                value,
                look.photo,
                aspect=request.aspect,
                size=request.size,
                enlarge=request.enlarge,
            )
            for box, value in zip(boxes[: request.k], values, strict=False)
        ]


def _scale(look: Look) -> tuple[float, float, float, float]:
    """Pixels of the photo a pixel of what is seen, along x, y, x and y."""
    width, height = look.photo.size
    scale_x, scale_y = width / look.seen.shape[-1], height / look.seen.shape[-2]
    return scale_x, scale_y, scale_x, scale_y


def _pixels(photo: photos.OpenedPhoto | Exception) -> int:
    return 0 if isinstance(photo, Exception) else photo.size[0] * photo.size[1]


def _check_room(name: str, size: tuple[int, int]) -> None:
    if min(size) < MIN_SIDE:
        raise ImageError(
            f"the photo is {size[0]} × {size[1]}, too small for {name} to choose in; each side "
            f"needs {MIN_SIDE} pixels at least"
        )
