"""What every method's program has in common: `python -m cropnb.vrn --profile cpu`, and the same for
the others.
"""

import argparse
import platform
import sys
from collections.abc import Callable, Iterable, Sequence

import torch

from cropnb.errors import CropnbError


def options(
    method: str, profiles: Iterable[str], description: str | None = None
) -> argparse.ArgumentParser:
    """The options of a training program, to which a method adds its own.

    What a run was given stands in the command of its ledger rows.
    """
    parser = argparse.ArgumentParser(prog=f"python -m cropnb.{method}", description=description)
    parser.add_argument("--profile", choices=list(profiles), default="smoke")
    parser.add_argument(
        "--dataset",
        default="scenes",
        help="scenes, or a dataset on this disk (default: %(default)s)",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--threads", type=int, help="CPU threads; a CPU run repeats bit by bit with the same number"
    )
    parser.add_argument(
        "--init", choices=("imagenet", "random"), default="imagenet", help="the backbone's start"
    )
    parser.add_argument(
        "--out", default="runs", help="folder of the runs; a run found there is continued"
    )
    parser.add_argument(
        "--record", action="store_true", help="write ledger rows, from all runs of these seeds"
    )
    parser.add_argument(
        "--ship", action="store_true", help="put the weights of the first run beside the package"
    )
    return parser


def run(
    main: Callable[[argparse.Namespace, list[str]], int],
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse, set the threads and call `main(chosen, arguments)`. Returns the exit status.

    A typed error, or one of the operating system, is printed in one line, with exit status 2.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    chosen = parser.parse_args(arguments)
    if getattr(chosen, "threads", None):
        torch.set_num_threads(chosen.threads)
    try:
        return main(chosen, arguments)
    except (CropnbError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def device_name(device: str | torch.device) -> str:
    """What a ledger row says about the machine: the GPU's name, or the CPU's architecture and
    threads.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
