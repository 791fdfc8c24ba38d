"""What the ledger's rows of Mars say beside their numbers, and the row that needs no network."""

from collections.abc import Mapping, Sequence

from cropnb import ledger
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


def centred(
    context: Context, annotations: int, columns: Mapping[str, Sequence[float]], names: Sequence[str]
) -> list[ledger.Row]:
    """The largest centred window of each required ratio, which sees no photo.

    Args:
        columns: what it reaches, one number a photo.
        names: of the columns that get a row.
    """
    text = f"the largest window of the required ratio; {annotations} annotations"
    place = ("baseline", "largest centred window")
    return [measured(context, *place, name, columns[name], note=text, seeds=()) for name in names]
