"""How trainings went: the validation scores of every recorded run, beside the ledger, and whether
they were still rising when it ended, or are too few to say.

`--record` writes `book/results/curves/NAME.json`. A comparison of runs that were still getting
better says which learns faster, not which is better.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cropnb import ledger
from cropnb.errors import LedgerError
from cropnb.files import write_atomically
from cropnb.runs.results import Result

Scores = Sequence[Sequence[float]]  # (seeds, scores) on validation photos, in the order of training
SHORTEST = 4  # scores; fewer show no end
DIGITS = 4  # of a score: on record, and where a curve's end is judged, so that both say one thing
# The last quarter of a training may add this share of what the whole training added.
FLAT = 0.05


@dataclass(frozen=True)
class Curve:
    """The validation scores of one variant in one kind of run.

    Attributes:
        scores: (seeds, scores), in the order of training; higher is better.
    """

    variant: str
    dataset: str
    form: str
    profile: str
    init: str
    frozen: bool
    seeds: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from other curves of its method."""
        return (self.variant, self.dataset, self.form, self.profile, self.init, self.frozen)

    @property
    def end(self) -> str:
        """ "flat", "rising", or "too short" to tell: see `end`."""
        return end(self.scores)


def end(scores: Scores) -> str:
    """How a training ended.

    Args:
        scores: whose mean over seeds is judged.

    Returns:
        "too short" for fewer than four scores; "rising" where the last score lies above every one
        before the last quarter by more than a twentieth of what the training added since its first
        score; "flat" otherwise.
    """
    if not scores or len(scores[0]) < SHORTEST:
        return "too short"
    mean = np.mean(np.round(np.asarray(scores, dtype=float), DIGITS), axis=0)  # (scores,)
    last = math.ceil(len(mean) / 4)
    added = float(mean.max() - mean[0])
    late = float(mean[-1] - mean[:-last].max())
    return "rising" if added > 0 and late > FLAT * added else "flat"


def still_rising(arms: Mapping[str, Scores]) -> str:
    """What a claim's note adds on arms, name → scores, whose training ended while validation rose,
    and on those whose scores are too few to say.
    """
    ends = {name: end(scores) for name, scores in arms.items()}
    rising, unknown = (
        ", ".join(name for name, how in ends.items() if how == kind)
        for kind in ("rising", "too short")
    )
    text = f"; still rising at the end: {rising}" if rising else ""
    return f"{text}; too short to say whether still rising: {unknown}" if unknown else text


def remark(scores: Scores) -> str:
    """The same of the runs of one variant, for the note of a row; empty for a flat end."""
    return {
        "flat": "",
        "rising": "validation was still rising at the end",
        "too short": "validation is too short to say whether it was still rising",
    }[end(scores)]


def recorded(method: str, wanted: Mapping[str, object]) -> Scores:
    """The scores of the first recorded curve with these values of `Curve`; empty without one."""
    alike = (
        curve.scores
        for curve in read(method)
        if all(getattr(curve, name) == value for name, value in wanted.items())
    )
    return next(alike, ())


def of_runs(results: Iterable[Sequence[Result]]) -> list[Curve]:
    """The curves of runs, one a variant; runs that were not validated have none."""
    curves = []
    for runs in results:
        first, shortest = runs[0], min(len(run.validation) for run in runs)
        if not shortest:
            continue
        kind = {name: getattr(first, name) for name in ("variant", "dataset", "form", "profile")}
        scores = tuple(
            tuple(round(score, DIGITS) for score in run.validation[:shortest]) for run in runs
        )
        seeds = tuple(run.seed for run in runs)
        curves.append(
            Curve(**kind, init=first.init, frozen=first.frozen, seeds=seeds, scores=scores)
        )
    return curves


def path(method: str) -> Path:
    """Where a method's curves lie, beside the ledger."""
    return ledger.folder() / "curves" / f"{method}.json"


def write(method: str, curves: Iterable[Curve]) -> None:
    """Put curves into the method's file, in place of those of the same kind of run; one that has
    further seeds stays.
    """
    recorded = {curve.key: curve for curve in read(method)}
    for curve in curves:
        old = recorded.get(curve.key)
        if old is None or not set(curve.seeds) < set(old.seeds):
            recorded[curve.key] = curve
    lines = [json.dumps(asdict(curve), ensure_ascii=False) for curve in recorded.values()]
    path(method).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path(method), ("[\n" + ",\n".join(lines) + "\n]\n").encode())


def read(method: str) -> list[Curve]:
    """The curves of a method; none where none were recorded.

    Raises:
        LedgerError: The file is damaged.
    """
    if not path(method).exists():
        return []
    try:
        entries = json.loads(path(method).read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise TypeError("no list")
        curves = [
            Curve(
                **{
                    **entry,
                    "seeds": tuple(entry["seeds"]),
                    "scores": tuple(tuple(float(s) for s in one) for one in entry["scores"]),
                }
            )
            for entry in entries
        ]
        if any(len(set(map(len, curve.scores))) != 1 for curve in curves):
            raise ValueError("a curve's seeds have other numbers of scores, or there is none")
    except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
        raise LedgerError(f"{path(method)} holds no curves ({error}); restore it from git") from (
            error
        )
    return curves
