"""`make reproduce`: run the plan, or a part of it, through Snakemake.

What is done is skipped, what was cut short resumes, and two tasks run at a time on two cores. With
`--profile FOLDER`, one of Snakemake's own, the same tasks go to a cluster.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from cropnb import datasets, files
from cropnb.errors import CropnbError, PlanError
from cropnb.runs import plan
from cropnb.runs.plan import GPU, Entry, Task

SNAKEFILE = Path(__file__).with_name("Snakefile")


def missing(entry: Entry) -> str:
    """What an entry needs that isn't here, in words; empty when it can run."""
    for need in entry.needs:
        if need == GPU:
            if not torch.cuda.is_available():
                return "a GPU"
            continue
        try:
            datasets.load(need, "test").with_photos()
        except CropnbError:
            return f"the photos of {need}"
    return ""


def tasks_of(entries: Sequence[Entry], wanted: Sequence[Entry]) -> list[Task]:
    """The tasks of the wanted entries and of those that they come after, each once.

    Two entries may share a training; it is one task.
    """
    needed, names = list(wanted), {entry.name for entry in wanted}
    for entry in needed:
        before = [one for one in entries if one.name in entry.after and one.name not in names]
        needed += before
        names |= {one.name for one in before}
    outputs: dict[Path, Task] = {}
    for entry in (one for one in entries if one.name in names):
        for task in entry.tasks(entries):
            outputs.setdefault(task.output, task)
    return list(outputs.values())


def minutes_left(tasks: Sequence[Task], cores: int) -> float:
    """The minutes of what is not done yet, over the cores."""
    return sum(task.minutes for task in tasks if not task.output.exists()) / cores


def show(tasks: Sequence[Task], left_out: Sequence[tuple[Entry, str]], cores: int) -> None:
    """Print what would run, and how long."""
    for task in tasks:
        state = "done   " if task.output.exists() else f"{task.minutes:4.0f} min"
        print(f"{state}  {task.name}: {task.command}")
    for entry, reason in left_out:
        print(f"left out  {entry.name}: needs {reason}")
    undone = sum(not task.output.exists() for task in tasks)
    minutes = minutes_left(tasks, cores)
    print(f"{undone} of {len(tasks)} tasks to do, about {minutes:.0f} minutes on {cores} cores")


def run_task(name: str, tasks: Sequence[Task], cores: int) -> int:
    """Run one task, as Snakemake asks for it; the stamp of a recording is set when it succeeds.

    Returns:
        The exit status of its command.
    """
    task = next((one for one in tasks if one.name == name), None)
    if task is None:
        raise PlanError(f"no task {name!r} in the plan")
    number = 1 + sum(one.output.exists() for one in tasks)
    left = minutes_left(tasks, cores)
    print(f"[{number}/{len(tasks)}] {name}: about {left:.0f} minutes left", flush=True)
    program, *rest = shlex.split(task.command)
    program = sys.executable if program == "python" else program
    status = subprocess.run([program, *rest], check=False).returncode
    if status == 0 and not task.output.exists():
        files.make_folder(task.output.parent)
        files.write_atomically(task.output, (task.command + "\n").encode())
    return status


def snakemake(tasks: Sequence[Task], cores: int, options: Sequence[str]) -> int:
    """Hand the tasks to Snakemake and wait.

    Only one call at a time works on a folder of runs, so Snakemake's own lock, which outlives a
    process that was killed, is not needed.

    Returns:
        Snakemake's exit status.
    """
    folder = plan.runs_folder()
    files.make_folder(folder / "plan")
    names = {str(task.output): f"task_{number}" for number, task in enumerate(tasks)}
    content = [
        {
            **asdict(task),
            "output": str(task.output),
            "inputs": [str(path) for path in task.inputs],
            "rule": names[str(task.output)],
        }
        for task in tasks
    ]
    listing = (folder / "plan" / "tasks.json").absolute()
    with files.locked(folder / "plan", f"another reproduction works in {folder}: waiting"):
        files.write_atomically(listing, (json.dumps(content, indent=1) + "\n").encode())
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)),
            *("--config", f"tasks={listing}", "--cores", str(cores), "--keep-going"),
            *("--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime"),
            *("--quiet", "rules", *options),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=environment, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan. Returns the exit status: 1 when a task failed, 2 for a plan that can't run."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.runs.reproduce", description=__doc__)
    parser.add_argument("only", nargs="*", help="PAPER or PAPER/WHAT; all entries by default")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--profile", help="a profile of Snakemake, such as tools/snakemake/slurm")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    try:
        entries = plan.read()
        if chosen.task:
            return run_task(chosen.task, tasks_of(entries, entries), chosen.cores)
        wanted = plan.select(entries, chosen.only)
        # A cluster has what it has; here a task that can't run is named and left out.
        reasons = [(entry, "" if chosen.profile else missing(entry)) for entry in wanted]
        left_out = [(entry, reason) for entry, reason in reasons if reason]
        tasks = tasks_of(entries, [entry for entry, reason in reasons if not reason])
        show(tasks, left_out, chosen.cores)
        if chosen.dry_run:
            return 0
        profile = ["--workflow-profile", chosen.profile] if chosen.profile else []
        return 1 if snakemake(tasks, chosen.cores, profile) else 0
    except (CropnbError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
