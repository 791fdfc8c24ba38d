"""What came out of reproducing a paper, from its ledger: the box at the end of a chapter."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cropnb.ledger import Row
from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table

if TYPE_CHECKING:
    from cropnb.runs.validation import Curve

_HEADS = {"contradicted": "Came out the other way", "trivial": "Held, by less than is worth having"}


def came_out(name: str) -> Markdown:
    """Scope, what was run, what held and what didn't, what stays open, what was easy and hard.

    Args:
        name: of a paper, such as `vrn`: its file in `book/results` and its `paper.toml`.
    """
    from cropnb import ledger, paper
    from cropnb.runs import validation

    rows, words = ledger.read(name), paper.read(name).outcome
    claims = [row for row in rows if row.verdict in ledger.CLAIM_VERDICTS]
    waiting = [row for row in rows if row.verdict == "pending"]
    lines = [("Scope", words["scope"]), ("Run", ran(rows))]
    for verdict, head in {"holds": "Held", **_HEADS}.items():
        chosen = [row for row in claims if row.verdict == verdict and not row.void]
        if chosen:
            lines.append((head, _listed(chosen, claims)))
    void = [row for row in claims if row.void]
    if void:
        head = "Says nothing: an arm is no better than the photo's middle"
        lines.append((head, _listed(void, claims)))
    unsettled = [row for row in claims if row.verdict == "unsettled" and not row.void]
    text = _listed(unsettled, claims) if unsettled else "nothing that was compared"
    lines.append(("Unsettled", text))
    if curves := validation.read(name):
        lines.append(("Long enough", _ends(curves)))
    printed = sum(row.paper_value is not None for row in waiting)
    waits = [f"{printed} printed numbers, for photographs or a GPU"]
    waits += _planned([row for row in waiting if row.paper_value is None])
    lines.append(("Waits", "; ".join(waits)))
    lines += [("Easy", words["easy"]), ("Hard", words["hard"])]
    return markdown_table(["What came out", ""], lines, "ll")


def what_it_takes(entry_name: str) -> Markdown:
    """For each claim that an entry of the plan decides: what settles the printed difference, and
    the one that is worth having, from the spread of an earlier run. See `cropnb.runs.power`.

    Args:
        entry_name: such as `vrn/layouts`.
    """
    from cropnb.runs import plan, power

    (entry,) = plan.select(plan.read(), [entry_name])
    lines = []
    for card in power.cards(entry):
        if card.pilot is not None:
            numbers = (card.printed, card.worth_having)
            needs = (card.enough_for_printed, card.enough)
            pairs = zip(numbers, needs, strict=True)
            cells = [_takes(*pair, "" if card.tells_seeds else "at least ") for pair in pairs]
            lines.append([card.claim, card.column, *cells])
    heads = ["claim", "column", "the printed difference takes", "one worth having takes"]
    return markdown_table(heads, lines, "llll") if lines else Markdown("*no earlier run*")


def _takes(difference: float | None, enough: tuple[int, int] | None, at_least: str) -> str:
    """«+0.012: 300 photos, 3 seeds»."""
    if difference is None:
        return "none printed"
    if difference <= 0:
        return f"{difference:+.3g}: the other way"
    from cropnb.runs.power import MOST_PHOTOS, MOST_SEEDS

    most = f"more than {_grouped(MOST_PHOTOS)} photos and {MOST_SEEDS} seeds"
    return f"{difference:+.3g}: " + (
        f"{at_least}{_grouped(enough[0])} photos, {enough[1]} seeds" if enough else most
    )


def _grouped(number: int) -> str:
    """A whole number with a space before each three digits."""
    return f"{number:_}".replace("_", "\N{NO-BREAK SPACE}")


def outcomes(names: Sequence[str]) -> Markdown:
    """Papers side by side: how many claims have which verdict, and how many numbers wait."""
    from cropnb import ledger, paper

    lines = []
    for name in names:
        verdicts = [row.verdict for row in ledger.read(name)]
        counts = [verdicts.count(verdict) for verdict in (*ledger.CLAIM_VERDICTS, "pending")]
        lines.append([name, paper.read(name).outcome["scope"], *counts])
    return markdown_table(["paper", "asked", *ledger.CLAIM_VERDICTS, "pending"], lines, "llrrrrr")


def ran(rows: Sequence[Row]) -> str:
    """The trainings behind rows: on what, how large, how many seeds and minutes."""
    trained = [row for row in rows if row.minutes and row.seeds and row.config_hash]
    if not trained:
        return "nothing was trained"
    kinds: dict[tuple[str, str, bool], list[Row]] = {}
    for row in trained:
        kinds.setdefault((row.dataset, row.profile, "frozen" in row.row), []).append(row)
    parts = []
    for (dataset, profile, frozen), of_kind in kinds.items():
        # Rows of one training share its configuration, and each repeats the training's minutes.
        minutes = {row.config_hash: row.minutes for row in of_kind}
        seeds = sorted({len(row.seeds) for row in of_kind})
        photos = sorted({row.images for row in of_kind if row.images})
        parts.append(
            f"{dataset}, profile {profile}{', frozen backbone' * frozen}: "
            f"{_counted(str(len(minutes)), 'setting')}, {_counted(_span(seeds), 'seed')} each, "
            f"{sum(minutes.values()):.0f} minutes in all, tested on {_span(photos)} photos"
        )
    return "; ".join(parts)


def _planned(rows: Sequence[Row]) -> list[str]:
    """The entries of the plan that nobody has run, with their minutes and rows."""
    entries = Counter(row.note.partition(", not run yet")[0] for row in rows)
    return [f"{entry} ({count} rows)" for entry, count in entries.items()]


def _ends(curves: "Sequence[Curve]") -> str:
    """How many trainings had stopped getting better, and which had not."""
    ends = Counter(curve.end for curve in curves)
    rising = [f"{c.variant} ({c.dataset}, {c.profile})" for c in curves if c.end == "rising"]
    settings = _counted(str(len(curves)), "setting")
    parts = [f"{ends['flat']} of {settings} ended on a flat validation curve"]
    if rising:
        parts.append(f"still rising: {', '.join(rising)}")
    if ends["too short"]:
        has = "has" if ends["too short"] == 1 else "have"
        parts.append(f"{ends['too short']} {has} too few scores to tell")
    return "; ".join(parts)


def _listed(rows: Sequence[Row], claims: Sequence[Row]) -> str:
    """Each claim once in each kind of run, with the columns that say so. A profile is named where
    the kind alone leaves open which run is meant.

    Args:
        rows: those to list.
        claims: all of the paper.
    """
    profiles: dict[tuple[str, str], set[str]] = {}
    for row in claims:
        profiles.setdefault((row.table, row.row), set()).add(row.profile)
    columns: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        kind = [row.table.partition(", ")[2]]
        if len(profiles[row.table, row.row]) > 1:
            kind.append(f"profile {row.profile}" if row.profile else "an oracle")
        columns.setdefault((row.row, *filter(None, kind)), []).append(row.column)
    return "; ".join(
        f"{name} ({', '.join([*kind, *dict.fromkeys(of)])})"
        for (name, *kind), of in columns.items()
    )


def _counted(number: str, thing: str) -> str:
    """«1 seed», «3 seeds», «1 to 3 seeds»."""
    return f"{number} {thing}{'' if number == '1' else 's'}"


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
