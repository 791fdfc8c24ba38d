"""The first claim of most abstracts, that the paper's network beats an earlier one, where both were
trained alike here: `python -m cropnb.runs.rivals vrn --dataset gaicd_layouts --profile trained
--seeds 0 1 2 --record`.

It trains nothing: the runs of both methods have to be finished. A claim of `paper.toml` with a
`rival` names the other method; `worse` is that method's variant. What both measured in training is
compared; where that isn't what the claim is about, its `study` measures it.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cropnb import ledger, paper
from cropnb.errors import CropnbError, WeightsUnavailable
from cropnb.runs import plan, program, record
from cropnb.runs.context import Context
from cropnb.runs.experiment import Experiment
from cropnb.runs.results import Result


def claim_names(arguments: Sequence[str]) -> list[str]:
    """What a call with these arguments decides, for the card of its power."""
    return [claim["name"] for claim in _claims(arguments[0])]


def rows(
    context: Context, ours: Experiment, seeds: Sequence[int], profile: str | None = None
) -> list[ledger.Row]:
    """The verdict on each claim against a rival, over the seeds that both have; a claim of which a
    side has no finished run is left out.

    Args:
        ours: the experiment of the paper's own network.
        profile: the rival's, where it isn't called as ours is.

    Raises:
        CropnbError: the paper has no such claim, or the two were tested on other photos.
        WeightsUnavailable: no claim has finished runs of both sides.
    """
    claims = _claims(ours.method.name)
    if not claims:
        studies = "".join(
            f"; see python -m cropnb.{one['study']}"
            for one in paper.read(ours.method.name).claims
            if "study" in one
        )
        raise CropnbError(
            f"{ours.method.name} has no claim against another method in paper.toml that finished "
            f"runs decide{studies}"
        )
    pairs, missing = [], []
    for claim in claims:
        try:
            pairs.append((claim, _sides(claim, ours, seeds, profile)))
        except WeightsUnavailable as error:
            missing.append(error)
    if not pairs:
        raise missing[0]
    return record.decide(context, ours, pairs)


def _claims(method: str) -> list[Mapping[str, Any]]:
    """The claims of a paper that finished runs of it and of a rival decide."""
    return [one for one in paper.read(method).claims if "rival" in one and "study" not in one]


def _sides(
    claim: Mapping[str, Any], ours: Experiment, seeds: Sequence[int], profile: str | None
) -> list[list[Result]]:
    """The finished runs of the better and of the worse side of a claim."""
    theirs = Experiment(
        plan.method_named(claim["rival"]),
        ours.dataset,
        profile=profile or ours.profile_name,
        init=ours.init,
        test_photos=ours.test_photos,
        out=ours.out,
    )
    sides = [
        _finished(ours, claim["better"], seeds),
        _finished(theirs, claim["worse"], seeds),
    ]
    tested = {(run.dataset, run.form, run.split, run.photos) for side in sides for run in side}
    if len(tested) > 1:
        raise CropnbError(
            f"{claim['name']}: the two were tested on other photos, "
            + " and ".join(str(one) for one in sorted(tested))
        )
    return sides


def _finished(experiment: Experiment, variant: str, seeds: Sequence[int]) -> list[Result]:
    """The runs of a variant that are finished."""
    runs = [experiment.finished(variant, seed) for seed in seeds]
    there = [run for run in runs if run is not None]
    if not there:
        raise WeightsUnavailable(
            f"no run of {experiment.method.name}'s {variant} is finished; first: python -m "
            f"cropnb.{experiment.method.name} --dataset {experiment.dataset} "
            f"--profile {experiment.profile_name} --variants {variant!r}"
        )
    return there


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("runs.rivals", __doc__)
    options.set_defaults(device="cpu")
    options.add_argument("paper", help="whose claims: the name of a method with a chapter")
    options.add_argument("--dataset", default=ledger.SCENES)
    options.add_argument("--form", help="that scenes have")
    options.add_argument("--profile", default="trained")
    options.add_argument("--rival-profile", help="where the rival's has another name")
    options.add_argument("--seeds", nargs="+", type=int, default=[0])
    options.add_argument("--test-photos", type=int, help="as both were measured")
    options.add_argument("--out", default="runs", help="where the runs lie")

    def start(chosen: argparse.Namespace, given: list[str]) -> int:
        method = plan.method_named(chosen.paper)
        ours = Experiment(
            method,
            chosen.dataset,
            chosen.form,
            chosen.profile,
            device=chosen.device,
            test_photos=chosen.test_photos,
            out=chosen.out,
        )
        arguments = program.repeatable(given)
        context = Context(method.name, ours.dataset, arguments, module="cropnb.runs.rivals")
        context = program.of_experiment(context, ours, chosen.seeds)
        if chosen.dry_run:
            program.describe(ours.parts.values())
            return 0
        written = rows(context, ours, chosen.seeds, chosen.rival_profile)
        for row in written:
            print(program.row_line(row))
        if chosen.record:
            ledger.record(method.name, written)
        return 0

    return program.run(start, options, arguments)


if __name__ == "__main__":
    sys.exit(main())
