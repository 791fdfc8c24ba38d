"""Claims on one line each, printed gaps beside ours, settings side by side, what is folded."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cropnb import ledger, notebook, paper
from cropnb.ledger import Row


def claim(name: str, column: str, ends: tuple[float, float], **fields: object) -> Row:
    low, high = ends
    content = {"paper": "vrn", "table": "claim", "dataset": "scenes", "split": "test"}
    content |= {"ours": (low + high) / 2, "low": low, "high": high, "verdict": "unsettled"}
    return Row(row=name, column=column, **content | {"note": "FS less baseline"} | fields)


def test_a_claim_shows_its_verdict_where_it_is_settled() -> None:
    rows = [
        claim("splitter helps", "Acc 1/5", (-1.0, 2.0)),
        claim("splitter helps", "SRCC", (-0.03, -0.01), verdict="contradicted"),
        claim("gain helps", "Acc 1/5", (1.0, 2.0), verdict="holds", void="an arm learned nothing"),
        claim("both help", "SRCC", (-0.003, -0.001), verdict="contradicted", worth_having=0.01),
    ]
    head, _, splitter, gain, both = notebook.claims_grid(rows, "layouts").splitlines()
    assert head == "| layouts | Acc 1/5 | SRCC |"
    space = "\N{NO-BREAK SPACE}"
    numbers = f"+0.5 [−1.0,{space}+2.0] | −0.020 [−0.030,{space}−0.010] contradicted"
    assert splitter == f"| splitter helps | {numbers} |"
    assert gain == f"| gain helps | +1.5 [+1.0,{space}+2.0] says nothing | – |"
    assert both.endswith(f"−0.002 [−0.003,{space}−0.001] {ledger.LITTLE} |")


def test_a_printed_gap_lies_inside_above_or_below_ours() -> None:
    printed = paper.read("vrn")
    rows = [
        claim("splitter helps", "Acc 1/5", (1.0, 3.0), note="FS less baseline; still rising"),
        claim("splitter helps", "Acc 5", (1.0, 3.0)),
        claim("splitter helps", "Acc 1/10", (-3.0, 1.0)),
        claim("splitter helps", "SRCC", (0.1, 0.2)),
        claim("our own", "Acc 1/5", (1.0, 3.0), note="RGL, mean less baseline"),
        claim("beats GAIC", "Acc 10", (1.0, 3.0), note="FS + RGL less GAIC"),  # of Table 1
        claim("beats GAIC", "SRCC", (1.0, 3.0), note="FS + RGL less GAIC"),
    ]
    head, _, line, rival = notebook.printed_gaps(printed, "Table 2", rows, "printed").splitlines()
    assert head == "| printed | Acc 1/5 | Acc 5 | Acc 1/10 | Acc 10 |"
    assert line == "| splitter helps | +2.5 inside | +0.2 below | +2.0 above | – |"
    assert rival == "| beats GAIC | – | – | – | +9.9 above |"


def test_a_table_of_claims_ends_with_those_that_nobody_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = """
[[run]]
name = "la2c/steps"
why = "for this test"
method = "la2c"
profile = "long"
variants = ["LA2C", "LA2C-LSTM", "1 environment, equal steps"]
minutes = 60
"""
    (tmp_path / "plan.toml").write_text(entry, encoding="utf-8")
    monkeypatch.setenv("CROPNB_PLAN", str(tmp_path / "plan.toml"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    where = {"paper": "la2c", "profile": "long", "images": 500, "detectable": 0.1}
    decided = claim("no LSTM is better", "IoU", (-0.1, 0.2), command="python", **where)
    ledger.record("la2c", decided)
    shown = ["row", "column", "ours", "verdict", "note"]
    _, _, first, last = notebook.ledger_table("la2c", "claim", shown).splitlines()
    assert first.startswith("| no LSTM is better | IoU | 0.05 [-0.1, 0.2] | unsettled")
    name = "parallel learners are efficient, step for step"
    note = "la2c/steps, about 180 minutes of a core, not run yet: python -m cropnb.la2c"
    assert last.startswith(f"| {name} | IoU | – | pending | {note}")


def test_speeds_name_their_unit_and_their_device() -> None:
    rows = notebook.measured_speeds("ASM-Net, training the network")
    assert len(rows) == 3
    assert all(row.row.startswith("ASM-Net, training") for row in rows)
    heads, _, *lines = notebook.speed_table(rows).splitlines()
    assert heads == "|  | measured [95 % of the rounds] | on |"
    assert "images a second" in lines[0]
    assert "times as fast as the plain step | CPU" in lines[-1]  # a speed, not seconds
    (search,) = notebook.measured_speeds("ASM-Net with its two-stage search")
    assert f"times the seconds of {search.column[6:]} |" in notebook.speed_table([search])


def test_settings_show_the_fields_that_differ() -> None:
    @dataclass
    class Profile:
        head_epochs: int
        mixed: bool = False
        clip: float | None = 1.0

    @dataclass
    class Longer(Profile):
        batch: int = 4

    table = notebook.settings_table("profile", {"smoke": Profile(3), "full": Longer(60, True)})
    assert table.splitlines() == [
        "| profile | smoke | full |",
        "| :-- | --: | --: |",
        "| head epochs | 3 | 60 |",
        "| mixed | – | yes |",
        "| batch | – | 4 |",
    ]
    turned = notebook.settings_table("profile", {"smoke": Profile(3), "full": Profile(60)}, True)
    assert turned.splitlines()[2:] == ["| smoke | 3 |", "| full | 60 |"]


def test_what_is_folded_keeps_its_markdown_and_escapes_its_summary() -> None:
    text = notebook.folded("a < b", "| x |\n| :-- |")
    assert text == ("<details><summary>a &lt; b</summary>\n\n| x |\n| :-- |\n\n</details>")
    assert isinstance(text, notebook.Markdown)
