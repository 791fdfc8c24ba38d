"""Table 7's protocol: every annotated box, asked for at its own ratio.
`python -m cropnb.mars.table7 --record`.

Croppers are read, not trained. On scenes all three forms are measured, FAT's, FCDB's and HCDB's (=
FLMS'); of a real dataset the photos that are on this disk.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from cropnb import boxes as box_math
from cropnb import checkpoints, croppers, datasets, evaluation, ledger, metrics, program
from cropnb.croppers import Cropper, shipped
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError
from cropnb.reproduction import Context, measured

FORMS = {"fat": "Table 7, FAT", "fcdb": "Table 7, FCDB", "flms": "Table 7, HCDB"}
COLUMNS = {"fat": ("IoU", "Offset"), "fcdb": ("IoU", "BDE"), "flms": ("IoU", "BDE")}
BACKBONES = {"mobilenet_v2": "Mars, MobileNetV2", "vgg16": "Mars, VGG16"}  # rows of the paper
CENTRED = "center_window"
NAMES = {CENTRED: "largest centred window"}
TRAINED_ON_SCENES = "trained on scenes, so not the printed network"


def measure(
    cropper: Cropper, dataset: CropDataset, progress: bool = True
) -> dict[str, list[float]]:
    """IoU, centre offset in pixels and BDE, (photos,) each, of the crop at each true box's ratio
    against that box.

    A required ratio of the dataset is asked for where it has one (FAT), the box's own elsewhere
    (section 4.3). In FAT a mean over photos is the mean over annotations, as the paper prints it;
    elsewhere a photo's boxes share its weight.
    """
    found, owner = [], []
    for number, sample in enumerate(
        tqdm(dataset, desc=cropper.name, unit="photo", disable=not progress)
    ):
        photo, truths = sample.photo(), sample.boxes.double()
        sides = truths[:, 2:] - truths[:, :2]
        ratios = sides[:, 0] / sides[:, 1] if sample.aspects is None else sample.aspects
        boxes = torch.stack(
            [cropper(photo, aspect=ratio)[0].box for ratio in ratios.tolist()]
        ).double()
        shift = (boxes - truths).abs() / torch.tensor([*sample.size, *sample.size])
        offset = metrics.center_offset(boxes, truths)
        found.append(torch.stack([box_math.iou(boxes, truths), offset, shift.mean(1)], dim=1))
        owner += [number] * len(truths)
    values, owner = torch.cat(found), torch.tensor(owner)
    photos = len(found)
    total = torch.zeros(photos, 3, dtype=torch.float64).index_add_(0, owner, values)
    share = (
        len(values) / photos if dataset.form == "fat" else owner.bincount(minlength=photos)[:, None]
    )
    return dict(zip(("IoU", "Offset", "BDE"), (total / share).T.tolist(), strict=True))


def rows(
    context: Context, name: str, cropper: Cropper, dataset: CropDataset, listed: int
) -> list[ledger.Row]:
    """The row of one cropper in one part of Table 7, and how it stands beside the centred window,
    photo by photo.
    """
    start = time.perf_counter()
    found = measure(cropper, dataset)
    minutes = round((time.perf_counter() - start) / 60, 2)
    centred = found if name == CENTRED else measure(croppers.load(CENTRED), dataset, progress=False)
    trained = getattr(cropper.method, "card", {})
    written = []
    for column in COLUMNS[dataset.form]:
        note = f"{sum(len(sample.boxes) for sample in dataset)} boxes"
        if name != CENTRED:
            gap = metrics.paired_bootstrap(found[column], centred[column])
            note += f"; less the centred window: {gap.mean:+.4g} [{gap.low:+.4g}, {gap.high:+.4g}], paired by photo"
        row = measured(
            replace(context, seeds=tuple(trained[key] for key in ("seed",) if key in trained)),
            FORMS[dataset.form],
            row_name(name, cropper),
            column,
            found[column],
            listed=listed,
            note=note,
            minutes=minutes,
        )
        if row.paper_value is not None and trained.get("dataset") == ledger.SCENES:
            row = replace(row, verdict="not_comparable", note=f"{TRAINED_ON_SCENES}; {row.note}")
        written.append(row)
    return written


def row_name(name: str, cropper: Cropper) -> str:
    """The paper's name of a row where it has one: «Mars, VGG16» and «Mars, MobileNetV2»."""
    if name != "mars":
        return NAMES.get(name, name)
    return BACKBONES.get(
        cropper.method.model.backbone.name, f"Mars, {cropper.method.model.backbone.name}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cropnb.mars.table7", description=__doc__)
    parser.add_argument("--dataset", default=ledger.SCENES, choices=[ledger.SCENES, *FORMS])
    parser.add_argument(
        "--forms", nargs="+", default=list(FORMS), choices=list(FORMS), help="of the scenes"
    )
    parser.add_argument("--photos", type=int, help="of each form; by default all there are")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["mars", CENTRED],
        metavar="NAME",
        help="as `cropnb.evaluation`",
    )
    parser.add_argument(
        "--weights", type=Path, help="a trained Mars; by default the one that ships"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--record", action="store_true", help="write the rows into the ledger")
    return program.run(_main, parser, arguments)


def _main(chosen: argparse.Namespace, arguments: list[str]) -> int:
    if chosen.photos is not None and chosen.photos < 1:
        raise CropnbError(f"--photos is {chosen.photos}; one at least is needed")
    profile = checkpoints.load_weights(chosen.weights or shipped("mars"), "mars")[1].get(
        "profile", ""
    )
    device = program.device_name(chosen.device)
    context = Context(
        "mars", chosen.dataset, arguments, "cropnb.mars.table7", profile=profile, device=device
    )
    for form in chosen.forms if chosen.dataset == ledger.SCENES else [chosen.dataset]:
        dataset, listed = _photos(chosen.dataset, form, chosen.photos)
        for name in chosen.methods:
            cropper = (
                croppers.load("mars", chosen.weights, chosen.device)
                if name == "mars"
                else evaluation.load(name, chosen.device)
            )
            found = rows(context, name, cropper, dataset, listed)
            for row in found:
                interval = f"{row.ours:8.4g} [{row.low:.4g}, {row.high:.4g}]"
                print(
                    f"{row.table:15} {row.row:24} {row.column:7}{interval}  {row.note}", flush=True
                )
            if chosen.record:
                ledger.record("mars", found)
    return 0


def _photos(name: str, form: str, size: int | None) -> tuple[CropDataset, int]:
    """The test photos, and how many of them the dataset's list has."""
    if name == ledger.SCENES:
        dataset = datasets.load(name, "test", form=form, size=size)
        return dataset, len(dataset)
    whole = datasets.load(name, "test")
    there = whole.with_photos()
    return CropDataset(there.name, there.split, form, there.root, there.samples[:size]), len(whole)


if __name__ == "__main__":
    sys.exit(main())
