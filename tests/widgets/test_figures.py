"""The figures as Python objects: what they accept, what they say, and that they say it in the same
bytes each time.
"""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cropnb import metrics
from cropnb.errors import BoxError, ImageError
from cropnb.notebook import COLORS
from cropnb.widgets import CandidateScores, CompositionRules, CropExplorer, ScoreTerms
from cropnb.widgets.base import MAX_URI, data_uri


def test_a_figure_carries_a_still_picture_and_its_numbers(figure: Any) -> None:
    data, _ = figure._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == figure.model_id
    assert " at 0x" not in data["text/plain"]
    assert any(character.isdigit() for character in data["text/plain"])
    still = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert min(still.size) > 250
    assert np.asarray(still).std() > 20  # not a blank
    again, _ = figure._repr_mimebundle_()
    assert again == data


def drawn_colors(figure: Any) -> list[str]:
    """The colours of the boxes on a figure's still picture, in the order in which they lie."""
    from matplotlib.figure import Figure as StillPicture

    ax = StillPicture().subplots()
    figure._draw(ax)
    return [line.get_color() for line in ax.lines[1::2]]  # without the line below each


def test_truth_is_black_and_the_readers_crop_yellow(photo: Image.Image) -> None:
    truths = [[10, 10, 60, 60], [20, 20, 80, 70]]
    black, yellow = COLORS["black"], COLORS["yellow"]
    assert drawn_colors(CropExplorer(photo, truths)) == [black, black, yellow]


def test_the_program_is_one_module_of_its_own(figure: Any) -> None:
    program = figure._esm
    assert "\nimport " not in program
    assert program.count("\nexport ") == 1
    assert "http://www.w3.org" in program  # the name of SVG, and no other address
    assert program.count("http") == 1


def test_the_photo_fits_its_budget_whatever_it_shows() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1400, 3)).astype(np.uint8)
    uri = data_uri(Image.fromarray(noise))
    assert len(uri) <= MAX_URI
    shown = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert shown.width / shown.height == pytest.approx(1400 / 900, rel=0.02)
    assert uri == data_uri(Image.fromarray(noise))
    plain = Image.open(
        io.BytesIO(base64.b64decode(data_uri(Image.new("RGB", (1000, 500), "teal")).split(",")[1]))
    )
    assert plain.size == (640, 320)
    assert Image.open(
        io.BytesIO(base64.b64decode(data_uri(Image.new("RGB", (60, 30))).split(",")[1]))
    ).size == (60, 30)


def test_explorer_measures_what_the_metrics_measure(explorer: CropExplorer) -> None:
    explorer.box = [190, 50, 440, 290]
    values = explorer.values()
    truth = torch.tensor([200.0, 60, 460, 300])
    overlap, shift = metrics.iou_and_bde(torch.tensor(explorer.box).float(), truth[None], 480, 320)
    assert values["truth"] == 1
    assert values["iou"] == pytest.approx(float(overlap))
    assert values["bde"] == pytest.approx(float(shift))
    assert values["offset"] == pytest.approx(np.hypot(315 - 330, 170 - 180))
    explorer.box = explorer.truths[1]
    perfect = explorer.values()
    assert (perfect["iou"], perfect["bde"], perfect["offset"], perfect["rank"]) == (1, 0, 0, 1)
    explorer.box = [0, 0, 30, 30]
    assert explorer.values()["rank"] == len(explorer.candidates) + 1


def test_explorer_takes_one_true_box_and_nothing_else(photo: Image.Image) -> None:
    figure = CropExplorer(photo, [40, 20, 300, 280])
    assert figure.truths == [[40, 20, 300, 280]]
    assert set(figure.values()) == {"truth", "iou", "bde", "offset"}
    assert figure.box == [72, 48, 408, 272]


def test_candidate_scores_against_the_first_column(
    candidate_scores: CandidateScores, columns: dict
) -> None:
    a, b = (torch.tensor(columns[name]) for name in ("model", "annotators"))
    assert candidate_scores.column == "model"
    values = candidate_scores.values()
    assert values["acc"] == pytest.approx(float(metrics.acc_kn(a, b, 4, 5)))
    assert values["srcc"] == pytest.approx(float(metrics.srcc(a, b)))
    candidate_scores.column = "annotators"
    assert candidate_scores.values()["srcc"] == pytest.approx(1)
    alone = CandidateScores(
        candidate_scores._image, candidate_scores.boxes, {"model": columns["model"]}, k=500, n=500
    )
    assert alone.values() == {}
    assert alone.k == len(alone.boxes)


def test_composition_reports_the_nearest_chosen_rule(composition: CompositionRules) -> None:
    # The left upper power point of the crop is (160, 106.67); the diagonal through (150, 120) is
    # less near.
    distance = np.hypot(150 - 160, 120 - (40 + 200 / 3)) / np.hypot(300, 200)
    composition.rules = ["thirds"]
    assert composition.values() == pytest.approx(
        {"aspect": 1.5, "share": 60_000 / 153_600, "distance": distance}
    )
    composition.rules = []
    assert "distance" not in composition.values()


def test_score_terms_follow_the_weights(score_terms: ScoreTerms) -> None:
    terms = np.array(score_terms.terms)
    expected = (22 * terms[0] + 10 * terms[1]) / 32
    assert score_terms.values() == pytest.approx(
        {"best": expected.argmax(), "total": expected.max(), "rise": 0, "same": 1}
    )
    score_terms.weights = [0, 0, 5]
    values = score_terms.values()
    assert values["best"] == terms[2].argmax()
    assert values["total"] == pytest.approx(terms[2].max())
    assert values["rise"] == np.argsort(-expected, kind="stable").tolist().index(values["best"])
    assert values["same"] < 0.9


BOX = [10, 10, 100, 100]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda photo: CropExplorer("missing.jpg", BOX), ImageError),
        (lambda photo: CropExplorer(np.zeros((0, 4, 3), np.uint8), BOX), ImageError),
        (lambda photo: CropExplorer(photo, []), BoxError),
        (lambda photo: CropExplorer(photo, [[10, 10, 9, 100]]), BoxError),
        (lambda photo: CropExplorer(photo, [[10, 10, 481, 100]]), BoxError),
        (lambda photo: CropExplorer(photo, [[10, float("nan"), 48, 100]]), BoxError),
        (lambda photo: CropExplorer(photo, BOX, [[0, 0, 10]]), BoxError),
        (lambda photo: CropExplorer(photo, BOX, [BOX], [1, 2]), BoxError),
        (lambda photo: CropExplorer(photo, BOX, None, [1]), BoxError),
        (lambda photo: CropExplorer(photo, BOX, box=[0, 0, 1000, 10]), BoxError),
        (lambda photo: CropExplorer(photo, BOX, box=[0, 0, 0.3, 10]), BoxError),
        (lambda photo: CandidateScores(photo, BOX, {"a": [1]}), BoxError),
        (lambda photo: CandidateScores(photo, [BOX], {}), BoxError),
        (lambda photo: CandidateScores(photo, [BOX], {"a": [1], "b": [1]}), BoxError),
        (lambda photo: CandidateScores(photo, [BOX, BOX], {"a": [1, float("inf")]}), BoxError),
        (lambda photo: CandidateScores(photo, [BOX, BOX], {"a": [1, 2]}, column="b"), BoxError),
        (lambda photo: CandidateScores(photo, [BOX, BOX], {"a": [1, 2]}, k=0), BoxError),
        (lambda photo: CompositionRules(photo, [[0, 0, 9, 9], [0, 0, 9, 9]]), BoxError),
        (lambda photo: CompositionRules(photo, BOX, subject=(500, 10)), BoxError),
        (lambda photo: CompositionRules(photo, BOX, subject=(5, 10, 15)), BoxError),
        (lambda photo: CompositionRules(photo, BOX, rules="spiral"), BoxError),
        (lambda photo: ScoreTerms(photo, [BOX, BOX], {"a": [1, 2]}, {"b": 1}), BoxError),
        (lambda photo: ScoreTerms(photo, [BOX, BOX], {}, {}), BoxError),
        (lambda photo: ScoreTerms(photo, [BOX], {"a": [1]}, {"a": 1}), BoxError),
        (lambda photo: ScoreTerms(photo, [BOX, BOX], {"a": [1, 2, 3]}, {"a": 1}), BoxError),
        (lambda photo: ScoreTerms(photo, [BOX, BOX], {"a": [1, 2]}, {"a": -1}), BoxError),
    ],
)
def test_bad_input_is_refused_with_a_typed_error(
    photo: Image.Image, make, error: type[Exception]
) -> None:
    with pytest.raises(error):
        make(photo)


def test_state_is_checked_when_it_changes(
    explorer: CropExplorer, candidate_scores: CandidateScores
) -> None:
    with pytest.raises(BoxError):
        explorer.box = [0, 0, 481, 100]
    with pytest.raises(BoxError):
        candidate_scores.k = 0
    assert explorer.box[2] <= 480


def test_float32_anchors_that_round_past_the_edge_are_taken(photo: Image.Image) -> None:
    edge = torch.tensor([[0.0, 0.0, 480.00003, 320.0]])
    assert CropExplorer(photo, edge).truths == [[0, 0, 480, 320]]


NOTEBOOK_CELL = """
import numpy as np
from cropnb.widgets import CompositionRules, CropExplorer
photo = np.arange(60 * 90 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 90, 3)
"""


def test_a_notebook_has_the_same_bytes_on_every_run(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("papermill")
    cells = [
        NOTEBOOK_CELL,
        "CropExplorer(photo, [10, 10, 60, 50])",
        "CropExplorer(photo, [10, 10, 60, 50])",
    ]
    cells.append("CompositionRules(photo, [10, 10, 60, 50])")
    cells += [
        "from cropnb import notebook\nnotebook.style()",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);",
    ]
    cells.append("notebook.loss_curve([3, 2, 1])")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, tmp_path / "in.ipynb")
    running = []
    for seed, name in enumerate(("first", "second")):
        command = [
            sys.executable,
            "-m",
            "papermill",
            "in.ipynb",
            f"{name}.ipynb",
            "--no-progress-bar",
        ]
        # Another hash seed each time, so that an order taken from a set would show.
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"}
        running.append(
            subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        )
    for process in running:
        _, problem = process.communicate(timeout=300)
        assert process.returncode == 0, problem.decode()
    runs = [
        json.loads((tmp_path / f"{name}.ipynb").read_text("utf-8")) for name in ("first", "second")
    ]
    outputs, states = [], []
    for run in runs:
        outputs.append([cell["outputs"] for cell in run["cells"]])
        states.append(run["metadata"]["widgets"])
    assert outputs[0] == outputs[1]
    assert json.dumps(states[0]) == json.dumps(states[1])
    views = [
        cell[0]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
        for cell in outputs[0][1:4]
    ]
    # Two figures of one content are two widgets.
    assert len(set(views)) == 3
    models = states[0]["application/vnd.jupyter.widget-state+json"]["state"]
    assert set(views) < set(models)
    assert len(models) == 6
    for cell in outputs[0][5:]:
        (picture,) = [base64.b64decode(output["data"]["image/png"]) for output in cell]
        assert picture.startswith(b"\x89PNG")
        assert b"Software" not in picture  # the version of matplotlib would change the bytes
