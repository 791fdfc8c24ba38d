"""Before a comparison is run: the paper's effect, the difference worth having, how many photos and
seeds would tell it, and the minutes. `python -m cropnb.runs.power mars/trained`.

The spread comes from a pilot: an earlier run of the same claim in the ledger.
"""

import argparse
import importlib
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from cropnb import ledger, paper
from cropnb.errors import CropnbError
from cropnb.metrics.intervals import POWER
from cropnb.runs import plan, record
from cropnb.runs.context import Context
from cropnb.runs.experiment import Experiment
from cropnb.runs.method import Method

FEWEST_SEEDS, MOST_SEEDS = 3, 20  # with two, Student's quantile is a guess
MOST_PHOTOS = 2000  # of a test part
Cell = tuple[str, str, str]  # table, row and column of the paper


@dataclass(frozen=True)
class Card:
    """What a claim's comparison takes, for one column.

    Attributes:
        printed: the paper's difference, positive where its numbers put the better one ahead; None
            where it prints none.
        worth_having: the smallest difference that is worth having; None where none is named.
        margin: the boundary. Below a negative one nothing has to be gained: no loss has to be told
            from one of this size.
        pilot: the row of an earlier run that tells the spread; None where there is none. One that
            was recorded without its differences doesn't tell the spread of seeds, and then as few
            seeds as possible are named.
        enough: photos and seeds that settle `worth_having`, or no loss, with 80 % power; None where
            not even 2 000 photos and twenty seeds do, or without a pilot.
        enough_for_printed: the same for the paper's difference.
        minutes: of both arms with one seed.
        budget: the minutes that the plan has for the comparison: both arms with all of their seeds,
            and the study that compares them, where there is one.
        unit: what the minutes are of: a core, or a GPU where a training needs one.
    """

    claim: str
    column: str
    printed: float | None
    worth_having: float | None
    margin: float
    pilot: ledger.Row | None
    enough: tuple[int, int] | None
    enough_for_printed: tuple[int, int] | None
    minutes: float
    budget: float
    unit: str = "core"

    def __str__(self) -> str:
        parts = [self._part("printed", self.printed, self.enough_for_printed)]
        if self.tells_no_loss:
            parts.append(f"no loss told from one of {-self.margin:.3g}{self._takes(self.enough)}")
        else:
            parts.append(self._part("worth having", self.worth_having, self.enough))
        if self.pilot is None:
            parts.append("no pilot with two seeds tells the spread")
        parts.append(f"the plan has {self.budget:.0f} minutes for it")
        return f"{self.claim}, {self.column}: {'; '.join(parts)}"

    def _part(self, name: str, difference: float | None, enough: tuple[int, int] | None) -> str:
        """A difference and what settles it."""
        if difference is None:
            return f"{name}: no number"
        text = f"{name} {difference:+.3g}"
        return text if difference <= self.margin else text + self._takes(enough)

    def _takes(self, enough: tuple[int, int] | None) -> str:
        """Photos, seeds and minutes; nothing without a pilot."""
        if self.pilot is None:
            return ""
        if enough is None:
            return f" takes more than {MOST_PHOTOS:,} photos and {MOST_SEEDS} seeds"
        photos, seeds = enough
        at_least = "" if self.tells_seeds else "at least "
        minutes = f"{self.minutes * seeds:.0f} minutes of a {self.unit}"
        return f" takes {at_least}{photos:,} photos and {seeds} seeds, {minutes}"

    @property
    def tells_no_loss(self) -> bool:
        """Whether the claim is that nothing is lost, so that no gain has to be worth having."""
        return self.worth_having is None and self.margin < 0

    @property
    def tells_seeds(self) -> bool:
        """Whether the pilot tells how much seeds differ."""
        return self.pilot is not None and self.pilot.detectable_seeds is not None


def needed(pilot: ledger.Row, difference: float) -> tuple[int, int] | None:
    """How many photos and seeds settle a difference, with 80 % power at 5 % two-sided.

    Args:
        pilot: a claim's row with two seeds or more: what its seeds leave open shrinks with the root
            of their number and with Student's quantiles, the rest with the root of the photos.
        difference: its distance from the boundary, in the unit of the row.

    Returns:
        Photos and seeds, of the fewest seeds with which a test part of 2 000 photos suffices; None
        where twenty seeds don't.

    Raises:
        LedgerError: the row is no claim, or has a single seed, whose spread nobody knows.
    """
    seeds = len(pilot.seeds)
    if pilot.detectable is None or not pilot.images or seeds < 2:
        raise ledger.LedgerError(f"row {pilot.key} is no claim with two seeds or more")
    of_seeds = pilot.detectable_seeds or 0.0
    one_seed = of_seeds * math.sqrt(seeds) / _quantiles(seeds)  # its deviation
    of_photos = max(pilot.detectable**2 - of_seeds**2, 0.0)
    for count in range(FEWEST_SEEDS, MOST_SEEDS + 1):
        left = difference**2 - (one_seed * _quantiles(count)) ** 2 / count
        if left > 0 and (photos := math.ceil(pilot.images * of_photos / left)) <= MOST_PHOTOS:
            return max(photos, 2), count
    return None


def cards(entry: plan.Entry, entries: Sequence[plan.Entry] = ()) -> Iterator[Card]:
    """The card of every claim that an entry of the plan decides, in each of its columns.

    Args:
        entry: one that trains; or a study of what others trained, whose module's
            `claim_names(arguments)` says what it decides.
        entries: the whole plan, in which a study finds the trainings that it reads.
    """
    yield from _of_training(entry) if entry.method else _of_study(entry, entries)


def _of_training(entry: plan.Entry) -> Iterator[Card]:
    """The cards of the claims of which an entry trains both sides."""
    experiment = entry.experiment
    method = experiment.method
    table = method.claim_table(experiment)
    like = {
        "dataset": entry.dataset,
        "profile": entry.profile,
        "table": Context(method.name, entry.dataset, (), commit="").table(table),
    }
    for claim in paper.read(method.name).claims if paper.known(method.name) else ():
        sides = (claim["better"], claim["worse"])
        if "rival" in claim or not set(sides) <= set(entry.variants):
            continue
        minutes = 2 * entry.minutes
        takes = {"minutes": minutes, "budget": minutes * len(entry.seeds), "unit": _unit([entry])}
        for column in claim.get("columns") or method.claim_columns:
            cells = _named(claim, column) or _of_sides(method, experiment, sides, column)
            printed = _difference(method, column, cells, table.removeprefix("claim"))
            pilot = _pilot(method.name, [claim["name"]], column, like)
            yield _card(method, claim, claim["name"], column, printed=printed, pilot=pilot, **takes)


def _of_study(entry: plan.Entry, entries: Sequence[plan.Entry]) -> Iterator[Card]:
    """The cards of the claims that a study decides. They take the trainings of both sides, where
    those aren't of weights that ship.
    """
    module = importlib.import_module(f"cropnb.{entry.module}")
    if not hasattr(module, "claim_names"):
        return
    method = plan.method_named(entry.name.partition("/")[0])
    claims = {claim["name"]: claim for claim in paper.read(method.name).claims}
    given = dict(itertools.pairwise(entry.arguments))
    like = {"dataset": given.get("--dataset", ledger.SCENES), "profile": given.get("--profile")}
    before = [one for one in entries if one.name in entry.after]
    trainings = {(one.method, variant): one for one in before for variant in one.variants}
    for name in module.claim_names(entry.arguments):
        # The same claim under other conditions tells the spread where this one has no row.
        names = list(dict.fromkeys([name, name.partition(",")[0]]))
        claim = claims.get(name) or claims[names[-1]]
        sides = [(method.name, claim["better"]), (claim["rival"], claim["worse"])]
        trained = [trainings[side] for side in sides if side in trainings]
        takes = {
            "minutes": sum(one.minutes for one in trained),
            "budget": entry.minutes + sum(one.minutes * len(one.seeds) for one in trained),
            "unit": _unit([entry, *trained]),
        }
        for column in claim.get("columns") or method.claim_columns:
            printed = _difference(method, column, _named(claim, column))
            pilot = _pilot(method.name, names, column, like)
            yield _card(method, claim, name, column, printed=printed, pilot=pilot, **takes)


def _card(
    method: Method,
    claim: Mapping[str, Any],
    name: str,
    column: str,
    *,
    printed: float | None,
    pilot: ledger.Row | None,
    **takes: float | str,
) -> Card:
    """The card of one comparison, with what its differences take by the pilot's spread."""
    judged = record.claim_bounds(claim, column, method.columns)
    worth_having, margin = judged["worth_having"], judged["margin"]
    aim = 0.0 if worth_having is None and margin < 0 else worth_having
    enough, enough_for_printed = (
        needed(pilot, distance)
        if pilot and difference is not None and (distance := difference - margin) > 0
        else None
        for difference in (aim, printed)
    )
    return Card(
        claim=name,
        column=column,
        printed=printed,
        worth_having=worth_having,
        margin=margin,
        pilot=pilot,
        enough=enough,
        enough_for_printed=enough_for_printed,
        **takes,
    )


def _unit(entries: Sequence[plan.Entry]) -> str:
    """What minutes of these entries are of."""
    return "GPU" if any(plan.GPU in entry.needs for entry in entries) else "core"


def _quantiles(seeds: int) -> float:
    """What a deviation is multiplied with to be settled, with a variance from these seeds."""
    return float(stdtrit(seeds - 1, 0.975) + stdtrit(seeds - 1, POWER))


def _pilot(
    method: str, claims: Sequence[str], column: str, like: Mapping[str, object]
) -> ledger.Row | None:
    """The row of an earlier run of the first of these claims that has any: before others one of the
    same dataset, then of the same profile, then of the same table; then one that tells how much
    seeds differ, and then one with more seeds.
    """
    for claim in claims:
        rows = [
            row
            for row in ledger.find(method, row=claim, column=column)
            if row.verdict in ledger.CLAIM_VERDICTS and row.detectable and len(row.seeds) > 1
        ]
        if rows:
            return max(
                rows,
                key=lambda row: (
                    *(getattr(row, name) == value for name, value in like.items()),
                    row.detectable_seeds is not None,
                    len(row.seeds),
                ),
            )
    return None


def _named(claim: Mapping[str, Any], column: str) -> list[Cell]:
    """The cells that a claim of `paper.toml` names for a column."""
    cells = claim.get("printed", {}).get(column, ())
    return [(table, row, *(of or (column,))) for table, row, *of in cells]


def _of_sides(
    method: Method, experiment: Experiment, sides: Sequence[str], column: str
) -> list[Cell]:
    """The two cells that print the sides, in the first table that has both."""
    tables = paper.read(method.name).tables
    rows = [{place.table: place.row for place in method.places(experiment, side)} for side in sides]
    for name, table in tables.items():
        cells = [(name, of[name], column) for of in rows if of.get(name) in table.rows]
        both = len(cells) == 2 and column in table.columns
        if both and None not in (table.value(row, column) for _, row, _ in cells):
            return cells
    return []


def _difference(
    method: Method, column: str, cells: Sequence[Cell], added: str = ""
) -> float | None:
    """The better side's cell less the worse side's, or a single cell that prints the difference;
    positive where the better side is ahead.

    Args:
        cells: none where the paper prints no number.
        added: to the names of tables, where the paper has such ones: `, CPC`.
    """
    tables = paper.read(method.name).tables
    added = added if all(table + added in tables for table, _, _ in cells) else ""
    values = [tables[table + added].value(row, of) for table, row, of in cells]
    if len(values) < 2:
        return values[0] if values else None
    sign = 1 if record.column_of(method.columns, column).higher_is_better else -1
    return sign * (values[0] - values[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the cards of the entries that are named. Returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m cropnb.runs.power", description=__doc__)
    options.add_argument("names", nargs="*", metavar="PAPER/WHAT", help="default: the whole plan")
    chosen = options.parse_args(arguments)
    try:
        entries = plan.read()
        for entry in plan.select(entries, chosen.names):
            if lines := list(map(str, cards(entry, entries))):
                print(f"{entry.name}: {entry.why}", *lines, sep="\n  ")
    except CropnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
