"""`python -m cropnb.runs --device cuda --seconds 500`: the plan's trainings and studies that need a
GPU, on a borrowed one.

It takes them in order of their worth, fits the time, and leaves at most eight files below 16 MiB in
one flat folder; `--collect FOLDER` brings these into the runs and the ledger here. It needs torch,
torchvision, numpy, scipy, pillow, safetensors and tqdm alone.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cropnb.runs import borrowed, borrowed_folder, plan, program
from cropnb.runs.devices import torch_device


def main(arguments: Sequence[str] | None = None, started: float | None = None) -> int:
    """Run or collect. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.runs", description=__doc__)
    parser.add_argument("only", nargs="*", help="PAPER or PAPER/WHAT; all GPU entries by default")
    parser.add_argument("--device", help="cuda by default")
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where runs lie")
    parser.add_argument("--flat", type=Path, default=Path("borrowed"), help="what is brought back")
    parser.add_argument("--collect", type=Path, metavar="FOLDER", help="bring a flat folder in")

    def start(chosen: argparse.Namespace, given: list[str]) -> int:
        entries = plan.read()
        if chosen.collect:
            rows = borrowed_folder.collect(chosen.collect, entries, chosen.out)
            print(f"recorded {len(rows)} rows")
            return 0
        device = str(torch_device(chosen.device or "cuda"))
        wanted = borrowed.entries_for(entries, chosen.only)
        lines = borrowed.run(
            wanted,
            device=device,
            seconds=chosen.seconds,
            out=chosen.out,
            flat=chosen.flat,
            started=started,
        )
        return 1 if any(line["state"].startswith("failed") for line in lines) else 0

    return program.run(start, parser, arguments)


if __name__ == "__main__":
    sys.exit(main(started=time.monotonic()))
