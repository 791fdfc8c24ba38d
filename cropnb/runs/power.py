"""Before a comparison is run: the paper's effect, the difference worth having, how many photos and
seeds would tell it, and the minutes. `python -m cropnb.runs.power mars/trained`.

The spread comes from a pilot: an earlier run of the same claim in the ledger.
"""

import argparse
import importlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cropnb import ledger, paper
from cropnb.errors import CropnbError
from cropnb.paper import Cell
from cropnb.runs import plan, record, spread
from cropnb.runs.context import Context
from cropnb.runs.experiment import Experiment
from cropnb.runs.method import Method
from cropnb.runs.spread import MOST_PHOTOS, MOST_SEEDS, Enough


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
        by_others: photos and seeds for no loss without a pilot: the least and the most by the
            spread of other claims; None where none tells.
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
    enough: Enough
    enough_for_printed: Enough
    by_others: tuple[Enough, Enough] | None
    minutes: float
    budget: float
    unit: str = "core"

    def __str__(self) -> str:
        parts = [self._part("printed", self.printed, self.enough_for_printed)]
        if self.tells_no_loss:
            takes = self._takes(self.enough) + self._takes_by_others()
            parts.append(f"no loss told from one of {-self.margin:.3g}{takes}")
        else:
            parts.append(self._part("worth having", self.worth_having, self.enough))
        if self.pilot is None:
            whose = " of its own" if self.by_others else ""
            parts.append(f"no pilot{whose} with two seeds tells the spread")
        parts.append(f"the plan has {self.budget:.0f} minutes for it")
        return f"{self.claim}, {self.column}: {'; '.join(parts)}"

    def _part(self, name: str, difference: float | None, enough: Enough) -> str:
        """A difference and what settles it."""
        if difference is None:
            return f"{name}: no number"
        text = f"{name} {difference:+.3g}"
        return text if difference <= self.margin else text + self._takes(enough)

    def _takes(self, enough: Enough) -> str:
        """Photos, seeds and minutes; nothing without a pilot."""
        if self.pilot is None:
            return ""
        if enough is None:
            return f" takes {_counts(enough)}"
        at_least = "" if self.tells_seeds else "at least "
        minutes = f"{self.minutes * enough[1]:.0f} minutes of a {self.unit}"
        return f" takes {at_least}{_counts(enough)}, {minutes}"

    def _takes_by_others(self) -> str:
        """The same by the spread of other claims."""
        if self.by_others is None:
            return ""
        ends = " to ".join(dict.fromkeys(map(_counts, self.by_others)))
        return f" takes {ends} by the spread of other claims"

    @property
    def tells_no_loss(self) -> bool:
        """Whether the claim is that nothing is lost, so that no gain has to be worth having."""
        return self.worth_having is None and self.margin < 0

    @property
    def tells_seeds(self) -> bool:
        """Whether the pilot tells how much seeds differ."""
        return self.pilot is not None and self.pilot.detectable_seeds is not None


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
    for claim in entry.claims:
        sides = (claim["better"], claim["worse"])
        minutes = 2 * entry.minutes
        takes = {"minutes": minutes, "budget": minutes * len(entry.seeds), "unit": _unit([entry])}
        for column in claim.get("columns") or method.claim_columns:
            named = paper.read(method.name).cells(claim["name"], column)
            cells = named or _of_sides(method, experiment, sides, column)
            printed = _difference(method, column, cells, table.removeprefix("claim"))
            yield _card(method, claim, [claim["name"]], column, printed=printed, like=like, **takes)


def _of_study(entry: plan.Entry, entries: Sequence[plan.Entry]) -> Iterator[Card]:
    """The cards of the claims that a study decides."""
    # They take the trainings of both sides, where those aren't of weights that ship.
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
            cells = paper.read(method.name).cells(claim["name"], column)
            printed = _difference(method, column, cells)
            yield _card(method, claim, names, column, printed=printed, like=like, **takes)


def _card(
    method: Method,
    claim: Mapping[str, Any],
    names: Sequence[str],
    column: str,
    *,
    printed: float | None,
    like: Mapping[str, object],
    **takes: float | str,
) -> Card:
    """The card of one comparison, with what its differences take by the spread of a pilot."""
    # The pilot is a run of the first of these names that has any.
    pilot = spread.pilot(method.name, names, column, like)
    bounds = record.claim_bounds(claim, column, method.columns)
    worth_having, margin = bounds["worth_having"], bounds["margin"]
    aim = 0.0 if worth_having is None and margin < 0 else worth_having
    enough, enough_for_printed = (
        spread.needed(pilot, distance)
        if pilot and difference is not None and (distance := difference - margin) > 0
        else None
        for difference in (aim, printed)
    )
    alone = pilot is None and worth_having is None and margin < 0
    return Card(
        claim=names[0],
        column=column,
        printed=printed,
        worth_having=worth_having,
        margin=margin,
        pilot=pilot,
        enough=enough,
        enough_for_printed=enough_for_printed,
        by_others=spread.of_others(method.name, column, like, -margin) if alone else None,
        **takes,
    )


def _counts(enough: Enough) -> str:
    """«1,200 photos and 4 seeds»."""
    photos, seeds = enough or (MOST_PHOTOS, MOST_SEEDS)
    return f"{'' if enough else 'more than '}{photos:,} photos and {seeds} seeds"


def _unit(entries: Sequence[plan.Entry]) -> str:
    """What minutes of these entries are of."""
    return "GPU" if any(plan.GPU in entry.needs for entry in entries) else "core"


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
    """What cells print, positive where the better side is ahead; of tables `added` if there are."""
    printed = paper.read(method.name)
    gap = printed.difference(cells, added)
    gap = printed.difference(cells) if gap is None else gap
    turned = len(cells) > 1 and not record.column_of(method.columns, column).higher_is_better
    return -gap if turned else gap


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
