"""Run every command that the ledger names, one after the other. Each writes its own rows.

python tools/reproduce.py [--dry-run] [PAPER …]
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cropnb import ledger

ROOT = Path(__file__).resolve().parent.parent


def commands(papers: Sequence[str] = ()) -> list[str]:
    """The distinct commands behind the rows of these papers (of all, when none is named), in the
    ledger's order.
    """
    rows = (row for name in papers or ledger.names() for row in ledger.read(name))
    return list(dict.fromkeys(row.command for row in rows if row.command))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "papers", nargs="*", help="names of files in book/results, without their ending"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the commands, run none")
    options = parser.parse_args(arguments)
    unknown = set(options.papers) - set(ledger.names())
    if unknown:
        parser.error(
            f"the ledger has no {', '.join(sorted(unknown))}; it has {', '.join(ledger.names())}"
        )
    failed = []
    for number, command in enumerate(listed := commands(options.papers), start=1):
        print(f"[{number}/{len(listed)}] {command}", flush=True)
        if options.dry_run:
            continue
        program, *rest = shlex.split(command)
        program = sys.executable if program == "python" else program
        if subprocess.run([program, *rest], cwd=ROOT, check=False).returncode:
            failed.append(command)
    if failed:
        print("These failed:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
