"""The command: what it writes, what it prints, and how it fails."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cropnb import cli
from cropnb.errors import BoxError


@pytest.fixture
def folder(tmp_path):
    """Two good photos, a damaged one, and a file that is no photo."""
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(noise).save(photos / "a.jpg", quality=95)
    Image.fromarray(noise).save(photos / "b.png")
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:3000])
    (photos / "notes.txt").write_text("no photo")
    return photos


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("aspect", ["16:9", "16/9", "1.7777777778", " 16 : 9 "])
def test_a_photo_is_cropped_to_a_ratio(folder, tmp_path, capsys, aspect):
    out = tmp_path / "new" / "out.jpg"
    assert (
        run("crop", folder / "a.jpg", "--method", "center_window", "--aspect", aspect, "--out", out)
        == 0
    )
    assert size(out) == (120, 68)
    assert str(out) in capsys.readouterr().out
    assert not list(out.parent.glob(".*"))


def test_the_output_is_the_crop_itself(folder, tmp_path):
    run(
        "crop",
        folder / "b.png",
        "--method",
        "center_window",
        "--aspect",
        "1",
        "--out",
        tmp_path / "out.png",
    )
    whole, crop = (
        np.asarray(Image.open(folder / "b.png")),
        np.asarray(Image.open(tmp_path / "out.png")),
    )
    assert np.array_equal(crop, whole[:, 15:105])


def test_a_turned_photo_is_written_upright_without_its_tag(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A camera"
    Image.new("RGB", (90, 120), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert (
        run("crop", tmp_path / "turned.jpg", "--method", "full", "--out", tmp_path / "out.jpg") == 0
    )
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (120, 90)
        assert not image.getexif()


def test_several_crops_are_numbered_and_fewer_are_a_warning(folder, tmp_path, capsys):
    assert (
        run("crop", folder / "b.png", "--method", "center", "-k", 2, "--out", tmp_path / "out.png")
        == 0
    )
    assert (tmp_path / "out-1.png").exists()
    assert not (tmp_path / "out-2.png").exists()
    assert "warning: center found only 1 of the 2 crops" in capsys.readouterr().err


def test_boxes_are_printed_as_json_without_a_file(folder, tmp_path, capsys):
    assert run("crop", folder / "a.jpg", "--method", "center", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record == {
        "photo": str(folder / "a.jpg"),
        "width": 120,
        "height": 90,
        "method": "center",
        "crops": [{"box": [6.0, 4.5, 114.0, 85.5], "score": None}],
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_json_names_the_file_that_was_written(folder, tmp_path, capsys):
    assert (
        run("crop", folder / "a.jpg", "--method", "full", "--json", "--out", tmp_path / "out.webp")
        == 0
    )
    assert json.loads(capsys.readouterr().out)["crops"][0]["file"] == str(tmp_path / "out.webp")


def test_an_existing_folder_takes_the_crop_under_the_photos_name(folder, tmp_path):
    (tmp_path / "out").mkdir()
    assert run("crop", folder / "a.jpg", "--method", "full", "--out", tmp_path / "out") == 0
    assert size(tmp_path / "out" / "a.jpg") == (120, 90)


def test_a_folder_is_cropped_around_its_bad_photos(folder, tmp_path, capsys):
    Image.new("RGB", (30, 20)).save(folder / "c.gif")
    assert (
        run("crop", folder, "--method", "center_window", "--aspect", "1", "--out", tmp_path / "out")
        == 1
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.jpg",
        "b.png",
        "c.gif.png",
    ]
    assert size(tmp_path / "out" / "a.jpg") == (90, 90)
    printed = capsys.readouterr()
    assert "broken.jpg skipped" in printed.err
    assert "1 of 4 photos skipped" in printed.err
    assert "4/4" in printed.err  # the progress bar
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_a_folder_of_good_photos_ends_well_and_gives_a_list(folder, tmp_path, capsys):
    (folder / "broken.jpg").unlink()
    assert run("crop", folder, "--method", "center", "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert [Path(record["photo"]).name for record in records] == ["a.jpg", "b.png"]


REFUSED = {
    "no such photo": (
        ["{photos}/none.jpg", "--method", "full", "--out", "{tmp}/x.jpg"],
        "there is no photo",
    ),
    "damaged photo": (
        ["{photos}/broken.jpg", "--method", "full", "--out", "{tmp}/x.jpg"],
        "damaged",
    ),
    "text as a photo": (
        ["{photos}/notes.txt", "--method", "full", "--out", "{tmp}/x.jpg"],
        "not a photo",
    ),
    "unknown method": (
        ["{photos}/a.jpg", "--method", "magic", "--out", "{tmp}/x.jpg"],
        "there is no method 'magic'",
    ),
    "no weights": (
        [
            "{photos}/a.jpg",
            "--method",
            "full",
            "--weights",
            "{tmp}/w.safetensors",
            "--out",
            "{tmp}/x.jpg",
        ],
        "no weights",
    ),
    "no output": (["{photos}/a.jpg", "--method", "full"], "--out"),
    "unknown format": (["{photos}/a.jpg", "--method", "full", "--out", "{tmp}/x.doc"], "x.doc"),
    "no format": (["{photos}/a.jpg", "--method", "full", "--out", "{tmp}/x"], "can't be written"),
    "over the photo": (
        ["{photos}/a.jpg", "--method", "full", "--out", "{photos}/a.jpg"],
        "never overwritten",
    ),
    "over the photo by a detour": (
        ["{photos}/a.jpg", "--method", "full", "--out", "{photos}/../photos/a.jpg"],
        "never overwritten",
    ),
    "into the photo's folder by name": (
        ["{photos}/a.jpg", "--method", "full", "--out", "{photos}"],
        "never overwritten",
    ),
    "over the folder": (["{photos}", "--method", "full", "--out", "{photos}"], "never overwritten"),
    "a folder into a file": (
        ["{photos}", "--method", "full", "--out", "{photos}/notes.txt"],
        "is a file",
    ),
    "a folder without photos": (
        ["{tmp}/empty", "--method", "full", "--out", "{tmp}/x"],
        "holds no photo",
    ),
    "no ratio": (
        ["{photos}/a.jpg", "--method", "full", "--aspect", "wide", "--out", "{tmp}/x.jpg"],
        "16:9",
    ),
    "a ratio of nothing": (
        ["{photos}/a.jpg", "--method", "full", "--aspect", "16:0", "--out", "{tmp}/x.jpg"],
        "16:9",
    ),
    "too wide a ratio": (
        ["{photos}/a.jpg", "--method", "full", "--aspect", "999", "--out", "{tmp}/x.jpg"],
        "no window",
    ),
    "no crops": (
        ["{photos}/a.jpg", "--method", "full", "-k", "0", "--out", "{tmp}/x.jpg"],
        "whole number",
    ),
    "below a file": (
        ["{photos}/a.jpg", "--method", "full", "--out", "{photos}/notes.txt/x.jpg"],
        "notes.txt",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_done_is_one_line_and_status_2(folder, tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    arguments, message = REFUSED[name]
    assert (
        run("crop", *(argument.format(photos=folder, tmp=tmp_path) for argument in arguments)) == 2
    )
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("cropnb: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "photos"]


def test_a_link_to_the_photo_is_not_written_through(folder, tmp_path, capsys):
    (tmp_path / "link.jpg").symlink_to(folder / "a.jpg")
    before = (folder / "a.jpg").read_bytes()
    assert run("crop", folder / "a.jpg", "--method", "center", "--out", tmp_path / "link.jpg") == 2
    assert (folder / "a.jpg").read_bytes() == before


def test_an_interrupted_run_says_so(folder, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_save", interrupt)
    assert run("crop", folder / "a.jpg", "--method", "full", "--out", tmp_path / "x.jpg") == 130
    assert capsys.readouterr().err == "cropnb: stopped\n"


def test_a_failed_write_leaves_nothing_behind(folder, tmp_path, monkeypatch, capsys):
    def fail(self, file, *_, **__):
        Path(file).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    assert run("crop", folder / "a.jpg", "--method", "full", "--out", tmp_path / "x.jpg") == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_methods_are_listed(capsys):
    assert run("methods") == 0
    assert {"full", "center", "center_window"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "value"), [("16:9", 16 / 9), ("3/2", 1.5), ("1.5", 1.5), ("1", 1), ("2.35:1", 2.35)]
)
def test_ratios(text, value):
    assert cli.parse_aspect(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "16:",
        ":9",
        "a:b",
        "-16:9",
        "-16:-9",
        "0",
        "16:0",
        "nan",
        "inf",
        "1e999",
        "16:9:4",
        "16x9",
    ],
)
def test_what_is_no_ratio(text):
    with pytest.raises(BoxError, match=r"16:9, 16/9 or 1\.5"):
        cli.parse_aspect(text)


def test_the_command_runs_as_a_program(folder, tmp_path):
    command = [
        sys.executable,
        "-m",
        "cropnb.cli",
        "crop",
        str(folder / "broken.jpg"),
        "--method",
        "full",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cropnb: ")
    assert "Traceback" not in done.stderr
