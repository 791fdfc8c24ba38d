"""The program behind `python -m cropnb.la2c`: runs, ledger rows, shipped weights."""

import argparse
from collections.abc import Sequence

from cropnb import checkpoints, program
from cropnb.croppers import shipped
from cropnb.la2c import rows
from cropnb.la2c.experiment import Experiment
from cropnb.la2c.recipe import MAIN, PROFILES, VARIANTS
from cropnb.reproduction import Context


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every variant with every seed. Returns the exit status; a typed error is printed in one
    line.
    """
    options = program.options("la2c", PROFILES, __doc__)
    options.add_argument("--variants", nargs="+", choices=VARIANTS, default=[MAIN], metavar="NAME")
    return program.run(_main, options, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    experiment = Experiment(
        options.dataset, options.profile, PROFILES[options.profile], options.device, options.out
    )
    results: dict[str, list[dict]] = {}
    first = None
    for variant in options.variants:
        for seed in options.seeds:
            agent, _, result = experiment.run(variant, seed, options.init)
            first = first or (agent, result)
            results.setdefault(variant, []).append(result)
            print(f"{variant}, seed {seed}: {rows.one_line(result)}", flush=True)
    agent, result = first
    if options.ship:
        checkpoints.save_weights(shipped("la2c"), agent.state_dict(), rows.card(result), half=True)
        print(f"shipped {shipped('la2c')} ({shipped('la2c').stat().st_size / 1e6:.1f} MB)")
    if options.record:
        context = Context(
            "la2c",
            options.dataset,
            arguments,
            profile=options.profile,
            seeds=tuple(options.seeds),
            device=result["device"],
            commit=result["commit"],
        )
        found = rows.record(results, context, main=options.profile != "trial")
        print(f"recorded {len(found)} rows")
    return 0
