"""What settles a claim, from the spread of an earlier run, against simulated experiments."""

import numpy as np
import pytest

from cropnb import ledger, metrics, paper
from cropnb.errors import LedgerError
from cropnb.runs import Column, plan, power, record


def pilot(seeds: int, photos: int, of_seeds: float, of_photos: float, seed: int = 0) -> ledger.Row:
    """A claim's row of an experiment with these deviations."""
    return row_of(differences(np.random.default_rng(seed), seeds, photos, of_seeds, of_photos))


def differences(
    rng: np.random.Generator, seeds: int, photos: int, of_seeds: float, of_photos: float
) -> np.ndarray:
    return of_seeds * rng.normal(size=(seeds, 1)) + of_photos * rng.normal(size=(1, photos))


def row_of(values: np.ndarray) -> ledger.Row:
    gain = metrics.compare(values, np.zeros_like(values))
    return ledger.Row(
        paper="vrn", table="claim", row="a", column="SRCC", dataset="scenes", split="test",
        verdict="unsettled", ours=gain.mean, low=gain.low, high=gain.high, images=values.shape[1],
        detectable=gain.detectable, detectable_seeds=gain.detectable_seeds,
        seeds=tuple(range(values.shape[0])), command="python -m cropnb.vrn",
    )  # fmt: skip


@pytest.mark.parametrize(("of_seeds", "of_photos"), [(0.0, 0.2), (0.01, 0.2), (0.02, 0.1)])
def test_what_is_said_to_settle_a_difference_settles_it(of_seeds: float, of_photos: float) -> None:
    needed = power.needed(pilot(100, 4000, of_seeds, of_photos), 0.02)
    assert needed is not None
    photos, seeds = needed
    rng = np.random.default_rng(1)
    settled = [
        metrics.compare(values, np.zeros_like(values)).low > 0
        for values in (
            0.02 + differences(rng, seeds, photos, of_seeds, of_photos) for _ in range(300)
        )
    ]
    assert 0.70 < np.mean(settled) < 0.93


def test_photos_do_not_help_against_seeds() -> None:
    noisy = pilot(5, 500, of_seeds=0.1, of_photos=0.01)
    assert power.needed(noisy, 0.01) is None
    photos, seeds = power.needed(noisy, 0.1)
    assert seeds > 3
    assert photos < 500


def test_one_seed_tells_no_spread() -> None:
    with pytest.raises(LedgerError, match="two seeds or more"):
        power.needed(pilot(1, 100, 0.0, 0.1), 0.1)


def test_a_printed_difference_that_a_claim_names_is_that_of_the_tables() -> None:
    printed = paper.read("la2c")
    differences = {
        name: value for one in printed.claims for name, value in one.get("printed", {}).items()
    }
    tables = {"steps": "Table 3", "IoU": "Table 2"}
    assert differences.keys() == tables.keys()
    for column, value in differences.items():
        ours, theirs = (
            printed.tables[tables[column]].value(row, column) for row in ("LA2C", "A2-RL")
        )
        assert abs(ours - theirs) == pytest.approx(value)


def test_a_card_says_what_the_paper_prints_and_what_settles_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (entry,) = plan.select(plan.read(), ["mars/trained"])
    cards = {(card.claim, card.column): card for card in power.cards(entry)}
    both = cards["both modules beat neither", "IoU"]
    assert both.printed == pytest.approx(0.041)  # Table 3, rows 1 and 4
    assert both.worth_having == 0.005
    assert cards["both modules beat neither", "Offset"].printed == pytest.approx(3.8)  # lower wins
    assert both.enough[0] > both.enough_for_printed[0]  # a finer difference takes more
    assert power.main(["mars/trained"]) == 0
    assert "both modules beat neither, IoU: printed +0.041 takes" in capsys.readouterr().out
    assert power.main(["mars/none"]) == 2


def test_a_study_has_cards_with_the_trainings_that_it_reads() -> None:
    entries = plan.read()
    (entry,) = plan.select(entries, ["set_prediction/against-anchors-off-grid"])
    cards = list(power.study_cards(entry, entries))
    assert {card.claim for card in cards} == {"sets beat anchors, truths off the grid"}
    assert all(card.worth_having == 1.0 for card in cards)
    trained = plan.select(entries, list(entry.after))
    assert cards[0].minutes == sum(one.minutes for one in trained)
    (other,) = plan.select(entries, ["set_prediction/figures"])
    assert list(power.study_cards(other, entries)) == []


def test_every_entry_of_the_plan_has_its_cards(capsys: pytest.CaptureFixture[str]) -> None:
    assert power.main([]) == 0
    printed = capsys.readouterr().out
    # Of a column that the method doesn't judge otherwise, with a margin and no table.
    assert "ratios need not appear in training, IoU, 2:3 and 3:2: printed: no number" in printed


def test_where_nothing_has_to_be_gained_no_gain_is_too_small() -> None:
    columns = {"IoU": Column(worth_having=0.005)}
    bounds = [record.claim_bounds(entry, "IoU", columns) for entry in ({}, {"margin": -0.01})]
    assert [one["worth_having"] for one in bounds] == [0.005, None]
    assert record.claim_bounds({"worth_having": 0.1}, "IoU", columns)["worth_having"] == 0.1
