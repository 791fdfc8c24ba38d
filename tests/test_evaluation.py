"""Croppers against boxes that people drew: answers known beforehand, and the real photographs where
they are.
"""

import re

import pytest
import torch

from cropnb import croppers, evaluation, ledger
from cropnb.datasets.base import CropDataset, Sample
from cropnb.images import to_image
from cropnb.runs.context import Context

WIDTH, HEIGHT = 240, 160


def dataset(*truths):
    """Grey photos, one for each list of true boxes."""
    photo = to_image(torch.full((3, HEIGHT, WIDTH), 0.5))
    samples = [
        Sample(
            f"photo {i}",
            WIDTH,
            HEIGHT,
            torch.tensor(boxes, dtype=torch.float),
            load_photo=lambda: photo,
        )
        for i, boxes in enumerate(truths)
    ]
    return CropDataset("toy", "test", "flms", None, samples)


def test_the_full_frame_by_hand():
    values = evaluation.measure(
        croppers.load("full"), dataset([[0, 0, 120, 160]], [[0, 0, 240, 160]]), False, False
    )
    assert values["IoU"].tolist() == [0.5, 1.0]
    assert values["BDE"].tolist() == pytest.approx([0.125, 0.0])


def test_a_required_ratio_is_that_of_the_true_crop():
    square = dataset([[40, 0, 200, 160]])
    assert (
        evaluation.measure(croppers.load("center_window"), square, True, False)["IoU"].item() == 1
    )
    assert evaluation.measure(croppers.load("center_window"), square, False, False)[
        "IoU"
    ].item() == pytest.approx(2 / 3)


def test_both_numbers_come_from_the_best_matching_box():
    values = evaluation.measure(
        croppers.load("full"), dataset([[0, 0, 60, 80], [0, 0, 200, 160]]), False, False
    )
    assert values["IoU"].item() == pytest.approx(200 / 240)
    assert values["BDE"].item() == pytest.approx(40 / 240 / 4)


def test_smartcrop_answers_in_the_pixels_of_the_photo():
    photo = torch.full((3, HEIGHT, WIDTH), 0.5)
    photo[:, 40:120, 150:230] = torch.rand(3, 80, 80, generator=torch.Generator().manual_seed(0))
    for aspect in (None, 1.0):
        (box,), scores = evaluation.SmartCrop().propose(photo, aspect)
        assert scores is None
        x1, y1, x2, y2 = box.tolist()
        assert 0 <= x1 < x2 <= WIDTH
        assert 0 <= y1 < y2 <= HEIGHT
        assert (x2 - x1) / (y2 - y1) == pytest.approx(aspect or WIDTH / HEIGHT, rel=0.03)
    assert (x1 + x2) / 2 > WIDTH / 2  # the only thing there is lies on the right


@pytest.mark.parametrize("aspect", [1.0, 0.6, 16 / 9])
def test_libvips_tells_which_pixels_it_took(aspect):
    """The box against the crop itself, cut out of noise that has no two equal places."""
    import numpy as np
    import pyvips

    photo = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    photo[:, :, : WIDTH // 2] = 0.5
    (box,), scores = evaluation.VipsCrop().propose(photo, aspect)
    assert scores is None
    x1, y1, x2, y2 = (int(value) for value in box.tolist())
    assert (x2 - x1) / (y2 - y1) == pytest.approx(aspect, rel=0.02)
    array = np.asarray(to_image(photo))
    pixels = (
        pyvips.Image.new_from_array(array)
        .smartcrop(x2 - x1, y2 - y1, interesting="attention")
        .numpy()
    )
    assert (array[y1:y2, x1:x2] == pixels).all()


def test_libvips_without_a_ratio_takes_the_whole_photo():
    assert evaluation.VipsCrop().propose(torch.full((3, 20, 30), 0.5))[0].tolist() == [
        [0, 0, 30, 20]
    ]


class FarRight:
    """Likes what ends on the right; offers nothing but the middle itself."""

    name = "far_right"

    def candidates(self, width, height, aspect=None):
        return torch.tensor([[width / 4, height / 4, width * 3 / 4, height * 3 / 4]])

    def score_boxes(self, image, boxes):
        return boxes[:, 2] - boxes[:, 0] / 1000


def test_a_scoring_method_may_choose_among_many_windows_of_the_ratio():
    method = evaluation.ManyWindows(FarRight())
    windows = method.candidates(WIDTH, HEIGHT, 0.8)
    assert 1000 < len(windows) <= 1140
    cropper = croppers.Cropper(method)
    (crop,) = cropper(torch.full((3, HEIGHT, WIDTH), 0.5), aspect=0.8)
    x1, y1, x2, y2 = crop.box.tolist()
    assert x2 == WIDTH
    assert (x2 - x1) / (y2 - y1) == pytest.approx(0.8, rel=1e-3)
    assert method.candidates(WIDTH, HEIGHT).shape == (1, 4)
    assert evaluation.load("gaic, 1140 windows").name == "gaic, 1140 windows"
    other = evaluation.ManyWindows(FarRight(), other_sizes=True)
    assert other.name.endswith(", 1140 windows of other sizes")
    windows = other.candidates(WIDTH, HEIGHT, 0.8)
    shares = (windows[:, 2] - windows[:, 0]).unique() / (0.8 * HEIGHT)
    assert shares.min() == pytest.approx(0.425, abs=1e-3)
    assert shares.max() == pytest.approx(1)
    assert evaluation.load("gaic, 1140 windows of other sizes").name.startswith("gaic, 1140")


def test_rows_compare_with_the_centred_window_photo_by_photo(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    photos = dataset([[20, 10, 220, 150]], [[0, 0, 240, 160]])
    context = Context(evaluation.NAME, photos.name, ["--methods", "full"], module="trial")
    rows = [
        row
        for table in (evaluation.FREE, evaluation.REQUIRED)
        for row in evaluation.rows(table, ["full"], photos, context)
    ]
    ledger.record(evaluation.NAME, rows)
    assert {(row.table, row.row) for row in rows} == {
        (evaluation.FREE, "center"),
        (evaluation.FREE, "full"),
        (evaluation.REQUIRED, "center_window"),
        (evaluation.REQUIRED, "full"),
    }
    for row in rows:
        assert row.images == 2
        assert row.low <= row.ours <= row.high
        assert ("paired by photo" in row.note) == row.row.startswith("full")
    free = ledger.one(evaluation.NAME, table=evaluation.FREE, row="full", column="IoU")
    assert free.ours == pytest.approx((200 * 140 / 240 / 160 + 1) / 2, abs=1e-4)


def test_missing_photos_are_said_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    assert evaluation.main(["--methods", "full"]) == 2
    assert "data_scripts" in capsys.readouterr().err


def test_the_recorded_baselines_come_out_again(real_data, capsys):
    assert evaluation.main(["--methods", "full"]) == 0
    printed = capsys.readouterr().out
    for name, table in (
        ("full", evaluation.FREE),
        ("center", evaluation.FREE),
        ("center_window", evaluation.REQUIRED),
    ):
        written = ledger.one(evaluation.NAME, table=table, row=name, column="IoU", dataset="fcdb")
        assert written.images == 48
        start = f"fcdb · {table} · {name} · IoU: "
        (line,) = (line for line in printed.splitlines() if line.startswith(start))
        ours, low, high = map(float, re.findall(r"\d+\.\d+", line.removeprefix(start))[:3])
        assert (ours, low, high) == pytest.approx(
            (written.ours, written.low, written.high), abs=1e-3
        )


@pytest.mark.slow
def test_the_recorded_croppers_come_out_again(real_data):
    from cropnb import datasets

    photos = datasets.load("fcdb", "test").with_photos()
    for name in ("gaic", "vrn"):
        written = ledger.one(
            evaluation.NAME, table=evaluation.FREE, row=name, column="IoU", dataset="fcdb"
        )
        overlap = (
            evaluation.measure(evaluation.load(name), photos, False, False)["IoU"].mean().item()
        )
        # a near tie of two anchors may fall otherwise elsewhere
        assert overlap == pytest.approx(written.ours, abs=0.01)
