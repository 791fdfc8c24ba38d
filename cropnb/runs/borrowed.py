"""A borrowed GPU: the plan's GPU entries in order of their worth, within a number of seconds, and
their results in one flat folder of a few files.
"""

import json
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cropnb import checkpoints, files, ledger
from cropnb.checkpoints import RUN_FILE
from cropnb.errors import CheckpointError, CropnbError, OutOfTime, PlanError
from cropnb.runs import plan, record, reproduce
from cropnb.runs.experiment import WEIGHTS_FILE, Experiment, Run
from cropnb.runs.plan import GPU, Entry
from cropnb.runs.program import context
from cropnb.runs.results import Result

SUMMARY_FILE, RESULTS_FILE = "summary.json", "results.json"
MOST_FILES, MOST_BYTES = 8, 16 * 2**20
RESERVE = 0.1  # of the seconds, for measuring and for writing what is brought back


def entries_for(entries: Sequence[Entry], only: Sequence[str]) -> list[Entry]:
    """The training entries that need a GPU, the worthiest first."""
    chosen = [e for e in plan.select(entries, only) if GPU in e.needs and e.method]
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
    folder. One that fails is named in the summary, and the next one begins. Entries whose photos
    aren't on this machine are left out before any time is spent on them.

    Args:
        started: when the seconds began to count, on the clock of `time.monotonic`.

    Returns:
        The lines of the summary: one a training, with its state ("done", "cut short", "no time
        left", "left out" or what went wrong) and its minutes.
    """
    started = time.monotonic() if started is None else started
    deadline = started + (1 - RESERVE) * seconds
    lines: list[dict[str, Any]] = []
    for entry in entries:
        lacking = reproduce.missing(replace(entry, needs=tuple(set(entry.needs) - {GPU})))
        for seed in entry.seeds:
            for variant in entry.variants:
                before = time.monotonic()
                line = {"entry": entry.name, "variant": variant, "seed": seed}
                if lacking or before > deadline:
                    state = f"left out: needs {lacking}" if lacking else "no time left"
                    lines.append({**line, "state": state, "minutes": 0.0})
                    continue
                line |= _one(entry, variant, seed, device, deadline, out)
                line["minutes"] = round((time.monotonic() - before) / 60, 2)
                lines.append(line)
                print({name: value for name, value in line.items() if name != "result"}, flush=True)
                _write_flat(lines, out, flat)  # after each, so that a kill loses one at most
    _write_flat(lines, out, flat)
    for state, number in Counter(line["state"] for line in lines).items():
        print(f"{number} × {state}", flush=True)
    return lines


def _one(
    entry: Entry, variant: str, seed: int, device: str, deadline: float, out: Path
) -> dict[str, Any]:
    """One training: its state, and its result or the folder in which it waits."""
    try:
        experiment = _experiment(entry, device, out, deadline)
        folder = experiment.run(variant, seed).folder
        result = experiment.train(variant, seed)[2]
        return {"state": "done", "result": asdict(result), "folder": str(folder.relative_to(out))}
    except OutOfTime as late:
        return {"state": f"cut short: {late}", "folder": str(folder.relative_to(out))}
    except (CropnbError, OSError, RuntimeError) as error:
        return {"state": f"failed: {str(error).splitlines()[0]}"}


def _experiment(entry: Entry, device: str, out: Path, deadline: float | None = None) -> Experiment:
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
    )


def _write_flat(lines: Sequence[Mapping[str, Any]], out: Path, flat: Path) -> None:
    """Summary, results, and as many checkpoints as the limits on files and bytes allow."""
    files.make_folder(flat)
    public = [{k: v for k, v in line.items() if k != "result"} for line in lines]
    done = [line["result"] for line in lines if line["state"] == "done"]
    for name, content in ((SUMMARY_FILE, public), (RESULTS_FILE, done)):
        text = (json.dumps(content, indent=1) + "\n").encode()
        if len(text) > MOST_BYTES:
            raise PlanError(f"{name} has more than {MOST_BYTES} bytes; run fewer entries at once")
        files.write_atomically(flat / name, text)
    for number, line in enumerate(lines):
        if line["state"].startswith("cut short"):
            _bring_checkpoints(out / line["folder"], flat, number)
        path = flat / f"{number}-{WEIGHTS_FILE}"
        full = len(list(flat.iterdir())) >= MOST_FILES
        if line["state"] != "done" or path.exists() or full:
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
    room = MOST_FILES - len(list(flat.iterdir()))
    if len(stages) > room or any(path.stat().st_size > MOST_BYTES for path in stages):
        return
    for path in stages:
        files.write_atomically(flat / f"{number}-{path.parent.name}-{RUN_FILE}", path.read_bytes())


def collect(flat: Path, entries: Sequence[Entry], out: Path) -> list[ledger.Row]:
    """Bring the results of a flat folder into the runs here and into the ledger; a training that
    was cut short goes on from there.

    Returns:
        The rows that were recorded.

    Raises:
        CheckpointError: the folder holds no results, or those of another version of the plan.
    """
    try:
        lines = json.loads((flat / SUMMARY_FILE).read_text(encoding="utf-8"))
        content = json.loads((flat / RESULTS_FILE).read_text(encoding="utf-8"))
        measured = [Result(**one) for one in content]
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{flat} holds no results of a borrowed GPU ({error})") from error
    by_name = {entry.name: entry for entry in entries}
    numbered = [(n, line) for n, line in enumerate(lines) if line["state"] == "done"]
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
    for name, runs in of_entry.items():
        entry = by_name[name]
        experiment = _experiment(entry, "cpu", out)
        shared = context(experiment, runs, shlex.split(entry.command)[3:])
        written = record.rows(shared, experiment, runs)
        ledger.record(entry.method, written)
        rows += written
    return rows


def _run_of(line: Mapping[str, Any], entries: Mapping[str, Entry], out: Path) -> Run:
    """The run of a line of the summary; its folder's name tells whether it is the same run here."""
    entry = entries.get(line["entry"])
    run = entry and _experiment(entry, "cpu", out).run(line["variant"], line["seed"])
    if run is None or str(run.folder.relative_to(out)) != line["folder"]:
        raise CheckpointError(
            f"{line['entry']}, {line['variant']}: its settings have changed since it was run"
        )
    return run
