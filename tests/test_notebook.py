"""What the chapters print and draw with."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cropnb import boxes, ledger, notebook
from cropnb.errors import BoxError, ImageError, LedgerError
from cropnb.ledger import Row
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
        paper="vrn", table="Table 2", row="full | all", column="Acc 5", dataset="gaicd", split="test",
        verdict="pending", paper_value=79.6, note="no photos here",
    )  # fmt: skip
    ledger.record("vrn", [measured, drawn, pending])
    return tmp_path


def lines(table: notebook.Markdown) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def test_source_is_shown_as_it_is_in_the_package() -> None:
    shown = notebook.show_source(boxes.iou, Row.check)
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


def test_ledger_table_takes_any_fields_and_refuses_others(results: Path) -> None:
    head, _, row = lines(notebook.ledger_table("vrn", "Table 1", ["row", "dataset", "command"]))
    assert head == ["Row", "Measured on", "Command"]
    assert row == ["VRN", "gaicd", "python -m cropnb.vrn"]
    for wrong in ({"table": "Table 9"}, {"columns": ["color"]}):
        with pytest.raises(LedgerError):
            notebook.ledger_table("vrn", **wrong)
    with pytest.raises(LedgerError, match="no rows"):
        notebook.ledger_table("nobody")


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
    program = "import sys, cropnb.notebook; print({'matplotlib', 'skimage', 'IPython', 'anywidget'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "set()"
