"""`python -m cropnb.asm_net --profile cpu`: train and measure ASM-Net, and record its rows in the
ledger.
"""

import argparse
import sys
from collections.abc import Sequence

from cropnb import checkpoints, datasets, ledger, program, reproduction
from cropnb.asm_net import recipe, rows
from cropnb.asm_net.experiment import METHOD, WEIGHTS_FILE, Experiment
from cropnb.croppers import shipped

GROUPS = {
    "table": (*recipe.TABLE_1, *recipe.BESIDE_TABLE_1),
    "figure": (recipe.MAIN, *(name for name in recipe.VARIANTS if name.startswith("λ"))),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every variant with every seed. Returns the exit status; a typed error is printed in one
    line.
    """
    options = program.options(METHOD, recipe.PROFILES, __doc__)
    names = [*GROUPS, *recipe.VARIANTS]
    options.add_argument(
        "--variants",
        nargs="+",
        choices=names,
        default=[recipe.MAIN],
        metavar="NAME",
        help=f"of {', '.join(names)}",
    )
    options.add_argument(
        "--form", choices=("cpc", "gaicd"), default="cpc", help="the form that scenes have"
    )
    options.add_argument(
        "--frozen",
        action="store_true",
        help="train the head only, on features of a frozen backbone",
    )
    options.add_argument(
        "--boxes", nargs="+", default=[], metavar="DATASET", help="measure best crops on fcdb, flms"
    )
    return program.run(_main, options, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    profile = recipe.PROFILES[options.profile]
    experiment = Experiment(
        options.dataset,
        options.form,
        options.profile,
        profile,
        options.device,
        options.out,
        options.init,
        options.frozen,
    )
    boxes = {
        name: _box_dataset(options.dataset, name, profile.test_photos) for name in options.boxes
    }
    variants = list(
        dict.fromkeys(v for name in options.variants for v in GROUPS.get(name, (name,)))
    )
    results: dict[str, list[dict]] = {}
    for seed in options.seeds:
        for variant in variants:
            wanted = boxes if variant == recipe.MAIN else {}
            result = experiment.finished(variant, seed)
            if result is None or not set(wanted) <= set(result["boxes"]):
                result = experiment.run(variant, seed, wanted)[2]
            results.setdefault(variant, []).append(result)
            means = ", ".join(f"{name} {value:.4g}" for name, value in rows.scores(result).items())
            print(f"{variant}, seed {seed}: {means} ({result['minutes']} min)", flush=True)
    if options.ship:
        _ship(experiment, variants[0], options.seeds[0], results[variants[0]][0])
    if options.record:
        first = results[variants[0]][0]
        context = reproduction.Context(
            METHOD,
            options.dataset,
            arguments,
            split=experiment.parts["test"].split,
            profile=options.profile,
            seeds=tuple(options.seeds),
            device=first["device"],
            commit=first["commit"],
        )
        found = rows.of(context, results, experiment.form, options.frozen) + rows.pending()
        ledger.record(METHOD, found)
        print(f"recorded {len(found)} rows in {ledger.folder() / (METHOD + '.json')}")
    return 0


def _box_dataset(dataset: str, name: str, photos: int | None) -> datasets.CropDataset:
    if dataset == "scenes":
        return datasets.load("scenes", "test", form=name, size=photos)
    return datasets.load(name, "test").with_photos()


def _ship(experiment: Experiment, variant: str, seed: int, result: dict) -> None:
    state, card = checkpoints.load_weights(experiment.folder(variant, seed) / WEIGHTS_FILE, METHOD)
    checkpoints.save_weights(
        shipped(METHOD), state, reproduction.card(result, rows.scores(result)) | card, half=True
    )
    print(f"shipped {shipped(METHOD)} ({shipped(METHOD).stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    sys.exit(main())
