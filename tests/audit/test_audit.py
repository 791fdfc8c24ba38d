"""The audit's measurements, each against a plain calculation, and what they give on GAICD's
annotations.
"""

import dataclasses
import itertools
import math
from dataclasses import replace

import pytest
import torch

from cropnb import baselines, candidates, datasets, ledger
from cropnb import boxes as box_math
from cropnb.audit import __main__ as program
from cropnb.audit import blind, curves, epochs, rows, shares, tolerance
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import LedgerError, MetricError
from cropnb.runs import Experiment, Result, plan
from cropnb.runs.context import Context

CONTEXT = Context(program.NAME, "scenes", [])
BOXES = torch.tensor([[0.0, 0, 100, 100], [0, 0, 100, 90], [50, 0, 100, 100], [0, 0, 100, 50]])


def one_photo(scores: list[float]) -> CropDataset:
    return CropDataset(
        "gaicd", "test", "gaicd", None, [Sample("a", 100, 100, BOXES, torch.tensor(scores))]
    )


def test_the_bracket_of_tied_best_crops():
    tied = one_photo([4.5, 2.0, 4.5, 1.0])  # the first and the third crop are best

    def bracket(*indices: int, eps: float = 0.85) -> list[float]:
        return [
            value.item()
            for value in blind.hits(tied, lambda sample: sample.boxes[list(indices)], eps)
        ]

    assert bracket(1) == [1, 1, 0]  # IoU 0.9 with the first, 0.47 with the third
    assert bracket(2) == [0, 1, 0]
    assert bracket(1, 2) == [1, 1, 1]
    assert bracket(3) == [0, 0, 0]
    assert bracket(1, eps=0.9) == [1, 1, 0]  # at the threshold itself
    assert bracket(1, eps=1.0) == [0, 0, 0]
    assert bracket(0, eps=1.0) == [1, 1, 0]


def test_the_grid_holds_every_best_crop():
    bracket = blind.hits(one_photo([1.0, 4.0, 4.0, 4.0]), blind.grid, 1.0)
    assert [value.item() for value in bracket] == [1, 1, 1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_random_anchors_by_counting_all_draws(count):
    tied = one_photo([4.5, 2.0, 4.5, 1.0])
    bracket = blind.random_anchor_hits(tied, count, 0.85)
    draws = list(itertools.combinations(range(4), count))
    # near the first: itself and the second
    first = sum(bool({0, 1} & set(drawn)) for drawn in draws) / len(draws)
    either = sum(bool({0, 1, 2} & set(drawn)) for drawn in draws) / len(draws)
    worst = sum(2 in drawn for drawn in draws) / len(draws)  # the third has no neighbour
    assert [value.item() for value in bracket] == pytest.approx([first, either, worst])


def test_random_boxes_come_near_as_often_as_they_do():
    sample = one_photo([4.5, 2.0, 1.0, 1.0])
    once = blind.random_box_hits(sample, 1, 0.6).first.item()
    assert blind.random_box_hits(sample, 3, 0.6).first.item() == pytest.approx(1 - (1 - once) ** 3)
    assert 0.1 < once < 0.9
    assert blind.random_box_hits(sample, 1, 1.0).first.item() == 0


def test_neighbours_counts_the_best_itself():
    assert blind.neighbours(one_photo([4.5, 2.0, 1.0, 1.0]), 0.85).tolist() == [2]
    assert blind.neighbours(one_photo([4.5, 2.0, 1.0, 1.0]), 1.0).tolist() == [1]


def test_an_oracle_on_the_grid_misses_what_was_drawn_freely():
    anchor = candidates.grid_anchors(400, 300)[0]
    small = torch.tensor([10.0, 10, 60, 60])
    drawn = CropDataset(
        "flms", "test", "flms", None, [Sample("a", 400, 300, torch.stack([anchor, small]))]
    )
    one, share = blind.reachable(drawn, 1.0)
    assert (one.item(), share.item()) == (1, 0.5)


def test_photos_without_scores_are_refused():
    drawn = CropDataset("flms", "test", "flms", None, [Sample("a", 100, 100, BOXES)])
    with pytest.raises(MetricError, match="none is best"):
        blind.hits(drawn, blind.grid, 0.85)


@pytest.mark.parametrize("photos", [7, 200, 500])
def test_shares_by_trying_all(photos):
    possible = {round(100 * k / photos, 1) for k in range(photos + 1)}
    for tenths in range(1001):
        assert shares.is_share(tenths / 10, photos) == (tenths / 10 in possible), tenths


def test_a_share_rounded_either_way_is_possible():
    assert shares.is_share(12.5, 80)
    assert shares.is_share(6.3, 80)  # 5 of 80 is 6.25
    assert shares.is_share(6.2, 80)
    assert not shares.is_share(6.4, 80)
    with pytest.raises(MetricError, match="at least one"):
        shares.is_share(50, 0)


def test_the_papers_own_impossible_shares():
    impossible = {
        (one.method, one.table, one.row, one.column, one.printed)
        for one in shares.impossible_shares()
    }
    assert impossible >= {
        ("vrn", "Table 2", "RGL", "Acc 1/10", 79.6),
        ("set_prediction", "Table 1", "ASM-Net", "ACC 1/5", 54.3),
        ("set_prediction", "Table 1, v2", "A2-RL", "ACC 1/10", 39.5),
        ("set_prediction", "Table 1, v2", "VPN", "ACC 1/10", 48.5),
        ("set_prediction", "Table 1, v2", "VEN", "ACC 1/5", 37.5),
        ("set_prediction", "Table 1, v2", "VEN", "ACC 1/10", 50.5),
    }
    assert not any(row.startswith("Ours") for _, _, row, _, _ in impossible)
    assert all(one.nearest[0] < one.printed < one.nearest[1] for one in shares.impossible_shares())


def test_three_ways_to_choose_an_epoch():
    validation, test = torch.tensor([0.1, 0.5, 0.5, 0.2]), torch.tensor([0.6, 0.3, 0.9, 0.4])
    assert epochs.selection(validation, test) == pytest.approx((0.4, 0.3, 0.9))
    with pytest.raises(MetricError, match="both"):
        epochs.selection(validation, test[:3])
    with pytest.raises(MetricError, match="finish the run"):
        epochs.selection(validation, torch.tensor([0.6, math.nan, 0.9, 0.4]))


def predicted(sample: Sample, scores: torch.Tensor) -> tolerance.Prediction:
    order = scores.argsort(descending=True, stable=True)
    return tolerance.Prediction([sample.boxes[order]], [scores.double()])


def test_crops_that_a_method_finds_itself_have_no_acc_1n():
    dataset = one_photo([4.5, 2.0, 3.0, 1.0])
    hits = tolerance.columns(
        tolerance.Prediction([torch.tensor([[0.0, 0, 100, 90]]).double()]), dataset
    )
    assert set(hits) == {f"ACC 1/{n}, ε = {e:.2f}" for n in (5, 10) for e in blind.EPSILONS}
    assert hits["ACC 1/5, ε = 0.90"].item() == 1
    assert hits["ACC 1/5, ε = 1.00"].item() == 0


def test_the_same_predictions_by_both_metrics():
    photo = one_photo([4.5, 2.0, 3.0, 1.0]).samples[0]
    sample = Sample(
        "a", 100, 100, photo.boxes.repeat(3, 1), torch.cat([photo.scores, torch.rand(8)])
    )
    many = CropDataset("gaicd", "test", "gaicd", None, [sample])
    scores = torch.zeros(12)
    scores[1] = 1.0  # chooses the crop of score 2.0, which overlaps the best one by 0.9
    hits = tolerance.columns(predicted(sample, scores), many)
    # only the best, the third and the second have scores above those of the rest
    assert hits["Acc 1/5"].item() == 1
    assert hits["ACC 1/5, ε = 0.85"].item() == hits["ACC 1/5, ε = 0.90"].item() == 1
    hits = tolerance.columns(predicted(sample, -sample.scores), many)
    assert hits["Acc 1/5"].item() == 0
    assert set(hits) == {"Acc 1/5", "Acc 1/10"} | {
        f"ACC 1/{n}, ε = {e:.2f}" for n in (5, 10) for e in blind.EPSILONS
    }


def finished_run(folder, form: str, seed: int, photos: int, test: list[float], **changed) -> None:
    """A result file as the engine keeps it, with one column of scores for each epoch."""
    experiment = Experiment(plan.method_named("set_prediction"), form=form, profile="cpu", out=None)
    fixed = dict.fromkeys((field.name for field in dataclasses.fields(Result)), "")
    fixed |= {
        "method": "set_prediction",
        "variant": "QG",
        "dataset": "scenes",
        "form": form,
        "profile": "cpu",
        "init": "imagenet",
        "frozen": False,
        "seed": seed,
        "photos": photos,
        "minutes": 1.0,
        "settings": {},
        "validation": [],
        "columns": {},
        "best": {},
        "config_hash": experiment.run("QG", seed).config_hash,
        "details": {"epochs": [[[value / 2], [value]] for value in test], "epoch_columns": ["AP"]},
    }
    folder = folder / "set_prediction" / f"scenes-{form}-cpu" / f"QG-seed{seed}"
    folder.mkdir(parents=True)
    Result(**fixed | changed).write(folder)


def test_epoch_rows_read_what_runs_keep(tmp_path, capsys):
    finished_run(tmp_path, "gaicd", 0, 200, [0.2, 0.4, 0.3])
    finished_run(tmp_path, "gaicd", 1, 200, [0.5, 0.1, 0.1])
    finished_run(tmp_path, "cpc", 2, 500, [0.5, 0.1, 0.1])
    finished_run(tmp_path, "gaicd", 3, 200, [0.9, 0.9, 0.9], config_hash="another")
    finished_run(tmp_path, "gaicd", 4, 200, [0.9], method="vrn", variant="FS", details={})
    damaged = tmp_path / "set_prediction" / "scenes-gaicd-cpu" / "QG-seed5" / "result.json"
    damaged.parent.mkdir()
    damaged.write_text('{"method"')
    measured = rows.epoch_rows(CONTEXT, tmp_path)
    assert {row.row.split(", ")[1]: (row.images, row.seeds) for row in measured} == {
        "scenes-cpc-cpu": (500, (2,)),
        "scenes-gaicd-cpu": (200, (0, 1)),
    }
    left_out = capsys.readouterr().out
    assert "other settings" in left_out
    assert "cut short" in left_out
    measured = [row for row in measured if "gaicd" in row.row]
    values = {row.row.rpartition(", ")[2]: row.ours for row in measured}
    assert values == pytest.approx(
        {
            "last epoch": 20,
            "best on validation": 45,
            "best on test": 45,
            "best on validation less last": 25,
            "best on test less last": 25,
            "best on test less best on validation": 0,
        }
    )
    for row in measured:
        row.check()
        assert row.seeds == (0, 1)


def test_rows_on_the_real_annotations(real_data):
    training, test = (
        datasets.load("gaicd", split, root=real_data / "gaicd") for split in ("train", "test")
    )
    ties = sum(len(blind.tied_best(sample)) > 1 for sample in test.samples)
    assert ties == 77
    cells = baselines.covering_anchors(training, 10, 0.85)
    bracket = [
        100 * value.mean().item() for value in blind.hits(test, blind.fixed_anchors(cells), 0.85)
    ]
    assert bracket[0] == pytest.approx(77.5)
    assert bracket[2] < bracket[0] < bracket[1]
    assert bracket[0] == pytest.approx(100 * blind.cover_curve(training, test, 0.85)[9].item())
    random = blind.random_anchor_hits(test, 10, 0.85).first.mean().item()
    assert 100 * random < bracket[0]
    # What is committed is what is measured.
    for row in ledger.find(program.NAME, dataset="gaicd", table="content-blind, first of the tied"):
        if (
            row.row == "fixed anchors that cover the training crops"
            and row.column == "ACC 1/10, ε = 0.85"
        ):
            assert row.ours == pytest.approx(bracket[0], abs=1e-3)


def test_matching_rows_keep_the_ledgers_rules(real_data, monkeypatch):
    training, test = (
        datasets.load("gaicd", split, root=real_data / "gaicd") for split in ("train", "test")
    )
    monkeypatch.setattr(rows, "SAMPLES", 10)
    measured = rows.matching_rows(replace(CONTEXT, dataset="gaicd"), training, test)
    for row in measured:
        row.check()
    assert len({row.key for row in measured}) == len(measured) == 36
    by_place = {(row.table, row.row, row.column): row.ours for row in measured}
    for table, row, column in list(by_place):
        if table == "AP, difference":
            both = (
                by_place["AP, the last free true box", row, column]
                - by_place["AP, COCO's", row, column]
            )
            assert by_place[table, row, column] == pytest.approx(both, abs=1e-3)
    # The rule of the last free box is no constant: it helps a blind set and harms a near-perfect
    # one.
    differences = [value for (table, *_), value in by_place.items() if table == "AP, difference"]
    assert min(differences) < -5 < 1 < max(differences)


def many_photos(count: int = 6) -> CropDataset:
    """Photos of 400 × 300 whose anchors have scores of one decimal, so that some tie for best."""
    anchors = candidates.grid_anchors(400, 300)
    rng = torch.Generator().manual_seed(3)
    samples = [
        Sample(
            str(n),
            400,
            300,
            anchors,
            torch.randint(10, 35, (len(anchors),), generator=rng) / 10,
        )
        for n in range(count)
    ]
    return CropDataset("scenes", "test", "gaicd", None, samples)


def test_curves_are_the_brackets_at_every_threshold_and_number():
    dataset = many_photos()
    assert any(len(blind.tied_best(sample)) > 1 for sample in dataset.samples)
    rng = torch.Generator().manual_seed(0)
    sets = [sample.boxes[torch.randperm(90, generator=rng)[:15]] for sample in dataset.samples]
    curve = curves.of_sets("any", "blind", dataset, sets)
    given = dict(zip([sample.name for sample in dataset.samples], sets, strict=True))
    for e, eps in ((0, 0.70), (15, 0.85), (20, 0.90), (30, 1.0)):
        assert curves.EPSILONS[e] == eps
        for n in (1, 5, 15, 20):
            bracket = blind.hits(dataset, lambda sample, n=n: given[sample.name][:n], eps)
            counts = [getattr(curve, among)[e][n - 1] for among in blind.AMONG_TIED]
            assert counts == [int(values.sum()) for values in bracket]
    ranks = []
    for one, sample in zip(sets, dataset.samples, strict=True):
        score = sample.scores[(sample.boxes == one[0]).all(1)]
        ranks.append(int((sample.scores > score).sum()))
    assert curve.acc == [[sum(rank < n for rank in ranks) for n in range(1, 21)]]


def test_the_oracle_is_right_about_all_and_chance_is_what_it_is():
    dataset = many_photos()
    oracle, *others = curves.measure(dataset, dataset, {})
    assert {value for row in (*oracle.first, *oracle.any, *oracle.acc) for value in row} == {
        len(dataset)
    }
    by_name = {curve.name: curve for curve in others}
    chance = by_name["anchors drawn at random"]
    assert chance.kind == "chance"
    assert chance.first[-1][8] == pytest.approx(len(dataset) * 9 / 90, abs=0.06)
    assert chance.acc[0][0] == pytest.approx(
        sum(len(blind.tied_best(s)) / 90 for s in dataset.samples), abs=0.06
    )
    fixed = by_name["fixed: covers the training crops"]
    for among in blind.AMONG_TIED:
        rows_of = getattr(fixed, among)
        assert all(row == sorted(row) for row in rows_of)  # one crop more never harms
    # Chosen for these very photos, six anchors reach all six best crops.
    assert fixed.first[-1][5] == len(dataset)
    assert by_name["boxes drawn at random"].acc is None


def test_anchors_spread_over_the_grid_cover_it():
    cells = curves.spread_cells(20, 0.85)
    anchors = candidates.anchors_at(candidates.grid_cells(1200, 900), 1200, 900).double()
    spread = candidates.anchors_at(cells, 1200, 900).double()
    reached = box_math.pairwise_iou(anchors, spread) >= 0.85
    assert len(cells.unique(dim=0)) == 20
    assert reached.any(1).double().mean() > 0.9
    assert reached[:, 0].sum() == (box_math.pairwise_iou(anchors, anchors) >= 0.85).sum(0).max()


def test_curves_are_written_and_read(tmp_path, monkeypatch):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    with pytest.raises(LedgerError, match="--parts curves"):
        curves.read()
    dataset = many_photos(2)
    curve = curves.of_sets(
        "any", "blind", dataset, [sample.boxes[:3] for sample in dataset.samples], "a note"
    )
    curves.write("scenes", [curve], replace(CONTEXT, arguments=["--parts", "curves"]), len(dataset))
    panels = curves.read()
    assert panels["scenes"]["photos"] == 2
    assert panels["scenes"]["command"] == "python -m cropnb.audit --parts curves"
    assert curves.Curve(**panels["scenes"]["curves"][0]) == curve
    assert ledger.names() == []


def test_the_committed_curves_are_the_ledgers_numbers():
    """At the thresholds and numbers of the tables, the figure shows what the tables print."""
    names = {
        "fixed: covers the training crops": "fixed anchors that cover the training crops",
        "anchors of the highest mean training score": "anchors of the highest mean score",
        "largest anchors": "largest anchors",
        "anchors drawn at random": "anchors drawn at random",
        "boxes drawn at random": "boxes drawn at random",
    }
    compared = 0
    for dataset, panel in curves.read().items():
        for curve in panel["curves"]:
            for among, eps, count in itertools.product(
                blind.AMONG_TIED, blind.EPSILONS, blind.COUNTS
            ):
                table, row = f"content-blind, {among} of the tied", names.get(curve["name"])
                if curve["kind"] == "method":
                    table, row = "the same predictions", curve["name"]
                    if among != "first":
                        continue
                column = f"ACC 1/{count}, ε = {eps:.2f}"
                for written in ledger.find(
                    program.NAME, dataset=dataset, table=table, row=row, column=column
                ):
                    value = curve[among][curves.EPSILONS.index(eps)][count - 1]
                    assert 100 * value / panel["photos"] == pytest.approx(written.ours, abs=0.03), (
                        row,
                        column,
                    )
                    compared += 1
    assert compared >= 2 * 5 * 18


def test_the_committed_gains_over_fixed_anchors_are_differences_of_rows():
    gains = ledger.find(program.NAME, table=rows.LESS_FIXED)
    assert {gain.row for gain in gains} >= {"gaic", "vrn", "asm_net", "set_prediction"}
    for gain in gains:
        place = {"dataset": "scenes", "column": gain.column}
        own = ledger.one(program.NAME, table="the same predictions", row=gain.row, **place)
        table = "content-blind, first of the tied"
        fixed = ledger.one(program.NAME, table=table, row=rows.COVER, **place)
        assert gain.ours == pytest.approx(own.ours - fixed.ours, abs=1e-6)
        # A difference varies at most as much as both together; half a point for the resampling.
        assert gain.high - gain.low <= (own.high - own.low) + (fixed.high - fixed.low) + 0.5
