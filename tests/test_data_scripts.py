"""The scripts of `data_scripts/`: what is on a disk, what that blocks, and one script a dataset."""

import hashlib
import runpy
from pathlib import Path

import pytest
from PIL import Image

from cropnb import ledger
from cropnb.datasets.fetch import manifest, program

SCRIPTS = Path(__file__).parents[1] / "data_scripts"
SCRIPT = SCRIPTS / "status.py"


@pytest.fixture
def status(capsys):
    """Run the script in this process: torch takes seconds to import into another."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        code = runpy.run_path(str(SCRIPT))["main"](list(arguments))
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, printed.out.splitlines()

    return run


def test_status_of_an_empty_folder_names_all_seven_and_where_it_looked(
    tmp_path, monkeypatch, status
):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    code, lines = status()
    assert code == 0
    for name in ("gaicd", "gaicd_v2", "cpc", "fcdb", "flms", "fat", "cuhk_icd"):
        place = lines.index(f"{name}: {tmp_path / name}")
        assert "missing" in lines[place + 1]
    assert lines[-1].startswith("scenes:")


def test_status_counts_annotations_and_photos_and_reports_damage(tmp_path, status):
    annotations = tmp_path / "gaicd" / "annotations"
    (annotations / "train").mkdir(parents=True)
    (annotations / "test").mkdir()
    (annotations / "train" / "a.txt").write_text("5 10 115 230 3.14\n5 50 95 210 2.5\n")
    (annotations / "test" / "b.txt").write_text("5 10 115\n")
    code, lines = status(str(tmp_path))
    assert code == 0
    assert lines[:2] == [
        f"gaicd: {tmp_path / 'gaicd'}",
        "  train: 1 of 1036 annotations with 2 boxes, 0 photos; missing: 1035 annotations, 1 "
        "photos",
    ]
    assert "test: can't be used" in lines[2]
    assert "b.txt, line 1" in lines[2]


def test_status_names_the_chapters_and_pending_rows_that_a_missing_dataset_blocks(
    tmp_path, monkeypatch, status
):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    common = {
        "paper": "vrn",
        "row": "VRN",
        "dataset": "gaicd",
        "split": "test",
        "verdict": "pending",
        "note": "photos",
    }
    rows = [
        ledger.Row(table=table, column=column, **common)
        for table, column in (("Table 1", "a"), ("Table 1", "b"))
    ]
    ledger.record(
        "vrn", [*rows, ledger.Row(table="Table 2", column="a", **{**common, "dataset": "fcdb"})]
    )
    _, lines = status(str(tmp_path))
    gaicd = lines[: lines.index(f"gaicd_v2: {tmp_path / 'gaicd_v2'}")]
    assert "  blocks: papers/asm_net: Table 4" in gaicd
    assert (
        gaicd[-1]
        == "  blocks: 2 pending rows of the ledger vrn (chapter papers/vrn): Table 1 (2 rows)"
    )
    assert (
        "  blocks: 1 pending rows of the ledger vrn (chapter papers/vrn): Table 2 (1 rows)" in lines
    )


def test_status_says_which_splits_are_ours(tmp_path, status):
    _, lines = status(str(tmp_path))
    # CPC and CUHK-ICD publish no list
    assert sum(line.startswith("  split: ours") for line in lines) == 2


@pytest.mark.parametrize("name", manifest.entries())
def test_every_dataset_has_a_script_that_starts_and_says_where_its_files_are(name, capsys):
    script = runpy.run_path(str(SCRIPTS / f"{name}.py"))
    with pytest.raises(SystemExit) as left:
        script["main"](name, ["--help"])
    assert left.value.code == 0
    shown = "".join(capsys.readouterr().out.split())
    for source in manifest.entry(name).sources:
        assert "".join(source.by_hand.split()) in shown


def test_each_script_tells_of_all_datasets_its_own_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path))
    assert program.main("flms", ["--status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"flms: {tmp_path / 'flms'}"
    assert f"gaicd: {tmp_path / 'gaicd'}" in lines


@pytest.mark.parametrize("name", manifest.entries())
def test_offline_every_script_ends_with_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_OFFLINE", "1")
    assert program.main(name, ["--root", str(tmp_path), "--quiet"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert "--from FILE" in error
    assert not (tmp_path / name).exists() or not list((tmp_path / name).iterdir())


def test_a_folder_by_hand_then_nothing_to_do_then_the_cache(tmp_path, monkeypatch, capsys):
    """The whole way through the program, offline: --from, a second run, --prepare."""
    monkeypatch.setenv("CROPNB_OFFLINE", "1")
    for split, name in (("train", "a"), ("test", "b")):
        for kind in ("images", "annotations"):
            (tmp_path / "mine/GAIC" / kind / ("" if kind == "annotations" else split)).mkdir(
                parents=True, exist_ok=True
            )
        Image.new("RGB", (600, 480)).save(tmp_path / f"mine/GAIC/images/{split}/{name}.jpg")
        (tmp_path / f"mine/GAIC/annotations/{name}.txt").write_text(
            "20 25 460 575 3.14\n20 25 420 525 -2\n"
        )
    root = ["--root", str(tmp_path / "data"), "--quiet"]
    assert program.main("gaicd", [*root, "--from", str(tmp_path / "mine")]) == 0
    assert "done. 2 of 1236 annotated photos and 2 photo files" in capsys.readouterr().out
    assert program.main("gaicd", root) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert program.main("gaicd", [*root, "--prepare", "256"]) == 0
    assert "gaicd, test: 1 photos prepared with 256 pixels" in capsys.readouterr().out
    # what was prepared doesn't count as a photo, nor gets lost
    assert program.main("gaicd", root) == 0
    assert "2 photo files" in capsys.readouterr().out


def test_the_manifest_claims_no_hash_without_saying_how_it_is_known():
    for entry in manifest.entries().values():
        for source in entry.sources:
            assert bool(source.sha256) == bool(source.known_from)
            assert source.known_from in ("", "copy", "reported")
            assert source.sha256 is None or len(bytes.fromhex(source.sha256)) == 32
            assert source.by_hand


def test_the_manifest_agrees_with_the_real_lists(real_data):
    if not (real_data / "fcdb").is_dir():
        pytest.skip("CROPNB_DATA has no fcdb")
    for source in manifest.entry("fcdb").sources[:2]:
        content = (real_data / "fcdb" / source.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (source.size, source.sha256)
