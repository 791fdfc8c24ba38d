"""Bring recorded rows to what the ledger says today, without measuring anything anew.

python tools/migrate_ledger.py [--dry-run]

Each migration has a name and may run any number of times: what is as it should be stays as it is.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from scipy.special import stdtrit

from cropnb import bench, ledger, paper
from cropnb.datasets.scenes.reference import GAP, LIMIT
from cropnb.files import locked, write_atomically
from cropnb.runs import plan
from cropnb.runs.waiting import missing

Row = dict[str, object]  # as the file holds it: today's `ledger.Row` may not read it
Migration = Callable[[Row], Row]


def four_verdicts(row: Row) -> Row:
    """`fails` becomes `contradicted` or `unsettled`, and a claim says what it could have settled.

    These rows have no differences on record, so the standard error is half the interval over 1.96.
    None becomes `trivial`: when they were recorded, no difference worth having had been named.
    """
    if row["verdict"] not in ("fails", *ledger.CLAIM_VERDICTS) or "low" not in row:
        return row
    row = dict(row)
    margin = _margin(row)
    if margin:
        row["margin"] = margin
    if row["row"] == GAP:
        row["below"] = True
    note, _, unsettled = str(row.get("note", "")).partition("the interval holds ")
    if unsettled.endswith("so these photos and seeds don't settle it"):
        row["note"] = note.removesuffix("; ")
    if row["verdict"] == "fails":
        # The sentence was written from the unrounded ends, which may lie on the boundary now.
        row["verdict"] = "unsettled" if unsettled else "contradicted"
    if "detectable" not in row:
        row["detectable"] = ledger.detectable_of(row["low"], row["high"])
    return row


def recorded_ends(row: Row) -> Row:
    """A claim whose recorded interval touches its boundary is `unsettled`, whatever the digits
    beyond were.
    """
    if row["verdict"] not in ledger.CLAIM_VERDICTS or "low" not in row or row.get("row") == GAP:
        return row
    touches = row["low"] <= float(row.get("margin") or 0.0) <= row["high"]
    return {**row, "verdict": "unsettled"} if touches else row


WIDENED = "interval widened for its three seeds"


def three_seeds(row: Row) -> Row:
    """The interval of a claim from before Student's t becomes one that t doesn't exceed.

    It was a percentile bootstrap over photos and three seeds, which is too short, and what photos
    and seeds each did to it is not on record. At most the seeds did all. Then the bootstrap reaches
    from the least seed to the greatest, and their standard error is a third of that range or less
    (a third where two of them agree). Student's quantile with two degrees of freedom is 4.3. A
    verdict that doesn't outlast this is `unsettled`. A row that says nothing keeps its interval.
    """
    note = str(row.get("note", ""))
    old = "detectable" in row and "detectable_seeds" not in row and "void" not in row
    if not old or len(row.get("seeds", ())) != 3 or WIDENED in note:
        return row
    half = float(stdtrit(2, 0.975)) * (row["high"] - row["low"]) / 3
    low, high = (round(row["ours"] + side * half, 4) + 0.0 for side in (-1, 1))
    verdict = row["verdict"]
    if low <= float(row.get("margin") or 0.0) <= high:
        verdict = "unsettled"
    note = "; ".join(filter(None, (note, WIDENED)))
    return {**row, "low": low, "high": high, "verdict": verdict, "note": note}


ASM_NET_MAIN = (
    "python -m cropnb.asm_net --profile cpu --variants cross_rectangle grid_1x1 --seeds 0 --boxes "
    "fcdb flms --threads 1 --record"
)
ASM_NET_FROZEN = (
    "python -m cropnb.asm_net --profile cpu --frozen --variants cross_rectangle --seeds 0 1 2 "
    "--boxes fcdb flms --threads 1 --out runs --record"
)
# What was recorded → the entry of the plan that repeats it today.
COMMANDS = {
    "python -m cropnb.gaic --profile cpu --seeds 0 --threads 1 --out runs --ship --record": (
        "gaic/baseline"
    ),
    "python -m cropnb.vrn --profile cpu --variants 'FS + RGL' --seeds 0 --threads 1 --out runs "
    "--ship --record": "vrn/main",
    "python -m cropnb.vrn --profile cpu --frozen --variants baseline FS RGL 'FS + RGL' --seeds 0 "
    "1 2 --threads 1 --record": "vrn/table-2",
    "python -m cropnb.vrn.study --parts annotations --record": "vrn/annotations",
    "python -m cropnb.vrn.study --parts training --record": "vrn/study",
    "python -m cropnb.la2c --profile cpu --device cpu --threads 1 --record --ship": "la2c/main",
    "python -m cropnb.la2c --profile trial --device cpu --threads 1 --seeds 0 1 2 --variants LA2C "
    "'aesthetic score' LA2C-LSTM 'A2-RL actions, aesthetic score' 'IoU difference' 'A2-RL actions' "
    "'random start' '1 environment' --record": "la2c/variants",
    "python -m cropnb.la2c.study --record": "la2c/perfect-play",
    "python -m cropnb.mars --profile cpu --seeds 0 1 2 --threads 1 --variants Mars 'no ARS-FTM, no "
    "ARS-PWP' 'no ARS-FTM' 'no ARS-PWP' 'scalar ratio' 'nearest embedding' '11 embeddings' "
    "'resolution 1/16' --record": "mars/tables-3-4",
    "python -m cropnb.mars --profile cpu --seeds 0 1 2 --variants Mars 'FC x 0' 'dimension 128' "
    "--record": "mars/tables-2-5",
    "python -m cropnb.mars --profile cpu --seeds 0 1 2 --variants Mars '201 embeddings' 'FC x 2' "
    "'dimension 256' --record": "mars/tables-2-5",
    "python -m cropnb.mars.parameters --record": "mars/parameters",
    "python -m cropnb.mars.table7 --methods mars center_window --record": "mars/table-7",
    "python -m cropnb.mars.table7 --methods 'gaic, 1140 windows' --forms fcdb --record": (
        "mars/table-7-gaic-fcdb"
    ),
    "python -m cropnb.mars.table7 --methods 'gaic, 1140 windows' --forms fat --photos 150 "
    "--record": "mars/table-7-gaic-sizes",
    ASM_NET_MAIN: "asm_net/main",
    ASM_NET_FROZEN: "asm_net/table-1",
    "python -m cropnb.asm_net --profile cpu --frozen --variants table figure --seeds 0 1 2 "
    "--threads 1 --out runs --record": "asm_net/table-1",
    "python -m cropnb.asm_net --profile cpu --form gaicd --variants cross_rectangle --seeds 0 1 2 "
    "--threads 1 --record": "asm_net/table-4",
    "python -m cropnb.asm_net --profile cpu --frozen --form gaicd --variants grid_1x1 grid_5x5 "
    "multi_rectangle multi_direction cross_rectangle --seeds 0 1 2 --threads 1 --record": (
        "asm_net/table-4-frozen"
    ),
    "python -m cropnb.asm_net.study --record": "asm_net/corners",
    "python -m cropnb.asm_net.rules --record": "asm_net/equation-2",
    "python -m cropnb.coverage": "candidates/coverage",
    "python -m cropnb.baselines": "gaicd_baselines/all",
    "python -m cropnb.datasets.scenes --reference": "scenes/gaicd-cpc-fcdb",
    "python -m cropnb.datasets.scenes --reference --form fat": "scenes/fat",
    "python -m cropnb.datasets.scenes --reference --form flms --form cuhk_icd": (
        "scenes/flms-cuhk-icd"
    ),
    "python -m cropnb.set_prediction --profile cpu --variants all --seeds 0 1 2 --record": (
        "set_prediction/main"
    ),
    "python -m cropnb.set_prediction --profile cpu --form cpc --variants 'w/o smoothing' SD "
    "--seeds 0 1 2 --record": "set_prediction/cpc",
    "python -m cropnb.set_prediction --profile cpu --form gaicd_v2 --variants QG 'w/o smoothing' "
    "SD --seeds 0 1 2 --record": "set_prediction/v2",
    "python -m cropnb.set_prediction.figures --profile cpu --variants QG --seeds 0 1 2 "
    "--record": "set_prediction/figures",
    "python -m cropnb.set_prediction.figures --profile cpu --form cpc --variants SD --seeds 0 1 2 "
    "--record": "set_prediction/table-3",
    "python -m cropnb.audit --parts blind matching --datasets scenes --record": "audit/annotations",
    "python -m cropnb.audit --parts matching --datasets gaicd --record": "audit/annotations",
    "python -m cropnb.audit --parts shares matching blind --datasets gaicd --record": (
        "audit/annotations"
    ),
    "python -m cropnb.audit --parts trained curves --datasets scenes --record": "audit/trained",
    "python -m cropnb.runs.epoch_shares --threads 1 --record": "speed/epochs",
    # From before these entries asked for more seeds, or for one variant more.
    "python -m cropnb.mars --profile trained --threads 1 --variants Mars 'no ARS-FTM, no ARS-PWP' "
    "'no ARS-FTM' 'no ARS-PWP' --seeds 0 1 2 --record": "mars/trained",
    "python -m cropnb.mars --profile trained --threads 1 --variants Mars 'scalar ratio' 'nearest "
    "embedding' --seeds 0 1 --record": "mars/trained-table-4",
    "python -m cropnb.vrn --profile cpu --frozen --threads 1 --variants baseline FS 'baseline, "
    "offset 0.5' 'baseline, offset 1' 'FS, offset 0.5' 'FS, offset 1' --seeds 0 1 2 --record": (
        "vrn/offsets"
    ),
}


# Rows of these tables have become a program of their own.
COMMANDS_OF_TABLES = {
    (command, table): entry
    for command, entry in (
        (ASM_NET_MAIN, "asm_net/best-crops"),
        (ASM_NET_FROZEN, "asm_net/best-crops-frozen"),
    )
    for table in ("Table 2", "Table 3")
}


@cache
def _entries() -> dict[str, plan.Entry]:
    """The plan's entries by name."""
    return {entry.name: entry for entry in plan.read()}


def commands(row: Row) -> Row:
    """A row's command is that of the plan's entry which repeats it."""
    recorded = row.get("command")
    name = COMMANDS_OF_TABLES.get((recorded, row["table"])) or COMMANDS.get(recorded)
    return {**row, "command": _entries()[name].command} if name else row


def waiting(row: Row) -> Row:
    """A row that waits names the entry that would measure it, or has what its method says of the
    column, as `waiting.pending` writes it.
    """
    if row["verdict"] != "pending" or "not run yet" in row["note"]:
        return row
    notes = {
        table: missing(entry)
        for entry in _entries().values()
        for table in entry.tables
        if entry.paper == row["paper"]
    }
    if row["table"] not in notes:
        return row
    of_column = plan.method_named(str(row["paper"])).pending_notes
    return {**row, "note": of_column.get(row["column"]) or notes[row["table"]]}


@cache
def _ratios() -> dict[str, bench.Ratio]:
    """The measurements of the bench by the name of their row."""
    return bench.measured()


def fast_steps(row: Row) -> Row:
    """A row in which a fast training step takes part says what that step leaves out."""
    if (row["paper"], row["table"], row["verdict"]) != (bench.NAME, bench.TABLE, "measured"):
        return row
    ratio = _ratios().get(str(row["row"]))
    if ratio is None or not ratio.note or ratio.note in row["note"]:
        return row
    return {**row, "note": f"{row['note']}; {ratio.note}"}


MIGRATIONS: dict[str, Migration] = {
    "four verdicts": four_verdicts,
    "recorded ends": recorded_ends,
    "three seeds": three_seeds,
    "commands": commands,
    "waiting": waiting,
    "fast steps": fast_steps,
}


def hashes(rows: Sequence[Row]) -> list[Row]:
    """A row's `config_hash` is that of its run's identity as the engine decides it today.

    A cell of a table says which variant it is of, and so what the hash that it was recorded with
    has become; other rows of the same run follow. A hash that no cell explains stays as it is, and
    so does one that would become two: then a setting has changed since.
    """
    entries = {entry.command: entry for entry in plan.read() if entry.method}
    today: dict[str, set[str]] = {}
    for row in rows:
        entry = entries.get(str(row.get("command")))
        if entry and row.get("config_hash"):
            place = (row["table"], row["row"])
            today.setdefault(str(row["config_hash"]), set()).update(_runs_of(entry, place))
    known = {old: new.pop() for old, new in today.items() if len(new) == 1}
    return [
        {**row, "config_hash": known.get(str(row["config_hash"]), row["config_hash"])}
        if row.get("config_hash")
        else row
        for row in rows
    ]


def _runs_of(entry: plan.Entry, place: tuple[object, object]) -> set[str]:
    """The hashes of the entry's runs whose numbers stand in a row of a table."""
    experiment, seed = entry.experiment, entry.seeds[0]
    suffix = experiment.method.suffix(experiment)
    return {
        experiment.run(variant, seed).config_hash
        for variant in entry.variants
        for one in experiment.method.places(experiment, variant)
        if (one.table, one.row + suffix) == place
    }


# Until the commit 1dfbe8a a comparison was void only where an arm's mean was no better than the
# answer that looks at no photo. Rows on layouts of these commits were judged so, and their runs
# are gone.
JUDGED_BY_MEANS = ("5fa62b6320b6", "c1d15995a54c")
BY_ROWS = "void by the interval of the arm's row, as its runs are gone"


def blind_by_rows(rows: Sequence[Row]) -> list[Row]:
    """An old comparison on layouts is void, too, where an arm's interval reaches down to the number
    of the set that looks at no photo.

    `cropnb.runs.blind` asks for the gain over that set photo by photo; of these runs only the rows
    are left. A claim that is void already, or whose arms have no rows, stays as it is.
    """
    return [_judged_by_rows(row, rows) for row in rows]


def _judged_by_rows(row: Row, rows: Sequence[Row]) -> Row:
    old = row["verdict"] in ledger.CLAIM_VERDICTS and row.get("commit") in JUDGED_BY_MEANS
    if not old or "void" in row or ledger.kind(str(row["dataset"])) != ledger.LAYOUTS:
        return row
    floor = _cell(rows, row, "content-blind set")
    note = str(row["note"])
    arms = note.partition(";")[0].partition(", the last stages")[0].split(" less ")
    cells = {arm: _cell(rows, row, arm) for arm in arms}
    low = [arm for arm, cell in cells.items() if floor and cell and cell["low"] <= floor["ours"]]
    if not low:
        return row
    answer = plan.method_named(str(row["paper"])).blind_answer
    void = f"{', '.join(low)} not surely better than {answer}"
    sides, *ends = note.split("; ")  # how the trainings ended stands last
    return {**row, "void": void, "note": "; ".join([sides, BY_ROWS, *ends])}


def _cell(rows: Sequence[Row], claim: Row, arm: str) -> Row | None:
    """What an arm of a claim reached in the claim's column, such as «ε = 0.85, K = 5»: it may stand
    in a row of its ε, in which QG is «Ours».
    """
    eps, _, number = str(claim["column"]).partition(", ")
    places = {(arm, claim["column"]), (f"{'Ours' if arm == 'QG' else arm} ({eps})", number)}
    alike = ("dataset", "split", "profile")
    return next(
        (
            row
            for row in rows
            if (row["row"], row["column"]) in places
            and row["verdict"] not in ledger.CLAIM_VERDICTS
            and "low" in row
            and all(row.get(name) == claim.get(name) for name in alike)
        ),
        None,
    )


def migrate(path: Path, dry_run: bool = False) -> int:
    """Run every migration on one file of the ledger; returns how many rows changed.

    The file is replaced whole, and only when every row keeps the ledger's rules.
    """
    with locked(path.parent):
        rows = json.loads(path.read_text(encoding="utf-8"))
        migrated = [_ordered(row) for row in blind_by_rows(hashes([_migrated(r) for r in rows]))]
        changed = sum(old != new for old, new in zip(rows, migrated, strict=True))
        for row in migrated:
            ledger.Row(**{**row, "seeds": tuple(row.get("seeds", ()))}).check()
        if changed and not dry_run:
            text = json.dumps(migrated, indent=1, ensure_ascii=False) + "\n"
            write_atomically(path, text.encode())
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="count the rows, change none")
    options = parser.parse_args(arguments)
    for name in ledger.names():
        changed = migrate(ledger.folder() / f"{name}.json", options.dry_run)
        print(f"{name}: {changed} rows {'would change' if options.dry_run else 'changed'}")
    return 0


def _migrated(row: Row) -> Row:
    for migration in MIGRATIONS.values():
        row = migration(row)
    return _ordered(row)


def _ordered(row: Row) -> Row:
    """The same with its fields in the order of `ledger.Row`."""
    order = [column.name for column in fields(ledger.Row) if column.name in row]
    unknown = row.keys() - set(order)  # refused by the check, by name
    return {name: row[name] for name in (*order, *sorted(unknown))}


def _margin(row: Row) -> float:
    if row["row"] == GAP:  # holds below its boundary; every other claim above it
        return 100 * LIMIT
    if not paper.known(str(row["paper"])):
        return 0.0
    entries = {entry["name"]: entry for entry in paper.read(str(row["paper"])).claims}
    margin = entries.get(row["row"], {}).get("margin", 0.0)
    return margin.get(row["column"], 0.0) if isinstance(margin, dict) else margin


if __name__ == "__main__":
    raise SystemExit(main())
