"""How near networks come to their teacher: what a crop is held against."""

import pytest

from cropnb import boxes as box_math
from cropnb import croppers, evaluation, ledger
from cropnb.datasets import scenes
from cropnb.teacher.studies import imitation


@pytest.fixture
def drawn(monkeypatch):
    """Scenes that stand for taught photographs."""

    def load(name, split, form):
        three = scenes.load(split, form, size=3)
        return type(three)(ledger.TAUGHT, split, form, None, three.samples)

    monkeypatch.setattr(imitation.datasets, "load", load)
    monkeypatch.setattr(imitation.taught, "likely", lambda scores, root: scores.softmax(0))


def test_the_whole_photo_by_hand(drawn):
    """It overlaps with each crop by that one's share of the photo."""
    photos = imitation.datasets.load(ledger.TAUGHT, "test", "gaicd")
    free = imitation.overlaps(croppers.load("full"), photos, evaluation.FREE)
    sample = photos[0]
    shares = box_math.area(sample.boxes) / (sample.width * sample.height)
    assert float(free[0]) == pytest.approx(
        float((shares * sample.scores.softmax(0)).sum()), abs=1e-4
    )
    photos = imitation.datasets.load(ledger.TAUGHT, "test", "fat")
    window = imitation.overlaps(croppers.load("center_window"), photos, evaluation.REQUIRED)
    assert len(window) == 3
    assert 0 < window.min() < 1


def test_rows_stand_apart_from_those_on_peoples_boxes(drawn, capsys):
    assert imitation.main(["--methods", "full"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4  # two questions, two rows each
    assert all("taught photographs ·" in line for line in lines)
    assert "less center: " in lines[1]
