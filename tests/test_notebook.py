"""What the chapters print and draw with."""

import dataclasses
import io
import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cropnb import boxes as box_math
from cropnb import ledger, notebook, paper
from cropnb.errors import BoxError, ImageError, LedgerError, WeightsUnavailable
from cropnb.ledger import Row
from cropnb.metrics import Interval
from cropnb.notebook.chapters.data import speed_lines
from cropnb.notebook.chapters.set_prediction import differences
from cropnb.training import History

matplotlib = pytest.importorskip(
    "matplotlib", reason="the chapters' pictures need the package's extra `book`"
)
matplotlib.use("agg")


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    common = {"paper": "vrn", "split": "test", "images": 200, "command": "python -m cropnb.vrn"}
    measured = Row(
        table="Table 1", row="VRN", column="Acc 1/5", dataset="gaicd", verdict="within",
        paper_value=50.0, ours=49.25, low=42.5, high=56.0, **common,
    )  # fmt: skip
    drawn = Row(
        table="Table 2",
        row="full | all",
        column="Acc 5",
        dataset="scenes",
        verdict="measured",
        ours=61.5,
        **common,
    )
    pending = Row(
        **{**common, "images": None, "command": ""},
        table="Table 2",
        row="full | all",
        column="Acc 5",
        dataset="gaicd",
        verdict="pending",
        paper_value=79.6,
        note="no photos here",
    )
    ledger.record("vrn", [measured, drawn, pending])
    return tmp_path


def lines(table: notebook.Markdown) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def test_source_is_shown_as_it_is_in_the_package() -> None:
    shown = notebook.show_source(box_math.iou, Row.check)
    first, second = shown.split("\n\n```python\n")
    assert first.startswith("```python\n# cropnb.boxes\ndef iou(")
    assert first.endswith("\n```")
    assert second.startswith("# cropnb.ledger\ndef check(self)")  # moved to the left margin
    assert shown._repr_markdown_() == str(shown)


def test_source_of_properties_and_wrapped_functions() -> None:
    assert "# cropnb.ledger\n@property\ndef key(" in notebook.show_source(Row.key)

    @torch.no_grad()
    def measured() -> int:
        return 41 + 1

    assert "return 41 + 1" in notebook.show_source(measured)


@pytest.mark.parametrize("thing", [len, 3, np.float64])
def test_what_has_no_source_is_refused(thing: object) -> None:
    with pytest.raises(TypeError, match="source"):
        notebook.show_source(thing)


def test_ledger_table_prints_the_paper_beside_ours(results: Path) -> None:
    head, rule, *rows = lines(notebook.ledger_table("vrn", table="Table 1"))
    assert head == ["Row", "Number", "Paper", "Ours [95 %]", "Photos", "Verdict"]
    assert rule == [":--", ":--", "--:", "--:", "--:", ":--"]
    assert rows == [["VRN", "Acc 1/5", "50", "49.25 [42.5, 56]", "200", "within"]]


def test_photographs_and_scenes_never_share_a_column(results: Path) -> None:
    head, _, *rows = lines(notebook.ledger_table("vrn"))
    assert head[:5] == ["Table", "Row", "Number", "Paper", "Ours, photographs [95 %]"]
    assert head[5] == "Ours, Composed Scenes [95 %]"
    assert [row[4:6] for row in rows] == [["49.25 [42.5, 56]", ""], ["", "61.5"], ["–", ""]]
    assert rows[1][1] == "full \\| all"  # a bar in a name is no new cell
    assert rows[2][-1] == "pending"


def test_a_mix_of_datasets_has_a_column_of_its_own(results: Path) -> None:
    path = results / "vrn.json"
    rows = json.loads(path.read_text())
    rows.append(rows[1] | {"dataset": "scenes+taught", "ours": 12.5})
    path.write_text(json.dumps(rows))
    head, _, *cells = lines(notebook.ledger_table("vrn"))
    assert head[5:7] == ["Ours, Composed Scenes [95 %]", "Ours, scenes + taught [95 %]"]
    assert [row[4:7] for row in cells if "12.5" in row] == [["", "", "12.5"]]


def test_ledger_table_takes_any_fields_and_refuses_others(results: Path) -> None:
    head, _, row = lines(notebook.ledger_table("vrn", "Table 1", ["row", "dataset", "command"]))
    assert head == ["Row", "Measured on", "Command"]
    assert row == ["VRN", "gaicd", "python -m cropnb.vrn"]
    for wrong in ({"table": "Table 9"}, {"columns": ["color"]}):
        with pytest.raises(LedgerError):
            notebook.ledger_table("vrn", **wrong)
    with pytest.raises(LedgerError, match="no rows"):
        notebook.ledger_table("nobody")


def test_a_page_keeps_the_text_once(results: Path) -> None:
    assert repr(notebook.ledger_table("vrn", table="Table 1")) == "<Markdown, 3 lines>"


def test_any_rows_become_a_table() -> None:
    head, rule, *rows = lines(notebook.markdown_table(["name", "n", "note"], [("a|b", 3, None)]))
    assert (head, rule) == (["name", "n", "note"], [":--", "--:", "--:"])
    assert rows == [["a\\|b", "3", "–"]]
    assert lines(notebook.markdown_table(["a", "b"], [], "rl"))[1:] == [["--:", ":--"]]
    for heads, cells, align in ((["a"], [(1, 2)], None), (["a", "b"], [], "l")):
        with pytest.raises(ValueError, match="heads"):
            notebook.markdown_table(heads, cells, align)


def test_numbers_with_their_intervals(results: Path) -> None:
    measured, drawn, pending = ledger.read("vrn")
    assert notebook.with_interval(measured, ".1f") == "49.2 [42.5, 56.0]"
    assert notebook.with_interval(measured, "6.2f", ".0f") == " 49.25 [42, 56]"
    assert notebook.with_interval(drawn, ".1f") == "61.5"  # without an interval
    assert notebook.with_interval(pending) == "–"
    assert notebook.with_interval(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


def test_measured_rows_have_a_number(results: Path) -> None:
    assert [row.dataset for row in notebook.measured_rows("vrn", table="Table 2")] == ["scenes"]
    assert notebook.measured_row("vrn", row="VRN").ours == 49.25
    assert notebook.measured_row("vrn", table="Table 2", dataset="gaicd") is None  # pending


def test_ledger_grid_prints_a_line_a_row_and_a_column_a_number() -> None:
    common = {"paper": "vrn", "table": "Table 2", "dataset": "scenes", "split": "test"}
    common |= {"verdict": "measured", "images": 200, "command": "python -m cropnb.vrn"}
    rows = [
        Row(row="FS", column="Acc 5", ours=61.5, low=60, high=63, seeds=(0, 1), **common),
        Row(row="FS", column="SRCC", ours=0.5, **common),
        Row(row="RGL", column="Acc 5", ours=7.25, low=7, high=8.5, **common),
        Row(row="pending", column="Acc 5", **common),
    ]
    head, rule, *cells = lines(notebook.ledger_grid(rows, "ours", photos="scenes"))
    assert head == ["ours", "Acc 5", "SRCC", "scenes", "seeds"]
    assert rule == [":--", *["--:"] * 4]
    assert cells[0] == [
        "FS",
        "61.5\N{NO-BREAK SPACE}[60.0,\N{NO-BREAK SPACE}63.0]",
        "0.5",
        "200",
        "2",
    ]
    assert cells[1][0] == "RGL"
    assert cells[1][2:] == ["–", "200", "–"]  # no SRCC, and no seeds
    assert len(cells) == 2
    twice = [replace(rows[0], profile=profile) for profile in ("cpu", "trained")]
    with pytest.raises(LedgerError, match="cpu and trained have a number each for FS, Acc 5"):
        notebook.ledger_grid(twice, "ours")
    head, _, cells = lines(notebook.ledger_grid(rows, "ours", ["SRCC"], ".2f", heads=["rank"]))
    assert (head, cells) == (["ours", "rank"], ["FS", "0.50"])


def test_claims_are_counted_by_their_verdict() -> None:
    common = {"paper": "vrn", "table": "claim", "dataset": "scenes", "split": "test"}
    verdicts = ["holds", "unsettled", "unsettled", "contradicted"]
    rows = [
        Row(row=str(number), column="SRCC", verdict=verdict, ours=0.1, low=0.0, high=0.2, **common)
        for number, verdict in enumerate(verdicts)
    ]
    assert notebook.count_verdicts(rows) == (
        "of 4 differences: 1 holds, 1 contradicted, 2 unsettled, 0 trivial"
    )
    nothing = replace(rows[0], void="an arm learned nothing")
    assert notebook.count_verdicts([nothing, *rows[1:]]) == (
        "of 4 differences: 0 holds, 1 contradicted, 2 unsettled, 0 trivial, 1 that say nothing"
    )


def test_a_printed_table_as_it_is_printed() -> None:
    table = paper.Table(
        "Table 9", "A caption", "gaicd", "test", 200, ("Acc 5", "Speed"), ("own",),
        {"other": (50.25, None), "own": (61.0, 120.0)},
    )  # fmt: skip
    text = notebook.printed_table(table)
    grid, caption = text.split("\n\n")
    head, rule, *rows = lines(notebook.Markdown(grid))
    assert head == ["printed", "Acc 5", "Speed"]
    assert rule == [":--", "--:", "--:"]
    assert rows == [["other", "50.25", "–"], ["own", "61.00", "120"]]
    assert caption == "*Table 9: A caption; 200 photographs of GAICD v1, test.*"
    rows = lines(notebook.printed_table(table, ["Speed"]))[2:4]
    assert rows == [["other", "–"], ["own", "120"]]


def test_claims_mistakes_and_details_of_a_paper() -> None:
    printed = paper.Paper(
        {}, {}, (),
        claims=({"name": "it helps", "says": "FS helps", "where": "Table 2"},),
        mistakes=(
            {"name": "two meanings", "where": "Sec. 4", "what": "K or N.", "reading": "K."},
            {"name": "x or y", "where": "Fig. 1", "what": "Swapped.", "reading": "As drawn."},
        ),
        details=({"number": 7, "name": "seed", "chosen": "0", "why": "any | all"},),
        outcome={},
    )  # fmt: skip
    assert notebook.printed_claims(printed) == "- *it helps*: FS helps (Table 2)"
    assert notebook.printed_mistakes(printed).splitlines() == [
        "1. **Two meanings** (Sec. 4). K or N. *What we took: K.*",
        "2. **X or y** (Fig. 1). Swapped. *What we took: As drawn.*",
    ]
    head, rule, row = lines(notebook.printed_details(printed))
    assert head == ["", "open point", "what we took", "why"]
    assert rule == ["--:", ":--", ":--", ":--"]
    assert row == ["7", "seed", "0", "any \\| all"]


@pytest.mark.parametrize("method", ["la2c", "asm_net", "vrn", "mars", "set_prediction"])
def test_every_paper_of_the_book_can_be_printed(method: str) -> None:
    printed = paper.read(method)
    assert len(notebook.printed_mistakes(printed).splitlines()) == len(printed.mistakes) > 0
    assert len(notebook.printed_claims(printed).splitlines()) == len(printed.claims) > 0
    for table in printed.tables.values():
        assert len(notebook.printed_table(table).splitlines()) == len(table.rows) + 4


class _Page(HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> _Page:
    """As a notebook shows Markdown: tables, and HTML as it stands."""
    pytest.importorskip("markdown_it", reason="MyST's parser comes with the extra `book`")
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return _Page(reader.render(markdown))


HOSTILE = "<img src=x onerror=alert(1)> **b** [a](javascript:x) `c` | \\ $x$ {ref}`y` _z_ &amp;"


def test_text_of_the_ledger_is_shown_letter_by_letter(results: Path) -> None:
    row = ledger.read("vrn")[0]
    changed = {"table": HOSTILE, "row": HOSTILE, "column": HOSTILE, "note": HOSTILE}
    ledger.record("vrn", dataclasses.replace(row, **changed))
    columns = ["table", "row", "column", "dataset", "verdict", "note"]
    page = rendered(notebook.ledger_table("vrn", HOSTILE, columns))
    assert page.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.text.count(HOSTILE) == 4
    page = rendered(notebook.ledger_grid(ledger.find("vrn", table=HOSTILE), HOSTILE))
    assert page.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.text.count(HOSTILE) == 3


def test_text_of_the_ledger_works_in_no_chapter(results: Path) -> None:
    common = {"dataset": "scenes", "split": "test", "images": 9, "ours": 1.0, "command": "x"}
    same = {"paper": "set_prediction", "table": "claim", "row": HOSTILE, "note": HOSTILE}
    open_claim = {"verdict": "unsettled", "low": 0.0, "high": 2.0, "detectable": 3.0}
    claim = Row(**same, column="a", **open_claim, void=HOSTILE, **common)
    ledger.record("set_prediction", claim)
    page = rendered(differences("claim", ["a"]))
    assert page.tags <= {"table", "thead", "tbody", "tr", "th", "td", "br", "em", "strong", "p"}
    assert page.text.count(HOSTILE) == 3
    speed = Row(**{**same, "paper": "speed"}, column=HOSTILE, verdict="measured", **common)
    page = rendered(speed_lines([speed], [speed]))
    assert page.tags == {"ul", "li"}
    assert page.text.count(HOSTILE) == 6


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_any_text_is_shown_letter_by_letter(text: str) -> None:
    page = rendered(notebook.markdown_table(["a"], [[f"x {text} x"]]))
    assert page.tags <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert f"x {text} x" in page.text


def test_markdown_in_a_table_is_kept() -> None:
    assert rendered(notebook.markdown_table(["a"], [[notebook.Markdown("**x**")]])).tags >= {
        "strong"
    }


def test_an_outline_closes(ax) -> None:
    notebook.draw_outline(ax, torch.tensor([10, 20, 50, 40]), color="red")
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[10, 20], [50, 20], [50, 40], [10, 40], [10, 20]]
    assert line.get_color() == "red"


@pytest.mark.parametrize("across", [False, True])
def test_estimates_stand_at_their_means_and_reach_to_their_ends(ax, across: bool) -> None:
    common = {"paper": "vrn", "table": "claim", "dataset": "scenes", "split": "test"}
    rows = [
        Row(row="a", column="x", verdict="measured", ours=2.0, low=1.5, high=4.0, **common),
        Row(row="b", column="x", verdict="measured", ours=3.0, low=2.0, high=3.5, **common),
    ]
    notebook.draw_estimates(ax, [0, 1], rows, across=across, label="ours")
    ((line, _, (bars,)),) = ax.containers
    order = [1, 0] if across else [0, 1]
    assert np.array(line.get_xydata())[:, order].tolist() == [[0, 2], [1, 3]]
    ends = np.array(bars.get_segments())[:, :, order]  # (rows, ends, place and number)
    assert ends.tolist() == [[[0, 1.5], [0, 4]], [[1, 2], [1, 3.5]]]
    assert ax.get_legend_handles_labels()[1] == ["ours"]


def test_no_estimates_draw_nothing(ax) -> None:
    notebook.draw_estimates(ax, [], [], label="ours")
    assert not ax.containers


def test_blocks_and_arrows_of_a_diagram(ax) -> None:
    notebook.draw_block(ax, 1, 2, "photo", "blue", dashed=True)
    (block,) = ax.texts
    assert (block.get_text(), block.get_position()) == ("photo", (1, 2))
    assert block.get_bbox_patch().get_linestyle() == "--"
    assert matplotlib.colors.to_hex(block.get_bbox_patch().get_facecolor()) == "#e8f1fa"
    with pytest.raises(ValueError, match="purple"):
        notebook.draw_block(ax, 1, 2, "photo", "pink")
    notebook.draw_arrow(ax, (0, 0), (4, 2), "features", dashed=True)
    notebook.draw_arrow(ax, (0, 0), (4, 2), "score", text_at=(1, 3))
    notebook.draw_arrow(ax, (0, 0), (4, 2))
    _, first, features, second, score, third = ax.texts
    assert [text.get_text() for text in (features, score)] == ["features", "score"]
    assert [text.get_position() for text in (features, score)] == [(2, 1), (1, 3)]
    for arrow in (first, second, third):
        assert arrow.xy == (4, 2)
        assert arrow.get_position() == (0, 0)
    assert [one.arrow_patch.get_linestyle() for one in (first, second)] == ["--", "-"]


@pytest.mark.parametrize("available", [True, False])
def test_training_starts_from_what_is_at_hand(
    available: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*arguments: object) -> None:
        if not available:
            raise WeightsUnavailable("no file here")

    monkeypatch.setattr("cropnb.backbones.build", build)
    assert notebook.starting_weights() == ("imagenet" if available else "random")
    assert ("no file here" in capsys.readouterr().out) is not available


def test_boxes_are_drawn_where_they_are(ax) -> None:
    photo = np.full((60, 90, 3), 128, np.uint8)
    notebook.draw_boxes(
        ax,
        photo,
        torch.tensor([[10.0, 20, 50, 40], [0, 0, 90, 60]]),
        ["a", "b"],
        ["green", "#123456"],
    )
    assert ax.get_xlim() == (0, 90)
    assert ax.get_ylim() == (60, 0)  # y points down
    drawn = [line for line in ax.lines if line.get_color() != "white"]
    assert [line.get_color() for line in drawn] == [notebook.COLORS["green"], "#123456"]
    assert (drawn[0].get_xdata().min(), drawn[0].get_xdata().max()) == (10, 50)
    assert (drawn[0].get_ydata().min(), drawn[0].get_ydata().max()) == (20, 40)
    assert [text.get_text() for text in ax.texts] == ["a", "b"]


def test_one_box_no_box_and_bad_boxes(ax) -> None:
    photo = Image.new("RGB", (90, 60))
    assert len(notebook.draw_boxes(ax, photo, [1, 2, 30, 40], colors="orange").lines) == 2
    ax.clear()
    assert len(notebook.draw_boxes(ax, photo, []).lines) == 0
    for wrong in ([[1, 2, 3]], [[[1, 2, 3, 4]]]):
        with pytest.raises(BoxError):
            notebook.draw_boxes(ax, photo, wrong)
    with pytest.raises(BoxError, match="labels"):
        notebook.draw_boxes(ax, photo, [[1, 2, 30, 40]], ["a", "b"])
    with pytest.raises(ImageError):
        notebook.draw_boxes(ax, "missing.jpg", [])


def test_the_palette_keeps_its_distance() -> None:
    rgb = np.array(
        [[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in notebook.COLORS.values()]
    )
    gaps = np.abs(rgb[:, None] - rgb[None]).sum(-1) + 1000 * np.eye(len(rgb))
    assert gaps.min() > 60


def test_pictures_have_the_same_bytes_and_no_date() -> None:
    import matplotlib.pyplot as plt

    notebook.style()
    files = []
    for _ in range(2):
        figure, axes = plt.subplots()
        axes.plot([1, 2, 3])
        file = io.BytesIO()
        figure.savefig(file, metadata={"Software": None})
        plt.close(figure)
        files.append(file.getvalue())
    assert files[0] == files[1]
    assert Image.open(io.BytesIO(files[0])).size == (700, 360)
    assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"][0] == notebook.COLORS["blue"]


def test_a_chapter_of_many_photographs_packs_its_pictures_tightly() -> None:
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from matplotlib_inline.config import InlineBackend\n"
        "from cropnb import notebook\n"
        "shell = InteractiveShell.instance()\n"
        "notebook.style(photographs=True, quality=60)\n"
        "print(InlineBackend.instance(parent=shell).print_figure_kwargs['pil_kwargs'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "{'quality': 60, 'optimize': True, 'progressive': True}"


def test_loss_curves_of_a_run() -> None:
    history = History(("score", "rank"), [(3.0, 1.0), (2.0, 0.5), (1.0, 0.25)])
    (axes,) = notebook.loss_curve(history).axes
    assert [line.get_label() for line in axes.lines] == ["score", "rank"]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [1, 0.5, 0.25])
    (axes,) = notebook.loss_curve([4, 2, 3, 1], smooth=2).axes
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [3, 2.5, 2])
    np.testing.assert_allclose(axes.lines[1].get_xdata(), [2, 3, 4])
    assert axes.lines[1].get_label() == "loss, mean of 2 steps"
    for empty in ([], {}, History(("score",), [])):
        with pytest.raises(ValueError, match="train"):
            notebook.loss_curve(empty)


def test_sample_photos_come_with_credits() -> None:
    pytest.importorskip("skimage", reason="the sample photographs come with scikit-image")
    photos = notebook.sample_photos()
    assert set(photos) == {"astronaut", "coffee", "chelsea", "rocket"}
    for photo, credit in photos.values():
        assert photo.mode == "RGB"
        assert min(photo.size) >= 300
        assert "CC0" in credit or "public domain" in credit


def test_nothing_of_the_book_is_imported_before_it_is_used() -> None:
    program = (
        "import sys, cropnb.notebook; "
        "print({'matplotlib', 'skimage', 'IPython', 'anywidget'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "set()"


def test_photos_side_by_side_are_large_and_carry_their_titles() -> None:
    wide, tall = Image.new("RGB", (400, 200)), Image.new("RGB", (200, 400))
    pictures = {"a": (wide, [[0, 0, 50, 50]]), "b": (tall, []), "c": (wide, [[9, 9, 20, 20]])}
    figure = notebook.draw_photos(pictures, colors="orange")
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") or ax.get_title() for ax in shown] == ["a", "b", "c"]
    assert len(figure.axes) == 4  # two rows of two, the last of them empty
    figure.canvas.draw()
    assert shown[0].get_window_extent().width > 300
    assert shown[1].get_window_extent().height > 300


@pytest.mark.parametrize(("pictures", "columns"), [({}, 2), ({"a": ("photo", [])}, 0)])
def test_no_photos_side_by_side_is_an_error(pictures: dict, columns: int) -> None:
    with pytest.raises(ValueError, match="give one or more of each"):
        notebook.draw_photos(pictures, columns=columns)


def test_shapes_are_printed_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    notebook.print_shapes(roi_features=torch.zeros(2, 3), x=torch.zeros(1))
    assert capsys.readouterr().out == "roi features [2, 3]\nx            [1]\n"


def test_a_folded_text_keeps_its_markdown_and_escapes_its_line() -> None:
    folded = notebook.folded("a < b", "| a |\n| --: |\n| 1 |")
    assert folded.startswith("<details><summary>a &lt; b</summary>\n\n| a |")
    assert folded.endswith("| 1 |\n\n</details>")
    assert folded._repr_markdown_() == folded
