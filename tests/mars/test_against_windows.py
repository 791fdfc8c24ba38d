"""Mars beside a search among windows: both answer for the same boxes, photo by photo."""

import argparse
from pathlib import Path

import pytest
import torch

from cropnb import croppers, datasets, ledger, paper
from cropnb.croppers import Cropper
from cropnb.datasets.base import CropDataset
from cropnb.mars.studies import against_windows, table7
from cropnb.runs import plan, power, validation
from cropnb.runs.context import Context

CONTEXT = Context("mars", "scenes", (), "cropnb.mars.studies.against_windows", seeds=(0, 1))


class Told:
    """Proposes the true box whose ratio comes nearest, moved to the right by `shift` pixels."""

    name = "told"

    def __init__(self, dataset: CropDataset, shift: float = 0.0) -> None:
        self.boxes = torch.cat([sample.boxes for sample in dataset])
        self.shift = shift

    def propose(self, image, aspect=None):
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        box = self.boxes[(sides[:, 0] / sides[:, 1] - aspect).abs().argmin()].clone()
        box[[0, 2]] += self.shift
        return box[None], None


def sides(mars: list[object], windows: list[object]) -> dict[str, list[Cropper]]:
    return {
        "Mars": [Cropper(method) for method in mars],
        against_windows.WINDOWS: [Cropper(method) for method in windows],
    }


def test_the_claim_rests_on_the_difference_of_each_photo():
    dataset = datasets.load("scenes", "test", form="fcdb", size=2)
    near, far = Told(dataset, shift=2.0), Told(dataset, shift=8.0)
    rows = against_windows.rows(CONTEXT, sides([near, near], [far, far]), dataset)
    claims = {row.column: row for row in rows if row.row == "beats sliding windows"}
    assert list(claims) == ["IoU", "Offset"]
    offset = claims["Offset"]
    ours, theirs = (
        table7.measure(Cropper(side), dataset, progress=False)["Offset"] for side in (near, far)
    )
    gains = [b - a for a, b in zip(ours, theirs, strict=True)]  # pixels nearer
    assert min(gains) > 1
    assert offset.differences == [pytest.approx(gains, abs=1e-3)] * 2
    assert offset.ours == pytest.approx(sum(gains) / 2, abs=1e-3)
    assert (offset.verdict, offset.worth_having, offset.seeds) == ("holds", 1.0, (0, 1))
    assert {row.table for row in rows} == {"Mars against windows, FCDB", "claim, FCDB"}
    swapped = against_windows.rows(CONTEXT, sides([far, far], [near, near]), dataset)
    verdicts = {row.column: row.verdict for row in swapped if row.row in paper_names()}
    assert verdicts["Offset"] == "contradicted"
    assert verdicts["IoU"] != "holds"


def paper_names() -> set[str]:
    return {claim["name"] for claim in paper.read("mars").claims}


def test_what_is_no_better_than_the_centred_window_says_nothing():
    dataset = datasets.load("scenes", "test", form="fat", size=3)
    blind = croppers.load("center_window")
    arms = {"Mars": [blind], against_windows.WINDOWS: [Cropper(Told(dataset))]}
    rows = against_windows.rows(CONTEXT, arms, dataset)
    claims = [row for row in rows if row.table == "claim"]
    assert {row.void for row in claims} == {"Mars no better than the largest centred window"}
    middle = next(row for row in rows if row.row == table7.NAMES[table7.CENTRED])
    assert middle.seeds == ()


def test_the_claim_says_how_the_trainings_of_both_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    chosen = argparse.Namespace(profile=None, seeds=[0], out=str(tmp_path))
    rising = tuple(0.1 * number for number in range(8))
    for name, dataset, scores in (
        ("mars", "scenes+taught", rising),
        ("mars", "scenes", (0.5,) * 8),
        ("gaic", "scenes+taught", (0.5,) * 8),
    ):
        method = plan.method_named(name)
        of = (method.main, dataset, method.forms[0], "photographs", "imagenet", False)
        validation.write(name, [validation.Curve(*of, seeds=(0,), scores=(scores,))])
    curves = against_windows.curves(chosen)
    assert curves == {"Mars": (rising,), against_windows.WINDOWS: ((0.5,) * 8,)}
    # Of finished runs those are asked, recorded or not.
    experiment = against_windows.Experiment
    monkeypatch.setattr(experiment, "validation", lambda self, variant, seed: [0.5, 0.6])
    chosen.profile = "trained"
    assert against_windows.curves(chosen) == {
        "Mars": [[0.5, 0.6]],
        against_windows.WINDOWS: [[0.5, 0.6]],
    }


def test_the_networks_that_ship_are_asked_among_windows_of_other_sizes(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    given = ["--forms", "fcdb", "--photos", "2", "--record"]
    assert against_windows.main(given) == 0
    (row,) = ledger.find("mars", row="beats sliding windows", column="IoU")
    assert (row.profile, row.seeds, row.images) == ("photographs", (0,), 2)
    # No curve of theirs is on record here.
    sides = "Mars, gaic, 1140 windows of other sizes"
    assert row.note.endswith(f"paired by photo; too short to say whether still rising: {sides}")
    ours, theirs = (
        ledger.one("mars", row=name, column="IoU").ours
        for name in ("Mars", "gaic, 1140 windows of other sizes")
    )
    assert row.ours == pytest.approx(ours - theirs, abs=2e-4)
    cells = {(row.table, row.row, row.column) for row in ledger.read("mars")}
    assert {cell for cell in cells if not cell[0].startswith("claim")} == {
        (place.table, place.row, column)
        for place in against_windows.places(given)
        for column in place.columns
    }
    assert against_windows.main(["--photos", "0"]) == 2
    assert against_windows.main(["--profile", "trained", "--out", str(tmp_path)]) == 2
    assert "python -m cropnb.mars --profile trained --seeds 0" in capsys.readouterr().err


def test_the_study_has_a_card_with_the_trainings_of_both_methods():
    entries = plan.read()
    (entry,) = plan.select(entries, ["mars/against-windows-trained"])
    cards = list(power.cards(entry, entries))
    assert [(card.claim, card.column) for card in cards] == [
        ("beats sliding windows", "IoU"),
        ("beats sliding windows", "Offset"),
    ]
    assert cards[0].minutes > 15
