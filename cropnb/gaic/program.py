"""The program behind `python -m cropnb.gaic` and `python -m cropnb.vrn`: runs, ledger rows, shipped
weights.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType

from cropnb import program, training
from cropnb.croppers import shipped
from cropnb.gaic import rows
from cropnb.gaic.experiment import WEIGHTS_FILE, Experiment


def main(method: str, recipe: ModuleType, arguments: Sequence[str] | None = None) -> int:
    """Run every variant with every seed. Returns the exit status; a typed error is printed in one
    line.
    """
    options = program.options(method, recipe.PROFILES, __doc__)
    options.add_argument(
        "--variants", nargs="+", choices=recipe.VARIANTS, default=[recipe.MAIN], metavar="NAME"
    )
    options.add_argument(
        "--frozen",
        action="store_true",
        help="train the head only, on features of a frozen backbone",
    )
    return program.run(partial(_main, method, recipe), options, arguments)


def _main(
    method: str, recipe: ModuleType, options: argparse.Namespace, arguments: list[str]
) -> int:
    profile = recipe.PROFILES[options.profile]
    if options.frozen:
        profile = replace(profile, epochs=0, head_epochs=profile.head_epochs or profile.epochs)
    experiment = Experiment(
        method, options.dataset, options.profile, profile, options.device, options.out
    )
    weights = None if options.init == "random" else "imagenet"
    results: dict[str, list[dict]] = {}
    for seed in options.seeds:
        for variant in options.variants:
            build, loss = recipe.build(variant, weights), recipe.loss(variant)
            result = experiment.run(variant, build, loss, seed, options.init)[2]
            results.setdefault(variant, []).append(result)
            print(f"{variant}, seed {seed}: " + rows.one_line(result), flush=True)
    first = experiment.folder(options.variants[0], options.seeds[0]) / WEIGHTS_FILE
    if options.ship:
        state, _ = training.load_weights(first, method)
        state = {
            name: value for name, value in state.items() if not name.startswith("image_learner.")
        }
        training.save_weights(
            shipped(method), state, rows.card(results[options.variants[0]][0]), half=True
        )
        print(f"shipped {shipped(method)} ({shipped(method).stat().st_size / 1e6:.1f} MB)")
    if options.record:
        rows.record(method, recipe, results, options, arguments)
    return 0
