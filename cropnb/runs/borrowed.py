"""A borrowed GPU: the plan's GPU entries in order of their worth, within a number of seconds, and
their results in one flat folder of a few files.

A training runs in this process, and what the time cuts short goes on later: training and the
computation of features look at the clock themselves, and whatever else still runs when half of the
reserve is gone, such as the reading of photos, is interrupted. A study is a process of its own,
with a ledger of its own: at the deadline it is ended, and the rows that it has recorded by then
come home.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from cropnb import files, ledger
from cropnb.errors import CropnbError, OutOfTime
from cropnb.runs import borrowed_folder, plan, reproduce
from cropnb.runs.borrowed_folder import experiment_of, public
from cropnb.runs.experiment import Experiment
from cropnb.runs.plan import GPU, Entry

RESERVE = 0.1  # of the seconds, for measuring and for writing what is brought back
RINGS_EVERY = 5.0  # seconds, once the time is over


def entries_for(entries: Sequence[Entry], only: Sequence[str]) -> list[Entry]:
    """The entries that need a GPU, the worthiest first."""
    chosen = [entry for entry in plan.select(entries, only) if GPU in entry.needs]
    return sorted(chosen, key=lambda entry: -entry.worth)


def run(
    entries: Sequence[Entry],
    device: str,
    seconds: float,
    out: Path,
    flat: Path,
    started: float | None = None,
) -> list[dict[str, Any]]:
    """Run what fits, and write the flat folder.

    A training that the time cuts short is saved in `out` and, where it is small enough, in the flat
    folder; so are features, in `out` alone. What fails is named in the summary, and the next one
    begins. Entries whose photos aren't on this machine, and studies of runs that aren't finished,
    are left out before any time is spent on them.

    Args:
        started: when the seconds began to count, on the clock of `time.monotonic`.

    Returns:
        The lines of the summary: one a training or study, with its state ("done", "cut short", "no
        time left", "left out" or what went wrong) and its minutes.
    """
    started = time.monotonic() if started is None else started
    deadline, end = (started + (1 - part * RESERVE) * seconds for part in (1, 0.5))
    borrowed_folder.clear(flat)
    lines: list[dict[str, Any]] = []
    planned = plan.read()
    for entry in entries:
        photos = tuple(need for need in entry.needs if need != GPU)
        lacking = reproduce.missing(replace(entry, needs=photos))
        if entry.module:
            lacking = lacking or _unfinished(entry, planned, device, out)
        for line in _lines(entry):
            before = time.monotonic()
            if lacking or before > deadline:
                state = f"left out: needs {lacking}" if lacking else "no time left"
                lines.append({**line, "state": state, "minutes": 0.0})
                continue
            if entry.module:
                line |= _study(entry, device, deadline, out)
            else:
                experiment = experiment_of(entry, device, out, deadline, end)
                line |= _training(experiment, line["variant"], line["seed"], end)
            line["minutes"] = round((time.monotonic() - before) / 60, 2)
            lines.append(line)
            print(public(line), flush=True)
            borrowed_folder.write(lines, out, flat)  # after each, so that a kill loses one at most
    borrowed_folder.write(lines, out, flat)
    for state, number in Counter(line["state"] for line in lines).items():
        print(f"{number} × {state}", flush=True)
    return lines


def _lines(entry: Entry) -> list[dict[str, Any]]:
    """The beginning of a line for each training of an entry, or for its study."""
    if entry.module:
        return [{"entry": entry.name}]
    return [
        {"entry": entry.name, "variant": variant, "seed": seed}
        for seed in entry.seeds
        for variant in entry.variants
    ]


def _training(experiment: Experiment, variant: str, seed: int, end: float) -> dict[str, Any]:
    """One training: its state, and its result or the folder in which it waits."""
    run = experiment.run(variant, seed)
    folder = str(run.folder.relative_to(experiment.out))
    try:
        with _interrupted_at(end):
            result = experiment.train(variant, seed)[2]
        return {"state": "done", "result": asdict(result), "folder": folder}
    except OutOfTime as late:
        return {"state": f"cut short: {late}", "folder": folder}
    except (CropnbError, OSError, RuntimeError) as error:
        return {"state": f"failed: {str(error).splitlines()[0]}"}


class _Rung(BaseException):
    """The time is over, at whatever line that is: no `except OSError` takes it for a full disk."""


@contextmanager
def _interrupted_at(end: float) -> Iterator[None]:
    """Raise `OutOfTime` in whatever runs at the end, on the clock of `time.monotonic`."""

    def ring(*_: object) -> None:
        raise _Rung

    before = signal.signal(signal.SIGALRM, ring)
    # Again and again: Python ignores what is raised while it removes an object.
    signal.setitimer(signal.ITIMER_REAL, max(end - time.monotonic(), 1e-3), RINGS_EVERY)
    try:
        yield
    except _Rung:
        late = "interrupted; what was saved until then goes on from there"
        raise OutOfTime(late) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _unfinished(entry: Entry, planned: Sequence[Entry], device: str, out: Path) -> str:
    """The runs that a study reads and that aren't finished here, in words; empty without any."""
    before = [one for one in planned if one.name in entry.after and one.method]
    undone = [
        one.name
        for one in before
        for line in _lines(one)
        if not experiment_of(one, device, out).result_path(line["variant"], line["seed"]).exists()
    ]
    return f"the runs of {' and '.join(dict.fromkeys(undone))}" if undone else ""


def _study(entry: Entry, device: str, deadline: float, out: Path) -> dict[str, Any]:
    """One study: its state, and the rows that it recorded, with the command that the plan has."""
    results = out / "plan" / "borrowed" / entry.name.replace("/", "-")
    torch.cuda.empty_cache()  # what trainings here have left of it, for the other process
    shutil.rmtree(results, ignore_errors=True)
    files.make_folder(results)
    arguments = list(entry.arguments)
    if "--device" in arguments:
        arguments[arguments.index("--device") + 1] = device
    else:
        arguments += ["--device", device]
    environment = {
        **os.environ,
        "CROPNB_RESULTS": str(results.absolute()),
        "CROPNB_RUNS": str(out.absolute()),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    state = _run_until(
        deadline, [sys.executable, "-m", f"cropnb.{entry.module}", *arguments], environment
    )
    rows = [
        {
            **{name: value for name, value in asdict(row).items() if value is not None},
            "command": entry.command,
            "differences": ledger.differences(row, results),
        }
        for name in ledger.names(results)
        for row in ledger.read(name, results)
        if row.verdict != "pending"
    ]
    return {"state": state, "number of rows": len(rows), "rows": rows}


def _run_until(deadline: float, command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a command, and end it with whatever it has started at the deadline; returns its state."""
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        errors = process.communicate(timeout=max(deadline - time.monotonic(), 0))[1]
    except subprocess.TimeoutExpired:
        return "cut short: ended at the deadline; what it recorded is kept"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode == 0:
        return "done"
    last = (errors.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    return f"failed: {last.removeprefix('error: ')}"
