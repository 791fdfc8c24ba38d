"""`make reproduce`: run the plan, or a part of it, through Snakemake.

What is done is skipped, what was cut short resumes, and two tasks run at a time on two cores. With
`--profile FOLDER`, one of Snakemake's own, the same tasks go to a cluster; a dry run then also lets
Snakemake plan them with that profile, which needs no cluster.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from cropnb import datasets, files
from cropnb.datasets import gaze, unlabelled
from cropnb.errors import CropnbError, PlanError
from cropnb.runs import plan, waiting
from cropnb.runs.plan import GPU, Entry, Task
from cropnb.runs.task import minutes_left

SNAKEFILE, PROGRAM = (Path(__file__).with_name(name) for name in ("Snakefile", "task.py"))
PROFILES = Path(__file__).parents[2] / "tools" / "snakemake"

ANNOTATIONS = "annotations of "  # a need that asks for no photo


# What is no dataset of crops, and how to see whether it is there.
WITHOUT_CROPS: dict[str, Callable[[], object]] = {
    "gaze": lambda: gaze.load("all"),
    "photos": unlabelled.load,
}


def missing(entry: Entry) -> str:
    """All that an entry needs and that isn't here, in words; empty when it can run."""
    lacking = [words for need in entry.needs if (words := _missing(need))]
    return " and ".join([", ".join(lacking[:-1]), lacking[-1]] if lacking[1:] else lacking)


def _missing(need: str) -> str:
    """One need in words; empty where it is here."""
    if need == GPU:
        return "" if torch.cuda.is_available() else "a GPU"
    name = need.removeprefix(ANNOTATIONS)
    try:
        if name in WITHOUT_CROPS:
            WITHOUT_CROPS[name]()
            return ""
        dataset = datasets.load(name, datasets.measured_split(name))
        if name == need:
            dataset.with_photos()
    except CropnbError:
        return need if name != need else f"the photos of {name}"
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


def show(
    tasks: Sequence[Task],
    left_out: Sequence[tuple[Entry, str]],
    cores: int,
    wanted: Sequence[Entry] = (),
) -> None:
    """Print what would run, what the ledger lacks of the wanted entries, and how long."""
    for task in tasks:
        state = "done   " if task.output.exists() else f"{task.minutes:4.0f} min"
        print(f"{state}  {task.name}: {task.command}")
    for entry, reason in left_out:
        minutes = minutes_left([vars(task) for task in entry.tasks(())], 1)
        print(f"left out  {entry.name}: needs {reason}; about {minutes:.0f} minutes")
    undone = sum(not task.output.exists() for task in tasks)
    minutes = minutes_left([vars(task) for task in tasks], cores)
    lacking = _lacking(wanted)
    on = f"on {cores} cores" if cores else "of work"
    print(f"{undone} of {len(tasks)} tasks to do, about {minutes:.0f} minutes {on}")
    if lacking:
        print(
            f"the ledger waits for {len(lacking)} trainings and studies, about "
            f"{sum(lacking.values()):.0f} minutes"
        )


def _lacking(entries: Sequence[Entry]) -> dict[Path, float]:
    """The minutes of each training or study on which no row stands, by its output; prints them."""
    minutes: dict[Path, float] = {}
    for entry in entries:
        for variant, seeds in waiting.missing_seeds(entry).items():
            print(f"waits     {entry.name}/{variant}: seeds {', '.join(map(str, seeds))}")
            runs = (entry.experiment.run(variant, seed).folder for seed in seeds)
            minutes |= dict.fromkeys(runs, entry.minutes)
        if entry.module and (left := waiting.minutes_left(entry)):
            print(f"waits     {entry.name}")
            minutes[entry.stamp] = left
    return minutes


def snakemake_command(
    listing: Path, cores: int, profile: str | None = None, dry_run: bool = False
) -> list[str]:
    """The call of Snakemake.

    Args:
        listing: the file of the tasks.
        cores: how many tasks run at a time here; a cluster's profile says how many jobs.
        profile: the folder of a profile of Snakemake, for a cluster.
        dry_run: let Snakemake list the jobs, and start none.

    Raises:
        PlanError: there is no such profile.
    """
    if profile and not (Path(profile) / "config.yaml").exists():
        names = ", ".join(sorted(path.parent.name for path in PROFILES.glob("*/config.yaml")))
        raise PlanError(f"{profile} holds no profile of Snakemake; there are {names} in {PROFILES}")
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)),
        *("--config", f"tasks={listing}", f"cores={0 if profile else cores}", f"program={PROGRAM}"),
        *("--cores", str(cores), "--keep-going"),
        *("--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime", "--quiet", "rules"),
        *(["--workflow-profile", profile] if profile else []),
        *(["--dry-run"] if dry_run else []),
    ]


def snakemake(
    tasks: Sequence[Task], cores: int, profile: str | None = None, dry_run: bool = False
) -> int:
    """Hand the tasks to Snakemake and wait.

    Only one call at a time works on a folder of runs, so Snakemake's own lock, which outlives a
    process that was killed, is not needed.

    Returns:
        Snakemake's exit status.

    Raises:
        PlanError: Snakemake isn't installed, or there is no such profile.
    """
    folder = plan.runs_folder()
    listing = (folder / "plan" / "tasks.json").absolute()
    command = snakemake_command(listing, cores, profile, dry_run)
    if importlib.util.find_spec("snakemake") is None:
        raise PlanError(
            "Snakemake isn't installed: `make reproduce` installs it, and so does "
            "`pip install cropnb[reproduce]`"
        )
    files.make_folder(listing.parent)
    content = [
        {
            **asdict(task),
            "output": str(task.output),
            "inputs": [str(path) for path in task.inputs],
            "rule": f"task_{number}",
        }
        for number, task in enumerate(tasks)
    ]
    with files.locked(listing.parent, f"another reproduction works in {folder}: waiting"):
        files.write_atomically(listing, (json.dumps(content, indent=1) + "\n").encode())
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=environment, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan. Returns the exit status: 1 when a task failed, 2 for a plan that can't run."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.runs.reproduce", description=__doc__)
    parser.add_argument("only", nargs="*", help="PAPER or PAPER/WHAT; all entries by default")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--profile", help="a profile of Snakemake, such as tools/snakemake/slurm")
    chosen = parser.parse_args(arguments)
    try:
        entries = plan.read()
        wanted = plan.select(entries, chosen.only)
        # A cluster has what it has; here a task that can't run is named and left out.
        reasons = [(entry, "" if chosen.profile else missing(entry)) for entry in wanted]
        left_out = [(entry, reason) for entry, reason in reasons if reason]
        here = [entry for entry, reason in reasons if not reason]
        tasks = tasks_of(entries, here)
        show(tasks, left_out, 0 if chosen.profile else chosen.cores, here)
        if chosen.dry_run and not chosen.profile:
            return 0
        return 1 if snakemake(tasks, chosen.cores, chosen.profile, chosen.dry_run) else 0
    except (CropnbError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
