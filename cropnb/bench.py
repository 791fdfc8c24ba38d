"""Speeds that the book quotes, each as a ratio of two things measured in turn in one run: `make bench`.

Rows go to `book/results/speed.json` with `--record`. A ratio holds on machines of different speeds; seconds don't.
"""

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torchvision import models

from cropnb import candidates, datasets, ledger
from cropnb.croppers import load
from cropnb.gaic.model import ViewScorer
from cropnb.gaic.views import prepare

NAME = "speed"


def ratios(first: Callable[[], object], second: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of `first` over seconds of `second`, measured in turn `rounds` times after a warm-up."""
    first(), second()
    return [_seconds(first) / _seconds(second) for _ in range(rounds)]


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def vrn_against_classification(rounds: int) -> list[float]:
    """VRN on a 256-pixel photo with all its candidates, over torchvision's MobileNetV2 classifying that photo."""
    image = datasets.load("scenes", "test", form="gaicd", size=1)[0].image()
    height, width = image.shape[-2:]
    views = candidates.grid_anchors(width, height)
    method = load("vrn").method
    classifier = models.mobilenet_v2(weights=None).eval()
    photo = prepare(image, views)[0][None]  # (1, 3, 256, W), the size that VRN's network sees

    @torch.inference_mode()
    def classify() -> object:
        return classifier(photo)

    return ratios(lambda: method.score_boxes(image, views), classify, rounds)


def shared_points_against_dense(rounds: int) -> list[float]:
    """The view scorer with shared discard points, over the one that builds each view's RoDAlign feature."""
    scorer = ViewScorer(32).eval()
    features, views = torch.rand(1, 32, 16, 24), candidates.grid_anchors(384, 256)

    def run(score: Callable) -> Callable[[], object]:
        @torch.inference_mode()
        def call() -> object:
            return score(features, [views])

        return call

    return ratios(run(scorer), run(scorer.score_densely), rounds)


MEASURED = {
    "VRN with all candidates": (vrn_against_classification, "MobileNetV2 classification of the same photo", 1.2),
    "view scorer with shared points": (shared_points_against_dense, "the same with a RoDAlign feature a view", None),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status is 1 when a ratio is above its bound."""
    options = argparse.ArgumentParser(prog="python -m cropnb.bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--record", action="store_true", help="write the rows into the ledger")
    chosen = options.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    command = shlex.join(["python", "-m", "cropnb.bench", *(sys.argv[1:] if arguments is None else arguments)])
    status, found = 0, []
    for name, (measure, against, bound) in MEASURED.items():
        values = sorted(measure(chosen.rounds))
        middle = statistics.median(values)
        low, high = values[len(values) // 40], values[-1 - len(values) // 40]  # the ledger's 95 %
        late = bound is not None and middle > bound
        status = 1 if late else status
        limit = f", at most {bound} is wanted{': TOO SLOW' if late else ''}" if bound else ""
        print(f"{name}: {middle:.2f} times {against} ({low:.2f} … {high:.2f} in 95 % of the rounds{limit})")
        found.append(
            ledger.Row(
                paper=NAME,
                table="seconds, as a ratio",
                row=name,
                column=f"times {against}",
                dataset="scenes",
                split="test",
                verdict="measured",
                ours=round(middle, 3),
                low=round(low, 3),
                high=round(high, 3),
                images=1,
                device=f"CPU ({torch.get_num_threads()} threads)",
                command=command,
                commit=ledger.current_commit(),
                note=f"median of {len(values)} rounds; the interval holds 95 % of them" + limit,
            )
        )
    if chosen.record:
        ledger.record(NAME, found)
    return status


if __name__ == "__main__":
    sys.exit(main())
