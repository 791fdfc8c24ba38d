"""The box that says what came out of reproducing a paper."""

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cropnb import ledger
from cropnb.ledger import LITTLE
from cropnb.notebook import came_out, what_it_takes
from cropnb.notebook.outcome import ran
from cropnb.notebook.printed import printed_column
from cropnb.notebook.source import escaped
from cropnb.runs import plan, validation, waiting
from cropnb.runs.program import experiment_of

NAME = "both modules beat neither"
PAPERS = ["asm_net", "la2c", "mars", "set_prediction", "vrn"]
# What a claim's line says of its trainings, and what a note of the ledger does.
SIGNS = {"†": "still rising at the end: ", "‡": "too short to say whether still rising: "}
SMALLER = "| Came out the other way, by less than is worth having | "


def _claim(
    profile: str, low: float, name: str = NAME, column: str = "IoU", table: str = "claim"
) -> ledger.Row:
    return ledger.Row(
        paper="mars",
        table=table,
        row=name,
        column=column,
        dataset="scenes",
        split="test",
        verdict="holds" if low > 0 else "unsettled",
        ours=0.05,
        low=low,
        high=0.1,
        images=500,
        profile=profile,
        seeds=(0, 1),
        command="python -m cropnb.mars",
        detectable=0.1,
        differences=[[0.05, 0.05]],
    )


def test_a_profile_is_named_where_two_decide_the_same_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    ledger.record("mars", [_claim("cpu", -0.02), _claim("cpu", 0.01, "ARS-FTM alone helps")])
    assert f"| Unsettled | {NAME} (IoU) |" in came_out("mars")
    ledger.record("mars", _claim("trained", 0.03))
    lines = came_out("mars").splitlines()
    held = f"ARS-FTM alone helps (profile cpu, IoU); {NAME} (profile trained, IoU)"
    assert f"| Held | {held} |" in lines
    assert f"| Unsettled | {NAME} (profile cpu, IoU) |" in lines


@functools.cache
def _recorded_box(name: str) -> str:
    return came_out(name)


def _claims_of_box(name: str) -> list[str]:
    """The claims of the recorded box that aren't headlines, each with what stands in its brackets
    and the signs behind.
    """
    table, _, fold = _recorded_box(name).partition("<details>")
    heads = ("| Held", "| Came out", "| Says nothing", "| Unsettled")
    listed = [
        claim
        for line in table.splitlines()
        if line.startswith(heads)
        for claim in line.split(" | ", 1)[1].removesuffix(" |").split("; ")
    ]
    listed += [line.removeprefix("- ") for line in fold.splitlines() if line.startswith("- ")]
    return [claim for claim in listed if re.search(r" \(.*\)[†‡]*$", claim)]


def _recorded_claims(name: str) -> dict[str, list[ledger.Row]]:
    """The ledger's claims by their names, as a page has these."""
    rows: dict[str, list[ledger.Row]] = {}
    for row in ledger.read(name):
        if row.verdict in ledger.CLAIM_VERDICTS:
            rows.setdefault(f"{escaped(row.row)} (", []).append(row)
    return rows


@pytest.mark.parametrize("name", PAPERS)
def test_every_claim_says_on_which_training_it_stands(name: str) -> None:
    recorded = _recorded_claims(name)
    profiles = {row.profile for rows in recorded.values() for row in rows if row.profile}
    untrained = tuple(head for head, rows in recorded.items() if not all(r.profile for r in rows))
    listed = [claim for claim in _claims_of_box(name) if not claim.startswith(untrained)]
    assert listed
    for claim in listed:
        training = re.search(r"[(,] ?(profile \w+|frozen backbone),", claim)
        assert training or len(profiles) == 1, claim


@pytest.mark.parametrize("name", PAPERS)
def test_every_claim_bears_the_signs_of_how_its_trainings_ended(name: str) -> None:
    listed = _claims_of_box(name)
    _, _, below = _recorded_box(name).partition("<details>")[0].partition("\n\n")
    for sign, remark in SIGNS.items():
        for head, rows in _recorded_claims(name).items():
            remarked = {any(of.startswith(remark) for of in row.note.split("; ")) for row in rows}
            signed = {sign in claim for claim in listed if claim.startswith(head)}
            if len(remarked) == 1 and signed:  # alike in all kinds of runs
                assert signed == remarked, head
        assert (sign in below) == any(sign in claim for claim in listed)


@pytest.mark.parametrize("name", PAPERS)
def test_a_loss_smaller_than_is_worth_having_is_told_apart(name: str) -> None:
    headlines = re.findall(r"^\| Headline: (.*?) \|", _recorded_box(name), re.MULTILINE)
    smaller = {
        head
        for head, rows in _recorded_claims(name).items()
        for row in rows
        if row.verdict == "contradicted" and row.worth_having and not row.void
        if not (row.margin or row.below) and -row.low < row.worth_having
        if not head.startswith(tuple(headlines))
    }
    lines = _recorded_box(name).splitlines()
    line = next((line.removeprefix(SMALLER) for line in lines if line.startswith(SMALLER)), "")
    assert {head for head in _recorded_claims(name) if head in line} == smaller


def test_a_sign_stands_behind_the_claim_or_the_column_whose_training_was_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    rising = validation.still_rising({"Mars": [[0.1, 0.2, 0.3, 0.4]], "no ARS-FTM": [[0.1, 0.2]]})
    first, second = _claim("cpu", 0.01), _claim("cpu", 0.01, column="Offset")
    ledger.record("mars", [first, second])
    plain = came_out("mars")
    assert f"| Held | {NAME} (IoU, Offset) |" in plain
    assert not any(sign in plain for sign in SIGNS)
    ledger.record("mars", replace(first, note=f"Mars less no ARS-FTM{rising}"))
    one = came_out("mars")
    assert f"| Held | {NAME} (IoU†‡, Offset) |" in one
    ledger.record("mars", replace(second, note=f"Mars less no ARS-FTM{rising}"))
    assert f"| Held | {NAME} (IoU, Offset)†‡ |" in came_out("mars")
    ledger.record("mars", replace(first, note="Mars less it; still rising at the end: Mars"))
    assert f"| Held | {NAME} (IoU†, Offset†‡) |" in came_out("mars")
    below = one.partition("\n\n")[2]
    assert below.startswith("† ")
    assert "<br>‡ " in below


def test_a_claim_that_loses_less_than_is_worth_having_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    lost = replace(
        _claim("cpu", -0.03), verdict="contradicted", ours=-0.02, high=-0.01, worth_having=0.04
    )
    columns = {
        "small": {},
        "as large": {"worth_having": 0.03},
        "unnamed": {"worth_having": None},
        "short of ten": {"ours": 9.8, "low": 9.7, "high": 9.9, "margin": 10, "worth_having": 11},
        "far from ten": {"ours": 7.8, "low": 7.7, "high": 7.9, "margin": 10, "worth_having": 11},
    }
    rows = [replace(lost, column=column, **fields) for column, fields in columns.items()]
    ledger.record("mars", rows)
    lines = came_out("mars").splitlines()
    assert f"{SMALLER}{NAME} (small, short of ten) |" in lines
    assert f"| Came out the other way | {NAME} (as large, unnamed, far from ten) |" in lines
    ledger.record("mars", [replace(row, row=HEADLINE) for row in rows[:2]])
    assert f"contradicted in as large; {LITTLE} in small" in _headline()


def test_entries_that_nobody_has_run_wait_with_their_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    command = "python -m cropnb.mars --profile trained"
    waiting = [
        ledger.Row(
            paper="mars",
            table="Table 3",
            row=row,
            column="IoU",
            dataset="scenes",
            split="test",
            verdict="pending",
            note=f"mars/trained, about 270 minutes of a core, not run yet: {command}",
        )
        for row in ("both", "neither")
    ]
    ledger.record("mars", [_claim("cpu", -0.02), *waiting])
    assert "; mars/trained, about 270 minutes of a core (2 rows) |" in came_out("mars")


def _trained(dataset: str, profile: str, command: str, paper: str = "set_prediction") -> ledger.Row:
    return ledger.Row(
        paper=paper,
        table="variants",
        row=command,
        column="IoU",
        dataset=dataset,
        split="test",
        verdict="measured",
        ours=0.5,
        images=200,
        seeds=(0, 1, 2),
        profile=profile,
        minutes=5.0,
        command=f"python -m cropnb.{paper} --profile {profile} {command} --record",
        config_hash=command,
    )


def test_the_trainings_are_told_with_the_photos_that_they_learned_from() -> None:
    two_forms = [_trained("scenes", "cpu", "--form gaicd"), _trained("scenes", "cpu", "--form cpc")]
    for rows in (two_forms, two_forms[::-1]):
        assert ran(rows) == (
            "scenes, profile cpu: 2 settings, 3 seeds each, 10 minutes in all, trained on "
            "1\N{NO-BREAK SPACE}036 to 4\N{NO-BREAK SPACE}000 scenes, tested on 200 photos"
        )
    few = _trained("scenes", "long", "--threads 1", "la2c")
    assert "trained on 2\N{NO-BREAK SPACE}000 scenes, tested" in ran([few])
    layouts = _trained("gaicd_layouts", "trained", "--dataset gaicd_layouts")
    assert "trained on all training photos of gaicd_layouts, tested" in ran([layouts])
    joined = _trained("scenes+taught", "photographs", "--dataset scenes+taught", "la2c")
    text = "trained on 2 000 scenes and at most 2 000 training photos of taught, tested".replace(
        "2 000", "2\N{NO-BREAK SPACE}000"
    )
    assert text in ran([joined])


@pytest.mark.parametrize("name", PAPERS)
def test_a_run_on_scenes_learned_from_as_many_as_the_box_says(name: str) -> None:
    rows = [row for row in ledger.read(name) if row.config_hash and row.dataset == "scenes"]
    by_command = {row.command: row for row in rows}
    assert by_command
    for row in by_command.values():
        trained = replace(row, minutes=1.0, seeds=(0,))
        count = f"{len(experiment_of(row).parts['train']):_}".replace("_", "\N{NO-BREAK SPACE}")
        assert f"trained on {count} scenes, tested" in ran([trained]), row.command


def test_entries_with_fewer_seeds_than_they_ask_for_wait_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = """
[[run]]
name = "mars/few"
why = "for this test"
method = "mars"
variants = ["no ARS-FTM", "FC x 0"]
seeds = [0, 1, 2]
minutes = 4
"""
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    (tmp_path / "plan.toml").write_text(entry, encoding="utf-8")
    row = replace(_claim("cpu", 0.01), table="Table 3", row="without ARS-FTM", seeds=(0,))
    row = replace(row, verdict="measured", detectable=None, differences=None)
    ledger.record("mars", row)
    waiting.record("mars")
    line = next(line for line in came_out("mars").splitlines() if line.startswith("| Waits"))
    again = "24 minutes in all where the earlier seeds' runs aren't on disk"
    text = f"mars/few, about 20 minutes of a core (3 rows; 2 more seeds of 1 setting, {again}) |"
    assert line.endswith(text)
    ledger.record("mars", replace(row, table="Table 2", row="FC 512 x 0", seeds=(0, 1)))
    waiting.record("mars")  # Offset alone has no number
    text = "mars/few, about 12 minutes of a core (2 rows; 1 to 2 more seeds of 2 settings"
    assert f"{text}, {again})" in came_out("mars")


HEADLINE = "beats sliding windows"


def test_headlines_stand_apart_and_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    ledger.record("mars", _claim("cpu", 0.01))
    lines = came_out("mars").splitlines()
    assert lines[4] == f"| Headline: {HEADLINE} | not compared yet |"
    of_headline = [
        _claim("photographs", low, HEADLINE, column, table)
        for low, column, table in (
            (-0.02, "Offset", "claim"),
            (0.01, "IoU", "claim"),
            (0.01, "IoU", "claim, FCDB"),
        )
    ]
    ledger.record("mars", of_headline)
    lines = came_out("mars").splitlines()
    verdicts = (
        "**scenes, profile photographs**: holds in IoU; unsettled in Offset<br>"
        "**scenes, FCDB's form, profile photographs**: holds in IoU"
    )
    assert lines[4] == f"| Headline: {HEADLINE} | {verdicts} |"
    assert lines[5] == f"| Held | {NAME} (profile cpu, IoU) |"
    assert not any(line.startswith("| Unsettled") for line in lines)


def _headline(name: str = HEADLINE, paper: str = "mars") -> str:
    lines = (line for line in came_out(paper).splitlines() if line.startswith("| Headline: "))
    head, _, verdicts = next(line for line in lines if name in line).partition(f"{name} | ")
    assert head == "| Headline: "
    return verdicts.removesuffix(" |")


def test_a_headline_says_that_it_stands_on_one_seed_and_on_a_training_that_was_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    rising = validation.still_rising({"Mars": [[0.1, 0.2, 0.3, 0.4]], "gaic": [[0.1, 0.2]]})
    claims = [_claim("cpu", low, HEADLINE, column) for low, column in ((0.01, "IoU"), (-1, "BDE"))]
    once = [replace(row, seeds=(0,), note=f"Mars less gaic{rising}") for row in claims]
    ledger.record("mars", once)
    remark = (
        "one seed, 500 photos; still rising at the end: Mars; too short to say whether still "
        "rising: gaic"
    )
    assert _headline() == f"**scenes** ({remark}): holds in IoU; unsettled in BDE"
    ledger.record("mars", claims[0])  # two seeds, whose trainings were over
    assert _headline() == f"**scenes**: holds in IoU; unsettled in BDE ({remark})"
    ledger.record("mars", [once[0], claims[1]])
    assert _headline() == f"**scenes**: holds in IoU ({remark}); unsettled in BDE"


def test_a_headline_counts_the_columns_that_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    columns = [f"ε = 0.85, K = {count}" for count in (5, 10, 40)]
    claims = [_claim("cpu", 0.01, HEADLINE, column) for column in columns]
    voided = [replace(row, void="an arm no better") for row in claims]
    layouts = {"table": "claim, layouts", "dataset": "gaicd_layouts"}
    ledger.record("mars", [*voided[:2], claims[2], *(replace(row, **layouts) for row in voided)])
    assert _headline() == (
        "**scenes**: holds in ε = 0.85, K = 40; says nothing in 2 of 3 columns"
        "<br>**layouts**: says nothing in all 3 columns"
    )


def test_a_headline_names_the_limit_of_steps_and_what_others_would_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "crops better than A2-RL"
    assert " in IoU (with a limit of 40 steps; " in _headline(name, "la2c")
    assert "limit" not in _headline("fewer steps than A2-RL", "la2c")
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    claim = replace(_claim("long", 0.01, name), paper="la2c", note="LA2C less A2-RL; a remark")
    limits = [
        replace(
            claim, table=table, row=f"{steps} steps", ours=ours, low=ours - 0.02, high=ours + 0.05,
            verdict="measured", detectable=None, differences=None, note="",
        )
        for table in ("step limits, LA2C less A2-RL", "step limits, LA2C less LA2C-LSTM")
        for steps, ours in ((5, -0.1), (10, 0.01), (40, 0.05))
    ]  # fmt: skip
    ledger.record("la2c", [claim, *limits])
    assert _headline(name, "la2c") == (
        "**scenes**: holds in IoU (with a limit of 40 steps; contradicted with 5 steps; unsettled "
        "with 10 steps)"
    )


def test_trainings_that_still_rose_are_named_with_form_and_frozen_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    rising = ((0.1, 0.2, 0.3, 0.4),)
    kind = {"dataset": "scenes", "profile": "cpu", "init": "imagenet", "seeds": (0,)}
    curves = [
        validation.Curve(variant=variant, form=form, frozen=frozen, scores=rising, **kind)
        for variant, form, frozen in (
            ("QG", "gaicd", False),
            ("QG", "gaicd_v2", False),
            ("SD", "gaicd_v2", False),
            ("QG", "gaicd", True),
        )
    ]
    ledger.record("mars", _claim("cpu", 0.01))
    validation.write("mars", curves)
    assert (
        "still rising: QG (scenes, GAICD's form, cpu); QG, SD (scenes, GAICD v2's form, cpu); QG "
        "(scenes, GAICD's form, cpu, frozen backbone) |"
    ) in came_out("mars")
    # Trainings whose scores nobody recorded are counted, too.
    command = "python -m cropnb.mars --variants Mars"
    trained = replace(_claim("cpu", 0.01), minutes=1.0, command=command)
    settings = [
        replace(trained, column=str(number), config_hash=str(number)) for number in range(6)
    ]
    ledger.record("mars", settings)
    assert "frozen backbone); of 2 more no scores are recorded |" in came_out("mars")


@pytest.mark.parametrize("name", PAPERS)
def test_no_training_that_still_rose_is_named_twice(name: str) -> None:
    line = next(line for line in came_out(name).splitlines() if line.startswith("| Long enough"))
    _, _, rising = line.partition("still rising: ")
    kinds = [part.rpartition("(")[2] for part in rising.split("); ")]
    assert len(kinds) == len(set(kinds))


def test_many_unsettled_claims_are_counted_and_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    names = [f"claim {number}" for number in range(6)]
    ledger.record("mars", [_claim("cpu", -0.02, name) for name in names[:5]])
    few = came_out("mars")
    assert "claim 4 (IoU) |" in few
    assert "<details>" not in few
    ledger.record("mars", _claim("cpu", -0.02, names[5]))
    ledger.record("mars", _claim("cpu", -0.03, names[5], "K = 5, ε = 0.9"))
    table, _, fold = came_out("mars").partition("\n\n<details>")
    assert "| Unsettled | 6 claims in 7 comparisons, listed below the table |" in table
    assert not any(name in table for name in names)
    points = [line for line in fold.splitlines() if line.startswith("- ")]
    assert points == [
        *(f"- {name} (IoU)" for name in names[:5]),
        "- claim 5 (IoU · K = 5, ε = 0.9)",
    ]
    assert fold.endswith("\n\n</details>")


@pytest.mark.parametrize("name", PAPERS)
def test_each_chapters_box_has_its_headlines_and_no_wall(name: str) -> None:
    head, rule, *lines = came_out(name).partition("\n\n")[0].splitlines()
    assert (head, rule) == ("| What came out |  |", "| :-- | :-- |")
    titles = [line.split(" | ")[0] for line in lines]
    headlines = [title for title in titles if title.startswith("| Headline: ")]
    assert headlines
    assert titles[:2] == ["| Scope", "| Run"]
    assert titles[2 : 2 + len(headlines)] == headlines
    unsettled = [line for line in lines if line.startswith("| Unsettled")]
    assert all(line.count(";") < 5 for line in unsettled)


def test_what_claims_take_is_told_for_entries_together() -> None:
    lines = what_it_takes("mars/trained", "mars/trained-table-4").splitlines()[2:]
    cells = [line.removeprefix("| ").split(" | ") for line in lines]
    assert dict.fromkeys(cell[0] for cell in cells) == dict.fromkeys(
        ("mars/trained", "mars/trained-table-4")
    )
    claims = list(dict.fromkeys(cell[1] for cell in cells))
    assert claims[0] == NAME
    assert claims[-2:] == [
        "embeddings beat the bare ratio",
        "interpolation beats the nearest embedding",
    ]
    (entry,) = plan.select(plan.read(), ["mars/trained"])
    minutes = 2 * entry.minutes * len(entry.seeds)  # both arms, all seeds
    first = [line for line in lines if f"| {NAME} |" in line]
    assert first
    assert all(line.endswith(f" {minutes:.0f} |") for line in first)


def test_without_an_earlier_run_a_card_says_what_is_printed_and_the_minutes() -> None:
    heads, _, iou, offset = what_it_takes("mars/against-windows").splitlines()
    assert heads.endswith("| minutes that the plan has for it |")
    unknown = "no earlier run tells"
    (entry,) = plan.select(plan.read(), ["mars/against-windows"])
    minutes = f"{entry.minutes:.0f}"
    assert (
        iou
        == f"| beats sliding windows | IoU | +0.125: {unknown} | +0.005: {unknown} | {minutes} |"
    )
    assert (
        offset
        == f"| beats sliding windows | Offset | +18.5: {unknown} | +1: {unknown} | {minutes} |"
    )
    left_out = what_it_takes("mars/left-out")
    assert re.search(r"\| none printed \| no loss, told from -0\.01: .*photos.* seeds \|", left_out)
    assert "none named" not in left_out


def test_a_printed_column_has_its_zeros_back() -> None:
    assert printed_column([0.68, 0.735, None, 0.7]) == ["0.680", "0.735", None, "0.700"]
    # The wrong version, as many decimals as the longest number has, would invent 13.5600 steps.
    assert printed_column([0.1125, 13.56, 7.96]) == ["0.1125", "13.56", "7.96"]
    # Most have lost one here, and a third haven't; two decimals fewer are another paper's habit.
    assert printed_column([0.617, 0.68, 0.77, 0.63, 0.708, 0.71])[1:4] == [
        "0.680",
        "0.770",
        "0.630",
    ]
    assert printed_column([0.64, 0.74, 0.72, 0.8352, 0.8486])[0] == "0.64"
    assert printed_column([27, 108, 1]) == ["27", "108", "1"]
    assert printed_column([None]) == [None]
