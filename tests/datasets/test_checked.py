"""Annotation files from strangers: every reader refuses in words what is no annotation."""

import json
import os
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from cropnb import datasets
from cropnb.datasets import checked
from cropnb.errors import BoxError, CropnbError, DatasetMissing

DEEP = "[" * 100_000
HUGE = "9" * 5000  # more digits than Python turns into a number


def fat(folder: Path, **changed) -> Path:
    entry = {
        "name": "a.jpg",
        "width": 80,
        "height": 60,
        "boxes": [[1, 2, 31, 22]],
        "aspects": [1.5],
    }
    (folder / "test.json").write_text(json.dumps([{**entry, **changed}]))
    return folder


def fcdb(folder: Path, **changed) -> Path:
    entry = {"url": "https://farm1.example/1/a.jpg", "crop": [1, 2, 30, 20]}
    (folder / "cropping_testing_set.json").write_text(json.dumps([{**entry, **changed}]))
    return folder


def cpc(folder: Path, **changed) -> Path:
    content = {"bboxes": [[1, 2, 31, 22], [5, 6, 35, 26]], "scores": [[1, 2], [3, 4]]}
    (folder / "annotations").mkdir()
    (folder / "annotations/a.jpg.txt").write_text(json.dumps({**content, **changed}))
    return folder


def flms(folder: Path, name="a.jpg", boxes=((1, 2, 31, 22),)) -> Path:
    records = np.zeros((1, 1), dtype=[("filename", object), ("bbox", object)])
    records[0, 0] = (name, np.array(boxes, dtype=float))
    scipy.io.savemat(folder / "500_image_dataset.mat", {"img_gt": records})
    return folder


def cuhk_icd(folder: Path, name="a.jpg", line="2 22 1 31") -> Path:
    (folder / "Cropping parameters.txt").write_text(
        "\n".join([name, line, line, line]) + "\n", encoding="utf-8"
    )
    return folder


def gaicd(folder: Path, line="5 10 115 230 3.14") -> Path:
    (folder / "annotations/test").mkdir(parents=True)
    (folder / "annotations/test/a.txt").write_text(line)
    return folder


SPLIT = {"cpc": "all", "cuhk_icd": "all"}
MAKE = {make.__name__: make for make in (fat, fcdb, cpc, flms, cuhk_icd, gaicd)}


def load(name: str, folder: Path):
    return datasets.load(name, SPLIT.get(name, "test"), root=folder)


@pytest.mark.parametrize("name", MAKE)
def test_what_the_broken_ones_are_made_of_is_read(name, tmp_path):
    (sample, *_) = load(name, MAKE[name](tmp_path))
    assert len(sample.boxes) >= 1


NAMES = [
    "../a.jpg",
    "/etc/passwd",
    "..",
    "",
    "a\\..\\b.jpg",
    "C:a.jpg",
    "a\x1b[31m.jpg",
    "a" * 300,
    "é" * 200,
]


def _bad_names() -> list[tuple[str, str]]:
    """Reader and name. Behind the last separator of FCDB's and CUHK-ICD's paths stands the name."""
    pairs = [("fat", name) for name in NAMES]
    pairs += [("flms", name) for name in NAMES if name]  # MATLAB has no empty text
    pairs += [("fcdb", name) for name in NAMES if "/" not in name]
    return pairs + [
        ("cuhk_icd", name) for name in NAMES if name and "/" not in name and "\\" not in name
    ]


@pytest.mark.parametrize(("name", "bad"), _bad_names())
def test_a_name_that_is_a_path_or_too_long_is_refused(name, bad, tmp_path):
    if name == "fcdb":
        fcdb(tmp_path, url=f"https://farm1.example/{bad}")
    else:
        MAKE[name](tmp_path, name=bad)
    with pytest.raises(DatasetMissing) as refused:
        load(name, tmp_path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("first", "second"), [("a.jpg", "A.jpg"), ("\xe9.jpg", "e\u0301.jpg"), ("ß.jpg", "SS.jpg")]
)
def test_names_that_differ_in_case_or_unicode_form_alone_are_refused(first, second, tmp_path):
    path = fat(tmp_path) / "test.json"
    (entry,) = json.loads(path.read_text())
    path.write_text(json.dumps([{**entry, "name": name} for name in (first, second)]))
    with pytest.raises(DatasetMissing, match="differ in case or Unicode form alone"):
        load("fat", tmp_path)
    path.write_text(json.dumps([{**entry, "name": name} for name in (first, first, "b.jpg")]))
    assert len(load("fat", tmp_path)) == 3


VALUES = [None, True, "1", 10**400, 1e39, float("nan"), float("inf"), -1e39, [], {}, [[[1]]]]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value!r:.20}")
def test_a_value_that_is_no_number_is_refused_wherever_a_number_belongs(value, tmp_path):
    broken = [
        (fat, {"width": value}),
        (fat, {"height": value}),
        (fat, {"boxes": [[1, 2, 31, value]]}),
        (fat, {"boxes": value}),
        (fat, {"aspects": [value]}),
        (fcdb, {"crop": [1, 2, 30, value]}),
        (fcdb, {"crop": value}),
        (fcdb, {"url": value if value != "1" else 1}),
        (cpc, {"bboxes": [[1, 2, 31, value], [5, 6, 35, 26]]}),
        (cpc, {"scores": [[1, value], [3, 4]]}),
        (cpc, {"scores": value}),
    ]
    for number, (make, changed) in enumerate(broken):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder, **changed)
        with pytest.raises((DatasetMissing, BoxError)):
            load(make.__name__, folder)


@pytest.mark.parametrize("number", ["nan", "inf", "1e39", "1e400", HUGE, "1_0x"])
def test_a_number_in_a_text_that_is_none_is_refused(number, tmp_path):
    for name in ("gaicd", "cuhk_icd"):
        (tmp_path / name).mkdir()
    gaicd(tmp_path / "gaicd", line=f"5 10 115 {number} 3.14")
    cuhk_icd(tmp_path / "cuhk_icd", line=f"2 22 1 {number}")
    for name in ("gaicd", "cuhk_icd"):
        with pytest.raises((DatasetMissing, BoxError)) as refused:
            load(name, tmp_path / name)
        assert len(str(refused.value)) < 600


@pytest.mark.parametrize("text", [DEEP, f"[{HUGE}]", '{"a":' * 50_000, "\x00", "7", "[7]", "[[]]"])
@pytest.mark.parametrize("name", ["fat", "fcdb", "cpc"])
def test_json_that_is_too_deep_or_of_another_form(name, text, tmp_path):
    MAKE[name](tmp_path)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_text(text)
    with pytest.raises(DatasetMissing):
        load(name, tmp_path)
    if name == "cpc":  # whose files are JSON in a JSON text
        path.write_text(json.dumps(text))
        with pytest.raises(DatasetMissing):
            load(name, tmp_path)


def test_a_pipe_in_an_annotation_files_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "test.json")
    with pytest.raises(DatasetMissing, match="no file"):
        load("fat", tmp_path)


def test_a_file_too_large_for_annotations_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(checked, "LARGEST_FILE", 10)
    with pytest.raises(DatasetMissing, match="larger than"):
        load("fat", fat(tmp_path))


@pytest.mark.parametrize("name", ["fat", "fcdb"])
def test_150_000_entries_are_read_in_seconds(name, tmp_path):
    (path,) = MAKE[name](tmp_path).iterdir()
    (entry,) = json.loads(path.read_text())
    path.write_text(json.dumps([entry] * 150_000))
    start = time.process_time()
    assert len(load(name, tmp_path)) == 150_000
    assert time.process_time() - start < 10
    entry |= {"boxes": [[5, 5, 5, 9]], "crop": [5, 5, 0, 9]}
    path.write_text(json.dumps([*json.loads(path.read_text())[:9], entry]))
    with pytest.raises(BoxError, match="entry 10 "):
        load(name, tmp_path)


def _flipped(content: bytes, seed: int) -> bytes:
    """A MATLAB file with a few wrong bytes behind its header, packed anew where it was packed."""
    rng = np.random.default_rng(seed)
    if content[128:132] == (15).to_bytes(4, "little"):
        body = bytearray(zlib.decompress(content[136:]))
    else:
        body = bytearray(content[128:])
    for place in rng.integers(0, min(len(body), 400), 3):
        body[place] = rng.integers(256)
    packed = zlib.compress(bytes(body))
    return content[:128] + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed


def test_a_damaged_matlab_file_is_an_error_and_never_a_crash(tmp_path):
    content = (flms(tmp_path) / "500_image_dataset.mat").read_bytes()
    path = tmp_path / "500_image_dataset.mat"
    messages = []
    for seed in range(6):
        path.write_bytes(_flipped(content, seed))
        try:
            load("flms", tmp_path)
        except CropnbError as error:
            messages.append(str(error))
    assert messages
    assert all("500_image_dataset.mat" in message for message in messages)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetMissing, match="no MATLAB file"):
        load("flms", tmp_path)


def test_a_reader_that_dies_or_takes_for_ever_is_told(tmp_path, monkeypatch):
    flms(tmp_path)
    dying = tmp_path / "_matlab.py"
    monkeypatch.setattr(checked, "__file__", str(tmp_path / "checked.py"))
    dying.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(DatasetMissing, match="died of signal 11"):
        load("flms", tmp_path)
    monkeypatch.setattr(checked, "MATLAB_SECONDS", 0.5)
    dying.write_text("import time; time.sleep(30)")
    with pytest.raises(DatasetMissing, match=r"not read in 0\.5 seconds"):
        load("flms", tmp_path)
