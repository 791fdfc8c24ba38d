"""From what an archive holds to what a reader looks for: one function a dataset.

An archive's own top folder may have any name; what is looked for is found wherever it lies. Files
are moved, so the caller gives a folder that it may empty.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from cropnb.datasets import checked
from cropnb.datasets.fetch import archives, photos
from cropnb.errors import DatasetMissing

ANNOTATIONS = {
    "cpc": "CollectedAnnotationsRaw",
    "flms": "500_image_dataset.mat",
    "cuhk_icd": "Cropping parameters.txt",
}
# Published in a folder for each version; the part of the dataset's folder that they make.
OBJECTS, OBJECTS_OF = "objects", {"gaicd_layouts": "GAIC", "gaicd_v2_layouts": "GAIC-journal"}
FCDB_LISTS = ("cropping_training_set.json", "cropping_testing_set.json")
FAT_LISTS = ("train.json", "test.json")


def find(unpacked: Path, name: str, *, folder: bool = False) -> Path:
    """The file or folder of that name that lies least deep.

    Raises:
        DatasetMissing: there is none.
    """
    matches = [path for path in unpacked.rglob(name) if path.is_dir() == folder]
    if not matches:
        raise DatasetMissing(
            f"there is no {'folder' if folder else 'file'} {name!r} in what was unpacked: the "
            "archive is another "
            "one, or its authors have changed it; see data_scripts/README.md for what belongs "
            "into it"
        )
    return min(matches, key=lambda path: (len(path.parts), path))


def arrange(name: str, unpacked: Path, ready: Path) -> None:
    """Move what the reader of dataset `name` needs out of `unpacked` into the new folder `ready`.

    Raises:
        DatasetMissing: when something that belongs to the dataset isn't there.
        ArchiveError: for a damaged archive within the archive.
    """
    ready.mkdir(parents=True, exist_ok=True)
    _ARRANGE[name](unpacked, ready)


def _move(paths: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        os.replace(path, folder / path.name)


def _gaicd(unpacked: Path, ready: Path) -> None:
    """Version 1: photos in folders by split, all annotations in one; version 2: both in folders."""
    images, texts = (
        find(unpacked, "images", folder=True),
        find(unpacked, "annotations", folder=True),
    )
    splits = sorted(path for path in images.iterdir() if path.is_dir())
    if not splits:
        raise DatasetMissing(
            f"{images.name} has no folders train, (val) and test: it is not GAICD as it was "
            "published"
        )
    for split in splits:
        names = {path.stem for path in photos.photos_below(split)}
        own = texts / split.name
        texts_of_split = [
            path for path in (own if own.is_dir() else texts).glob("*.txt") if path.stem in names
        ]
        lost = names - {path.stem for path in texts_of_split}
        if lost:
            raise DatasetMissing(
                f"{len(lost)} photos of {split.name} have no annotations, among them {min(lost)}"
            )
        _move(texts_of_split, ready / "annotations" / split.name)
        _move(photos.photos_below(split), ready / "images" / split.name)


def _objects(name: str) -> Callable[[Path, Path], None]:
    """Objects' boxes lie in `bbox`, one file a photo, whatever its split."""

    def arranged(unpacked: Path, ready: Path) -> None:
        texts = find(find(unpacked, OBJECTS_OF[name], folder=True), "bbox", folder=True)
        _move(sorted(texts.glob("*.txt")), ready / OBJECTS)

    return arranged


def _cpc(unpacked: Path, ready: Path) -> None:
    texts = find(unpacked, ANNOTATIONS["cpc"], folder=True)
    _move(texts.rglob("*.txt"), ready / texts.name)
    _move(photos.photos_below(find(unpacked, "images", folder=True)), ready / "images")


def _flms(unpacked: Path, ready: Path) -> None:
    _move([find(unpacked, ANNOTATIONS["flms"])], ready)
    folders = [path for path in unpacked.rglob("image") if path.is_dir()]
    _move(photos.photos_below(folders[0] if folders else unpacked), ready / "image")


def _cuhk_icd(unpacked: Path, ready: Path) -> None:
    for inner in [path for path in unpacked.rglob("*.zip") if path.is_file()]:
        archives.unpack(inner, inner.with_suffix(""), progress=False)
        inner.unlink()
    _move([find(unpacked, ANNOTATIONS["cuhk_icd"])], ready)
    _move(photos.photos_below(unpacked), ready / "All_Images")
    for listing in unpacked.rglob("test.txt"):
        _move([listing], ready)


def _fat(unpacked: Path, ready: Path) -> None:
    for name in FAT_LISTS:
        _move([find(unpacked, name)], ready)
    _move(photos.photos_below(unpacked), ready / "images")


_ARRANGE: dict[str, Callable[[Path, Path], None]] = {
    "gaicd": _gaicd,
    "gaicd_v2": _gaicd,
    **{name: _objects(name) for name in OBJECTS_OF},
    "cpc": _cpc,
    "flms": _flms,
    "cuhk_icd": _cuhk_icd,
    "fat": _fat,
}


def count(name: str, folder: Path) -> tuple[int, int]:
    """Annotated photos and photo files in a dataset's folder, by its file names alone."""
    if not folder.is_dir():
        return 0, 0
    if name in OBJECTS_OF:
        return len(list((folder / OBJECTS).rglob("*.txt"))), 0
    photo_files = sum(
        1 for _ in photos.photos_below(folder) if "prepared" not in _.relative_to(folder).parts
    )
    return _annotated(name, folder), photo_files


def _annotated(name: str, folder: Path) -> int:
    if name in ("gaicd", "gaicd_v2"):
        return len(list((folder / "annotations").glob("*/*.txt")))
    if name == "cpc":
        return len(list((folder / ANNOTATIONS[name]).glob("*.txt")))
    if name in ("fcdb", "fat"):
        lists = [folder / file for file in (FCDB_LISTS if name == "fcdb" else FAT_LISTS)]
        try:
            return sum(len(checked.entries(path, "photos")) for path in lists if path.exists())
        except DatasetMissing:
            return 0
    path = folder / ANNOTATIONS[name]
    if not path.exists():
        return 0
    try:
        if name == "cuhk_icd":
            lines = checked.read_text(path).splitlines()
            return sum(1 for line in lines if line.strip()) // 4
        return len(checked.matlab_records(path))
    except DatasetMissing:
        return 0


def copy_in(source: Path, unpacked: Path) -> None:
    """A folder that somebody unpacked already, copied: `arrange` empties what it is given. Links
    are left out.
    """
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.is_symlink():
            target = unpacked / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
