"""How large the ranking gain is on real scores, and what it does to training: VRN's chapter.

`python -m cropnb.vrn.studies.ranking_gain --record` measures Figure 1's two facts and the size of
the ranking gain loss (Eq. 4) on scenes and, where its annotations are on this disk, on GAICD; then
it trains the head a few epochs with and without a bound on the gradient's norm. A few minutes on
one core.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cropnb import datasets, ledger, metrics, training
from cropnb.errors import DatasetMissing
from cropnb.gaic.recipe import Profile, ViewLoss
from cropnb.gaic.views import draw_views
from cropnb.runs import Experiment, Place, Run, Stage, program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.rows import number
from cropnb.vrn.losses import LAMBDA, ranking_gain, ranking_gain_loss
from cropnb.vrn.model import Vrn
from cropnb.vrn.recipe import METHOD, VrnMethod

VIEWS = 64  # views of a photo in one step (Sec. 4.2)
READINGS = ("raw scores", "mean-subtracted scores")


def shared_scores(mos: Tensor) -> Tensor:
    """Which views of a photo share their score with another one; mos (N,) → booleans (N,)."""
    _, inverse, counts = mos.unique(return_inverse=True, return_counts=True)
    return counts[inverse] > 1


def variance_between(photos: Sequence[Tensor]) -> float:
    """The share of the scores' variance that lies between photos, 0…1; the rest lies between views
    of one photo.
    """
    scores = torch.cat(list(photos)).double()
    means = torch.cat([mos.double().mean().expand(len(mos)) for mos in photos])
    return float(means.var(correction=0) / scores.var(correction=0))


@dataclass(frozen=True)
class GainSize:
    """β, exp(−β) and the norm of the gradient of λ exp(−β) over the scores, in single precision as
    in training.
    """

    beta: float
    loss: float
    gradient: float


def gain_size(scores: Tensor, mos: Tensor) -> GainSize:
    """(Eq. 1) and (Eq. 4) for one photo; scores, mos (N,), both raw or both mean-subtracted."""
    scores = scores.float().clone().requires_grad_()
    value = ranking_gain_loss(scores, mos.float())
    (gradient,) = torch.autograd.grad(LAMBDA * value, scores)
    beta = ranking_gain(scores.detach(), mos.float())
    # In double, or the squares of a tiny gradient would round to zero where the gradient itself
    # does not.
    return GainSize(float(beta), float(value.detach()), float(gradient.double().norm()))


def size_at_start(mos: Tensor, reading: str) -> GainSize:
    """What a network starts from that predicts the photo's mean for every view; mos (N,) as
    annotated.
    """
    shift = mos.mean() if reading == "mean-subtracted scores" else 0.0
    return gain_size(mos.mean().expand_as(mos) - shift, mos - shift)


class GradientNorms:
    """A loss that also notes the norm of the whole gradient at each step, before anything bounds
    it.

    Called like the loss that it wraps; `norms` is then (steps,).
    """

    def __init__(self, model: nn.Module, loss: ViewLoss) -> None:
        self._loss, self._squares = loss, []
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(self._add)

    def __call__(self, *arguments: object) -> dict[str, Tensor]:
        """What the wrapped loss gives, with a new place for the norm of its gradient."""
        self._squares.append(0.0)
        return self._loss(*arguments)

    def _add(self, parameter: Tensor) -> None:
        self._squares[-1] += float(parameter.grad.square().sum())

    @property
    def norms(self) -> Tensor:
        """(steps,), of the whole gradient."""
        return torch.tensor(self._squares).sqrt()


@dataclass(frozen=True)
class Trial:
    """One short training run of the head on frozen features."""

    variant: str
    learning_rate: float
    clip: float | None

    @property
    def name(self) -> str:
        """Of its row: variant, rate and bound."""
        bound = "no bound" if self.clip is None else "norm at most 1"
        return f"{self.variant}, rate {self.learning_rate:g}, {bound}"


# the printed rate (Sec. 4.2) without a bound, and what our profiles train with
_PAPER, _OURS = (1e-4, None), (1e-3, 1.0)
TRIALS = tuple(
    Trial(variant, *setting)
    for variant, settings in {
        "FS": (_PAPER, (1e-4, 1.0), (1e-3, None), _OURS),
        "FS + RGL": (_PAPER, (1e-4, 1.0), (1e-3, None), _OURS),
        "RGL": (_PAPER, _OURS),
        "FS + RGL, mean": (_PAPER, (1e-3, None)),
    }.items()
    for setting in settings
)


COLUMNS = (
    "SRCC",
    "gradient norm, first step",
    "gradient norm, median",
    "gradient norm, largest",
)


class Trials(VrnMethod):
    """VRN's head trained as each trial says, measured on the validation photos."""

    variants = {trial.name: trial for trial in TRIALS}

    def build(self, experiment: Experiment, run: Run) -> Vrn:
        """The trial's row of Table 2, with a loss that notes gradients."""
        weights = "imagenet" if experiment.init == "imagenet" else None
        row = VrnMethod.variants[self.variants[run.variant].variant]
        model = Vrn(feature_splitter=row.feature_splitter, weights=weights)
        self.noted = GradientNorms(model, METHOD.loss(self.variants[run.variant].variant))
        return model

    def loss(self, variant: str) -> ViewLoss:
        """The one that notes gradients, of the network that was built last."""
        return self.noted

    def clip(self, experiment: Experiment, run: Run) -> float | None:
        """The trial's."""
        return self.variants[run.variant].clip

    def offsets(self, run: Run, photos: int) -> Tensor:
        """None: a trial's photos keep their scores."""
        return torch.zeros(photos)

    def stages(self, experiment: Experiment, run: Run, model: nn.Module) -> Iterator[Stage]:
        """VRN's, at the trial's rate."""
        rate = self.variants[run.variant].learning_rate
        for stage in super().stages(experiment, run, model):
            yield replace(stage, recipe=replace(stage.recipe, learning_rate=rate))

    def eval_split(self, experiment: Experiment) -> str:
        """Rates are compared where nothing else is decided."""
        return "val"


def experiment_for(train: int, held_out: int, epochs: int, init: str = "imagenet") -> Experiment:
    """The experiment of all trials; its features are computed once."""
    profile = Profile(train, held_out, 1, head_epochs=epochs)
    return Experiment(Trials(), profile=profile, init=init, out=None, progress=False)


def run_trial(experiment: Experiment, name: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Train the head.

    Returns:
        The gradient's norm at each step (steps,), and the SRCC of each validation photo.
    """
    result = experiment.train(name, seed)[2]
    return experiment.method.noted.norms, torch.tensor(result.columns["SRCC"])


def annotation_rows(context: Context, photos: Sequence[Tensor]) -> list[ledger.Row]:
    """Figure 1's two facts, and the size of the ranking gain at the start of training, for one set
    of scores.
    """
    images = len(photos)
    twins = metrics.bootstrap_interval(
        [100 * float(shared_scores(mos).float().mean()) for mos in photos]
    )
    means = torch.stack([mos.mean() for mos in photos])  # (photos,)
    spread = torch.stack([mos.std() for mos in photos])  # (photos,)
    cells = [
        (
            "Figure 1",
            "views that share their score with another view of the photo",
            "per cent",
            twins,
        ),
        (
            "Figure 1",
            "variance that lies between photos",
            "per cent",
            variance_between(photos) * 100,
        ),
    ]
    for row, values in (
        ("mean score of a photo", means),
        ("deviation of the scores within a photo", spread),
    ):
        cells += [
            ("Figure 1", row, f"{q} %", float(values.quantile(q / 100)))
            for q in (5, 25, 50, 75, 95)
        ]
    drawn = [
        mos[draw_views(len(mos), VIEWS, training.generator(0, "study", i))]
        for i, mos in enumerate(photos)
    ]
    for reading in READINGS:
        sizes = [size_at_start(mos, reading) for mos in drawn]
        centred = [mos - mos.mean() if reading == READINGS[1] else mos for mos in drawn]
        perfect = [gain_size(mos, mos) for mos in centred]
        columns = {
            "β": [size.beta for size in sizes],
            "exp(−β)": [size.loss for size in sizes],
            "gradient of 3 exp(−β)": [size.gradient for size in sizes],
            "β of a perfect prediction": [size.beta for size in perfect],
        }
        for column, values in columns.items():
            ends = torch.tensor(values).quantile(torch.tensor([0.0, 0.5, 1.0])).tolist()
            cells += [
                ("ranking gain", reading, f"{column}, {word}", value)
                for word, value in zip(("smallest", "median", "largest"), ends, strict=True)
            ]
    return [_row(context, images, *cell) for cell in cells]


def trial_rows(
    epochs: int, train: int, held_out: int, context: Context, seed: int = 0
) -> Iterator[list[ledger.Row]]:
    """The rows of one training run on scenes after the other, for each of `TRIALS`."""
    experiment = experiment_for(train, held_out, epochs)
    for trial in TRIALS:
        started = time.monotonic()
        norms, srcc = run_trial(experiment, trial.name, seed)
        fields = {
            "minutes": round((time.monotonic() - started) / 60, 2),
            "note": f"{epochs} epochs of {train} scenes, head only, frozen backbone",
        }
        sizes = map(float, (norms[0], norms.median(), norms.max()))
        values = (metrics.bootstrap_interval(srcc), *sizes)
        where = replace(context, split="val", seeds=(seed,))
        yield [
            _row(
                where, held_out, table="study", row=trial.name, column=column, value=value, **fields
            )
            for column, value in zip(COLUMNS, values, strict=True)
        ]


def places(arguments: Sequence[str]) -> list[Place]:
    """Where the rows of the trials stand, of a call that trains them."""
    trained = "training" in _options().parse_args(list(arguments)).parts
    return [Place("study", trial.name, COLUMNS) for trial in TRIALS if trained]


def load(name: str) -> datasets.base.CropDataset:
    """The training photos of a scored dataset."""
    return (
        datasets.load("scenes", "train", form="gaicd")
        if name == "scenes"
        else datasets.load(name, "train")
    )


def _row(
    context: Context,
    images: int,
    table: str,
    row: str,
    column: str,
    value: float | metrics.Interval,
    **fields: object,
) -> ledger.Row:
    """Four significant digits: the values of one column span many powers of ten."""
    ends = value if isinstance(value, metrics.Interval) else (value, None, None)
    ours, low, high = (None if end is None else float(f"{end:.4g}") for end in ends)
    fields |= {"low": low, "high": high}
    return number(context, table, row, column, ours=ours, images=images, **fields)


def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    """The rows of each set of annotations that is on this disk, then those of each training run."""
    for name in ("scenes", "gaicd") if "annotations" in chosen.parts else ():
        try:
            yield annotation_rows(
                replace(context, dataset=name), [sample.scores for sample in load(name)]
            )
        except DatasetMissing as missing:
            print(f"without {name}: {missing}")
    if "training" in chosen.parts:
        yield from trial_rows(chosen.epochs, chosen.train, chosen.val, context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    context = Context(
        method="vrn",
        dataset=ledger.SCENES,
        arguments=(),
        module="cropnb.vrn.studies.ranking_gain",
        split="train",
        device=device_name("cpu"),
    )
    return program.study(measure, _options(), context, arguments)


def _options() -> argparse.ArgumentParser:
    """What a call may say."""
    options = program.parser("vrn.studies.ranking_gain", __doc__)
    parts = ("annotations", "training")
    options.add_argument("--parts", nargs="+", choices=parts, default=parts, help="all by default")
    options.add_argument("--epochs", type=int, default=4)
    options.add_argument("--train", type=int, default=100, help="scenes (default: %(default)s)")
    options.add_argument("--val", type=int, default=60, help="scenes (default: %(default)s)")
    return options


if __name__ == "__main__":
    sys.exit(main())
