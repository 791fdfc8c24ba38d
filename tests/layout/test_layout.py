"""The layout network: maps against plain loops, mirror images, wrong versions, its program."""

import math

import pytest
import torch

from cropnb import candidates, checkpoints, datasets, ledger
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, CheckpointError, ImageError
from cropnb.layout import LayoutNetwork, jittered, load_layout_network, object_maps
from cropnb.layout.maps import MAP_SIZE, MARGIN, SAMPLES, geometry, mirrored, seen_maps
from cropnb.layout.recipe import METHOD, Layouts, Profile, protocol
from cropnb.runs import Experiment
from cropnb.runs.program import main
from cropnb.training import generator

OBJECTS = torch.tensor([[[0.1, 0.2, 0.5, 0.9], [0.4, 0.3, 0.45, 0.4], [0.0, 0, 0, 0]]])
CROPS = torch.tensor([[[0.0, 0.1, 0.7, 0.9], [0.2, 0.0, 1.0, 0.8], [0.0, 0.0, 1.0, 1.0]]])
SIZE = torch.tensor([[400.0, 300.0]])


def network(sees_map=True):
    torch.manual_seed(0)
    return LayoutNetwork(sees_map).eval()


def plain_map(objects):
    """The same, cell by cell."""
    cells = [[0.0] * MAP_SIZE for _ in range(MAP_SIZE)]
    for x1, y1, x2, y2 in objects.tolist():
        share = (x2 - x1) * (y2 - y1)
        for row in range(MAP_SIZE):
            for column in range(MAP_SIZE):
                left, right = column / MAP_SIZE, (column + 1) / MAP_SIZE
                top, bottom = row / MAP_SIZE, (row + 1) / MAP_SIZE
                wide = max(min(right, x2) - max(left, x1), 0) * MAP_SIZE
                high = max(min(bottom, y2) - max(top, y1), 0) * MAP_SIZE
                if share > 0:
                    cells[row][column] += wide * high / math.sqrt(share)
    result = torch.tensor(cells)
    return result / result.max()


def plain_seen(layout, crop):
    """What a crop sees, point by point, bilinear between the centres of cells."""
    result = torch.zeros(2, SAMPLES, SAMPLES)
    x1, y1, x2, y2 = crop.tolist()
    for i in range(SAMPLES):
        for j in range(SAMPLES):
            along = [(one + 0.5) / SAMPLES * (1 + 2 * MARGIN) - MARGIN for one in (j, i)]
            x, y = x1 + (x2 - x1) * along[0], y1 + (y2 - y1) * along[1]
            column, row = x * MAP_SIZE - 0.5, y * MAP_SIZE - 0.5
            for r in (math.floor(row), math.floor(row) + 1):
                for c in (math.floor(column), math.floor(column) + 1):
                    weight = (1 - abs(row - r)) * (1 - abs(column - c))
                    if 0 <= r < MAP_SIZE and 0 <= c < MAP_SIZE:
                        result[0, i, j] += weight * layout[r, c]
                        result[1, i, j] += weight
    return result


def test_the_map_is_that_of_plain_loops():
    torch.testing.assert_close(object_maps(OBJECTS)[0], plain_map(OBJECTS[0]))
    assert object_maps(torch.zeros(2, 0, 4)).shape == (2, MAP_SIZE, MAP_SIZE)
    assert not object_maps(torch.zeros(1, 3, 4)).any()


def test_a_small_box_counts_more_than_a_large_one():
    small, large = object_maps(OBJECTS)[0, 11, 13], object_maps(OBJECTS)[0, 20, 6]
    assert small > 3 * large > 0


def test_what_a_crop_sees_is_that_of_plain_loops():
    layout = object_maps(OBJECTS)
    seen = seen_maps(layout, CROPS)
    assert seen.shape == (1, 3, 2, SAMPLES, SAMPLES)
    for one, crop in zip(seen[0], CROPS[0], strict=True):
        torch.testing.assert_close(one, plain_seen(layout[0], crop), rtol=1e-4, atol=1e-4)


def test_geometry_says_where_a_crop_lies_and_how_it_is_shaped():
    (values,) = geometry(SIZE, CROPS)[0, :1].tolist()
    expected = [0, 0.1, 0.7, 0.9, 0.7, 0.8, 0.56, math.log(280 / 240), math.log(400 / 300)]
    assert values == pytest.approx(expected, abs=1e-5)


def test_a_photo_and_its_mirror_image_get_the_same_scores():
    model, layout = network(), object_maps(OBJECTS)
    scores = model(layout, SIZE, CROPS)
    assert scores.shape == (1, 3)
    torch.testing.assert_close(object_maps(mirrored(OBJECTS[:, :2])), layout.flip(-1))
    torch.testing.assert_close(model(layout.flip(-1), SIZE, mirrored(CROPS)), scores)
    # not so with the crops alone mirrored, nor with rows and columns exchanged
    assert not torch.allclose(model(layout, SIZE, mirrored(CROPS)), scores, atol=1e-3)
    exchanged = object_maps(OBJECTS[..., [1, 0, 3, 2]])
    assert not torch.allclose(model(exchanged, SIZE, CROPS), scores, atol=1e-3)


def test_scores_depend_on_no_other_crop_or_photo_and_without_a_map_on_none():
    model, layout = network(), object_maps(OBJECTS)
    both = model(
        torch.cat([layout, torch.zeros_like(layout)]), SIZE.repeat(2, 1), CROPS.repeat(2, 1, 1)
    )
    torch.testing.assert_close(both[:1], model(layout, SIZE, CROPS))
    torch.testing.assert_close(model(layout, SIZE, CROPS[:, 1:2]), both[:1, 1:2])
    torch.testing.assert_close(model(layout, SIZE / 7, CROPS), both[:1])  # in any unit
    assert not torch.allclose(both[0], both[1], atol=1e-3)
    blind = network(sees_map=False)
    torch.testing.assert_close(
        blind(layout, SIZE, CROPS), blind(torch.zeros_like(layout), SIZE, CROPS)
    )


@pytest.mark.parametrize(
    ("maps", "sizes", "crops", "error", "match"),
    [
        (torch.zeros(32, 32), SIZE, CROPS, ImageError, r"\(32, 32\)"),
        (torch.full((1, 32, 32), 2.0), SIZE, CROPS, ImageError, "divide it by its maximum"),
        (torch.full((1, 32, 32), math.nan), SIZE, CROPS, ImageError, "NaN"),
        (torch.zeros(1, 32, 32), SIZE[0], CROPS, ImageError, "width and height"),
        (torch.zeros(1, 32, 32), 0 * SIZE, CROPS, ImageError, "above 0"),
        (torch.zeros(1, 32, 32), SIZE, CROPS[0], BoxError, r"\(3, 4\)"),
        (torch.zeros(1, 32, 32), SIZE, CROPS[..., [2, 1, 0, 3]], BoxError, "inverted"),
        (torch.zeros(1, 32, 32), SIZE, 400 * CROPS, BoxError, "normalise"),
    ],
)
def test_what_it_cannot_score_is_refused(maps, sizes, crops, error, match):
    with pytest.raises(error, match=match):
        network()(maps, sizes, crops)


def test_jitter_moves_edges_by_a_share_of_the_box_and_loses_boxes():
    boxes = torch.tensor([0.3, 0.4, 0.5, 0.6]).repeat(1, 4000, 1)
    moved = jittered(boxes, 0.08, 0.3, generator(0, "test"))
    lost = (moved == 0).all(dim=-1)
    assert lost.float().mean() == pytest.approx(0.3, abs=0.03)
    assert (moved[~lost] - boxes[0, 0]).std() == pytest.approx(0.08 * 0.2, rel=0.05)
    assert torch.equal(jittered(boxes, 0.0, 0.0, generator(0, "test")), boxes)


def test_padding_is_no_crop(tmp_path):
    anchors = candidates.grid_anchors(400, 300)
    samples = [
        Sample(name, 400, 300, anchors[:count], torch.arange(count) / 9.0, objects=anchors[:1])
        for name, count in (("few", 20), ("many", 60))
    ]
    photos = Layouts(CropDataset("x", "test", "gaicd", None, samples), torch.device("cpu"))
    assert photos.mask([0, 1]).sum(dim=1).tolist() == [20, 60]
    assert photos.mos[0, :20].mean().abs() < 1e-6
    assert all(len(values) == 2 for values in protocol(network(), photos).values())
    bare = [Sample("bare", 400, 300, anchors, torch.ones(len(anchors)))]
    with pytest.raises(BoxError, match=r"bare has no objects"):
        Layouts(CropDataset("x", "test", "gaicd", None, bare), torch.device("cpu"))


def test_training_learns_from_scenes_is_recorded_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(METHOD.profiles, "smoke", Profile(12, 4, 6, epochs=30))
    out = str(tmp_path / "runs")
    arguments = ["--variants", "objects", "jittered", "--out", out, "--device", "cpu"]
    assert main(METHOD, [*arguments, "--record"]) == 0
    rows = ledger.find("layout", table="scores without pixels", row="objects")
    assert {row.column for row in rows} >= {"SRCC", "Acc 1/5", "Acc 10"}
    assert {row.verdict for row in rows} == {"measured"}
    experiment = Experiment(METHOD, out=out, progress=False)
    run = experiment.run("objects", 0)
    model = load_layout_network(run.folder / "weights.safetensors")
    again = protocol(model, experiment.photos("test"))["SRCC"].mean().item()
    row = ledger.one("layout", row="objects", column="SRCC", dataset="scenes")
    assert row.ours == pytest.approx(again, abs=1e-4)
    checkpoints.save_weights(tmp_path / "other", model.state_dict(), {"method": "vrn"})
    with pytest.raises(CheckpointError, match="vrn"):
        load_layout_network(tmp_path / "other")


@pytest.mark.parametrize("method", ["gaic", "vrn", "asm_net", "set_prediction"])
def test_rows_on_layouts_stand_in_tables_of_their_own(method):
    """Every method of GAICD's form takes layouts, as GAICD and beside it."""
    import importlib

    from cropnb.runs.context import Context
    from cropnb.runs.rows import measured

    recipe = importlib.import_module(f"cropnb.{method}.recipe").METHOD
    experiment = Experiment(recipe, "gaicd_layouts", profile="trained", out=None)
    assert experiment.form == "gaicd"
    assert experiment.run(recipe.main, 0).identity["dataset"] == "gaicd_layouts"
    if method == "vrn":
        context = Context(method, "gaicd_layouts", ["--record"])
        row = measured(context, "Table 2", "FS", "Acc 5", [50.0, 60.0])
        assert (row.table, row.verdict) == ("Table 2, layouts", "not_comparable")
        assert row.paper_value == 55.5
        row.check()
    assert ledger.kind("gaicd_v2_layouts") == ledger.LAYOUTS != ledger.kind("gaicd_v2")


def test_the_recorded_rows_reach_what_the_book_says(real_data):
    """The ledger's row of the objects' boxes, and that place alone knows less."""
    if not (real_data / "gaicd/objects").is_dir():
        pytest.skip("CROPNB_DATA has no gaicd/objects, so no layout is scored")
    rows = {
        name: ledger.one(
            "layout", dataset="gaicd_layouts", row=name, column="SRCC", profile="cpu"
        ).ours
        for name in METHOD.variants
    }
    assert rows["objects"] >= 0.64
    assert rows["geometry alone"] < rows["jittered"] < rows["objects"]
    assert len(datasets.load("gaicd_layouts", "test", root=real_data / "gaicd")) == 200
