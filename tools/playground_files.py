"""What the playground is made of in the rendered book: its program, the runtime, the networks.

A page that is opened from a file may not fetch anything. So what isn't a script comes as scripts:
compressed, written as text, in parts whose arrival moves a progress bar.
"""

import base64
import gzip
import hashlib
import json
import os
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
sys.path.insert(0, str(ROOT))

from cropnb import methods  # noqa: E402  (the tools also run where cropnb isn't installed)

SOURCES = TOOLS / "playground"
FIGURES = ROOT / "cropnb/widgets"
FOLDER = "playground"  # below the root of the rendered book
PART = 1 << 19  # bytes, compressed, of a part
# The program: formulas and parts of the book's figures, and what the playground adds.
FORMULAS = [FIGURES / "geometry.js", FIGURES / "ratio_maps.js", FIGURES / "shared.js"]
# ONNX Runtime, by the folder that it gets: its script, and how its module and its WASM are called.
RUNTIMES = {
    "runtime": ("ort.wasm.min.js", "ort-wasm-simd-threaded"),
    "gpu": ("ort.webgpu.min.js", "ort-wasm-simd-threaded.asyncify"),
}
PROGRAM = ["boxes", "pixels", "ranking", "networks", "methods", "saving", "page"]


def pack(data: bytes, folder: Path, name: str) -> dict[str, int]:
    """Write data as scripts `NAME-0.js`, `NAME-1.js` … and say how many, of how many bytes.

    Each hands its part to `cropnbPlayground.arrive(NAME, number, text)`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    small = gzip.compress(data, compresslevel=9, mtime=0)
    texts = [base64.b64encode(small[at : at + PART]).decode() for at in range(0, len(small), PART)]
    key = f"{folder.name}/{name}"
    for number, text in enumerate(texts):
        script = f'cropnbPlayground.arrive("{key}", {number}, "{text}");\n'
        (folder / f"{name}-{number}.js").write_text(script, encoding="ascii")
    return {"parts": len(texts), "bytes": len(small), "text": sum(map(len, texts))}


def weights_of(method: str) -> Path:
    """The checkpoint that `cropnb.load(method)` takes; found without importing PyTorch."""
    folder = ROOT / "cropnb" / method
    photographs = folder / "weights/photographs.safetensors"
    return photographs if photographs.is_file() else folder / "weights.safetensors"


def fingerprint(method: str) -> str:
    """A hash of what decides how a method's networks come out: weights and exporting code."""
    digest = hashlib.sha256(str(PART).encode())
    code = [ROOT / "cropnb/export.py", *sorted(ROOT.glob("cropnb/*/studies/export.py"))]
    # some weights leave out units that this file has for all of them
    frozen = ROOT / "cropnb/backbones/frozen.safetensors"
    for path in (weights_of(method), frozen, *code):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def program() -> str:
    """The playground's script: all of its parts in one function, without imports."""
    paths = [*FORMULAS, *(SOURCES / f"{name}.js" for name in PROGRAM)]
    parts = [path.read_text("utf-8").replace("\nexport ", "\n") for path in paths]
    return "(() => {\n" + "\n".join(parts) + "\n})();\n"


def manifest(extra: Path) -> dict[str, object]:
    """What is there to be loaded: both runtimes, and each method whose networks are up to date."""
    folder = extra / FOLDER
    models = {}
    for path in sorted(folder.glob("models/*/model.json")):
        content = json.loads(path.read_text("utf-8"))
        name = path.parent.name
        current = content.get("fingerprint") == fingerprint(name) and "color" in content
        if name in methods.METHODS and current:
            models[name] = {**content, "purpose": methods.purpose(name)}
    stamps = {name: folder / name / "runtime.json" for name in RUNTIMES}
    runtimes = {
        name: json.loads(stamp.read_text("utf-8")) if stamp.is_file() else None
        for name, stamp in stamps.items()
    }
    return {
        **runtimes,
        "models": models,
        "default": methods.default(),
        "example": (folder / "models/example.js").is_file(),
    }


def assemble(extra: Path) -> Path:
    """Write program, style and manifest into `extra`, which is copied into the book's root."""
    folder = extra / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    style = (FIGURES / "figure.css").read_text("utf-8")
    style += (SOURCES / "playground.css").read_text("utf-8")
    listed = json.dumps(manifest(extra), sort_keys=True, ensure_ascii=True)
    for name, text in (
        ("manifest.js", f"window.cropnbPlayground = {{ manifest: {listed} }};\n"),
        ("playground.js", program()),
        ("playground.css", style),
    ):
        half = folder / f"{name}.{os.getpid()}"
        half.write_text(text, encoding="utf-8")
        half.replace(folder / name)
    return folder


def pack_runtimes(modules: Path, extra: Path) -> None:
    """ONNX Runtime for browsers, of npm's `node_modules`, for the processor and for the graphics
    card: its script as it is, its module and its WASM packed.
    """
    source = modules / "onnxruntime-web"
    version = json.loads((source / "package.json").read_text("utf-8"))["version"]
    kinds = {"module": "mjs", "wasm": "wasm"}
    for name, (script_file, program_file) in RUNTIMES.items():
        folder = extra / FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        script = (source / "dist" / script_file).read_text("utf-8")
        script = script.rpartition("\n//# sourceMappingURL")[0] or script
        (folder / "ort.js").write_text(script, encoding="utf-8")
        sizes = {
            kind: pack((source / f"dist/{program_file}.{ending}").read_bytes(), folder, kind)
            for kind, ending in kinds.items()
        }
        content = {"version": version, "files": sizes}
        (folder / "runtime.json").write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    sys.exit("this is a part of tools/vendor.py and tools/export_onnx.py")
