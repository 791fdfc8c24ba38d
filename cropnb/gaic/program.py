"""The program behind `python -m cropnb.gaic` and `python -m cropnb.vrn`: runs, ledger rows, shipped weights."""

import argparse
import sys
from dataclasses import replace
from types import ModuleType

import torch

from cropnb import training
from cropnb.errors import CropnbError
from cropnb.gaic import rows
from cropnb.gaic.cropper import shipped
from cropnb.gaic.experiment import WEIGHTS_FILE, Experiment


def parser(method: str, recipe: ModuleType) -> argparse.ArgumentParser:
    """The options; what a run was given stands in the command of its ledger rows."""
    options = argparse.ArgumentParser(prog=f"python -m cropnb.{method}", description=__doc__)
    options.add_argument("--profile", choices=recipe.PROFILES, default="smoke")
    options.add_argument("--dataset", default="scenes", help="scenes, gaicd or gaicd_v2 (default: %(default)s)")
    options.add_argument("--variants", nargs="+", choices=recipe.VARIANTS, default=[recipe.MAIN], metavar="NAME")
    options.add_argument("--seeds", nargs="+", type=int, default=[0])
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options.add_argument("--threads", type=int, help="CPU threads; a CPU run repeats bit by bit with the same number")
    options.add_argument("--init", choices=("imagenet", "random"), default="imagenet", help="the backbone's start")
    options.add_argument("--frozen", action="store_true", help="train the head only, on features of a frozen backbone")
    options.add_argument("--out", default="runs", help="folder of the runs; a run found there is continued")
    options.add_argument("--record", action="store_true", help="write ledger rows, from all runs of these seeds")
    options.add_argument("--ship", action="store_true", help="put the weights of the first run beside the package")
    return options


def main(method: str, recipe: ModuleType, arguments: list[str] | None = None) -> int:
    """Run every variant with every seed. Returns the exit status; a typed error is printed in one line."""
    options = parser(method, recipe).parse_args(arguments)
    try:
        return _main(method, recipe, options, sys.argv[1:] if arguments is None else arguments)
    except CropnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _main(method: str, recipe: ModuleType, options: argparse.Namespace, arguments: list[str]) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    profile = recipe.PROFILES[options.profile]
    if options.frozen:
        profile = replace(profile, epochs=0, head_epochs=profile.head_epochs or profile.epochs)
    experiment = Experiment(method, options.dataset, options.profile, profile, options.device, options.out)
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
        state = {name: value for name, value in state.items() if not name.startswith("image_learner.")}
        training.save_weights(shipped(method), state, rows.card(results[options.variants[0]][0]), half=True)
        print(f"shipped {shipped(method)} ({shipped(method).stat().st_size / 1e6:.1f} MB)")
    if options.record:
        rows.record(method, recipe, results, options, arguments)
    return 0
