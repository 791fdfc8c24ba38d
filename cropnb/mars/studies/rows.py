"""What the ledger's rows of Mars say beside their numbers, and the row that needs no network."""

from collections.abc import Sequence

from cropnb import ledger
from cropnb.mars.photos import RatioPhotos
from cropnb.runs import Result
from cropnb.runs.context import Context
from cropnb.runs.rows import measured


def note(results: Sequence[Result]) -> str:
    """What the reader of a row should know of its runs."""
    details = [result.details for result in results]
    thresholds = ", ".join(f"{one['threshold']:g}" for one in details)
    empty = sum(one["nothing above"] for one in details) / len(details)
    parts = [
        f"{details[0]['annotations']} annotations",
        f"θ {thresholds}",
        f"nothing above θ in {100 * empty:.1f} %",
        f"{details[0]['arguments']['neurons']} neurons",
    ]
    frozen = not results[0].settings["profile"]["epochs"]
    return "; ".join([*parts, "frozen backbone"] if frozen else parts)


def centred(context: Context, photos: RatioPhotos, names: Sequence[str]) -> list[ledger.Row]:
    """The largest centred window of each required ratio, which sees no photo.

    Args:
        names: of the columns.
    """
    columns = photos.compare(photos.centred())
    text = f"the largest window of the required ratio; {len(photos.owner)} annotations"
    return [
        measured(
            context,
            "baseline",
            "largest centred window",
            name,
            photos.per_photo(columns[name]).tolist(),
            note=text,
            seeds=(),
        )
        for name in names
    ]
