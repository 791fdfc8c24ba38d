"""What the book's first page shows: a photo with every method's crop, what came out, and the way
through the chapters.
"""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cropnb import methods
from cropnb.errors import CropnbError
from cropnb.notebook.comparison import METHOD_COLORS, widened
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table

if TYPE_CHECKING:
    from torch import Tensor

    from cropnb.ledger import Row
    from cropnb.widgets import MethodCrops

PAPERS = ("la2c", "asm_net", "vrn", "mars", "set_prediction")
_PARAMETERS = "Param"  # the ledger's column
_PHOTO, _ALT = "coffee", "A cup of coffee with a spoon on a wooden table, seen from above"
_DRAWN, _SEED = 200, 0  # boxes that the interpolation is tried on
_PARTS: dict[str, tuple[str, ...]] = {
    "Foundations": ("foundations/crops", "foundations/metrics", "foundations/data"),
    "The papers": tuple(f"papers/{name}" for name in PAPERS),
    "Compare": ("compare/audit", "compare/showdown"),
}
_SHORTER: dict[str, tuple[str, ...]] = {
    "An evening, to know what a good crop is and who finds it": (
        "foundations/crops",
        "foundations/metrics",
        "compare/showdown",
    ),
    "An afternoon, to understand one paper from its equations to its tables": (
        "foundations/crops",
        "foundations/metrics",
        "papers/vrn",
        "compare/audit",
    ),
}
_WORDS = {"an hour": 60, "two hours": 120, "three hours": 180}


def opening() -> "tuple[MethodCrops, Markdown]":
    """The figure that the page opens with, and its caption.

    Every crop is the best one of `cropnb.load(name)`. The scores of dragged crops lie between those
    of a grid's boxes; the caption says how far off that is.

    Raises:
        ImageError: where scikit-image, which carries the photo, is not installed.
        WeightsUnavailable: where a method has no weights.
    """
    import torch

    import cropnb
    from cropnb.notebook.start import free_photos
    from cropnb.widgets import MethodCrops
    from cropnb.widgets.method_crops import grid_boxes, grid_value, shares_below

    photo, credit = free_photos()[_PHOTO]
    grid = grid_boxes(*photo.size)
    drawn = _drawn_boxes(*photo.size)
    crops, colors, scores, errors = {}, {}, {}, []
    for name, color in METHOD_COLORS.items():
        title, cropper = methods.TITLES[name], cropnb.load(name)
        crops[title], colors[title] = cropper(photo)[0].box, color
        try:
            both = cropper.score(photo, torch.cat([grid, drawn]))
        except CropnbError:  # it proposes crops and scores none that it is given
            continue
        scores[title] = both[: len(grid)]
        shares = shares_below(scores[title])
        ordered = scores[title].sort().values
        for box, score in zip(drawn, both[len(grid) :], strict=True):
            exact = float(torch.searchsorted(ordered, score)) / len(grid)
            errors.append(abs(grid_value(shares, box, *photo.size) - exact))
    missed = 100 * torch.tensor(errors)
    boxes_scored = f"{len(grid):,}".replace(",", "\N{NO-BREAK SPACE}")
    caption = Markdown(
        f"**Look at** how far the six crops are apart, and how little it takes to be close to all. "
        f"Each crop is the method's best, by the weights that ship. {_listed(scores)} score any "
        f"box: {boxes_scored} boxes of a grid were scored beforehand, and between them the figure "
        f"interpolates, which at {_DRAWN} boxes drawn at random is off by {missed.mean():.1f} "
        f"points of a hundred on average, {missed.max():.0f} at worst. The others only propose "
        f"crops; what you see of them is the overlap (IoU). The photograph: {credit}, carried by "
        "scikit-image."
    )
    return MethodCrops(photo, crops, colors, scores, alt=_ALT), caption


def findings() -> Markdown:
    """What the book found, in five sentences computed from the ledger."""
    from cropnb import ledger

    sentences = [_on_photographs(question) for question in methods.QUESTIONS]
    sentences.append(_beside_the_blind())
    rows = [row for name in PAPERS for row in ledger.read(name)]
    sentences += [_claimed(rows), _printed(rows)]
    return Markdown("\n".join(f"{place}. {text}" for place, text in enumerate(sentences, 1)))


def ways_through() -> Markdown:
    """The parts with their hours, and two shorter paths, from what the chapters say of themselves.

    Raises:
        CropnbError: a chapter doesn't say how long it takes.
    """
    every = [name for names in _PARTS.values() for name in names]
    minutes = {name: _minutes(name) for name in every}
    lines = [
        [part, Markdown(_chain(names)), _hours(sum(minutes[name] for name in names))]
        for part, names in _PARTS.items()
    ]
    table = markdown_table(["part", "chapters, in order", "reading"], lines, "llr")
    paths = [
        f"- **{what}**: {_chain(names)}. {_hours(sum(minutes[name] for name in names))}."
        for what, names in _SHORTER.items()
    ]
    whole = f"All of it takes about {_hours(sum(minutes.values()))}, and the cells run in minutes."
    return Markdown("\n".join([table, "", whole + " Two shorter ways:", "", *paths]))


def _drawn_boxes(width: int, height: int) -> "Tensor":
    """Boxes (N, 4) that the grid can answer for, the same on every run."""
    import torch

    from cropnb.widgets.method_crops import LEAST, STEPS

    rng = torch.Generator().manual_seed(_SEED)
    sides = LEAST / STEPS + (1 - LEAST / STEPS) * torch.rand(_DRAWN, 2, generator=rng)
    starts = (1 - sides) * torch.rand(_DRAWN, 2, generator=rng)
    shares = torch.cat([starts, (starts + sides).clamp(max=1)], dim=1)
    return shares * torch.tensor([width, height, width, height])


def _on_photographs(question: str) -> str:
    """Who beats the centred window on photographs, in one sentence."""
    pairs = methods.compared(question)
    head = f"**On photographs, {methods.QUESTIONS[question]}.**"
    if not pairs:
        return f"{head} Nothing is measured yet."
    names = {verdict: [] for verdict in (methods.BEATS, methods.LEVEL, methods.BELOW)}
    few = []  # of those that beat it, which do no more once the difference is widened
    for name, (row, less) in pairs.items():
        names[less.verdict].append(methods.TITLES[name])
        if less.verdict == methods.BEATS and widened(row, less).verdict != methods.BEATS:
            few.append(methods.TITLES[name])
    photos = max(row.images for row, _ in pairs.values())
    beat, level, below = names.values()
    gone = (
        " That is said of the photos that are left of FCDB's list; allowing for those that are "
        f"gone, {_listed(few)} can't be told from it, either."
    )
    return (
        f"{head} On {photos} photos that people cropped, {_listed(beat) or 'no method'} "
        f"{'beat' if len(beat) > 1 else 'beats'} a centred window that never looks; "
        f"{_listed(level) or 'none'} can't be told from it, and {_listed(below) or 'none'} "
        f"{'stay' if len(below) > 1 else 'stays'} below it." + (gone if few else "")
    )


def _beside_the_blind() -> str:
    """What crops that never look reach on scenes, in one sentence."""
    from cropnb import ledger

    column = "ACC 1/10, ε = 0.85"
    on = {"dataset": "scenes", "column": column}
    gains = ledger.find("audit", table="the same predictions, less fixed anchors", **on)
    fixed = ledger.one(
        "audit",
        table="content-blind, first of the tied",
        dataset="scenes",
        row="fixed anchors that cover the training crops",
        column=column,
    )
    of_one_crop = {
        row.row
        for row in ledger.find("audit", table="the same predictions", **on)
        if "one crop a photo" in row.note
    }
    asked = [row for row in gains if row.row in METHOD_COLORS and row.row not in of_one_crop]
    above = [methods.TITLES[row.row] for row in asked if row.low > 0]
    below = [methods.TITLES[row.row] for row in asked if row.high < 0]
    return (
        f"**Against crops that never look.** On {fixed.images} drawn scenes, ten fixed boxes reach "
        f"{fixed.ours:.1f} % in {column}. Of the {len(asked)} methods that show ten crops, here "
        f"with their weights for scenes, {_listed(above) or 'none'} "
        f"{'reach' if len(above) != 1 else 'reaches'} more, scene by scene, by the whole interval"
        + (f", and {_listed(below)} {'reach' if len(below) > 1 else 'reaches'} less" * bool(below))
        + "."
    )


def _claimed(rows: "list[Row]") -> str:
    """What became of the papers' claims, in two sentences."""
    from cropnb import ledger
    from cropnb.notebook import trainings

    says = {
        "holds": "held",
        "contradicted": "came out the other way",
        "trivial": "held by less than is worth having",
        "unsettled": "need more photographs or seeds to be settled",
        "says nothing": "say nothing, since a side of them is not surely better than not looking",
    }
    decided = [row for row in rows if row.verdict in ledger.CLAIM_VERDICTS]
    verdicts = [row.says for row in decided]
    settled = [row for row in decided if row.says not in ("unsettled", "says nothing")]
    learning = [trainings.stands_on(row) for row in settled].count("rising")
    counts = {verdict: verdicts.count(verdict) for verdict in says}
    return (
        f"**What the papers claim in words.** Of {len(verdicts)} comparisons that could be made "
        "here (a claim counts once for each column, kind of data and training, and some are "
        "questions of our own), "
        + _listed(f"{count} {says[verdict]}" for verdict, count in counts.items() if count)
        + f". Of the {len(settled)} that are settled, {learning} stand on a network that was still "
        "learning: they say which side learns faster."
    )


def _printed(rows: "list[Row]") -> str:
    """What became of the papers' numbers, in one sentence."""
    from cropnb import ledger

    printed, beside = [], 0
    for row in rows:
        if row.paper_value is None:
            continue
        if ledger.kind(row.dataset) == ledger.LAYOUTS:  # the same number once more, on layouts
            beside += 1
        else:
            printed.append(row.verdict)
    waiting, exact = printed.count("pending"), printed.count("exact")
    other = len(printed) - waiting - exact
    columns = {row.column for row in rows if row.verdict == "exact"}
    counted = ", all of them counts of parameters" if columns == {_PARAMETERS} else ""
    errata = (ledger.folder().parent / "reference/errata.md").read_text("utf-8")
    places = len(re.findall(r"^\(errata-[\w-]+\)=$", errata, re.MULTILINE))
    return (
        f"**What the papers print.** Of {len(printed)} numbers on their own methods, {exact} come "
        f"out to the last digit{counted}, "
        + (f"{other} were measured and differ or hold within their interval, " if other else "")
        + f"and {waiting} wait for photographs that nobody may pass on or for a GPU"
        + (f" ({beside} of them have one on layouts beside them, never compared)" if beside else "")
        + f". On the way, {places} places turned up that can't be right as printed, or leave "
        "something open: the [errata](reference/errata.md)."
    )


def _listed(names: Iterable[str]) -> str:
    """A, B and C."""
    *first, last = list(names) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _chapter(name: str) -> str:
    """The text of a chapter's first cell."""
    from cropnb import ledger

    path = ledger.folder().parent / f"{name}.ipynb"
    return "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])


def _minutes(name: str) -> int:
    """How long a chapter says that reading it takes."""
    time = re.search(r"\*\*Time\*\*: (\d+ minutes|[a-z]+ hours?) of reading", _chapter(name))
    if time is None or (time[1][0].isalpha() and time[1] not in _WORDS):
        raise CropnbError(f"{name} doesn't say in its first box how long it takes to read")
    return _WORDS.get(time[1]) or int(time[1].split()[0])


def _hours(minutes: int) -> str:
    """To the half hour."""
    whole, half = divmod(round(minutes / 30), 2)
    number = f"{whole or ''}{'½' * half}"
    return f"{number} {'hour' if number in ('1', '½') else 'hours'}"


def _chain(names: Iterable[str]) -> str:
    """Links to chapters, in order."""
    titles = {name: re.match(r"# ([^:,\n]+)", _chapter(name))[1] for name in names}
    return " → ".join(f"[{title}]({name}.ipynb)" for name, title in titles.items())
