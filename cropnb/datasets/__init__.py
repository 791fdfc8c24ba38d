"""The datasets, each read from its own layout into the same samples."""

import importlib
import os
from typing import TYPE_CHECKING, Any

from cropnb.errors import CropnbError, DatasetMissing

if TYPE_CHECKING:
    from cropnb.datasets.base import CropDataset, Sample

__all__ = ["FORMS", "NAMES", "CropDataset", "Sample", "load", "splits"]

NAMES = (
    "gaicd",
    "gaicd_v2",
    "gaicd_layouts",
    "gaicd_v2_layouts",
    "cpc",
    "fcdb",
    "flms",
    "fat",
    "cuhk_icd",
    "scenes",
    "taught",
)
# Datasets whose samples have the form of another one; a method's settings follow the form.
FORMS = {"gaicd_layouts": "gaicd", "gaicd_v2_layouts": "gaicd_v2"}

ANY_FORM = ("scenes", "taught")  # datasets whose samples take the form of any real one
_MODULES = {"gaicd_v2": "gaicd", "gaicd_v2_layouts": "gaicd_layouts"}  # one reader for both


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the scripts that fetch datasets can do without torch.
    if name in ("base", "CropDataset", "Sample"):
        base = importlib.import_module("cropnb.datasets.base")
        return base if name == "base" else getattr(base, name)
    raise AttributeError(f"module 'cropnb.datasets' has no attribute {name!r}")


def load(
    name: str,
    split: str = "test",
    root: str | os.PathLike | None = None,
    *,
    short_side: int | None = None,
    **options,
) -> "CropDataset":
    """Load a split of a dataset.

    Args:
        name: one of `NAMES`. "scenes" are drawn, need no files, and take `form`, `size` and `seed`;
            "taught" take `form` and `size`.
        split: "train", "val" or "test"; which ones there are depends on the dataset.
        root: the dataset's folder; by default `$CROPNB_DATA/name`, else the user's cache folder.
        short_side: scale photos and boxes so that the shorter side has so many pixels; fast where
            the photos were prepared (`python data_scripts/NAME.py --prepare 256`).
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
        dataset = module.load(split=split, **options)
    else:
        if name != module.__name__.rpartition(".")[2]:
            options["name"] = name
        dataset = module.load(split=split, root=root, **options)
    if short_side is None:
        return dataset
    return importlib.import_module("cropnb.datasets.prepared").resized(dataset, short_side)


def takes_form(name: str) -> bool:
    """Whether a dataset, or one of several joined by "+", has samples in any form."""
    return any(part in ANY_FORM for part in name.split("+"))


def labels_hash(name: str) -> str | None:
    """A fingerprint of labels that may be written anew under the same name: those of taught
    photographs, alone or joined to others. None for every other dataset, and where there are none.
    """
    if "taught" not in name.split("+"):
        return None
    try:
        return importlib.import_module("cropnb.datasets.taught").labels_hash()
    except DatasetMissing:
        return None


def tested(name: str) -> str:
    """The dataset whose test photos stand for a dataset, or for several joined by "+": the last."""
    return name.rpartition("+")[2]


def measured_split(name: str) -> str:
    """The split that a dataset is measured on: "test", and "val" of CPC, which has no test."""
    return "val" if name == "cpc" else "test"


def splits(
    name: str, form: str, train: int | None, validation: int, test: int | None, **options: object
) -> "tuple[CropDataset, CropDataset, CropDataset]":
    """Training, validation and test part of a dataset, of those photos that are on this disk.

    Where a dataset has no validation split the last `validation` training photos are held out,
    none where it is 0, and never test photos. CPC has no test photos: ASM-Net measures on the 2 000
    of its validation part (Sec. 4.3), so these are the test part, and the validation part is held
    out from training by its photos' names.

    Args:
        name: of a dataset, or of several, such as "scenes+taught": then the training photos are
            those of all, and validation and test photos are those of the last, so that what is
            measured is what a run on the last dataset alone is measured on.
        form: of datasets that can have any, those of `ANY_FORM`; a real dataset has its own.
        train, validation, test: photos in each part of each dataset; None for all there are.
        options: what a real dataset's own `load` takes, such as how many photos CPC holds out.

    Raises:
        CropnbError: datasets of different forms; and as `load`.
    """
    from cropnb.datasets.base import Chained, CropDataset, held_out

    if "+" in name:
        each = [splits(part, form, train, validation, test) for part in name.split("+")]
        forms = {part: data[0].form for part, data in zip(name.split("+"), each, strict=True)}
        if set(forms.values()) != {form}:
            own = ", ".join(f"{part} has that of {one}" for part, one in forms.items())
            raise CropnbError(f"{name} can't be mixed in the form of {form}: {own}")
        samples = Chained([data[0].samples for data in each])
        return CropDataset(name, "train", form, None, samples), *each[-1][1:]
    if name in ANY_FORM:
        sizes = (("train", train), ("val", validation), ("test", test))
        return tuple(load(name, split, form=form, size=size) for split, size in sizes)
    names = ["train", "val", measured_split(name)]
    whole = load(name, "train", **options).with_photos()
    if name == "cpc":
        names[1] = "train, held out"
        aside = held_out([sample.name for sample in whole.samples], validation)
        ours = [sample for sample in whole.samples if sample.name not in aside]
        checked = [sample for sample in whole.samples if sample.name in aside]
    else:
        try:
            ours, checked = (
                whole.samples,
                load(name, "val", **options).with_photos().samples[:validation],
            )
        except CropnbError:
            kept = max(len(whole.samples) - validation, 0)
            ours, checked = whole.samples[:kept], whole.samples[kept:]
    measured = load(name, names[-1], **options).with_photos().samples[:test]
    return tuple(
        CropDataset(name, split, whole.form, whole.root, part)
        for split, part in zip(names, (ours[:train], checked, measured), strict=True)
    )
