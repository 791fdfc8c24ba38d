"""What came out of reproducing a paper, from its ledger: the box at the end of a chapter."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cropnb.ledger import LITTLE, Row, verdict_of
from cropnb.notebook.headlines import Kind, decided, joined, legend, told
from cropnb.notebook.source import Markdown, escaped, folded
from cropnb.notebook.tables import markdown_table

if TYPE_CHECKING:
    from cropnb.runs.power import Card
    from cropnb.runs.validation import Curve

_HEADS = {
    "holds": "Held",
    "trivial": "Held, by less than is worth having",
    "contradicted": "Came out the other way",
    LITTLE: "Came out the other way, by less than is worth having",
    "": "Says nothing: an arm is not surely better than an answer that never looks",
    "unsettled": "Unsettled",
}
# A table's name ends with the form of the dataset, where its method has several; a curve has it.
_FORMS = {
    "gaicd": "GAICD's form",
    "v2": "GAICD v2's form",
    "gaicd_v2": "GAICD v2's form",
    "CPC": "CPC's form",
    "cpc": "CPC's form",
    "FCDB": "FCDB's form",
}
_FROZEN = "frozen backbone"
_MOST = 5  # unsettled claims that stand beside the others; more of them are folded


def came_out(name: str) -> Markdown:
    """Scope, what was run, what became of the headline claims, what else held and what didn't, what
    stays open, what was easy and hard. Many unsettled claims are counted, and listed in a fold
    below. Claims whose trainings weren't over bear a sign that a line below explains.

    Args:
        name: of a paper, such as `vrn`: its file in `book/results` and its `paper.toml`.
    """
    from cropnb import ledger, paper
    from cropnb.runs import validation

    rows, printed = ledger.read(name), paper.read(name)
    words = printed.outcome
    kinds = _kinds([row for row in rows if row.verdict in ledger.CLAIM_VERDICTS])
    waiting = [row for row in rows if row.verdict == "pending"]
    lines: list[tuple[str, str]] = [("Scope", words["scope"]), ("Run", ran(rows))]
    headlines = [claim["name"] for claim in printed.claims if claim.get("headline")]
    for headline in headlines:
        own = {kind: kinds.pop(kind) for kind in list(kinds) if _is_about(kind[0], headline)}
        answer = decided(own, rows, _HEADS) if own else "not compared yet"
        lines.append((f"Headline: {headline}", answer))
    fold = []
    for verdict, head in _HEADS.items():
        chosen = {kind: rows_of for kind, of in kinds.items() if (rows_of := of.get(verdict))}
        listed = [told(kind, of) for kind, of in chosen.items()]
        if verdict == "unsettled" and len(listed) > _MOST:
            comparisons = sum(map(len, chosen.values()))
            count = f"{len(listed)} claims in {comparisons} comparisons, listed below the table"
            lines.append((head, count))
            unsettled = "\n".join(f"- {escaped(claim)}" for claim in listed)
            fold = ["", folded("The unsettled claims", unsettled)]
        elif listed:
            lines.append((head, "; ".join(listed)))
    if curves := validation.read(name):
        settings = sum(len(_minutes(of_kind)) for of_kind in _trainings(rows).values())
        lines.append(("Long enough", _ends(curves, settings)))
    unmeasured = sum(row.paper_value is not None for row in waiting)
    waits = [f"{unmeasured} printed numbers, for photographs or a GPU"]
    waits += _planned(name, [row for row in waiting if row.paper_value is None])
    lines.append(("Waits", "; ".join(waits)))
    lines += [("Easy", words["easy"]), ("Hard", words["hard"])]
    rest = [row for verdicts in kinds.values() for of in verdicts.values() for row in of]
    signs = ["", text] if (text := legend(rest)) else []
    table = markdown_table(["What came out", ""], lines, "ll")
    return Markdown("\n".join([table, *signs, *fold]))


def what_it_takes(*entry_names: str) -> Markdown:
    """For each claim that entries of the plan decide: what settles the printed difference, and
    the one that is worth having, from the spread of an earlier run, and how long the plan has for
    it. See `cropnb.runs.power`.

    Args:
        entry_names: such as `vrn/layouts`; of those that train, and of studies. Of several, each
            line names its own.
    """
    from cropnb.runs import plan, power

    whole, lines = plan.read(), []
    entries = {entry.name: entry for entry in plan.select(whole, entry_names)}
    several = len(entry_names) > 1
    for name in entry_names:
        for card in power.cards(entries[name], whole):
            printed = _takes(card, card.printed, card.enough_for_printed) or "none printed"
            worth_having = _takes(card, card.worth_having, card.enough) or "none named"
            if card.tells_no_loss:
                needs = _needs_by_others(card) or _needs(card, card.enough)
                worth_having = f"no loss, told from {card.margin:+.3g}: {needs}"
            line = [card.claim, card.column, printed, worth_having, _grouped(round(card.budget))]
            lines.append([name, *line] if several else line)
    heads = ["claim", "column", "the printed difference takes", "one worth having takes"]
    heads = [*(["run of the plan"] if several else []), *heads, "minutes that the plan has for it"]
    return markdown_table(heads, lines, "l" * (len(heads) - 1) + "r")


def _takes(card: "Card", difference: float | None, enough: tuple[int, int] | None) -> str:
    """«+0.012: 300 photos, 3 seeds»; empty for no difference."""
    if difference is None:
        return ""
    against = card.pilot is not None and difference <= card.margin
    return f"{difference:+.3g}: {'the other way' if against else _needs(card, enough)}"


def _needs(card: "Card", enough: tuple[int, int] | None) -> str:
    """«300 photos, 3 seeds», as far as an earlier run tells."""
    if card.pilot is None:
        return "no earlier run tells"
    at_least = "" if card.tells_seeds or enough is None else "at least "
    return at_least + _photos_and_seeds(enough)


def _needs_by_others(card: "Card") -> str:
    """The same by the spread of other claims; empty where none tells."""
    if card.by_others is None:
        return ""
    return f"{' to '.join(dict.fromkeys(map(_photos_and_seeds, card.by_others)))}, by other claims"


def _photos_and_seeds(enough: tuple[int, int] | None) -> str:
    from cropnb.runs.spread import MOST_PHOTOS, MOST_SEEDS

    if enough is None:
        return f"more than {_grouped(MOST_PHOTOS)} photos and {MOST_SEEDS} seeds"
    return f"{_grouped(enough[0])} photos, {enough[1]} seeds"


def _grouped(number: int) -> str:
    """A whole number with a space before each three digits."""
    return f"{number:_}".replace("_", "\N{NO-BREAK SPACE}")


def outcomes(names: Sequence[str]) -> Markdown:
    """Papers side by side: how many claims have which verdict, and how many numbers wait."""
    from cropnb import ledger, paper

    heads = (*ledger.CLAIM_VERDICTS, "says nothing", "pending")
    lines = []
    for name in names:
        verdicts = [row.says for row in ledger.read(name)]
        counts = [verdicts.count(verdict) for verdict in heads]
        lines.append([name, paper.read(name).outcome["scope"], *counts])
    return markdown_table(["paper", "asked", *heads], lines, "ll" + "r" * len(heads))


def ran(rows: Sequence[Row]) -> str:
    """The trainings behind rows: how many seeds and minutes, and on how many photos they learned
    and were tested.
    """
    kinds = _trainings(rows)
    if not kinds:
        return "nothing was trained"
    parts = []
    for (dataset, profile, frozen), of_kind in kinds.items():
        minutes = _minutes(of_kind)
        seeds = sorted({len(row.seeds) for row in of_kind})
        photos = sorted({row.images for row in of_kind if row.images})
        parts.append(
            f"{dataset}, profile {profile}{', frozen backbone' * frozen}: "
            f"{_counted(str(len(minutes)), 'setting')}, {_counted(_span(seeds), 'seed')} each, "
            f"{sum(minutes.values()):.0f} minutes in all, trained on {_trained_on(of_kind)}, "
            f"tested on {_span(photos)} photos"
        )
    return "; ".join(parts)


def _trainings(rows: Sequence[Row]) -> dict[tuple[str, str, bool], list[Row]]:
    """The rows that a training stands behind, by dataset, profile, and whether `--frozen`."""
    kinds: dict[tuple[str, str, bool], list[Row]] = {}
    for row in rows:
        if row.minutes and row.seeds and row.config_hash:
            kinds.setdefault((row.dataset, row.profile, "frozen" in row.row), []).append(row)
    return kinds


def _minutes(rows: Sequence[Row]) -> dict[str, float]:
    """What each setting took: rows of one training share its configuration, and each repeats the
    training's minutes.
    """
    return {row.config_hash: row.minutes for row in rows if row.minutes is not None}


def _trained_on(rows: Sequence[Row]) -> str:
    """The training photos of rows of one dataset and profile."""
    # Such as «2 000 scenes and at most 2 000 training photos of taught»: how many scenes there are
    # is known, of what has to be fetched it isn't.
    from cropnb import ledger
    from cropnb.datasets.scenes import SIZES
    from cropnb.runs import program

    by_command = {row.command: row for row in rows}
    experiments = [program.experiment_of(row) for row in by_command.values()]
    asked = [experiment.profile.train_photos for experiment in experiments]
    parts = []
    for name in rows[0].dataset.split("+"):
        if name == ledger.SCENES:
            there = [SIZES[experiment.form]["train"] for experiment in experiments]
            pairs = zip(asked, there, strict=True)
            counts = sorted({min(most or count, count) for most, count in pairs})
            parts.append(f"{_span(counts)} scenes")
        else:
            taken = f"at most {_grouped(max(asked))}" if all(asked) else "all"
            parts.append(f"{taken} training photos of {name}")
    return " and ".join(parts)


def _planned(name: str, rows: Sequence[Row]) -> list[str]:
    """The entries of the plan that nobody has run, or with fewer seeds than they ask for."""
    from cropnb.runs import waiting

    entries = Counter(row.note.partition(", not run yet")[0] for row in rows)
    counts = {entry: f"{count} rows" for entry, count in entries.items()}
    for entry, missed in waiting.short_of_seeds(name):
        seeds = _span(sorted({len(of) for of in missed.values()}))
        lacking = f"{_counted(seeds, 'more seed')} of {_counted(str(len(missed)), 'setting')}"
        afresh = _grouped(round(waiting.minutes_afresh(entry)))
        lacking += f", {afresh} minutes in all where the earlier seeds' runs aren't on disk"
        # Its pending rows were written with the minutes of that day.
        own = (head for head in counts if head.partition(",")[0] == entry.name)
        head = next(own, waiting.head(entry))
        counts[head] = f"{counts[head]}; {lacking}" if head in counts else lacking
    return [f"{head} ({text})" for head, text in counts.items()]


def _ends(curves: "Sequence[Curve]", settings: int) -> str:
    """How many trainings had stopped getting better, and which had not.

    Args:
        settings: how many were trained; of some no scores may be on record.
    """
    ends = Counter(curve.end for curve in curves)
    forms = {(curve.dataset, curve.form) for curve in curves}
    several = {dataset for dataset, count in Counter(of for of, _ in forms).items() if count > 1}
    rising: dict[str, list[str]] = {}
    for curve in curves:
        if curve.end == "rising":
            form = _FORMS.get(curve.form, curve.form) if curve.dataset in several else ""
            frozen = "frozen backbone" if curve.frozen else ""
            kind = ", ".join(filter(None, (curve.dataset, form, curve.profile, frozen)))
            rising.setdefault(kind, []).append(curve.variant)
    recorded = _counted(str(len(curves)), "setting")
    parts = [f"{ends['flat']} of {recorded} ended on a flat validation curve"]
    if rising:
        of_kinds = [f"{joined(variants)} ({kind})" for kind, variants in rising.items()]
        parts.append(f"still rising: {'; '.join(of_kinds)}")
    if ends["too short"]:
        has = "has" if ends["too short"] == 1 else "have"
        parts.append(f"{ends['too short']} {has} too few scores to tell")
    if settings > len(curves):
        parts.append(f"of {settings - len(curves)} more no scores are recorded")
    return "; ".join(parts)


def _kinds(claims: Sequence[Row]) -> dict[Kind, dict[str, list[Row]]]:
    """Each claim in each kind of run → verdict, empty for what says nothing → its rows."""
    # Dataset and profile are named where the table alone leaves open which run is meant, and the
    # profile on every line where a paper's claims stand on several.
    profiles = {row.profile for row in claims if row.profile}
    frozen = {row.profile for row in claims if _FROZEN in row.table}
    runs: dict[tuple[str, str], list[Row]] = {}
    for row in claims:
        runs.setdefault((row.table, row.row), []).append(row)
    kinds: dict[Kind, dict[str, list[Row]]] = {}
    for row in claims:
        conditions = [_FORMS.get(part, part) for part in row.table.split(", ")[1:]]
        alike, kind = runs[row.table, row.row], [row.row, *conditions]
        if len({one.dataset for one in alike}) > 1:
            kind.append(f"on {row.dataset}")
        own = {one.profile for one in alike}
        if row.profile:
            own |= frozen if _FROZEN in row.table else profiles
        if len(own) > 1:
            kind.append(f"profile {row.profile}" if row.profile else "an oracle")
        verdicts = kinds.setdefault(tuple(filter(None, kind)), {})
        verdicts.setdefault(verdict_of(row), []).append(row)
    return kinds


def _is_about(name: str, headline: str) -> bool:
    """Whether a row's claim is this one, perhaps under other conditions."""
    return name == headline or name.startswith(f"{headline}, ")


def _counted(number: str, thing: str) -> str:
    """«1 seed», «3 seeds», «1 to 3 seeds»."""
    return f"{number} {thing}{'' if number == '1' else 's'}"


def _span(numbers: Sequence[int]) -> str:
    first, last = _grouped(numbers[0]), _grouped(numbers[-1])
    return first if len(numbers) == 1 else f"{first} to {last}"
