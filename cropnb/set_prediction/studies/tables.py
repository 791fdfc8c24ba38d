"""Which rows of Tables 1 to 5 and of Figure 6 a run fills. AP ranks the crops of all photos
together, so it is no mean over photos, and its interval comes from resampled photos.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cropnb import datasets, metrics
from cropnb.ledger import Row
from cropnb.runs import Experiment, Method, Place, Result, record
from cropnb.runs.context import Context
from cropnb.runs.rows import measured, resampled
from cropnb.set_prediction.cropper import CropPredictions, set_accuracy
from cropnb.set_prediction.labels import CropPhotos
from cropnb.set_prediction.studies.measures import blind_set

COUNTS, DETECTIONS, THRESHOLDS = (5, 10), (5, 10, 40), (0.85, 0.90)  # N, K and ε of the tables
SAMPLES = 1000  # of the bootstrap of AP, which has to be ranked anew for each
# By the dataset or, for scenes, the form: the tables of ACC 1/N and of AP, and what is added to the
# names of Tables 4 and 5 and of the claims. The paper has none of all numbers on CPC, only its
# Table 4. On scenes every variant was run in the form of GAICD v1, so what was run in v2's stands
# in tables of its own.
TABLES = {
    "gaicd": ("Table 1", "Table 2", ""),
    "gaicd_v2": ("Table 1, v2", "Table 2", ""),
    "cpc": ("ACC 1/N, CPC", "AP, CPC", ", CPC"),
}
TABLES_OF_ANY_FORM = TABLES | {"gaicd_v2": ("Table 1, v2", "Table 2, v2", ", v2")}
# What Tables 4 and 5 and Figure 6 call the variants.
TABLE_4 = {
    "w/o smoothing": "w/o SD",
    "w/o smoothing, as long as SD": "w/o SD, as long",
    "w/o smoothing, twice as long": "w/o SD, twice as long",
    "SD": "w/ SD",
}
TABLE_5 = ("QG", "SD")
FIGURE_6 = {"w/o smoothing": "μ = 0", "QG": "μ = 0.5"}


class TablesMethod(Method):
    """The part of set prediction's method that the ledger reads."""

    blind_answer = "a set that looks at no photo"

    def blind(self, experiment: Experiment) -> dict[str, Sequence[float]]:
        """What the content-blind set of each ε reaches."""
        return self.blind_columns(experiment, self.photos(experiment, "test", self.main))

    def blind_columns(self, experiment: Experiment, test: CropPhotos) -> dict[str, Sequence[float]]:
        """The same with other truths for the test photos."""
        columns = {}
        for eps, predictions in self.blind_predictions(experiment):
            reached = self.columns_of(predictions, test)
            columns |= {n: v for n, v in reached.items() if n.startswith(f"ε = {eps:.2f}")}
        return columns

    def blind_predictions(
        self, experiment: Experiment
    ) -> Iterator[tuple[float, list[CropPredictions]]]:
        """For each ε the set that never looks at a photo, for every test photo: chosen to reach the
        good crops of the training photos.
        """
        good = torch.cat(self.photos(experiment, "train", self.main).truths)  # (N, 4)
        photos = len(self.photos(experiment, "test", self.main))
        for eps in THRESHOLDS:
            yield eps, [blind_set(good, max(DETECTIONS), eps)] * photos

    def photos(self, experiment: Experiment, part: str, variant: str) -> CropPhotos:
        """The photos of a part, with the good crops of a variant."""
        return experiment.photos(part)[self.variants[variant].at_least]

    def columns_of(
        self, predictions: Sequence[CropPredictions], photos: CropPhotos
    ) -> dict[str, Sequence[float]]:
        """What each photo adds to every number of Tables 1 and 2, and whether the first crop alone
        comes near the best one (ACC 1/1), (photos,) each, 0…1.
        """
        columns = {}
        for eps in THRESHOLDS:
            for count in (1, *COUNTS):
                hits = set_accuracy(predictions, photos, count, eps)  # (photos,)
                columns[f"ε = {eps:.2f}, ACC 1/{count}"] = hits.tolist()
            for most in DETECTIONS:
                shares = metrics.average_precision_by_photo(
                    predictions, photos.truths, iou_threshold=eps, max_detections=most
                )  # (photos,)
                columns[f"ε = {eps:.2f}, K = {most}"] = shares.tolist()
        return columns

    def scores(self, result: Result) -> dict[str, float]:
        """What a run reached, in per cent, under the ledger's names."""
        means, first = result.means(), f"ε = {THRESHOLDS[0]:.2f}"
        names = {f"ACC 1/{count}": f"{first}, ACC 1/{count}" for count in COUNTS}
        names[f"AP, {first}, K = 10"] = f"{first}, K = 10"
        return {name: round(100 * means[column], 4) for name, column in names.items()}

    def completed(self, experiment: Experiment, result: Result) -> Result:
        """With the columns that are younger than the run, from the predictions that it kept."""
        if result.columns.keys() >= self.columns.keys():
            return result
        predictions = self.predictions(experiment, result.variant, result.seed)
        columns = self.columns_of(predictions, self.photos(experiment, "test", result.variant))
        return replace(result, columns={**columns, **result.columns})

    def predictions(self, experiment: Experiment, variant: str, seed: int) -> list[CropPredictions]:
        """What a finished run predicts for the test photos; `CheckpointError` without one."""
        tensors = experiment.tensors(variant, seed)
        return list(map(CropPredictions, tensors["xyxy"], tensors["validity"]))

    def tables(self, experiment: Experiment) -> tuple[str, str, str]:
        """The tables of ACC 1/N and of AP, and what is added to the names of all others."""
        tables = TABLES_OF_ANY_FORM if datasets.takes_form(experiment.dataset) else TABLES
        return tables.get(experiment.form, ("ACC 1/N", "AP", ""))

    def claim_table(self, experiment: Experiment) -> str:
        """The form of the photos is named where it isn't the paper's first."""
        return "claim" + self.tables(experiment)[2] + self.suffix(experiment)

    def row(self, variant: str, eps: float) -> str:
        """What Tables 1 and 2 call a variant."""
        return f"{'Ours' if variant == self.main else variant} (ε = {eps:.2f})"

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """Of ACC 1/N; those of AP are `precision_places`."""
        table = self.tables(experiment)[0]
        return [
            Place(
                table,
                self.row(variant, eps),
                {f"ACC 1/{count}": f"ε = {eps:.2f}, ACC 1/{count}" for count in COUNTS},
            )
            for eps in THRESHOLDS
        ]

    def precision_places(
        self, experiment: Experiment, variant: str, eps: float, most: int
    ) -> list[tuple[str, str, str]]:
        """The table, row and column of every place where the same AP is printed."""
        _, table, added = self.tables(experiment)
        short, column = f"K = {most}", f"ε = {eps:.2f}, K = {most}"
        places = [(table, self.row(variant, eps), short)]
        if variant in TABLE_4 and eps == 0.85 and most != 5:
            places.append((f"Table 4{added}", TABLE_4[variant], short))
        if variant in TABLE_5 and most != 5 and added != ", CPC":
            places.append((f"Table 5{added}", variant, column))
        mu = FIGURE_6.get(variant, variant.removeprefix("QG, "))
        if column == "ε = 0.90, K = 40" and added != ", CPC" and mu.startswith("μ"):
            places.append((f"Figure 6{added}", mu, column))
        return places

    def note(self, results: Sequence[Result]) -> str:
        """Which epoch, and which crop where several are best."""
        return "last epoch; of tied best crops the first"

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[Row]:
        """AP of every variant, and what a set that never looks at a photo reaches."""
        rows = []
        for variant, runs in results.items():
            truths = self.photos(experiment, "test", variant).truths
            predictions = [self.predictions(experiment, variant, run.seed) for run in runs]
            fields = record.row_fields(runs, record.run_note(self, runs))
            for eps in THRESHOLDS:
                for most in DETECTIONS:
                    values = precision(predictions, truths, eps, most)
                    for table, row, column in self.precision_places(experiment, variant, eps, most):
                        place = (table, row + self.suffix(experiment), column)
                        rows.append(resampled(context, *place, *values, len(truths), **fields))
        if self.main in results:
            rows += self.blind_rows(replace(context, seeds=()), experiment)
        return rows

    def blind_rows(self, context: Context, experiment: Experiment) -> list[Row]:
        """The numbers of `blind_predictions`."""
        accuracy_table, precision_table, _ = self.tables(experiment)
        test = self.photos(experiment, "test", self.main)
        note = (
            "the same boxes for every photo, chosen to reach the good crops of the training photos"
        )
        rows = []
        for eps, predictions in self.blind_predictions(experiment):
            row = f"content-blind set (ε = {eps:.2f})"
            for count in COUNTS:
                hits = 100 * set_accuracy(predictions, test, count, eps)  # (photos,)
                place = (accuracy_table, row, f"ACC 1/{count}")
                rows.append(measured(context, *place, hits.tolist(), note=note))
            for most in DETECTIONS:
                values = precision([predictions], test.truths, eps, most)
                place = (precision_table, row, f"K = {most}")
                rows.append(resampled(context, *place, *values, len(test), note=note))
        return rows


def precision(
    runs: Sequence[Sequence[CropPredictions]], truths: Sequence[Tensor], eps: float, most: int
) -> tuple[float, np.ndarray]:
    """AP of several seeds in per cent.

    Photos are drawn alike for all seeds; so are the seeds themselves, with replacement.

    Returns:
        The mean over seeds, and the mean of each resample (samples,).
    """
    intervals, resamples = zip(
        *(
            metrics.average_precision_interval(
                run, truths, iou_threshold=eps, max_detections=most, samples=SAMPLES
            )
            for run in runs
        ),
        strict=True,
    )
    rng, even = np.random.default_rng(1), np.full(len(runs), 1 / len(runs))
    shares = rng.multinomial(len(runs), even, size=SAMPLES) / len(runs)  # (samples, runs)
    mean = float(np.mean([interval.mean for interval in intervals]))
    return 100 * mean, 100 * (shares * np.stack(resamples, axis=1)).sum(1)
