"""Which photos are cropped, and where each crop goes; decided before any photo is opened."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cropnb.cli.output import one_line
from cropnb.errors import CropnbError, ImageError, SaveError
from cropnb.photos.guard import READABLE
from cropnb.photos.writers import SUFFIXES as WRITABLE

STANDARD = "-"  # standard input or output
AS_JPEG = {".mpo", ".heic", ".heif"}  # photos that were never lossless; what else can't be is PNG
_OVER_PHOTO = "{} is a photo itself, which is never overwritten; give another --out"
NAMED = 10  # files that are no photo: so many are named, the others counted


@dataclass(frozen=True)
class Job:
    """One photo, None for standard input, and the file of its crop, None where none is written."""

    photo: Path | None
    out: Path | None

    @property
    def name(self) -> str:
        """What messages call the photo."""
        return "standard input" if self.photo is None else str(self.photo)

    def files(self, count: int, k: int) -> list[Path]:
        """out.jpg for one crop; out-1.jpg, out-2.jpg … when several were asked for."""
        if self.out is None:
            return []
        if k == 1:
            return [self.out]
        stem, suffix = self.out.stem, self.out.suffix
        return [self.out.with_name(f"{stem}-{number}{suffix}") for number in range(1, count + 1)]


@dataclass
class Plan:
    """`several`: photos whose failure doesn't end the others. `to_stdout`: where the crop goes.
    `photos`: what is never written over, as `_identity` tells it.
    """

    jobs: list[Job] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)  # names and reasons
    no_photos: list[Path] = field(default_factory=list)
    there: int = 0  # photos whose crop exists and was to be left alone
    several: bool = False
    to_stdout: bool = False
    photos: set[tuple[int, int]] = field(default_factory=set)

    def check(self, files: Sequence[Path]) -> None:
        """SaveError where one of a photo's crops, of which there may be several, would be written
        over a photo.
        """
        for file in files:
            if _identity(file) in self.photos:
                raise SaveError(_OVER_PHOTO.format(file))


def make(names: Sequence[str], out: str | None, *, recursive: bool = False) -> Plan:
    """The plan for what the reader named.

    Raises:
        ImageError: for a photo or folder that isn't there, or a folder without photos, where
            nothing else was asked for.
        CropnbError: for an --out that can't take it.
    """
    if out == "" or "" in names:  # of a variable of the shell that isn't set
        raise CropnbError("a photo or --out is an empty name; give the name of a file or a folder")
    paths = [None if name == STANDARD else Path(name) for name in names]
    if None in paths and len(paths) > 1:
        raise CropnbError("- is standard input, and stands alone")
    several = len(paths) > 1 or (paths[0] is not None and paths[0].is_dir())
    plan = Plan(several=several, to_stdout=out == STANDARD)
    if not several:
        plan.jobs.append(Job(paths[0], _single_out(paths[0], names[0], out)))
        return plan
    if plan.to_stdout:
        raise CropnbError("standard output takes the crop of one photo; give --out a folder")
    folder = None if out is None else Path(out)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise CropnbError(f"--out {folder} is a file, but there are several photos; give a folder")
    for name, path in zip(names, paths, strict=True):
        try:
            if path.is_dir():
                _add_folder(plan, path, folder, recursive)
            elif path.exists():
                _add(plan, path, folder, Path(path.name))
            else:
                plan.failed.append((name, f"there is no photo or folder {name}; check the path"))
        except OSError as error:  # such as a name that is too long
            plan.failed.append((name, error.strerror or str(error)))
    if not plan.jobs and not plan.failed:
        shown = ", ".join(names)
        raise ImageError(
            f"{shown} holds no photo ({', '.join(READABLE)})"
            + ("" if recursive else "; --recursive looks into its folders")
        )
    return plan


def settle(plan: Plan, k: int, *, force: bool, skip_existing: bool) -> None:
    """Take out of the plan what has a crop already, and what would be written over a photo or over
    another photo's crop. A photo that is named twice is cropped once.
    """
    plan.photos = {identity for job in plan.jobs if (identity := _identity(job.photo))}
    taken: dict[Path, Job] = {}
    jobs = []
    for job in plan.jobs:
        problem = None
        if job.out is not None:
            files = job.files(k, k)
            first = files[0]
            identity = _identity(first)
            there = next((file for file in files if file.exists()), None)
            file = next((one for one in first.parents if one.exists() and not one.is_dir()), None)
            if file is not None:
                problem = f"{file} is a file, so it can't be the folder of a crop"
            elif identity in plan.photos:
                problem = _OVER_PHOTO.format(first)
            elif first.is_dir():
                problem = f"{first} is a folder, so no crop can have that name"
            elif identity and skip_existing:
                plan.there += 1
                continue
            elif there and not force and not skip_existing:
                problem = f"{there} exists; --force replaces it, --skip-existing leaves it"
            elif first in taken:
                if _identity(taken[first].photo) == _identity(job.photo):
                    continue
                problem = f"{first} is the crop of {taken[first].name}; crop them into two folders"
            else:
                taken[first] = job
        if problem:
            plan.failed.append((job.name, problem))
        else:
            jobs.append(job)
    plan.jobs = jobs


def no_photo_line(paths: Sequence[Path]) -> str:
    """Files that are no photo, counted and named."""
    shown = ", ".join(one_line(path.name) for path in paths[:NAMED])
    rest = len(paths) - NAMED
    number = "1 file is no photo" if len(paths) == 1 else f"{len(paths)} files are no photos"
    return f"{number}: {shown}" + (f" and {rest} others" if rest > 0 else "")


def crop_name(photo: Path) -> Path:
    """The file name of a photo's crop: its own, where that format can be written."""
    suffix = photo.suffix.lower()
    if suffix in WRITABLE:
        return photo
    return photo.with_name(photo.name + (".jpg" if suffix in AS_JPEG else ".png"))


def _single_out(photo: Path | None, name: str, out: str | None) -> Path | None:
    if photo is not None and not photo.exists():
        raise ImageError(f"there is no photo or folder {name}; check the path")
    if out is None or out == STANDARD:
        return None
    path = Path(out)
    if path.is_dir() or out.endswith(("/", os.sep)):
        # of standard input the format isn't known yet
        return path / ("stdin" if photo is None else crop_name(photo).name)
    if path.suffix.lower() not in WRITABLE:
        raise ImageError(
            f"the crop can't be written as {path.name}; use one of {', '.join(WRITABLE)}, "
            "or end the name of a folder with /"
        )
    return path


def _add_folder(plan: Plan, folder: Path, out: Path | None, recursive: bool) -> None:
    if out is not None and os.path.realpath(out) == os.path.realpath(folder):
        raise CropnbError(
            "--out is the folder of the photos themselves, which are never overwritten; give "
            "another"
        )
    for path in _files(plan, folder, out, recursive):
        try:
            is_photo = path.suffix.lower() in READABLE and path.is_file()
        except OSError as error:  # a link into a folder that may not be read
            plan.failed.append((str(path), error.strerror or str(error)))
            continue
        if is_photo:
            _add(plan, path, out, path.relative_to(folder))
        else:
            plan.no_photos.append(path)


def _files(plan: Plan, folder: Path, out: Path | None, recursive: bool) -> Iterator[Path]:
    """The files of a folder by name, without hidden ones and without the folder of the crops."""

    def unreadable(error: OSError) -> None:
        plan.failed.append((str(error.filename), error.strerror or "the folder can't be read"))

    crops = None if out is None else os.path.realpath(out)
    for place, folders, files in os.walk(folder, onerror=unreadable):
        inside = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and os.path.realpath(inside / name) != crops
        )
        # macOS's sidecars `._…` are among the hidden ones.
        yield from (inside / name for name in sorted(files) if not name.startswith("."))


def _add(plan: Plan, photo: Path, out: Path | None, place: Path) -> None:
    plan.jobs.append(Job(photo, None if out is None else out / crop_name(place)))


def _identity(path: Path | None) -> tuple[int, int] | None:
    """What tells one file from another, whatever it is called; None where there is none."""
    try:
        status = None if path is None else path.stat()
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)
