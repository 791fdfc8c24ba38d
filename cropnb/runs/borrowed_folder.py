"""The flat folder of a borrowed GPU: a few small files with a summary, results, rows and weights,
and how they come home into the runs and the ledger here.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cropnb import checkpoints, files, ledger
from cropnb.checkpoints import RUN_FILE
from cropnb.errors import CheckpointError, PlanError
from cropnb.runs import record, results, waiting
from cropnb.runs.experiment import WEIGHTS_FILE, Experiment
from cropnb.runs.plan import Entry
from cropnb.runs.program import context
from cropnb.runs.results import Result

FILES = SUMMARY_FILE, RESULTS_FILE, ROWS_FILE = "summary.json", "results.json", "rows.json"
CHECKPOINTS = "[0-9]*-*.safetensors"
PRIVATE = ("result", "rows")  # of a line; they have files of their own
MOST_FILES, MOST_BYTES = 8, 16 * 2**20
MOST_CHECKPOINTS = MOST_FILES - len(FILES)


def clear(flat: Path) -> None:
    """Remove what an earlier call left: first the summary, without which nothing else counts."""
    for path in [*(flat / name for name in FILES), *flat.glob(CHECKPOINTS)]:
        path.unlink(missing_ok=True)


def public(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as the summary has it."""
    return {name: value for name, value in line.items() if name not in PRIVATE}


def experiment_of(
    entry: Entry,
    device: str,
    out: Path,
    deadline: float | None = None,
    measured_by: float | None = None,
) -> Experiment:
    """The experiment of an entry on another device, with its runs in another folder."""
    given = entry.experiment
    return Experiment(
        given.method,
        given.dataset,
        entry.form or None,
        entry.profile,
        device=device,
        init=entry.init,
        frozen=entry.frozen,
        test_photos=entry.test_photos or None,
        out=out,
        deadline=deadline,
        measured_by=measured_by,
    )


def write(lines: Sequence[Mapping[str, Any]], out: Path, flat: Path) -> None:
    """Results, rows, summary, and as many checkpoints as the limits on files and bytes allow.

    The summary comes last: a kill before it leaves that of the lines before, whose results are the
    first ones in the new files.

    Raises:
        PlanError: a file would be larger than may be brought back.
    """
    files.make_folder(flat)
    contents = {
        RESULTS_FILE: [line["result"] for line in lines if "result" in line],
        ROWS_FILE: [
            {"entry": line["entry"], "rows": line["rows"]} for line in lines if line.get("rows")
        ],
        SUMMARY_FILE: [public(line) for line in lines],
    }
    texts = {
        name: (json.dumps(content, indent=1) + "\n").encode()
        for name, content in contents.items()
        if content or name != ROWS_FILE
    }
    for name, text in texts.items():
        if len(text) > MOST_BYTES:
            raise PlanError(f"{name} has more than {MOST_BYTES} bytes; run fewer entries at once")
    for name, text in texts.items():
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
    """What a training needs to go on, a file a stage; nothing where one of them is too large."""
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
        CheckpointError: the folder holds no results, not all that its summary names, or those of
            another version of the plan.
    """
    try:
        lines, measured = _read_lines(flat)
        studies = _read_rows(flat / ROWS_FILE)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{flat} holds no whole results of a borrowed GPU ({type(error).__name__}: {error}); "
            "bring it home again, or run what it was for once more"
        ) from error
    by_name = {entry.name: entry for entry in entries}
    _take_checkpoints(flat, lines, by_name, out)
    of_entry = _take_results(flat, lines, measured, by_name, out)
    rows = [*_record_studies(studies, by_name), *_record_runs(of_entry, by_name, out)]
    for paper in dict.fromkeys(row.paper for row in rows):
        waiting.record(paper)  # what was measured waits no longer
    return rows


def _take_checkpoints(
    flat: Path, lines: Sequence[Mapping[str, Any]], entries: Mapping[str, Entry], out: Path
) -> None:
    """Put what a training goes on from into its run's folder."""
    for number, line in enumerate(lines):
        for path in flat.glob(f"{number}-*-{RUN_FILE}"):
            stage = path.name.removeprefix(f"{number}-").removesuffix(f"-{RUN_FILE}")
            folder = _place(line, entries, out)[0] / stage
            files.make_folder(folder)
            files.write_atomically(folder / RUN_FILE, path.read_bytes())


def _take_results(
    flat: Path,
    lines: Sequence[Mapping[str, Any]],
    measured: Mapping[int, Result],
    entries: Mapping[str, Entry],
    out: Path,
) -> dict[str, dict[str, list[Result]]]:
    """Put results and weights into their runs' folders; entry → variant → results."""
    of_entry: dict[str, dict[str, list[Result]]] = {}
    for number, result in measured.items():
        line = lines[number]
        folder, name = _place(line, entries, out)
        files.make_folder(folder)
        weights = flat / f"{number}-{WEIGHTS_FILE}"
        if weights.exists():  # in half precision: its hash is of what lies here
            files.write_atomically(folder / WEIGHTS_FILE, weights.read_bytes())
            result = replace(result, checkpoint_hash=files.file_hash(folder / WEIGHTS_FILE))
        result.write(folder, name)
        of_entry.setdefault(line["entry"], {}).setdefault(line["variant"], []).append(result)
    return of_entry


def _record_studies(
    studies: Mapping[str, Sequence[ledger.Row]], entries: Mapping[str, Entry]
) -> Iterator[ledger.Row]:
    """Record each study's rows, where the plan still has its command."""
    for name, rows in studies.items():
        entry = entries.get(name)
        if entry is None or any(row.command != entry.command for row in rows):
            raise CheckpointError(f"{name}: its settings have changed since it was run")
        for paper in {row.paper for row in rows}:
            ledger.record(paper, [row for row in rows if row.paper == paper])
        yield from rows


def _record_runs(
    of_entry: Mapping[str, dict[str, list[Result]]], entries: Mapping[str, Entry], out: Path
) -> Iterator[ledger.Row]:
    """Record the rows of trainings, as their program would here."""
    for name, runs in of_entry.items():
        entry = entries[name]
        experiment = experiment_of(entry, "cpu", out)
        shared = context(experiment, runs, shlex.split(entry.command)[3:])
        rows = record.rows(shared, experiment, runs) if entry.records else []
        rows = record.without_fewer_seeds(rows, entry.method)
        ledger.record(entry.method, rows)
        yield from rows


def _read_lines(flat: Path) -> tuple[list[dict[str, Any]], dict[int, Result]]:
    """The lines of the summary, and the result of each training that is done, by its number."""
    # Where a file is missing, cut short or isn't what `write` makes, or the two don't belong
    # together, there is an AttributeError, OSError, TypeError or ValueError.
    lines, contents = (
        json.loads((flat / name).read_text(encoding="utf-8"))
        for name in (SUMMARY_FILE, RESULTS_FILE)
    )
    for line in lines:
        needed = ["entry", "state", *(["variant", "seed"] if "folder" in line else [])]
        if lacking := [name for name in needed if name not in line]:
            raise ValueError(f"a line of {SUMMARY_FILE} has no {' and no '.join(lacking)}")
    done = [n for n, line in enumerate(lines) if line["state"] == "done" and "folder" in line]
    if len(contents) < len(done):
        raise ValueError(f"{len(done)} trainings are done and {len(contents)} have a result")
    # Of lines that the summary doesn't have yet there may be more.
    measured = {n: results.parse(one) for n, one in zip(done, contents, strict=False)}
    for number, result in measured.items():
        line = lines[number]
        if (result.variant, result.seed) != (line["variant"], line["seed"]):
            raise ValueError(f"the result of {line['entry']} is one of {result.variant}")
    return lines, measured


def _read_rows(path: Path) -> dict[str, list[ledger.Row]]:
    """The rows of each study, by its entry."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        one["entry"]: [ledger.Row(**{**row, "seeds": tuple(row["seeds"])}) for row in one["rows"]]
        for one in content
    }


def _place(line: Mapping[str, Any], entries: Mapping[str, Entry], out: Path) -> tuple[Path, str]:
    """The folder of a line's run, and what its result is called in it."""
    entry = entries.get(line["entry"])
    if entry is not None:
        experiment = experiment_of(entry, "cpu", out)
        folder = experiment.run(line["variant"], line["seed"]).folder
        if str(folder.relative_to(out)) == line["folder"]:  # so it is the same run here
            return folder, experiment.result_files[0]
    raise CheckpointError(
        f"{line['entry']}, {line['variant']}: its settings have changed since it was run"
    )
