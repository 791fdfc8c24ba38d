"""One crop against a set, both trained alike with hard labels:
`python -m cropnb.set_prediction.studies.one_crop --profile cpu --seeds 0 1 2 --record`.

The paper says that networks that regress coordinates give one crop and ignore the others, and shows
it by pictures (Figure 5). The variant «one crop» is such a network: a single anchor, the same
layers, losses and epochs, trained to give a photo's best crop. What is fair to compare? At N = 1
both answer with one crop, and ACC 1/1 asks whether it is near the best one: that the lone crop was
trained for. Beyond that a set has more tries, and any set gains by more tries, also one that looks
at no photo; so the rows say what a lone crop cannot give at all, whatever it has learned: a second
crop that differs, and the good crops that no single box comes near. Two rows need no network: the
annotated good crop that comes near the most others, about the most that one crop can reach, and the
one box for all photos that looks at none.

Validity ranks the crops of all photos in AP. The lone anchor is matched in every photo, so its
validity says nothing, and its AP is about what a random order of its crops gives.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from cropnb import ledger
from cropnb.boxes import pairwise_iou
from cropnb.ledger import Row
from cropnb.runs import Experiment, Place, program
from cropnb.runs.context import Context
from cropnb.runs.rows import measured
from cropnb.set_prediction.cropper import COUNTS, THRESHOLDS, CropPredictions, set_accuracy
from cropnb.set_prediction.labels import CropPhotos
from cropnb.set_prediction.recipe import METHOD
from cropnb.set_prediction.studies import measures
from cropnb.set_prediction.studies.tables import blind_predictions, precision_row

MODULE = f"{METHOD.name}.studies.one_crop"
SET, ONE, TABLE = "w/o smoothing", "one crop", "one crop against a set"
ORACLE, BLIND = "the good crop near the most others", "one box that looks at no photo"
FIRST, SEVERAL = "a set's first crop", [f"a set's first {count} crops" for count in COUNTS]
NEAR = 0.85
HITS = {eps: f"a crop within ε = {eps:.2f} of the best one" for eps in THRESHOLDS}
AP = f"AP, ε = {NEAR}"
REACHED = f"per cent of the good crops within ε = {NEAR}"
APART = "mean of 1 − IoU between two crops"

Runs = Sequence[Sequence[CropPredictions]]  # a list of photos for each seed


def first(runs: Runs, count: int) -> Runs:
    """Only the most valid crops of every photo."""
    return [
        [CropPredictions(one.xyxy[:count], one.validity[:count]) for one in run] for run in runs
    ]


def reached(predictions: Sequence[CropPredictions], test: CropPhotos) -> list[float]:
    """The share of each photo's good crops that some crop comes near, in per cent, (photos,)."""
    pairs = zip(predictions, test.truths, strict=True)
    near = [pairwise_iou(true, one.xyxy).amax(1) >= NEAR for one, true in pairs]
    return [float(100 * each.double().mean()) for each in near]


def best_single(test: CropPhotos) -> list[CropPredictions]:
    """Of each photo the good crop that comes near the most good ones."""
    answers = []
    for true in test.truths:
        near = (pairwise_iou(true, true) >= NEAR).sum(1)  # (M,)
        answers.append(CropPredictions(true[near.argmax()][None], torch.ones(1)))
    return answers


def answers(experiment: Experiment, seeds: Sequence[int], test: CropPhotos) -> Mapping[str, Runs]:
    """The crops of every row, by its name.

    Raises:
        CheckpointError: a run that isn't finished.
    """
    sets, single = (
        [METHOD.predictions(experiment, variant, seed) for seed in seeds] for variant in (SET, ONE)
    )
    blind = next(crops for eps, crops in blind_predictions(experiment) if eps == NEAR)
    return {
        ONE: single,
        FIRST: first(sets, 1),
        **{name: first(sets, count) for name, count in zip(SEVERAL, COUNTS, strict=True)},
        ORACLE: [best_single(test)],
        BLIND: first([blind], 1),
    }


def rows(context: Context, experiment: Experiment, seeds: Sequence[int]) -> list[Row]:
    """What one crop and the first crops of a set come near, and how they differ.

    Raises:
        CheckpointError: a run that isn't finished.
    """
    test, written = METHOD.photos(experiment, "test", SET), []
    table = TABLE + METHOD.tables(experiment)[2]
    for name, runs in answers(experiment, seeds, test).items():
        here = replace(context, seeds=()) if name in (ORACLE, BLIND) else context
        shown = len(runs[0][0].xyxy)
        columns = {REACHED: [reached(run, test) for run in runs]}
        for eps in THRESHOLDS:
            hits = [(100 * set_accuracy(run, test, shown, eps)).tolist() for run in runs]
            columns[HITS[eps]] = hits
        if shown > 1:  # a lone crop has no other to differ from
            columns[APART] = [
                measures.diversity([one.xyxy for one in run]).tolist() for run in runs
            ]
        written += [measured(here, table, name, *cell) for cell in columns.items()]
        place = (table, name, AP)
        written.append(precision_row(here, place, runs, test.truths, eps=NEAR, most=shown))
    return written


def places(arguments: Sequence[str]) -> list[Place]:
    """Where the rows of a call stand."""
    experiment, _ = program.chosen_experiment(METHOD, _options().parse_args(list(arguments)))
    table, columns = TABLE + METHOD.tables(experiment)[2], (REACHED, *HITS.values(), AP)
    return [
        Place(table, name, (*columns, APART) if name in SEVERAL else columns)
        for name in (ONE, FIRST, *SEVERAL, ORACLE, BLIND)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""

    def measure(chosen: argparse.Namespace, shared: Context) -> Iterator[list[Row]]:
        experiment, _ = program.chosen_experiment(METHOD, chosen)
        here = program.of_experiment(shared, experiment, chosen.seeds)
        yield rows(here, experiment, chosen.seeds)

    context = Context(METHOD.name, ledger.SCENES, arguments=(), module=f"cropnb.{MODULE}")
    return program.study(measure, _options(), context, arguments)


def _options() -> argparse.ArgumentParser:
    """What a call may say."""
    options = program.parser(MODULE, __doc__)
    program.experiment_options(options, METHOD)
    return options


if __name__ == "__main__":
    sys.exit(main())
