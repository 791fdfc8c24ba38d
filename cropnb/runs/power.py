"""Before a comparison is run: the paper's effect, the difference worth having, how many photos and
seeds would tell it, and the minutes. `python -m cropnb.runs.power mars/trained`.

The spread comes from a pilot: an earlier run of the same claim in the ledger.
"""

import argparse
import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from cropnb import ledger, paper
from cropnb.errors import CropnbError
from cropnb.metrics.intervals import POWER
from cropnb.runs import plan, record
from cropnb.runs.method import Method

FEWEST_SEEDS, MOST_SEEDS = 3, 20  # with two, Student's quantile is a guess
MOST_PHOTOS = 2000  # of a test part


@dataclass(frozen=True)
class Card:
    """What a claim's comparison takes, for one column.

    Attributes:
        printed: the paper's difference, positive where it says that the better one is better; None
            where it prints none.
        worth_having: the smallest difference that is worth having.
        pilot: the row of an earlier run that tells the spread; None where there is none. One that
            was recorded without its differences doesn't tell the spread of seeds, and then as few
            seeds as possible are named.
        enough: photos and seeds that settle `worth_having` with 80 % power; None where not even
            2 000 photos and twenty seeds do, or without a pilot.
        enough_for_printed: the same for the paper's difference.
        minutes: of both arms with one seed.
    """

    claim: str
    column: str
    printed: float | None
    worth_having: float | None
    pilot: ledger.Row | None
    enough: tuple[int, int] | None
    enough_for_printed: tuple[int, int] | None
    minutes: float

    def __str__(self) -> str:
        parts = [self._part("printed", self.printed, self.enough_for_printed)]
        parts.append(self._part("worth having", self.worth_having, self.enough))
        if self.pilot is None:
            parts.append("no pilot with two seeds tells the spread")
        return f"{self.claim}, {self.column}: {'; '.join(parts)}"

    def _part(self, name: str, difference: float | None, enough: tuple[int, int] | None) -> str:
        """A difference and what settles it."""
        if difference is None:
            return f"{name}: no number"
        text = f"{name} {difference:+.3g}"
        if self.pilot is None or difference <= 0:
            return text
        if enough is None:
            return f"{text} takes more than {MOST_PHOTOS:,} photos and {MOST_SEEDS} seeds"
        photos, seeds = enough
        at_least = "" if self.tells_seeds else "at least "
        minutes = f"{self.minutes * seeds:.0f} minutes of a core"
        return f"{text} takes {at_least}{photos:,} photos and {seeds} seeds, {minutes}"

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


def cards(entry: plan.Entry) -> Iterator[Card]:
    """The card of every claim that an entry of the plan decides."""
    experiment = entry.experiment
    method = experiment.method
    for claim in paper.read(method.name).claims if paper.known(method.name) else ():
        sides = (claim["better"], claim["worse"])
        if not set(sides) <= set(entry.variants):
            continue
        for column in claim.get("columns") or method.claim_columns:
            judged = record.claim_bounds(claim, column, method.columns)
            worth_having, margin = judged["worth_having"], judged["margin"]
            printed = claim.get("printed", {}).get(column)
            if printed is None:
                printed = _printed(method, entry, sides, column)
            pilot = _pilot(method.name, claim["name"], column, entry.dataset)
            enough, enough_for_printed = (
                needed(pilot, distance)
                if pilot and difference is not None and (distance := difference - margin) > 0
                else None
                for difference in (worth_having, printed)
            )
            yield Card(
                claim=claim["name"],
                column=column,
                printed=printed,
                worth_having=worth_having,
                pilot=pilot,
                enough=enough,
                enough_for_printed=enough_for_printed,
                minutes=2 * entry.minutes,
            )


def study_cards(entry: plan.Entry, entries: Sequence[plan.Entry]) -> Iterator[Card]:
    """The cards of the claims that a study decides: its module's `claim_names(arguments)`. They
    take the trainings that it reads.
    """
    module = importlib.import_module(f"cropnb.{entry.module}")
    if not hasattr(module, "claim_names"):
        return
    method, dataset = module.METHOD, ledger.SCENES
    if "--dataset" in entry.arguments:
        dataset = entry.arguments[entry.arguments.index("--dataset") + 1]
    minutes = sum(one.minutes * len(one.variants) for one in entries if one.name in entry.after)
    for name in module.claim_names(entry.arguments):
        for column in method.claim_columns:
            worth_having = record.column_of(method.columns, column).worth_having
            # The same claim under other conditions tells the spread where this one has no row.
            names = (name, name.partition(",")[0])
            pilots = (_pilot(method.name, one, column, dataset) for one in names)
            pilot = next(filter(None, pilots), None)
            yield Card(
                claim=name,
                column=column,
                printed=None,
                worth_having=worth_having,
                pilot=pilot,
                enough=needed(pilot, worth_having) if pilot and worth_having else None,
                enough_for_printed=None,
                minutes=minutes,
            )


def _quantiles(seeds: int) -> float:
    """What a deviation is multiplied with to be settled, with a variance from these seeds."""
    return float(stdtrit(seeds - 1, 0.975) + stdtrit(seeds - 1, POWER))


def _pilot(method: str, claim: str, column: str, dataset: str) -> ledger.Row | None:
    """The claim's row with the most seeds, one of the same dataset before others."""
    rows = [
        row
        for row in ledger.find(method, row=claim, column=column)
        if row.verdict in ledger.CLAIM_VERDICTS and row.detectable and len(row.seeds) > 1
    ]
    return max(rows, key=lambda row: (row.dataset == dataset, len(row.seeds)), default=None)


def _printed(method: Method, entry: plan.Entry, sides: Sequence[str], column: str) -> float | None:
    """The difference of two printed cells, in the first table that has both."""
    tables = paper.read(method.name).tables
    rows = [
        {place.table: place.row for place in method.places(entry.experiment, side)}
        for side in sides
    ]
    for table in rows[0].keys() & rows[1].keys() & tables.keys():
        if column not in tables[table].columns:
            continue
        cells = [
            tables[table].value(of[table], column) if of[table] in tables[table].rows else None
            for of in rows
        ]
        if None not in cells:
            sign = 1 if record.column_of(method.columns, column).higher_is_better else -1
            return sign * (cells[0] - cells[1])
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the cards of the entries that are named. Returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m cropnb.runs.power", description=__doc__)
    options.add_argument("names", nargs="*", metavar="PAPER/WHAT", help="default: the whole plan")
    chosen = options.parse_args(arguments)
    try:
        entries = plan.read()
        for entry in plan.select(entries, chosen.names):
            made = cards(entry) if entry.method else study_cards(entry, entries)
            if lines := list(map(str, made)):
                print(f"{entry.name}: {entry.why}", *lines, sep="\n  ")
    except CropnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
