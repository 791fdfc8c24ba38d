"""Every command that a pending row names can run: it parses, and finds the photos it would read in
a small copy of each dataset's layout.
"""

import importlib
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from cropnb import ledger
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError
from cropnb.runs import Experiment, plan, program, reproduce

PHOTOS = 1020  # more than any profile holds out for validation
SIZE = WIDTH, HEIGHT = 240, 120
REAL = ("gaicd", "gaicd_v2", "cpc", "fcdb", "flms", "fat", "cuhk_icd")


def save(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Small copies of all datasets: photos of one colour, and the files of each layout."""
    root = tmp_path_factory.mktemp("data")
    original = root / "one.jpg"
    Image.new("RGB", SIZE, (200, 100, 50)).save(original)

    def photos(folder: str, names: list[str]) -> None:
        (root / folder).mkdir(parents=True)
        for name in names:
            shutil.copy(original, root / folder / name)

    names = [f"{number}.jpg" for number in range(PHOTOS)]
    for dataset, splits in (("gaicd", ("train", "test")), ("gaicd_v2", ("train", "val", "test"))):
        for split in splits:
            photos(f"{dataset}/images/{split}", names)
            for name in names:
                text = "5 10 115 230 3.14\n5 50 95 210 2.5\n"
                save(root / f"{dataset}/annotations/{split}/{Path(name).stem}.txt", text)
                save(root / f"{dataset}/objects/{split}/{Path(name).stem}.txt", "5 10 115 230\n")
    scored = {"scores": [[3, 1], [2, 1]], "bboxes": [[10, 20, 110, 80], [0, 0, 60, 90]]}
    photos("cpc/images", names)
    for name in names:
        text = json.dumps(json.dumps(scored))
        save(root / f"cpc/CollectedAnnotationsRaw/{name}.txt", text)
    photos("fcdb/photos", names)
    listed = [
        {"url": f"https://a.b/{name}", "flickr_photo_id": number, "crop": [10, 20, 60, 50]}
        for number, name in enumerate(names)
    ]
    for part, entries in (("training", listed[:-4]), ("testing", listed[-4:])):
        save(root / f"fcdb/cropping_{part}_set.json", json.dumps(entries))
    photos("flms/image", names[:4])
    records = np.zeros((4, 1), dtype=[("filename", "O"), ("bbox", "O")])
    for number in range(4):
        records[number, 0] = (names[number], np.array([[20, 10, 70, 90]], np.int32))
    scipy.io.savemat(root / "flms/500_image_dataset.mat", {"img_gt": records})
    photos("fat/images", names)
    for split, listed in (("train", names[:-4]), ("test", names[-4:])):
        entries = [
            {"name": n, "width": WIDTH, "height": HEIGHT, "boxes": [[0, 0, 80, 40]], "aspects": [2]}
            for n in listed
        ]
        save(root / f"fat/{split}.json", json.dumps(entries))
    photos("cuhk_icd/All_Images", names)
    rows = "\n".join(f"animal\\{name}\n2 22 1 31\n2 22 1 31\n2 22 1 31" for name in names)
    save(root / "cuhk_icd/Cropping parameters.txt", rows + "\n")
    return root


def waiting() -> list[plan.Entry]:
    """The entries whose commands pending rows name."""
    notes = {
        row.note for name in ledger.names() for row in ledger.read(name) if row.verdict == "pending"
    }
    return [entry for entry in plan.read() if any(entry.command in note for note in notes)]


WAITING = {entry.name: entry for entry in waiting()}


def program_of(command: str):
    """The function behind `python -m MODULE`, and its arguments on a CPU with `--dry-run`."""
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"]
    arguments = ["cpu" if word == "cuda" else word for word in words[3:]]
    return importlib.import_module(words[2]), words[2], [*arguments, "--dry-run"]


@pytest.mark.parametrize("name", WAITING)
def test_what_a_pending_row_waits_for_would_run(name, copies, monkeypatch, capsys):
    entry = WAITING[name]
    real = [need for need in entry.needs if need in REAL]
    monkeypatch.setenv("CROPNB_DATA", str(copies))
    module, path, arguments = program_of(entry.command)
    if entry.method:
        status = program.main(plan.method_named(entry.method), arguments)
    elif path == "cropnb.bench":  # needs no photos
        return
    else:
        status = module.main(arguments)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    if real:
        read = {line.split(",")[0] for line in printed.out.splitlines() if " photos; " in line}
        assert read
        assert read <= set(real)


@pytest.mark.parametrize("name", REAL)
def test_a_dataset_that_is_here_is_no_longer_missing(name, copies, tmp_path, monkeypatch):
    entry = plan.Entry("one/entry", "for this test", 1, module="coverage", needs=(name,))
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    assert reproduce.missing(entry) == f"the photos of {name}"
    monkeypatch.setenv("CROPNB_DATA", str(copies))
    assert reproduce.missing(entry) == ""


def test_the_plan_needs_nothing_but_datasets_and_a_gpu():
    beyond = {"gaicd_layouts", *reproduce.WITHOUT_CROPS}  # what the teacher needs
    known = {*REAL, *beyond, plan.GPU, *(reproduce.ANNOTATIONS + name for name in REAL)}
    assert {need for entry in plan.read() for need in entry.needs} <= known


def test_a_dry_run_says_what_is_missing(tmp_path, monkeypatch, capsys):

    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    arguments = ["--dataset", "gaicd", "--profile", "full", "--device", "cpu", "--dry-run"]
    assert program.main(plan.method_named("vrn"), arguments) == 2
    assert "gaicd" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_set_prediction_tests_on_1_000_of_cpcs_photos_and_asm_net_on_2_000(copies, monkeypatch):

    monkeypatch.setenv("CROPNB_DATA", str(copies))
    shares = {}
    for name in ("set_prediction", "asm_net"):
        parts = Experiment(plan.method_named(name), "cpc", profile="full", out=None).parts
        photos = [{sample.name for sample in part.samples} for part in parts.values()]
        assert sum(map(len, photos)) == len(set.union(*photos)) == PHOTOS
        shares[name] = len(parts["test"])
    assert shares == {
        "set_prediction": 94,
        "asm_net": 189,
    }  # of 1 020, as 1 000 and 2 000 of 10 797


def test_an_empty_part_is_an_error(copies, monkeypatch):

    with pytest.raises(CropnbError, match="fcdb, test: none of its photos"):
        program.describe([CropDataset("fcdb", "test", "fcdb", copies, [])])
