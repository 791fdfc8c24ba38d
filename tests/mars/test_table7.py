"""Table 7's protocol: each true box at its own ratio, and rows that say what was measured."""

import argparse

import pytest
import torch

from cropnb import croppers, datasets, ledger
from cropnb.croppers import Cropper
from cropnb.mars.studies import table7


class Told:
    """Proposes the largest true box that has the required ratio, moved to the right by `shift`
    pixels.
    """

    name = "told"

    def __init__(self, dataset, shift=0.0):
        self.boxes = torch.cat([sample.boxes for sample in dataset])
        self.shift = shift

    def propose(self, image, aspect=None):
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        box = self.boxes[(sides[:, 0] / sides[:, 1] - aspect).abs().argmin()].clone()
        box[[0, 2]] += self.shift
        return box[None], None


def test_each_box_is_asked_for_at_its_own_ratio():
    dataset = datasets.load("scenes", "test", form="fcdb", size=1)
    perfect = table7.measure(Cropper(Told(dataset)), dataset, progress=False)
    assert perfect["IoU"] == pytest.approx([1.0], abs=1e-4)
    moved = table7.measure(Cropper(Told(dataset, shift=8.0)), dataset, progress=False)
    assert moved["Offset"] == pytest.approx([8.0], abs=1e-3)
    assert moved["BDE"] == pytest.approx([2 * 8 / dataset[0].size[0] / 4], abs=1e-5)


@pytest.mark.parametrize("form", ["flms", "fat"])
def test_how_boxes_of_a_photo_share_its_weight(form):
    dataset = datasets.load("scenes", "test", form=form, size=6)
    number = [len(sample.boxes) for sample in dataset]
    assert len(set(number)) > 1, "the test says nothing otherwise"
    cropper = croppers.load("center_window")
    ours = torch.tensor(table7.measure(cropper, dataset, progress=False)["IoU"])
    each = []
    for sample in dataset:
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        ratios = sides[:, 0] / sides[:, 1] if sample.aspects is None else sample.aspects
        crops = torch.stack(
            [cropper(sample.photo(), aspect=float(ratio))[0].box for ratio in ratios]
        )
        low, high = (
            torch.maximum(crops[:, :2], sample.boxes[:, :2]),
            torch.minimum(crops[:, 2:], sample.boxes[:, 2:]),
        )
        shared = (high - low).clamp(min=0).prod(1)
        area = (crops[:, 2:] - crops[:, :2]).prod(1) + sides.prod(1) - shared
        each.append(shared / area)
    of_boxes, of_photos = (
        torch.cat(each).mean().item(),
        torch.stack([values.mean() for values in each]).mean().item(),
    )
    assert abs(of_boxes - of_photos) > 1e-4
    assert ours.mean().item() == pytest.approx(of_boxes if form == "fat" else of_photos, abs=1e-5)


def test_the_program_records_rows_of_scenes_without_the_printed_number(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    given = ["--photos", "3", "--forms", "fcdb", "--record"]
    assert table7.main(given) == 0
    cells = {(row.table, row.row, row.column) for row in ledger.read("mars")}
    places = table7.places(given)
    assert cells == {(place.table, place.row, one) for place in places for one in place.columns}
    row = ledger.one("mars", table="Table 7, FCDB", row="Mars, MobileNetV2", column="BDE")
    assert (row.dataset, row.images, row.verdict, row.paper_value) == (
        "scenes",
        3,
        "measured",
        None,
    )
    assert row.seeds
    assert "less the centred window" in row.note
    assert ledger.one("mars", row="largest centred window", column="IoU").seeds == ()
    assert "Mars, MobileNetV2" in capsys.readouterr().out
    assert table7.main(["--photos", "0"]) == 2


def test_true_crops_have_the_sizes_of_the_usual_windows_and_not_of_the_others() -> None:
    dataset = datasets.load("scenes", "test", form="fat", size=4)
    context = table7.Context("mars", "scenes", [], "cropnb.mars.studies.table7")
    rows = {(row.row, row.column): row for row in table7.window_sizes(context, dataset)}
    usual, other = (
        rows[name, table7.SAME_SIZE].ours for name in (table7.USUAL_SIZES, table7.OTHER_SIZES)
    )
    assert usual > 2 * other
    places = table7.places(["--window-sizes", "--forms", "fat"])
    assert set(rows) == {(place.row, column) for place in places for column in place.columns}
    assert {row.table for row in rows.values()} == {place.table for place in places}
    for name in (table7.USUAL_SIZES, table7.OTHER_SIZES):
        assert 0.8 < rows[name, table7.NEAREST].ours < 1
    assert "less 40, 45" in rows[table7.OTHER_SIZES, table7.NEAREST].note


def test_windows_of_other_sizes_are_paired_with_the_usual_ones():
    dataset = datasets.load("scenes", "test", form="fat", size=2)
    context, before = table7.Context("mars", "scenes", []), {}
    for name, shift in (("told, 1140 windows", 0.0), ("told, 1140 windows of other sizes", 8.0)):
        against = (name, Cropper(Told(dataset, shift)), dataset, 2)
        rows = table7.rows(context, *against, before)
    by_column = {row.column: row.note for row in rows}
    assert "less told, 1140 windows: +8" in by_column["Offset"]
    assert "less the centred window" in by_column["IoU"]


def test_runs_on_another_dataset_are_measured_in_place_of_what_ships(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CROPNB_RUNS", str(tmp_path))
    assert table7.main(["--trained-on", "fat"]) == 2
    assert "fat-fat-retrained" in capsys.readouterr().err
    chosen = argparse.Namespace(trained_on="fat", weights=None)
    names = [path.parent.name for path in table7.weights(chosen)]
    assert [name.rpartition("-")[0].rpartition("-")[0] for name in names] == ["Mars", "vgg16-c4-3"]


def test_a_network_trained_on_scenes_is_not_compared_with_print(real_data):
    dataset, listed = table7.photos("fcdb", "fcdb", 2)
    context = table7.Context("mars", "fcdb", [], "cropnb.mars.studies.table7")
    ours = table7.rows(context, "mars", croppers.load("mars"), dataset, listed)
    assert {row.verdict for row in ours} == {"not_comparable"}
    assert ours[0].paper_value == 0.735
    assert "trained on scenes" in ours[0].note
    assert ours[0].low < ours[0].ours < ours[0].high  # two of some hundred photos: widened
