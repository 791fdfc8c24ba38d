"""`python -m cropnb.set_prediction --profile cpu`: train variants of the set predictor, and record
their rows.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from torch import Tensor

from cropnb import checkpoints, files, ledger, program, reproduction
from cropnb.croppers import shipped
from cropnb.set_prediction import recipe, rows
from cropnb.set_prediction.experiment import ANCHORS_FILE, METHOD, WEIGHTS_FILE, Experiment
from cropnb.set_prediction.fitting import LOOKED_AT

ANCHORS = "anchors.json"  # beside the shipped weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every variant with every seed. Returns the exit status; a typed error is printed in one
    line.
    """
    options = program.options(METHOD, recipe.PROFILES, __doc__)
    names = [*recipe.VARIANTS, "all"]
    options.add_argument(
        "--variants", nargs="+", choices=names, default=[recipe.MAIN], metavar="NAME"
    )
    options.add_argument(
        "--form",
        default="gaicd",
        help="of the scenes: gaicd, gaicd_v2 or cpc (default: %(default)s)",
    )
    return program.run(_main, options, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    profile = recipe.PROFILES[options.profile]
    experiment = Experiment(
        options.dataset, options.profile, profile, options.form, options.device, options.out
    )
    names = list(recipe.VARIANTS) if "all" in options.variants else options.variants
    runs: dict[str, list] = {}
    for seed in options.seeds:
        for name in names:
            _, result, found = experiment.run(name, seed, options.init)
            runs.setdefault(name, []).append((result, found))
            print(f"{name}, seed {seed}: {one_line(result)}", flush=True)
    if options.ship:
        ship(experiment, names[0], options.seeds[0], runs[names[0]][0][0])
    if options.record:
        record(experiment, runs, options, arguments)
    return 0


def one_line(result: dict) -> str:
    """What the last epoch reached on the test photos, for a log."""
    test = result["epochs"][-1][1]
    values = ", ".join(
        f"{name} {100 * value:.1f}"
        for name, value in zip(result["epoch_columns"], test, strict=True)
    )
    return f"{values} ({result['minutes']} min)"


def ship(experiment: Experiment, name: str, seed: int, result: dict) -> None:
    """Put the weights of a run beside the package, in half precision, with their card."""
    state, _ = checkpoints.load_weights(experiment.folder(name, seed) / WEIGHTS_FILE, METHOD)
    # as the ledger's columns, of the last epoch
    names = ("AP, ε = 0.85, K = 10", "ACC 1/5", "ACC 1/10")
    scores = {
        column: 100 * value for column, value in zip(names, result["epochs"][-1][1], strict=True)
    }
    checkpoints.save_weights(shipped(METHOD), state, reproduction.card(result, scores), half=True)
    moved = anchors_moving(experiment, name, seed)
    files.write_atomically(shipped(METHOD).with_name(ANCHORS), (json.dumps(moved) + "\n").encode())
    print(f"shipped {shipped(METHOD)} ({shipped(METHOD).stat().st_size / 1e6:.1f} MB)")


def anchors_moving(experiment: Experiment, name: str, seed: int) -> dict[str, object]:
    """Where the anchors were before training and after some epochs, and what they made of one
    validation photo.

    `starts` (E, Q, 4) and `crops` (E, Q, 4) are x1, y1, x2, y2 divided by the sides; `validities`
    (E, Q), `epochs` (E). Of the photos that the run looked at it is the one with the most good
    crops that is no more than ten.
    """
    kept, _ = checkpoints.load_weights(experiment.folder(name, seed) / ANCHORS_FILE, METHOD)
    last = len(kept["starts"]) - 1
    epochs = sorted({epoch for epoch in (0, 1, 2, 4, 8) if epoch < last} | {last})
    good = [len(crops) for crops in experiment.photos(1).crops[:LOOKED_AT]]
    photo = max(range(len(good)), key=lambda index: good[index] if good[index] <= 10 else 0)
    crops = kept["crops"][epochs, photo]
    return {
        "dataset": experiment.dataset,
        "form": experiment.form,
        "split": experiment.parts[1].split,
        "photo": photo,
        "variant": name,
        "seed": seed,
        "epochs": epochs,
        "starts": _rounded(kept["starts"][epochs]),
        "crops": _rounded(crops[..., :4]),
        "validities": _rounded(crops[..., 4]),
    }


def _rounded(values: Tensor) -> list:
    return (values.double() * 1e4).round().div(1e4).tolist()


def record(
    experiment: Experiment, runs: rows.Runs, options: argparse.Namespace, arguments: list[str]
) -> None:
    """Write what was measured, the claims that it decides, and what is still pending."""
    result = next(iter(runs.values()))[0][0]
    context = reproduction.Context(
        METHOD,
        options.dataset,
        arguments,
        split=experiment.parts[2].split,
        profile=options.profile,
        seeds=tuple(options.seeds),
        device=result["device"],
        commit=result["commit"],
    )
    photos = {name: experiment.photos(2, recipe.VARIANTS[name].at_least) for name in runs}
    found = rows.table_rows(context, runs, photos, experiment.form)
    found += rows.claim_rows(context, runs, photos, experiment.form)
    if recipe.MAIN in runs:
        blind = dataclasses.replace(context, seeds=())
        found += rows.blind_rows(blind, experiment.photos(0), photos[recipe.MAIN], experiment.form)
    if options.dataset == "scenes":
        found += reproduction.pending(METHOD, rows.MISSING)
    ledger.record(METHOD, found)
    print(f"recorded {len(found)} rows in {ledger.folder() / (METHOD + '.json')}")


if __name__ == "__main__":
    sys.exit(main())
