"""One task of a reproduction, as Snakemake starts it: `python task.py TASKS.json NAME CORES`.

It is run as a file and imports no PyTorch: the task's own program does that once.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path


def minutes_left(tasks: Iterable[Mapping], cores: int) -> float:
    """The minutes of what is not done yet, over the cores.

    Args:
        tasks: with `output`, a path, and `minutes`.
    """
    undone = (task for task in tasks if not Path(task["output"]).exists())
    return sum(task["minutes"] for task in undone) / cores


def main(listing: str, name: str, cores: int) -> int:
    """Say how much is left, and run the task's command; a recording that ends well gets its stamp.

    Returns:
        The exit status of the command.
    """
    tasks = json.loads(Path(listing).read_text(encoding="utf-8"))
    task = next(one for one in tasks if one["name"] == name)
    number = 1 + sum(Path(one["output"]).exists() for one in tasks)
    left = minutes_left(tasks, cores)
    print(f"[{number}/{len(tasks)}] {name}: about {left:.0f} minutes left", flush=True)
    program, *rest = shlex.split(task["command"])
    program = sys.executable if program == "python" else program
    status = subprocess.run([program, *rest], check=False).returncode
    output = Path(task["output"])
    if status == 0 and not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(task["command"] + "\n", encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
