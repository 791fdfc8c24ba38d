"""Content-blind baselines: on a dataset small enough to follow, and the rows that the real
annotations give.
"""

import pytest
import torch

from cropnb import baselines, candidates, ledger
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import MetricError
from cropnb.runs.context import Context


def scored_dataset(photos: int = 6, seed: int = 0, split: str = "train") -> CropDataset:
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for index in range(photos):
        width, height = [(400, 300), (300, 400), (480, 320)][index % 3]
        boxes = candidates.grid_anchors(width, height)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (width * height)
        scores = 1 + 3 * area + 0.3 * torch.randn(len(boxes), generator=generator)
        samples.append(Sample(f"photo {index}", width, height, boxes, scores))
    return CropDataset("gaicd", split, "gaicd", None, samples)


def test_the_prior_is_the_mean_of_each_position():
    dataset = scored_dataset(3)
    prior = baselines.PositionPrior(dataset)
    cells = [
        tuple(row)
        for s in dataset
        for row in candidates.cells_of(s.boxes, s.width, s.height).tolist()
    ]
    scores = torch.cat([sample.scores for sample in dataset])
    wanted = cells[0]
    mean = scores[[cell == wanted for cell in cells]].mean()
    assert prior(dataset[0])[0].item() == pytest.approx(mean.item())
    assert sum(cell == wanted for cell in cells) > 1


def test_a_position_never_seen_gets_the_mean():
    dataset = scored_dataset(1)
    prior = baselines.PositionPrior(dataset)
    other = Sample("other", 400, 300, torch.tensor([[100.0, 100, 180, 160]]), torch.ones(1))
    assert prior(other).item() == pytest.approx(dataset[0].scores.mean().item(), rel=1e-5)


def test_the_largest_crop_is_taken():
    sample = scored_dataset(1)[0]
    picked = sample.boxes[baselines.largest_crop(sample).argmax()]
    assert picked.tolist() == [17, 13, 383, 288]


def test_the_very_anchor_overlaps_wholly_on_any_size():
    cells = candidates.grid_cells(1200, 900)[[7, 60]]
    sizes = ((403, 301), (1024, 768), (577, 1023))
    samples = [
        Sample("a", *size, candidates.anchors_at(cells[:1], *size), torch.ones(1)) for size in sizes
    ]
    overlap = baselines.best_overlaps(CropDataset("gaicd", "test", "gaicd", None, samples), cells)
    assert overlap[:, 0].tolist() == [1, 1, 1]
    assert overlap[:, 1].max() < 1


def test_fixed_anchors_cover_what_they_were_chosen_for():
    training = scored_dataset(30, seed=3)
    ten = baselines.covering_anchors(training, 10, 0.85)
    assert ten.shape == (10, 4)
    near = baselines.best_overlaps(training, ten) >= 0.85
    hits = [near[:, :count].any(1).double().mean() for count in (1, 3, 10)]
    assert hits[0] < hits[1] <= hits[2]
    assert hits[2] > 0.9
    # No other first anchor reaches more photos than the one that was taken first.
    everyone = baselines.best_overlaps(training, candidates.grid_cells(1200, 900)) >= 0.85
    assert hits[0] == everyone.double().mean(0).max()


def test_scores_are_needed():
    unscored = CropDataset(
        "fcdb", "train", "fcdb", None, [Sample("a", 40, 30, torch.tensor([[0.0, 0, 9, 9]]))]
    )
    with pytest.raises(MetricError, match="no scored candidates"):
        baselines.PositionPrior(unscored)


def test_rows_keep_the_rules_of_the_ledger():
    context = Context(baselines.NAME, "gaicd", ["--record"], module="cropnb.baselines")
    rows = baselines.rows(context, scored_dataset(6), scored_dataset(6, seed=1, split="test"))
    assert len(rows) == 18
    for row in rows:
        row.check()
    assert {row.verdict for row in rows} >= {"measured"}


def test_real_rows(real_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    given = ["--root", str(real_data / "gaicd")]
    assert baselines.main(given) == 0
    assert "24.5" in capsys.readouterr().out
    assert not ledger.read(baselines.NAME)
    assert baselines.main([*given, "--record"]) == 0
    exact = ledger.find(baselines.NAME, verdict="exact")
    assert {(row.column, row.ours) for row in exact} == {("Acc 1/5", 24.5), ("Acc 1/10", 41.0)}
    prior = ledger.one(baselines.NAME, row="mean MOS of the position", column="SRCC")
    assert round(prior.ours, 2) == 0.37
    assert prior.low < prior.ours < prior.high
    within = ledger.one(baselines.NAME, row="ten fixed anchors", column="ACC 1/10, within IoU 0.85")
    assert within.ours > 50
    # What is committed is what is measured.
    monkeypatch.delenv("CROPNB_RESULTS")
    for row in ledger.read(baselines.NAME):
        if row.dataset == "gaicd":
            monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
            again = ledger.one(
                baselines.NAME, table=row.table, row=row.row, column=row.column, dataset=row.dataset
            )
            assert (again.ours, again.low, again.high) == pytest.approx(
                (row.ours, row.low, row.high), abs=2e-4
            )
