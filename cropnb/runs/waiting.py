"""What waits: printed numbers that were not measured yet, and what the plan would measure and
nobody has run, variant by variant and seed by seed.

The ledger has a pending row for each cell without a number. A row that stands on fewer seeds than
its entry asks for keeps its number, and no second row stands beside it; `missing_seeds` knows the
rest. `python -m cropnb.runs.waiting` writes the pending rows as the plan has them today.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cropnb import ledger, paper
from cropnb.errors import CropnbError
from cropnb.runs import plan
from cropnb.runs.context import Context
from cropnb.runs.method import Place
from cropnb.runs.plan import GPU, Entry

_NOT_RUN = ", not run yet: "  # in the note of a planned row


def rows(name: str) -> list[ledger.Row]:
    """The pending rows of one file of the ledger: printed numbers, then what the plan would add."""
    return pending(name) + planned(name)


def record(name: str) -> None:
    """Bring the pending rows of one file up to date: what was measured waits no longer."""
    ledger.record(name, rows(name), instead_of=is_planned)


def settle(name: str, command: str) -> None:
    """Take out of a file the planned rows that this command was to fill, and didn't."""
    if any(is_planned(row) for row in ledger.read(name)):
        ledger.record(name, [], lambda row: is_planned(row) and row.note.endswith(command))


def pending(name: str) -> list[ledger.Row]:
    """A row for each printed number of the paper's own rows that was not measured on the paper's
    dataset yet, with the entry that would measure it.
    """
    if not paper.known(name):
        return []
    waiting = {
        table: entry for entry in plan.read() if entry.paper == name for table in entry.tables
    }
    notes = plan.method_named(name).pending_notes if waiting else {}
    # Whatever profile measured it: a number that was measured is not pending.
    measured = {_cell(row) for row in _measured(name)}
    pending = [
        ledger.Row(
            paper=name,
            table=table.name,
            row=row,
            column=column,
            dataset=table.dataset,
            split=table.split,
            verdict="pending",
            paper_value=table.value(row, column),
            images=table.photos,
            note=notes.get(column) or missing(waiting[table.name]),
        )
        for table in paper.read(name).tables.values()
        if table.name in waiting
        for row in table.own
        for column in table.columns
        if table.value(row, column) is not None
    ]
    return [row for row in pending if _cell(row) not in measured]


def planned(name: str) -> list[ledger.Row]:
    """A row for each cell that entries of the plan would fill and that nobody has measured, with
    the minutes of what is left of the entry; `record` replaces them.

    Entries that fill printed tables on the paper's photos have `pending` rows in place of these.
    """
    entries = [entry for entry in plan.read() if entry.paper == name and not entry.tables]
    return [row for entry in entries for row in of_entry(entry)]


def claims(name: str, table: str | None = None) -> list[ledger.Row]:
    """A pending row for each claim that trainings of the plan would decide and of which the ledger
    has no row, with any profile. No file keeps them: pages print them beside the decided ones.

    Args:
        table: of claims, such as "claim, v2"; all by default.
    """
    decided = {(row.table, row.row) for row in _measured(name)}
    waits: dict[tuple[str, str, str], ledger.Row] = {}
    for entry in plan.read():
        missed = missing_seeds(entry) if entry.paper == name and not entry.tables else {}
        if not missed:
            continue
        method, common = entry.experiment.method, _pending(entry)
        own = _context(entry).table(method.claim_table(entry.experiment))
        for claim in entry.claims if table in (None, own) else ():
            # Runs that are recorded already decide no more than they did.
            to_run = {claim["better"], claim["worse"]} & set(missed)
            if (own, claim["name"]) in decided or not to_run:
                continue
            for column in claim.get("columns") or method.claim_columns:
                row = replace(common, table=own, row=claim["name"], column=column)
                waits.setdefault((own, claim["name"], column), row)
    return list(waits.values())


def of_entry(entry: Entry) -> list[ledger.Row]:
    """The rows of `planned` for one entry."""
    if entry.module:
        return _of_study(entry)
    missed, places, common = missing_seeds(entry), _places(entry), _pending(entry)
    pending = [
        replace(common, table=place.table, row=place.row, column=column)
        for variant in missed
        for place in places[variant]
        for column in place.columns or entry.experiment.method.columns
    ]
    measured = {row.key for row in _measured(entry.paper)}
    return [row for row in pending if row.key not in measured]


def _pending(entry: Entry) -> ledger.Row:
    """What the pending rows of an entry that trains have in common."""
    experiment = entry.experiment
    return ledger.Row(
        paper=entry.paper,
        table="",
        row="",
        column="",
        dataset=experiment.dataset,
        split=experiment.method.eval_split(experiment),
        verdict="pending",
        profile=entry.profile,
        note=f"{head(entry)}{_NOT_RUN}{entry.command}",
    )


def _of_study(entry: Entry) -> list[ledger.Row]:
    """The same of a study whose module has `places(arguments)`."""
    # Another entry may have measured some of its cells, with any profile where it names none.
    context, profile = _context(entry), _given(entry, "--profile")
    measured = {
        (row.table, row.row, row.column, row.dataset)
        for row in _measured(entry.paper)
        if profile in (None, row.profile)
    }
    cells = [
        (context.table(place.table), place.row, column)
        for place in _study_places(entry)
        for column in place.columns
    ]
    return [
        ledger.Row(
            entry.paper,
            *cell,
            dataset=context.dataset,
            split=context.split,
            verdict="pending",
            profile=profile or "",
            note=f"{_head(entry, entry.minutes)}{_NOT_RUN}{entry.command}",
        )
        for cell in cells
        if (*cell, context.dataset) not in measured
    ]


def missing_seeds(entry: Entry) -> dict[str, tuple[int, ...]]:
    """The trainings that an entry asks for and on which no row of the ledger stands: variant →
    seeds, without variants that have them all. Whichever entry recorded a row, its seeds count,
    where it stands on as many photos as this one asks for.
    """
    if not entry.method or not entry.records:
        return {}
    seeds: dict[tuple[str, str], set[int]] = {}
    for row in _measured(entry.paper):
        if (row.images or 0) < entry.test_photos:
            continue
        if row.seeds and (row.dataset, row.profile) == (entry.experiment.dataset, entry.profile):
            there = seeds.setdefault((row.table, row.row), set(row.seeds))
            there &= set(row.seeds)
    missed = {}
    for variant, places in _places(entry).items():
        # Not every dataset has the columns of every table.
        of_places = [of for place in places if (of := seeds.get((place.table, place.row)))]
        there = set.intersection(*of_places) if of_places else set()
        if lacking := tuple(seed for seed in entry.seeds if seed not in there):
            missed[variant] = lacking
    return missed


def short_of_seeds(name: str) -> Iterator[tuple[Entry, dict[str, tuple[int, ...]]]]:
    """The entries that have measured variants with fewer seeds than they ask for, and these
    variants with what is missing.
    """
    for entry in (one for one in plan.read() if one.paper == name):
        missed = missing_seeds(entry)
        if short := {one: of for one, of in missed.items() if len(of) < len(entry.seeds)}:
            yield entry, short


def minutes_left(entry: Entry) -> float:
    """Of the trainings that no row stands on; of a study all, where a cell of it waits."""
    if entry.module:
        return entry.minutes if _of_study(entry) else 0.0
    return entry.minutes * sum(map(len, missing_seeds(entry).values()))


def minutes_afresh(entry: Entry) -> float:
    """Of the same rows where no run is on disk: a row is recorded from the runs of all its seeds,
    those that the ledger has among them.
    """
    return entry.minutes * len(entry.seeds) * len(missing_seeds(entry))


def head(entry: Entry) -> str:
    """What is left of an entry, as its pending rows begin: its name and the minutes."""
    return _head(entry, minutes_left(entry))


def _head(entry: Entry, minutes: float) -> str:
    photos = " and ".join(need for need in entry.needs if need != GPU)
    unit = "GPU" if GPU in entry.needs else "core"
    return f"{entry.name}, about {minutes:.0f} minutes of a {unit}{photos and f', on {photos}'}"


def is_planned(row: ledger.Row) -> bool:
    """Whether a row is one of `planned`, of today's plan or of an earlier one."""
    return row.verdict == "pending" and _NOT_RUN in row.note


def missing(entry: Entry) -> str:
    """What an entry waits for, and its command: the note of the rows that wait with it."""
    photos = " and ".join(need for need in entry.needs if need != GPU)
    needs = f"the photos of {photos} can't be redistributed and are not here" if photos else ""
    gpu = "a GPU" if GPU in entry.needs else ""
    return f"{needs}{'; needs ' + gpu if gpu else ''}; then: {entry.command}"


def _measured(name: str) -> list[ledger.Row]:
    return [row for row in ledger.read(name) if row.verdict != "pending"]


def _cell(row: ledger.Row) -> tuple[str, ...]:
    return (row.table, row.row, row.column, row.dataset, row.split)


def _context(entry: Entry) -> Context:
    """Where an entry's rows are measured."""
    dataset = entry.dataset if entry.method else _given(entry, "--dataset") or ledger.SCENES
    return Context(entry.paper, dataset, entry.arguments, commit="none")


def _places(entry: Entry) -> Mapping[str, Sequence[Place]]:
    """Variant → where its numbers stand, by the names that the ledger has."""
    experiment, table = entry.experiment, _context(entry).table
    method = experiment.method
    suffix = method.suffix(experiment)
    return {
        variant: [
            replace(place, table=table(place.table), row=place.row + suffix)
            for place in method.places(experiment, variant)
        ]
        for variant in entry.variants
    }


def _study_places(entry: Entry) -> Sequence[Place]:
    """Where the rows of a study stand, if its module says so; claims are left out."""
    module = importlib.import_module(f"cropnb.{entry.module}")
    return module.places(entry.arguments) if hasattr(module, "places") else ()


def _given(entry: Entry, option: str) -> str | None:
    """The value of an option among a study's arguments."""
    arguments = entry.arguments
    return arguments[arguments.index(option) + 1] if option in arguments else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pending rows of the files that are named. Returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m cropnb.runs.waiting", description=__doc__)
    options.add_argument("names", nargs="*", help="files of the ledger; all by default")
    chosen = options.parse_args(arguments)
    try:
        for name in chosen.names or dict.fromkeys(entry.paper for entry in plan.read()):
            waits = {row.key for row in rows(name)}  # two entries may fill one cell
            if waits or any(map(is_planned, ledger.read(name))):
                record(name)
                print(f"{name}: {len(waits)} rows wait")
    except CropnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
