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

from cropnb import ledger, paper
from cropnb.datasets.scenes.reference import GAP, LIMIT
from cropnb.files import locked, write_atomically
from cropnb.runs import plan

Row = dict[str, object]  # as the file holds it: today's `ledger.Row` may not read it
Migration = Callable[[Row], Row]

DETECTABLE = 1.959964 + 0.841621  # standard errors: 5 % two-sided, 80 % power


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
    note, _, unsettled = str(row.get("note", "")).partition("the interval holds ")
    if unsettled.endswith("so these photos and seeds don't settle it"):
        row["note"] = note.removesuffix("; ")
    if row["verdict"] == "fails":
        # The sentence was written from the unrounded ends, which may lie on the boundary now.
        row["verdict"] = "unsettled" if unsettled else "contradicted"
    if "detectable" not in row:
        error = (row["high"] - row["low"]) / 2 / 1.96
        row["detectable"] = float(f"{DETECTABLE * error:.4g}")
    return row


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
    "python -m cropnb.coverage": "candidates/coverage",
    "python -m cropnb.baselines": "gaicd_baselines/all",
    "python -m cropnb.datasets.scenes --reference": "scenes/gaicd-cpc-fcdb",
    "python -m cropnb.datasets.scenes --reference --form fat": "scenes/fat",
    "python -m cropnb.datasets.scenes --reference --form flms --form cuhk_icd": (
        "scenes/flms-cuhk-icd"
    ),
}


@cache
def _commands() -> dict[str, str]:
    """Recorded command → today's."""
    today = {entry.name: entry.command for entry in plan.read()}
    return {recorded: today[name] for recorded, name in COMMANDS.items()}


def commands(row: Row) -> Row:
    """A row's command is that of the plan's entry which repeats it."""
    recorded = row.get("command")
    return {**row, "command": _commands()[recorded]} if recorded in COMMANDS else row


MIGRATIONS: dict[str, Migration] = {"four verdicts": four_verdicts, "commands": commands}


def migrate(path: Path, dry_run: bool = False) -> int:
    """Run every migration on one file of the ledger; returns how many rows changed.

    The file is replaced whole, and only when every row keeps the ledger's rules.
    """
    with locked(path.parent):
        rows = json.loads(path.read_text(encoding="utf-8"))
        migrated = [_migrated(row) for row in rows]
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
