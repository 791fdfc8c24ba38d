"""How much memory unpacking takes, at its most: `python -m cropnb.datasets.memory --record`.

An archive of 2 GB is written, unpacked by a process of its own, and both are removed; the disk
needs 4 GB for a minute.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from cropnb import ledger
from cropnb.errors import CropnbError

NAME, TABLE = "speed", "memory, MB at most"
MOST = 300
_UNPACK = """
import sys
from pathlib import Path
from cropnb.datasets.fetch import archives
archives.unpack(Path(sys.argv[1]), Path(sys.argv[2]), progress=False)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def peak(archive: Path, folder: Path) -> float:
    """Megabytes that a process takes at its most which unpacks an archive into a folder.

    Raises CropnbError on a system that doesn't say.
    """
    # `ru_maxrss` would count the process that starts this one, too.
    if not Path("/proc/self/status").exists():
        raise CropnbError(
            "this system doesn't say how much memory a process took at its most; measure it on "
            "Linux"
        )
    command = [sys.executable, "-c", _UNPACK, str(archive), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6


def write_archive(path: Path, kind: str, files: int, size: int = 1 << 20) -> None:
    """An archive ("zip" or "tar") of so many files that can't be compressed, of `size` bytes each."""
    block = os.urandom(size)
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for number in range(files):
                archive.writestr(f"set/{number}.jpg", block)
        return
    with tarfile.open(path, "w") as archive:
        for number in range(files):
            info = tarfile.TarInfo(f"set/{number}.jpg")
            info.size = size
            archive.addfile(info, io.BytesIO(block))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status is 1 where more than 300 MB were taken."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.datasets.memory", description=__doc__)
    parser.add_argument(
        "--files", type=int, default=2000, help="of 1 MiB each (default: %(default)s)"
    )
    parser.add_argument("--record", action="store_true", help="write the rows into the ledger")
    chosen = parser.parse_args(arguments)
    worst = 0.0
    for kind in ("zip", "tar"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "set"
            write_archive(path, kind, chosen.files)
            size, found = path.stat().st_size, peak(path, Path(folder) / "out")
        print(
            f"unpacking a {kind} of {size / 1e9:.2f} GB: {found:.0f} MB at most, {MOST} are allowed"
        )
        worst = max(worst, found)
        if chosen.record:
            row = ledger.Row(
                paper=NAME,
                table=TABLE,
                row=f"unpacking a {kind} of {size / 1e9:.1f} GB",
                column="MB",
                dataset="scenes",
                split="test",
                verdict="measured",
                ours=round(found, 1),
                images=chosen.files,
                device="CPU",
                command=ledger.this_command("cropnb.datasets.memory"),
                commit=ledger.current_commit(),
                note=f"the whole process; at most {MOST} are wanted",
            )
            ledger.record(NAME, row)
    return 1 if worst > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
