"""A borrowed GPU: the plan's GPU entries in order of their worth, within a number of seconds, and
their results in one flat folder of a few files.

A training runs in this process, and what the time cuts short goes on later: training and the
computation of features look at the clock themselves, and whatever else still runs when half of the
reserve is gone, such as the reading of photos, is interrupted. A study is a process of its own,
with a ledger of its own: at the deadline it is ended, and the rows that it has recorded by then
come home.
"""

import json
import os
import shlex
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

from cropnb import checkpoints, files, ledger
from cropnb.checkpoints import RUN_FILE
from cropnb.errors import CheckpointError, CropnbError, OutOfTime, PlanError
from cropnb.runs import plan, record, reproduce
from cropnb.runs.experiment import WEIGHTS_FILE, Experiment, Run
from cropnb.runs.plan import GPU, Entry
from cropnb.runs.program import context
from cropnb.runs.results import RESULT_FILE, Result

SUMMARY_FILE, RESULTS_FILE, ROWS_FILE = "summary.json", "results.json", "rows.json"
CHECKPOINTS = "[0-9]*-*.safetensors"
PRIVATE = ("result", "rows")  # of a line; they have files of their own
MOST_FILES, MOST_BYTES = 8, 16 * 2**20
MOST_CHECKPOINTS = MOST_FILES - 3  # beside summary, results and rows
RESERVE = 0.1  # of the seconds, for measuring and for writing what is brought back


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
    for copy in [*flat.glob(CHECKPOINTS), flat / ROWS_FILE]:  # of an earlier call's numbering
        copy.unlink(missing_ok=True)
    lines: list[dict[str, Any]] = []
    planned = plan.read()
    for entry in entries:
        lacking = reproduce.missing(replace(entry, needs=tuple(set(entry.needs) - {GPU})))
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
                experiment = _experiment(entry, device, out, deadline, end)
                line |= _training(experiment, line["variant"], line["seed"], end)
            line["minutes"] = round((time.monotonic() - before) / 60, 2)
            lines.append(line)
            print(_public(line), flush=True)
            _write_flat(lines, out, flat)  # after each, so that a kill loses one at most
    _write_flat(lines, out, flat)
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


def _public(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as the summary has it."""
    return {name: value for name, value in line.items() if name not in PRIVATE}


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


@contextmanager
def _interrupted_at(end: float) -> Iterator[None]:
    """Raise `OutOfTime` in whatever runs at the end, on the clock of `time.monotonic`."""

    def ring(*_: object) -> None:
        raise OutOfTime("interrupted; what was saved until then goes on from there")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(end - time.monotonic(), 1e-3))
    try:
        yield
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
        if not _folder(_experiment(one, device, out), line).joinpath(RESULT_FILE).exists()
    ]
    return f"the runs of {' and '.join(dict.fromkeys(undone))}" if undone else ""


def _folder(experiment: Experiment, line: Mapping[str, Any]) -> Path:
    return experiment.run(line["variant"], line["seed"]).folder


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


def _experiment(
    entry: Entry,
    device: str,
    out: Path,
    deadline: float | None = None,
    measured_by: float | None = None,
) -> Experiment:
    given = entry.experiment
    return Experiment(
        given.method,
        given.dataset,
        entry.form or None,
        entry.profile,
        device=device,
        init=entry.init,
        frozen=entry.frozen,
        out=out,
        deadline=deadline,
        measured_by=measured_by,
    )


def _write_flat(lines: Sequence[Mapping[str, Any]], out: Path, flat: Path) -> None:
    """Summary, results, rows, and as many checkpoints as the limits on files and bytes allow."""
    files.make_folder(flat)
    contents = {
        SUMMARY_FILE: [_public(line) for line in lines],
        RESULTS_FILE: [line["result"] for line in lines if "result" in line],
        ROWS_FILE: [
            {"entry": line["entry"], "rows": line["rows"]} for line in lines if line.get("rows")
        ],
    }
    for name, content in contents.items():
        if name == ROWS_FILE and not content:
            continue
        text = (json.dumps(content, indent=1) + "\n").encode()
        if len(text) > MOST_BYTES:
            raise PlanError(f"{name} has more than {MOST_BYTES} bytes; run fewer entries at once")
        files.write_atomically(flat / name, text)
    for number, line in enumerate(lines):
        if line["state"].startswith("cut short") and "folder" in line:
            _bring_checkpoints(out / line["folder"], flat, number)
        path = flat / f"{number}-{WEIGHTS_FILE}"
        full = len(list(flat.glob(CHECKPOINTS))) >= MOST_CHECKPOINTS
        if "result" not in line or path.exists() or full:
            continue
        state, card = checkpoints.load_weights(out / line["folder"] / WEIGHTS_FILE)
        checkpoints.save_weights(path, state, card, half=True)
        if path.stat().st_size > MOST_BYTES:  # too large to be brought back
            path.unlink()


def _bring_checkpoints(folder: Path, flat: Path, number: int) -> None:
    """What a training needs to go on, a file a stage; all of them, or nothing where one is too
    large.
    """
    stages = sorted(folder.glob(f"*/{RUN_FILE}"))
    room = MOST_CHECKPOINTS - len(list(flat.glob(CHECKPOINTS)))
    if len(stages) > room or any(path.stat().st_size > MOST_BYTES for path in stages):
        return
    for path in stages:
        files.write_atomically(flat / f"{number}-{path.parent.name}-{RUN_FILE}", path.read_bytes())


def collect(flat: Path, entries: Sequence[Entry], out: Path) -> list[ledger.Row]:
    """Bring the results of a flat folder into the runs here and into the ledger; a training that
    was cut short goes on from there. A study's rows carry the command of the plan.

    Returns:
        The rows that were recorded.

    Raises:
        CheckpointError: the folder holds no results, or those of another version of the plan.
    """
    try:
        lines = json.loads((flat / SUMMARY_FILE).read_text(encoding="utf-8"))
        content = json.loads((flat / RESULTS_FILE).read_text(encoding="utf-8"))
        measured = [Result(**one) for one in content]
        studies = _read_rows(flat / ROWS_FILE)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{flat} holds no results of a borrowed GPU ({error})") from error
    by_name = {entry.name: entry for entry in entries}
    numbered = [
        (number, line)
        for number, line in enumerate(lines)
        if line["state"] == "done" and "folder" in line
    ]
    for number, line in enumerate(lines):
        for path in flat.glob(f"{number}-*-{RUN_FILE}"):
            stage = path.name.removeprefix(f"{number}-").removesuffix(f"-{RUN_FILE}")
            run = _run_of(line, by_name, out)
            files.make_folder(run.folder / stage)
            files.write_atomically(run.folder / stage / RUN_FILE, path.read_bytes())
    of_entry: dict[str, dict[str, list[Result]]] = {}
    for (number, line), result in zip(numbered, measured, strict=True):
        run = _run_of(line, by_name, out)
        files.make_folder(run.folder)
        weights = flat / f"{number}-{WEIGHTS_FILE}"
        if weights.exists():  # in half precision: its hash is of what lies here
            files.write_atomically(run.folder / WEIGHTS_FILE, weights.read_bytes())
            result = replace(result, checkpoint_hash=files.file_hash(run.folder / WEIGHTS_FILE))
        result.write(run.folder)
        of_entry.setdefault(line["entry"], {}).setdefault(line["variant"], []).append(result)
    rows = []
    for name, recorded in studies.items():
        entry = by_name.get(name)
        if entry is None or any(row.command != entry.command for row in recorded):
            raise CheckpointError(f"{name}: its settings have changed since it was run")
        for paper in {row.paper for row in recorded}:
            ledger.record(paper, [row for row in recorded if row.paper == paper])
        rows += recorded
    for name, runs in of_entry.items():
        entry = by_name[name]
        experiment = _experiment(entry, "cpu", out)
        shared = context(experiment, runs, shlex.split(entry.command)[3:])
        written = record.rows(shared, experiment, runs) if entry.records else []
        written = record.without_fewer_seeds(written, entry.method)
        ledger.record(entry.method, written)
        rows += written
    return rows


def _read_rows(path: Path) -> dict[str, list[ledger.Row]]:
    """The rows of each study, by its entry."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        one["entry"]: [ledger.Row(**{**row, "seeds": tuple(row["seeds"])}) for row in one["rows"]]
        for one in content
    }


def _run_of(line: Mapping[str, Any], entries: Mapping[str, Entry], out: Path) -> Run:
    """The run of a line of the summary; its folder's name tells whether it is the same run here."""
    entry = entries.get(line["entry"])
    run = entry and _experiment(entry, "cpu", out).run(line["variant"], line["seed"])
    if run is None or str(run.folder.relative_to(out)) != line["folder"]:
        raise CheckpointError(
            f"{line['entry']}, {line['variant']}: its settings have changed since it was run"
        )
    return run
