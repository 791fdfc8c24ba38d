"""A run whose network starts from what another method has trained."""

from torch import Tensor

from cropnb import checkpoints
from cropnb.errors import WeightsUnavailable
from cropnb.runs.experiment import WEIGHTS_FILE, Experiment
from cropnb.runs.identity import Run
from cropnb.runs.plan import method_named


def run_of(
    experiment: Experiment, method: str, profile: str = "trained", dataset: str | None = None
) -> Run:
    """The run of another method, or of another profile, with the main variant and seed 0. Its
    `config_hash` belongs into the identity of a run that starts from its weights.

    Args:
        dataset: by default that of the experiment.
    """
    other = Experiment(
        method_named(method),
        dataset or experiment.dataset,
        profile=profile,
        init=experiment.init,
        out=experiment.out,
        progress=experiment.progress,
    )
    return other.run(other.method.main, 0)


def state_of(
    experiment: Experiment, method: str, profile: str = "trained", dataset: str | None = None
) -> dict[str, Tensor]:
    """The weights of that run.

    Raises:
        WeightsUnavailable: it isn't finished, with what trains it.
    """
    run, dataset = run_of(experiment, method, profile, dataset), dataset or experiment.dataset
    path = run.folder / WEIGHTS_FILE if run.folder else None
    if path is None or not path.exists():
        command = f"python -m cropnb.{method} --dataset {dataset} --profile {profile}"
        init = f" --init {experiment.init}" if experiment.init != "imagenet" else ""
        raise WeightsUnavailable(
            f"this starts from what {method} has trained on {dataset}, "
            f"and there is none at {path}; train it: {command}{init} --out {experiment.out}"
        )
    return checkpoints.load_weights(path, method)[0]
