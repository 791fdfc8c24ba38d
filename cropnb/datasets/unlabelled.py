"""Photographs that come with no crop at all, and the masks of their salient objects.

Sets, each where its own loader or script puts it: `gaze/osie`, `gaze/crowd`, `photos/bsds500` and
`photos/imagenet_samples`, all of `NAME.jpg`. Masks are grey pictures of any size over the whole
photo, `SET__NAME.png`, in `photos/saliency` or in folders that are named.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cropnb.datasets import base, checked
from cropnb.errors import DatasetMissing
from cropnb.images import read_photo

SETS = {
    "osie": "gaze/osie",
    "crowd": "gaze/crowd",
    "bsds500": "photos/bsds500",
    "imagenet_samples": "photos/imagenet_samples",
}
MASKS = "photos/saliency"
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photo without labels.

    Attributes:
        name: "SET/NAME".
        width, height: in pixels.
        path: of the photo.
        mask: the file of its salient mask, or None where there is none.
    """

    name: str
    width: int
    height: int
    path: Path
    mask: Path | None = None

    @property
    def load_photo(self) -> Callable[[], Image.Image]:
        """Reads the photo; can be sent to other processes."""
        return base.photo_loader(self.path)


def load(
    sets: Sequence[str] = tuple(SETS),
    root: str | os.PathLike | None = None,
    masks: Sequence[str | os.PathLike] = (),
) -> list[Photograph]:
    """The photos of those sets that are on this disk, sorted by name.

    Args:
        sets: of `SETS`.
        root: the folder of all datasets; by default `$CROPNB_DATA`.
        masks: further folders with masks; those of `photos/saliency` come first.

    Raises:
        DatasetMissing: none of the sets is there.
        ImageError: a photo's header is damaged.
    """
    data = base.dataset_root("", root)
    known = checked.photo_files(data / MASKS, *map(Path, masks))
    photographs = []
    for name in sets:
        files = checked.photo_files(data / SETS[name])
        for file, path in sorted(files.items()):
            if path.suffix.lower() in PHOTO_ENDINGS and not file.startswith("."):
                width, height = base.read_size(path)
                mask = known.get(f"{name}__{path.stem}.png")
                photographs.append(Photograph(f"{name}/{path.stem}", width, height, path, mask))
    if not photographs:
        raise DatasetMissing(
            f"none of {', '.join(SETS[name] for name in sets)} in {data} holds a photo; "
            "data_scripts/README.md says where they come from"
        )
    return photographs


def read_mask(path: Path) -> Tensor:
    """A salient mask as (H, W) in 0…1, at the size of its file; it lies over the whole photo,
    whatever that one's size.

    Raises:
        ImageError: for a file that is no picture.
    """
    grey = read_photo(path).convert("L")
    return torch.from_numpy(np.asarray(grey).copy()).float() / 255
