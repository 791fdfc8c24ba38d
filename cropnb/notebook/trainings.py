"""Were the trainings long enough: on what validation curves the verdicts stand, and which of two
networks was ahead when. `cropnb.notebook.training_curves` draws the curves.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from cropnb.notebook.source import Markdown
from cropnb.notebook.tables import markdown_table

if TYPE_CHECKING:
    from cropnb.ledger import Row
    from cropnb.runs.validation import Curve

# What a verdict may stand on, and how a table heads it.
STANDS_ON = {
    "flat": "both flat",
    "rising": "one still rising",
    "too short": "one too short to say",
    "unknown": "no curve on record",
    "untrained": "nothing was trained",
}


@dataclass(frozen=True)
class Comparison:
    """Two networks of a claim while they learned.

    Attributes:
        row: of the ledger: the claim in its first column.
        arms: the variants.
        lead: (validations,), by how much the first one's validation score was above the second's.
        end: "flat" where both curves were; "rising" where one still rose, else "too short".
    """

    row: "Row"
    arms: tuple[str, str]
    lead: tuple[float, ...]
    end: str

    @property
    def over(self) -> bool:
        """Whether both curves were flat at their ends."""
        return self.end == "flat"

    @property
    def half(self) -> int:
        """With which validation the first half ends, counted from 1."""
        return len(self.lead) // 2

    @property
    def turned(self) -> bool:
        """Whether the other one led at the half."""
        return self.half > 0 and self.lead[self.half - 1] * self.lead[-1] < 0

    @property
    def smaller_lead(self) -> float:
        """Of the one at the half and the one at the end."""
        return min(abs(self.lead[self.half - 1]), abs(self.lead[-1]))


def curves_of(row: "Row") -> "list[Curve]":
    """The recorded curves of a claim's two arms, with the seeds that its row has.

    Args:
        row: a claim of the ledger.

    Returns:
        Both, the better arm's first; fewer where one isn't on record.
    """
    from cropnb import ledger, paper
    from cropnb.runs import validation

    claims = {claim["name"]: claim for claim in paper.read(row.paper).claims}
    name = row.row if row.row in claims else row.row.partition(",")[0]
    if name not in claims or not row.seeds:
        return []
    claim, recorded = claims[name], validation.read(row.paper)
    own = [curve for curve in recorded if _decided(row, curve)]
    rivals = own
    if "rival" in claim:  # another method's network, trained in the same way
        kinds = {(curve.dataset, curve.profile, curve.form) for curve in own}
        # The weights that ship for photographs learned from several forms.
        width = 2 if row.profile == ledger.PHOTOGRAPHS else 3
        ours = {kind[:width] for kind in kinds}
        rivals = [
            curve
            for curve in validation.read(claim["rival"])
            if (curve.dataset, curve.profile, curve.form)[:width] in ours
        ]
    arms = []
    for side, curves in (("better", own), ("worse", rivals)):
        of_side = [curve for curve in curves if curve.variant == claim[side]]
        arms += [one for one in of_side if set(row.seeds) <= set(one.seeds)][:1]
    return [_of_seeds(curve, row.seeds) for curve in arms]


def stands_on(row: "Row") -> str:
    """What a claim's verdict stands on, as `STANDS_ON` names it.

    Args:
        row: a claim of the ledger.

    Returns:
        "rising" where the curve of an arm was still rising at its end, else "too short" where one
        is; "flat" where both are; "unknown" where a curve isn't on record; "untrained" where the
        claim needed no network.
    """
    curves = curves_of(row)
    end = _worse_end(curves)
    if end != "flat" or len(curves) == 2:
        return end
    return "unknown" if row.seeds or row.profile else "untrained"


def verdicts(name: str) -> "list[Row]":
    """The claims of a paper that have a verdict, settled or not; what says nothing is left out.

    Args:
        name: of the paper's file in the ledger.
    """
    from cropnb import ledger

    return [row for row in ledger.read(name) if row.says in ledger.CLAIM_VERDICTS]


def ends_table(names: Sequence[str]) -> Markdown:
    """How many verdicts of each paper stand on curves of which kind, and how many of these are
    settled.

    Args:
        names: of the papers' files in the ledger.
    """
    from cropnb import methods

    lines, everything = [], Counter[tuple[str, bool]]()
    for name in names:
        counts = Counter((stands_on(row), row.says != "unsettled") for row in verdicts(name))
        everything += counts
        lines.append([methods.TITLES.get(name, name), *_count_cells(counts)])
    lines.append(["all", *_count_cells(everything)])
    return markdown_table(["verdicts", *STANDS_ON.values()], lines)


def comparisons(names: Sequence[str]) -> list[Comparison]:
    """The claims with a verdict whose two networks have curves of one length, each once.

    Args:
        names: of the papers' files in the ledger.
    """
    compared: dict[tuple[str, ...], Comparison] = {}
    for row in chain.from_iterable(map(verdicts, names)):
        claim = (row.paper, row.table, row.row, row.dataset, row.profile)
        arms = curves_of(row)
        if claim in compared or len(arms) != 2 or len({len(arm.scores[0]) for arm in arms}) != 1:
            continue
        better, worse = (np.mean(arm.scores, axis=0) for arm in arms)  # (validations,)
        compared[claim] = Comparison(
            row,
            (arms[0].variant, arms[1].variant),
            tuple((better - worse).tolist()),
            end=_worse_end(arms),
        )
    return list(compared.values())


def example(compared: Iterable[Comparison]) -> Comparison | None:
    """The clearest of those that weren't over and whose networks changed places after the half:
    with a settled verdict, if there is one, and the largest leads. None where there is none.
    """
    turned = [one for one in compared if one.turned and not one.over]
    return max(
        turned, key=lambda one: (one.row.says != "unsettled", one.smaller_lead), default=None
    )


def _worse_end(curves: "Iterable[Curve]") -> str:
    """Of some curves the end that says the least: "rising", else "too short", else "flat"."""
    ends = {curve.end for curve in curves}
    return next((end for end in ("rising", "too short") if end in ends), "flat")


def _decided(row: "Row", curve: "Curve") -> bool:
    """Whether a run of this kind decides a claim's row."""
    from cropnb import datasets, ledger
    from cropnb.runs import plan
    from cropnb.runs.context import Context
    from cropnb.runs.experiment import Experiment

    if curve.profile != row.profile:
        return False
    if row.profile == ledger.PHOTOGRAPHS:  # what ships for photographs is compared on scenes
        return True
    if curve.dataset != row.dataset:
        return False
    method = plan.method_named(row.paper)
    form = curve.form if datasets.takes_form(curve.dataset) else None
    experiment = Experiment(
        method,
        curve.dataset,
        form,
        curve.profile,
        init=curve.init,
        frozen=curve.frozen,
        out=None,
    )
    context = Context(row.paper, curve.dataset, (), commit="")
    return context.table(method.claim_table(experiment)) == row.table


def _of_seeds(curve: "Curve", seeds: Sequence[int]) -> "Curve":
    """The same with these seeds alone."""
    by_seed = dict(zip(curve.seeds, curve.scores, strict=True))
    return replace(curve, seeds=tuple(seeds), scores=tuple(by_seed[seed] for seed in seeds))


def _count_cells(counts: Counter[tuple[str, bool]]) -> list[str | None]:
    """«20 (12 settled)»: verdicts, for each of `STANDS_ON`; None for no verdict."""
    cells: list[str | None] = []
    for kind in STANDS_ON:
        settled = counts[kind, True]
        total = settled + counts[kind, False]
        cells.append(f"{total} ({settled} settled)" if total else None)
    return cells
