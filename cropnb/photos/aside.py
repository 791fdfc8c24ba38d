"""Large photos are decoded in a small process of their own, which has no torch and gives its memory
back when it ends.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from cropnb.errors import ImageError, SaveError

if TYPE_CHECKING:
    from cropnb.photos.cutting import CutPhoto
    from cropnb.photos.opened import OpenedPhoto

LARGE = 48_000_000  # pixels


def view(photo: "OpenedPhoto", size: tuple[int, int]) -> Image.Image:
    """What a network sees of a large photo, in this size; see `OpenedPhoto.small_image`."""
    data = _run(photo, {"size": size})
    return Image.frombytes("RGB", size, data)


def write(cut: "CutPhoto", path: Path, job: dict[str, Any]) -> list[str]:
    """Write a cut of a large photo to `path`; returns what it could not keep."""
    request = {"box": cut.box, "target": cut.size, "path": str(path), "job": job}
    return json.loads(_run(cut.photo, request))


def _run(photo: "OpenedPhoto", request: dict[str, Any]) -> bytes:
    """Ask the other process; its errors are raised here."""
    request |= {"limit": photo.limit, "name": photo.name}
    source = photo.source
    if isinstance(source, str):
        request["source"] = os.path.abspath(source)
    environment = dict(os.environ)
    package = str(Path(__file__).parents[2])
    earlier = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([package, earlier] if earlier else [package])
    done = subprocess.run(
        # -P: nothing is imported from the folder of the reader's photos
        [sys.executable, "-P", "-m", "cropnb.photos.aside", json.dumps(request)],
        input=source if isinstance(source, bytes) else b"",
        capture_output=True,
        env=environment,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    try:
        error = json.loads(done.stderr.splitlines()[-1])
    except (ValueError, IndexError):
        last = done.stderr.decode(errors="replace").strip().splitlines()
        reason = last[-1] if last else f"its process was ended by signal {-done.returncode}"
        raise ImageError(
            f"{photo.name} can't be decoded: {reason}; it may need more memory than there is"
        ) from None
    if error["kind"] == "OSError":
        raise OSError(error["number"], error["text"])
    raise {"SaveError": SaveError}.get(error["kind"], ImageError)(error["text"])


def _answer(request: dict[str, Any], source: str | bytes) -> bytes:
    """What the other process does."""
    from cropnb.photos.cutting import CutPhoto
    from cropnb.photos.opened import OpenedPhoto

    photo = OpenedPhoto(source, request["name"], request["limit"], in_process=True)
    if "path" not in request:
        return photo.seen(tuple(request["size"])).tobytes()
    target = tuple(request["target"])
    cut = CutPhoto(photo, tuple(request["box"]), target, enlarge=True)
    return json.dumps(cut.write(Path(request["path"]), **request["job"])).encode()


def main() -> int:
    """Read a request, write the answer to standard output, or an error to standard error."""
    request = json.loads(sys.argv[1])
    source = request.get("source") or sys.stdin.buffer.read()
    try:
        sys.stdout.buffer.write(_answer(request, source))
    except (ImageError, SaveError) as error:
        return _failed(type(error).__name__, None, str(error))
    except OSError as error:
        return _failed("OSError", error.errno, error.strerror or str(error))
    return 0


def _failed(kind: str, number: int | None, text: str) -> int:
    print(json.dumps({"kind": kind, "number": number, "text": text}), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
