"""What the data chapter prints of each dataset: its page, what is available, and where preferred
crops lie.
"""

from cropnb import ledger, methods
from cropnb.datasets import load
from cropnb.datasets.base import CropDataset
from cropnb.datasets.bias import EDGES, NAME, QUARTILES
from cropnb.datasets.fetch import layouts, manifest
from cropnb.datasets.folders import dataset_root
from cropnb.errors import CropnbError
from cropnb.notebook import Markdown

KNOWN = {
    "copy": "known, from a copy",
    "reported": "as others have printed it",
    "": "recorded by the first download",
}


def dataset_page(name: str) -> Markdown:
    """A dataset's facts as a table, from the manifest that the scripts fetch by."""
    entry = manifest.entry(name)
    counts = {f"{count:,}".replace(",", " "): split for split, count in entry.photos.items()}
    sizes = " + ".join(
        count if split == "all" else f"{count} {split}" for count, split in counts.items()
    )
    used = [text.partition(": ") for text in entry.used_in]
    lines = [
        ("size", f"{sizes} photos; {entry.boxes}"),
        ("how it was annotated", entry.annotated),
        ("licence, as far as is known", entry.licence),
        ("splits", entry.splits),
        (
            "who uses it",
            " · ".join(f"{methods.TITLES[paper]} {tables}" for paper, _, tables in used)
            or "this book",
        ),
        ("known defects", "<br>".join(entry.defects)),
        (
            "fetched by",
            f"`python data_scripts/{name}.py`" + (f", from <{entry.page}>" if entry.page else ""),
        ),
        ("its files", "<br>".join(_source(source) for source in entry.sources)),
    ]
    return Markdown(
        "\n".join(
            [
                f"| {entry.title} | |",
                "| --- | --- |",
                *(f"| **{key}** | {text} |" for key, text in lines),
            ]
        )
    )


def _source(source: manifest.Source) -> str:
    size = f"{source.size / 1e6:,.1f} MB" if source.size else "size unknown"
    where = "by a program" if source.url else "by hand"
    return f"`{source.file}`, {size}, {where}; SHA-256 {KNOWN[source.known_from]}"


def availability() -> Markdown:
    """What is on this machine's disk of each dataset, beside what was published."""
    lines = [
        "| dataset | photos published | annotated photos here | photos here | |",
        "| --- | --: | --: | --: | --- |",
    ]
    for entry in manifest.entries().values():
        annotated, photos = layouts.count(entry.name, dataset_root(entry.name))
        done = (photos if entry.photo_files else annotated) >= entry.published
        word = (
            "complete"
            if done
            else "nothing"
            if not annotated
            else "annotations alone"
            if not photos
            else "in part"
        )
        lines.append(f"| {entry.title} | {entry.published} | {annotated} | {photos} | {word} |")
    return Markdown("\n".join(lines))


def here() -> list[CropDataset]:
    """The parts of all real datasets of which there is at least one photo on this disk; layouts are
    none.
    """
    loaded = []
    for entry in manifest.entries().values():
        for split in entry.photos if entry.photo_files else ():
            try:
                loaded.append(load(entry.name, split).with_photos())
            except CropnbError:
                continue
    return loaded


def bias_of(dataset: str) -> tuple[dict[str, dict[str, float]], int]:
    """Quartiles of each edge of the preferred crops, from the ledger: edge → quartile → share; and
    the photos.

    Raises:
        CropnbError: the ledger doesn't have them for this dataset.
    """
    rows = ledger.find(NAME, dataset=dataset)
    quartiles = {edge: {row.row: row.ours for row in rows if row.column == edge} for edge in EDGES}
    if not rows or any(set(levels) != set(QUARTILES) for levels in quartiles.values()):
        raise CropnbError(
            f"the ledger has no position bias of {dataset}; run `python -m cropnb.datasets.bias "
            "--record`"
        )
    return quartiles, rows[0].images
