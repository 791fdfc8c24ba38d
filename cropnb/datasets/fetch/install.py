"""A dataset in one go: fetch, verify, unpack, look at every photo, convert, and put it in its place
in one move.

Everything that isn't finished lies in `.fetch/NAME` beside the dataset's folder, where no reader
looks. The dataset's folder is written nowhere but by renaming, so a reader finds the whole dataset
or what was there before.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cropnb.datasets.fetch import archives, download, layouts, manifest, photos, storage
from cropnb.datasets.fetch.manifest import Source
from cropnb.errors import ArchiveError, CropnbError, DatasetMissing, DownloadError, ImageError

MOST_DAMAGED = 0.01  # of a dataset's photos; beyond that the archive is broken, not the dataset
RECEIPTS, INSTALLED = "receipts.json", "installed.json"


@dataclass
class Report:
    """What a run did: whether anything was `done`, what is there now, and what a person should
    know.
    """

    name: str
    folder: Path
    done: bool
    annotated: int
    photos: int
    damaged: dict[str, str]
    notes: list[str]


@dataclass
class Job:
    """One dataset and the folders that it is made in; `say` prints a line."""

    name: str
    folder: Path
    say: Callable[[str], None] = print
    progress: bool = True
    patience: float = 1.0
    trusted: Sequence[str] = ()  # SHA-256 that the user accepts instead of the manifest's

    @property
    def target(self) -> Path:
        """What is replaced as a whole: the dataset's folder, or its own part of another one's."""
        return self.folder / (layouts.OBJECTS if self.name in layouts.OBJECTS_OF else "")

    @property
    def work(self) -> Path:
        """Where downloads, receipts and what isn't finished lie."""
        return self.folder.parent / ".fetch" / self.name

    def receipts(self) -> dict[str, dict[str, object]]:
        """What was verified before: file → sha256, size, and how the hash was known."""
        return _read_json(self.work / RECEIPTS)

    def installed(self) -> dict[str, object]:
        """What the last run put into the dataset's folder; empty before the first."""
        return _read_json(self.work / INSTALLED)

    def is_complete(self) -> bool:
        """Whether nothing is left to do: all that is published is there, or all that the last run
        put there.
        """
        annotated, photo_count = layouts.count(self.name, self.folder)
        entry, put = manifest.entry(self.name), self.installed()
        photo_files = entry.published if entry.photo_files else 0
        wanted = (put.get("annotated", entry.published), put.get("photos", photo_files))
        return annotated >= wanted[0] > 0 and photo_count >= wanted[1]


def obtain(job: Job, given: Sequence[Path] = (), keep: bool = False) -> Report:
    """Fetch and install a dataset whose photos come in an archive; nothing happens where it is
    complete.

    Args:
        given: files or unpacked folders that the user has already, instead of downloads.
        keep: keep the archives after the dataset is in its place.

    Raises:
        DownloadError: when a file can't be had or isn't the right one; StorageError and
            ArchiveError among them.
        DatasetMissing: when an archive doesn't hold what belongs to the dataset.
        ImageError: when so many photos are damaged that the archive must be.
    """
    with storage.only_one(job.work, job.say):
        _recover(job)
        if not given and job.is_complete():
            return report(job, done=False)
        entry = manifest.entry(job.name)
        chosen = assign(entry.sources, given) if given else {}
        unpacked, ready, notes = job.work / "unpacked", job.work / "ready", []
        for folder in (unpacked, ready):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            for source in entry.sources:
                if source not in chosen and (None in chosen or source.optional):
                    continue  # one folder holds everything, or the user has no such file
                path = chosen.get(source) or fetched(job, source, notes)
                if source in chosen and path.is_file():
                    verify(job, source, path, notes, "given by hand")
                open_archive(path, unpacked / source.file, job.progress)
            if None in chosen:
                open_archive(chosen[None], unpacked, job.progress)
            with storage.disk_errors(job.work):
                layouts.arrange(job.name, unpacked, ready)
                damaged = _set_aside_damaged(job, ready)
                place(job, ready, damaged)
        except (ArchiveError, DatasetMissing, ImageError):
            _discard(job, [source for source in entry.sources if source not in chosen])
            raise
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
            shutil.rmtree(ready, ignore_errors=True)
        if not keep:
            for source in entry.sources:
                (job.work / source.file).unlink(missing_ok=True)
        return report(job, done=True, notes=notes)


def report(job: Job, done: bool, notes: Sequence[str] = ()) -> Report:
    """What is in the dataset's folder now."""
    annotated, photo_count = layouts.count(job.name, job.folder)
    return Report(
        name=job.name,
        folder=job.folder,
        done=done,
        annotated=annotated,
        photos=photo_count,
        damaged=job.installed().get("damaged", {}),
        notes=list(notes),
    )


def assign(sources: Sequence[Source], given: Sequence[Path]) -> dict[Source | None, Path]:
    """Which given file is which source: by its name, or by being the only one. A folder is `None`:
    all of it.

    Raises:
        DatasetMissing: a path that isn't there.
        DownloadError: one that can't be told apart.
    """
    assigned: dict[Source | None, Path] = {}
    for path in given:
        if not path.exists():
            raise DatasetMissing(f"there is no {path}; check the path given with --from")
        if path.is_dir():
            assigned[None] = path
            continue
        named = [source for source in sources if source.file.lower() == path.name.lower()]
        left = [source for source in sources if source not in assigned]
        same = [source for source in left if Path(source.file).suffix == path.suffix]
        match = named or (left if len(left) == 1 else []) or (same if len(same) == 1 else [])
        if not match:
            names = ", ".join(source.file for source in sources)
            raise DownloadError(f"{path} may be any of {names}: rename it to the one that it is")
        assigned[match[0]] = path
    return assigned


def fetched(job: Job, source: Source, notes: list[str]) -> Path:
    """Fetch one source and verify it; what a person should know goes into `notes`. Raises as
    `obtain`.
    """
    known = _known(job, source)
    trusted = source
    if job.trusted and known in job.trusted and known != source.sha256:
        # another file than the manifest's, of another size
        trusted = Source(source.file, source.by_hand, source.url)
    if source.url:
        job.say(f"fetching {source.file} from {source.url}")
    path = download.fetch(trusted, job.work, known, progress=job.progress, patience=job.patience)
    verify(job, trusted, path, notes, "first download")
    return path


def _known(job: Job, source: Source) -> str | None:
    """The hash that a file must have: the user's, the manifest's, or the first download's."""
    if len(job.trusted) == 1 and len(manifest.entry(job.name).sources) == 1:
        return job.trusted[0]
    return source.sha256 or job.receipts().get(source.file, {}).get("sha256")


def verify(job: Job, source: Source, path: Path, notes: list[str], how: str) -> None:
    """Check a file's size and hash, and keep a receipt of it.

    Raises:
        DownloadError: the size or the hash is another than the known one.
    """
    known, size = _known(job, source), path.stat().st_size
    digest = storage.sha256_of(path, job.progress)
    if known not in (None, digest) and digest not in job.trusted:
        raise DownloadError(
            f"{path} has the SHA-256 {digest}, and not the {known} that is expected "
            f"({download.describe(source)}). If the authors have published a new version and you "
            "trust it, "
            f"add `--trust {digest}`"
        )
    if known is None and source.size not in (None, size):
        raise DownloadError(
            f"{path} has {size:,} bytes instead of {source.size:,}: it is another file"
        )
    if known is None:
        notes.append(
            f"nobody had recorded the SHA-256 of {source.file} yet: it is {digest}, {size:,} bytes "
            f"({how})"
        )
    receipt = {
        "sha256": digest,
        "size": size,
        "known": download.describe(source) if known else how,
        "url": source.url,
    }
    write_json(job.work / RECEIPTS, {**job.receipts(), source.file: {**receipt, "date": today()}})


def _discard(job: Job, sources: Sequence[Source]) -> None:
    """Throw away what was fetched and is no dataset, with receipts that nobody vouched for."""
    receipts = job.receipts()
    for source in sources:
        (job.work / source.file).unlink(missing_ok=True)
        if source.sha256 is None:
            receipts.pop(source.file, None)
    write_json(job.work / RECEIPTS, receipts)


def today() -> str:
    """The date, as receipts have it."""
    return time.strftime("%Y-%m-%d")


def open_archive(path: Path, folder: Path, progress: bool) -> None:
    """Put what a file, an archive or a folder holds below a new folder.

    Raises:
        ArchiveError: an archive that can't be unpacked.
        StorageError: a full or forbidden disk.
    """
    if path.is_dir():
        with storage.disk_errors(folder):
            layouts.copy_in(path, folder)
    elif path.suffix.lower() in (".json", ".mat", ".txt"):
        with storage.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / folder.name)
    elif archives.is_archive(path) or path.stat().st_size == 0:
        archives.unpack(path, folder, progress)
    else:
        raise ArchiveError(
            f"{path} is no zip or tar archive; is it a web page that was saved by mistake?"
        )


def _set_aside_damaged(job: Job, ready: Path) -> dict[str, str]:
    """Take photos that don't decode out of the way; ImageError where they are many."""
    every = list(photos.photos_below(ready))
    bad = photos.damaged(every, job.progress)
    if len(bad) > max(1, MOST_DAMAGED * len(every)):
        path, problem = next(iter(bad.items()))
        raise ImageError(
            f"{len(bad)} of {len(every)} photos don't decode, among them {path.name} ({problem}): "
            "the archive is damaged; fetch it again"
        )
    for path in bad:
        (job.work / "damaged").mkdir(exist_ok=True)
        os.replace(path, job.work / "damaged" / path.name)
    return {str(path.relative_to(ready)): problem for path, problem in bad.items()}


def place(job: Job, ready: Path, damaged: dict[str, str]) -> None:
    """Put the finished folder where the readers look, in place of what was there.

    What the user keeps in that folder beside the dataset, such as a list `test.txt`, moves along.
    """
    annotated, photo_count = layouts.count(job.name, ready)
    with storage.disk_errors(job.folder):
        if job.target.exists():
            os.rename(job.target, job.work / "replaced")
        job.target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(ready / job.target.relative_to(job.folder), job.target)
        _carry_over(job)
    content = {"annotated": annotated, "photos": photo_count, "damaged": damaged, "date": today()}
    write_json(job.work / INSTALLED, content)


def _carry_over(job: Job) -> None:
    old = job.work / "replaced"
    for path in old.glob("*"):
        if not (job.target / path.name).exists():
            os.rename(path, job.target / path.name)
    shutil.rmtree(old, ignore_errors=True)


def _recover(job: Job) -> None:
    """After a kill between two renames: put back what was there before, or tidy it away."""
    old = job.work / "replaced"
    if old.exists() and not job.target.exists():
        os.rename(old, job.target)
    _carry_over(job)


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise CropnbError(
            f"{path} can't be read ({error}); remove it and run the command again"
        ) from error
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict) -> None:
    """Write a small file so that a reader finds the old one or the new one."""
    with storage.disk_errors(path.parent):
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(
            json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        os.replace(temporary, path)
