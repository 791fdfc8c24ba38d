"""How large the ranking gain is on real scores, and what it does to training: measurements for
VRN's chapter.

`python -m cropnb.vrn.study --record` measures Figure 1's two facts and the size of Equation 4 on
scenes and, where its annotations are on this disk, on GAICD; then it trains the head a few epochs
with and without a bound on the gradient's norm. A few minutes on one core.
"""

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cropnb import datasets, ledger, metrics, training
from cropnb.errors import DatasetMissing
from cropnb.gaic.fitting import Loss, Profile, fit, freeze
from cropnb.gaic.views import ScoredViews, draw_views, evaluate
from cropnb.program import device_name
from cropnb.vrn import recipe
from cropnb.vrn.losses import LAMBDA, ranking_gain, ranking_gain_loss

VIEWS = 64  # Sec. 4.2: views of a photo in one step
READINGS = ("raw scores", "mean-subtracted scores")


def shared_scores(mos: Tensor) -> Tensor:
    """Which views of a photo share their score with another of its views; mos (N,) → booleans (N,)."""
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
    """Equations 1 and 4 for one photo; scores, mos (N,), both raw or both mean-subtracted."""
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

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        self._loss, self._squares = loss, []
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(self._add)

    def __call__(self, *arguments: object) -> dict[str, Tensor]:
        self._squares.append(0.0)
        return self._loss(*arguments)

    def _add(self, parameter: Tensor) -> None:
        self._squares[-1] += float(parameter.grad.square().sum())

    @property
    def norms(self) -> Tensor:
        return torch.tensor(self._squares).sqrt()


@dataclass(frozen=True)
class Trial:
    """One short training run of the head on frozen features."""

    variant: str
    learning_rate: float
    clip: float | None

    @property
    def name(self) -> str:
        return f"{self.variant}, rate {self.learning_rate:g}, {'no bound' if self.clip is None else 'norm at most 1'}"


# the rate of Sec. 4.2 without a bound, and what our profiles train with
_PAPER, _OURS = (1e-4, None), (1e-3, 1.0)
TRIALS = tuple(
    Trial(variant, *setting)
    for variant, settings in {
        "FS": (_PAPER, (1e-4, 1.0), (1e-3, None), _OURS),
        "FS + RGL": (_PAPER, (1e-4, 1.0), (1e-3, None), _OURS),
        "RGL": (_PAPER, _OURS),
    }.items()
    for setting in settings
)


def run_trial(
    trial: Trial,
    photos: ScoredViews,
    validation: ScoredViews,
    epochs: int,
    features: dict,
    seed: int = 0,
    weights: str | None = "imagenet",
) -> tuple[Tensor, Tensor]:
    """Train the head. Returns the gradient's norm at each step (steps,), and the SRCC of each
    validation photo.
    """
    torch.manual_seed(seed)
    model = recipe.build(trial.variant, weights)()
    loss = GradientNorms(model, recipe.loss(trial.variant))
    profile = Profile(
        len(photos),
        len(validation),
        None,
        head_epochs=epochs,
        head_learning_rate=trial.learning_rate,
        clip=trial.clip,
    )
    fit(model, loss, photos, validation, profile, seed, None, {}, features, progress=False)
    with torch.inference_mode():
        found = evaluate(
            lambda i: model.view_scores(features["val"](i), [validation.boxes(i)]), validation
        )
    return loss.norms, found["SRCC"]


def annotation_rows(name: str, photos: Sequence[Tensor], common: dict) -> list[ledger.Row]:
    """Figure 1's two facts, and the size of the ranking gain at the start of training, for one set
    of scores.
    """
    common = {**common, "dataset": name, "split": "train", "images": len(photos)}
    twins = metrics.bootstrap_interval(
        [100 * float(shared_scores(mos).float().mean()) for mos in photos]
    )
    means = torch.stack([mos.mean() for mos in photos])
    found = [
        _row(
            common,
            "Figure 1",
            "views that share their score with another view of the photo",
            "per cent",
            *twins,
        ),
        _row(
            common,
            "Figure 1",
            "variance that lies between photos",
            "per cent",
            100 * variance_between(photos),
        ),
    ]
    spread = torch.stack([mos.std() for mos in photos])
    for row, values in (
        ("mean score of a photo", means),
        ("deviation of the scores within a photo", spread),
    ):
        found += [
            _row(common, "Figure 1", row, f"{q} %", float(values.quantile(q / 100)))
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
            low, middle, high = (
                torch.tensor(values).quantile(torch.tensor([0.0, 0.5, 1.0])).tolist()
            )
            found += [
                _row(common, "ranking gain", reading, f"{column}, {word}", value)
                for word, value in (("smallest", low), ("median", middle), ("largest", high))
            ]
    return found


def trial_rows(
    epochs: int, train: int, held_out: int, common: dict, seed: int = 0
) -> Iterable[list[ledger.Row]]:
    """The rows of one training run on scenes after the other, for each of `TRIALS`."""
    parts = (
        datasets.load("scenes", split, form="gaicd", size=size)
        for split, size in (("train", train), ("val", held_out))
    )
    photos, validation = (ScoredViews(part, progress=False) for part in parts)
    features = freeze(recipe.build()(), photos, validation, progress=False)
    for trial in TRIALS:
        started = time.monotonic()
        norms, srcc = run_trial(trial, photos, validation, epochs, features, seed)
        about = {
            **common,
            "dataset": "scenes",
            "split": "val",
            "images": held_out,
            "seeds": (seed,),
            "minutes": round((time.monotonic() - started) / 60, 2),
            "note": f"{epochs} epochs of {train} scenes, head only, frozen backbone",
        }
        sizes = {"first step": norms[0], "median": norms.median(), "largest": norms.max()}
        yield [
            _row(about, "study", trial.name, "SRCC", *metrics.bootstrap_interval(srcc)),
            *(
                _row(about, "study", trial.name, f"gradient norm, {name}", float(value))
                for name, value in sizes.items()
            ),
        ]


def load(name: str) -> datasets.base.CropDataset:
    """The training photos of a scored dataset."""
    return (
        datasets.load("scenes", "train", form="gaicd")
        if name == "scenes"
        else datasets.load(name, "train")
    )


def _row(
    common: dict,
    table: str,
    row: str,
    column: str,
    ours: float,
    low: float | None = None,
    high: float | None = None,
) -> ledger.Row:
    # Four significant digits: the values of one column span many powers of ten.
    values = {"ours": ours, "low": low, "high": high}
    values = {
        name: None if value is None else float(f"{value:.4g}") for name, value in values.items()
    }
    return ledger.Row(**common, table=table, row=row, column=column, verdict="measured", **values)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m cropnb.vrn.study", description=__doc__)
    options.add_argument("--record", action="store_true", help="write the rows into the ledger")
    options.add_argument("--epochs", type=int, default=4)
    options.add_argument(
        "--train", type=int, default=100, help="training scenes (default: %(default)s)"
    )
    options.add_argument(
        "--val", type=int, default=60, help="validation scenes (default: %(default)s)"
    )
    parts = ("annotations", "training")
    options.add_argument(
        "--parts", nargs="+", choices=parts, default=parts, help="what to measure (default: both)"
    )
    options = options.parse_args(arguments)
    common = {
        "paper": "vrn",
        "command": ledger.this_command("cropnb.vrn.study"),
        "commit": ledger.current_commit(),
        "device": device_name(torch.device("cpu")),
    }
    # recorded as they come, so that a run that is killed keeps what it has
    for rows in measure(options, common):
        for row in rows:
            print(f"{row.dataset}, {row.row}, {row.column}: {row.ours:.4g}", flush=True)
        if options.record:
            ledger.record("vrn", rows)


def measure(options: argparse.Namespace, common: dict) -> Iterable[list[ledger.Row]]:
    """The rows of each set of annotations that is on this disk, then those of each training run."""
    for name in ("scenes", "gaicd") if "annotations" in options.parts else ():
        try:
            yield annotation_rows(name, [sample.scores for sample in load(name)], common)
        except DatasetMissing as missing:
            print(f"without {name}: {missing}")
    if "training" in options.parts:
        yield from trial_rows(options.epochs, options.train, options.val, common)


if __name__ == "__main__":
    main()
