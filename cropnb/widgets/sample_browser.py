"""Leaf through the samples of a dataset: the photo, and what people said about its crops."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import traitlets
from PIL import Image

from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError
from cropnb.widgets.base import Figure, checked_boxes, checked_scores, program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_PHOTO = 7_000  # characters of one photo's data URI: a dozen of them belong into a page
_STEPS = tuple((side, quality) for side in (400, 340, 280, 220, 160) for quality in (75, 60, 45))


class SampleBrowser(Figure):
    """Samples of one or several datasets, with their true boxes or their best-scored candidates.

    Args:
        samples: (dataset's name, sample) pairs; the samples have their photos.
        index: the sample shown first.
        shown: how many candidates are drawn, the best ones first.
        descriptions: what is on each photo, in words.

    Raises:
        CropnbError: for no sample, or an index that none has.
        DatasetMissing: for a sample without its photo.
        BoxError: for boxes that leave their photo.
    """

    _esm = program("sample_browser.js")
    samples = traitlets.List().tag(sync=True)
    index = traitlets.Int().tag(sync=True)
    shown = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        samples: Sequence[tuple[str, Sample]],
        *,
        index: int = 0,
        shown: int = 3,
        descriptions: Sequence[str] = (),
    ) -> None:
        if not 0 <= index < len(samples):
            raise CropnbError(f"there is no sample {index} among {len(samples)}")
        texts = list(descriptions) or [
            f"Sample {sample.name} of {name}" for name, sample in samples
        ]
        self._photos = [sample.photo() for _, sample in samples]
        content = [
            _content(name, sample, photo, text)
            for (name, sample), photo, text in zip(samples, self._photos, texts, strict=True)
        ]
        self._all = [sample for _, sample in samples]
        state = {"samples": content, "index": index, "shown": shown}
        small = self._photos[index].copy()
        # each sample brings its own photo; the one of the base would be there twice
        small.thumbnail((64, 64))
        super().__init__(small, content[index]["alt"], "Sample browser", state)

    @traitlets.validate("index")
    def _check_index(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self._all):
            raise CropnbError(f"there is no sample {proposal['value']} among {len(self._all)}")
        return proposal["value"]

    @classmethod
    def of(cls, datasets: Sequence[CropDataset], each: int = 6, **options: Any) -> "SampleBrowser":
        """A browser through the first `each` samples with photos of every dataset.

        Raises:
            DatasetMissing: a dataset without a photo.
        """
        named = [
            (dataset.name if dataset.name != "scenes" else f"scenes as {dataset.form}", sample)
            for dataset in datasets
            for sample in dataset.with_photos().samples[:each]
        ]
        return cls(named, **options)

    def values(self) -> dict[str, float]:
        """How many `boxes`, and of the best one (or of all true boxes, in the mean) `share` kept,
        `aspect`, `score`.
        """
        sample = self._all[self.index]
        boxes = sample.boxes.double()
        width, height = sample.size
        best = boxes if sample.scores is None else boxes[_order(sample)[:1]]
        sides = best[:, 2:] - best[:, :2]
        values = {
            "boxes": len(boxes),
            "share": float((sides.prod(dim=1) / (width * height)).mean()),
            "aspect": float((sides[:, 0] / sides[:, 1]).mean()),
        }
        return values if sample.scores is None else {**values, "score": float(sample.scores.max())}

    def _summary(self) -> str:
        values, chosen = self.values(), self.samples[self.index]
        text = f"{chosen['dataset']}, {chosen['name']}: {values['boxes']} boxes, "
        text += f"{values['share']:.2f} of the photo kept"
        return text + (f", best score {values['score']:.2f}" if "score" in values else "")

    def _draw(self, ax: "Axes") -> None:
        from cropnb.notebook import draw_boxes

        sample = self._all[self.index]
        boxes = (
            sample.boxes if sample.scores is None else sample.boxes[_order(sample)[: self.shown]]
        )
        # the best score first, in black; what people drew is all black
        others = "black" if sample.scores is None else "gray"
        colors = ["black", *[others] * (len(boxes) - 1)]
        draw_boxes(ax, self._photos[self.index], boxes, colors=colors)


def _order(sample: Sample) -> torch.Tensor:
    """The candidates from the best score to the worst; of those tied, the file's order."""
    return sample.scores.argsort(descending=True, stable=True)


def _content(name: str, sample: Sample, photo: Image.Image, text: str) -> dict[str, Any]:
    scores = (
        [] if sample.scores is None else checked_scores(sample.scores, len(sample.boxes), "scores")
    )
    return {
        "dataset": name,
        "name": sample.name,
        "photo": small_uri(photo),
        "alt": text,
        "width": photo.width,
        "height": photo.height,
        "boxes": [
            [round(edge, 1) for edge in box]
            for box in checked_boxes(sample.boxes, *photo.size, "boxes")
        ],
        "scores": [round(score, 3) for score in scores],
        "aspects": []
        if sample.aspects is None
        else [round(value, 3) for value in sample.aspects.tolist()],
    }


def small_uri(photo: Image.Image) -> str:
    """A photo as a JPEG data URI of at most `LONGEST_PHOTO` characters, as large as that allows."""
    uri = ""
    for side, quality in _STEPS:
        small = photo.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=quality, optimize=True)
        uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        if len(uri) <= LONGEST_PHOTO:
            break
    return uri
