"""The command: what it writes, what it prints, and how it fails."""

import errno
import io
import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cropnb
from cropnb import cli, croppers, methods


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


@pytest.mark.parametrize("aspect", ["16:9", "16/9", "1.7777777778", " 16 : 9 ", "1600x900"])
def test_a_photo_is_cropped_to_a_ratio(folder, tmp_path, capsys, aspect):
    out = tmp_path / "new" / "out.jpg"
    assert (
        run("crop", folder / "a.jpg", "--method", "center_window", "--aspect", aspect, "--out", out)
        == 0
    )
    assert size(out) == (112, 63)
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
        "crops": [{"box": [6.0, 4.5, 114.0, 85.5], "pixels": [6, 4, 114, 85], "score": None}],
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
        "c.gif",
    ]
    assert size(tmp_path / "out" / "a.jpg") == (90, 90)
    printed = capsys.readouterr()
    assert "broken.jpg is damaged" in printed.err
    assert "1 file is no photo: notes.txt" in printed.err
    assert "1 of 4 photos failed" in printed.err
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
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(croppers.Cropper, "stream", interrupt)
    assert run("crop", folder / "a.jpg", "--method", "full", "--out", tmp_path / "x.jpg") == 130
    assert capsys.readouterr().err == "cropnb: stopped\n"


def test_methods_are_listed_with_their_rows_and_the_default(capsys):
    assert run("methods") == 0
    printed = capsys.readouterr().out
    for name in methods.names():
        chosen = " (default)" if name == methods.default() else ""
        assert f"{name}{chosen}\n    {methods.purpose(name)}\n" in printed
    row = methods.on_photographs("vrn")[0]
    assert f"IoU {row.ours:.3f} [{row.low:.3f}, {row.high:.3f}], {row.table}" in printed
    less = methods.difference(row)
    assert f"less {less.reference}: {less}: {less.verdict}" in printed


def test_methods_are_listed_without_the_ledger(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    assert run("methods") == 0
    printed = capsys.readouterr().out
    assert f"{methods.FALLBACK} (default)" in printed
    assert "isn't here" in printed


def test_the_command_runs_as_a_program(folder, tmp_path):
    command = [
        sys.executable,
        "-m",
        "cropnb.cli",
        "crop",
        str(folder / "notes.txt"),
        "--method",
        "full",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cropnb: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["crop", "--help"], ["methods"], ["--version"]])
def test_what_needs_no_photo_needs_no_torch(arguments):
    code = f"""
import sys
from cropnb import cli
try:
    cli.main({arguments!r})
finally:
    print({{"torch", "numpy", "PIL"}} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr.strip() == "set()"


def seconds(arguments) -> float:
    """Processor seconds of the command: a busy machine makes it wait, and not compute more."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "cropnb.cli", *arguments], capture_output=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("arguments", [["--help"], ["methods"], ["--version"]])
def test_help_methods_and_version_take_less_than_a_third_of_a_second(arguments):
    assert min(seconds(arguments) for _ in range(3)) < 0.3


def test_version(capsys):
    with pytest.raises(SystemExit):
        run("--version")
    assert capsys.readouterr().out == f"cropnb {cropnb.__version__}\n"


def test_a_new_folder_is_made_for_one_photo(folder, tmp_path):
    assert run("crop", folder / "a.jpg", "--method", "full", "--out", f"{tmp_path}/new/sub/") == 0
    assert size(tmp_path / "new" / "sub" / "a.jpg") == (120, 90)


def test_a_size_is_cut_and_reduced_and_not_enlarged(folder, tmp_path):
    def crop(*extra):
        out = tmp_path / "out.png"
        arguments = ("--method", "full", *extra, "--force", "--out", out)
        assert run("crop", folder / "b.png", *arguments) == 0
        return size(out)

    assert crop("--size", "40x50") == (40, 50)
    assert crop("--size", "400x500") == (72, 90)
    assert crop("--size", "400x500", "--enlarge") == (400, 500)
    assert crop("--size", "40x50", "--aspect", "4:5") == (40, 50)


def test_existing_files_are_kept_replaced_or_skipped(folder, tmp_path, capsys):
    out = tmp_path / "out.jpg"
    out.write_bytes(b"mine")
    arguments = ("crop", folder / "a.jpg", "--method", "full", "--out", out)
    assert run(*arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert run(*arguments, "--skip-existing") == 0
    assert out.read_bytes() == b"mine"
    assert run(*arguments, "--force") == 0
    assert size(out) == (120, 90)


def test_a_second_run_does_only_what_is_missing(folder, tmp_path, capsys):
    (folder / "broken.jpg").unlink()
    arguments = ("crop", folder, "--method", "full", "--out", tmp_path / "out")
    assert run(*arguments) == 0
    (tmp_path / "out" / "a.jpg").unlink()
    before = (tmp_path / "out" / "b.png").stat()
    assert run(*arguments, "--skip-existing") == 0
    assert "1 of 2 photos have their crop already" in capsys.readouterr().err
    assert (tmp_path / "out" / "b.png").stat().st_ino == before.st_ino
    assert run(*arguments) == 1
    assert "2 of 2 photos failed" in capsys.readouterr().err
    assert run(*arguments, "--force") == 0


def test_a_folder_of_the_crops_name_is_no_crop(folder, tmp_path, capsys):
    (folder / "broken.jpg").unlink()
    (tmp_path / "out" / "a.jpg").mkdir(parents=True)
    arguments = ("crop", folder, "--method", "full", "--out", tmp_path / "out")
    for option in ("--skip-existing", "--force"):
        assert run(*arguments, option) == 1
        assert "is a folder, so no crop can have that name" in capsys.readouterr().err
    assert (tmp_path / "out" / "b.png").exists()


def test_a_photo_that_is_named_twice_is_cropped_once(folder, tmp_path, capsys):
    twice = (folder / "a.jpg", folder / "." / "a.jpg", folder.parent / folder.name / "a.jpg")
    assert run("crop", *twice, "--method", "full", "--out", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jpg"]
    assert "failed" not in capsys.readouterr().err


def test_of_several_crops_none_is_written_where_one_is_there(folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a-2.jpg").write_bytes(b"mine")
    asked = ("crop", folder / "a.jpg", "--method", "gaic", "-k", "3", "--out", f"{out}/")
    assert run(*asked) == 2
    assert "a-2.jpg exists; --force replaces it" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["a-2.jpg"]
    assert run(*asked, "--force") == 0
    assert len(list(out.iterdir())) == 3


def test_a_file_that_was_skipped_is_not_called_a_crop(folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a-2.jpg").write_bytes(b"mine")
    asked = ("crop", folder / "a.jpg", "--method", "gaic", "-k", "3", "--out", f"{out}/")
    assert run(*asked, "--skip-existing") == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["was there, and stays" in line for line in lines] == [False, True, False]
    assert (out / "a-2.jpg").read_bytes() == b"mine"
    (out / "a-1.jpg").unlink()
    assert run(*asked, "--skip-existing", "--json") == 0
    crops = json.loads(capsys.readouterr().out)["crops"]
    assert [crop.get("skipped", False) for crop in crops] == [False, True, True]


def test_a_file_is_no_folder_for_crops(folder, tmp_path, capsys):
    file = tmp_path / "file.jpg"
    file.write_bytes(b"mine")
    for out in (f"{file}/", file / "crop.jpg", file / "deeper" / "crop.jpg"):
        assert run("crop", folder / "a.jpg", "--method", "full", "--out", out) == 2
        assert f"{file} is a file, so it can't be the folder" in capsys.readouterr().err
    assert file.read_bytes() == b"mine"


def test_several_photos_and_folders_at_once(folder, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (30, 20)).save(other / "d.png")
    Image.new("RGB", (30, 20)).save(other / "a.jpg")
    out = tmp_path / "out"
    names = (folder / "a.jpg", other, tmp_path / "none.jpg")
    assert run("crop", *names, "--method", "full", "--out", out) == 1
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "d.png"]
    printed = capsys.readouterr().err
    assert f"{out}/a.jpg is the crop of {folder}/a.jpg" in printed
    assert "none.jpg; check the path" in printed
    assert "2 of 4 photos failed" in printed


def test_the_tree_is_kept_and_hidden_files_and_crops_are_left_alone(tmp_path, capsys):
    photos = tmp_path / "photos"
    for name in ("a.jpg", "x/b.jpg", "x/y/c.JPG", "x/._b.jpg", ".hidden/d.jpg", "x/e.txt"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20)).save(photos / name, "JPEG")
    out = photos / "crops"
    arguments = ("crop", photos, "--method", "full", "--out", out, "--recursive")
    assert run(*arguments) == 0
    assert run(*arguments, "--force") == 0  # and not the crops of the crops
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == ["a.jpg", "x/b.jpg", "x/y/c.JPG"]
    assert "1 file is no photo: e.txt" in capsys.readouterr().err


def test_one_photo_is_never_written_over_by_anothers_crop(tmp_path, capsys):
    for name, colour in (("x", "red"), ("y", "blue")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (30, 20), colour).save(tmp_path / name / "a.png")
    before = (tmp_path / "y" / "a.png").read_bytes()
    names = (tmp_path / "x" / "a.png", tmp_path / "y" / "a.png")
    assert run("crop", *names, "--method", "center", "--force", "--out", tmp_path / "y") == 1
    assert (tmp_path / "y" / "a.png").read_bytes() == before
    assert capsys.readouterr().err.count("never overwritten") == 2


def test_standard_input_and_output(folder, tmp_path):
    command = [sys.executable, "-m", "cropnb.cli", "crop", "-", "--method", "center", "--out"]
    photo = (folder / "a.jpg").read_bytes()
    done = subprocess.run([*command, "-"], input=photo, capture_output=True, check=True)
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (108, 81))
    subprocess.run([*command, f"{tmp_path}/new/"], input=photo, capture_output=True, check=True)
    assert size(tmp_path / "new" / "stdin.jpg") == (108, 81)
    empty = subprocess.run([*command, "-"], input=b"", capture_output=True, check=False)
    assert (empty.returncode, empty.stdout) == (2, b"")
    assert empty.stderr == b"cropnb: standard input is empty; send a photo into it\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error_but_for_a_photo_from_one(folder, tmp_path, closed):
    command = f"{sys.executable} -m cropnb.cli crop {folder}/a.jpg --method full --out {tmp_path}"
    done = subprocess.run(f"{command}/x.jpg {closed}", shell=True, capture_output=True, check=True)
    assert done.stderr == b""
    assert size(tmp_path / "x.jpg") == (120, 90)
    command = f"{sys.executable} -m cropnb.cli crop - --method full --out {tmp_path}/y.jpg <&-"
    done = subprocess.run(command, shell=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_names_that_the_system_refuses_end_no_batch(folder, tmp_path, capsys):
    (tmp_path / "loop").symlink_to("loop")
    names = ("n" * 5000, folder / "b.png", tmp_path / "loop" / "c.png", "n" * 300 + ".jpg")
    assert run("crop", *names, "--method", "full", "--out", tmp_path / "out") == 1
    printed = capsys.readouterr().err
    assert size(tmp_path / "out" / "b.png") == (120, 90)
    assert printed.count("File name too long") == 2
    assert "3 of 4 photos failed" in printed
    (folder / "loop.jpg").symlink_to("loop.jpg")
    assert run("crop", folder, "--method", "full", "--out", tmp_path / "loop") in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("empty", ["photo", "--out"])
def test_an_empty_name_is_not_the_folder_where_the_reader_is(
    folder, tmp_path, capsys, monkeypatch, empty, several
):
    monkeypatch.chdir(tmp_path)
    names = ["" if empty == "photo" else folder / "a.jpg"] + [folder / "b.png"] * several
    out = "" if empty == "--out" else tmp_path / "out"
    assert run("crop", *names, "--method", "full", "--out", out) == 2
    assert "empty name" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("arguments", ["methods", "crop {folder}/a.jpg --method full --json"])
def test_a_reader_that_has_gone_is_no_error(folder, arguments):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "cropnb.cli", *arguments.format(folder=folder).split()]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


REFUSED_OPTIONS = {
    "a size of nothing": (["--size", "0x10"], "1080x1350"),
    "a size of another ratio": (["--size", "10x10", "--aspect", "4:5"], "isn't of the ratio"),
    "enlarging to nothing": (["--enlarge"], "give one"),
    "quality": (["--quality", "101"], "1 to 100"),
    "jobs": (["--jobs", "0"], "1 to 1000"),
    "limit": (["--max-pixels", "0"], "from 1"),
    "a photo beyond the limit": (["--max-pixels", "100"], "--max-pixels"),
}


@pytest.mark.parametrize("name", REFUSED_OPTIONS)
def test_options_that_make_no_sense(folder, tmp_path, capsys, name):
    arguments, message = REFUSED_OPTIONS[name]
    out = tmp_path / "x.jpg"
    assert run("crop", folder / "a.jpg", "--method", "full", *arguments, "--out", out) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not out.exists()


def test_a_thousand_files_with_ten_broken_ones_of_ten_kinds(tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    out.mkdir()
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(noise).save(content, "JPEG")
    good = content.getvalue()
    for number in range(989):
        (photos / f"{number:04}.jpg").write_bytes(good)
    longest = "n" * 251 + ".jpg"  # 255 bytes: no room for the name of a temporary file
    (photos / longest).write_bytes(good)
    os.mkfifo(photos / "pipe.jpg")  # no file, so no photo: it must not be waited for
    broken = {
        "cut.jpg": good[:300],
        "empty.jpg": b"",
        "text.jpg": b"no photo",
        "page.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "header.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        "zeros.webp": b"RIFF\x20\0\0\0WEBPVP8 " + b"\0" * 30,
        "bomb.bmp": struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54, 40, 60000, 60000, 1, 24,
                                0, 0, 0, 0, 0, 0),
        "blocked.jpg": good,
        "link.jpg": None,
        "lost.tif": b"II*\0\xff\xff\xff\x7f",
    }  # fmt: skip
    for name, data in broken.items():
        if data is None:
            (photos / name).symlink_to(photos / "nowhere.jpg")
        else:
            (photos / name).write_bytes(data)
    (out / "blocked.jpg").mkdir()
    arguments = ("crop", photos, "--method", "center", "--out", out, "--jobs", 3)
    assert run(*arguments) == 1
    printed = capsys.readouterr().err
    for name in broken.keys() - {"link.jpg"}:
        assert any(name in line and "no photo:" not in line for line in printed.splitlines()), name
    assert "2 files are no photos: link.jpg, pipe.jpg" in printed
    assert "9 of 999 photos failed" in printed
    assert "Traceback" not in printed
    assert ".part" not in printed
    written = {path.name for path in out.iterdir() if path.is_file()}
    assert written == {*(f"{number:04}.jpg" for number in range(989)), longest}
    assert size(out / longest) == (29, 22)


def test_a_full_disk_is_told_by_the_readers_files(folder, tmp_path, capsys, monkeypatch):
    (folder / "broken.jpg").unlink()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/.secret.part")

    monkeypatch.setattr(Image.Image, "save", full)
    assert run("crop", folder, "--method", "full", "--out", tmp_path / "out") == 1
    printed = capsys.readouterr().err
    assert printed.count("No space left on device") == 2
    assert f"{tmp_path}/out/a.jpg" in printed
    assert "secret" not in printed
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="limits files as Linux does")
def test_a_disk_that_fills_up_while_a_crop_is_written(tmp_path, capsys):
    """A limit of the system on a file's size stands for the disk: encoders of all kinds meet it."""
    import tifffile

    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 65536, (300, 400, 3), np.uint16)
    suffixes = ("jpg", "png", "tif", "webp", "gif", "bmp")
    for suffix in suffixes:
        Image.fromarray((noise >> 8).astype(np.uint8)).save(photos / f"a.{suffix}")
    tifffile.imwrite(photos / "deep.tif", noise, photometric="rgb")
    Image.new("RGB", (30, 20)).save(photos / "small.png")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert run("crop", photos, "--method", "center", "--out", out) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    printed = capsys.readouterr().err
    for name in (*(f"a.{suffix}" for suffix in suffixes), "deep.tif"):
        message = f"cropnb: {photos}/{name}: {out}/{name} can't be written: File too large\n"
        assert message in printed
    assert [path.name for path in out.iterdir()] == ["small.png"]


@pytest.mark.parametrize("installed", [True, False])
def test_heic_in_a_folder_is_cropped_or_named_and_sidecars_are_left_alone(
    tmp_path, capsys, monkeypatch, installed
):
    pillow_heif = pytest.importorskip("pillow_heif")
    from cropnb.photos import guard

    for name in ("photo.HEIC", "phone.heif", "renamed.jpg"):
        pillow_heif.from_pillow(Image.new("RGB", (120, 80), "red")).save(tmp_path / name)
    (tmp_path / "._photo.HEIC").write_bytes(b"\0\5\x16\7" * 20)
    (tmp_path / ".hidden.jpg").write_bytes(b"no photo")
    out = tmp_path / "out"
    if not installed:
        monkeypatch.setattr(guard, "heif_available", lambda: False)
    assert run("crop", tmp_path, "--method", "center", "--out", out) == (0 if installed else 1)
    printed = capsys.readouterr().err
    assert "no photo" not in printed
    if not installed:
        assert printed.count("is a HEIC photo, which needs pillow-heif") == 3
        assert "3 of 3 photos failed" in printed
        return
    assert size(out / "photo.HEIC.jpg") == size(out / "renamed.jpg") == (108, 72)
    assert len(list(out.iterdir())) == 3


def test_an_image_larger_than_its_format_holds_is_named(tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("L", (10, 70000)).save(photos / "long.png")
    Image.new("L", (10, 10)).save(photos / "short.png")
    out = tmp_path / "out.webp"
    assert run("crop", photos / "long.png", "--method", "full", "--out", out) == 2
    assert "16383" in capsys.readouterr().err
    assert not out.exists()
    assert run("crop", photos, "--method", "full", "--out", tmp_path / "out") == 0


def test_an_unforeseen_failure_of_one_photo_ends_no_batch(folder, tmp_path, capsys, monkeypatch):
    whole = croppers.Crop.save

    def fail(self, file, **options):
        if file.name == "a.jpg":
            raise RuntimeError("a bug\nof two lines")
        whole(self, file, **options)

    monkeypatch.setattr(croppers.Crop, "save", fail)
    assert run("crop", folder, "--method", "full", "--out", tmp_path / "out") == 1
    assert f"{folder}/a.jpg: RuntimeError: a bug of two lines\n" in capsys.readouterr().err
    assert size(tmp_path / "out" / "b.png") == (120, 90)


def test_several_crops_of_several_photos_are_skipped_when_all_are_there(folder, tmp_path, capsys):
    (folder / "broken.jpg").unlink()
    arguments = ("crop", folder, "--method", "gaic", "-k", 2, "--out", tmp_path / "out")
    assert run(*arguments) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a-1.jpg", "a-2.jpg", "b-1.png", "b-2.png"]
    assert run(*arguments, "--skip-existing") == 0
    assert "2 of 2 photos have their crop already" in capsys.readouterr().err


def test_no_photo_is_written_over_by_one_of_several_crops(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    for name in ("a.png", "a-2.png"):
        Image.fromarray(noise).save(tmp_path / name)
    before = (tmp_path / "a-2.png").read_bytes()
    several = ("-k", 2, "--method", "gaic", "--force")
    photos = (tmp_path / "a.png", tmp_path / "a-2.png")
    assert run("crop", *photos, *several, "--out", tmp_path) == 1
    assert run("crop", photos[1], *several, "--out", tmp_path / "a.png") == 2
    assert capsys.readouterr().err.count("a-2.png is a photo itself") == 2
    assert (tmp_path / "a-2.png").read_bytes() == before
    assert (tmp_path / "a-2-1.png").exists()
    assert not (tmp_path / "a-1.png").exists()


def test_what_is_missing_of_several_crops_is_added(folder, tmp_path):
    arguments = ("crop", folder / "a.jpg", "--method", "gaic", "-k", 2, "--out", tmp_path / "o.jpg")
    assert run(*arguments) == 0
    (tmp_path / "o-1.jpg").unlink()
    before = (tmp_path / "o-2.jpg").stat()
    assert run(*arguments, "--skip-existing") == 0
    assert (tmp_path / "o-1.jpg").exists()
    assert (tmp_path / "o-2.jpg").stat().st_ino == before.st_ino


def test_names_that_are_no_text_are_cropped_and_printed(tmp_path, capfd):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in (b"\xff.png", b"a\x1b[31m.png"):
        Image.new("RGB", (30, 20)).save(os.path.join(os.fsencode(photos), name), "PNG")
        (photos / os.fsdecode(name + b".txt")).write_text("")
    assert run("crop", photos, "--method", "full", "--out", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").iterdir())) == 2
    printed = capfd.readouterr().err
    assert "2 files are no photos" in printed
    assert "\x1b[31m" not in printed


def test_the_playground_lists_every_method():
    page = (Path(cropnb.__file__).parents[1] / "book/compare/playground.md").read_text("utf-8")
    assert [name for name in methods.names() if f"| `{name}` |" not in page] == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory as Linux tells it")
@pytest.mark.parametrize("method", ["center", "gaic"])
def test_a_hundred_megapixels_take_less_than_a_gigabyte_and_a_fifth(tmp_path, method):
    photo = tmp_path / "photo.jpg"
    Image.linear_gradient("L").resize((11600, 8700)).convert("RGB").save(photo, quality=60)
    out = tmp_path / "out.jpg"
    code = f"""
import resource, sys
from cropnb import cli
status = cli.main(["crop", {str(photo)!r}, "--method", {method!r}, "--out", {str(out)!r}])
# The peak of this process (not the one that it inherits from its parent) and of the child that
# decodes large photos, each.
own = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(own[0], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert max(map(int, done.stderr.split()[-2:])) * 1024 < 1.2e9
    with Image.open(out) as image:
        assert image.size[0] * image.size[1] > 20_000_000
