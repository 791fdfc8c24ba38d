"""How the anchors of the shipped run moved, for the chapter: `anchors.json` beside this file."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cropnb import files
from cropnb.runs import Experiment, Run
from cropnb.set_prediction.labels import CropPhotos

PATH = Path(__file__).with_name("anchors.json")


def read() -> dict[str, object]:
    """Where the anchors were before training and after some epochs, and what they made of one
    validation photo.

    Returns:
        `epochs` (E,); `starts` (E, Q, 4) and `crops` (E, Q, 4) as xyxy divided by the photo's
        sides; `validities` (E, Q); which photo it is, and of which run.
    """
    return json.loads(PATH.read_text(encoding="utf-8"))


def moments(
    record: Mapping[str, object], size: tuple[int, int]
) -> dict[str, tuple[Tensor, list[float]]]:
    """What the anchors made of the record's photo, epoch by epoch.

    Args:
        record: what `read` returns.
        size: width and height of the photo in pixels.

    Returns:
        By the name of the moment: boxes (Q, 4) in pixels of the photo and their validities (Q,).
    """
    sides = torch.tensor([*size, *size])
    parts = zip(record["epochs"], record["crops"], record["validities"], strict=True)
    named = {}
    for epoch, crops, validities in parts:
        boxes = torch.tensor(crops, dtype=torch.float64) * sides  # (Q, 4)
        # A box has a width, even before training.
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        name = f"after epoch {epoch}" if epoch else "before training"
        named[name] = (boxes.minimum(sides), validities)
    return named


def write(experiment: Experiment, run: Run, photos: CropPhotos) -> None:
    """Keep the record of a finished run.

    Args:
        photos: those that the run looked at. Of them the one with the most good crops is shown, up
            to ten.
    """
    tensors = experiment.tensors(run.variant, run.seed)
    last = len(tensors["starts"]) - 1
    epochs = sorted({epoch for epoch in (0, 1, 2, 4, 8) if epoch < last} | {last})
    good = [len(crops) for crops in photos.crops[: tensors["crops"].shape[1]]]
    photo = max(range(len(good)), key=lambda index: good[index] if good[index] <= 10 else 0)
    crops = tensors["crops"][epochs, photo]  # (E, Q, 5)
    content = {
        "dataset": experiment.dataset,
        "form": experiment.form,
        "split": experiment.parts["val"].split,
        "photo": photo,
        "variant": run.variant,
        "seed": run.seed,
        "epochs": epochs,
        "starts": _rounded(tensors["starts"][epochs]),
        "crops": _rounded(crops[..., :4]),
        "validities": _rounded(crops[..., 4]),
    }
    files.write_atomically(PATH, (json.dumps(content) + "\n").encode())


def _rounded(values: Tensor) -> list:
    return (values.double() * 1e4).round().div(1e4).tolist()
