"""The plan: every run that the ledger needs, as data in `book/plan.toml`.

An entry is a training program with its variants and seeds, or a study: a program that measures
without training. From an entry follow the tasks that a scheduler runs and the command that its
ledger rows carry; what the ledger lacks of it, `waiting` says.
"""

import importlib
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from cropnb import ledger, paper
from cropnb.errors import CropnbError, PlanError
from cropnb.runs.experiment import Experiment
from cropnb.runs.method import Method
from cropnb.training import fingerprint

GPU = "gpu"  # a need that is no dataset


@dataclass(frozen=True)
class Task:
    """One thing for a scheduler to run.

    Attributes:
        output: what is there when the task is done; a run's result file, or a stamp.
        inputs: outputs of the tasks that come first.
        minutes, memory: what it takes, in minutes and GB.
    """

    name: str
    command: str
    output: Path
    inputs: tuple[Path, ...]
    minutes: float
    memory: float
    gpu: bool


@dataclass(frozen=True)
class Entry:
    """One entry of the plan.

    Attributes:
        name: PAPER/WHAT; `make reproduce ONLY=…` takes the paper or both: see `select`.
        why: what the ledger gets from it.
        minutes: of one variant with one seed, on one core, or on a GPU where one is needed.
        memory: GB.
        method: of a training program; its variants and seeds are trained.
        module: of a study, below `cropnb`; `arguments` are what it is called with.
        test_photos: how many photos are measured; 0 for as many as the profile says.
        needs: "gpu", and datasets beyond the scenes.
        after: entries whose runs it reads.
        tables: of the paper, whose printed numbers wait for this entry.
        ship: the first variant and seed ship with the package.
        records: of a training program; without it other entries read the runs, and the ledger gets
            no rows.
        worth: of GPU entries: the larger, the earlier.
    """

    name: str
    why: str
    minutes: float
    memory: float = 2.0
    method: str = ""
    module: str = ""
    arguments: tuple[str, ...] = ()
    dataset: str = ledger.SCENES
    form: str = ""
    profile: str = "cpu"
    frozen: bool = False
    init: str = "imagenet"
    variants: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    options: tuple[str, ...] = ()  # further options of the program
    test_photos: int = 0
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    ship: bool = False
    records: bool = True
    worth: float = 0.0

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment of a training entry.

        Raises:
            CropnbError: a method, dataset form, profile or variant that doesn't exist.
        """
        experiment = Experiment(
            method_named(self.method),
            self.dataset,
            self.form or None,
            self.profile,
            init=self.init,
            frozen=self.frozen,
            test_photos=self.test_photos or None,
            out=runs_folder(),
        )
        for variant in self.variants:
            experiment.run(variant, self.seeds[0])
        return experiment

    @property
    def claims(self) -> list[dict]:
        """The claims of `paper.toml` of which it trains both sides; none of a study."""
        if not self.method or not paper.known(self.method):
            return []
        return [
            claim
            for claim in paper.read(self.method).claims
            if "rival" not in claim and {claim["better"], claim["worse"]} <= set(self.variants)
        ]

    @property
    def paper(self) -> str:
        """Whose rows it fills: a method, or another file of the ledger."""
        return self.name.partition("/")[0]

    @property
    def program(self) -> list[str]:
        """`python -m …` with what tells this entry from others, without variants and seeds."""
        if self.module:
            return ["python", "-m", f"cropnb.{self.module}", *self.arguments]
        form = ["--form", self.form] if self.form else []
        dataset = ["--dataset", self.dataset] if self.dataset != ledger.SCENES else []
        frozen = ["--frozen"] if self.frozen else []
        device = ["--device", "cuda"] if GPU in self.needs else ["--threads", "1"]
        profile = ["--profile", self.profile]
        init = ["--init", self.init] if self.init != "imagenet" else []
        tested = ["--test-photos", str(self.test_photos)] if self.test_photos else []
        return [
            *("python", "-m", f"cropnb.{self.method}"),
            *(dataset + form + profile + init + frozen + tested + list(self.options) + device),
        ]

    @property
    def command(self) -> str:
        """What repeats the rows of this entry from nothing."""
        if self.module:
            return shlex.join(self.program)
        runs = ["--variants", *self.variants, "--seeds", *map(str, self.seeds)]
        ship = ["--ship"] if self.ship else []
        record = ["--record"] if self.records else []
        return shlex.join([*self.program, *runs, *ship, *record])

    @property
    def stamp(self) -> Path:
        """The file that says that the rows are recorded."""
        name = f"{self.name.replace('/', '-')}-{fingerprint(self.command)[:8]}"
        return runs_folder() / "plan" / name

    def tasks(self, entries: "Sequence[Entry]") -> list[Task]:
        """A training for each variant and seed, then their recording; of a study one task."""
        before = [one.stamp for one in entries if one.name in self.after]
        shared = {"memory": self.memory, "gpu": GPU in self.needs}
        trainings = []
        for variant in self.variants if self.method else ():
            for seed in self.seeds:
                run = ["--variants", variant, "--seeds", str(seed)]
                trainings.append(
                    Task(
                        name=f"{self.name}/{variant}/{seed}",
                        command=shlex.join([*self.program, *run, "--out", str(runs_folder())]),
                        output=self.experiment.result_path(variant, seed),
                        inputs=tuple(before),
                        minutes=self.minutes,
                        **shared,
                    )
                )
        out = ["--out", str(runs_folder())] if self.method else []
        recording = Task(
            name=self.name,
            command=shlex.join([*shlex.split(self.command), *out]),
            output=self.stamp,
            inputs=tuple(task.output for task in trainings) or tuple(before),
            minutes=0.5 if self.method else self.minutes,
            **shared,
        )
        return [*trainings, recording]


def runs_folder() -> Path:
    """`$CROPNB_RUNS`, or `runs` of the working folder."""
    return Path(os.environ.get("CROPNB_RUNS") or "runs")


def plan_file() -> Path:
    """`$CROPNB_PLAN`, or `book/plan.toml` of this checkout."""
    return Path(os.environ.get("CROPNB_PLAN") or Path(__file__).parents[2] / "book" / "plan.toml")


def method_named(name: str) -> Method:
    """The `METHOD` of a folder's recipe; `CropnbError` where there is none."""
    try:
        return importlib.import_module(f"cropnb.{name}.recipe").METHOD
    except (ModuleNotFoundError, AttributeError) as error:
        raise CropnbError(f"no method {name!r} that can be trained") from error


def read(path: Path | None = None) -> list[Entry]:
    """All entries, checked.

    Raises:
        PlanError: the entry and what is wrong with it: an unknown field, method, variant, profile,
            form or entry, or a name that is there twice.
    """
    path = path or plan_file()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} can't be read: {error}") from error
    known = {one.name for one in fields(Entry)}
    entries: list[Entry] = []
    for number, values in enumerate(content.get("run", []), start=1):
        where = f"{path}, entry {number} ({values.get('name', 'without a name')})"
        unknown = set(values) - known
        if unknown:
            raise PlanError(f"{where}: no field {', '.join(sorted(unknown))}")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            entry = Entry(**values)
            if bool(entry.method) == bool(entry.module):
                raise PlanError("give either a method or a module")
            if entry.method:
                entry = _expanded(entry)
                _ = entry.experiment
        except (CropnbError, TypeError) as error:
            raise PlanError(f"{where}: {error}") from error
        if entry.name in {one.name for one in entries}:
            raise PlanError(f"{where}: this name is there twice")
        entries.append(entry)
    names = {entry.name for entry in entries}
    for entry in entries:
        missing = set(entry.after) - names
        if missing:
            raise PlanError(f"{path}, {entry.name}: no entry {', '.join(sorted(missing))}")
    return entries


def _expanded(entry: Entry) -> Entry:
    """With groups of variants in place of their names, and the main variant where none is named."""
    method = method_named(entry.method)
    names = entry.variants or (method.main,)
    variants = [one for name in names for one in method.groups.get(name, (name,))]
    return Entry(**{**vars(entry), "variants": tuple(dict.fromkeys(variants))})


def select(entries: Sequence[Entry], only: Iterable[str]) -> list[Entry]:
    """The entries that are named; all where none is.

    Args:
        only: PAPER, PAPER/WHAT, or PAPER/table-N for all that fill a table, where no entry is
            called so.

    Raises:
        PlanError: a name that is no entry's.
    """
    chosen: list[Entry] = []
    for name in (names := list(only)):
        named = [one for one in entries if one.name == name or one.name.startswith(name + "/")]
        named = named or [one for one in entries if name in _tables(one)]
        if not named:
            raise PlanError(f"no entry {name!r}: there are {', '.join(e.name for e in entries)}")
        chosen += named
    return [entry for entry in entries if not names or entry in chosen]


def _tables(entry: Entry) -> set[str]:
    """PAPER/table-N of each table that it fills, by its name (`tables-3-4`) and its `tables`."""
    paper, _, what = entry.name.partition("/")
    in_name = re.search(r"tables?((-\d+)+)", what)
    numbers = re.findall(r"\d+", in_name[1]) if in_name else []
    numbers += [number for table in entry.tables for number in re.findall(r"Table (\d+)", table)]
    return {f"{paper}/table-{number}" for number in numbers}
