"""Sets against anchors, both with the same last stages of the backbone trained on the same photos:
`python -m cropnb.set_prediction.studies.against_anchors --dataset gaicd_layouts --profile trained
--seeds 0 1 2 --record`.

The paper's first claim is that a set of predicted crops reaches more of the good ones than anchors
that are scored one by one. Its tables compare with networks trained elsewhere. Here GAIC's anchors,
best first, are measured as sets, beside those of the set predictor; both runs have to be finished.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from cropnb import ledger
from cropnb.errors import CropnbError
from cropnb.gaic.recipe import METHOD as GAIC
from cropnb.ledger import Row
from cropnb.runs import Experiment, blind, program
from cropnb.runs.claims import claim
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.maps import from_photos
from cropnb.runs.rows import measured, number
from cropnb.set_prediction.cropper import CropPredictions
from cropnb.set_prediction.recipe import METHOD
from cropnb.set_prediction.studies.tables import DETECTIONS

ANCHORS, SETS, TABLE = "GAIC's anchors", "set of crops", "sets against anchors"


@torch.inference_mode()
def anchors(experiment: Experiment, seed: int, names: Sequence[str]) -> list[CropPredictions]:
    """The anchors of the test photos with these names, the best-scored first, as many as AP looks
    at.

    Raises:
        CropnbError: GAIC's test photos don't begin with these.
        CheckpointError: the run isn't finished.
    """
    model, photos = experiment.trained(GAIC.main, seed), experiment.photos("test")
    samples = experiment.parts["test"].samples[: len(names)]
    if [sample.name for sample in samples] != list(names):
        raise CropnbError("GAIC and the set predictor were measured on other photos")
    features = from_photos(model.features, photos)
    predictions = []
    for index, sample in enumerate(samples):
        views = photos.boxes(index)
        scores = model.view_scores(features([index], [False])[0], [views]).float().cpu()  # (N,)
        best = scores.argsort(descending=True, stable=True)[: max(DETECTIONS)]
        sides = torch.tensor([*sample.size, *sample.size])
        # AP ranks the crops of all photos together, by how sure the network is of each.
        predictions.append(CropPredictions(sample.boxes[best] / sides, scores[best]))
    return predictions


def first_crops(predictions: Sequence[CropPredictions]) -> int:
    """How many different crops come first over all photos, rounded to thousandths of the sides: one
    where the same crop is given everywhere.
    """
    firsts = torch.stack([one.xyxy[0] for one in predictions])  # (photos, 4)
    return len(firsts.mul(1000).round().unique(dim=0))


def rows(context: Context, sets: Experiment, seeds: Sequence[int]) -> list[Row]:
    """What both reach, and the verdict on the claim, by column.

    Raises:
        CheckpointError: a run that isn't finished.
    """
    grid = Experiment(
        GAIC,
        sets.dataset,
        profile=sets.profile_name,
        init=sets.init,
        device=str(sets.device),
        out=sets.out,
        progress=sets.progress,
    )
    test = METHOD.photos(sets, "test", METHOD.main)
    names = [sample.name for sample in sets.parts["test"].samples]
    runs = {
        SETS: [METHOD.predictions(sets, METHOD.main, seed) for seed in seeds],
        ANCHORS: [anchors(grid, seed, names) for seed in seeds],
    }
    by_photo = {
        name: [METHOD.columns_of(one, test) for one in predictions]
        for name, predictions in runs.items()
    }
    written = [
        number(
            replace(context, seeds=(seed,)),
            TABLE,
            name,
            f"different first crops, seed {seed}",
            first_crops(one),
            len(test),
        )
        for name, per_seed in runs.items()
        for seed, one in zip(seeds, per_seed, strict=True)
    ]
    blind_columns = METHOD.blind(sets)
    for column, judged in METHOD.columns.items():
        values = {
            name: [[judged.unit * value for value in seed[column]] for seed in per_seed]
            for name, per_seed in by_photo.items()
        }
        written += [measured(context, TABLE, name, column, of) for name, of in values.items()]
        floor = [judged.unit * value for value in blind_columns[column]]
        low = blind.no_better(values, floor, judged.higher_is_better)
        written.append(
            claim(
                context,
                "sets beat anchors",
                column,
                values[SETS],
                values[ANCHORS],
                worth_having=judged.worth_having,
                void=f"{', '.join(low)} no better than {METHOD.blind_answer}" if low else "",
                note=f"{SETS} less {ANCHORS}, the last stages of both trained alike",
            )
        )
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    module = f"{METHOD.name}.studies.against_anchors"
    options = program.parser(module, __doc__)
    program.experiment_options(options, METHOD)

    def measure(chosen: argparse.Namespace, shared: Context) -> Iterator[list[Row]]:
        experiment, _ = program.chosen_experiment(METHOD, chosen)
        here = replace(
            shared,
            dataset=chosen.dataset,
            split=experiment.parts["test"].split,
            profile=chosen.profile,
            seeds=tuple(chosen.seeds),
            device=device_name(chosen.device),
        )
        yield rows(here, experiment, chosen.seeds)

    context = Context(METHOD.name, ledger.SCENES, arguments=(), module=f"cropnb.{module}")
    return program.study(measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
