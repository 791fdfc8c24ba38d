"""One task of a reproduction, as Snakemake starts it: `python task.py TASKS.json NAME CORES`.

On a cluster the number of cores is 0: how many tasks run at a time there isn't known here.

It is run as a file and imports no PyTorch: the task's own program does that once.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path


def minutes_left(tasks: Iterable[Mapping], cores: int) -> float:
    """The minutes of what is not done yet, over the cores; of all the work where these are 0.

    Args:
        tasks: with `output`, a path, and `minutes`.
    """
    undone = (task for task in tasks if not Path(task["output"]).exists())
    return sum(task["minutes"] for task in undone) / (cores or 1)


def main(listing: str, name: str, cores: int) -> int:
    """Say how much is done and left, and run the task's command; a recording that ends well gets
    its stamp.

    Returns:
        The exit status of the command, or 2 where the stamp can't be written, which is said in one
        line.
    """
    tasks = json.loads(Path(listing).read_text(encoding="utf-8"))
    task = next(one for one in tasks if one["name"] == name)
    done = sum(Path(one["output"]).exists() for one in tasks)
    left = f"{minutes_left(tasks, cores):.0f} minutes{'' if cores else ' of work'} left"
    print(f"{name}: {done} of {len(tasks)} tasks done, about {left}", flush=True)
    program, *rest = shlex.split(task["command"])
    program = sys.executable if program == "python" else program
    status = subprocess.run([program, *rest], check=False).returncode
    output = Path(task["output"])
    if status == 0 and not output.exists():
        return _stamp(output, task["command"])
    return status


def _stamp(output: Path, command: str) -> int:
    """Write a stamp, whole or not at all; the exit status."""
    new = output.with_name(f".{output.name}.new")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(command + "\n", encoding="utf-8")
        new.replace(output)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        reason = error.strerror or error
        print(
            f"error: {output} can't be written ({reason}); free space, or choose another folder "
            "with CROPNB_RUNS; the rows are recorded",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
