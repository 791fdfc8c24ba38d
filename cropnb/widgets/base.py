"""What the interactive figures have in common: the photo, the program, ids that stay the same, and
a still picture.

A figure is a widget whose program computes in the page all that it shows. The rendered book has no
kernel, so nothing may wait for Python; where there is a kernel, the state (such as `box`) is kept
in step with it.
"""

import base64
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor

from cropnb import boxes as box_math
from cropnb.errors import BoxError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as StillPicture

MAX_URI = 40_960  # characters: a chapter holds several figures and stays under a megabyte
_FOLDER = Path(__file__).parent
_made: Counter[str] = Counter()


def program(name: str, *formulas: str) -> str:
    """A figure's JavaScript: the formulas, the shared parts and its own file as one module without
    imports.

    A page opened from a file can't load a second module, so they are joined here, and only the last
    one exports.
    `formulas`: further files of formulas that this figure alone needs.
    """
    *first, shared, own = (
        (_FOLDER / part).read_text("utf-8")
        for part in ("geometry.js", *formulas, "shared.js", name)
    )
    return "\n".join((*(text.replace("\nexport ", "\n") for text in first), shared, own))


def data_uri(image: Image.Image) -> str:
    """The photo as a JPEG data URI of at most `MAX_URI` characters, the same for the same pixels.

    The longer side is at most 640 pixels, and less where the lowest quality that still looks well
    is not enough.
    """
    side = 640
    while True:
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in (85, 75, 65, 55, 45):
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=quality, optimize=True)
            uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
            if len(uri) <= MAX_URI:
                return uri
        side = side * 4 // 5


def checked_boxes(boxes: Any, width: int, height: int, name: str) -> list[list[float]]:
    """Boxes (N, 4) as nested lists, to a thousandth of a pixel.

    Raises:
        BoxError: they don't all lie within the photo.
    """
    boxes = box_math.check(
        np.asarray(boxes, dtype=float) if isinstance(boxes, Sequence) else boxes, name=name
    )
    if boxes.ndim != 2 or len(boxes) == 0:
        raise BoxError(
            f"{name} have shape {tuple(boxes.shape)}; a figure takes (N, 4) with N of 1 or more"
        )
    # A box computed in float32 may stick out by a rounding error.
    boxes = (boxes.detach().cpu().double() * 1000).round() / 1000
    return box_math.check(boxes, width=width, height=height, name=name).tolist()


def checked_scores(scores: Any, count: int, name: str) -> list[float]:
    """One finite number a box as a list.

    Raises:
        BoxError: another number of them, or one that isn't finite.
    """
    values = (
        scores.detach().cpu().double()
        if isinstance(scores, Tensor)
        else torch.as_tensor(np.asarray(scores, float))
    )
    if values.shape != (count,):
        raise BoxError(
            f"{name}: shape {tuple(values.shape)} for {count} boxes; give one number a box"
        )
    if not bool(torch.isfinite(values).all()):
        raise BoxError(f"{name} hold a number that is not finite; leave out boxes without a score")
    return values.tolist()


def whole_pixels(box: Any, width: int, height: int) -> list[int]:
    """A box (4,) rounded to whole pixels, as the figures move it.

    Raises:
        BoxError: it doesn't lie within the photo.
    """
    flat = box.tolist() if isinstance(box, (Tensor, np.ndarray)) else box
    rounded = np.rint(checked_boxes([flat], width, height, "box")).astype(int)
    return box_math.check(rounded, width=width, height=height, name="box")[0].int().tolist()


class PageFigure(anywidget.AnyWidget):
    """Base of all interactive figures: ids that stay the same from run to run, numbers, and a still
    picture.

    A subclass sets `_esm = program("its_file.js")`, adds its state as synced traits, and says what
    it shows in `values()`, `_summary()` and `static()`.
    """

    _css = (_FOLDER / "figure.css").read_text("utf-8")
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, state: Mapping[str, Any]) -> None:
        state = {**state, "label": label}
        # ipywidgets draws its ids at random, which would change a notebook's bytes on each run.
        # Here an id follows from the content, and from how many figures of that content this
        # process has made before.
        content = hashlib.sha256(
            json.dumps([type(self).__name__, state], sort_keys=True).encode()
        ).hexdigest()
        copy = _made[content]
        _made[content] += 1
        ids = [
            hashlib.sha256(f"{content} {copy} {part}".encode()).hexdigest()[:32]
            for part in ("figure", "layout")
        ]
        super().__init__(
            model_id=ids[0], layout=ipywidgets.Layout(model_id=ids[1], width="100%"), **state
        )

    def values(self) -> dict[str, float]:
        """The numbers that the figure shows now."""
        raise NotImplementedError

    def _summary(self) -> str:
        raise NotImplementedError

    def static(self) -> "StillPicture":
        """The figure as a still picture with its numbers: what print and viewers without scripts
        show.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self._summary()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        buffer = io.BytesIO()
        self.static().savefig(
            buffer, format="jpeg", dpi=80, pil_kwargs={"quality": 75, "optimize": True}
        )
        # A photo as PNG would be five times as large.
        data["image/jpeg"] = base64.b64encode(buffer.getvalue()).decode("ascii")
        return data, metadata


class Figure(PageFigure):
    """Base of the figures on a photo.

    Beside what `PageFigure` asks for, a subclass draws its still picture in `_draw(ax)`.
    """

    photo = traitlets.Unicode().tag(sync=True)  # a data URI
    # of the photo that the boxes belong to, not of the JPEG shown
    width = traitlets.Int().tag(sync=True)
    height = traitlets.Int().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)

    def __init__(self, image: Image.Image, alt: str, label: str, state: Mapping[str, Any]) -> None:
        self._image = image
        size = {"width": image.width, "height": image.height}
        super().__init__(
            label, {**state, **size, "photo": data_uri(image), "alt": alt or "A photograph"}
        )

    def _draw(self, ax: "Axes") -> None:
        raise NotImplementedError

    def static(self) -> "StillPicture":
        """The photo with what is drawn on it, and the numbers below."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as StillPicture

        wide = 6.4 * min(1.0, 1.3 * self.width / self.height)
        picture = StillPicture(
            figsize=(wide, wide * self.height / self.width + 0.5), layout="constrained"
        )
        FigureCanvasAgg(picture)
        ax = picture.subplots()
        self._draw(ax)
        ax.set_xlabel(self._summary(), fontsize=9.5, wrap=True)
        return picture
