"""Writing down what the teacher says, as the files that `cropnb.datasets.taught` reads."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor
from tqdm.auto import tqdm

from cropnb import __version__
from cropnb.datasets import taught, unlabelled
from cropnb.datasets.base import dataset_root
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.unlabelled import Photograph
from cropnb.files import make_folder, write_atomically
from cropnb.images import read_photo, to_tensor
from cropnb.teacher.forms import FORMS, Labels, Seen
from cropnb.teacher.teacher import Teacher

DIGITS = 3  # of a pixel, or of a point


def label(teacher: Teacher, photograph: Photograph) -> dict[str, object]:
    """One photo's entry: its size, and its labels in every form."""
    image = to_tensor(read_photo(photograph.path))
    mask = unlabelled.read_mask(photograph.mask) if photograph.mask else None
    attention = teacher.attention(image, mask)
    number = int.from_bytes(hashlib.sha256(photograph.name.encode()).digest()[:6], "big")
    size = (photograph.width, photograph.height)
    seen = Seen(teacher, attention, size)
    labels = {
        form: _plain(annotate(seen, Dice(number, place)))
        for place, (form, annotate) in enumerate(FORMS.items())
    }
    return {"width": size[0], "height": size[1], "mask": mask is not None, **labels}


def write(
    teacher: Teacher,
    folder: Path,
    photographs: Sequence[Photograph],
    card: Mapping[str, object],
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> Path:
    """Label photos and write `folder / taught.LABELS`.

    What a killed call has done is kept in parts, and not done again; other parts of the teacher
    (`card`) begin anew.

    Args:
        photographs: of `unlabelled.load(root=root)`.
        card: what the teacher is made of.
        root: the folder of all datasets, to which the photos' paths are relative.

    Raises:
        WriteError: the folder can't be written to.
        ImageError: a photo is damaged.
    """
    make_folder(folder)
    parts = folder / "parts" / hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()
    make_folder(parts)
    data, photos = dataset_root("", root), {}
    for photograph in tqdm(photographs, desc="labels", unit="photo", disable=not progress):
        shown = "masked" if photograph.mask else "unmasked"
        part = parts / f"{photograph.name.replace('/', '__')}-{shown}.json"
        if not part.exists():
            entry = label(teacher, photograph)
            write_atomically(part, json.dumps(entry).encode())
        entry = json.loads(part.read_text("utf-8"))
        path = os.path.relpath(photograph.path, data)
        photos[photograph.name] = {"path": Path(path).as_posix(), **entry}
    counts = {"photos": len(photos), "masks": sum(one["mask"] for one in photos.values())}
    card = {**card, **counts}
    content = {"format": taught.FORMAT, "version": __version__, "card": card, "photos": photos}
    write_atomically(folder / taught.LABELS, json.dumps(content).encode())
    return folder / taught.LABELS


def _plain(labels: Labels) -> dict[str, list]:
    """Tensors as lists of rounded numbers."""
    return {name: _rounded(values) for name, values in labels.items()}


def _rounded(values: Tensor) -> list:
    if values.ndim == 1:
        return [round(value, DIGITS) for value in values.tolist()]
    return [_rounded(row) for row in values]
