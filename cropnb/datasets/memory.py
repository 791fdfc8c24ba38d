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
from collections.abc import Iterator, Sequence
from pathlib import Path

from cropnb import ledger
from cropnb.errors import CropnbError
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.rows import number

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

    Raises:
        CropnbError: the system doesn't say.
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
    """Write an archive of files that can't be compressed.

    Args:
        path: of the archive.
        kind: "zip" or "tar".
        files: how many.
        size: bytes of each file.
    """
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
    options, peaks = program.parser("datasets.memory", __doc__), []
    options.add_argument(
        "--files", type=int, default=2000, help="of 1 MiB each (default: %(default)s)"
    )

    def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
        for kind in ("zip", "tar"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "set"
                write_archive(path, kind, chosen.files)
                name = f"unpacking a {kind} of {path.stat().st_size / 1e9:.1f} GB"
                peaks.append(peak(path, Path(folder) / "out"))
            note = f"the whole process; at most {MOST} are wanted"
            megabytes = round(peaks[-1], 1)
            yield [
                number(context, TABLE, name, "MB", ours=megabytes, images=chosen.files, note=note)
            ]

    context = Context(
        NAME, ledger.SCENES, arguments=(), module="cropnb.datasets.memory", device="CPU"
    )
    status = program.study(measure, options, context, arguments)
    return status or int(max(peaks) > MOST)


if __name__ == "__main__":
    sys.exit(main())
