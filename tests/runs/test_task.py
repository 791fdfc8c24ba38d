"""One task of a reproduction: its command, its stamp, and a disk that doesn't take the stamp."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cropnb.runs import reproduce, task


def listing(folder: Path, output: Path, command: str = "python -c pass") -> str:
    """A list of one task."""
    tasks = [{"name": "a/b", "command": command, "output": str(output), "minutes": 6}]
    (folder / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    return str(folder / "tasks.json")


def test_a_recording_that_ends_well_gets_its_stamp(tmp_path: Path, capsys) -> None:
    output = tmp_path / "plan" / "stamp"
    assert task.main(listing(tmp_path, output), "a/b", 2) == 0
    assert output.read_text() == "python -c pass\n"
    assert [path.name for path in output.parent.iterdir()] == ["stamp"]
    assert capsys.readouterr().out == "a/b: 0 of 1 tasks done, about 3 minutes left\n"


def test_on_a_cluster_the_work_left_is_not_divided_by_cores_of_this_machine(
    tmp_path: Path, capsys
) -> None:
    profile = str(reproduce.PROFILES / "slurm")
    given = reproduce.snakemake_command(tmp_path / "tasks.json", 2, profile)
    assert "cores=0" in given
    assert "cores=2" in reproduce.snakemake_command(tmp_path / "tasks.json", 2)
    assert task.main(listing(tmp_path, tmp_path / "stamp"), "a/b", 0) == 0
    assert capsys.readouterr().out == "a/b: 0 of 1 tasks done, about 6 minutes of work left\n"


def test_one_that_fails_gets_none(tmp_path: Path) -> None:
    output = tmp_path / "stamp"
    given = listing(tmp_path, output, "python -c 'import sys; sys.exit(3)'")
    assert task.main(given, "a/b", 1) == 3
    assert not output.exists()


def test_a_full_disk_is_one_line_and_leaves_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    write = Path.write_text

    def full(path: Path, text: str, **options: str) -> int:
        write(path, text[:3], **options)
        raise OSError(28, "No space left on device")

    output, given = tmp_path / "stamp", listing(tmp_path, tmp_path / "stamp")
    monkeypatch.setattr(Path, "write_text", full)
    assert task.main(given, "a/b", 1) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {output} can't be written (No space left on device); free")
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.json"]


def test_as_snakemake_starts_it_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = listing(tmp_path, tmp_path / "file" / "stamp")
    command = [sys.executable, task.__file__, given, "a/b", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error:")
