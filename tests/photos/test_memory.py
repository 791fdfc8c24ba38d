"""Photos of 100 and 300 megapixels: the memory that a crop takes, in processes of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cropnb.errors import ImageError
from cropnb.photos import aside, open_photo, spilled
from cropnb.photos.pixels import TURNS

# VmHWM and not ru_maxrss, which a new process inherits from the one that started it.
MEASURED = """
import json, re, sys
from pathlib import Path
from cropnb.photos.opened import OpenedPhoto
if sys.argv[3] == "torch":
    import torch, torchvision.transforms.v2
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
photo = OpenedPhoto(sys.argv[1], "the photo", 500_000_000, in_process=sys.argv[3] == "aside")
before = peak()
width, height = photo.size
seen = photo.small_image() if sys.argv[3] == "aside" else photo.small_rgb()
notes = photo.cut((width // 50, 0, width, height)).save(sys.argv[2])
print(json.dumps({"before": before, "peak": peak(), "notes": notes}))
"""


def measure(source, out, kind):
    """Peaks in MB: of the process that has torch, or of the one that decodes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, source, out, kind], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_crop_of_100_megapixels_stays_below_1200_mb(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.new("RGB", (11_600, 8_700), (90, 120, 60))
    photo.paste((200, 30, 30), (4_000, 3_000, 9_000, 8_000))
    paths = [str(tmp_path / name) for name in ("photo.jpg", "crop.jpg")]
    photo.save(paths[0], exif=exif)
    decoding = measure(*paths, "aside")
    assert 400 < decoding["peak"] - decoding["before"] < 1200 - decoding["before"]
    with Image.open(paths[1]) as crop:
        assert crop.size == (8_526, 11_600)
    beside = measure(*paths, "torch")
    assert beside["notes"] == []
    assert beside["peak"] - beside["before"] < 300  # nothing of the photo's size beside torch
    assert beside["peak"] < 1200


def test_three_hundred_megapixels_are_accepted_and_a_bomb_is_not(tmp_path):
    Image.new("1", (20_000, 15_000)).save(tmp_path / "photo.png")
    photo = open_photo(tmp_path / "photo.png")
    assert photo.size == (20_000, 15_000)
    assert photo.aside
    Image.new("1", (25_000, 21_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match=r"500,000,000 pixels.*--max-pixels"):
        open_photo(tmp_path / "bomb.png")


@pytest.fixture
def everything_is_large(monkeypatch):
    monkeypatch.setattr("cropnb.photos.opened.LARGE", 1000)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_other_process_gives_the_same(tmp_path, monkeypatch, as_bytes):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo ü.png"
    Image.fromarray(pixels).save(path, exif=exif, dpi=(300, 300))
    source = path.read_bytes() if as_bytes else path
    plain = open_photo(source)
    monkeypatch.setattr("cropnb.photos.opened.LARGE", 1000)
    monkeypatch.chdir(tmp_path)
    photo = open_photo(source if as_bytes else "photo ü.png")
    assert photo.aside
    assert (photo.small_rgb(40) == plain.small_rgb(40)).all()
    for name, opened in (("one", plain), ("two", photo)):
        cut = opened.cut((3, 4, 50, 70), size=(30, 30))
        cut.save(tmp_path / f"{name}.png", strip_location=True)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "LA", "I;16"])
@pytest.mark.parametrize("room", [True, False])
def test_a_part_that_waits_in_a_file_is_the_part(monkeypatch, mode, room):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spilled, "ROWS", 7)
    if not room:
        monkeypatch.setattr(spilled.tempfile, "TemporaryFile", full)
    pixels = np.random.default_rng(0).integers(0, 256, 30 * 40 * 4, np.uint8).tobytes()
    count = {"L": 1, "P": 1, "RGB": 3, "LA": 2, "I;16": 2}.get(mode, 4)
    image = Image.frombytes(mode, (40, 30), pixels[: 30 * 40 * count])
    box = (3, 4, 37, 28)
    for turn in range(1, 9):
        part = spilled.Spilled(image, box).turned(turn)
        crop = image.crop(box)
        expected = crop.transpose(TURNS[turn]) if turn in TURNS else crop
        assert (part.mode, part.size) == (mode, expected.size)
        assert part.tobytes() == expected.tobytes()


def test_errors_and_notes_come_back_from_the_other_process(tmp_path, everything_is_large):
    Image.new("RGBA", (90, 60), (255, 0, 0, 9)).save(tmp_path / "photo.png")
    cut = open_photo(tmp_path / "photo.png").cut((0, 0, 50, 50))
    with pytest.warns(UserWarning, match="laid on white"):
        assert len(cut.save(tmp_path / "crop.jpg")) == 1
    data = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "photo.png").write_bytes(data[:-60])
    photo = open_photo(tmp_path / "photo.png")
    for use in (photo.small_rgb, lambda: photo.cut((0, 0, 9, 9)).save(tmp_path / "crop.png")):
        with pytest.raises(ImageError, match=r"photo.png is damaged"):
            use()
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "crop.jpg"}


def test_a_killed_process_is_an_error_that_names_the_photo(
    tmp_path, everything_is_large, monkeypatch
):
    Image.new("RGB", (90, 60)).save(tmp_path / "photo.png")
    photo = open_photo(tmp_path / "photo.png")
    monkeypatch.setattr(aside.sys, "executable", "/bin/false")
    with pytest.raises(ImageError, match=r"photo.png can't be decoded.*memory"):
        photo.small_rgb()
