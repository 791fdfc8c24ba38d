"""The datasets, each read from its own layout into the same samples."""

import importlib
import os

from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError

__all__ = ["NAMES", "CropDataset", "Sample", "load"]

NAMES = ("gaicd", "gaicd_v2", "cpc", "fcdb", "flms", "fat", "cuhk_icd", "scenes")

_MODULES = {"gaicd_v2": "gaicd"}  # one reader for both


def load(name: str, split: str = "test", root: str | os.PathLike | None = None, **options) -> CropDataset:
    """Load a split of a dataset.

    Args:
        name: one of `NAMES`. "scenes" are drawn, need no files, and take `form`, `size` and `seed`.
        split: "train", "val" or "test"; which ones there are depends on the dataset.
        root: the dataset's folder; by default `$CROPNB_DATA/name`, else the user's cache folder.
        options: what the dataset's own `load` takes beside these.

    Raises:
        DatasetMissing: when its files aren't there or are incomplete, saying which.
        BoxError: when an annotated box can't be one of its photo, naming file and line.
        CropnbError: for a name that no dataset has, or a split that this one doesn't have.
    """
    if name not in NAMES:
        raise CropnbError(f"there is no dataset {name!r}; the datasets are {', '.join(NAMES)}")
    module = importlib.import_module(f"cropnb.datasets.{_MODULES.get(name, name)}")
    if name == "scenes":
        return module.load(split=split, **options)
    if name != module.__name__.rpartition(".")[2]:
        options["name"] = name
    return module.load(split=split, root=root, **options)
