"""FCDB: two lists, and photos that are fetched from Flickr one by one. Many are gone, so a manifest
of them is kept.

`photos.json` in the dataset's folder says of every listed photo whether it is present, gone, or of
another size than the one that was annotated. A table made from FCDB prints how many it used.
"""

import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from cropnb.datasets import checked
from cropnb.datasets.fetch import download, install, layouts, manifest, photos, storage
from cropnb.datasets.fetch.install import Job, Report
from cropnb.datasets.fetch.manifest import Source
from cropnb.errors import DatasetMissing, DownloadError

MANIFEST = "photos.json"
WORKERS = 4  # requests at once; Flickr answers 429 to many more
PRESENT, GONE, FAILED, DAMAGED, OTHER_SIZE = "present", "gone", "failed", "damaged", "other size"
FINAL = (PRESENT, GONE, OTHER_SIZE)  # not tried again unless asked for
OVERHANG = 0.02  # of a side; the reader allows as much


def obtain(job: Job, given: Sequence[Path] = (), keep: bool = False, retry: bool = False) -> Report:
    """Fetch FCDB: its lists, and the photos that are still there; nothing happens where all that
    was settled.

    Args:
        given: the lists or archives or folders of photos that the user has.
        retry: ask again for photos that were gone the last time.

    Single photos that can't be had are no error: the report and `photos.json` name them.

    Raises:
        DatasetMissing: a path of `given` isn't there, or doesn't hold what belongs to the dataset.
        DownloadError: the lists can't be had or aren't the right ones; StorageError and
            ArchiveError among them.
    """
    with storage.only_one(job.work, job.say):
        notes: list[str] = []
        unpacked = job.work / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            for path in given:
                if not path.exists():
                    raise DatasetMissing(f"there is no {path}; check the path given with --from")
                install.open_archive(path, unpacked / path.name, job.progress)
            changed = _lists(job, unpacked, notes)
            listed = dict(read_lists(job.folder))
            before = statuses(job.folder)
            changed |= _adopt(job, unpacked, listed)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
        status_of = _present(job, listed, before)
        wanted = [
            name
            for name in listed
            if status_of.get(name) not in FINAL or (retry and status_of[name] in (GONE, OTHER_SIZE))
        ]
        if wanted and not (given and not retry):
            status_of |= _from_flickr(job, {name: listed[name] for name in wanted})
            changed = True
        _write_manifest(job, listed, status_of)
        if changed:
            counts = Counter(status_of.get(name, FAILED) for name in listed)
            notes.append(
                "photos: "
                + ", ".join(f"{count} {status}" for status, count in counts.most_common())
            )
        return install.report(job, done=changed, notes=notes)


def read_lists(folder: Path) -> Iterator[tuple[str, tuple[str, list[float]]]]:
    """Each listed photo: name, address, crop (x, y, width, height)."""
    for file in layouts.FCDB_LISTS:
        path = folder / file
        if path.exists():
            for photo in checked.fcdb_list(path):
                yield photo.name, (photo.url, photo.crop)


def statuses(folder: Path) -> dict[str, str]:
    """What `photos.json` says: name → status. Empty where there is none."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["photos"]
        return {name: status for name, status in content.items() if isinstance(status, str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def is_complete(job: Job) -> bool:
    """Whether every listed photo is settled: present, or known to be gone."""
    listed = dict(read_lists(job.folder))
    status_of = _present(job, listed, statuses(job.folder))
    return len(listed) >= manifest.entry(job.name).published and all(
        status_of.get(name) in FINAL for name in listed
    )


def _lists(job: Job, unpacked: Path, notes: list[str]) -> bool:
    """Put the two lists in place, given or fetched; returns whether any was missing."""
    changed = False
    with storage.disk_errors(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
    for source in manifest.entry(job.name).sources:
        target = job.folder / source.file
        if source.optional or target.exists():
            continue
        handed = list(unpacked.rglob(source.file))
        path = handed[0] if handed else install.fetched(job, source, notes)
        if handed:
            install.verify(job, source, path, notes, "given by hand")
        with storage.disk_errors(job.folder):
            temporary = job.work / f"{source.file}.new"
            shutil.copyfile(path, temporary)
            os.replace(temporary, target)
        changed = True
    return changed


def _adopt(job: Job, unpacked: Path, listed: dict[str, tuple[str, list[float]]]) -> bool:
    """Move the listed photos of what was given into place. Returns whether there was one."""
    changed = False
    for path in photos.photos_below(unpacked):
        if path.name in listed and _judge(path, listed[path.name][1]) == PRESENT:
            _put(job, path, path.name)
            changed = True
    return changed


def _put(job: Job, path: Path, name: str) -> None:
    with storage.disk_errors(job.folder):
        (job.folder / "photos").mkdir(exist_ok=True)
        os.replace(path, job.folder / "photos" / name)


def _judge(path: Path, crop: Sequence[float]) -> str:
    """Whether a photo decodes, and is as large as the one that was annotated."""
    if photos.problem_of(path):
        return DAMAGED
    with Image.open(path) as image:
        width, height = image.size
    x, y, crop_width, crop_height = crop
    inside = x + crop_width <= width * (1 + OVERHANG) and y + crop_height <= height * (1 + OVERHANG)
    return PRESENT if inside else OTHER_SIZE


def _present(
    job: Job, listed: dict[str, tuple[str, list[float]]], before: dict[str, str]
) -> dict[str, str]:
    """The status of each photo: what is on the disk, or what the last run knew of it."""
    status_of = {}
    for name in listed:
        there = any((job.folder / folder / name).is_file() for folder in ("photos", "images"))
        status = PRESENT if there else before.get(name)
        if status and (there or status != PRESENT):
            status_of[name] = status
    return status_of


def _from_flickr(job: Job, wanted: dict[str, tuple[str, list[float]]]) -> dict[str, str]:
    """Ask for every photo; DownloadError where none of the first can even be asked for."""
    if download.offline():
        raise DownloadError(
            f"CROPNB_OFFLINE=1 forbids fetching {len(wanted)} photos from Flickr; unset it, or "
            "give the authors' copy "
            f"with --from. {download.by_hand(manifest.entry(job.name).sources[-1])}"
        )
    import requests

    parts, status_of, unreachable = job.work / "photos", {}, threading.Event()
    parts.mkdir(exist_ok=True)
    local = threading.local()

    def one(name: str) -> tuple[str, str, str]:
        url, crop = wanted[name]
        if unreachable.is_set():
            return name, FAILED, "not tried"
        local.session = getattr(local, "session", None) or requests.Session()
        status, problem = _one(job, local.session, url=url, crop=crop, name=name, parts=parts)
        return name, status, problem

    problems: list[str] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        bar = tqdm(
            pool.map(one, wanted),
            total=len(wanted),
            desc="photos",
            unit="photo",
            disable=not job.progress,
        )
        for name, status, problem in bar:
            status_of[name] = status
            problems += [problem] * (status == FAILED)
            failed = all(other == FAILED for other in status_of.values())
            if len(problems) >= 2 * WORKERS and failed:
                unreachable.set()
    if unreachable.is_set():
        raise DownloadError(
            f"no photo can be fetched from Flickr: {problems[0]}. Try again later, or from "
            "elsewhere"
        )
    return status_of


def _one(
    job: Job, session: object, url: str, crop: Sequence[float], name: str, parts: Path
) -> tuple[str, str]:
    source = Source(name, by_hand=url, url=url)
    path = parts / name
    resuming = download.Resuming(
        source, parts / f"{name}.part", False, job.patience, session, attempts=3
    )
    try:
        resuming(url, str(path))
    except download.Gone as error:
        return GONE, str(error)
    except storage.StorageError:
        raise
    except DownloadError as error:
        return FAILED, str(error)
    if _is_placeholder(path):
        path.unlink()
        return GONE, "Flickr's picture for a photo that is no longer available"
    status = _judge(path, crop)
    if status == PRESENT:
        _put(job, path, name)
    else:
        path.unlink()
    return status, status


def _is_placeholder(path: Path) -> bool:
    """Whether this is the small PNG or GIF that Flickr sends, whatever the address ends with."""
    try:
        with Image.open(path) as image:
            return image.format in ("PNG", "GIF") and path.suffix.lower() in (".jpg", ".jpeg")
    except Exception:  # `_judge` finds out what is wrong with it
        return False


def _write_manifest(
    job: Job, listed: dict[str, tuple[str, list[float]]], status_of: dict[str, str]
) -> None:
    content = {name: status_of.get(name, FAILED) for name in listed}
    if content != statuses(job.folder):
        install.write_json(job.folder / MANIFEST, {"date": install.today(), "photos": content})
