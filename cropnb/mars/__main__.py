"""`python -m cropnb.mars --profile cpu`: train and measure Mars and its ablations, and record their
rows.
"""

import argparse
import sys
from collections.abc import Sequence

from cropnb import checkpoints, ledger, program
from cropnb.croppers import shipped
from cropnb.errors import WeightsUnavailable
from cropnb.mars import recipe, rows
from cropnb.mars.experiment import Experiment
from cropnb.mars.rows import WEIGHTS_FILE
from cropnb.mars.variants import VARIANTS
from cropnb.reproduction import Context


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every variant with every seed; a finished run is read, not repeated. Returns the exit
    status.
    """
    options = program.options("mars", recipe.PROFILES, __doc__)
    options.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=[recipe.MAIN], metavar="NAME"
    )
    options.add_argument(
        "--finished",
        action="store_true",
        help="train nothing, only read the runs that are finished",
    )
    return program.run(_main, options, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    profile = recipe.PROFILES[options.profile]
    experiment = Experiment(options.dataset, options.profile, profile, options.device, options.out)
    results: dict[str, list[dict]] = {}
    for seed in options.seeds:
        for variant in options.variants:
            result = experiment.result(variant, seed, options.init)
            if result is None and options.finished:
                continue
            result = result or experiment.run(variant, seed, options.init)[2]
            results.setdefault(variant, []).append(result)
            print(f"{variant}, seed {seed}: " + rows.one_line(result), flush=True)
    if not results:
        raise WeightsUnavailable(
            f"no run of {', '.join(options.variants)} is finished; leave --finished out to train"
        )
    if options.ship:
        first = experiment.folder(options.variants[0], options.seeds[0]) / WEIGHTS_FILE
        state, _ = checkpoints.load_weights(first, "mars")
        checkpoints.save_weights(
            shipped("mars"), state, rows.card(results[options.variants[0]][0]), half=True
        )
        print(f"shipped {shipped('mars')} ({shipped('mars').stat().st_size / 1e6:.1f} MB)")
    if options.record:
        more = {
            "split": experiment.judged,
            "profile": options.profile,
            "seeds": tuple(options.seeds),
        }
        context = Context("mars", options.dataset, arguments, **more)
        # the one thing that still needs the photos' sizes
        centred = None if options.finished else experiment.centred()
        found = rows.rows(context, results, centred)
        ledger.record("mars", [*found, *rows.pending()])
        print(f"recorded {len(found)} rows in {ledger.folder() / 'mars.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
