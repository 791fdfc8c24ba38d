"""How the anchors of the shipped run moved, for the chapter: `anchors.json` beside this file."""

import json
from pathlib import Path

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
