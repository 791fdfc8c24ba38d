"""The script that tells which datasets are on a disk."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "data_scripts" / "status.py"


@pytest.fixture
def status(capsys):
    """Run the script in this process: torch takes seconds to import into another."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        code = runpy.run_path(str(SCRIPT))["main"](list(arguments))
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, printed.out.splitlines()

    return run


def test_status_of_an_empty_folder_names_all_seven_and_where_it_looked(tmp_path, monkeypatch, status):
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
        "  train: 1 of 1036 annotations with 2 boxes, 0 photos; missing: 1035 annotations, 1 photos",
    ]
    assert "test: can't be used" in lines[2]
    assert "b.txt, line 1" in lines[2]
