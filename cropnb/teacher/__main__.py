"""The teacher: `python -m cropnb.teacher labels` writes the taught photographs.

Before it, its parts are trained, each from people's data:

    python -m cropnb.attention --dataset gaze --profile cpu
    python -m cropnb.layout --dataset gaicd_layouts --profile cpu --variants jittered
        --seeds 0 1 2 3 4
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cropnb.attention.recipe import METHOD as ATTENTION
from cropnb.datasets import taught, unlabelled
from cropnb.errors import WeightsUnavailable
from cropnb.files import file_hash
from cropnb.layout.recipe import METHOD as LAYOUT
from cropnb.runs import Experiment, program
from cropnb.runs.experiment import WEIGHTS_FILE
from cropnb.teacher import labels
from cropnb.teacher.teacher import SHARPNESS, STRETCH, Teacher, load

SEEDS = (0, 1, 2, 3, 4)  # of the layout networks whose scores are averaged


def trained(out: str | Path) -> tuple[Teacher, dict[str, object]]:
    """The teacher whose parts were trained into the folder of all runs, and its card.

    Raises:
        WeightsUnavailable: a part is still to be trained.
    """
    readout = Experiment(ATTENTION, "gaze", profile="cpu", out=out).run("readout", 0).folder
    scored = Experiment(LAYOUT, "gaicd_layouts", profile="cpu", out=out)
    layouts = [scored.run("jittered", seed).folder for seed in SEEDS]
    paths = [folder / WEIGHTS_FILE for folder in (readout, *layouts)]
    for path in paths:
        if not path.exists():
            raise WeightsUnavailable(
                f"{path} isn't there: `python -m cropnb.teacher --help` says how the teacher's "
                "parts are trained"
            )
    card = {
        "attention": file_hash(paths[0]),
        "layouts": [file_hash(path) for path in paths[1:]],
        "learned from": (
            "fixations of OSIE and crowd, salient masks, MOS of GAICD on layouts, sizes of boxes "
            "of FLMS"
        ),
        "sharpness": SHARPNESS,
        "stretch": STRETCH,
    }
    return load(paths[0], paths[1:]), card


def _labels(chosen: argparse.Namespace, arguments: list[str]) -> int:
    teacher, card = trained(chosen.out)
    photographs = unlabelled.load(chosen.sets, masks=chosen.masks)
    path = labels.write(teacher, Path(chosen.to), photographs, card)
    print(f"wrote {path}: labels of {len(photographs)} photos")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """See `python -m cropnb.teacher --help`. Returns the exit status."""
    options = argparse.ArgumentParser(
        prog="python -m cropnb.teacher",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("command", choices=("labels",))
    options.add_argument("--out", default="runs", help="where the teacher's parts were trained")
    options.add_argument("--to", default=str(taught.RUNS), help="where the labels are written")
    options.add_argument(
        "--sets", nargs="+", choices=list(unlabelled.SETS), default=list(unlabelled.SETS)
    )
    options.add_argument(
        "--masks", nargs="+", default=["runs/masks"], help="further folders with salient masks"
    )
    options.add_argument("--threads", type=int)
    return program.run(_labels, options, arguments)


if __name__ == "__main__":
    sys.exit(main())
