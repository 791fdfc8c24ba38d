"""Every row of the ledger whose runs have a curve on record says how it ended, where not flat."""

import functools
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from cropnb import datasets, ledger, paper
from cropnb.runs import Experiment, plan, validation
from cropnb.runs.context import Context
from cropnb.runs.validation import Curve
from cropnb.set_prediction.studies.tables import precision_places

PAPERS = ("asm_net", "la2c", "mars", "set_prediction", "vrn")
# What studies call the arms of a claim in its note.
CALLED = {
    "sets beat anchors": ("set of crops", "GAIC's anchors"),
    "beats sliding windows": ("Mars", "gaic, 1140 windows of other sizes"),
}


@functools.cache
def experiment(curve: Curve, method: str) -> Experiment:
    """Of which a curve is."""
    return Experiment(
        plan.method_named(method),
        curve.dataset,
        curve.form if datasets.takes_form(curve.dataset) else None,
        curve.profile,
        init=curve.init,
        frozen=curve.frozen,
        out=None,
    )


def table(curve: Curve, method: str, name: str) -> str:
    """What a table of the method is called on the dataset of a curve."""
    return Context(method, curve.dataset, (), commit="").table(name)


def scores(curve: Curve, row: ledger.Row) -> Sequence[Sequence[float]]:
    """Of the seeds that a row has; empty where one isn't on record."""
    by_seed = dict(zip(curve.seeds, curve.scores, strict=True))
    return [by_seed[seed] for seed in row.seeds] if set(row.seeds) <= set(by_seed) else []


def of_claim(row: ledger.Row) -> dict[str, Sequence[Sequence[float]]]:
    """The recorded scores of a claim's arms, under the names that its note has for them."""
    claims = {claim["name"]: claim for claim in paper.read(row.paper).claims}
    name = row.row if row.row in claims else row.row.partition(",")[0]
    if name not in claims or not row.seeds:
        return {}
    claim = claims[name]
    better, worse = CALLED.get(name, (claim["better"], claim["worse"]))
    by_arm = {}
    for curve in validation.read(row.paper):
        method = plan.method_named(row.paper)
        own = method.claim_table(experiment(curve, row.paper))
        # The weights that ship for photographs are compared on scenes, in several forms.
        same = row.profile == ledger.PHOTOGRAPHS or (
            (curve.dataset, table(curve, row.paper, own)) == (row.dataset, row.table)
        )
        if same and curve.profile == row.profile:
            if curve.variant == claim["better"]:
                by_arm[better] = scores(curve, row)
            if "rival" not in claim and curve.variant == claim["worse"]:
                by_arm[worse] = scores(curve, row)
            for other in validation.read(claim["rival"]) if "rival" in claim else ():
                alike = (other.dataset, other.profile) == (curve.dataset, curve.profile)
                form = row.profile == ledger.PHOTOGRAPHS or other.form == curve.form
                if other.variant == claim["worse"] and alike and form:
                    by_arm[worse] = scores(other, row)
    return {arm: by_arm[arm] for arm in (better, worse) if by_arm.get(arm)}


@pytest.mark.parametrize("name", PAPERS)
def test_a_claim_says_which_of_its_arms_were_not_flat_at_the_end(name: str) -> None:
    checked = Counter[str]()
    for row in ledger.read(name):
        if row.verdict in ledger.CLAIM_VERDICTS and len(arms := of_claim(row)) == 2:
            text = validation.still_rising(arms)
            assert row.note.endswith(text), row.key
            assert ("still rising" in row.note) == bool(text), row.key
            checked.update(validation.end(of) for of in arms.values())
    assert checked


def cells(curve: Curve, method: str) -> Iterator[tuple[str, str]]:
    """The tables and rows that a curve's runs fill."""
    of = experiment(curve, method)
    places = [(place.table, place.row) for place in of.method.places(of, curve.variant)]
    if method == "set_prediction":
        places += [
            (table, row)
            for eps in (0.85, 0.90)
            for most in (5, 10, 40)
            for table, row, _ in precision_places(of, curve.variant, eps, most)
        ]
    for table_name, row in places:
        yield table(curve, method, table_name), row + of.method.suffix(of)


@pytest.mark.parametrize("name", [*PAPERS, "gaic"])
def test_a_cell_says_that_its_runs_were_not_flat_at_the_end(name: str) -> None:
    rows = {}
    for row in ledger.read(name):
        rows.setdefault((row.table, row.row), []).append(row)
    checked = 0
    for curve in validation.read(name):
        for place in set(cells(curve, name)):
            for row in rows.get(place, ()):
                same = (row.dataset, row.profile) == (curve.dataset, curve.profile)
                if same and row.seeds and row.column != "seconds":
                    text = validation.remark(scores(curve, row))
                    assert text in row.note, row.key
                    checked += 1
    assert checked
