"""What is on this disk of each dataset, what is missing, and which chapters and table rows that
blocks.
"""

from collections import Counter
from pathlib import Path

from cropnb import ledger
from cropnb.datasets.fetch import flickr, layouts, manifest
from cropnb.datasets.folders import PART_OF

CHAPTERS = {
    "gaic": "papers/vrn",
    "gaicd_baselines": "foundations/metrics",
    "photographs": "compare/playground",
}


def describe(name: str, folder: Path) -> list[str]:
    """The lines to print about one dataset in its folder."""
    entry = manifest.entry(name)
    lines = [f"{name}: {folder}"]
    if not folder.is_dir():
        lost = True
        lines.append(
            f"  missing: there is no such folder; `python data_scripts/{name}.py` makes it"
        )
    else:
        splits = [
            _split(name, split, published, folder) for split, published in entry.photos.items()
        ]
        lines += [line for line, _ in splits]
        lost = any(missing for _, missing in splits)
    if name == "fcdb" and folder.is_dir():
        lines += _photos_of_fcdb(folder)
    if name in ("cpc", "cuhk_icd"):
        lines.append(f"  split: {entry.splits}")
    if lost:
        lines += [f"  blocks: {text}" for text in blocked(name)]
    return lines


def _split(name: str, split: str, published: int, folder: Path) -> tuple[str, bool]:
    """One split's line, and whether something of it is missing."""
    from cropnb import datasets
    from cropnb.errors import CropnbError

    try:
        dataset = datasets.load(name, split, root=folder)
    except CropnbError as error:
        return f"  {split}: can't be used: {error}", True
    boxes = sum(len(sample.boxes) for sample in dataset)
    line = f"  {split}: {len(dataset)} of {published} annotations with {boxes} boxes"
    line += f", {dataset.photo_count} photos"
    lost = [f"{published - len(dataset)} annotations"] if len(dataset) < published else []
    lost += (
        [f"{len(dataset) - dataset.photo_count} photos"]
        if dataset.photo_count < len(dataset)
        else []
    )
    return (f"{line}; missing: {', '.join(lost)}" if lost else f"{line}; complete"), bool(lost)


def _photos_of_fcdb(folder: Path) -> list[str]:
    statuses = Counter(flickr.statuses(folder).values())
    if not statuses:
        return ["  photos.json: not there; the script writes it when it asks Flickr for the photos"]
    counts = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    return [f"  photos.json: {counts}"]


def blocked(name: str) -> list[str]:
    """The chapters and tables that need a dataset: by the manifest, and the ledger's rows that are
    pending for it.
    """
    tables = [text.partition(": ") for text in manifest.entry(name).used_in]
    lines = [f"papers/{paper}: {what}" for paper, _, what in tables]
    for file in ledger.names():
        pending = [
            row for row in ledger.read(file) if row.verdict == "pending" and row.dataset == name
        ]
        if pending:
            counts = Counter(row.table for row in pending)
            rows = ", ".join(f"{table} ({count} rows)" for table, count in counts.items())
            chapter = CHAPTERS.get(file, f"papers/{file}")
            lines.append(
                f"{len(pending)} pending rows of the ledger {file} (chapter {chapter}): {rows}"
            )
    return lines


def availability(folder: Path) -> list[tuple[str, int, int, int]]:
    """For each dataset below `folder`: name, photos published, annotated photos here, photo files
    here.
    """
    rows = []
    for entry in manifest.entries().values():
        place = folder / PART_OF.get(entry.name, entry.name)
        annotated, photos = layouts.count(entry.name, place)
        rows.append((entry.name, entry.published, annotated, photos))
    return rows
