"""Table 7's protocol: every annotated box, asked for at its own ratio.
`python -m cropnb.mars.studies.table7 --record`.

Croppers are read, not trained. On scenes all three forms are measured, FAT's, FCDB's and HCDB's (=
FLMS'); of a real dataset the photos that are on this disk.

In FAT's form the scenes' true crops have the very sizes of the 1140 windows that a sliding-window
method chooses from. What this is worth, the method asked among windows of other sizes shows
(`--methods "gaic, 1140 windows" "gaic, 1140 windows of other sizes"`), paired by photo, and the
windows nearest to the truth do, without any network (`window_sizes`).
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from cropnb import candidates, checkpoints, croppers, datasets, evaluation, ledger, metrics
from cropnb.boxes import pairwise_iou
from cropnb.croppers import Cropper, shipped
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError
from cropnb.mars.photos import RatioPhotos, asked_ratios
from cropnb.mars.recipe import METHOD
from cropnb.runs import Experiment, Place, plan, program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.experiment import WEIGHTS_FILE
from cropnb.runs.rows import measured

FORMS = {"fat": "Table 7, FAT", "fcdb": "Table 7, FCDB", "flms": "Table 7, HCDB"}
COLUMNS = {"fat": ("IoU", "Offset"), "fcdb": ("IoU", "BDE"), "flms": ("IoU", "BDE")}
BACKBONES = {"mobilenet_v2": "Mars, MobileNetV2", "vgg16": "Mars, VGG16"}  # rows of the paper
# The networks of these rows; they are trained again, on all training photos (Sec. 4.3).
VARIANTS, TRAINED_ON_ALL = (METHOD.main, "vgg16 c4_3"), "retrained"
CENTRED = "center_window"
NAMES = {CENTRED: "largest centred window"}
USUAL_SIZES, OTHER_SIZES = "40, 45 … 100 % of the largest", "42.5, 47.5 … 97.5 and 100 %"
WINDOW_SIZES = {USUAL_SIZES: candidates.ASPECT_SCALES, OTHER_SIZES: candidates.OTHER_SCALES}
SAME_SIZE, NEAREST = "per cent of true crops with a window's size", "IoU of the nearest window"


def measure(
    cropper: Cropper, dataset: CropDataset, progress: bool = True
) -> dict[str, list[float]]:
    """IoU, centre offset in pixels and BDE, (photos,) each, of the crop at each true box's ratio
    against that box.

    A required ratio of the dataset is asked for where it has one (FAT), the box's own elsewhere
    (Sec. 4.3). In FAT a mean over photos is the mean over annotations, as the paper prints it;
    elsewhere a photo's boxes share its weight.
    """
    photos = RatioPhotos(dataset, progress=False)
    bar = tqdm(dataset, desc=cropper.name, unit="photo", disable=not progress)
    crops = [
        cropper(photo, aspect=ratio)[0].box
        for photo, ratios in ((sample.photo(), asked_ratios(sample).tolist()) for sample in bar)
        for ratio in ratios
    ]
    return {
        name: photos.per_photo(values, by_annotation=dataset.form == "fat").tolist()
        for name, values in photos.compare(torch.stack(crops)).items()
    }


def rows(
    context: Context,
    name: str,
    cropper: Cropper,
    dataset: CropDataset,
    listed: int,
    measured_before: dict[str, dict[str, list[float]]] | None = None,
) -> list[ledger.Row]:
    """The row of one cropper in one part of Table 7, and how it stands beside the centred window,
    photo by photo; among windows of other sizes also beside the usual ones.

    Args:
        listed: how many photos the dataset's list has.
        measured_before: what croppers reached on these photos, by name; this one is added.
    """
    start = time.perf_counter()
    ours = measure(cropper, dataset)
    minutes = round((time.perf_counter() - start) / 60, 2)
    centred = ours if name == CENTRED else measure(croppers.load(CENTRED), dataset, progress=False)
    references = {"the centred window": centred} if name != CENTRED else {}
    measured_before = {} if measured_before is None else measured_before
    usual = name.removesuffix(evaluation.ManyWindows.other_suffix) + evaluation.ManyWindows.suffix
    if usual in measured_before:
        references[usual] = measured_before[usual]
    measured_before[name] = ours
    card = getattr(cropper.method, "card", {})
    seeds = tuple(card[key] for key in ("seed",) if key in card)
    written = []
    for column in COLUMNS[dataset.form]:
        note = f"{sum(len(sample.boxes) for sample in dataset)} boxes"
        for reference, theirs in references.items():
            gap = metrics.paired_bootstrap(ours[column], theirs[column])
            note += f"; less {reference}: {gap.mean:+.4g} [{gap.low:+.4g}, {gap.high:+.4g}]"
            note += ", paired by photo"
        row = measured(
            replace(context, seeds=seeds),
            FORMS[dataset.form],
            row_name(name, cropper),
            column,
            ours[column],
            listed=listed,
            note=note,
            minutes=minutes,
        )
        if row.paper_value is not None and ledger.SCENES in str(card.get("dataset")):
            note = f"trained on scenes, so not the printed network; {note}"
            row = replace(row, verdict="not_comparable", note=note)
        written.append(row)
    return written


def window_sizes(context: Context, dataset: CropDataset) -> list[ledger.Row]:
    """What the 1140 windows of a ratio can reach of the true crops, with the sizes that they have
    and with others: their share of a window's size, and the IoU of the nearest window.
    """
    table, truths = f"1140 windows, {FORMS[dataset.form].removeprefix('Table 7, ')}", 0
    same: dict[str, list[float]] = {name: [] for name in WINDOW_SIZES}
    nearest: dict[str, list[float]] = {name: [] for name in WINDOW_SIZES}
    for sample in dataset:
        truths += len(sample.boxes)
        for name, scales in WINDOW_SIZES.items():
            hits, overlaps = [], []
            for true, ratio in zip(sample.boxes, asked_ratios(sample).tolist(), strict=True):
                windows = candidates.aspect_windows(*sample.size, ratio, scales=scales)  # (N, 4)
                apart = (windows - true)[:, 2:] - (windows - true)[:, :2]  # (N, 2)
                hits.append(bool((apart.abs() <= 1).all(1).any()))  # true crops are whole pixels
                overlaps.append(float(pairwise_iou(true[None], windows).max()))
            same[name].append(100 * sum(hits) / len(hits))
            nearest[name].append(sum(overlaps) / len(overlaps))
    context, note = replace(context, seeds=()), f"{truths} boxes"
    written = []
    for name in WINDOW_SIZES:
        gap = metrics.paired_bootstrap(nearest[name], nearest[USUAL_SIZES])
        less = f"; less {USUAL_SIZES}: {gap.mean:+.4g} [{gap.low:+.4g}, {gap.high:+.4g}]"
        text = note if name == USUAL_SIZES else f"{note}{less}, paired by photo"
        columns = {SAME_SIZE: (same[name], note), NEAREST: (nearest[name], text)}
        written += [
            measured(context, table, name, column, values, note=of)
            for column, (values, of) in columns.items()
        ]
    return written


def row_name(name: str, cropper: Cropper) -> str:
    """The paper's name of a row where it has one: «Mars, VGG16» and «Mars, MobileNetV2»."""
    if name != "mars":
        return NAMES.get(name, name)
    backbone = cropper.method.model.backbone.name
    return BACKBONES.get(backbone, f"Mars, {backbone}")


def photos(name: str, form: str, size: int | None) -> tuple[CropDataset, int]:
    """The test photos, and how many of them the dataset's list has."""
    if name == ledger.SCENES:
        dataset = datasets.load(name, "test", form=form, size=size)
        return dataset, len(dataset)
    whole = datasets.load(name, "test")
    there = whole.with_photos()
    return CropDataset(there.name, there.split, form, there.root, there.samples[:size]), len(whole)


def weights(chosen: argparse.Namespace) -> list[Path]:
    """The files of Mars' weights that are measured."""
    if chosen.trained_on is None:
        return [chosen.weights or shipped("mars", "scenes")]
    out = plan.runs_folder()
    experiment = Experiment(METHOD, chosen.trained_on, profile=TRAINED_ON_ALL, out=out)
    return [experiment.run(variant, 0).folder / WEIGHTS_FILE for variant in VARIANTS]


def measured_rows(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    """The rows of each form, cropper by cropper.

    Raises:
        CropnbError: fewer photos are asked for than one.
    """
    if chosen.photos is not None and chosen.photos < 1:
        raise CropnbError(f"--photos is {chosen.photos}; one at least is needed")
    files = weights(chosen)
    card = checkpoints.load_weights(files[0], "mars")[1]
    context = replace(
        context,
        dataset=chosen.dataset,
        profile=card.get("profile", ""),
        device=device_name(chosen.device),
    )
    for form in forms(chosen):
        dataset, listed = photos(chosen.dataset, form, chosen.photos)
        if chosen.window_sizes:
            yield window_sizes(context, dataset)
            continue
        measured_before: dict[str, dict[str, list[float]]] = {}
        for name in chosen.methods:
            if name == "mars":
                asked = [croppers.load("mars", path, chosen.device) for path in files]
            else:
                asked = [evaluation.load(name, chosen.device)]
            for cropper in asked:
                yield rows(
                    context, name, cropper, dataset, listed=listed, measured_before=measured_before
                )


def forms(chosen: argparse.Namespace) -> list[str]:
    """Of the scenes those that are asked for, of a real dataset its own."""
    return chosen.forms if chosen.dataset == ledger.SCENES else [chosen.dataset]


def read(chosen: argparse.Namespace) -> Iterator[CropDataset]:
    """What is measured on."""
    return (photos(chosen.dataset, form, chosen.photos)[0] for form in forms(chosen))


def places(arguments: Sequence[str]) -> list[Place]:
    """Where the rows of a call stand that measures the network that ships."""
    chosen = _options().parse_args(list(arguments))
    if chosen.window_sizes:
        table, columns = "1140 windows, {}", dict.fromkeys(FORMS, (SAME_SIZE, NEAREST))
        names = list(WINDOW_SIZES)
    else:
        table, columns = "Table 7, {}", COLUMNS
        ships = BACKBONES["mobilenet_v2"]
        names = [ships if name == "mars" else NAMES.get(name, name) for name in chosen.methods]
    return [
        Place(table.format(FORMS[form].removeprefix("Table 7, ")), name, columns[form])
        for form in forms(chosen)
        for name in names
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    context = Context(
        method="mars",
        dataset=ledger.SCENES,
        arguments=(),
        module="cropnb.mars.studies.table7",
    )
    return program.study(measured_rows, _options(), context, arguments, read)


def _options() -> argparse.ArgumentParser:
    """What a call may say."""
    options = program.parser("mars.studies.table7", __doc__)
    options.set_defaults(device="cpu")
    options.add_argument("--dataset", default=ledger.SCENES, choices=[ledger.SCENES, *FORMS])
    options.add_argument(
        "--forms", nargs="+", default=list(FORMS), choices=list(FORMS), help="of the scenes"
    )
    options.add_argument("--photos", type=int, help="of each form; by default all there are")
    options.add_argument(
        "--methods",
        nargs="+",
        default=["mars", CENTRED],
        metavar="NAME",
        help="as `cropnb.evaluation`",
    )
    options.add_argument(
        "--window-sizes",
        action="store_true",
        help="in place of croppers, what 1140 windows can reach of the true crops",
    )
    options.add_argument(
        "--weights", type=Path, help="a trained Mars; by default the one that ships"
    )
    options.add_argument(
        "--trained-on",
        metavar="DATASET",
        help=f"in place of it, the finished runs of {' and '.join(VARIANTS)} there, profile "
        f"{TRAINED_ON_ALL}",
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
