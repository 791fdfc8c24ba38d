"""The program from the folders of the real datasets to ledger rows, on a few scenes written in
their layouts.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from torch import Tensor

from cropnb import datasets, ledger
from cropnb.asm_net import model as reading
from cropnb.asm_net.recipe import METHOD, Profile
from cropnb.asm_net.studies import best_crops
from cropnb.datasets.base import Sample
from cropnb.runs import plan, program

TINY = Profile(6, 2, 3, head_epochs=1, head_batch=4)
PLAN = plan.plan_file()  # before a test names other results


def scenes(form: str, count: int, split: str = "train") -> list[Sample]:
    return datasets.load("scenes", split, form=form, size=count).samples[:]


def save(sample: Sample, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sample.photo().save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def rounded(boxes: Tensor) -> list[list[int]]:
    return boxes.round().int().tolist()


def write_cpc(root: Path) -> None:
    for number, sample in enumerate(scenes("cpc", 14)):
        content = {"scores": [sample.scores.tolist()] * 2, "bboxes": rounded(sample.boxes)}
        write(root / f"CollectedAnnotationsRaw/{number}.jpg.txt", json.dumps(json.dumps(content)))
        save(sample, root / f"images/{number}.jpg")


def write_gaicd(root: Path) -> None:
    for split, count in {"train": 8, "test": 3}.items():
        for number, sample in enumerate(scenes("gaicd", count, split)):
            lines = [
                f"{y1} {x1} {y2} {x2} {score}"
                for (x1, y1, x2, y2), score in zip(
                    rounded(sample.boxes), sample.scores.tolist(), strict=True
                )
            ]
            write(root / f"annotations/{split}/{number}.txt", "\n".join(lines))
            save(sample, root / f"images/{split}/{number}.jpg")


def write_fcdb(root: Path) -> None:
    entries = []
    for number, sample in enumerate(scenes("fcdb", 3, "test")):
        ((x1, y1, x2, y2),) = rounded(sample.boxes)
        entry = {"url": f"https://farm8.staticflickr.com/1/{number}.jpg", "flickr_photo_id": number}
        entries.append({**entry, "crop": [x1, y1, x2 - x1, y2 - y1]})
        save(sample, root / f"photos/{number}.jpg")
    write(root / "cropping_testing_set.json", json.dumps(entries))
    write(root / "cropping_training_set.json", json.dumps(entries))


def write_flms(root: Path) -> None:
    samples = scenes("flms", 3, "test")
    records = np.zeros((len(samples), 1), dtype=[("filename", "O"), ("bbox", "O")])
    for number, sample in enumerate(samples):
        boxes = np.array(rounded(sample.boxes), np.int32)[:, [1, 0, 3, 2]]
        records[number, 0] = (f"{number}_Large.jpg", boxes)
        save(sample, root / f"image/{number}_Large.jpg")
    scipy.io.savemat(root / "500_image_dataset.mat", {"img_gt": records})


@pytest.mark.parametrize(
    ("dataset", "boxes", "expected"),
    [
        (
            "cpc",
            ["fcdb", "flms"],
            {("Table 1", "cpc"), ("Figure 5", "cpc"), ("Table 2", "fcdb"), ("Table 3", "flms")},
        ),
        ("gaicd", [], {("Table 4", "gaicd")}),
    ],
)
def test_the_papers_tables_are_measured_from_the_real_layouts(
    dataset, boxes, expected, tmp_path, monkeypatch
):
    for name, make in {
        "cpc": write_cpc,
        "gaicd": write_gaicd,
        "fcdb": write_fcdb,
        "flms": write_flms,
    }.items():
        if name in (dataset, *boxes):
            make(tmp_path / "data" / name)
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CROPNB_PLAN", str(PLAN))
    monkeypatch.setattr(reading, "SHORT_SIDE", 64)
    monkeypatch.setitem(METHOD.profiles, "full", TINY)
    arguments = ["--profile", "full", "--dataset", dataset, "--init", "random", "--device", "cpu"]
    arguments += ["--record", "--out", str(tmp_path / "runs")]
    assert program.main(METHOD, arguments) == 0
    if boxes:
        assert best_crops.main([*arguments, "--boxes", *boxes]) == 0
    rows = [row for row in ledger.read("asm_net") if row.ours is not None]
    assert {(row.table, row.dataset) for row in rows} == expected
    assert {row.images for row in rows} == {3}
    # The paper's number stands beside ours, and no longer waits.
    printed = {(row.table, row.row) for row in rows if row.paper_value is not None}
    assert printed == {
        (table, METHOD.main if table == "Table 1" else "ASM-Net")
        for table, _ in expected
        if table != "Figure 5"  # no value is printed at its points
    }
