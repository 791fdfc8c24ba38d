"""How near networks come to their teacher: the photos and rows of that study."""

import pytest

from cropnb import datasets, evaluation, ledger
from cropnb.teacher.studies import imitation


@pytest.mark.parametrize("table", imitation.FORMS)
def test_every_photo_has_one_true_box_of_the_ratio_that_is_asked_for(table):
    photos = imitation.one_box_each(table, "scenes")
    whole = datasets.load("scenes", "test", form=imitation.FORMS[table])
    assert (photos.name, photos.form, len(photos)) == ("scenes", whole.form, len(whole))
    for own, other in zip(photos.samples[:20], whole.samples[:20], strict=True):
        assert own.boxes.tolist() == other.boxes[:1].tolist()
        if table == evaluation.REQUIRED:
            x1, y1, x2, y2 = own.boxes[0].tolist()
            assert (x2 - x1) / (y2 - y1) == pytest.approx(float(other.aspects[0]), rel=0.05)


def test_rows_stand_apart_from_those_on_peoples_boxes(monkeypatch, capsys):
    scenes = datasets.load("scenes", "test", form="fcdb", size=3)
    taught = type(scenes)(ledger.TAUGHT, "test", "fcdb", None, scenes.samples)
    monkeypatch.setattr(imitation, "one_box_each", lambda table: taught)
    assert imitation.main(["--methods", "full"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8  # two questions, two rows, IoU and BDE
    assert all("taught photographs ·" in line for line in lines)
