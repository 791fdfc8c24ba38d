"""What settles a claim, from the spread of an earlier run, against simulated experiments."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cropnb import ledger, metrics, paper
from cropnb.errors import LedgerError
from cropnb.runs import Column, plan, power, record, spread


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


@functools.cache
def plan_entries() -> list[plan.Entry]:
    return plan.read()


@pytest.mark.parametrize(("of_seeds", "of_photos"), [(0.0, 0.2), (0.01, 0.2), (0.02, 0.1)])
def test_what_is_said_to_settle_a_difference_settles_it(of_seeds: float, of_photos: float) -> None:
    needed = spread.needed(pilot(100, 4000, of_seeds, of_photos), 0.02)
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
    assert spread.needed(noisy, 0.01) is None
    photos, seeds = spread.needed(noisy, 0.1)
    assert seeds > 3
    assert photos < 500


def test_one_seed_tells_no_spread() -> None:
    with pytest.raises(LedgerError, match="two seeds or more"):
        spread.needed(pilot(1, 100, 0.0, 0.1), 0.1)


@pytest.mark.parametrize(
    ("entry", "claim", "column", "difference"),
    [
        ("la2c/long", "fewer steps than A2-RL", "steps", 5.6),  # 13.56 less 7.96, Table 3
        ("la2c/long", "crops better than A2-RL", "IoU", 0.0211),
        ("asm_net/table-1", "λ = 0.1 beats no saliency", "Accuracy", 3.22),  # (Sec. 4.3)
        ("asm_net/against-gaic", "beats GAIC", "SRCC", 0.031),
        ("vrn/against-gaic", "beats GAIC", "Acc 1/5", 16.0),
        ("vrn/against-gaic", "beats GAIC", "SRCC", None),  # Table 1 has no such column
        ("vrn/against-gaic", "beats GAIC with the mean gain", "Acc 1/5", None),
        ("mars/against-windows", "beats sliding windows", "IoU", 0.125),  # 0.710 less 0.585
        ("mars/against-windows", "beats sliding windows", "Offset", 18.5),  # lower wins
        ("set_prediction/main", "guidance helps", "ε = 0.85, K = 10", 2.6),  # Tables 5 and 4
        ("set_prediction/main", "guidance helps", "ε = 0.90, K = 40", 4.6),  # Figure 6
        ("set_prediction/v2", "distillation helps", "ε = 0.85, K = 10", 1.1),
        ("set_prediction/cpc", "distillation helps", "ε = 0.85, K = 10", 0.7),  # CPC's Table 4
        ("set_prediction/cpc", "distillation helps", "ε = 0.90, K = 40", 0.7),  # only GAICD's
        ("set_prediction/v2", "guidance beats distillation", "ε = 0.90, K = 40", 3.9),
        ("set_prediction/v2-mu", "too much smoothing harms", "ε = 0.90, K = 40", 18.2),
        ("set_prediction/v2-mu", "too much smoothing is worse than none", "ε = 0.90, K = 40", 13.6),
        ("set_prediction/one-crop", "one best crop is ambiguous", "ε = 0.85, ACC 1/1", None),
        ("set_prediction/against-anchors", "sets beat anchors", "ε = 0.85, K = 10", 16.7),
    ],
)
def test_the_printed_difference_is_that_of_the_papers_cells(
    entry: str, claim: str, column: str, difference: float | None
) -> None:
    entries = plan_entries()
    (chosen,) = plan.select(entries, [entry])
    cards = {(card.claim, card.column): card for card in power.cards(chosen, entries)}
    assert cards[claim, column].printed == (difference and pytest.approx(difference))


@pytest.mark.parametrize("name", ["asm_net", "la2c", "mars", "set_prediction", "vrn"])
def test_cells_that_claims_name_are_printed(name: str) -> None:
    printed = paper.read(name)
    method = plan.method_named(name)
    for claim in printed.claims:
        for column, cells in claim.get("printed", {}).items():
            assert column in method.columns
            assert len(cells) in (1, 2)
            for table, row, *of in cells:
                assert printed.tables[table].value(row, *(of or [column])) is not None


def test_a_card_says_what_the_paper_prints_and_what_settles_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (entry,) = plan.select(plan_entries(), ["mars/trained"])
    cards = {(card.claim, card.column): card for card in power.cards(entry)}
    both = cards["both modules beat neither", "IoU"]
    assert both.printed == pytest.approx(0.041)  # Table 3, rows 1 and 4
    assert both.worth_having == 0.005
    assert cards["both modules beat neither", "Offset"].printed == pytest.approx(3.8)  # lower wins
    finer = cards["ARS-PWP helps beside ARS-FTM", "IoU"]
    assert finer.enough[0] > finer.enough_for_printed[0]  # a finer difference takes more
    assert power.main(["mars/trained"]) == 0
    assert "both modules beat neither, IoU: printed +0.041 takes" in capsys.readouterr().out
    assert power.main(["mars/none"]) == 2


def test_a_card_has_the_minutes_of_both_arms_and_of_all_seeds_that_the_plan_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    entries = plan_entries()
    trained, study = (
        plan.select(entries, [name])[0] for name in ("vrn/trained", "vrn/against-gaic")
    )
    card = next(power.cards(trained, entries))
    assert len(trained.seeds) > 1
    assert card.minutes == 2 * trained.minutes
    assert card.budget == 2 * trained.minutes * len(trained.seeds)
    # Of all networks that VRN's entry trains, one stands against GAIC's.
    (other,) = plan.select(entries, ["gaic/trained"])
    card = next(power.cards(study, entries))
    assert card.minutes == trained.minutes + other.minutes
    both = trained.minutes * len(trained.seeds) + other.minutes * len(other.seeds)
    assert card.budget == both + study.minutes
    assert power.main(["vrn/against-gaic"]) == 0
    assert f"the plan has {card.budget:.0f} minutes for it" in capsys.readouterr().out


def test_a_study_has_cards_with_the_trainings_that_it_reads() -> None:
    entries = plan_entries()
    (entry,) = plan.select(entries, ["set_prediction/against-anchors-off-grid"])
    cards = list(power.cards(entry, entries))
    assert {card.claim for card in cards} == {"sets beat anchors, truths off the grid"}
    assert all(card.worth_having == 1.0 for card in cards)
    trained = plan.select(entries, list(entry.after))
    assert cards[0].minutes == sum(one.minutes for one in trained)
    # What reads the weights that ship has nothing to train.
    (shipped,) = plan.select(entries, ["mars/against-windows"])
    card = next(power.cards(shipped, entries))
    assert (card.minutes, card.budget) == (0, shipped.minutes)
    (other,) = plan.select(entries, ["set_prediction/figures"])
    assert list(power.cards(other, entries)) == []


def test_a_claim_against_a_rival_has_cards() -> None:
    entries = plan_entries()
    (entry,) = plan.select(entries, ["asm_net/against-gaic-layouts"])
    cards = list(power.cards(entry, entries))
    assert [(card.claim, card.column) for card in cards] == [
        ("beats GAIC", column) for column in ("SRCC", "Acc 5", "Acc 10")
    ]
    assert all(card.pilot.dataset == "gaicd_layouts" for card in cards)


def test_the_pilot_is_alike_before_it_tells_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    (entry,) = plan.select(plan_entries(), ["mars/trained"])
    of_three, of_four = (
        row_of(differences(np.random.default_rng(seeds), seeds, 50, 0.01, 0.1)) for seeds in (3, 4)
    )
    claim = {"paper": "mars", "row": "both modules beat neither", "column": "IoU"}
    untold = replace(of_four, **claim, profile="cpu", detectable_seeds=None)
    ledger.record("mars", untold)

    def chosen() -> ledger.Row:
        return next(power.cards(entry)).pilot

    assert chosen() == untold
    elsewhere = replace(of_three, **claim, dataset="other", profile="trained")
    ledger.record("mars", elsewhere)
    assert chosen() == untold  # on the same dataset
    of_known_seeds = replace(of_three, **claim, profile="full")
    ledger.record("mars", of_known_seeds)
    assert chosen() == of_known_seeds  # it says how much seeds differ, and fewer seeds don't matter
    alike = replace(of_three, **claim, profile="trained", table="other", detectable_seeds=None)
    ledger.record("mars", alike)
    assert chosen() == alike  # of the same profile
    ledger.record("mars", replace(alike, table="claim"))
    assert chosen().table == "claim"


def test_of_a_claim_that_nothing_is_lost_the_margin_is_what_has_to_be_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    (entry,) = plan.select(plan_entries(), ["mars/trained-sizes"])
    cards = {(card.claim, card.column): card for card in power.cards(entry)}
    offset = str(cards["more layers do not help", "Offset"])
    assert "; no loss told from one of 1; no pilot with two seeds tells the spread" in offset
    assert "no number" not in offset
    # Without a pilot other claims of these runs tell in what range the answer lies.
    few, many, collapsed = (
        replace(
            pilot(3, 500, of_seeds, of_photos), paper="mars", row=name, column="Offset",
            profile="trained",
        )
        for name, of_seeds, of_photos in (("a", 0.0, 3.0), ("b", 0.5, 10.0), ("c", 9.0, 9.0))
    )  # fmt: skip
    elsewhere = replace(few, row="d", detectable=0.1, detectable_seeds=0.1, profile="cpu")
    ledger.record("mars", [few, many, elsewhere, replace(collapsed, void="no better")])
    cards = {(card.claim, card.column): card for card in power.cards(entry)}
    card = cards["more layers do not help", "Offset"]
    assert card.by_others == (spread.needed(few, 1), spread.needed(many, 1))
    first, last = (f"{photos:,} photos and {seeds} seeds" for photos, seeds in card.by_others)
    text = f"; no loss told from one of 1 takes {first} to {last} by the spread of other claims"
    assert f"{text}; no pilot of its own" in str(card)
    assert cards["a shallow cut is not enough", "Offset"].by_others is None  # it names a gain
    before = pilot(3, 500, of_seeds=0.001, of_photos=0.03)
    row = replace(before, paper="mars", row="more layers do not help", column="IoU")
    ledger.record("mars", replace(row, profile="trained"))
    cards = {(card.claim, card.column): card for card in power.cards(entry)}
    card = cards["more layers do not help", "IoU"]
    assert (card.worth_having, card.margin) == (None, -0.005)
    photos, seeds = card.enough
    assert card.enough == spread.needed(before, 0.005)  # from no difference to the boundary
    needs = f"{photos:,} photos and {seeds} seeds, {card.minutes * seeds:.0f} minutes of a core"
    assert f"; no loss told from one of 0.005 takes {needs}; the plan has" in str(card)
    # Of a loss that is printed, too, it is the distance from the boundary.
    assert card.enough_for_printed == spread.needed(before, card.printed + 0.005)
    lost = replace(card, printed=-0.002, enough_for_printed=(700, 3))
    assert "printed -0.002 takes 700 photos and 3 seeds" in str(lost)
    assert "printed -0.006; no loss" in str(replace(card, printed=-0.006))


def test_minutes_are_of_what_the_trainings_need() -> None:
    entries = plan_entries()
    units = {
        entry.name: {card.unit for card in power.cards(entry, entries)}
        for entry in plan.select(entries, ["vrn/trained", "mars/trained"])
    }
    assert units == {"vrn/trained": {"core"}, "mars/trained": {"core"}}
    on_a_gpu = [entry for entry in entries if entry.method and plan.GPU in entry.needs]
    cards = [card for entry in on_a_gpu for card in power.cards(entry, entries)]
    assert cards
    assert {card.unit for card in cards} == {"GPU"}
    takes = [text for card in cards if "minutes of a" in (text := str(card))]
    assert takes
    assert not [text for text in takes if "of a core" in text]
    # A study's are those of the trainings that it reads.
    for entry in entries:
        trained = [one for one in entries if one.name in entry.after and one.method]
        if not entry.method and trained and all(plan.GPU in one.needs for one in trained):
            assert {card.unit for card in power.cards(entry, entries)} <= {"GPU"}


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
