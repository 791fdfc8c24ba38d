"""One model, any aspect ratio: recorded maps, the threshold, the medians and the crop that follows
from them.
"""

import base64
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError, CropnbError
from cropnb.images import read_photo
from cropnb.widgets.base import Figure, data_uri, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LAYERS = ("map", "above", "medians", "centred")
# Of the stored maps. Each is read as the middle of its step, so that no cell ties with a threshold
# in hundredths.
_LEVELS = 256
_STEPS = (1, 2, 4, 8, 16, 32, 64)
_RUN, _LONG_RUN, _ESCAPE, _ZERO = 13, 14, 15, 6
_SHORTEST, _SHORTEST_LONG, _LONGEST = 3, 19, 274


@dataclass(frozen=True)
class Recording:
    """What a model predicted for one photo at each recorded ratio.

    Attributes:
        photo: what `cropnb.images.read_photo` takes.
        maps: (R, h, w) in 0…1.
        cell: width and height of a map's cell in pixels of the photo.
        alt: what is on the photo, in words.
    """

    photo: Any
    maps: Tensor
    cell: tuple[float, float]
    alt: str = ""


class RatioSlider(Figure):
    """Photos with the map that a model predicts for each required ratio, and the crop that the
    post-processing makes.

    Args:
        recordings: by name of the photo, its maps at the recorded ratios.
        ratios: (R,) the recorded ratios, width / height, rising; the same for all photos.
        crops: the post-processing, `cropnb.mars.crops_from_maps` or one that takes the
            same arguments (maps, aspects, cell, photo, threshold) and returns `boxes`, `medians`
            and `thresholds`. The page has its own in JavaScript; this one is what Python shows and
            what the page is tested against.
        threshold: θ at the start, in hundredths, above 0 and below 1.
        ratio: the ratio at the start; the recorded one that is nearest to it in the logarithm.
        shown: name of the photo at the start; by default the first.
        layers: what is drawn on the photo, of `LAYERS`.
        step: of the 256 levels of a map only each `step`-th is kept, 1, 2, 4, … 64. Noisy maps are
            a large page.

    `shown`, `at` (the index of the ratio), `threshold` and `layers` are the state; `values()` gives
    the numbers shown.

    Raises:
        ImageError: for a photo that can't be read.
        BoxError: for maps and ratios that don't fit each other, and for ratios that don't rise or
            aren't above 0.
        CropnbError: for a threshold, photo or layer that doesn't exist.
    """

    _esm = program("ratio_slider.js", "ratio_maps.js")
    _css = Figure._css + (Path(__file__).parent / "ratio_slider.css").read_text("utf-8")
    photos = traitlets.List().tag(sync=True)
    ratios = traitlets.List().tag(sync=True)
    shown = traitlets.Unicode().tag(sync=True)
    at = traitlets.Int().tag(sync=True)
    threshold = traitlets.Float().tag(sync=True)
    layers = traitlets.List().tag(sync=True)

    def __init__(
        self,
        recordings: Mapping[str, Recording],
        ratios: Any,
        crops: Callable[..., Any],
        *,
        threshold: float = 0.4,
        ratio: float = 1.0,
        shown: str | None = None,
        layers: Sequence[str] = ("map", "above", "medians"),
        step: int = 1,
    ) -> None:
        if not recordings:
            raise BoxError("recordings is empty; give {name: Recording} for one photo at least")
        known = np.asarray(ratios, dtype=float)
        if (
            known.ndim != 1
            or not len(known)
            or not (np.isfinite(known) & (known > 0)).all()
            or (np.diff(known) <= 0).any()
        ):
            raise BoxError(
                f"ratios are {known.tolist()}; give rising numbers above 0, width / height"
            )
        if step not in _STEPS:
            raise CropnbError(f"step is {step!r}; it is one of {', '.join(map(str, _STEPS))}")
        self._crops = crops
        self._images = {name: read_photo(one.photo) for name, one in recordings.items()}
        state = {
            "photos": [
                _packed(name, one, self._images[name], len(known), step)
                for name, one in recordings.items()
            ],
            "ratios": known.tolist(),
            "shown": next(iter(recordings)) if shown is None else shown,
            "at": int(np.abs(np.log(known) - np.log(ratio)).argmin()),
            "threshold": float(threshold),
            "layers": list(layers),
        }
        if state["shown"] not in recordings:
            raise CropnbError(f"there is no photo {shown!r}; choose from {', '.join(recordings)}")
        start = state["shown"]
        super().__init__(
            self._images[start], recordings[start].alt, "Crops at any aspect ratio", state
        )
        self.photo = ""  # each photo carries its own

    @traitlets.validate("shown")
    def _check_shown(self, proposal: Any) -> str:
        if proposal["value"] not in self._images:
            raise CropnbError(
                f"there is no photo {proposal['value']!r}; choose from {', '.join(self._images)}"
            )
        return proposal["value"]

    @traitlets.validate("threshold")
    def _check_threshold(self, proposal: Any) -> float:
        if not 0 < proposal["value"] < 1:
            raise CropnbError(f"the threshold is {proposal['value']}; it lies above 0 and below 1")
        return round(proposal["value"], 2)

    @traitlets.validate("layers")
    def _check_layers(self, proposal: Any) -> list[str]:
        unknown = [layer for layer in proposal["value"] if layer not in LAYERS]
        if unknown:
            raise CropnbError(f"there is no layer {unknown[0]!r}; choose from {', '.join(LAYERS)}")
        return proposal["value"]

    @traitlets.validate("at")
    def _check_at(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self.ratios or [0]):
            raise CropnbError(
                f"there is no ratio number {proposal['value']}; there are {len(self.ratios)}, "
                "from 0"
            )
        return proposal["value"]

    def maps(self, name: str | None = None) -> Tensor:
        """The maps (R, h, w) of a photo as the page holds them, in 256 levels or fewer."""
        one = next(one for one in self.photos if one["name"] == (name or self.shown))
        shape = (len(self.ratios), one["rows"], one["columns"])
        levels = torch.from_numpy(
            unpack(one["code"], int(np.prod(shape)), shape[1] * shape[2])
        ).view(shape)
        step = one["step"]
        return (levels.float() * step + step // 2 + 0.5) / _LEVELS

    def crop_of_map(self) -> Any:
        """What the post-processing makes of the map on show: `boxes` (1, 4), `medians` (1, 4),
        `thresholds` (1,).
        """
        photo, one = (
            self._images[self.shown],
            next(one for one in self.photos if one["name"] == self.shown),
        )
        ratio, size = torch.tensor([self.ratios[self.at]]), torch.tensor(photo.size)
        return self._crops(
            self.maps()[self.at, None], ratio, torch.tensor(one["cell"]), size, self.threshold
        )

    def values(self) -> dict[str, float]:
        """`kept`: per cent of the photo in the crop. `above`: per cent of the map above the
        threshold. `overlap`: IoU of the crop with the largest centred window of the same ratio."""
        photo, crops = self._images[self.shown], self.crop_of_map()
        box = crops.boxes[0].double()
        window = torch.tensor(largest_window(self.ratios[self.at], *photo.size))
        return {
            "kept": 100 * float(box_math.area(box)) / (photo.width * photo.height),
            "above": 100 * float((self.maps()[self.at] > self.threshold).double().mean()),
            "overlap": float(box_math.iou(box, window)),
        }

    def _summary(self) -> str:
        values = self.values()
        return (
            f"{self.shown}, ratio {self.ratios[self.at]:.2f}: the crop keeps {values['kept']:.0f} "
            "% of the photo; "
            f"IoU with the largest centred window {values['overlap']:.2f}"
        )

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        photo, one = (
            self._images[self.shown],
            next(one for one in self.photos if one["name"] == self.shown),
        )
        window = largest_window(self.ratios[self.at], *photo.size)
        crop = self.crop_of_map().boxes[0].tolist()
        boxes = [crop, window] if "centred" in self.layers else [crop]
        draw_boxes(
            ax, photo, boxes, ["crop", "centred"][: len(boxes)], ["sky", "gray"][: len(boxes)]
        )
        if "map" in self.layers:
            map_width, map_height = one["columns"] * one["cell"][0], one["rows"] * one["cell"][1]
            ax.imshow(
                self.maps()[self.at].numpy(),
                extent=(0, map_width, map_height, 0),
                cmap="magma",
                vmin=0,
                vmax=1,
                alpha=0.5,
            )
        ax.set(xlim=(0, photo.width), ylim=(photo.height, 0))


def largest_window(aspect: float, width: float, height: float) -> list[float]:
    """The largest window of a ratio in the middle of a photo, [x1, y1, x2, y2]."""
    crop_width, crop_height = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - crop_width) / 2, (height - crop_height) / 2
    return [left, top, (width + crop_width) / 2, (height + crop_height) / 2]


def pack(levels: np.ndarray) -> str:
    """Levels 0…255 (R, n) as text. Neighbouring ratios have similar maps, so what is kept is the
    change from one to the next, in half bytes: a small change is one of them, a stretch of zeros
    two or three, any other change three."""
    flat = levels.astype(np.int16)
    flat[1:] -= levels[:-1].astype(np.int16)
    flat[0, 1:] -= levels[0, :-1].astype(np.int16)
    halves: list[int] = []
    for change, group in itertools.groupby(((flat.ravel() + 128) % 256 - 128).tolist()):
        length = sum(1 for _ in group)
        while change == 0 and length >= _SHORTEST:
            run = min(length, _LONGEST)
            if run >= _SHORTEST_LONG:
                halves += [_LONG_RUN, *divmod(run - _SHORTEST_LONG, 16)]
            else:
                halves += [_RUN, run - _SHORTEST]
            length -= run
        code = (
            [change + _ZERO] if -_ZERO <= change <= _ZERO else [_ESCAPE, *divmod(change % 256, 16)]
        )
        halves += code * length
    halves += [_RUN] * (len(halves) % 2)  # fills the last byte; there is nothing left to repeat
    pairs = np.array(halves, np.uint8).reshape(-1, 2)
    return base64.b64encode((pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8).tobytes()).decode(
        "ascii"
    )


def unpack(code: str, count: int, size: int) -> np.ndarray:
    """The levels (count,) of a text by `pack`, in maps of `size` cells."""
    data = np.frombuffer(base64.b64decode(code), np.uint8)
    halves = iter(np.stack([data >> 4, data & 15], axis=1).ravel().tolist())
    changes: list[int] = []
    while len(changes) < count:
        half = next(halves)
        if half == _RUN:
            changes += [0] * (next(halves) + _SHORTEST)
        elif half == _LONG_RUN:
            changes += [0] * (16 * next(halves) + next(halves) + _SHORTEST_LONG)
        else:
            changes.append(16 * next(halves) + next(halves) if half == _ESCAPE else half - _ZERO)
    maps = np.array(changes, np.int64).reshape(-1, size)
    maps[0] = maps[0].cumsum()
    return (maps.cumsum(0) % 256).astype(np.uint8).ravel()


def _packed(name: str, one: Recording, photo: Any, count: int, step: int) -> dict[str, Any]:
    maps = torch.as_tensor(one.maps).detach().cpu().double()
    if maps.ndim != 3 or maps.shape[0] != count or 0 in maps.shape:
        raise BoxError(
            f"the maps of {name!r} have shape {tuple(maps.shape)}; give ({count}, h, w), a map a "
            "ratio"
        )
    if not bool(((maps >= 0) & (maps <= 1)).all()):
        raise BoxError(f"the maps of {name!r} leave 0…1; give what the sigmoid returns")
    cell = [float(side) for side in one.cell]
    if len(cell) != 2 or min(cell) <= 0:
        raise BoxError(
            f"a cell of {name!r} measures {cell}; give its width and height in pixels of the photo"
        )
    levels = (maps * _LEVELS).floor().clamp(max=_LEVELS - 1).numpy().astype(np.uint8) // step
    return {
        "name": name,
        "alt": one.alt or "A photograph",
        "photo": data_uri(photo),
        "width": photo.width,
        "height": photo.height,
        "rows": maps.shape[1],
        "columns": maps.shape[2],
        "cell": cell,
        "step": step,
        "code": pack(levels.reshape(count, -1)),
    }
