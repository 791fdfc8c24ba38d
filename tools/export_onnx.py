"""The networks of the playground: each method's shipped checkpoint as ONNX.

    python tools/export_onnx.py [METHOD …] [--onnx FOLDER]

They go packed as scripts into `_build/extra/playground/models`, from where `make book` and
`make html` take them into the rendered book; nothing of it is committed. What is up to date is left
as it is. `--onnx` writes plain ONNX files instead, for use elsewhere.
"""

import argparse
import base64
import io
import json
import shutil
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path[:0] = [str(TOOLS.parent), str(TOOLS)]

import playground_files  # noqa: E402

from cropnb import export  # noqa: E402
from cropnb.methods import METHODS  # noqa: E402
from cropnb.notebook import METHOD_COLORS  # noqa: E402

EXTRA = TOOLS.parent / "_build/extra"
CARD = ("dataset", "form", "photos", "commit", "profile")  # of a card, what the page tells


def pack_method(method: str, extra: Path = EXTRA) -> bool:
    """Export a method into `extra`, unless that is done; returns whether it was to be done."""
    folder = extra / playground_files.FOLDER / "models" / method
    stamp = folder / "model.json"
    wanted = playground_files.fingerprint(method)
    color = METHOD_COLORS[method]
    content = json.loads(stamp.read_text("utf-8")) if stamp.is_file() else {}
    if content.get("fingerprint") == wanted:
        if content.get("color") != color:
            stamp.write_text(json.dumps({**content, "color": color}, sort_keys=True), "utf-8")
        return False
    shutil.rmtree(folder, ignore_errors=True)
    exported = export.exported(method)
    networks = {
        network.name: playground_files.pack(
            export.model(network).SerializeToString(), folder, network.name
        )
        for network in exported.networks
    }
    card = {name: exported.card[name] for name in CARD if isinstance(exported.card.get(name), str)}
    content = {
        "fingerprint": wanted,
        "networks": networks,
        "facts": dict(exported.facts),
        "card": card,
        "color": color,
    }
    stamp.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")
    return True


def write_example(extra: Path = EXTRA) -> None:
    """A photograph for readers who have none at hand: scikit-image's cup of coffee (CC0)."""
    from PIL import Image
    from skimage import data

    stream = io.BytesIO()
    Image.fromarray(data.coffee()).save(stream, "JPEG", quality=90)
    text = base64.b64encode(stream.getvalue()).decode()
    example = json.dumps({"name": "coffee.jpg", "text": text})
    path = extra / playground_files.FOLDER / "models/example.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"cropnbPlayground.example = {example};\n", encoding="ascii")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="by default all")
    parser.add_argument("--onnx", type=Path, metavar="FOLDER", help="write plain ONNX files there")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        parser.error(f"there is no method {unknown[0]!r}; there are {', '.join(METHODS)}")
    for method in options.methods or METHODS:
        started = time.monotonic()
        if options.onnx:
            written = [
                export.write(network, options.onnx / method)
                for network in export.exported(method).networks
            ]
            print(*written, sep="\n", flush=True)
        elif pack_method(method):
            print(f"{method}: {time.monotonic() - started:.0f} s", flush=True)
    if not options.onnx:
        write_example()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
