"""Every reader of files from outside on files that are nearly right: it reads them, or refuses them
with a typed error. Nothing else may come out, and no crash.

    CROPNB_FUZZ_SECONDS=600 pytest tests/fuzz        for longer than the minute of `make test`
"""

import io
import itertools
import json
import os
import shutil
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from cropnb import checkpoints, datasets, ledger, paper, photos, training
from cropnb.datasets import checked, gaze
from cropnb.datasets.fetch import archives, flickr, layouts
from cropnb.errors import CropnbError
from cropnb.runs import results

USUAL = 60  # seconds of all tests here together
SECONDS = float(os.environ.get("CROPNB_FUZZ_SECONDS") or USUAL)
EXAMPLES = 5  # of one run of Hypothesis; a MATLAB file takes as long as five others

NUMBERS = [0, -1, 1, 0.5, 2**31, 2**63, 10**400, 1e39, -1e308, float("nan"), float("inf"), True]
TEXTS = ["", "..", "../a", "/etc/passwd", "a" * 5000, "\x1b[31m", "\ud800", "é", "1", "nan", "\0"]
NESTED = [None, [], {}, [[]], [None], {"": 1}]
VALUES = st.sampled_from([*NUMBERS, *TEXTS, *NESTED]) | st.integers() | st.floats() | st.text()


@st.composite
def bytes_like(pick: st.DrawFn, content: bytes) -> bytes:
    """The content with a few bytes changed, cut off or put in."""
    changed = bytearray(content)
    for _ in range(pick(st.integers(1, 4))):
        place = pick(st.integers(0, len(changed)))
        kind = pick(st.sampled_from(["set", "cut", "insert", "repeat"]))
        if kind == "set" and place < len(changed):
            changed[place] = pick(st.integers(0, 255))
        elif kind == "cut":
            del changed[place : place + pick(st.integers(1, 64))]
        elif kind == "insert":
            changed[place:place] = pick(st.binary(max_size=8))
        elif kind == "repeat":
            changed[place:place] = changed[max(0, place - 16) : place] * pick(st.integers(1, 40))
    return bytes(changed)


@st.composite
def json_like(pick: st.DrawFn, content: bytes) -> bytes:
    """JSON with one value replaced, one field dropped or doubled, or the whole nested too deep."""
    whole = [json.loads(content)]
    place: Any = whole
    key: Any = 0
    while (
        isinstance(place[key], list | dict)
        and place[key]
        and pick(st.booleans()) | (place is whole)
    ):
        place = place[key]
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = pick(st.sampled_from(list(keys)))
    kind = pick(st.sampled_from(["value", "value", "drop", "double", "deep"]))
    if kind == "value":
        place[key] = pick(VALUES)
    elif kind == "drop" and place is not whole:
        del place[key]
    elif kind == "double" and isinstance(place, list):
        place.append(place[key])
    text = json.dumps(whole[0])
    if kind == "deep":
        text = "[" * pick(st.sampled_from([10, 900, 100_000])) + text
    return text.encode()


def _matlab() -> bytes:
    records = np.zeros((1, 2), dtype=[("filename", object), ("bbox", object)])
    for number in range(2):
        records[0, number] = (f"{number}.jpg", np.array([[1.0, 2, 31, 22], [-1, -1, -1, -1]]))
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"img_gt": records})
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/a.txt", "1 2 3\n" * 50)
        archive.writestr("set/folder/b.txt", "4")
    return buffer.getvalue()


def _tar(mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        for name in ("set/a.txt", "set/" + "é" * 60 + "/b.txt"):
            info = tarfile.TarInfo(name)
            info.size = 300
            archive.addfile(info, io.BytesIO(b"1" * 300))
    return buffer.getvalue()


def _weights(folder: Path) -> bytes:
    state = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    checkpoints.save_weights(folder / "weights", state, {"method": "trial", "score": 0.5})
    return (folder / "weights").read_bytes()


def _run(folder: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    training.train(
        model,
        lambda batch, rng: {"loss": model(torch.rand(1, 2, generator=rng)).square().sum()},
        3,
        training.Recipe(epochs=2, learning_rate=0.1),
        folder,
        progress=False,
    )


def _load_weights(folder: Path) -> None:
    state, _ = checkpoints.load_weights(folder / "weights", "trial")
    checkpoints.load_into(nn.Linear(3, 2), state, folder / "weights")


def _ledger(folder: Path) -> None:
    os.environ["CROPNB_RESULTS"] = str(folder)
    ledger.read("vrn")


def _archive(folder: Path) -> None:
    try:
        archives.unpack(folder / "set", folder / "out", progress=False)
    finally:
        # nothing beside the folder that it was to go into
        assert {path.name for path in folder.iterdir()} <= {"set", "out"}
        shutil.rmtree(folder / "out", ignore_errors=True)


def _photo(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """A small photo with metadata of every kind that its format holds."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "A bridge", 6
    exif.get_ifd(0x8769).update({0x9003: "2019:05:04 03:02:01", 0xA002: 24})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 5.0)})
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    buffer = io.BytesIO()
    metadata = {} if form in ("GIF", "BMP", "PPM") else {"exif": exif}
    if form in ("JPEG", "WEBP"):
        metadata["xmp"] = b'<x tiff:Orientation="6"><exif:GPSLatitude>1</exif:GPSLatitude></x>'
    Image.fromarray(noise).convert(mode).save(buffer, form, **metadata, **options)
    return buffer.getvalue()


def _animation(form: str) -> bytes:
    return _photo(form, save_all=True, append_images=[Image.new("RGB", (24, 16))])


def _deep_tiff() -> bytes:
    import tifffile

    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 65536, (2, 16, 24, 3), np.uint16)
    tifffile.imwrite(buffer, noise, photometric="rgb", metadata=None)
    return buffer.getvalue()


def _deep_png() -> bytes:
    import cv2

    noise = np.random.default_rng(0).integers(0, 65536, (16, 24, 3), np.uint16)
    return cv2.imencode(".png", noise)[1].tobytes()


def _heic() -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red")).save(buffer)
    return buffer.getvalue()


# Photos, as a cropper opens, sees and cuts them.
PHOTOS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: _photo("JPEG"),
    "cmyk jpeg": lambda: _photo("JPEG", "CMYK", progressive=True),
    "mpo": lambda: _animation("MPO"),
    "png": lambda: _photo("PNG", "RGBA"),
    "apng": lambda: _animation("PNG"),
    "deep png": _deep_png,
    "tiff": lambda: _photo("TIFF", compression="tiff_lzw"),
    "pages": lambda: _animation("TIFF"),
    "deep pages": _deep_tiff,
    "webp": lambda: _photo("WEBP"),
    "gif": lambda: _animation("GIF"),
    "bmp": lambda: _photo("BMP", "P"),
    "avif": lambda: _photo("AVIF"),
    "jpeg 2000": lambda: _photo("JPEG2000"),
    "heic": _heic,
}


def _crop(folder: Path) -> None:
    out = folder / "crop"
    out.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in (folder / "photo", (folder / "photo").read_bytes()):
            photo = photos.open_photo(source, limit=1_000_000)
            photo.small_rgb()
            cut = photo.cut((1, 1, 14, 14))
            for form in ("JPEG", "PNG", "TIFF"):
                cut.save(out, format=form, strip_location=True)
    assert Image.open(out).size == cut.size
    assert {path.name for path in folder.iterdir()} == {"photo", "crop"}


def _load(name: str, split: str = "test") -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        try:
            datasets.load(name, split, root=folder)
        finally:
            if name != "flms":  # whose file would be read a second time for it
                layouts.count(name, folder)

    return read


def _gaze(folder: Path) -> None:
    if not (folder / "osie/a.jpg").exists():
        Image.new("RGB", (80, 60)).save(folder / "osie/a.jpg")
    gaze.load("all", root=folder)


def _layouts(folder: Path) -> None:
    beside = folder / "annotations/test/a.txt"
    if not beside.exists():
        beside.parent.mkdir(parents=True)
        beside.write_text(GAICD)
    for sample in datasets.load("gaicd_layouts", "test", root=folder):
        sample.photo()


BOX = {"bboxes": [[1, 2, 31, 22], [5, 6, 35, 26]], "scores": [[1, 2], [3, 4]]}
FAT = {"name": "a.jpg", "width": 80, "height": 60, "boxes": [[1, 2, 31, 22]], "aspects": [1.5]}
RESULT = {
    "method": "vrn",
    "variant": "full",
    "dataset": "scenes",
    "form": "gaicd",
    "profile": "smoke",
    "init": "random",
    "frozen": False,
    "seed": 0,
    "split": "test",
    "photos": 2,
    "minutes": 0.1,
    "device": "CPU",
    "commit": "",
    "config_hash": "",
    "settings": {},
    "validation": [0.5],
    "columns": {"SRCC": [0.5, 0.25]},
}
LEDGER = json.loads((ledger.folder() / "vrn.json").read_text("utf-8"))[:3]
FCDB = [{"url": "https://farm1.example/1/a.jpg", "crop": [1, 2, 30, 20]}] * 2
GAICD = "5 10 115 230 3.14\n15 30 105 190 -2\n"
OBJECTS = "10 5 100 90\n30 15 95 105\n0 0 0 0\n"
GAZE = {"a.jpg": [[[0.5, 0.5, 200], [0.1, 0.9, 300]], [[0.2, 0.2, 100]]]}
CUHK = "a.jpg\n" + "2 22 1 31\n" * 3

# name → file, its content, how it is changed, what reads it
READERS: dict[str, tuple[str, bytes, tuple, Callable[[Path], object]]] = {
    "gaicd": ("annotations/test/a.txt", GAICD.encode(), (bytes_like,), _load("gaicd")),
    "cpc": (
        "annotations/a.jpg.txt",
        json.dumps(BOX).encode(),
        (json_like, bytes_like),
        _load("cpc", "all"),
    ),
    "fcdb": (
        "cropping_testing_set.json",
        json.dumps(FCDB).encode(),
        (json_like, bytes_like),
        _load("fcdb"),
    ),
    "photos of fcdb": (
        "photos.json",
        json.dumps({"date": "", "photos": {"a.jpg": "present"}}).encode(),
        (json_like, bytes_like),
        flickr.statuses,
    ),
    "fat": ("test.json", json.dumps([FAT]).encode(), (json_like, bytes_like), _load("fat")),
    "cuhk_icd": ("Cropping parameters.txt", CUHK.encode(), (bytes_like,), _load("cuhk_icd", "all")),
    "flms": ("500_image_dataset.mat", _matlab(), (bytes_like,), _load("flms")),
    "gaze": ("osie/fixations.json", json.dumps(GAZE).encode(), (json_like, bytes_like), _gaze),
    "layouts": ("objects/test/a.txt", OBJECTS.encode(), (bytes_like,), _layouts),
    "zip": ("set", _zip(), (bytes_like,), _archive),
    "tar": ("set", _tar(), (bytes_like,), _archive),
    "tar.gz": ("set", _tar("w:gz"), (bytes_like,), _archive),
    "ledger": ("vrn.json", json.dumps(LEDGER).encode(), (json_like, bytes_like), _ledger),
    "results": ("result.json", json.dumps(RESULT).encode(), (json_like, bytes_like), results.read),
    "paper": (
        "paper.toml",
        (Path(paper.__file__).parent / "vrn/paper.toml").read_bytes(),
        (bytes_like,),
        lambda folder: paper.parse(folder / "paper.toml"),
    ),
    "field": (
        "field.toml",
        Path(paper.__file__).with_name("field.toml").read_bytes(),
        (bytes_like,),
        lambda folder: paper.field(folder / "field.toml"),
    ),
}


@pytest.fixture(autouse=True)
def _results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", "")  # put back whatever a reader sets


def _fuzz(
    folder: Path,
    file: str,
    content: bytes,
    changes: tuple,
    read: Callable[[Path], object],
    then: Callable[[], object] = lambda: None,
) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    read(folder)  # unchanged, it is right
    then()
    end = time.monotonic() + SECONDS / (len(READERS) + len(PHOTOS) + 2)

    refusals: list[str] = []

    def check(changed: bytes) -> None:
        path.write_bytes(changed)
        try:
            read(folder)
        except CropnbError as error:
            refusals.append(str(error))

    # In small runs of Hypothesis, as many as there is time for, each with a seed of its own. Where
    # there is more time than usual, they begin elsewhere each time.
    first = 0 if SECONDS <= USUAL else time.time_ns() % 2**32
    changed = st.one_of([change(content) for change in changes])
    sizes = settings(
        max_examples=1 if file.endswith(".mat") else EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for number in itertools.count(first):
        seed(number)(sizes(given(changed)(check)))()
        if time.monotonic() > end:
            break
    assert all(refusals)


@pytest.mark.parametrize("name", READERS)
def test_nearly_right_files_are_read_or_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Damaged files can keep SciPy for ever: once the right one was read, five seconds are enough.
    _fuzz(tmp_path, *READERS[name], lambda: monkeypatch.setattr(checked, "MATLAB_SECONDS", 5))


@pytest.mark.parametrize("name", PHOTOS)
def test_nearly_right_photos_are_cropped_or_refused(name: str, tmp_path: Path) -> None:
    _fuzz(tmp_path, "photo", PHOTOS[name](), (bytes_like,), _crop)


def test_nearly_right_weights_are_read_or_refused(tmp_path: Path) -> None:
    _fuzz(tmp_path, "weights", _weights(tmp_path), (bytes_like,), _load_weights)


def test_nearly_right_runs_are_continued_or_refused(tmp_path: Path) -> None:
    _run(tmp_path)
    content = (tmp_path / training.RUN_FILE).read_bytes()
    _fuzz(tmp_path, training.RUN_FILE, content, (bytes_like,), _run)
