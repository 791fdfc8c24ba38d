"""The figures and tables of the chapter on set prediction."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

matplotlib = pytest.importorskip(
    "matplotlib", reason="the chapters' pictures need the package's extra `book`"
)
matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402

from cropnb import ledger, paper  # noqa: E402
from cropnb.audit.rows import LESS_FIXED  # noqa: E402
from cropnb.notebook import folded, measured_row, measured_rows  # noqa: E402
from cropnb.notebook.chapters import set_prediction as figures  # noqa: E402
from cropnb.notebook.chapters import set_prediction_words as words  # noqa: E402
from cropnb.runs import Profile, plan, waiting  # noqa: E402
from cropnb.set_prediction.recipe import METHOD  # noqa: E402
from cropnb.set_prediction.studies import scatter  # noqa: E402

PAPER = paper.read("set_prediction")


def lines(table: str) -> list[list[str]]:
    """The cells of a Markdown table's lines."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]


def title(ax: "matplotlib.axes.Axes") -> str:
    """Wherever the style puts it."""
    return ax.get_title() or ax.get_title(loc="left")


def test_the_claim_draws_what_is_printed_and_every_measured_row():
    figures.claim(PAPER.tables["Figure 6"], (0.0, 0.5, 0.9, 0.123))
    left, right = plt.gcf().axes
    (points,) = left.lines
    assert points.get_xydata().tolist() == [[0, 42.8], [0.5, 47.4], [0.9, 29.2]]
    assert points.get_color() == "k"  # print is black, as in every chapter
    (drawn,) = right.containers
    assert list(drawn[0].get_xdata()) == [0.0, 0.5, 0.9]  # none is measured at 0.123
    images = {
        row.images
        for mu in ("0", "0.5", "0.9")
        if (row := measured_row("set_prediction", row=f"μ = {mu}", table="Figure 6", profile="cpu"))
    }
    assert images
    assert all(str(number) in title(right) for number in images)


def test_the_diagram_names_its_parts_and_nothing_overlaps():
    figures.network()
    (ax,) = plt.gcf().axes
    plt.gcf().draw_without_rendering()
    texts = [text for text in ax.texts if text.get_bbox_patch()]
    assert {"backbone", "encoder", "decoder"} <= {text.get_text().split("\n")[0] for text in texts}
    boxes = [text.get_bbox_patch().get_window_extent() for text in texts]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    assert all(ax.get_window_extent().overlaps(box) for box in boxes)


def test_counts_and_losses():
    figures.good_crop_counts(torch.tensor([1, 1, 3]))
    (ax,) = plt.gcf().axes
    assert [bar.get_height() for bar in ax.patches] == [2, 0, 1]
    p = torch.tensor([0.1, 0.5, 0.9])
    figures.focal_losses(p, {0.0: torch.tensor([0.0, 1, 2]), 1.0: torch.tensor([2.0, 1, 0])})
    (ax,) = plt.gcf().axes
    marks = [line.get_xdata().item() for line in ax.lines if len(line.get_xdata()) == 1]
    assert marks == pytest.approx([0.1, 0.9])


def test_anchors_start_in_three_panels():
    starts = torch.tensor([0.1, 0.1, 0.8, 0.9]).expand(4, 5, 4)
    figures.anchor_starts(starts, torch.rand(4, 5), [0, 1, 2, 16])
    *squares, last = plt.gcf().axes
    assert [title(ax) for ax in squares] == ["epoch 0", "epoch 2", "epoch 16"]
    assert [len(ax.lines) for ax in squares] == [5, 5, 5]
    assert len(last.lines) == 3


def test_soft_labels_have_a_line_each():
    v = torch.linspace(0, 1, 3)
    figures.soft_labels(v, {0.5: v / 2, 0.9: v}, v, {"one": v, "other": v**2})
    left, right = plt.gcf().axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["0.5", "0.9"]
    assert [line.get_label() for line in right.lines] == ["miss one", "miss other"]


def test_each_quality_has_its_mean():
    pairs = [
        (torch.tensor([1.0, 2]), torch.tensor([0.1, 0.4])),
        (torch.tensor([2.0]), torch.tensor([0.6])),
    ]
    figures.quality_and_validity({"a": pairs, "b": pairs[:1]})
    left, right = plt.gcf().axes
    assert left.lines[1].get_ydata() == pytest.approx([0.1, 0.5])
    assert right.lines[1].get_ydata() == pytest.approx([0.1, 0.4])
    assert (title(left), title(right)) == ("a", "b")


def test_tables_stand_beside_print():
    text = figures.beside_print(PAPER, "Table 4", "Table 3")
    heads = [line for line in lines(text) if line[0] in ("printed", "ours, Composed Scenes")]
    assert [head[:2] for head in heads] == [
        ["printed", "K = 10"],
        ["ours, Composed Scenes", "K = 10"],
        ["printed", "IoU"],
        ["ours, Composed Scenes", "IoU"],
    ]
    assert lines(text)[-1][1].startswith("0.")  # three decimals of an IoU


def test_a_long_table_shows_what_the_text_speaks_of_and_loses_no_row():
    text = figures.scenes_table("Table 2")
    seen, _, unfolds = text.partition("<details>")
    names = [line[0] for line in lines(seen)[2:]]
    assert len(names) == 2 * len(figures.SPOKEN_OF)
    assert names == sorted(names, key=lambda name: name[-6:])
    rows = {row.row for row in ledger.find("set_prediction", table="Table 2", dataset="scenes")}
    unfolded = {line[0] for line in lines(unfolds)}
    assert rows <= {*names} | unfolded


def test_rows_of_one_profile_stand_beside_print_and_those_of_the_other_unfold():
    seen, _, unfolds = figures.scenes_table("Table 2").partition("<details>")
    wanted = {"table": "Table 2", "row": "Ours (ε = 0.85)", "column": "K = 10", "dataset": "scenes"}
    for text, profile in ((seen, "cpu"), (unfolds, "trained")):
        row = measured_row("set_prediction", profile=profile, **wanted)
        line = next(line for line in lines(text) if line[0] == "Ours (ε = 0.85)")
        assert any(cell.startswith(f"{row.ours:.1f}") for cell in line)
    assert "whose last stages learned too" in unfolds
    short, _, _ = figures.scenes_table("Table 5").partition("<details>")
    assert {"QG", "SD"} <= {line[0] for line in lines(short)}  # rows without a tolerance


def test_differences_have_a_line_a_claim_and_their_verdicts():
    text = figures.differences("claim")
    head, _, *body = lines(text)
    rows = ledger.find("set_prediction", table="claim")
    rows = [row for row in rows if row.column in METHOD.claim_columns]
    names = {row.row for row in rows}
    waits = {row.row for row in waiting.claims("set_prediction", "claim")}
    assert names
    assert not names & waits
    assert len(body) == len(names | waits)
    assert all(set(line[1:]) == {"not run"} for line in body[len(names) :])
    body = body[: len(names)]
    assert len(head) - 1 == len({row.column for row in rows})
    assert any("<br>QG less QG, μ = 0.9" in line[0] for line in body)
    cells = [cell for line in body for cell in line[1:]]
    assert len(cells) == len(rows)
    assert sum("*holds*" in cell for cell in cells) == sum(row.verdict == "holds" for row in rows)
    assert METHOD.claim_columns == figures.CLAIMED


def test_differences_say_how_the_trainings_of_both_sides_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ledger.find("set_prediction", table="claim", row="guidance helps")
    ends = "still rising at the end: QG; too short to say whether still rising: w/o smoothing"
    rows = [
        replace(row, note=f"QG less w/o smoothing, AP in points; {ends}; aside") for row in rows
    ]
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    ledger.record("set_prediction", rows)
    names = ("guidance helps", "distillation beats training as long")
    _, _, line, planned = lines(figures.differences("claim", names=names))
    assert line[0].endswith(f"<br>QG less w/o smoothing; {ends}")
    # With this ledger the plan has to train all of its settings.
    entry = next(entry for entry in plan.read() if entry.name == "set_prediction/longer")
    left = entry.minutes * len(entry.variants) * len(entry.seeds)
    assert planned[0] == (
        f"**{names[1]}**<br>set_prediction/longer, about {left:.0f} minutes of a core"
    )
    assert set(planned[1:]) == {"not run"}


def test_what_is_not_measured_names_its_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [(torch.tensor([1.0, 2]), torch.tensor([0.1, 0.4]))]
    shipped = {"a: test": pair, "b: training": pair}
    with monkeypatch.context() as empty:
        empty.setenv("CROPNB_RESULTS", str(tmp_path))
        names = {entry.name for entry in plan.read()}
        for text in (figures.figure_7(shipped), figures.sets_against_anchors(), figures.one_crop()):
            waiting = re.findall(r"ONLY=(set_prediction/[\w-]+)", text)
            assert waiting
            assert names.issuperset(waiting)
        scatter.write("SD", "scenes", 0, {"one": pair * 30, "other": pair})
        text = figures.figure_7(shipped)
        assert "self-distilled network, on 25 scenes" in text
        left, right = plt.gcf().axes
        assert (title(left), title(right)) == ("a: test", "b: training")
        assert len(left.lines[0].get_xdata()) == 2 * scatter.PHOTOS
        row = ledger.Row(
            paper="set_prediction", table="one crop against a set", row="one crop",
            column="AP, ε = 0.85", dataset="scenes", split="test", verdict="measured", ours=7.0,
            images=200, seeds=(0, 1), command="python -m cropnb.set_prediction",
        )  # fmt: skip
        ledger.record("set_prediction", [row])
        assert lines(figures.one_crop())[-1] == ["one crop", "7", "200", "2"]


def test_numbers_are_told_apart_where_their_intervals_dont_meet():
    row = measured_row("set_prediction", table="Table 2", dataset="scenes")
    first, second, third = (
        replace(row, ours=value, low=value - 1, high=value + 1) for value in (1.0, 2.5, 5.0)
    )
    assert words.place(first, second) == words.ALIKE
    assert words.place(third, first) == "surely above"
    assert words.place(first, third) == "surely below"
    assert words.place(replace(third, low=None, high=None), first) == "above"


@pytest.mark.parametrize("table", ["claim", "claim, v2", "claim, CPC"])
def test_claims_in_words_have_the_verdicts_of_their_table(table: str) -> None:
    rows = ledger.find("set_prediction", table=table)
    rows = [row for row in rows if row.column in METHOD.claim_columns and row.ours is not None]
    names = {claim["name"] for claim in PAPER.claims} & {row.row for row in rows}
    spoken = words.claims(table, "claim").splitlines()
    assert {line.split("**")[1] for line in spoken} == names
    for line in spoken:
        those = [row.says for row in rows if row.row == line.split("**")[1]]
        assert f"of {len(those)} columns" in line
        assert all(f"{says} in {those.count(says)}" in line for says in those)


def test_claims_in_words_have_the_printed_difference_of_their_dataset():
    name, forty = "distillation helps", "ε = 0.85, K = 40"
    table = PAPER.tables["Table 4, CPC"]
    printed = table.value("w/ SD", "K = 40") - table.value("w/o SD", "K = 40")
    assert PAPER.difference(PAPER.cells(name, forty), ", CPC") == printed
    assert PAPER.difference(PAPER.cells(name, "ε = 0.90, K = 40"), ", CPC") is None
    assert PAPER.difference(PAPER.cells(name, "ε = 0.90, K = 40")) == pytest.approx(43.5 - 42.8)
    assert PAPER.cells(name, "SRCC") == PAPER.cells("no claim", forty) == []
    assert PAPER.difference([]) is None


def test_claims_in_words_say_how_many_printed_differences_lie_in_our_intervals() -> None:
    (line,) = (one for one in words.claims("claim, v2").splitlines() if "**guidance helps**" in one)
    rows = ledger.find("set_prediction", table="claim, v2", row="guidance helps")
    gaps = [(PAPER.difference(PAPER.cells(row.row, row.column)), row) for row in rows]
    inside = sum(gap is not None and row.low <= gap <= row.high for gap, row in gaps)
    assert f", inside of our interval in {inside};" in line


def test_the_paired_difference_stands_where_the_audit_has_one() -> None:
    rows = {
        row.column: row
        for row in ledger.find("audit", table=LESS_FIXED, row="set_prediction", dataset="scenes")
    }
    spoken = words.beside_fixed_anchors().splitlines()
    assert len(spoken) == len(rows) == 4
    for line in spoken:
        row = rows[line[2:].partition(": the network")[0]]
        verdict = "surely above" if row.low > 0 else "surely below" if row.high < 0 else words.ALIKE
        assert line.endswith(f"**{verdict}**")
        assert f"{row.ours:+.1f}".replace("-", "−") in line.partition("photo by photo")[2]
    assert "photo by photo" not in words.beside_fixed_anchors(", v2")


def test_words_of_what_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    for text in (
        words.claims("claim, v2"),
        words.beside_fixed_anchors(),
        words.epochs(),
        words.against("Figure 4", ["one"], [("first", "second")]),
    ):
        assert all(line.endswith(words.MISSING) for line in text.splitlines())


def test_the_choice_of_the_epoch_in_words():
    rows = ledger.find("audit", table=words.CHOICE)
    rows = [row for row in rows if row.row.startswith("set_prediction") and "AP" in row.column]
    rows = [row for row in rows if row.row.endswith(words.FROM_LAST)]
    spoken = words.epochs().splitlines()
    assert len(spoken) == len(rows) >= 3
    for line, row in zip(spoken, rows, strict=True):
        assert ("**gains**" in line) == (row.low > 0)
        assert ("**loses**" in line) == (row.high < 0)


def test_the_audits_rows():
    (head, _, line) = lines(figures.best_crop_anchors())
    assert (
        len(head) == len(line) == 6
    )  # two N at two tolerances, and scenes: a blind set has no seeds
    head, _, *body = lines(figures.epoch_choices())
    assert len(head) == 4
    assert [line[0] for line in body][:2] == ["last epoch", "best on validation"]
    assert len(lines(figures.scale_bias())) == 2 + len(
        measured_rows("set_prediction", table="Section 5", dataset="scenes")
    )


def test_profiles_stand_side_by_side():
    head, _, *body = lines(
        figures.profile_table({"one": Profile(3, 2, 1), "two": Profile(None, 2, 1)})
    )
    assert head == ["", "one", "two"]
    assert ["train photos", "3", "–"] in body


def test_a_folded_text_keeps_its_table():
    text = folded("a < b", "| a |\n| :-- |\n| 1 |")
    assert text.startswith("<details><summary>a &lt; b</summary>\n\n| a |")
    assert text.endswith("\n\n</details>")
